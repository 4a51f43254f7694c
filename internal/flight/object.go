package flight

import (
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/readers"
)

// Object returns the body for storing, the same each time. ok is false when the body ended early,
// has not ended, or outgrew its limit. Until the object is Stored, or no one can want it any more,
// what the body has drawn pays for it.
func (b *Body) Object() (body object.Body, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.state.done || b.state.err != nil || b.state.outgrown || b.state.gone {
		return object.Body{}, false
	}
	if !b.object.made {
		b.trim()
		b.object.body, b.object.made = object.NewBody(b.buf.chunks...), true
		if set := b.object.body.Readers(); set != nil {
			set.Pay()
		}
	}
	return b.object.body, true
}

// trim copies the last chunk if it has much slack: that would be charged to the budget for as long
// as the object lives. It does not copy a large chunk that a client is about to take, because then
// both would be in memory and only one would be charged.
func (b *Body) trim() {
	last := len(b.buf.chunks) - 1
	if last < 0 {
		return
	}
	c := b.buf.chunks[last]
	if cap(c)-len(c) <= len(c)/8 {
		return
	}
	if cap(c) > readers.CountedAbove {
		for r := range b.readers.open {
			if r.chunk-b.buf.dropped == last && r.at > 0 && !r.hungry {
				return
			}
		}
	}
	b.buf.chunks[last] = append(make([]byte, 0, len(c)), c...)
	b.buf.held -= int64(cap(c) - cap(b.buf.chunks[last]))
	b.giveBack(b.buf.held)
}

// Stored says that o, which was made of the body, is in memory and accounted for there. If o
// consists of other bytes, which were the same, nothing has changed.
func (b *Body) Stored(o object.Body) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := o.Prefix(1); !b.object.stored && len(p) > 0 && len(b.buf.chunks) > 0 && &p[0] == &b.buf.chunks[0][0] {
		b.object.stored = true
		if set := b.object.body.Readers(); set != nil {
			for r := range b.readers.open {
				r.Join(set)
			}
		}
		b.unpay()
		b.giveBack(0)
	}
}

// Leave says that the leader wants nothing of the body any more. What followers want of it stays as
// long as they do.
func (b *Body) Leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.left = true
	b.forget()
}

// forget drops all bytes, once no one can want them any more.
func (b *Body) forget() {
	if b.state.left && b.state.done && !b.object.stored && !b.state.gone && len(b.readers.open) == 0 && (b.queue.held == nil || !b.queue.held.WaitingToRead()) {
		b.unpay()
		b.state.gone, b.buf.chunks, b.buf.one[0], b.buf.held, b.object.body = true, nil, nil, 0, object.Body{}
		b.giveBack(0)
	}
}

// unpay says that what the body has drawn no longer pays for the object that it became.
func (b *Body) unpay() {
	if set := b.object.body.Readers(); set != nil {
		set.Unpay()
	}
}
