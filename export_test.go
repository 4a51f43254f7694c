package edgecache

import (
	"io"
	"time"

	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/directive"
	"github.com/edgecache-go/edgecache/internal/key"
)

// TagCount is how many tags have not been collected yet.
func (e *Edge) TagCount() int {
	e.tags.mu.RLock()
	defer e.tags.mu.RUnlock()
	return len(e.tags.named)
}

// Looked is how many entries of memory purges have looked at.
func (e *Edge) Looked() uint64 { return e.memory.Stats().Looked }

// ResetInvalidated sets Stats.Invalidated to 0.
func (e *Edge) ResetInvalidated() { e.counters.invalidated.Store(0) }

// MaxInvalid is maxInvalid.
const MaxInvalid = maxInvalid

// Broken forms of purging, to show that a test of purging can fail.

// PurgeUnfenced removes the page of the path on the host, but lets fills that have begun store it again.
func (e *Edge) PurgeUnfenced(host, path string) {
	for _, scheme := range [...]string{"http", "https"} {
		e.memory.Delete(key.OfURL(nil, scheme, host, path))
	}
}

// PurgeFencedOnly keeps fills that have begun from storing, but removes nothing.
func (e *Edge) PurgeFencedOnly(host, path string) {
	e.generations.bump(e.addresses.of(key.OfURL(nil, "http", host, path)))
}

// PurgeTagUnfenced makes what carries the tag unusable, but lets fills that have begun store it, and be joined.
func (e *Edge) PurgeTagUnfenced(name string) {
	if t := e.tags.find(directive.GroupName(name)); t != nil {
		t.purge(func() uint64 { return e.generations.sequence.Add(1) })
	}
}

// PurgeAllUnfenced empties memory, but lets fills that have begun store again.
func (e *Edge) PurgeAllUnfenced() { e.memory.Clear() }

// ForgetPaths makes the fence forget what unsafe methods have raised.
func (e *Edge) ForgetPaths() {
	for i := range e.generations.paths {
		e.generations.paths[i].Store(0)
	}
}

// MakeInvalidOutdated makes what is invalid as if a soft purge had concerned it.
func (e *Edge) MakeInvalidOutdated() {
	for _, res := range e.memory.All() {
		for v := range res.variants {
			if t := v.failures.Load(); t != nil {
				t.invalid.Store(false)
			}
		}
	}
}

// SoftenUnfenced makes the page of the path on the host stale, but lets a 304 on its way make it fresh again.
func (e *Edge) SoftenUnfenced(host, path string) {
	for _, scheme := range [...]string{"http", "https"} {
		if res, ok := e.memory.Peek(key.OfURL(nil, scheme, host, path)); ok {
			res.softPurge(time.Now())
		}
	}
}

// Encoder makes a coding, as coding.Encode does.
type Encoder = func(c coding.Coding, from io.WriterTo, best bool) ([]byte, error)

// WrapEncoder changes how pages are coded.
func (e *Edge) WrapEncoder(wrap func(Encoder) Encoder) { e.encoders.encode = wrap(e.encoders.encode) }

// Limits of Config.Compress.
const (
	MaxEncoders  = maxEncoders
	MaxEncodings = maxEncodings
)
