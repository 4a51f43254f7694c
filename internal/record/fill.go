package record

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
)

// Judge decides about a response while it is being made.
type Judge interface {
	// Commit is called once, when the handler has said its final status and header, before any byte of the body. It must call Direct, Keep or Discard on the Fill.
	Commit(status int)
	// Grow is called before each piece of n bytes that a kept response grows by.
	Grow(n int)
	// Flush is called when the handler flushes a kept response.
	Flush()
	// Context returns that of the handler's request.
	Context() context.Context
}

// Sink takes the body of a kept response.
type Sink interface {
	io.Writer
	io.StringWriter
}

type mode uint8

const (
	undecided mode = iota
	direct         // everything goes to the client's writer at once
	kept           // the body goes to the sink
	discarded      // the handler's answer is not what the client gets
	cut            // like direct, but the client wants a part only: see Cut
	bodiless       // like direct, but the client wants the header only: see Bodiless
	over           // nothing more is wanted of the handler
	hijacked
)

// What of a body goes to a client that wants the header only, in bytes: as much as net/http looks at to tell the type, or holds back to tell the length.
const (
	sniffed  = 512
	heldBack = 2048
)

// Fill is the writer that a handler sees while its answer may be stored. Until the answer is final nothing reaches the client's writer; then the Judge decides where it goes.
// The handler has a header map of its own, so that fields it sets after WriteHeader reach neither the client nor the store, and so that somebody else may write the client's header at the same time.
// A Fill belongs to the goroutine of the handler.
type Fill struct {
	w         http.ResponseWriter // the client's
	judge     Judge
	outer     http.Header  // w's, untouched until the Judge writes it
	vary      []string     // the lines of Vary in outer
	given     Given        // what the handler's header began as
	header    http.Header  // the handler's
	said      []saidField  // what header was when the handler had said its status, if the body is kept
	values    [8]string    // room for those of Own, which is called once as a rule
	array     [8]saidField // for said, as a rule
	handed    [6]handed    // room for given
	sink      Sink
	first     []byte // see First
	firstText string // the same
	part      *part  // if mode is cut
	status    int
	late      int   // an error status that came after status
	declared  int64 // Content-Length; -1 when there is none that is valid
	written   int64 // to the sink, or thrown away
	excess    bool  // the handler tried to write more than it declared
	yielded   bool  // header is outer
	eager     bool  // each write is flushed, see Incremental
	under     int   // header and writes under way; after a panic of the client's writer it never gets back to 0
	mode      mode
}

// saidField is a field as the handler left it when it had said its status.
type saidField struct {
	name   string
	values []string
}

// Init prepares f for a handler whose client listens at w and returns the writer to call the handler with. The handler's header starts as a copy of w's.
func (f *Fill) Init(w http.ResponseWriter, judge Judge) http.ResponseWriter {
	outer := w.Header()
	*f = Fill{w: w, judge: judge, outer: outer, vary: outer["Vary"], declared: -1}
	f.header = f.given.hand(outer, f.handed[:0])
	return Shape(f, w)
}

// Direct lets the rest of the response through to the client as if nothing stood between: header, body, flushes and trailers. It returns the client's header, to which fields may be added before Send.
func (f *Fill) Direct() http.Header {
	f.mode = direct
	h := f.w.Header()
	f.ReplaceHeader(h)
	return h
}

// Send sends the header of a direct response.
func (f *Fill) Send() { f.w.WriteHeader(f.status) }

// Keep sends the body to sink; the header and what the client gets of it all is up to the Judge.
func (f *Fill) Keep(sink Sink) {
	f.mode, f.sink = kept, sink
	f.said = f.array[:0] // its client gets it later, when the handler may have changed its header
	for name, values := range f.header {
		f.said = append(f.said, saidField{name, values})
	}
}

// Discard throws the body away.
func (f *Fill) Discard() { f.mode = discarded }

// Bodiless says of a direct response, before Send, that its client wants the header only. Of a body that is short the client's writer gets to
// see all, so that it can tell type and length; as soon as it is longer, or flushed, the handler's writes fail.
func (f *Fill) Bodiless() { f.mode = bodiless }

// Stop makes the handler's writes fail from now on: nobody wants the body.
func (f *Fill) Stop() { f.mode = over }

// Stopped reports whether they do.
func (f *Fill) Stopped() bool { return f.mode == over }

// Yield gives the header over to the client's writer, for a handler that has returned without a
// word. Header is that of the client's writer from now on, and a status that still comes is decided
// about as ever.
func (f *Fill) Yield() {
	f.ReplaceHeader(f.outer)
	f.header, f.yielded = f.outer, true
}

// ReplaceHeader makes dst equal to the handler's header: to what it was at the moment of the status, if the body is kept, else to what it is now.
// What middleware outside has put into Vary stays, whatever the handler did to it: the response depends on it all the same.
func (f *Fill) ReplaceHeader(dst http.Header) {
	if f.yielded {
		return // it is the same map
	}
	clear(dst)
	if f.said == nil {
		maps.Copy(dst, f.header)
	}
	for i := range f.said {
		dst[f.said[i].name] = f.said[i].values
	}
	f.UniteVary(dst)
}

// UniteVary adds to h what middleware outside has put into Vary, if it is not there.
func (f *Fill) UniteVary(h http.Header) {
	if len(f.vary) > 0 {
		h["Vary"] = field.UniteVary(f.vary, h["Vary"])
	}
}

// OuterVary is what middleware outside has put into Vary.
func (f *Fill) OuterVary() []string { return f.vary }

// Own returns the fields that the handler itself has set, and what it did to those of middleware outside, see [Given.Own].
func (f *Fill) Own() (http.Header, field.Edits) { return f.given.own(f.header, f.values[:]) }

// Committed reports whether the handler has said its status, or has taken the connection.
func (f *Fill) Committed() bool { return f.mode != undecided }

// Hijacked reports whether the handler has taken the connection.
func (f *Fill) Hijacked() bool { return f.mode == hijacked }

// Finish ends a response whose handler returned normally: one that wrote nothing is a 200, and the trailers of one that went through are added.
func (f *Fill) Finish() {
	f.commit(http.StatusOK)
	if f.mode == direct || f.mode == bodiless {
		f.Trailers()
	}
}

// Trailers adds the handler's trailers to the client's header, in which net/http looks for them after the body.
func (f *Fill) Trailers() {
	dst := f.w.Header()
	for name := range field.Members(f.header["Trailer"]) {
		name = http.CanonicalHeaderKey(name)
		if values, ok := f.header[name]; ok {
			dst[name] = values
		}
	}
	for name, values := range f.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			dst[name] = values
		}
	}
}

// Complete reports whether a kept body is all that the handler wrote, and has the length that was declared. A handler that recovered from a panic of the client's writer has lost a piece of it.
func (f *Fill) Complete() bool {
	return f.under == 0 && (f.declared < 0 || f.declared == f.written && !f.excess)
}

// Late is the error status that the handler has said after its final one; 0 if there was none. What it has written by then is likely half a page: a template
// that failed, a late http.Error, middleware that recovered from a panic.
func (f *Fill) Late() int { return f.late }

// Declared is the length that the handler declared, or -1.
func (f *Fill) Declared() int64 { return f.declared }

// Header is the handler's map.
func (f *Fill) Header() http.Header { return f.header }

// Said is what Header had under that name when the handler had said its status; of a kept response only.
func (f *Fill) Said(name string) []string {
	for i := range f.said {
		if f.said[i].name == name {
			return f.said[i].values
		}
	}
	return nil
}

// WriteHeader is http.ResponseWriter's.
func (f *Fill) WriteHeader(status int) {
	switch {
	case f.mode == direct || f.mode == bodiless || f.mode == hijacked || status < 100 || status > 999:
		f.w.WriteHeader(status) // to complain or panic as it does without us
	case f.mode != undecided:
		// A second status is ignored, as net/http does; but who says an error is not done with the page.
		if status >= 400 && status != f.status {
			f.late = status
		}
	case status < 200 && status != http.StatusSwitchingProtocols:
		// RFC 9110, 15.2: an interim answer is nobody's final one. It goes to the one client that waits for this handler.
		outer := f.outer.Clone()
		f.ReplaceHeader(f.outer)
		f.w.WriteHeader(status)
		clear(f.outer)
		maps.Copy(f.outer, outer)
	default:
		f.commit(status)
		if _, typed := f.header["Content-Type"]; typed { // else net/http looks for the type in the first bytes
			f.pushOut()
		}
	}
}

func (f *Fill) commit(status int) {
	if f.mode != undecided {
		return
	}
	f.status = status
	if values := f.header["Content-Length"]; len(values) == 1 {
		if n, err := strconv.ParseInt(values[0], 10, 64); err == nil && n >= 0 {
			f.declared = n
		}
	}
	f.under++
	f.judge.Commit(status)
	f.under--
	if f.mode == undecided {
		panic("edgecache: the judge of a fill did not decide") // a bug in this module, not in the handler
	}
	f.eager = field.IsIncremental(f.header["Incremental"])
}

// First is how the body begins, as far as it is known when the Judge commits: what the type is told from. It is not to be kept.
func (f *Fill) First() []byte {
	if f.firstText != "" {
		return []byte(f.firstText[:min(len(f.firstText), sniffed)])
	}
	return f.first[:min(len(f.first), sniffed)]
}

// pushOut sends what was written on to the client, if the handler has said Incremental: ?1 (RFC 10036, 3).
func (f *Fill) pushOut() {
	switch {
	case !f.eager:
	case f.mode == kept:
		f.judge.Flush()
	case f.mode == direct:
		_ = http.NewResponseController(f.w).Flush() // the next write tells what is wrong
	}
}

// Write is http.ResponseWriter's.
func (f *Fill) Write(p []byte) (int, error) {
	if f.mode == undecided {
		f.first = p
		f.commit(http.StatusOK)
		f.first = nil
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
		f.written += int64(n)
		f.pushOut()
		return n, err
	}
	if err := f.admit(len(p)); err != nil {
		return 0, err
	}
	f.written += int64(len(p))
	return len(p), nil
}

// WriteString is io.StringWriter's.
func (f *Fill) WriteString(s string) (int, error) {
	if f.mode == undecided {
		f.firstText = s
		f.commit(http.StatusOK)
		f.firstText = ""
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
		f.written += int64(n)
		f.pushOut()
		return n, err
	}
	if err := f.admit(len(s)); err != nil {
		return 0, err
	}
	f.written += int64(len(s))
	return len(s), nil
}

// glance lets the client's writer see a body whose client does not want it.
func (f *Fill) glance(p []byte) (int, error) {
	if f.written+int64(len(p)) <= heldBack {
		n, err := f.w.Write(p)
		f.written += int64(n)
		return n, err
	}
	if f.written == 0 {
		_, _ = f.w.Write(p[:min(len(p), sniffed)])
	}
	_ = http.NewResponseController(f.w).Flush() // before what it has seen is taken for all
	f.mode = over
	return 0, http.ErrBodyNotAllowed
}

// refuse is a write of what nobody wants.
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
	case f.declared >= 0 && f.written+int64(n) > f.declared:
		f.excess = true
		return http.ErrContentLength
	}
	return nil
}

// ReadFrom is io.ReaderFrom's: a response that goes straight through keeps the client's own ReadFrom, and with it sendfile.
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

// Hijack is http.Hijacker's. A response that is being kept cannot be hijacked any more.
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

// CloseNotify is http.CloseNotifier's. The channel tells when nobody wants the response any more, like the context of the handler's request: that one client has left
// is no reason to break off a response which others read along, or which is being stored.
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

// Status is the final status, once the handler has said it.
func (f *Fill) Status() int { return f.status }
