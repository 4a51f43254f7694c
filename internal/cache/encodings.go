package cache

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/object"
)

// The states of an encoding.
const (
	untried uint32 = iota
	queued         // a hit has asked for it
	making
	settled // made, or not worth its time or its room
)

// Encodings are a stored response in content codings other than identity. Each is made when a hit
// first asks for it.
type Encodings struct {
	states [coding.Count]atomic.Uint32
	made   [coding.Count]atomic.Pointer[Encoded]
}

// Encoded is a response in one content coding. It is immutable.
type Encoded struct {
	Body   object.Body
	ETag   string // "" if the response has none
	Length string // of Body, as a header field has it
}

func newEncoded(c coding.Coding, body object.Body, tag field.ETag) *Encoded {
	f := &Encoded{Body: body, Length: strconv.FormatInt(body.Size(), 10)}
	if tag.Opaque != "" {
		f.ETag = coding.Tag(tag, c).String()
	}
	return f
}

func (f *Encoded) size() int64 {
	return encodedOverhead + f.Body.Footprint() + int64(len(f.ETag)+len(f.Length))
}

// size returns the bytes that the encodings keep in memory; 0 for nil.
func (s *Encodings) size() int64 {
	if s == nil {
		return 0
	}
	n := int64(encodingsOverhead)
	for c := range s.made {
		if f := s.made[c].Load(); f != nil {
			n += f.size()
		}
	}
	return n
}

// Names returns the names of the encodings that are there.
func (s *Encodings) Names() (names []string) {
	for c := coding.Brotli; s != nil && c < coding.Count; c++ {
		if s.made[c].Load() != nil {
			names = append(names, c.String())
		}
	}
	return names
}

// Get returns the response in an encoding, or nil if it is not made yet.
func (s *Encodings) Get(c coding.Coding) *Encoded { return s.made[c].Load() }

// Best returns what a client prefers: of the encodings that are there, and of all. Among equals the
// first one wins; identity only wins if the client prefers it to all.
func (s *Encodings) Best(accepts *coding.Weights) (there, wanted coding.Coding) {
	for c := coding.Brotli; c < coding.Count; c++ {
		if accepts[c] == 0 || accepts[c] < accepts[coding.Identity] {
			continue
		}
		if wanted == coding.Identity || accepts[c] > accepts[wanted] {
			wanted = c
		}
		if s.made[c].Load() != nil && (there == coding.Identity || accepts[c] > accepts[there]) {
			there = c
		}
	}
	return there, wanted
}

// Inherit gives v the encodings of old if both have the same bytes, so that a refresh encodes
// nothing. It also carries on how long errands for old pause. k is the key of both.
func (c *Cache) Inherit(v, old *Variant, k []byte) {
	if old != nil && old.Strays(time.Now()) {
		v.withFailures().straysUntil.Store(old.failures.Load().straysUntil.Load())
	}
	if old == nil || v.Encodings() == nil || old.Encodings() == nil || !v.Body.Equal(old.Body) {
		return
	}
	from, to := old.Encodings(), v.Encodings()
	alone := Resource{newest: v}
	if alone.size()+from.size()+int64(len(k))+1<<10 > c.maxObject {
		return // the response itself comes first
	}
	for c := range to.made {
		if from.states[c].Load() != settled {
			continue
		}
		to.states[c].Store(settled)
		if f := from.made[c].Load(); f != nil {
			to.made[c].Store(newEncoded(coding.Coding(c), f.Body, v.Tag()))
		}
	}
}

// What a response that may be encoded, and each of its encodings, take beside their bytes.
const (
	encodingsOverhead = 64
	encodedOverhead   = 112
)

// Ask notes that a hit wants an encoding. It returns true if the caller must have it made: no hit
// has asked for it, and it was not tried before.
func (s *Encodings) Ask(c coding.Coding) bool {
	state := &s.states[c]
	return state.Load() == untried && state.CompareAndSwap(untried, queued)
}

// TakeBack undoes an Ask.
func (s *Encodings) TakeBack(c coding.Coding) { s.states[c].Store(untried) }

// Begin reports whether an encoding was asked for and is not being made yet. Then the caller makes
// it, and must settle it.
func (s *Encodings) Begin(c coding.Coding) bool { return s.states[c].CompareAndSwap(queued, making) }

// Settle notes that there is nothing more to try.
func (s *Encodings) Settle(c coding.Coding) { s.states[c].Store(settled) }

// SettleAll settles every encoding.
func (s *Encodings) SettleAll() {
	for c := range s.states {
		s.states[c].Store(settled)
	}
}

// AddEncoded publishes packed as an encoding of v, if v is still stored and there is room.
func (c *Cache) AddEncoded(k []byte, v *Variant, as coding.Coding, packed []byte) bool {
	f := newEncoded(as, object.NewBody(packed), v.Tag())
	return c.memory.Grow(k, f.size(), func(r Resource) bool {
		if !r.has(v) || v.Purged() {
			return false // no client would get it, and no entry is charged for it
		}
		v.Encodings().made[as].Store(f)
		if set := f.Body.Readers(); set != nil {
			set.Pay()
		}
		return true
	})
}
