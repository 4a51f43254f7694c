// Package cache holds stored responses in memory, and knows what has been purged. It does no HTTP.
//
// For each primary key a [Cache] keeps a [Resource]: up to [MaxVariants] variants, newest first. A
// [Variant] is one stored response with its tags, its encodings and what happened since: failures,
// soft purges, uses. Marks in a table say when a URL, a path, a tag or everything was purged last.
//
// Resources and stored responses are immutable: a change publishes a new resource. What a variant
// counts about itself is atomic. Callers must not write to a header or body that they read here.
//
// A caller that renders a response notes [Cache.Generation] before it starts, and gives it to
// [Cache.NewVariant]. Publish and Replace refuse the variant if a purge of its URL or of one of its
// tags came in between.
package cache

import (
	"encoding/binary"
	"slices"
	"sync/atomic"
	"time"
	"unique"

	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/memory"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/readers"
	"github.com/edgecache-go/edgecache/internal/rules"
)

const (
	// Bodies that have left memory, but that clients still read, may take MaxBytes divided by this.
	pinnedPart = 4
)

// Config says how much a Cache holds.
type Config struct {
	MaxBytes       int64
	MaxObjectBytes int64 // 0 for the default of [memory.Config]
	// Encodable reports whether a response may also be stored in other encodings; nil if none may.
	Encodable func(*object.Object) bool
}

// Cache holds what is stored in memory, and knows what has been purged. All its methods are safe
// for concurrent use.
type Cache struct {
	memory     *memory.Cache[Resource]
	maxObject  int64
	maxBytes   int64
	encodable  func(*object.Object) bool
	pinned     *readers.Room // counts bodies that are read but have left memory
	addresses  addresses
	purges     purges
	hitForMiss hitForMiss
	// tags is a pointer because clean-ups of tags hold it. As a part of the Cache it would keep all
	// responses alive.
	tags        *tags
	entries     atomic.Int64 // stored responses, with purged ones that no request has met yet
	remembering atomic.Int64 // those of entries that remember further preferences: see also
}

// New returns an empty Cache.
func New(cfg Config) *Cache {
	c := &Cache{
		memory:    memory.New[Resource](memory.Config{MaxBytes: cfg.MaxBytes, MaxEntryBytes: cfg.MaxObjectBytes}),
		maxBytes:  cfg.MaxBytes,
		encodable: cfg.Encodable,
		pinned:    readers.NewRoom(cfg.MaxBytes / pinnedPart),
		purges:    newPurges(),
		tags:      new(tags),
	}
	c.addresses.init()
	c.maxObject = c.memory.MaxReserve()
	c.memory.OnRemove(c.removed)
	c.memory.OnEvict(c.evicting)
	c.memory.OnSpare(Resource.hasUnused)
	c.memory.ListBy(c.words)
	return c
}

// Get returns what is stored for a URL, and counts that as a use.
func (c *Cache) Get(k []byte) Resource {
	r, _ := c.memory.Get(k)
	return r
}

// Peek returns what is stored for a URL, and counts nothing.
func (c *Cache) Peek(k []byte) Resource {
	r, _ := c.memory.Peek(k)
	return r
}

// Generation returns the number of the last purge.
func (c *Cache) Generation() uint64 { return c.purges.now() }

// PurgedSince reports whether the URL of m, or one of the tags, was or may have been purged after
// gen.
func (c *Cache) PurgedSince(m *Marks, tags []string, gen uint64) bool {
	return c.purges.purgedSince(m, gen) || c.purges.tagsPurgedSince(tags, gen)
}

// TagsPurgedSince reports whether one of the tags was, or may have been, purged after gen.
func (c *Cache) TagsPurgedSince(tags []string, gen uint64) bool {
	return c.purges.tagsPurgedSince(tags, gen)
}

// MaxBody returns the size of the largest response that is stored, in bytes.
func (c *Cache) MaxBody() int64 { return c.maxObject }

// ReadRoom returns the count of bodies that clients read although they have left memory.
func (c *Cache) ReadRoom() *readers.Room { return c.pinned }

// Reserve is [flight.Room]'s. It refuses a body that is to be kept if its readers would pin it
// after an eviction, and pinned bodies have used up their room.
func (c *Cache) Reserve(n, has int64, passing bool) bool {
	return (passing || c.pinned.Admits(has+n)) && c.memory.Reserve(n, has, passing)
}

// Release is [flight.Room]'s.
func (c *Cache) Release(n int64) { c.memory.Release(n) }

// Stats are counts of a Cache, and what it holds now.
type Stats struct {
	memory.Stats
	Entries     int   // stored responses, with purged ones that no request has met since
	BytesPinned int64 // read by clients, but no longer in memory
}

// Stats returns the counts.
func (c *Cache) Stats() Stats {
	return Stats{Stats: c.memory.Stats(), Entries: int(c.entries.Load()), BytesPinned: c.pinned.Used()}
}

// HitForMiss returns why the response for a URL could not be stored lately. It returns None if the
// response could be stored, or if the Cache does not know.
func (c *Cache) HitForMiss(k []byte, scope string, class Class, now time.Time) rules.Reason {
	return c.hitForMiss.of(k, scope, class, now)
}

// SetHitForMiss remembers why the response for a URL could not be stored.
func (c *Cache) SetHitForMiss(k []byte, scope string, class Class, reason rules.Reason, now time.Time) {
	c.hitForMiss.note(k, scope, class, reason, now)
}

// ForgetHitForMiss forgets that the response for a URL could not be stored.
func (c *Cache) ForgetHitForMiss(k []byte, scope string, class Class) {
	c.hitForMiss.forget(k, scope, class)
}

// update changes what memory holds for one URL. It does nothing if the URL, on its host or on one
// of the proxied hosts, or one of the tags was purged after gen.
//
// change gets the zero resource for nothing, and returns it to keep nothing; rest is what stays if
// there is no room for next. change runs under the lock of the entry.
func (c *Cache) update(k []byte, hosts, tags []string, gen uint64, change func(Resource) (next, rest Resource)) (kept bool) {
	var rest Resource
	m := c.Marks(k, hosts)
	return c.memory.UpdateOr(k, func(old Resource, _ bool) (Resource, int64, bool) {
		next := old
		if !c.purges.purgedSince(&m, gen) && !c.purges.tagsPurgedSince(tags, gen) {
			next, rest = change(old)
		}
		if next == (Resource{}) {
			return next, 0, false
		}
		c.count(old, next)
		return next, next.size(), true
	}, func(next Resource) (Resource, int64, bool) {
		if rest == (Resource{}) {
			return rest, 0, false
		}
		c.count(next, rest)
		return rest, rest.size(), true
	})
}

// evicting tells memory what stays of a resource that must make room: the variants that were used,
// if there are others. A response to a made-up header, which was asked for once, takes no room from
// responses that others use.
func (c *Cache) evicting(r Resource) (Resource, int64, bool) {
	next, ok := r.used()
	if !ok {
		return r, 0, false
	}
	c.count(r, next)
	return next, next.size(), true
}

// count updates the counts of stored responses when next takes the place of old.
func (c *Cache) count(old, next Resource) {
	if old == next {
		return
	}
	for v := range next.Variants {
		v.pay() // first, so that bytes which both share stay paid for
	}
	for v := range old.Variants {
		c.countOut(v)
	}
	for v := range next.Variants {
		c.entries.Add(1)
		if v.remembers() {
			c.remembering.Add(1)
		}
		for _, t := range v.tags() {
			t.count(1, v.Gen)
		}
	}
}

// countOut takes v out of the counts.
func (c *Cache) countOut(v *Variant) {
	v.unpay()
	c.entries.Add(-1)
	if v.remembers() {
		c.remembering.Add(-1)
	}
	for _, t := range v.tags() {
		t.count(-1, v.Gen)
	}
}

// removed is called by memory with what is no longer there.
func (c *Cache) removed(r Resource) {
	for v := range r.Variants {
		c.countOut(v)
	}
}

// NewVariant returns o with what memory keeps about it. gen is the Generation from before o was
// rendered; pattern is that of the route that rendered it.
func (c *Cache) NewVariant(o object.Object, tagNames []string, gen uint64, pattern string) *Variant {
	v := &Variant{Object: o, Gen: gen, pattern: unique.Make(pattern)}
	var encs *Encodings
	if c.encodable != nil && c.encodable(&v.Object) {
		encs = new(Encodings)
	}
	var hosts *[]string
	if scope := v.Selector().Scope; scope != "" {
		if named := key.Hosts(nil, scope); len(named) > 0 {
			hosts = &named
		}
	}
	if len(tagNames) == 0 && encs == nil && hosts == nil {
		return v
	}
	v.extras = &extras{tagNames, make([]*tag, len(tagNames)), encs, hosts}
	for i, name := range tagNames {
		v.extras.tags[i] = c.tags.get(name)
	}
	return v
}

// AskedAgain reports whether v, which is about to be stored, was asked for before: by waiters, or
// lately, when it found no room beside the other variants. Memory remembers URLs, so a variant is
// remembered under a name of its own.
func (c *Cache) AskedAgain(k []byte, v *Variant, waited bool) bool {
	if waited {
		c.memory.Remember(k)
		return true
	}
	r, _ := c.memory.Peek(k)
	s := v.Selector()
	if r.newest == nil || r.any(func(o *Variant) bool { return o.Selector() == s }) {
		return false
	}
	// no key has a zero byte
	name := slices.Concat(k, []byte{0}, binary.AppendUvarint(nil, uint64(len(s.Scope))), []byte(s.Scope), []byte(s.Variant))
	return c.memory.Remember(name)
}

// Publish stores v, in place of old if that is not nil, and reports whether v is stored. It refuses
// v if its URL or one of its tags was purged since v.Gen.
func (c *Cache) Publish(k []byte, v, old *Variant, class Class) bool {
	stored := false
	resident := c.update(k, v.proxiedHosts(), v.TagNames(), v.Gen, func(r Resource) (Resource, Resource) {
		stored = true
		return r.with(v, old, c.maxObject)
	})
	return c.kept(k, v, class, resident && stored)
}

// kept forgets the hit-for-miss of a URL whose response is stored now.
func (c *Cache) kept(k []byte, v *Variant, class Class, stored bool) bool {
	if stored {
		c.hitForMiss.forget(k, v.Selector().Scope, class)
	}
	return stored
}

// Replace stores v in place of old if old is still stored, and reports whether it did: a validation
// must not bring back what was removed or replaced in the meantime.
func (c *Cache) Replace(k []byte, v, old *Variant, class Class) bool {
	replaced := false
	resident := c.update(k, v.proxiedHosts(), v.TagNames(), v.Gen, func(r Resource) (Resource, Resource) {
		if !r.has(old) || old.Purged() {
			return r, r
		}
		replaced = true
		return r.with(v, old, c.maxObject)
	})
	return c.kept(k, v, class, resident && replaced)
}

// Discard removes old, which is no longer right.
func (c *Cache) Discard(k []byte, old *Variant) {
	c.update(k, nil, nil, c.purges.now(), func(r Resource) (Resource, Resource) {
		r = r.without(old)
		return r, r
	})
}

// forgetHitForMiss forgets that responses for a URL could not be stored. It cannot name those in a
// scope; they end by themselves.
func (c *Cache) forgetHitForMiss(k []byte) {
	c.hitForMiss.forget(k, "", Anonymous)
	c.hitForMiss.forget(k, "", credentialed)
}
