package flight

import (
	"time"
)

// waitForRoom returns when there is room in the last chunk of a body that has outgrown what can be
// kept: when less than a window lies between the writer and its slowest reader, and the room has
// memory. It is called, and returns, with the lock held, but does not hold it while it waits.
func (b *Body) waitForRoom(want int64) error {
	for {
		b.drop()
		if len(b.readers.open) == 0 {
			return ErrNoReaders
		}
		if b.size-b.buf.base < window && (b.hasRoom() || b.slide(want)) {
			return nil
		}
		b.wait()
		if b.state.done {
			return ErrClosed
		}
	}
}

// wait returns when a reader has moved, or has been let go. It is called, and returns, with the
// lock held.
func (b *Body) wait() {
	var expired <-chan time.Time
	start := time.Now()
	held := b.holdsUp()
	if held {
		timer := time.NewTimer(b.untilLimit(start))
		defer timer.Stop()
		expired = timer.C
	}
	moved := make(chan struct{})
	b.writer.moved = moved
	b.mu.Unlock()
	select {
	case <-moved:
	case <-expired:
	}
	b.mu.Lock()
	if held {
		now := time.Now()
		b.account(now.Sub(start))
		b.letGo(now)
	}
}

// holdsUp reports whether a reader has read all there is and waits for more. It remembers where
// each reader stands. A client may be as slow as it likes while no other waits behind it: without a
// cache it could be.
func (b *Body) holdsUp() (held bool) {
	for r := range b.readers.open {
		r.mark = r.total
		held = held || r.hungry && r.total == b.size
	}
	return held
}

// account adds to what the writer has waited, since holdsUp, while other readers wanted to go on.
func (b *Body) account(d time.Duration) {
	b.writer.waited += d
	for r := range b.readers.open {
		if r.mark < b.size { // size has not grown meanwhile
			if r.behind == 0 {
				r.took = int64(r.inHand)
			}
			r.behind += d
			r.took += r.total - r.mark
		}
	}
}

// limits returns how long in total the writer waits for slow readers, and for any.
func (b *Body) limits(now time.Time) (slow, all time.Duration) {
	own := now.Sub(b.born) - b.writer.waited
	return max(patience, own), max(StallLimit, own)
}

// untilLimit returns how long the writer may wait until it may have to let a reader go.
func (b *Body) untilLimit(now time.Time) time.Duration {
	slow, all := b.limits(now)
	until := all - b.writer.waited
	for r := range b.readers.open {
		if r.total < b.size {
			until = min(until, max(slow-b.writer.waited, patience-r.behind, r.credit()))
		}
	}
	return max(until, time.Millisecond)
}

// credit is how much longer the reader may take nothing until it has been slower than minRate. What
// it had in hand when the writer first waited for it counts as taken.
func (r *Reader) credit() time.Duration {
	took := r.took
	if r.behind == 0 {
		took = int64(r.inHand)
	}
	return time.Duration(took)*time.Second/minRate - r.behind
}

// letGo ends the readers that the writer need not wait for any longer. It ends them all at once, so
// that many readers at different places cost the others no more than one.
func (b *Body) letGo(now time.Time) {
	slow, all := b.limits(now)
	if b.writer.waited >= all {
		b.queue.held = nil
	}
	first := b.first()
	gone := false
	for r := range b.readers.open {
		if r.total == b.size {
			continue
		}
		if b.writer.waited >= slow && r.behind >= patience && r.credit() <= 0 || b.writer.waited >= all && r.chunk == first {
			r.err = ErrStalled
			delete(b.readers.open, r)
			gone = true
		}
	}
	if gone {
		b.tellReaders()
	}
}

// slide adds a chunk to a body that has outgrown what can be kept: as large as its room allows, or
// else a loose one, while it has few of these.
func (b *Body) slide(want int64) bool {
	if b.draw(min(max(minChunk, b.size, want), maxChunk)) {
		return true
	}
	if b.buf.held-b.buf.reserved+looseChunk > looseWindow {
		return false
	}
	b.add(looseChunk)
	return true
}

// drop forgets the chunks that every reader has passed.
func (b *Body) drop() {
	if b.buf.base == 0 && b.queue.held != nil && b.queue.held.WaitingToRead() {
		return
	}
	first := b.first()
	for ; b.buf.dropped < first && len(b.buf.chunks) > 1; b.buf.dropped++ {
		b.buf.base += int64(len(b.buf.chunks[0]))
		b.buf.held -= int64(cap(b.buf.chunks[0]))
		b.buf.chunks[0], b.buf.one[0] = nil, nil
		b.buf.chunks = b.buf.chunks[1:]
	}
	b.giveBack(b.buf.held)
}

// first is the number of the first chunk that a reader still reads.
func (b *Body) first() int {
	first := b.buf.dropped + len(b.buf.chunks)
	for r := range b.readers.open {
		first = min(first, r.chunk)
	}
	return first
}
