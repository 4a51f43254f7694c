package engine

import (
	"io"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/rules"
)

// unreadWait is how long a request whose body has no length waits for its first byte, or its end. Who sends neither wants to talk
// with the handler.
const unreadWait = time.Second

// serveArrived serves a request of which something belongs to its connection (RFC 9110, 7.6.1), or whose body may be empty.
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

// arrived returns r as it is looked up and passed on: with a body that is known to be empty or not and, unless the cache has no part in it,
// without what belongs to its connection. It makes req, which classify has said about r, say the same about that.
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

// withoutConnection is arrived for a request whose body is known.
func (e *Engine) withoutConnection(r *http.Request, limits *rules.Limits, req *rules.Request) *http.Request {
	if req.Bypass != rules.None || !req.Connection {
		return r // what is passed on goes as it came
	}
	inner := r.WithContext(r.Context())
	inner.Header = rules.WithoutConnection(r.Header)
	*req = e.classify(inner, limits)
	return inner
}

// firstOfBody reads at most one byte of a body whose length is unknown, and returns r with a body from which nothing is missing.
// If there is none, r is one without a body. It does not wait long: a client may send its body when it has got an answer.
func firstOfBody(r *http.Request) (_ *http.Request, empty bool) {
	if r.Body == nil || len(r.Header["Expect"]) > 0 || len(r.Trailer) > 0 {
		return r, false // who reads would ask for the body; and what comes behind one is no part of a key
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
	if first.n > 0 || first.err != io.EOF || first.panicked != nil || len(r.Trailer) > 0 { //nolint:errorlint // a wrapped one says that it has broken off
		return inner, false
	}
	inner.Body, inner.ContentLength = http.NoBody, 0
	return inner, true
}

// firstByte is a body of which the first byte is read ahead. Like any body, it is for one reader at a time.
type firstByte struct {
	body     io.ReadCloser
	read     chan struct{} // closed when the following are set
	first    [1]byte
	n        int
	err      error
	panicked any
	given    bool // the first byte and what came with it
}

func (b *firstByte) fetch() {
	defer close(b.read)
	defer func() { b.panicked = recover() }() // raised again where the handler reads
	b.n, b.err = b.body.Read(b.first[:])
}

// Read is io.Reader's.
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

// leave ends a read that still waits when the request has been served.
func (b *firstByte) leave() {
	select {
	case <-b.read:
	default:
		_ = b.body.Close()
	}
}

// Close is io.Closer's.
func (b *firstByte) Close() error { return b.body.Close() }
