package cache

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/edgecache-go/edgecache/internal/clock"
)

// tag is shared by all stored responses that carry it. A purge is one store into it; a hit reads
// it.
type tag struct {
	hard   atomic.Uint64 // number of the last purge
	soft   atomic.Uint64 // number of the last soft purge
	softAt atomic.Int64  // when that was: a clock.Instant

	mu      sync.Mutex // for counting only: a hit takes no lock
	entries int        // stored responses that carry it, without those that it has purged
}

// purge marks all responses from before the number that it takes, and returns how many stored
// responses that concerns. It takes the number under the lock: a response that starts after the
// number is counted after it, and is not counted out.
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

// count adds n to the stored responses that carry the tag, for a response of generation gen. It
// does nothing if a purge has already counted that response out.
func (t *tag) count(n int, gen uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hard.Load() <= gen {
		t.entries += n
	}
}

// tags finds tags by name. It holds them weakly: a tag is collected when no stored response carries
// it any more.
type tags struct {
	mu    sync.RWMutex
	named map[string]weak.Pointer[tag]
}

// get returns the tag of that name, and makes it if it does not exist.
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

// find returns the tag of that name, or nil if no stored response carries it.
func (t *tags) find(name string) *tag {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.named[name].Value()
}

// forgotten is what remains of a collected tag, for its clean-up.
type forgotten struct {
	name    string
	pointer weak.Pointer[tag]
}

func (t *tags) forget(f forgotten) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.named[f.name] == f.pointer { // otherwise a new tag of that name was made in the meantime
		delete(t.named, f.name)
	}
}
