// Package memory is the first level of the cache: decoded objects, bounded by bytes.
//
// It is synchronous. What Update admits is visible to the next Get. What it deletes or refuses is
// gone when it returns. No goroutine, timer or queue stands behind it, so there is nothing to
// close.
package memory

import (
	"hash/maphash"
	"iter"
	"math"
	"math/bits"
	"math/rand/v2"
	"reflect"
	"sync/atomic"
)

const (
	// EntryOverhead is what an entry is charged besides its key, the size of V and the cost that
	// Update reports: for the entry, its place in the index and in the queues, its share of the
	// frequency sketch, and the rounding of the allocator. It is measured; see TestHeap.
	EntryOverhead = 128

	// shardBytes is the budget that is worth a shard, and so a lock, of its own.
	shardBytes = 16 << 20
	maxShards  = 64
)

// Config says how large a Cache is.
type Config struct {
	// MaxBytes bounds everything that the cache holds: values as Update prices them, keys, and the
	// overhead of each entry. A cache of 0 or less holds nothing.
	MaxBytes int64

	// MaxEntryBytes is the most that one entry may be charged; larger ones are refused. 0 means an
	// eighth of MaxBytes or half a shard, whichever is less. If it is set, there are few enough
	// shards for such an entry to fit one. It is at most what a single shard can hold, and less
	// than 4 GiB.
	MaxEntryBytes int64

	// Shards is the number of independently locked parts, rounded down to a
	// power of two. 0 means one per 16 MiB of MaxBytes, at least 1, at most 64.
	Shards int

	seed uint64                  // if not 0, every run hashes and samples the same way
	hash func(key string) uint64 // hashes keys, if not nil
}

// Cache holds values of type V by key. It is safe for concurrent use. Values are handed out as they
// were put in: what they point to must not be changed.
type Cache[V any] struct {
	shards []shard[V]
	seed   maphash.Seed
	fixed  func(key string) uint64 // in place of seed, in tests; else nil

	maxBytes int64
	maxEntry int64 // never more than a shard can hold
	pool     pool
	overhead int64 // EntryOverhead and the size of V
	looked   atomic.Uint64
}

// Stats describes a Cache at one moment. Each shard is seen at its own moment.
type Stats struct {
	Len      int
	Bytes    int64 // what the entries are charged; never more than MaxBytes
	MaxBytes int64
	Reserved int64 // by Reserve; with Bytes never more than MaxBytes

	Evictions  uint64 // entries that made room for others
	Rejections uint64 // updates refused: too large, or not worth the room
	Refused    uint64 // by Reserve
	Looked     uint64 // items that Visit looked at
}

// New returns an empty Cache.
func New[V any](cfg Config) *Cache[V] {
	budget := max(cfg.MaxBytes, 0)
	n := shardCount(cfg)
	perShard := budget / int64(n)
	t := &Cache[V]{
		shards:   make([]shard[V], n),
		seed:     maphash.MakeSeed(),
		fixed:    cfg.hash,
		maxBytes: budget,
		maxEntry: cfg.MaxEntryBytes,
		overhead: EntryOverhead + int64(reflect.TypeFor[V]().Size()),
	}
	if t.maxEntry <= 0 {
		t.maxEntry = min(budget/8, perShard/2)
	}
	// A shard's window has no room for what has left it.
	t.maxEntry = min(t.maxEntry, perShard-windowBytes(perShard), math.MaxUint32)
	t.pool.init(budget, perShard, int64(n), t.maxEntry)
	if cfg.seed != 0 && cfg.hash == nil {
		t.fixed = func(key string) uint64 { return fixedHash(cfg.seed, key) }
	}
	for i := range t.shards {
		random := cfg.seed + uint64(i)
		if cfg.seed == 0 {
			random = rand.Uint64()
		}
		t.shards[i].init(perShard, t.overhead, random, t.hash, &t.pool)
	}
	return t
}

// shardCount is a power of two, so that the shard of a key is some of the bits of its hash.
func shardCount(cfg Config) int {
	n := int64(cfg.Shards)
	if n <= 0 {
		n = cfg.MaxBytes / shardBytes
	}
	n = min(n, maxShards)
	if cfg.MaxEntryBytes > 0 {
		// Two of the largest entries fit a shard: with one, such an entry would empty it.
		n = min(n, cfg.MaxBytes/2/cfg.MaxEntryBytes)
	}
	if n < 1 {
		return 1
	}
	return 1 << (bits.Len64(uint64(n)) - 1)
}

// OnRemove makes f hear of every value that an Update wanted to keep and that is not, or no longer,
// resident: it was refused, evicted, deleted or cleared. f does not hear of a value that another
// one of its key has replaced: the function of that Update has seen it. f may be called under a
// lock: it must be short, and must not call the cache. OnRemove must be called before anything
// else.
func (t *Cache[V]) OnRemove(f func(V)) {
	for i := range t.shards {
		t.shards[i].hooks.removed = f
	}
}

// OnEvict makes f say what may stay of a value that is about to be evicted, and what that costs, as
// with Update. It stays if there is room for it. false means that nothing of it is worth staying. f
// may be called under a lock: it must be short, and must not call the cache. OnEvict must be called
// before anything else.
func (t *Cache[V]) OnEvict(f func(v V) (less V, cost int64, ok bool)) {
	for i := range t.shards {
		t.shards[i].hooks.lessen = f
	}
}

// OnSpare makes f say whether a value has parts to spare although other parts of it were asked for
// again. The parts to spare were asked for once, and are what the function of OnEvict leaves out.
// They are the first to make room, and take none from what was asked for twice. The conditions of
// OnEvict hold.
func (t *Cache[V]) OnSpare(f func(V) bool) {
	for i := range t.shards {
		t.shards[i].hooks.spare = f
	}
}

// MaxEntryBytes is the most that one entry may be charged, its key and overhead included.
func (t *Cache[V]) MaxEntryBytes() int64 { return t.maxEntry }

// Get returns the value of key and counts a hit for it. It does not allocate, and takes only a read
// lock.
func (t *Cache[V]) Get(key []byte) (V, bool) {
	h := t.hashOf(key)
	s := t.shard(h)
	s.mu.RLock()
	e := s.at(h, key)
	if e == nil {
		s.mu.RUnlock()
		var zero V
		return zero, false
	}
	v := e.value
	e.hit(s.policy.now)
	s.mu.RUnlock()
	return v, true
}

// Peek is Get without counting a hit.
func (t *Cache[V]) Peek(key []byte) (V, bool) {
	h := t.hashOf(key)
	s := t.shard(h)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if e := s.at(h, key); e != nil {
		return e.value, true
	}
	var zero V
	return zero, false
}

// Update is the only way to write. It calls f with the present value of key. f returns the new
// value, what that costs in bytes beyond the key, the size of V itself and EntryOverhead, and
// whether to keep a value at all: false deletes.
//
// f runs under the lock of the key's shard: it must be short, and must not call the cache. If f
// panics, nothing has changed.
//
// Update reports whether the new value is resident now. It is not if f did not want it, if it is
// larger than MaxEntryBytes, or if it is not worth the room. Then the old one is gone as well. A
// value that replaces another keeps the hits that its key had.
func (t *Cache[V]) Update(key []byte, f func(old V, found bool) (v V, cost int64, keep bool)) (resident bool) {
	return t.UpdateOr(key, f, nil)
}

// UpdateOr is Update, but if a new value that replaces another finds no room, rest gets it and says
// what stays in its place, and what that costs. It stays if it costs no more than the old value
// did. The conditions for f hold for rest. UpdateOr reports false then.
func (t *Cache[V]) UpdateOr(key []byte, f func(old V, found bool) (v V, cost int64, keep bool), rest func(v V) (less V, cost int64, ok bool)) (resident bool) {
	h := t.hashOf(key)
	s := t.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()

	e := s.at(h, key)
	var old V
	if e != nil {
		old = e.value
	}
	v, cost, keep := f(old, e != nil)
	if !keep {
		if e != nil {
			s.remove(e)
		}
		return false
	}
	// By subtraction: a huge cost must not wrap round to a small sum.
	fixed := t.overhead + int64(len(key))
	if max(cost, 0) > t.maxEntry-fixed {
		s.refuse(e, v, rest)
		return false
	}
	cost = fixed + max(cost, 0)
	s.pool.giveBack(cost)
	s.fit()
	if e != nil {
		return s.replace(e, v, cost, rest)
	}
	return s.insert(h, &entry[V]{key: string(key), value: v, charge: uint32(cost), slot: nowhere})
}

// Remember notes that an absent key was asked for, so that an Update that makes it resident soon
// counts as asked for twice. It reports whether that was known.
func (t *Cache[V]) Remember(key []byte) (known bool) {
	h := t.hashOf(key)
	s := t.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at(h, key) == nil && s.policy.seen.note(h)
}

// Delete removes key and returns the value that it had.
func (t *Cache[V]) Delete(key []byte) (V, bool) {
	h := t.hashOf(key)
	s := t.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.at(h, key)
	if e == nil {
		var zero V
		return zero, false
	}
	s.remove(e)
	return e.value, true
}

// All yields what each shard holds when the iteration reaches it. No lock is held meanwhile, so the
// loop may use the cache, and it may meet values that have been replaced or deleted since.
func (t *Cache[V]) All() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for i := range t.shards {
			for _, p := range t.shards[i].pairs() {
				if !yield(p.key, p.value) {
					return
				}
			}
		}
	}
}

// DeleteFunc deletes the entries for which f is true and returns their number. A key that is
// resident from beginning to end is judged by a value that it has meanwhile, even if it is
// replaced. A key that is new meanwhile may escape.
//
// f runs under the lock of a shard, for at most deleteBatch keys at a time: it must be short, and
// must not call the cache.
func (t *Cache[V]) DeleteFunc(f func(key string, v V) bool) (n int) {
	for i := range t.shards {
		n += t.shards[i].deleteFunc(f)
	}
	return n
}

// Clear deletes everything, and forgets what was popular.
func (t *Cache[V]) Clear() {
	for i := range t.shards {
		t.shards[i].clear()
	}
}

// Stats locks one shard after the other, for reading and for a moment.
func (t *Cache[V]) Stats() Stats {
	st := Stats{MaxBytes: t.maxBytes, Reserved: t.pool.reserved(), Refused: t.pool.refused.Load(), Looked: t.looked.Load()}
	for i := range t.shards {
		t.shards[i].addTo(&st)
	}
	return st
}

// hashOf is seeded at random for each cache: a client that could choose keys which share a shard
// would have a fraction of the cache and all of a lock.
func (t *Cache[V]) hashOf(key []byte) uint64 {
	if t.fixed != nil {
		return t.fixed(string(key))
	}
	return maphash.Bytes(t.seed, key)
}

// hash is hashOf for a string.
func (t *Cache[V]) hash(key string) uint64 {
	if t.fixed != nil {
		return t.fixed(key)
	}
	return maphash.String(t.seed, key)
}

// fixedHash is FNV-1a, finished so that all bits depend on all bytes.
func fixedHash(seed uint64, key string) uint64 {
	h := seed ^ 14695981039346656037
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	return mix(h)
}

// shard takes the high bits of h; the sketch takes the low ones.
func (t *Cache[V]) shard(h uint64) *shard[V] {
	return &t.shards[h>>32&uint64(len(t.shards)-1)]
}
