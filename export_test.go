package edgecache

import (
	"io"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/coding"
)

// Mutants are broken forms of purging.
func (e *Edge) Mutants() cache.Mutants { return e.cache.Mutants() }

// TagCount is how many tags have not been collected yet.
func (e *Edge) TagCount() int { return e.Mutants().TagCount() }

// Looked is how many entries of memory purges have looked at.
func (e *Edge) Looked() uint64 { return e.cache.Stats().Looked }

// ResetInvalidated sets Stats.Invalidated to 0.
func (e *Edge) ResetInvalidated() { e.counters.invalidated.Store(0) }

// MaxInvalid is maxInvalid.
const MaxInvalid = cache.MaxInvalid

// Encoder makes a coding, as coding.Encode does.
type Encoder = func(c coding.Coding, from io.WriterTo, best bool) ([]byte, error)

// WrapEncoder changes how pages are coded.
func (e *Edge) WrapEncoder(wrap func(Encoder) Encoder) { e.encoders.encode = wrap(e.encoders.encode) }

// Limits of Config.Compress.
const (
	MaxEncoders  = maxEncoders
	MaxEncodings = maxEncodings
)
