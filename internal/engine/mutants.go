package engine

import (
	"io"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/coding"
)

// The methods of this file are only for tests, of this package and of the root package: they show
// that a test can fail, or look at what no caller sees.

// Mutants returns broken forms of purging.
func (e *Engine) Mutants() cache.Mutants { return e.cache.Mutants() }

// MemoryStats returns the counts of memory.
func (e *Engine) MemoryStats() cache.Stats { return e.cache.Stats() }

// ResetInvalidated sets Stats.Invalidated to 0.
func (e *Engine) ResetInvalidated() { e.counters.invalidated.Store(0) }

// Encoder makes an encoding, as [coding.Encode] does.
type Encoder = func(c coding.Coding, from io.WriterTo, best bool) ([]byte, error)

// WrapEncoder changes how responses are encoded. It is called before the first request.
func (e *Engine) WrapEncoder(wrap func(Encoder) Encoder) { e.encoders.encode = wrap(e.encoders.encode) }

// StatusName returns the name of the cache in Cache-Status.
func (e *Engine) StatusName() string { return e.status.name }
