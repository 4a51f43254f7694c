package flight

import (
	"time"

	"github.com/edgecache-go/edgecache/internal/object"
)

const (
	// window is how much of a body that has outgrown its limit stays in memory for readers that lag behind, in bytes. The writer waits for them beyond it.
	window = 1 << 20

	// looseWindow is what it may take where the room that it draws from has nothing left, in bytes; looseChunk is a piece of it.
	// So the most that bodies can take beside their room is a looseWindow each.
	looseWindow = 16 << 10
	looseChunk  = looseWindow / 2

	// StallLimit is how long the writer of such a body waits for its slowest readers while others want to go on. Then the slow ones are let go.
	StallLimit = 10 * time.Second
)

// Room is a budget from which bodies draw the memory that they take.
type Room interface {
	// Reserve takes n bytes for a body that has has bytes of it already, and reports whether there was as much left. passing says that the body is not kept.
	Reserve(n, has int64, passing bool) bool
	// Release gives n bytes back.
	Release(n int64)
}

// Leader is who writes a body.
type Leader interface {
	// Outgrow is called before the body outgrows what can be kept of it, in the goroutine that writes: who wants to read it must begin now.
	Outgrow()
}

// Draw makes the body draw its memory from room, and call leader before it outgrows what there is. It is to be called before anything is written. The leader must Leave the body in the end.
func (b *Body) Draw(room Room, leader Leader) { b.room, b.leader = room, leader }

// makeRoom returns when there is room in the last chunk; want is how many bytes are to come at least.
func (b *Body) makeRoom(want int64) error {
	for !b.done {
		if b.outgrown {
			return b.waitForRoom(want)
		}
		if b.hasRoom() || b.extend(want) {
			return nil
		}
		b.outgrow()
	}
	return ErrClosed // a goroutine that the handler left behind must not add to a page that is complete
}

func (b *Body) hasRoom() bool {
	last := len(b.chunks) - 1
	return last >= 0 && len(b.chunks[last]) < cap(b.chunks[last])
}

// extend adds a chunk to a body that is kept, if its limit and its room allow it.
func (b *Body) extend(want int64) bool {
	if b.size >= b.limit {
		return false
	}
	size := max(minChunk, b.size, want)
	if b.size == 0 && want >= oneChunk {
		size = want
	}
	if rest := b.declared - b.size; rest > 0 {
		size = min(max(size, trust*(b.size+want)), rest)
	}
	return b.draw(min(size, maxChunk, b.limit-b.size))
}

// draw adds a chunk of the given size, if there is room for it.
func (b *Body) draw(size int64) bool {
	if b.room != nil && !b.room.Reserve(size, b.held, b.outgrown) {
		return false
	}
	b.reserved += size
	b.add(size)
	return true
}

func (b *Body) add(size int64) {
	b.held += size
	if b.chunks == nil {
		b.chunks = b.one[:0]
	}
	b.chunks = append(b.chunks, make([]byte, 0, size))
}

// outgrow ends that the body is kept. It is called, and returns, with the lock held, but lets the leader begin to read.
func (b *Body) outgrow() {
	if b.leader != nil {
		b.callLeader()
	}
	if !b.done {
		b.outgrown = true
		b.tellReaders()
	}
}

func (b *Body) callLeader() {
	b.mu.Unlock()
	defer b.mu.Lock() // even if the client's writer panics
	b.leader.Outgrow()
}

// waitForRoom returns when there is room in the last chunk of a body that has outgrown what can be kept: less than a window lies between the writer and its slowest reader, and as much memory can be had.
// It is called, and returns, with the lock held, but does not hold it while it waits.
func (b *Body) waitForRoom(want int64) error {
	var stalled *time.Timer
	for {
		b.drop()
		if len(b.readers) == 0 {
			return ErrNobody
		}
		if b.size-b.base < window && (b.hasRoom() || b.slide(want)) {
			return nil
		}
		if stalled == nil {
			stalled = time.NewTimer(StallLimit)
			defer stalled.Stop()
			b.mark()
		}
		moved := make(chan struct{})
		b.moved = moved
		b.mu.Unlock()
		expired := false
		select {
		case <-moved:
		case <-stalled.C:
			expired = true
		}
		b.mu.Lock()
		if b.done {
			return ErrClosed
		}
		if expired {
			b.hold = nil
			b.letStalledGo()
			b.mark()
			stalled.Reset(StallLimit)
		}
	}
}

// slide adds a chunk to a body that has outgrown what can be kept: as large as its room allows, or else a loose one, while it has few of them.
func (b *Body) slide(want int64) bool {
	if b.draw(min(max(minChunk, b.size, want), maxChunk)) {
		return true
	}
	if b.held-b.reserved+looseChunk > looseWindow {
		return false
	}
	b.add(looseChunk)
	return true
}

// drop forgets the chunks that every reader has passed.
func (b *Body) drop() {
	if b.base == 0 && b.hold != nil && b.hold.Unseated() {
		return
	}
	first := b.dropped + len(b.chunks)
	for r := range b.readers {
		first = min(first, r.chunk)
	}
	for ; b.dropped < first && len(b.chunks) > 1; b.dropped++ {
		b.base += int64(len(b.chunks[0]))
		b.held -= int64(cap(b.chunks[0]))
		b.chunks[0] = nil
		b.chunks = b.chunks[1:]
	}
	b.giveBack(b.held)
}

// giveBack keeps at most n bytes drawn from room.
func (b *Body) giveBack(n int64) {
	if over := b.reserved - n; over > 0 {
		b.reserved = n
		if b.room != nil {
			b.room.Release(over)
		}
	}
}

// forget drops all bytes, once nobody can want them any more.
func (b *Body) forget() {
	if b.left && b.done && !b.stored && len(b.readers) == 0 && (b.hold == nil || !b.hold.Unseated()) {
		b.gone, b.chunks, b.held = true, nil, 0
		b.giveBack(0)
	}
}

// Stored says that o, which was made of the body, is in memory now and accounted for there. If it consists of other bytes, which were the same, nothing has changed.
func (b *Body) Stored(o object.Body) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := o.Prefix(1); len(p) > 0 && len(b.chunks) > 0 && &p[0] == &b.chunks[0][0] {
		b.stored = true
		b.giveBack(0)
	}
}

// Leave says that the leader wants nothing of the body any more. What those who follow want of it stays as long as they do.
func (b *Body) Leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = true
	b.forget()
}

// mark remembers where each reader stands.
func (b *Body) mark() {
	for r := range b.readers {
		r.mark = r.total
	}
}

// letStalledGo ends the readers that have not moved since mark, all at once, so that many of them at different places cost the others no more than one.
// If nobody else is there they stay: a client that nobody waits behind may be as slow as it likes.
func (b *Body) letStalledGo() {
	others := false
	for r := range b.readers {
		others = others || !r.stalled()
	}
	if !others {
		return
	}
	for r := range b.readers {
		if r.stalled() {
			r.err = ErrStalled
			delete(b.readers, r)
		}
	}
	b.tellReaders()
}

// stalled reports whether the reader has not moved since mark though there was something to read.
func (r *Reader) stalled() bool { return r.total == r.mark && r.total < r.body.size }
