package engine

import (
	"io"
	"net/http"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/coding"
)

// Of returns the engine of an Edge.
func Of(edge interface {
	Handler(next http.Handler) http.Handler
}) *Engine {
	return edge.Handler(http.NotFoundHandler()).(*handler).engine
}

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
