package edgecache

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/edgecache-go/edgecache/internal/directive"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
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
	t.softAt.Store(int64(now.Sub(epoch)))
	t.soft.Store(number)
	return t.entries
}

// count adds n to the stored responses that carry the tag: one that began at the given point, unless a purge has counted it out.
func (t *tag) count(n int, began uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hard.Load() <= began {
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

// tagNames returns the names under which a response with these Cache-Groups is purged: each group by itself, for purges by the application, and within the origin of its URL, for
// purges by responses (RFC 9875, 2.1).
func tagNames(lines []string, k []byte) []string {
	if len(lines) == 0 {
		return nil
	}
	groups, ok := field.ParseStringList(lines)
	if !ok || len(groups) == 0 {
		return nil
	}
	origin := originOf(k)
	names := make([]string, 0, 2*len(groups))
	for _, g := range groups {
		g = directive.GroupName(g)
		names = append(names, g, inOrigin(origin, g))
	}
	return names
}

// inOrigin is the name of a tag within an origin. A zero byte is in no tag.
func inOrigin(origin, group string) string { return group + "\x00" + origin }

// isInOrigin reports whether name is one of inOrigin's.
func isInOrigin(name string) bool { return strings.IndexByte(name, 0) >= 0 }

// originOf returns scheme and host of the URL with the primary key k.
func originOf(k []byte) string {
	scheme, host, _, _ := key.Split(string(k))
	return scheme + "://" + host
}
