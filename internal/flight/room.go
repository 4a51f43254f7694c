package flight

import (
	"time"

	"github.com/edgecache-go/edgecache/internal/readers"
)

const (
	// window is how much of a body that has outgrown its limit stays in memory for readers that lag behind, in bytes. The writer waits for them beyond it.
	window = 1 << 20

	// looseWindow is what it may take where the room that it draws from has nothing left, in bytes; looseChunk is a piece of it.
	// So the most that bodies can take beside their room is a looseWindow each.
	looseWindow = 16 << 10
	looseChunk  = looseWindow / 2

	// Readers of such a body that are behind are waited for, while others have read all there is, for as long in total as the body has taken without that: nobody takes more than twice the
	// time because of others. patience is the least, for those that are slower than minRate, in bytes a second, while they are waited for; StallLimit is the least for all others. A reader
	// behind a line of 1 Mbit/s is twice as fast as minRate.
	patience   = 250 * time.Millisecond
	minRate    = 64 << 10
	StallLimit = 10 * time.Second

	// piece is the most that a reader is given at once, in bytes, so that its progress is known; smallPiece is it of a body that has outgrown its limit, or may do so: what minRate takes in
	// patience.
	piece      = 64 << 10
	smallPiece = 16 << 10
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

// Pin makes what readers hold of the body, when it has been in memory and is no more, count in room. It is to be called before anything is read.
func (b *Body) Pin(room *readers.Room) { b.pinned = room }

// makeRoom returns when there is room in the last chunk; want is how many bytes are to come at least.
func (b *Body) makeRoom(want int64) error {
	for !b.state.done {
		if b.liveness.found && len(b.readers.open) == 0 {
			b.end(ErrNobody)
			return ErrNobody
		}
		if b.state.outgrown {
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
	last := len(b.buf.chunks) - 1
	return last >= 0 && len(b.buf.chunks[last]) < cap(b.buf.chunks[last])
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
	size = min(size, maxChunk, b.limit-b.size)
	least := min(max(minChunk, want), size)
	return b.draw(size) || least < size && b.draw(least)
}

// draw adds a chunk of the given size, if there is room for it.
func (b *Body) draw(size int64) bool {
	if b.room != nil && !b.room.Reserve(size, b.buf.held, b.state.outgrown) {
		return false
	}
	b.buf.reserved += size
	b.add(size)
	return true
}

func (b *Body) add(size int64) {
	b.buf.held += size
	if b.buf.chunks == nil {
		b.buf.chunks = b.buf.one[:0]
	}
	b.buf.chunks = append(b.buf.chunks, make([]byte, 0, size))
}

// outgrow ends that the body is kept. It is called, and returns, with the lock held, but lets the leader begin to read.
func (b *Body) outgrow() {
	if b.leader != nil {
		b.callLeader()
	}
	if !b.state.done {
		b.state.outgrown = true
		b.tellReaders()
	}
}

func (b *Body) callLeader() {
	b.mu.Unlock()
	defer b.mu.Lock() // even if the client's writer panics
	b.leader.Outgrow()
}

// giveBack keeps at most n bytes drawn from room.
func (b *Body) giveBack(n int64) {
	if over := b.buf.reserved - n; over > 0 {
		b.buf.reserved = n
		if b.room != nil {
			b.room.Release(over)
		}
	}
}
