package record

import (
	"bufio"
	"io"
	"maps"
	"net"
	"net/http"
)

// WriteHeader is http.ResponseWriter's.
func (f *Fill) WriteHeader(status int) {
	switch {
	case f.mode == direct || f.mode == bodiless || f.mode == hijacked || status < 100 || status > 999:
		f.w.WriteHeader(status) // it complains or panics as it does without us
	case f.mode != undecided:
		// A second status is ignored, as in net/http. But a handler that reports an error is not
		// done with its response.
		if status >= 400 && status != f.status {
			f.late = status
		}
	case status < 200 && status != http.StatusSwitchingProtocols:
		// RFC 9110, 15.2: an interim response is never the final one. It goes to the one client
		// that waits for this handler.
		outer := f.outer.Clone()
		f.ReplaceHeader(f.outer)
		f.w.WriteHeader(status)
		clear(f.outer)
		maps.Copy(f.outer, outer)
	default:
		f.commit(status)
		// Without a type, net/http has to see the first bytes to detect it.
		if _, typed := f.header["Content-Type"]; typed {
			f.pushOut()
		}
	}
}

// Write is http.ResponseWriter's.
func (f *Fill) Write(p []byte) (int, error) {
	if f.mode == undecided {
		f.first.bytes = p
		f.commit(http.StatusOK)
		f.first.bytes = nil
	}
	switch f.mode {
	case direct, hijacked:
		n, err := f.w.Write(p)
		f.pushOut()
		return n, err
	case bodiless:
		return f.glance(p)
	case cut:
		return f.writePart(p)
	case over:
		return f.refuse(p)
	case kept:
		if err := f.admit(len(p)); err != nil {
			return 0, err
		}
		f.under++
		f.judge.Grow(len(p))
		n, err := f.sink.Write(p)
		f.under--
		f.length.written += int64(n)
		f.pushOut()
		return n, err
	}
	if err := f.admit(len(p)); err != nil {
		return 0, err
	}
	f.length.written += int64(len(p))
	return len(p), nil
}

// WriteString is io.StringWriter's.
func (f *Fill) WriteString(s string) (int, error) {
	if f.mode == undecided {
		f.first.text = s
		f.commit(http.StatusOK)
		f.first.text = ""
	}
	switch f.mode {
	case direct, hijacked:
		n, err := io.WriteString(f.w, s)
		f.pushOut()
		return n, err
	case bodiless, cut, over:
		return f.Write([]byte(s))
	case kept:
		if err := f.admit(len(s)); err != nil {
			return 0, err
		}
		f.under++
		f.judge.Grow(len(s))
		n, err := f.sink.WriteString(s)
		f.under--
		f.length.written += int64(n)
		f.pushOut()
		return n, err
	}
	if err := f.admit(len(s)); err != nil {
		return 0, err
	}
	f.length.written += int64(len(s))
	return len(s), nil
}

// ReadFrom is io.ReaderFrom's. A response that goes straight through uses the ReadFrom of the
// client's writer, and with it sendfile.
func (f *Fill) ReadFrom(src io.Reader) (n int64, err error) {
	if f.mode == undecided {
		if n, err = readFirst(f, src); err != nil || n == 0 {
			return n, err
		}
	}
	if f.mode == direct && !f.eager || f.mode == hijacked {
		m, err := io.Copy(f.w, src)
		return n + m, err
	}
	m, err := io.Copy(struct{ io.Writer }{f}, src)
	return n + m, err
}

// FlushError is http.ResponseController's Flush.
func (f *Fill) FlushError() error {
	if f.mode == undecided && !CanFlush(f.w) {
		return http.ErrNotSupported
	}
	f.commit(http.StatusOK)
	switch f.mode {
	case kept:
		f.judge.Flush()
		return nil
	case discarded, over:
		return nil
	case bodiless:
		f.mode = over
	}
	return http.NewResponseController(f.w).Flush()
}

// Hijack is http.Hijacker's. A response that is kept can no longer be hijacked.
func (f *Fill) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if f.mode == kept || f.mode == discarded || f.mode == cut || f.mode == over {
		return nil, nil, http.ErrHijacked
	}
	conn, rw, err := http.NewResponseController(f.w).Hijack()
	if err == nil {
		f.mode = hijacked
	}
	return conn, rw, err
}

// CloseNotify is http.CloseNotifier's. The channel tells when no client wants the response any
// more, like the context of the handler's request. One client that has left is no reason to break
// off a response that others read along, or that is being stored.
func (f *Fill) CloseNotify() <-chan bool {
	return closeNotify(f.judge.Context())
}

// Push is http.Pusher's.
func (f *Fill) Push(target string, opts *http.PushOptions) error {
	if p, ok := f.w.(http.Pusher); ok {
		return p.Push(target, opts)
	}
	return http.ErrNotSupported
}

// Unwrap gives http.ResponseController the client's writer, for deadlines and full duplex.
func (f *Fill) Unwrap() http.ResponseWriter { return f.w }

// pushOut flushes what was written to the client, if the handler has set Incremental: ?1 (RFC
// 10036, 3).
func (f *Fill) pushOut() {
	switch {
	case !f.eager:
	case f.mode == kept:
		f.judge.Flush()
	case f.mode == direct:
		_ = http.NewResponseController(f.w).Flush() // the next write reports the error
	}
}

// glance shows the client's writer a body that its client does not want.
func (f *Fill) glance(p []byte) (int, error) {
	if f.length.written+int64(len(p)) <= heldBack {
		n, err := f.w.Write(p)
		f.length.written += int64(n)
		return n, err
	}
	if f.length.written == 0 {
		_, _ = f.w.Write(p[:min(len(p), sniffed)])
	}
	// Flushed, the writer does not take what it has seen for the whole body.
	_ = http.NewResponseController(f.w).Flush()
	f.mode = over
	return 0, http.ErrBodyNotAllowed
}

// refuse is a write of bytes that are not wanted.
func (f *Fill) refuse(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if f.part == nil {
		return 0, http.ErrBodyNotAllowed // of a HEAD
	}
	return 0, ErrEnough
}

// admit refuses what net/http refuses.
func (f *Fill) admit(n int) error {
	switch {
	case n == 0:
		return nil
	case f.status < 200 || f.status == http.StatusNoContent || f.status == http.StatusNotModified:
		return http.ErrBodyNotAllowed
	case f.length.declared >= 0 && f.length.written+int64(n) > f.length.declared:
		f.length.excess = true
		return http.ErrContentLength
	}
	return nil
}
