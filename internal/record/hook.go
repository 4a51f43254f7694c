package record

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
)

// Hook wraps w so that before is called once, with the final status, when the final header is about
// to be written: by WriteHeader, or with 200 by Write, WriteString, ReadFrom or Flush. It may
// change w.Header(). It is not called for a 1xx, which passes through (101 is final), and not after
// Hijack.
//
// finish calls before with 200, as net/http will write, if the handler returned without writing. It
// must not be called after a panic. The writer has the shape of w and is, like w, for one goroutine
// at a time.
//
// ctx is the context of the handler's request.
func Hook(ctx context.Context, w http.ResponseWriter, before func(status int)) (hw http.ResponseWriter, finish func()) {
	h := new(Hooked)
	return h.Init(w, hook{ctx, before}), h.Finish
}

type hook struct {
	ctx    context.Context
	before func(status int)
}

func (h hook) Commit(status int)        { h.before(status) }
func (h hook) Context() context.Context { return h.ctx }

// Committer is told of the final status.
type Committer interface {
	// Commit is called before the final header is written.
	Commit(status int)
	// Context returns the context of the handler's request.
	Context() context.Context
}

// Hooked is the writer of Hook, for callers that have a place for it.
type Hooked struct {
	w      http.ResponseWriter
	before Committer
	done   bool // before was called, or the connection was hijacked
	eager  bool // each write is flushed
}

// PushOut makes h flush to the client after each write (RFC 10036, 3).
func (h *Hooked) PushOut() { h.eager = true }

func (h *Hooked) pushOut() {
	if h.eager {
		_ = http.NewResponseController(h.w).Flush() // the next write reports the error
	}
}

// Init prepares h for a handler whose client listens at w, and returns the writer to call the
// handler with.
func (h *Hooked) Init(w http.ResponseWriter, before Committer) http.ResponseWriter {
	*h = Hooked{w: w, before: before}
	return Shape(h, w)
}

func (h *Hooked) commit(status int) {
	if !h.done {
		h.done = true
		h.before.Commit(status)
	}
}

// Committed reports whether the handler has said its status, or has taken the connection.
func (h *Hooked) Committed() bool { return h.done }

// Finish is the finish of Hook.
func (h *Hooked) Finish() { h.commit(http.StatusOK) }

func (h *Hooked) Header() http.Header         { return h.w.Header() }
func (h *Hooked) Unwrap() http.ResponseWriter { return h.w }

// WriteHeader passes every call on, superfluous and invalid ones, too: w logs or panics as it does
// without us.
func (h *Hooked) WriteHeader(status int) {
	if status == http.StatusSwitchingProtocols || status >= 200 && status <= 999 {
		h.commit(status)
	}
	h.w.WriteHeader(status)
	// Without a type, net/http has to see the first bytes to detect it.
	if _, typed := h.w.Header()["Content-Type"]; typed {
		h.pushOut()
	}
}

func (h *Hooked) Write(b []byte) (int, error) {
	h.commit(http.StatusOK)
	n, err := h.w.Write(b)
	h.pushOut()
	return n, err
}

func (h *Hooked) WriteString(s string) (int, error) {
	h.commit(http.StatusOK)
	n, err := io.WriteString(h.w, s)
	h.pushOut()
	return n, err
}

// ReadFrom uses w's ReadFrom, and with it sendfile, if w has one.
//
// In net/http, a source that ends or breaks before its first byte writes no header: the handler may
// still respond with 404 or 500. So the header waits for a first piece. That costs a small copy,
// and only without a WriteHeader before.
func (h *Hooked) ReadFrom(src io.Reader) (n int64, err error) {
	if !h.done {
		n, err = readFirst(h, src)
		if err != nil || n == 0 {
			return n, err
		}
	}
	var m int64
	if rf, ok := h.w.(io.ReaderFrom); ok && !h.eager {
		m, err = rf.ReadFrom(src)
	} else if h.eager {
		m, err = io.Copy(struct{ io.Writer }{h}, src)
	} else {
		m, err = io.Copy(h.w, src)
	}
	return n + m, err
}

// readFirst copies one piece to w. n is 0 at the end of src.
func readFirst(w io.Writer, src io.Reader) (n int64, err error) {
	buf := make([]byte, 512) // what content sniffing looks at
	for {
		m, readErr := src.Read(buf)
		if m > 0 {
			written, writeErr := w.Write(buf[:m])
			n = int64(written)
			if writeErr != nil {
				return n, writeErr
			}
			if written < m {
				return n, io.ErrShortWrite
			}
		}
		if errors.Is(readErr, io.EOF) {
			return n, nil
		}
		if readErr != nil || m > 0 {
			return n, readErr
		}
	}
}

// FlushError writes the header only if w can be flushed.
func (h *Hooked) FlushError() error {
	if !h.done && CanFlush(h.w) {
		h.commit(http.StatusOK)
	}
	return http.NewResponseController(h.w).Flush()
}

// CanFlush reports whether w can be flushed by http.ResponseController.
func CanFlush(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case http.Flusher, interface{ FlushError() error }:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

func (h *Hooked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.w).Hijack()
	if err == nil {
		h.done = true
	}
	return conn, rw, err
}

// CloseNotify is http.CloseNotifier's: w's own if there is one, else it tells when the request's
// context ends.
func (h *Hooked) CloseNotify() <-chan bool {
	if n, ok := h.w.(interface{ CloseNotify() <-chan bool }); ok {
		return n.CloseNotify()
	}
	return closeNotify(h.before.Context())
}

func (h *Hooked) Push(target string, opts *http.PushOptions) error {
	if p, ok := h.w.(http.Pusher); ok {
		return p.Push(target, opts)
	}
	return http.ErrNotSupported
}
