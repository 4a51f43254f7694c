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
// nothing behind them can flush or hijack.
type Core interface {
	http.ResponseWriter
	io.StringWriter
	io.ReaderFrom
	FlushError() error
	Hijack() (net.Conn, *bufio.ReadWriter, error)
	Push(target string, opts *http.PushOptions) error
	Unwrap() http.ResponseWriter
}

// Shape returns core with exactly those of http.Flusher, http.Hijacker,
// http.Pusher, io.ReaderFrom and io.StringWriter that like itself has: handlers
// ask for them by type assertion, and a Flush that does nothing is worse than
// none. FlushError comes with Flush. Unwrap is always there, so that
// http.ResponseController reaches deadlines and full duplex.
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
		readerFrom
		stringWriter
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
	if _, ok := like.(io.ReaderFrom); ok {
		has |= readerFrom
	}
	if _, ok := like.(io.StringWriter); ok {
		has |= stringWriter
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
	case readerFrom:
		return asR[C]{p}
	case flusher | readerFrom:
		return asFR[C]{asF[C]{p}}
	case hijacker | readerFrom:
		return asHR[C]{asH[C]{p}}
	case flusher | hijacker | readerFrom:
		return asFHR[C]{asFH[C]{asF[C]{p}}}
	case pusher | readerFrom:
		return asPR[C]{asP[C]{p}}
	case flusher | pusher | readerFrom:
		return asFPR[C]{asFP[C]{asF[C]{p}}}
	case hijacker | pusher | readerFrom:
		return asHPR[C]{asHP[C]{asH[C]{p}}}
	case flusher | hijacker | pusher | readerFrom:
		return asFHPR[C]{asFHP[C]{asFH[C]{asF[C]{p}}}}
	case stringWriter:
		return asS[C]{p}
	case flusher | stringWriter:
		return asFS[C]{asF[C]{p}}
	case hijacker | stringWriter:
		return asHS[C]{asH[C]{p}}
	case flusher | hijacker | stringWriter:
		return asFHS[C]{asFH[C]{asF[C]{p}}}
	case pusher | stringWriter:
		return asPS[C]{asP[C]{p}}
	case flusher | pusher | stringWriter:
		return asFPS[C]{asFP[C]{asF[C]{p}}}
	case hijacker | pusher | stringWriter:
		return asHPS[C]{asHP[C]{asH[C]{p}}}
	case flusher | hijacker | pusher | stringWriter:
		return asFHPS[C]{asFHP[C]{asFH[C]{asF[C]{p}}}}
	case readerFrom | stringWriter:
		return asRS[C]{asR[C]{p}}
	case flusher | readerFrom | stringWriter:
		return asFRS[C]{asFR[C]{asF[C]{p}}}
	case hijacker | readerFrom | stringWriter:
		return asHRS[C]{asHR[C]{asH[C]{p}}}
	case flusher | hijacker | readerFrom | stringWriter:
		return asFHRS[C]{asFHR[C]{asFH[C]{asF[C]{p}}}}
	case pusher | readerFrom | stringWriter:
		return asPRS[C]{asPR[C]{asP[C]{p}}}
	case flusher | pusher | readerFrom | stringWriter:
		return asFPRS[C]{asFPR[C]{asFP[C]{asF[C]{p}}}}
	case hijacker | pusher | readerFrom | stringWriter:
		return asHPRS[C]{asHPR[C]{asHP[C]{asH[C]{p}}}}
	case flusher | hijacker | pusher | readerFrom | stringWriter:
		return asFHPRS[C]{asFHPR[C]{asFHP[C]{asFH[C]{asF[C]{p}}}}}
	default:
		return p
	}
}

// plain is the shape that every other one is built on.
type plain[C Core] struct{ c C }

func (s plain[C]) Header() http.Header         { return s.c.Header() }
func (s plain[C]) WriteHeader(status int)      { s.c.WriteHeader(status) }
func (s plain[C]) Write(b []byte) (int, error) { return s.c.Write(b) }

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
// P http.Pusher, R io.ReaderFrom, S io.StringWriter. Each embeds the one without
// its last letter and adds that letter's method; embedding interfaces side by
// side would be shorter, but no longer one pointer.
type (
	asF[C Core]     struct{ plain[C] }
	asH[C Core]     struct{ plain[C] }
	asFH[C Core]    struct{ asF[C] }
	asP[C Core]     struct{ plain[C] }
	asFP[C Core]    struct{ asF[C] }
	asHP[C Core]    struct{ asH[C] }
	asFHP[C Core]   struct{ asFH[C] }
	asR[C Core]     struct{ plain[C] }
	asFR[C Core]    struct{ asF[C] }
	asHR[C Core]    struct{ asH[C] }
	asFHR[C Core]   struct{ asFH[C] }
	asPR[C Core]    struct{ asP[C] }
	asFPR[C Core]   struct{ asFP[C] }
	asHPR[C Core]   struct{ asHP[C] }
	asFHPR[C Core]  struct{ asFHP[C] }
	asS[C Core]     struct{ plain[C] }
	asFS[C Core]    struct{ asF[C] }
	asHS[C Core]    struct{ asH[C] }
	asFHS[C Core]   struct{ asFH[C] }
	asPS[C Core]    struct{ asP[C] }
	asFPS[C Core]   struct{ asFP[C] }
	asHPS[C Core]   struct{ asHP[C] }
	asFHPS[C Core]  struct{ asFHP[C] }
	asRS[C Core]    struct{ asR[C] }
	asFRS[C Core]   struct{ asFR[C] }
	asHRS[C Core]   struct{ asHR[C] }
	asFHRS[C Core]  struct{ asFHR[C] }
	asPRS[C Core]   struct{ asPR[C] }
	asFPRS[C Core]  struct{ asFPR[C] }
	asHPRS[C Core]  struct{ asHPR[C] }
	asFHPRS[C Core] struct{ asFHPR[C] }
)

func (s asF[C]) Flush()            { _ = s.c.FlushError() }
func (s asF[C]) FlushError() error { return s.c.FlushError() }

func (s asH[C]) Hijack() (net.Conn, *bufio.ReadWriter, error)  { return s.c.Hijack() }
func (s asFH[C]) Hijack() (net.Conn, *bufio.ReadWriter, error) { return s.c.Hijack() }

func (s asP[C]) Push(u string, o *http.PushOptions) error   { return s.c.Push(u, o) }
func (s asFP[C]) Push(u string, o *http.PushOptions) error  { return s.c.Push(u, o) }
func (s asHP[C]) Push(u string, o *http.PushOptions) error  { return s.c.Push(u, o) }
func (s asFHP[C]) Push(u string, o *http.PushOptions) error { return s.c.Push(u, o) }

func (s asR[C]) ReadFrom(src io.Reader) (int64, error)    { return s.c.ReadFrom(src) }
func (s asFR[C]) ReadFrom(src io.Reader) (int64, error)   { return s.c.ReadFrom(src) }
func (s asHR[C]) ReadFrom(src io.Reader) (int64, error)   { return s.c.ReadFrom(src) }
func (s asFHR[C]) ReadFrom(src io.Reader) (int64, error)  { return s.c.ReadFrom(src) }
func (s asPR[C]) ReadFrom(src io.Reader) (int64, error)   { return s.c.ReadFrom(src) }
func (s asFPR[C]) ReadFrom(src io.Reader) (int64, error)  { return s.c.ReadFrom(src) }
func (s asHPR[C]) ReadFrom(src io.Reader) (int64, error)  { return s.c.ReadFrom(src) }
func (s asFHPR[C]) ReadFrom(src io.Reader) (int64, error) { return s.c.ReadFrom(src) }

func (s asS[C]) WriteString(b string) (int, error)     { return s.c.WriteString(b) }
func (s asFS[C]) WriteString(b string) (int, error)    { return s.c.WriteString(b) }
func (s asHS[C]) WriteString(b string) (int, error)    { return s.c.WriteString(b) }
func (s asFHS[C]) WriteString(b string) (int, error)   { return s.c.WriteString(b) }
func (s asPS[C]) WriteString(b string) (int, error)    { return s.c.WriteString(b) }
func (s asFPS[C]) WriteString(b string) (int, error)   { return s.c.WriteString(b) }
func (s asHPS[C]) WriteString(b string) (int, error)   { return s.c.WriteString(b) }
func (s asFHPS[C]) WriteString(b string) (int, error)  { return s.c.WriteString(b) }
func (s asRS[C]) WriteString(b string) (int, error)    { return s.c.WriteString(b) }
func (s asFRS[C]) WriteString(b string) (int, error)   { return s.c.WriteString(b) }
func (s asHRS[C]) WriteString(b string) (int, error)   { return s.c.WriteString(b) }
func (s asFHRS[C]) WriteString(b string) (int, error)  { return s.c.WriteString(b) }
func (s asPRS[C]) WriteString(b string) (int, error)   { return s.c.WriteString(b) }
func (s asFPRS[C]) WriteString(b string) (int, error)  { return s.c.WriteString(b) }
func (s asHPRS[C]) WriteString(b string) (int, error)  { return s.c.WriteString(b) }
func (s asFHPRS[C]) WriteString(b string) (int, error) { return s.c.WriteString(b) }
