package cache

import (
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// A handler that takes no notice of Accept gives the same response to all. Such a response is kept once: what is stored
// remembers for which further preferences the handler has given the same.
const (
	maxAlso      = 16  // preferences that one response remembers; beyond them the least used goes
	alsoOverhead = 192 // of a response that remembers any, in bytes
	alsoShare    = 64  // all together take no more than this part of MaxBytes; it is not part of that
)

// also are further preferences that a response answers.
type also [maxAlso]struct {
	hash atomic.Uint32
	used atomic.Uint32
}

// answersToo reports whether the handler has given the same as v to a request with these preferences.
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

// Repeats looks for a stored response that v, which answers a request that nothing stored did, only repeats, and has
// that remember it. It reports whether there is one; then v need not be stored.
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

// remember has o answer further preferences. It reports false if there is no room for that. It is called under a lock.
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
	list[least].hash.Store(0) // so that nobody takes the uses of one for those of the other
	list[least].used.Store(0)
	list[least].hash.Store(hash)
	return true
}

// remembers reports whether v has further preferences.
func (v *Variant) remembers() bool {
	t := v.failures.Load()
	return t != nil && t.also.Load() != nil
}
