package record

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
)

// Core is what every writer of this package can do. Shape narrows it to what the writer behind it
// can.
//
// FlushError and Hijack reach as far as http.ResponseController does, through Unwrap. They return
// an error that matches http.ErrNotSupported where nothing behind them can flush or hijack.
// ReadFrom and WriteString do with any writer what io.Copy and io.WriteString do. CloseNotify works
// with any writer, too: see closeNotify.
type Core interface {
	http.ResponseWriter
	io.StringWriter
	io.ReaderFrom
	FlushError() error
	Hijack() (net.Conn, *bufio.ReadWriter, error)
	Push(target string, opts *http.PushOptions) error
	CloseNotify() <-chan bool
	Unwrap() http.ResponseWriter
}

// Shape returns core with exactly those of http.Flusher, http.Hijacker and http.Pusher that like
// itself has: handlers ask for them by type assertion, and a Flush that does nothing is worse than
// none. FlushError comes with Flush. io.ReaderFrom, io.StringWriter, http.CloseNotifier and Unwrap
// are always there. Through Unwrap, http.ResponseController reaches deadlines and full duplex.
//
// What like cannot do itself but something that it wraps can, a ResponseController finds through
// Unwrap. There, too, it meets core's FlushError and Hijack, never those of the wrapped writer.
//
// C is a type parameter so that a core that is a pointer needs no allocation.
func Shape[C Core](core C, like http.ResponseWriter) http.ResponseWriter {
	const (
		flusher = 1 << iota
		hijacker
		pusher
	)
	var has uint
	if _, ok := like.(http.Flusher); ok {
		has |= flusher
	}
	if _, ok := like.(http.Hijacker); ok {
		has |= hijacker
	}
	if _, ok := like.(http.Pusher); ok {
		has |= pusher
	}
	switch p := (plain[C]{core}); has {
	case flusher:
		return asF[C]{p}
	case hijacker:
		return asH[C]{p}
	case flusher | hijacker:
		return asFH[C]{asF[C]{p}}
	case pusher:
		return asP[C]{p}
	case flusher | pusher:
		return asFP[C]{asF[C]{p}}
	case hijacker | pusher:
		return asHP[C]{asH[C]{p}}
	case flusher | hijacker | pusher:
		return asFHP[C]{asFH[C]{asF[C]{p}}}
	default:
		return p
	}
}

// closeNotify is http.CloseNotifier's method for a request with this context. The interface is
// deprecated and in use: gin's Context.Stream asserts it without checking.
func closeNotify(ctx context.Context) <-chan bool {
	gone := make(chan bool, 1)
	context.AfterFunc(ctx, func() { gone <- true })
	return gone
}

// plain is the shape that every other one is built on.
type plain[C Core] struct{ c C }

func (s plain[C]) Header() http.Header         { return s.c.Header() }
func (s plain[C]) WriteHeader(status int)      { s.c.WriteHeader(status) }
func (s plain[C]) Write(b []byte) (int, error) { return s.c.Write(b) }

func (s plain[C]) WriteString(b string) (int, error)     { return s.c.WriteString(b) }
func (s plain[C]) ReadFrom(src io.Reader) (int64, error) { return s.c.ReadFrom(src) }
func (s plain[C]) CloseNotify() <-chan bool              { return s.c.CloseNotify() }

// Unwrap returns what core wraps. Where a ResponseController would flush or hijack that without
// core's knowledge, a gate stands before it.
func (s plain[C]) Unwrap() http.ResponseWriter {
	inner := s.c.Unwrap()
	if _, flushes := inner.(http.Flusher); flushes {
		if _, hijacks := inner.(http.Hijacker); hijacks {
			return inner // s can do both as well, so the controller does not come here for them
		}
	}
	switch inner.(type) {
	case interface{ Unwrap() http.ResponseWriter }, interface{ FlushError() error }:
	default:
		return inner // it can do nothing that s cannot
	}
	return gate[C](s)
}

// gate stands between a shape and what it wraps.
type gate[C Core] struct{ c C }

func (g gate[C]) Header() http.Header                          { return g.c.Header() }
func (g gate[C]) WriteHeader(status int)                       { g.c.WriteHeader(status) }
func (g gate[C]) Write(b []byte) (int, error)                  { return g.c.Write(b) }
func (g gate[C]) FlushError() error                            { return g.c.FlushError() }
func (g gate[C]) Hijack() (net.Conn, *bufio.ReadWriter, error) { return g.c.Hijack() }
func (g gate[C]) Unwrap() http.ResponseWriter                  { return g.c.Unwrap() }

// The shapes, one for each set of interfaces: F is http.Flusher, H http.Hijacker, P http.Pusher.
// Each embeds the one without its last letter and adds that letter's method. Embedding interfaces
// side by side would be shorter, but would no longer be one pointer.
type (
	asF[C Core]   struct{ plain[C] }
	asH[C Core]   struct{ plain[C] }
	asFH[C Core]  struct{ asF[C] }
	asP[C Core]   struct{ plain[C] }
	asFP[C Core]  struct{ asF[C] }
	asHP[C Core]  struct{ asH[C] }
	asFHP[C Core] struct{ asFH[C] }
)

func (s asF[C]) Flush()            { _ = s.c.FlushError() }
func (s asF[C]) FlushError() error { return s.c.FlushError() }

func (s asH[C]) Hijack() (net.Conn, *bufio.ReadWriter, error)  { return s.c.Hijack() }
func (s asFH[C]) Hijack() (net.Conn, *bufio.ReadWriter, error) { return s.c.Hijack() }

func (s asP[C]) Push(u string, o *http.PushOptions) error   { return s.c.Push(u, o) }
func (s asFP[C]) Push(u string, o *http.PushOptions) error  { return s.c.Push(u, o) }
func (s asHP[C]) Push(u string, o *http.PushOptions) error  { return s.c.Push(u, o) }
func (s asFHP[C]) Push(u string, o *http.PushOptions) error { return s.c.Push(u, o) }
