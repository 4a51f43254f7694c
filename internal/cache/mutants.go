package cache

import (
	"time"

	"github.com/edgecache-go/edgecache/internal/key"
)

// Mutants are broken forms of purging, and steps of one. Tests use them to show that they can fail;
// nothing else calls them.
type Mutants struct{ c *Cache }

// Mutants returns the mutants of c.
func (c *Cache) Mutants() Mutants { return Mutants{c} }

// TagCount returns how many tags have not been collected yet.
func (m Mutants) TagCount() int {
	m.c.tags.mu.RLock()
	defer m.c.tags.mu.RUnlock()
	return len(m.c.tags.named)
}

// PurgeWithoutMark removes the response of the path on the host, but lets fetches in progress store
// it again.
func (m Mutants) PurgeWithoutMark(host, path string) {
	for _, scheme := range [...]string{"http", "https"} {
		m.c.memory.Delete(key.OfURL(nil, scheme, host, path))
	}
}

// PurgeMarkOnly keeps fetches in progress from storing, but removes nothing.
func (m Mutants) PurgeMarkOnly(host, path string) {
	m.c.purges.bump(m.c.addresses.of(key.OfURL(nil, "http", host, path)))
}

// PurgeTagWithoutMark makes responses with the tag unusable, but lets fetches in progress store
// them and be joined.
func (m Mutants) PurgeTagWithoutMark(name string) {
	if t := m.c.tags.find(name); t != nil {
		t.purge(m.c.purges.table.Next)
	}
}

// PurgeAllWithoutMark empties memory, but lets fetches in progress store again.
func (m Mutants) PurgeAllWithoutMark() { m.c.memory.Clear() }

// ForgetPaths removes the marks that unsafe methods have left.
func (m Mutants) ForgetPaths() {
	for i := range uint32(pathPlaces) {
		m.c.purges.table.Forget(firstPath + i)
	}
}

// MakeInvalidSoft treats invalidated responses as soft-purged.
func (m Mutants) MakeInvalidSoft() {
	for _, r := range m.c.memory.All() {
		for v := range r.Variants {
			if t := v.failures.Load(); t != nil {
				t.invalid.Store(false)
			}
		}
	}
}

// SoftPurgeWithoutMark makes the response of the path on the host stale, but lets a 304 in progress
// make it fresh again.
func (m Mutants) SoftPurgeWithoutMark(host, path string) {
	for _, scheme := range [...]string{"http", "https"} {
		if r, ok := m.c.memory.Peek(key.OfURL(nil, scheme, host, path)); ok {
			r.softPurge(time.Now())
		}
	}
}

// NextNumber takes the next number of the sequence, as a purge does first.
func (m Mutants) NextNumber() uint64 { return m.c.purges.table.Next() }

// FinishPurge does the rest of a purge of the URL with the primary key k that has taken this
// number.
func (m Mutants) FinishPurge(k []byte, number uint64) {
	m.c.purges.table.Mark(number, uint32(m.c.addresses.of(k).url()))
	m.c.memory.Delete(k)
}
