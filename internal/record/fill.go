package record

import (
	"context"
	"io"
	"net/http"
	"strconv"

	"github.com/edgecache-go/edgecache/internal/field"
)

// Judge decides about a response while it is being made.
type Judge interface {
	// Commit is called once, when the handler has set its final status and header, before any byte
	// of the body. It must call Direct, Keep or Discard on the Fill.
	Commit(status int)
	// Grow is called before each piece of n bytes that a kept response grows by.
	Grow(n int)
	// Flush is called when the handler flushes a kept response.
	Flush()
	// Context returns the context of the handler's request.
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
	discarded      // the client gets something else than the handler's response
	cut            // like direct, but the client wants only a part: see Cut
	bodiless       // like direct, but the client wants only the header: see Bodiless
	over           // nothing more of the handler is wanted
	hijacked
)

// How much of a body goes to a client that wants only the header, in bytes: net/http looks at the
// first sniffed bytes to detect the type, and holds heldBack bytes back to tell the length.
const (
	sniffed  = 512
	heldBack = 2048
)

// Fill is the writer that a handler gets while its response may be stored. Nothing reaches the
// client's writer until the status is final. Then the Judge decides where the response goes.
//
// The handler has a header map of its own. So fields that it sets after WriteHeader reach neither
// the client nor the store, and another goroutine may write the client's header at the same time.
//
// A Fill belongs to the goroutine of the handler.
type Fill struct {
	w      http.ResponseWriter // the client's
	judge  Judge
	outer  http.Header // w's, untouched until the Judge writes it
	vary   []string    // the lines of Vary in outer
	given  Given       // what the handler's header began as
	header http.Header // the handler's
	said   []saidField // header when the status was set, if the body is kept
	sink   Sink
	first  first // see First
	part   *part // if mode is cut
	status int
	late   int // an error status that came after status
	length length
	// under counts the header and writes in progress. After a panic of the client's writer it never
	// gets back to 0.
	under   int
	yielded bool // header is outer
	eager   bool // each write is flushed, see Incremental
	mode    mode
	room    room
}

// first is the beginning of the body: as bytes, or as a string.
type first struct {
	bytes []byte
	text  string
}

// length is how long the body will be, and how long it is now.
type length struct {
	declared int64 // Content-Length; -1 when there is none that is valid
	written  int64 // to the sink, or thrown away
	excess   bool  // the handler tried to write more than it declared
}

// room is memory for what is usually small, so that a Fill is one allocation.
type room struct {
	values [8]string    // for those of Own, which is usually called once
	said   [8]saidField // for Fill.said
	handed [6]handed    // for Fill.given
}

// Init prepares f for a handler whose client listens at w, and returns the writer to call the
// handler with. The handler's header starts as a copy of w's.
func (f *Fill) Init(w http.ResponseWriter, judge Judge) http.ResponseWriter {
	outer := w.Header()
	*f = Fill{w: w, judge: judge, outer: outer, vary: outer["Vary"], length: length{declared: -1}}
	f.header = f.given.hand(outer, f.room.handed[:0])
	return Shape(f, w)
}

// Direct passes the rest of the response through to the client as if there were no Fill: header,
// body, flushes and trailers. It returns the client's header, to which fields may be added before
// Send.
func (f *Fill) Direct() http.Header {
	f.mode = direct
	h := f.w.Header()
	f.ReplaceHeader(h)
	return h
}

// Send sends the header of a direct response.
func (f *Fill) Send() { f.w.WriteHeader(f.status) }

// Keep sends the body to sink. The Judge says what the client gets of header and body.
func (f *Fill) Keep(sink Sink) {
	f.mode, f.sink = kept, sink
	// The client gets the header later, when the handler may have changed its own.
	f.said = f.room.said[:0]
	for name, values := range f.header {
		f.said = append(f.said, saidField{name, values})
	}
}

// Discard throws the body away.
func (f *Fill) Discard() { f.mode = discarded }

// Bodiless says of a direct response, before Send, that its client wants only the header. The
// client's writer sees all of a short body, so that it can tell type and length. As soon as the
// body is longer, or flushed, the handler's writes fail.
func (f *Fill) Bodiless() { f.mode = bodiless }

// Stop makes the handler's writes fail from now on: the body is not wanted.
func (f *Fill) Stop() { f.mode = over }

// Stopped reports whether the handler's writes fail.
func (f *Fill) Stopped() bool { return f.mode == over }

// Committed reports whether the handler has set its status, or has taken the connection.
func (f *Fill) Committed() bool { return f.mode != undecided }

// Hijacked reports whether the handler has taken the connection.
func (f *Fill) Hijacked() bool { return f.mode == hijacked }

// Finish ends a response whose handler returned normally. If the handler wrote nothing, that is a
// 200. If the response went through, its trailers are added.
func (f *Fill) Finish() {
	f.commit(http.StatusOK)
	if f.mode == direct || f.mode == bodiless {
		f.Trailers()
	}
}

// Complete reports whether a kept body is all that the handler wrote, and has the declared length.
// A handler that recovered from a panic of the client's writer has lost a piece of it.
func (f *Fill) Complete() bool {
	return f.under == 0 && (f.length.declared < 0 || f.length.declared == f.length.written && !f.length.excess)
}

// Late is the error status that the handler set after its final one; 0 if there was none. What it
// had written by then is probably truncated: a template that failed, a late http.Error, middleware
// that recovered from a panic.
func (f *Fill) Late() int { return f.late }

// Declared is the length that the handler declared, or -1.
func (f *Fill) Declared() int64 { return f.length.declared }

// Header is the handler's map.
func (f *Fill) Header() http.Header { return f.header }

func (f *Fill) commit(status int) {
	if f.mode != undecided {
		return
	}
	f.status = status
	if values := f.header["Content-Length"]; len(values) == 1 {
		if n, err := strconv.ParseInt(values[0], 10, 64); err == nil && n >= 0 {
			f.length.declared = n
		}
	}
	f.under++
	f.judge.Commit(status)
	f.under--
	if f.mode == undecided {
		// This is a bug in this module, not in the handler.
		panic("edgecache: the Judge did not call Direct, Keep or Discard")
	}
	f.eager = field.IsIncremental(f.header["Incremental"])
}

// First is the beginning of the body, as far as it is known when the Judge commits. The type is
// detected from it. The caller must not keep it.
func (f *Fill) First() []byte {
	if f.first.text != "" {
		return []byte(f.first.text[:min(len(f.first.text), sniffed)])
	}
	return f.first.bytes[:min(len(f.first.bytes), sniffed)]
}

// Status is the final status, once the handler has set it.
func (f *Fill) Status() int { return f.status }
