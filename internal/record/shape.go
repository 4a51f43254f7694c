package record

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// Core is what every writer of ours can do; Shape narrows it to what the
// writer behind it can.
//
// FlushError and Hijack reach as far as http.ResponseController does, that is
// through Unwrap, and return an error that matches http.ErrNotSupported where
// nothing behind them can flush or hijack. ReadFrom and WriteString do with any
// writer what io.Copy and io.WriteString do.
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

// closeNotifier is http.CloseNotifier, which is deprecated and in use: gin's
// Context.Stream asserts it without asking.
type closeNotifier interface{ CloseNotify() <-chan bool }

// Shape returns core with exactly those of http.Flusher, http.Hijacker,
// http.Pusher and http.CloseNotifier that like itself has: handlers ask for them
// by type assertion, and a Flush that does nothing is worse than none. FlushError
// comes with Flush. io.ReaderFrom and io.StringWriter are always there, and so is
// Unwrap, so that http.ResponseController reaches deadlines and full duplex.
//
// What like cannot do itself but something that it wraps can, a
// ResponseController finds through Unwrap; there too it meets core's FlushError
// and Hijack, never those of the wrapped writer behind core's back.
//
// C is a type parameter so that a core that is a pointer needs no allocation.
func Shape[C Core](core C, like http.ResponseWriter) http.ResponseWriter {
	const (
		flusher = 1 << iota
		hijacker
		pusher
		notifier
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
	if _, ok := like.(closeNotifier); ok {
		has |= notifier
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
	case notifier:
		return asC[C]{p}
	case flusher | notifier:
		return asFC[C]{asF[C]{p}}
	case hijacker | notifier:
		return asHC[C]{asH[C]{p}}
	case flusher | hijacker | notifier:
		return asFHC[C]{asFH[C]{asF[C]{p}}}
	case pusher | notifier:
		return asPC[C]{asP[C]{p}}
	case flusher | pusher | notifier:
		return asFPC[C]{asFP[C]{asF[C]{p}}}
	case hijacker | pusher | notifier:
		return asHPC[C]{asHP[C]{asH[C]{p}}}
	case flusher | hijacker | pusher | notifier:
		return asFHPC[C]{asFHP[C]{asFH[C]{asF[C]{p}}}}
	default:
		return p
	}
}

// plain is the shape that every other one is built on.
type plain[C Core] struct{ c C }

func (s plain[C]) Header() http.Header         { return s.c.Header() }
func (s plain[C]) WriteHeader(status int)      { s.c.WriteHeader(status) }
func (s plain[C]) Write(b []byte) (int, error) { return s.c.Write(b) }

func (s plain[C]) WriteString(b string) (int, error)     { return s.c.WriteString(b) }
func (s plain[C]) ReadFrom(src io.Reader) (int64, error) { return s.c.ReadFrom(src) }

// Unwrap returns what core wraps, behind a gate where a ResponseController
// would otherwise flush or hijack it without core's knowledge.
func (s plain[C]) Unwrap() http.ResponseWriter {
	inner := s.c.Unwrap()
	if _, flushes := inner.(http.Flusher); flushes {
		if _, hijacks := inner.(http.Hijacker); hijacks {
			return inner // and so does s: the walk ended before it came here
		}
	}
	switch inner.(type) {
	case interface{ Unwrap() http.ResponseWriter }, interface{ FlushError() error }:
	default:
		return inner // nothing behind it, nothing but what s has
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

// The shapes, one per set of interfaces: F http.Flusher, H http.Hijacker,
// P http.Pusher, C http.CloseNotifier. Each embeds the one without its last
// letter and adds that letter's method; embedding interfaces side by side would
// be shorter, but no longer one pointer.
type (
	asF[C Core]    struct{ plain[C] }
	asH[C Core]    struct{ plain[C] }
	asFH[C Core]   struct{ asF[C] }
	asP[C Core]    struct{ plain[C] }
	asFP[C Core]   struct{ asF[C] }
	asHP[C Core]   struct{ asH[C] }
	asFHP[C Core]  struct{ asFH[C] }
	asC[C Core]    struct{ plain[C] }
	asFC[C Core]   struct{ asF[C] }
	asHC[C Core]   struct{ asH[C] }
	asFHC[C Core]  struct{ asFH[C] }
	asPC[C Core]   struct{ asP[C] }
	asFPC[C Core]  struct{ asFP[C] }
	asHPC[C Core]  struct{ asHP[C] }
	asFHPC[C Core] struct{ asFHP[C] }
)

func (s asF[C]) Flush()            { _ = s.c.FlushError() }
func (s asF[C]) FlushError() error { return s.c.FlushError() }

func (s asH[C]) Hijack() (net.Conn, *bufio.ReadWriter, error)  { return s.c.Hijack() }
func (s asFH[C]) Hijack() (net.Conn, *bufio.ReadWriter, error) { return s.c.Hijack() }

func (s asP[C]) Push(u string, o *http.PushOptions) error   { return s.c.Push(u, o) }
func (s asFP[C]) Push(u string, o *http.PushOptions) error  { return s.c.Push(u, o) }
func (s asHP[C]) Push(u string, o *http.PushOptions) error  { return s.c.Push(u, o) }
func (s asFHP[C]) Push(u string, o *http.PushOptions) error { return s.c.Push(u, o) }

func (s asC[C]) CloseNotify() <-chan bool    { return s.c.CloseNotify() }
func (s asFC[C]) CloseNotify() <-chan bool   { return s.c.CloseNotify() }
func (s asHC[C]) CloseNotify() <-chan bool   { return s.c.CloseNotify() }
func (s asFHC[C]) CloseNotify() <-chan bool  { return s.c.CloseNotify() }
func (s asPC[C]) CloseNotify() <-chan bool   { return s.c.CloseNotify() }
func (s asFPC[C]) CloseNotify() <-chan bool  { return s.c.CloseNotify() }
func (s asHPC[C]) CloseNotify() <-chan bool  { return s.c.CloseNotify() }
func (s asFHPC[C]) CloseNotify() <-chan bool { return s.c.CloseNotify() }
