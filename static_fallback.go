package edgecache

import (
	"bufio"
	"io"
	"net"
	"net/http"

	"github.com/edgecache-go/edgecache/internal/record"
)

// serveUnlessMissing runs next, and keeps a 404 from the client: missed is true then, and nothing has been sent.
func serveUnlessMissing(w http.ResponseWriter, r *http.Request, next http.Handler) (missed bool) {
	outer := w.Header().Clone()
	f := &fallback{w: w}
	next.ServeHTTP(record.Shape(f, w), r)
	if !f.missed {
		return false
	}
	h := w.Header()
	clear(h)
	for name, values := range outer {
		h[name] = values
	}
	return true
}

// serveVaryingMissing runs next for a request that would get a page instead of a 404 if it asked for HTML. A cache has to know that: else one 404
// keeps the page from everybody.
func serveVaryingMissing(w http.ResponseWriter, r *http.Request, next http.Handler) {
	writer, finish := record.Hook(w, func(status int) {
		if status == http.StatusNotFound {
			Vary(w, "Accept")
		}
	})
	next.ServeHTTP(writer, r)
	finish()
}

// fallback lets every answer through but a 404.
type fallback struct {
	w         http.ResponseWriter
	committed bool
	missed    bool
}

func (f *fallback) Header() http.Header         { return f.w.Header() }
func (f *fallback) Unwrap() http.ResponseWriter { return f.w }

func (f *fallback) WriteHeader(status int) {
	if !f.committed && status == http.StatusNotFound {
		f.missed = true
	}
	if status >= 200 || status == http.StatusSwitchingProtocols {
		f.committed = true
	}
	if !f.missed {
		f.w.WriteHeader(status)
	}
}

func (f *fallback) Write(p []byte) (int, error) {
	f.committed = true
	if f.missed {
		return len(p), nil
	}
	return f.w.Write(p)
}

func (f *fallback) WriteString(s string) (int, error) {
	f.committed = true
	if f.missed {
		return len(s), nil
	}
	return io.WriteString(f.w, s)
}

func (f *fallback) ReadFrom(src io.Reader) (int64, error) {
	f.committed = true
	if f.missed {
		return io.Copy(io.Discard, src)
	}
	return io.Copy(f.w, src)
}

func (f *fallback) FlushError() error {
	if f.missed {
		return nil
	}
	f.committed = true
	return http.NewResponseController(f.w).Flush()
}

func (f *fallback) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if f.missed {
		return nil, nil, http.ErrHijacked
	}
	conn, rw, err := http.NewResponseController(f.w).Hijack()
	f.committed = f.committed || err == nil
	return conn, rw, err
}

func (f *fallback) Push(target string, opts *http.PushOptions) error {
	if p, ok := f.w.(http.Pusher); ok {
		return p.Push(target, opts)
	}
	return http.ErrNotSupported
}
