package flight

import (
	"time"

	"github.com/edgecache-go/edgecache/internal/readers"
)

const (
	// window is how much of an outgrown body stays in memory for readers that lag behind, in bytes.
	// The writer waits for readers that lag further.
	window = 1 << 20

	// looseWindow is what an outgrown body may take, in bytes, when the room that it draws from is
	// empty. looseChunk is a piece of it. So bodies take at most a looseWindow each beside their
	// room.
	looseWindow = 16 << 10
	looseChunk  = looseWindow / 2

	// While other readers have read all there is, the writer of such a body waits for those that
	// are behind. It waits no longer in total than the body has taken without that: no reader takes
	// more than twice the time because of others.
	//
	// patience is the least wait for readers that are slower than minRate, in bytes a second, while
	// the writer waits for them. StallLimit is the least wait for all others. A reader behind a
	// line of 1 Mbit/s is twice as fast as minRate.
	patience   = 250 * time.Millisecond
	minRate    = 64 << 10
	StallLimit = 10 * time.Second

	// piece is the most that a reader gets at once, in bytes, so that its progress is known.
	// smallPiece is the same for a body that has outgrown its limit, or may do so: what minRate
	// takes in patience.
	piece      = 64 << 10
	smallPiece = 16 << 10
)

// Room is a budget from which bodies draw the memory that they take.
type Room interface {
	// Reserve takes n bytes for a body that holds has bytes already, and reports whether they were
	// left. passing says that the body is not kept.
	Reserve(n, has int64, passing bool) bool
	// Release gives n bytes back.
	Release(n int64)
}

// Leader is the writer of a body.
type Leader interface {
	// Outgrow is called before the body outgrows what can be kept of it, in the goroutine that
	// writes. Whoever wants to read the body must begin now.
	Outgrow()
}

// Draw makes the body draw its memory from room, and call leader before it outgrows what there is.
// Draw must be called before anything is written. In the end the leader must Leave the body.
func (b *Body) Draw(room Room, leader Leader) { b.room, b.leader = room, leader }

// Pin makes room count what readers hold of the body when it has been in memory and no longer is.
// Pin must be called before anything is read.
func (b *Body) Pin(room *readers.Room) { b.pinned = room }

// makeRoom returns when there is room in the last chunk. want is how many bytes will come at least.
func (b *Body) makeRoom(want int64) error {
	for !b.state.done {
		if b.liveness.found && len(b.readers.open) == 0 {
			b.end(ErrNoReaders)
			return ErrNoReaders
		}
		if b.state.outgrown {
			return b.waitForRoom(want)
		}
		if b.hasRoom() || b.extend(want) {
			return nil
		}
		b.outgrow()
	}
	return ErrClosed // a goroutine that the handler left behind must not add to a complete response
}

func (b *Body) hasRoom() bool {
	last := len(b.buf.chunks) - 1
	return last >= 0 && len(b.buf.chunks[last]) < cap(b.buf.chunks[last])
}

// extend adds a chunk to a body that is kept, if its limit and its room allow that.
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

// outgrow ends the keeping of the body. It is called, and returns, with the lock held, but releases
// it to let the leader begin to read.
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
