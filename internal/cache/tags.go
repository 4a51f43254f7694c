package cache

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/edgecache-go/edgecache/internal/clock"
)

// tag is what all stored responses with one tag share. A purge is one store into it; a hit looks at it.
type tag struct {
	hard   atomic.Uint64 // number of the last purge
	soft   atomic.Uint64 // number of the last soft purge
	softAt atomic.Int64  // when that was, in nanoseconds since epoch

	mu      sync.Mutex // for counting only: a hit does without
	entries int        // stored responses that carry it and that it has not purged
}

// purge marks all that began before the number that it takes, and returns how many stored responses
// that concerns. The number is taken under the lock: a response that begins after it is counted after
// that, and not counted out.
func (t *tag) purge(take func() uint64) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hard.Store(take())
	n, t.entries = t.entries, 0
	return n
}

// softPurge does the same for a soft purge, which counts nothing out.
func (t *tag) softPurge(take func() uint64, now time.Time) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	number := take()
	t.softAt.Store(int64(clock.Of(now)))
	t.soft.Store(number)
	return t.entries
}

// count adds n to the stored responses that carry the tag: one that began at the given point, unless a purge has counted it out.
func (t *tag) count(n int, gen uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hard.Load() <= gen {
		t.entries += n
	}
}

// tags finds tags by name. It holds them weakly: a tag lives as long as a stored response carries it.
type tags struct {
	mu    sync.RWMutex
	named map[string]weak.Pointer[tag]
}

// get returns the tag of that name, making it if nobody carries it yet.
func (t *tags) get(name string) *tag {
	if found := t.find(name); found != nil {
		return found
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if found := t.named[name].Value(); found != nil {
		return found
	}
	made := new(tag)
	if t.named == nil {
		t.named = make(map[string]weak.Pointer[tag])
	}
	p := weak.Make(made)
	t.named[name] = p
	runtime.AddCleanup(made, t.forget, forgotten{name, p})
	return made
}

// find returns the tag of that name, or nil if nothing stored carries it.
func (t *tags) find(name string) *tag {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.named[name].Value()
}

// forgotten is what is left of a tag that nobody carries any more.
type forgotten struct {
	name    string
	pointer weak.Pointer[tag]
}

func (t *tags) forget(f forgotten) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.named[f.name] == f.pointer { // else it has come back in the meantime
		delete(t.named, f.name)
	}
}
