package edgecache

import (
	"hash/maphash"
	"sync/atomic"
)

// fence keeps what was made before a purge from being stored, or joined, after it.
//
// Every purge takes the next number of one sequence and leaves it at what it purged; a fill remembers where the sequence stood when it began. A mark beyond that says that the fill may be
// older than a purge, so it is not kept. Marks are kept by hash in tables of fixed size: two names may share a slot, which costs a store now and then, never a wrong page.
type fence struct {
	sequence atomic.Uint64
	floor    atomic.Uint64 // the last purge that concerns every fill
	seed     maphash.Seed
	urls     [1 << 14]atomic.Uint64
	tags     [1 << 12]atomic.Uint64
}

func (f *fence) init() { f.seed = maphash.MakeSeed() }

// now is where the sequence stands: what a fill remembers when it begins.
func (f *fence) now() uint64 { return f.sequence.Load() }

// raise marks the URL with the primary key k as purged now.
// It comes before the removal of what is stored: a fill that stores in between is then removed, and one that stores afterwards sees the mark.
func (f *fence) raise(k []byte) {
	lift(&f.urls[maphash.Bytes(f.seed, k)%uint64(len(f.urls))], f.sequence.Add(1))
}

// raiseTag marks a tag, and returns the number of the purge.
func (f *fence) raiseTag(tag string) uint64 {
	n := f.sequence.Add(1)
	lift(f.tag(tag), n)
	return n
}

// raiseAll marks everything.
func (f *fence) raiseAll() { lift(&f.floor, f.sequence.Add(1)) }

// lift sets a mark that only ever grows.
func lift(mark *atomic.Uint64, n uint64) {
	for {
		old := mark.Load()
		if old >= n || mark.CompareAndSwap(old, n) {
			return
		}
	}
}

// stops reports whether the URL was, or may have been, purged after a fill that began at the given point.
func (f *fence) stops(k []byte, began uint64) bool {
	return f.urls[maphash.Bytes(f.seed, k)%uint64(len(f.urls))].Load() > began || f.floor.Load() > began
}

// stopsTags reports whether one of the tags was, or may have been, purged after a fill that began at the given point.
func (f *fence) stopsTags(tags []string, began uint64) bool {
	for _, tag := range tags {
		if f.tag(tag).Load() > began {
			return true
		}
	}
	return false
}

func (f *fence) tag(tag string) *atomic.Uint64 {
	return &f.tags[maphash.String(f.seed, tag)%uint64(len(f.tags))]
}
