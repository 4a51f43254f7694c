package edgecache

import (
	"hash/maphash"
	"sync/atomic"
)

// fence keeps what was made before a purge from being stored after it.
//
// Every purge takes the next number of one sequence and leaves it in the slot of what it purged; a fill remembers where the sequence stood when it began. A slot that has gone past that
// says that the fill may be older than a purge, so it is not kept. Different keys may share a slot: that costs a store, never a wrong page, and it keeps the fence at a fixed size.
type fence struct {
	sequence atomic.Uint64
	seed     maphash.Seed
	slots    [fenceSlots]atomic.Uint64
}

const fenceSlots = 4096

func (f *fence) init() { f.seed = maphash.MakeSeed() }

// now is where the sequence stands: what a fill remembers when it begins.
func (f *fence) now() uint64 { return f.sequence.Load() }

// raise marks key as purged now. It comes before the removal of what is stored: a fill that stores in between is then removed, and one that stores afterwards sees the mark.
func (f *fence) raise(key []byte) {
	n := f.sequence.Add(1)
	slot := f.slot(key)
	for {
		old := slot.Load()
		if old >= n || slot.CompareAndSwap(old, n) {
			return
		}
	}
}

// stops reports whether key was, or may have been, purged after a fill that began at the given point.
func (f *fence) stops(key []byte, began uint64) bool { return f.slot(key).Load() > began }

func (f *fence) slot(key []byte) *atomic.Uint64 {
	return &f.slots[maphash.Bytes(f.seed, key)%fenceSlots]
}
