package memory

import (
	"slices"
	"sync"
)

const (
	// deleteBatch is how many keys DeleteFunc judges before it lets others in.
	deleteBatch = 256

	// minShrink is the number of entries below which a shard is never rebuilt.
	minShrink = 1024
)

// shard is a part of a Cache. New entries go into the window, first in, first out. Those that leave
// it stay in main if policy.go says so. Main is two bags: once has the entries that had been asked
// for once when they came there, twice has the others. When an entry in once is found to have been
// asked for since, it is moved.
//
// bytes is windowUsed + mainUsed, windowUsed <= windowMax and mainUsed <= mainMax. That holds at
// all times, since room is made before it is used, except for the moment in which a reservation
// lowers the limits, see pool.
type shard[V any] struct {
	mu    sync.RWMutex
	hash  func(key string) uint64
	index index[V] // by the hash of the key, which tells keys apart but for an accident, see at
	peak  int      // the largest index.len() since it was built

	window      window[V]
	once, twice bag[V]
	losers      []*entry[V] // room for contest

	listing listing[V]
	// words is that of Cache.ListBy; nil if nothing is listed.
	words func(dst []uint64, key string, v V) []uint64
	room  []uint64 // for what words returns

	windowUsed, windowMax int64
	mainMax               int64

	policy policy
	pool   *pool

	overhead int64 // see Cache
	hooks    hooks[V]
	count    count
}

// hooks are what the owner of a Cache says about its values.
type hooks[V any] struct {
	removed func(V)      // see Cache.OnRemove; never nil
	lessen  shrinker[V]  // see Cache.OnEvict; nil leaves nothing
	spare   func(V) bool // see Cache.OnSpare; nil if there is nothing to spare
}

// count is for Stats.
type count struct{ evictions, rejections uint64 }

func (s *shard[V]) init(budget, overhead int64, random uint64, hash func(string) uint64, p *pool) {
	s.hash = hash
	s.policy, s.pool = newPolicy(budget, random), p
	s.once.number, s.twice.number = 0, 1
	s.overhead = overhead
	s.hooks.removed = func(V) {}
	s.fit()
}

// at returns the resident with this key; nil if there is none. Only one of the keys with the same
// hash can be resident.
func (s *shard[V]) at(h uint64, key []byte) *entry[V] {
	if e := s.index.get(h); e != nil && e.key == string(key) {
		return e
	}
	return nil
}

// insert makes a new key resident, if it is worth that.
func (s *shard[V]) insert(h uint64, e *entry[V]) bool {
	if other := s.index.get(h); other != nil {
		s.remove(other)
		s.count.evictions++
	}
	e.heat.Store(uint64(s.policy.arrive(h, e.cost(), s.index.len())))
	if !s.place(e) {
		s.count.rejections++
		s.hooks.removed(e.value)
		return false
	}
	s.index.put(h, e)
	s.peak = max(s.peak, s.index.len())
	s.list(e)
	return true
}

// replace gives a resident another value. It keeps its place if that is large enough, or if v is no
// larger. If v finds no room, rest says what stays in the room that e had.
func (s *shard[V]) replace(e *entry[V], v V, cost int64, rest shrinker[V]) bool {
	used, limit := s.part(e)
	if cost <= e.cost() || used-e.cost()+cost <= limit {
		s.recharge(e, cost)
		s.set(e, v)
		return true
	}
	young, had := e.young(), e.cost()
	s.detach(e)
	s.set(e, v)
	e.charge = uint32(cost)
	if s.place(e) {
		return true
	}
	s.count.rejections++
	if !s.become(e, rest, had) {
		s.forget(e)
		return false
	}
	s.putBack(e, young) // no entry has left, so the room that it had is still there
	return false
}

// refuse does what replace does for a v that is larger than any entry may be. e is nil if there is
// nothing to replace.
func (s *shard[V]) refuse(e *entry[V], v V, rest shrinker[V]) {
	s.count.rejections++
	if e == nil {
		s.hooks.removed(v)
		return
	}
	young, had := e.young(), e.cost()
	s.detach(e)
	s.set(e, v)
	if s.become(e, rest, had) {
		s.putBack(e, young)
	} else {
		s.forget(e)
	}
}

// shrinker makes a value smaller: it returns what stays, what that costs as with Update, and false
// if nothing stays.
type shrinker[V any] func(v V) (less V, cost int64, ok bool)

// become makes e, which has no place, what f leaves of its value. It reports whether anything is
// left and costs no more than room.
func (s *shard[V]) become(e *entry[V], f shrinker[V], room int64) bool {
	if f == nil || room <= 0 {
		return false
	}
	less, cost, ok := f(e.value)
	if !ok {
		return false
	}
	s.set(e, less)
	if cost = max(cost, 0) + s.overhead + int64(len(e.key)); cost > room {
		return false
	}
	e.charge = uint32(cost)
	return true
}

// putBack puts e where it was.
func (s *shard[V]) putBack(e *entry[V], young bool) {
	if young {
		s.pushWindow(e)
	} else {
		s.pushMain(e)
	}
}

// place puts e, which has no place, into the window, or into main if it is too
// large for that. It does not touch the index entry of e.
func (s *shard[V]) place(e *entry[V]) bool {
	if e.cost() > s.windowMax {
		return s.contest(e)
	}
	for s.windowUsed+e.cost() > s.windowMax {
		s.leaveWindow(s.window.oldest())
	}
	s.pushWindow(e)
	return true
}

// leaveWindow moves e from the window to main, or takes it out.
func (s *shard[V]) leaveWindow(e *entry[V]) {
	s.detach(e)
	if s.contest(e) || s.become(e, s.hooks.lessen, e.cost()-1) && s.contest(e) {
		return
	}
	s.forget(e)
	s.count.evictions++
}

// evict takes e, which has lost its place, out, or leaves what lessen makes of it, if that fits the
// room.
func (s *shard[V]) evict(e *entry[V], room int64) {
	if s.become(e, s.hooks.lessen, min(room, e.cost()-1)) {
		s.pushMain(e)
		return
	}
	s.forget(e)
	s.count.evictions++
}

// remove takes a resident out.
func (s *shard[V]) remove(e *entry[V]) {
	s.detach(e)
	s.forget(e)
}

// forget takes e, which has lost its place, out of the index. Its count is remembered, for when it
// comes back.
func (s *shard[V]) forget(e *entry[V]) {
	h := s.hash(e.key)
	s.index.remove(h)
	s.unlist(e)
	s.hooks.removed(e.value)
	s.policy.leave(h, e.count(s.policy.now))
	s.shrink()
}

// shrink rebuilds what grows with the number of entries and does not shrink by itself, when three
// quarters of the entries have gone. Otherwise a cache that was full of small objects and is now
// full of large ones would exceed its budget by tens of per cent.
func (s *shard[V]) shrink() {
	if s.peak < minShrink || s.index.len() > s.peak/4 {
		return
	}
	s.index.resize()
	s.peak = s.index.len()
	s.window.shrink()
	s.once.entries, s.twice.entries = slices.Clone(s.once.entries), slices.Clone(s.twice.entries)
	s.policy.sketch.shrink(s.peak)
	s.policy.seen.shrink(s.peak)
}

func (s *shard[V]) pushWindow(e *entry[V]) {
	s.window.push(e)
	s.windowUsed += e.cost()
}

func (s *shard[V]) addTo(st *Stats) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st.Len += s.index.len()
	st.Bytes += s.windowUsed + s.mainUsed()
	st.Evictions += s.count.evictions
	st.Rejections += s.count.rejections
}
