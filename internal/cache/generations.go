package cache

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"

	"github.com/edgecache-go/edgecache/internal/key"
)

// generations keeps what was made before a purge from being stored, or joined, after it.
//
// Every purge takes the next number of one sequence and leaves it at what it purged; a fill remembers where the sequence stood when it began. A mark beyond that says that the fill may be
// older than a purge, so it is not kept. Marks are kept by hash in tables of fixed size: two names may share a slot, which costs a store now and then, never a wrong page.
type generations struct {
	sequence atomic.Uint64
	floor    atomic.Uint64 // the last purge that concerns every fill
	seed     maphash.Seed
	urls     [1 << 14]atomic.Uint64 // of one host, and of all hosts
	paths    [1 << 14]atomic.Uint64 // of one host, with every query: apart, since strangers can raise them
	tags     [1 << 12]atomic.Uint64
}

// Marks is where the fence has what concerns the fills of one URL: by the host in its key, by each other host that a proxy tells with the request, by none, and by its path.
type Marks struct {
	urls [2 + key.MaxHosts]uint16
	used int // of urls
	path uint16
}

func (f *generations) init() { f.seed = maphash.MakeSeed() }

// now is where the sequence stands: what a fill remembers when it begins.
func (f *generations) now() uint64 { return f.sequence.Load() }

// add makes m one that is concerned by what raises the given address.
func (m *Marks) add(at address) {
	m.urls[m.used] = at.url()
	m.used++
}

// url is the slot of a URL. Without a host it is that of the URL on every host.
func (at address) url() uint16 {
	return uint16(mix(at.host, at.path, at.query) % uint64(len(generations{}.urls)))
}

// everyQuery is the slot of the path, with every query.
func (at address) everyQuery() uint16 {
	return uint16(mix(at.host, at.path, 0) % uint64(len(generations{}.paths)))
}

// onEveryHost is the same URL without its host.
func (at address) onEveryHost() address { return address{path: at.path, query: at.query} }

// mix makes one hash of three.
func mix(a, b, c uint64) uint64 {
	return (a ^ bits.RotateLeft64(b*0x9e3779b97f4a7c15, 21)) + bits.RotateLeft64(c*0xbf58476d1ce4e5b9, 42)
}

// bump marks a URL as purged now; without a host, that on every host.
// It comes before the removal of what is stored: a fill that stores in between is then removed, and one that stores afterwards sees the mark.
func (f *generations) bump(at address) { lift(&f.urls[at.url()], f.sequence.Add(1)) }

// bumpPath marks the path of a URL on its host as purged now, with every query.
func (f *generations) bumpPath(at address) { lift(&f.paths[at.everyQuery()], f.sequence.Add(1)) }

// bumpTag marks a tag, and returns the number of the purge.
func (f *generations) bumpTag(tag string) uint64 {
	n := f.sequence.Add(1)
	lift(f.tag(tag), n)
	return n
}

// bumpAll marks everything.
func (f *generations) bumpAll() { lift(&f.floor, f.sequence.Add(1)) }

// lift sets a mark that only ever grows.
func lift(mark *atomic.Uint64, n uint64) {
	for {
		old := mark.Load()
		if old >= n || mark.CompareAndSwap(old, n) {
			return
		}
	}
}

// purgedSince reports whether the URL of m was, or may have been, purged after a fill that began at the given point.
func (f *generations) purgedSince(m *Marks, began uint64) bool {
	for _, slot := range m.urls[:m.used] {
		if f.urls[slot].Load() > began {
			return true
		}
	}
	return f.paths[m.path].Load() > began || f.floor.Load() > began
}

// tagsPurgedSince reports whether one of the tags was, or may have been, purged after a fill that began at the given point.
func (f *generations) tagsPurgedSince(tags []string, began uint64) bool {
	for _, tag := range tags {
		if f.tag(tag).Load() > began {
			return true
		}
	}
	return false
}

func (f *generations) tag(tag string) *atomic.Uint64 {
	return &f.tags[maphash.String(f.seed, tag)%uint64(len(f.tags))]
}
