package purge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/directive"
	"github.com/edgecache-go/edgecache/internal/engine"
)

// maxBody is the largest body of a purge request, in bytes.
const maxBody = 1 << 20

// Handler purges over HTTP, as the public PurgeHandler documents. Both fields are required.
type Handler struct {
	// Purge purges all targets and returns how many stored responses that concerned.
	Purge func(ctx context.Context, soft bool, targets ...cache.Target) (int, error)
	// Authorize reports whether a request may purge.
	Authorize func(*http.Request) bool
}

// ServeHTTP carries out the purge that r asks for, and responds with JSON.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	directive.Restrict(w.Header(), directive.NoStore)
	if !h.Authorize(r) {
		respond(w, http.StatusForbidden, 0, "not allowed to purge")
		return
	}
	switch r.Method {
	case "PURGE":
		t, err := cache.URL("//" + r.Host + r.URL.RequestURI())
		if err != nil {
			respond(w, http.StatusBadRequest, 0, err.Error())
			return
		}
		n, err := h.Purge(r.Context(), false, t)
		conclude(w, n, err)
	case http.MethodPost:
		h.post(w, r)
	default:
		w.Header().Set("Allow", "POST, PURGE")
		respond(w, http.StatusMethodNotAllowed, 0, "want POST with a JSON body, or PURGE")
	}
}

func (h *Handler) post(w http.ResponseWriter, r *http.Request) {
	// A form that a browser sends from another site is never JSON (CSRF).
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		respond(w, http.StatusUnsupportedMediaType, 0, "want Content-Type: application/json")
		return
	}
	var req request
	err := req.read(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		respond(w, http.StatusRequestEntityTooLarge, 0, "body is too large; purge in several requests")
		return
	case err != nil:
		respond(w, http.StatusBadRequest, 0, plainJSONError(err)+`: want one JSON object with "files", "tags", "prefixes" (lists of strings) or "purge_everything" (true), and perhaps "soft" (true)`)
		return
	case !req.Everything && len(req.Files)+len(req.Tags)+len(req.Prefixes) == 0:
		respond(w, http.StatusBadRequest, 0, `want one of "files", "tags", "prefixes" and "purge_everything"`)
		return
	}
	purges, err := req.purges()
	if err != nil {
		respond(w, http.StatusBadRequest, 0, err.Error())
		return
	}
	purged := 0
	for _, targets := range purges {
		n, err2 := h.Purge(r.Context(), req.Soft, targets...)
		purged += n
		err = errors.Join(err, err2)
	}
	conclude(w, purged, err)
}

// request is the body of a POST.
type request struct {
	Files      []string `json:"files"`
	Tags       []string `json:"tags"`
	Prefixes   []string `json:"prefixes"`
	Everything bool     `json:"purge_everything"`
	Soft       bool     `json:"soft"`
}

func (r *request) read(body io.Reader) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(r); err != nil {
		return err
	}
	switch _, err := d.Token(); {
	case err == nil:
		return errors.New("there is more behind the object")
	case errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
}

// purges returns the targets of each purge that r asks for. It reads all of them before the caller
// carries out the first, so a malformed one means that nothing is purged.
func (r *request) purges() (purges [][]cache.Target, err error) {
	files, err := URLs(r.Files)
	if err != nil {
		return nil, err
	}
	prefixes, err := Prefixes(r.Prefixes)
	if err != nil {
		return nil, err
	}
	tags, err := Tags(r.Tags)
	if err != nil {
		return nil, err
	}
	if r.Everything {
		return [][]cache.Target{{cache.Everything()}}, nil
	}
	if len(tags) > 0 {
		purges = append(purges, tags)
	}
	if len(files) > 0 {
		purges = append(purges, files)
	}
	for i := range prefixes {
		purges = append(purges, prefixes[i:i+1])
	}
	return purges, nil
}

// plainJSONError returns the message of err without the names of Go types.
func plainJSONError(err error) string {
	var mismatch *json.UnmarshalTypeError
	switch {
	case !errors.As(err, &mismatch):
		return err.Error()
	case mismatch.Field == "":
		return "unexpected " + mismatch.Value
	default:
		return fmt.Sprintf("unexpected %s in %q", mismatch.Value, mismatch.Field)
	}
}

// conclude responds with the result of a purge.
func conclude(w http.ResponseWriter, purged int, err error) {
	switch {
	case errors.Is(err, engine.ErrUntold):
		respond(w, http.StatusBadGateway, purged, err.Error())
	case err != nil:
		respond(w, http.StatusBadRequest, purged, err.Error())
	default:
		respond(w, http.StatusOK, purged, "")
	}
}

func respond(w http.ResponseWriter, status, purged int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Success bool   `json:"success"`
		Purged  int    `json:"purged"`
		Error   string `json:"error,omitempty"`
	}{message == "", purged, message}) // an error means that the client has gone
}
