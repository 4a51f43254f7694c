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

// Limits.
const (
	// pinnedPart is the part of MaxBytes that bodies may take that clients still read, but that have left memory.
	pinnedPart = 4
)

// vaultConfig says how much a Cache holds.
type Config struct {
	MaxBytes       int64
	MaxObjectBytes int64                     // 0 for the default of [memory.Config]
	Encodable      func(*object.Object) bool // whether a response may be stored in other codings, too; nil if none may
}

// Cache holds what is stored in memory, and knows what has been purged. All its methods are safe for concurrent use.
type Cache struct {
	memory      *memory.Cache[Resource]
	maxObject   int64
	maxBytes    int64
	encodable   func(*object.Object) bool
	pinned      *readers.Room // of bodies that are read, but not in memory any more
	addresses   addresses
	purges      purges
	hitForMiss  hitForMiss
	tags        *tags        // apart, for the clean-ups of tags hold it: were it part of the Cache, they would hold the responses, too
	entries     atomic.Int64 // stored responses, purged ones that have not been met yet included
	remembering atomic.Int64 // of these, those that remember further preferences: see also
}

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

// Peek returns what is stored for a URL. It counts nothing.
func (c *Cache) Peek(k []byte) Resource {
	r, _ := c.memory.Peek(k)
	return r
}

// Generation is where the sequence of purges stands.
func (c *Cache) Generation() uint64 { return c.purges.now() }

// PurgedSince reports whether a URL, or one of the tags, was or may have been purged after gen.
func (c *Cache) PurgedSince(m *Marks, tags []string, gen uint64) bool {
	return c.purges.purgedSince(m, gen) || c.purges.tagsPurgedSince(tags, gen)
}

// TagsPurgedSince reports whether one of the tags was, or may have been, purged after gen.
func (c *Cache) TagsPurgedSince(tags []string, gen uint64) bool {
	return c.purges.tagsPurgedSince(tags, gen)
}

// MaxBody is the largest response that is stored, in bytes.
func (c *Cache) MaxBody() int64 { return c.maxObject }

// ReadRoom is where it is counted who reads what is no longer in memory.
func (c *Cache) ReadRoom() *readers.Room { return c.pinned }

// Reserve is [flight.Room]'s. A body that would be evicted under its readers, while others have been and are still read, is not kept.
func (c *Cache) Reserve(n, has int64, passing bool) bool {
	return (passing || c.pinned.Admits(has+n)) && c.memory.Reserve(n, has, passing)
}

// Release is [flight.Room]'s.
func (c *Cache) Release(n int64) { c.memory.Release(n) }

// vaultStats are what a Cache holds, and counts.
type Stats struct {
	memory.Stats
	Entries     int   // stored responses, purged ones that have not been met since included
	BytesPinned int64 // read, but not in memory any more
}

func (c *Cache) Stats() Stats {
	return Stats{Stats: c.memory.Stats(), Entries: int(c.entries.Load()), BytesPinned: c.pinned.Used()}
}

// Refused returns why the response for a URL could not be stored lately; None if it could, or that is not known.
func (c *Cache) Refused(k []byte, scope string, class Class, now time.Time) rules.Reason {
	return c.hitForMiss.of(k, scope, class, now)
}

// Refuse remembers why the response for a URL could not be stored.
func (c *Cache) Refuse(k []byte, scope string, class Class, reason rules.Reason, now time.Time) {
	c.hitForMiss.note(k, scope, class, reason, now)
}

// ForgetRefusal forgets that the response for a URL could not be stored.
func (c *Cache) ForgetRefusal(k []byte, scope string, class Class) {
	c.hitForMiss.forget(k, scope, class)
}

// update changes what memory holds for one URL, unless a purge of the URL, on one of the hosts that a proxy told, or of one of the tags, has come after the point where the change began.
// change gets the zero resource for nothing, and returns it to keep nothing; rest is what stays if there is no room for next. It is called under a lock.
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

// evicting says what stays of a resource that is to make room: the variants that were used, if there are others. What somebody has asked for once, with a header that he made up,
// takes no room from a page that others use.
func (c *Cache) evicting(r Resource) (Resource, int64, bool) {
	next, ok := r.used()
	if !ok {
		return r, 0, false
	}
	c.count(r, next)
	return next, next.size(), true
}

// count keeps the books on stored responses when next takes the place of old.
func (c *Cache) count(old, next Resource) {
	if old == next {
		return
	}
	for v := range next.Variants {
		v.pay() // before the same bytes are paid for no longer
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

// removed hears from memory of what is no longer there.
func (c *Cache) removed(r Resource) {
	for v := range r.Variants {
		c.countOut(v)
	}
}

// NewVariant returns o with what memory keeps about it.
func (c *Cache) NewVariant(o object.Object, tagNames []string, gen uint64, pattern string) *Variant {
	v := &Variant{Object: o, Gen: gen, pattern: unique.Make(pattern)}
	var encs *Encodings
	if c.encodable != nil && c.encodable(&v.Object) {
		encs = new(Encodings)
	}
	var hosts *[]string
	if scope := v.Selector().Scope; scope != "" {
		if told := key.Hosts(nil, scope); len(told) > 0 {
			hosts = &told
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

// AskedAgain reports whether v, which is about to be stored, was asked for before: by those who waited for it, or lately,
// when it found no room beside the other variants. Memory keeps what it knows of a URL as a whole.
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
	name := slices.Concat(k, []byte{0}, binary.AppendUvarint(nil, uint64(len(s.Scope))), []byte(s.Scope), []byte(s.Variant)) // no key goes on so
	return c.memory.Remember(name)
}

// Publish stores v, in place of old if there is one.
func (c *Cache) Publish(k []byte, v, old *Variant, class Class) bool {
	stored := false
	resident := c.update(k, v.proxiedHosts(), v.TagNames(), v.Gen, func(r Resource) (Resource, Resource) {
		stored = true
		return r.with(v, old, c.maxObject)
	})
	return c.kept(k, v, class, resident && stored)
}

// kept forgets that the URL could not be stored, if it is now.
func (c *Cache) kept(k []byte, v *Variant, class Class, stored bool) bool {
	if stored {
		c.hitForMiss.forget(k, v.Selector().Scope, class)
	}
	return stored
}

// Replace stores v in place of old, if old is still what is stored: a validation must not bring back what has been removed or replaced in the meantime.
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

// Discard forgets old, which turned out to be no longer right.
func (c *Cache) Discard(k []byte, old *Variant) {
	c.update(k, nil, nil, c.purges.now(), func(r Resource) (Resource, Resource) {
		r = r.without(old)
		return r, r
	})
}

// forgetHitForMiss forgets that the answers for a URL could not be stored. Of those in a scope it does not know: they end by themselves.
func (c *Cache) forgetHitForMiss(k []byte) {
	c.hitForMiss.forget(k, "", Anonymous)
	c.hitForMiss.forget(k, "", credentialed)
}
