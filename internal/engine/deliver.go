package engine

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/partial"
	"github.com/edgecache-go/edgecache/internal/readers"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// statusRoom is how many values a delivery adds to the stored header: Age, the short status and
// Cache-Status.
const statusRoom = 3

// deliver sends a stored response to the client: all of it, or what its conditions and ranges ask
// for.
func (e *Engine) deliver(w http.ResponseWriter, r *http.Request, req *rules.Request, v *cache.Variant, now time.Time, a *cacheStatus) {
	h := w.Header()
	var n negotiation
	extra := statusRoom
	if v.Encodings() != nil && !e.encodedOutside(h, v) {
		n = negotiate(r, req, v)
		extra += encodedRoom
	}
	room := e.copyHeader(h, v, extra)
	// Age is whole seconds, rounded down (RFC 9111, 5.1).
	room = append(room, strconv.FormatInt(int64(v.Terms.Age(now)/time.Second), 10))
	h["Age"] = room[:1:1]
	if a.forward == rules.None && !a.hasTTL {
		a.ttl, a.hasTTL = v.Terms.TTLFor(req, now), true
	}
	ranges, outcome := outcomeOf(v, r.Header, req, &n, now)
	body := &v.Body
	if n.on {
		room = n.describe(h, v, outcome, room)
		if outcome == rules.Full && n.chosen != coding.Identity {
			body = &v.Encodings().Get(n.chosen).Body
		}
		if outcome == rules.Full && n.chosen != n.wanted && !req.Head && a.reuses() {
			e.requestEncoding(r, v, n.wanted)
		}
	}
	e.report(h, r, a, room)

	switch {
	case outcome == rules.Unmodified:
		dropRepresentationHeaders(h)
		w.WriteHeader(http.StatusNotModified)
	case outcome == rules.Unsatisfiable:
		unsatisfiable(w, v.Body.Size())
	case outcome == rules.Partial && len(ranges) == 1:
		e.onePart(w, v.Body, ranges[0])
	case outcome == rules.Partial:
		e.manyParts(w, v.Body, ranges)
	default:
		w.WriteHeader(v.Status())
		if !req.Head && object.BodyAllowed(v.Status()) {
			e.send(w, *body, 0, body.Size())
		}
	}
}

// send writes length bytes of a stored body, from offset on, to the client.
func (e *Engine) send(w http.ResponseWriter, body object.Body, offset, length int64) {
	e.write(w, body, func(to io.Writer) {
		_, _ = body.WriteRange(to, offset, length) // an error means that the client has gone
	})
}

// write calls send with a writer to the client. Meanwhile the client counts as a reader of body.
func (e *Engine) write(w http.ResponseWriter, body object.Body, send func(to io.Writer)) {
	set := body.Readers()
	if set == nil {
		send(w)
		return
	}
	r := new(readers.Reader)
	defer r.Stop()
	r.In(e.cache.ReadRoom())
	r.Start(w)
	r.Join(set)
	send(r)
	r.Stop()
	if r.LetGo() {
		panic(http.ErrAbortHandler) // the client must not take a truncated response for a whole one
	}
}

// dropRepresentationHeaders removes the fields that describe a body from the header of a 304 (RFC
// 9110, 15.4.5).
func dropRepresentationHeaders(h http.Header) {
	for _, name := range [...]string{"Content-Encoding", "Content-Language", "Content-Length", "Content-Range", "Content-Type"} {
		delete(h, name)
	}
}

// unsatisfiable answers a range that lies outside of the response (RFC 9110, 15.5.17).
func unsatisfiable(w http.ResponseWriter, size int64) {
	h := w.Header()
	dropRepresentationHeaders(h)
	// These describe the stored response, and a 416 is another one.
	delete(h, "Etag")
	delete(h, "Last-Modified")
	delete(h, "Expires")
	for name := range h {
		if field.SpeaksToCaches(name) {
			delete(h, name) // caches would obey it in place of Cache-Control
		}
	}
	h["Cache-Control"] = []string{"no-store"}
	h["Content-Range"] = []string{partial.Unsatisfied(size)}
	http.Error(w, http.StatusText(http.StatusRequestedRangeNotSatisfiable), http.StatusRequestedRangeNotSatisfiable)
}

// onePart sends a single range (RFC 9110, 15.3.7.1).
func (e *Engine) onePart(w http.ResponseWriter, body object.Body, part field.Range) {
	h := w.Header()
	h["Content-Range"] = []string{partial.ContentRange(part, body.Size())}
	h["Content-Length"] = []string{strconv.FormatInt(part.Length, 10)}
	w.WriteHeader(http.StatusPartialContent)
	e.send(w, body, part.Start, part.Length)
}

// manyParts sends several ranges as multipart/byteranges (RFC 9110, 15.3.7.2).
func (e *Engine) manyParts(w http.ResponseWriter, body object.Body, parts []field.Range) {
	h := w.Header()
	contentType := ""
	if v := h["Content-Type"]; len(v) > 0 {
		contentType = v[0]
	}
	b := partial.NewBody(parts, body.Size(), contentType)
	h["Content-Type"] = []string{b.ContentType}
	h["Content-Length"] = []string{strconv.FormatInt(b.Length, 10)}
	w.WriteHeader(http.StatusPartialContent)
	e.write(w, body, func(to io.Writer) {
		_ = b.Write(to, func(to io.Writer, part field.Range) error {
			_, err := body.WriteRange(to, part.Start, part.Length)
			return err
		}) // an error means that the client has gone
	})
}
