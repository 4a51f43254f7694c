package edgecache

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"

	"github.com/edgecache-go/edgecache/internal/engine"
)

// maxPurgeBody bounds the body of a purge request, in bytes.
const maxPurgeBody = 1 << 20

// PurgeHandler returns a handler for purging over HTTP. authorize says whether a request may; there is no default, and none is an error.
// Mount it where it belongs, outside of the cache; it does nothing for requests that it is not given.
//
//   - PURGE url, as Varnish and nginx know it, removes the URL that is asked for.
//   - POST with a JSON body, as Cloudflare knows it, removes what one or more of "files", "tags", "prefixes" (lists of strings) and
//     "purge_everything" (true) name. With "soft": true it is made stale instead.
//
// The answer is JSON: {"success":true,"purged":3}, or {"success":false,"purged":0,"error":"…"} with 400, 403, 405, 413 or 415,
// or with 502 and what was purged here if the [Store] could not be told.
func (e *Edge) PurgeHandler(authorize func(*http.Request) bool) (http.Handler, error) {
	if authorize == nil {
		return nil, errors.New("edgecache: PurgeHandler needs a function that authorizes requests, got nil")
	}
	return &purgeHandler{edge: e, authorize: authorize}, nil
}

type purgeHandler struct {
	edge      *Edge
	authorize func(*http.Request) bool
}

// purgeRequest is the body of a POST.
type purgeRequest struct {
	Files      []string `json:"files"`
	Tags       []string `json:"tags"`
	Prefixes   []string `json:"prefixes"`
	Everything bool     `json:"purge_everything"`
	Soft       bool     `json:"soft"`
}

func (h *purgeHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	NoStore(w)
	if !h.authorize(r) {
		answerPurge(w, http.StatusForbidden, 0, "not allowed to purge")
		return
	}
	switch r.Method {
	case "PURGE":
		n, err := h.edge.Purge(r.Context(), "//"+r.Host+r.URL.RequestURI())
		conclude(w, n, err)
	case http.MethodPost:
		h.post(w, r)
	default:
		w.Header().Set("Allow", "POST, PURGE")
		answerPurge(w, http.StatusMethodNotAllowed, 0, "want POST with a JSON body, or PURGE")
	}
}

func (h *purgeHandler) post(w http.ResponseWriter, r *http.Request) {
	// A form that a browser sends across sites is never JSON.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		answerPurge(w, http.StatusUnsupportedMediaType, 0, "want Content-Type: application/json")
		return
	}
	var req purgeRequest
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPurgeBody))
	d.DisallowUnknownFields()
	err := d.Decode(&req)
	if err == nil {
		if _, err = d.Token(); err == nil {
			err = errors.New("there is more behind the object")
		} else if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		answerPurge(w, http.StatusRequestEntityTooLarge, 0, "body is too large; purge in several requests")
		return
	case err != nil:
		answerPurge(w, http.StatusBadRequest, 0, plainJSONError(err)+`: want one JSON object with "files", "tags", "prefixes" (lists of strings) or "purge_everything" (true), and perhaps "soft" (true)`)
		return
	case !req.Everything && len(req.Files)+len(req.Tags)+len(req.Prefixes) == 0:
		answerPurge(w, http.StatusBadRequest, 0, `want one of "files", "tags", "prefixes" and "purge_everything"`)
		return
	}
	// All or nothing: what cannot be read is found before anything is purged.
	for _, list := range [][]string{req.Files, req.Prefixes} {
		for _, u := range list {
			if _, err := parsePurge(u); err != nil {
				answerPurge(w, http.StatusBadRequest, 0, err.Error())
				return
			}
		}
	}
	if slices.Contains(req.Tags, "") {
		answerPurge(w, http.StatusBadRequest, 0, errEmptyTag.Error())
		return
	}
	p := h.edge.hard()
	if req.Soft {
		p = h.edge.Soft()
	}
	ctx, purged := r.Context(), 0
	add := func(n int, err2 error) {
		purged += n
		err = errors.Join(err, err2)
	}
	if req.Everything {
		add(p.PurgeAll(ctx))
	} else {
		if len(req.Tags) > 0 {
			add(p.PurgeTags(ctx, req.Tags...))
		}
		if len(req.Files) > 0 {
			add(p.Purge(ctx, req.Files...))
		}
		for _, prefix := range req.Prefixes {
			add(p.PurgePrefix(ctx, prefix))
		}
	}
	conclude(w, purged, err)
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

func conclude(w http.ResponseWriter, purged int, err error) {
	switch {
	case errors.Is(err, engine.ErrUntold):
		answerPurge(w, http.StatusBadGateway, purged, err.Error())
	case err != nil:
		answerPurge(w, http.StatusBadRequest, purged, err.Error())
	default:
		answerPurge(w, http.StatusOK, purged, "")
	}
}

func answerPurge(w http.ResponseWriter, status, purged int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Success bool   `json:"success"`
		Purged  int    `json:"purged"`
		Error   string `json:"error,omitempty"`
	}{message == "", purged, message}) // the client has gone: nobody to tell
}
