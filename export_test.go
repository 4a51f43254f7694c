package edgecache

import (
	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/engine"
)

// Looked is how many entries of memory purges have looked at.
func (e *Edge) Looked() uint64 { return e.engine.MemoryStats().Looked }

// TagCount is how many tags have not been collected yet.
func (e *Edge) TagCount() int { return e.Mutants().TagCount() }

// Mutants are broken forms of purging.
func (e *Edge) Mutants() cache.Mutants { return e.engine.Mutants() }

// ResetInvalidated sets Stats.Invalidated to 0.
func (e *Edge) ResetInvalidated() { e.engine.ResetInvalidated() }

// Encoder makes an encoding.
type Encoder = engine.Encoder

// WrapEncoder changes how responses are encoded.
func (e *Edge) WrapEncoder(wrap func(Encoder) Encoder) { e.engine.WrapEncoder(wrap) }

// StatusName is how the cache calls itself in Cache-Status.
func (e *Edge) StatusName() string { return e.engine.StatusName() }

// MaxInvalid is how many URLs of one path stay as invalid.
const MaxInvalid = cache.MaxInvalid

// Limits of Config.Compress.
const (
	MaxEncoders  = engine.MaxEncoders
	MaxEncodings = engine.MaxEncodings
)
