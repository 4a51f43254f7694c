package flight

import (
	"time"

	"github.com/edgecache-go/edgecache/internal/object"
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
	for !b.done {
		if b.live && len(b.reading) == 0 {
			b.end(ErrNobody)
			return ErrNobody
		}
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
	size = min(size, maxChunk, b.limit-b.size)
	least := min(max(minChunk, want), size)
	return b.draw(size) || least < size && b.draw(least)
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
	for {
		b.drop()
		if len(b.reading) == 0 {
			return ErrNobody
		}
		if b.size-b.base < window && (b.hasRoom() || b.slide(want)) {
			return nil
		}
		b.wait()
		if b.done {
			return ErrClosed
		}
	}
}

// wait returns when a reader has moved, or has been let go. It is called, and returns, with the lock held.
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
	b.moved = moved
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

// holdsUp reports whether a reader has read all there is and waits for more. It remembers where each reader stands.
// A client that nobody waits behind may be as slow as it likes: without a cache it could be.
func (b *Body) holdsUp() (held bool) {
	for r := range b.reading {
		r.mark = r.total
		held = held || r.hungry && r.total == b.size
	}
	return held
}

// account notes that the writer has waited for so long, since holdsUp, while others wanted to go on.
func (b *Body) account(d time.Duration) {
	b.waited += d
	for r := range b.reading {
		if r.mark < b.size { // which has not grown meanwhile
			if r.behind == 0 {
				r.took = int64(r.inHand)
			}
			r.behind += d
			r.took += r.total - r.mark
		}
	}
}

// limits returns for how long in total the writer waits for readers that are slow, and for any.
func (b *Body) limits(now time.Time) (slow, all time.Duration) {
	own := now.Sub(b.born) - b.waited
	return max(patience, own), max(StallLimit, own)
}

// untilLimit returns how long the writer may wait until somebody may have to be let go.
func (b *Body) untilLimit(now time.Time) time.Duration {
	slow, all := b.limits(now)
	until := all - b.waited
	for r := range b.reading {
		if r.total < b.size {
			until = min(until, max(slow-b.waited, patience-r.behind, r.credit()))
		}
	}
	return max(until, time.Millisecond)
}

// credit is how much longer the reader may take nothing until it has been slower than minRate. What it had in hand when it was waited for first counts as taken.
func (r *Reader) credit() time.Duration {
	took := r.took
	if r.behind == 0 {
		took = int64(r.inHand)
	}
	return time.Duration(took)*time.Second/minRate - r.behind
}

// letGo ends the readers that the writer need not wait for any longer, all at once, so that many of them at different places cost the others no more than one.
func (b *Body) letGo(now time.Time) {
	slow, all := b.limits(now)
	if b.waited >= all {
		b.hold = nil
	}
	first := b.first()
	gone := false
	for r := range b.reading {
		if r.total == b.size {
			continue
		}
		if b.waited >= slow && r.behind >= patience && r.credit() <= 0 || b.waited >= all && r.chunk == first {
			r.err = ErrStalled
			delete(b.reading, r)
			gone = true
		}
	}
	if gone {
		b.tellReaders()
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
	if b.base == 0 && b.hold != nil && b.hold.WaitingToRead() {
		return
	}
	first := b.first()
	for ; b.dropped < first && len(b.chunks) > 1; b.dropped++ {
		b.base += int64(len(b.chunks[0]))
		b.held -= int64(cap(b.chunks[0]))
		b.chunks[0], b.one[0] = nil, nil
		b.chunks = b.chunks[1:]
	}
	b.giveBack(b.held)
}

// first is the number of the first chunk that a reader stands in.
func (b *Body) first() int {
	first := b.dropped + len(b.chunks)
	for r := range b.reading {
		first = min(first, r.chunk)
	}
	return first
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
	if b.left && b.done && !b.stored && !b.gone && len(b.reading) == 0 && (b.hold == nil || !b.hold.WaitingToRead()) {
		b.unpay()
		b.gone, b.chunks, b.one[0], b.held, b.whole = true, nil, nil, 0, object.Body{}
		b.giveBack(0)
	}
}

// unpay says that what the body has drawn pays no longer for the object that it became.
func (b *Body) unpay() {
	if set := b.whole.Readers(); set != nil {
		set.Unpay()
	}
}

// Stored says that o, which was made of the body, has been put into memory and is accounted for there. If it consists of other bytes, which were the same, nothing has changed.
func (b *Body) Stored(o object.Body) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := o.Prefix(1); !b.stored && len(p) > 0 && len(b.chunks) > 0 && &p[0] == &b.chunks[0][0] {
		b.stored = true
		if set := b.whole.Readers(); set != nil {
			for r := range b.reading {
				r.Join(set)
			}
		}
		b.unpay()
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
