package engine

import (
	"io"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/rules"
)

// unreadWait is how long a request whose body has no declared length waits for its first byte, or
// its end. A client that sends neither probably waits for the handler to answer first.
const unreadWait = time.Second

// serveArrived serves a request whose body may be empty, or that has fields that belong to its
// connection (RFC 9110, 7.6.1).
func (h *handler) serveArrived(w http.ResponseWriter, r *http.Request, limits *rules.Limits, req *rules.Request) {
	inner := h.engine.arrived(r, limits, req)
	if inner != r {
		defer handBack(r, inner)
	}
	if first, ok := inner.Body.(*firstByte); ok {
		defer first.leave()
	}
	h.serve(w, inner, req)
}

// arrived returns r as it is looked up and passed on: it is known whether the body is empty, and
// the fields of its connection are gone. A request that Config.Except leaves to the handler stays
// as it is. arrived updates req, which classify made from r, to match.
func (e *Engine) arrived(r *http.Request, limits *rules.Limits, req *rules.Request) *http.Request {
	if e.except.Contains(r) {
		return r
	}
	if req.Unread {
		var empty bool
		if r, empty = firstOfBody(r); !empty {
			return r
		}
		*req = e.classify(r, limits)
	}
	return e.withoutConnection(r, limits, req)
}

// withoutConnection is the second half of arrived: it takes off the fields of the connection.
func (e *Engine) withoutConnection(r *http.Request, limits *rules.Limits, req *rules.Request) *http.Request {
	if req.Bypass != rules.None || !req.Connection {
		return r // passed on unchanged
	}
	inner := r.WithContext(r.Context())
	inner.Header = rules.WithoutConnection(r.Header)
	*req = e.classify(inner, limits)
	return inner
}

// firstOfBody reads at most one byte of a body of unknown length. The request that it returns has
// the whole body, or none if the body turns out to be empty. It does not wait long: some clients
// send their body only after they got a response.
func firstOfBody(r *http.Request) (_ *http.Request, empty bool) {
	// Reading would ask the client to continue, and trailers are not part of a key.
	if r.Body == nil || len(r.Header["Expect"]) > 0 || len(r.Trailer) > 0 {
		return r, false
	}
	first := &firstByte{body: r.Body, read: make(chan struct{})}
	inner := r.WithContext(r.Context())
	inner.Body = first
	go first.fetch()
	timer := time.NewTimer(unreadWait)
	defer timer.Stop()
	select {
	case <-first.read:
	case <-timer.C:
		return inner, false
	case <-r.Context().Done():
		return inner, false
	}
	// A wrapped EOF means that the body broke off.
	if first.n > 0 || first.err != io.EOF || first.panicked != nil || len(r.Trailer) > 0 { //nolint:errorlint // see above
		return inner, false
	}
	inner.Body, inner.ContentLength = http.NoBody, 0
	return inner, true
}

// firstByte is a body whose first byte is read ahead. Like any body, it is for one reader at a
// time.
type firstByte struct {
	body     io.ReadCloser
	read     chan struct{} // closed when the following are set
	first    [1]byte
	n        int
	err      error
	panicked any
	given    bool // Read has returned the first byte and its error
}

func (b *firstByte) fetch() {
	defer close(b.read)
	defer func() { b.panicked = recover() }() // Read panics with it in the handler's goroutine
	b.n, b.err = b.body.Read(b.first[:])
}

// Read implements io.Reader. It waits for the byte that is read ahead.
func (b *firstByte) Read(p []byte) (int, error) {
	if b.given {
		return b.body.Read(p)
	}
	if len(p) == 0 {
		return 0, nil
	}
	<-b.read
	b.given = true
	if b.panicked != nil {
		panic(b.panicked)
	}
	return copy(p, b.first[:b.n]), b.err
}

// leave ends the read ahead if it still waits when the request has been served.
func (b *firstByte) leave() {
	select {
	case <-b.read:
	default:
		_ = b.body.Close()
	}
}

// Close implements io.Closer.
func (b *firstByte) Close() error { return b.body.Close() }
