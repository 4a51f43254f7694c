package cache

import (
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// A handler that ignores Accept gives the same response to every request. The cache keeps such a
// response once: the stored variant remembers for which further preferences the handler has given
// the same.
const (
	maxAlso      = 16  // preferences that one response remembers; beyond them the least used goes
	alsoOverhead = 192 // bytes of a response that remembers any
	alsoShare    = 64  // all of them together take at most this part of MaxBytes, beside MaxBytes
)

// also holds further preferences that a response answers.
type also [maxAlso]struct {
	hash atomic.Uint32
	used atomic.Uint32
}

// answersToo reports whether the handler has given the same as v to a request with these
// preferences.
func (v *Variant) answersToo(hash madeFor) bool {
	t := v.failures.Load()
	if t == nil {
		return false
	}
	list := t.also.Load()
	if list == nil || hash == 0 {
		return false
	}
	for i := range list {
		if entry := &list[i]; entry.hash.Load() == uint32(hash) {
			if n := entry.used.Load(); n < 1024 {
				entry.used.Store(n + 1)
			}
			return true
		}
	}
	return false
}

// Repeats looks for a stored response that is the same as v, which was rendered for req because no
// stored response answered it. That response then remembers the preferences of v, too. Repeats
// reports whether there is one; then v need not be stored.
func (c *Cache) Repeats(k []byte, v *Variant, req *rules.Request, now time.Time) (found bool) {
	hash := v.made.hash()
	if v.made&madeAlone != 0 || hash == 0 || v.Choice()&object.Representations == 0 {
		return false
	}
	c.update(k, v.proxiedHosts(), v.TagNames(), v.Gen, func(r Resource) (Resource, Resource) {
		selector := v.Selector()
		for o := range r.Variants {
			if o.made&madeAlone != 0 || o.Purged() || !o.Terms.Fits(req) || o.TTL(now) <= 0 || o.Selector() != selector || !o.Same(&v.Object) {
				continue
			}
			if found = c.remember(o, uint32(hash)); found {
				break
			}
		}
		return r, r
	})
	return found
}

// remember makes o answer further preferences. It returns false if there is no room for that. The
// caller holds the lock of the entry.
func (c *Cache) remember(o *Variant, hash uint32) bool {
	t := o.withFailures()
	list := t.also.Load()
	if list == nil {
		if (c.remembering.Add(1))*alsoOverhead > c.maxBytes/alsoShare {
			c.remembering.Add(-1)
			return false
		}
		list = new(also)
		t.also.Store(list)
	}
	least := 0
	for i := range list {
		switch entry := &list[i]; {
		case entry.hash.Load() == hash:
			return true
		case entry.hash.Load() == 0:
			entry.hash.Store(hash)
			return true
		case entry.used.Load() < list[least].used.Load():
			least = i
		}
	}
	list[least].hash.Store(0) // so that no request counts a use of the old preferences for the new ones
	list[least].used.Store(0)
	list[least].hash.Store(hash)
	return true
}

// remembers reports whether v has further preferences.
func (v *Variant) remembers() bool {
	t := v.failures.Load()
	return t != nil && t.also.Load() != nil
}
