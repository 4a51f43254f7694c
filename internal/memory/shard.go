package memory

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// deleteBatch is how many keys DeleteFunc judges before it lets others in.
	deleteBatch = 256

	// minShrink is the number of entries below which a shard is never rebuilt.
	minShrink = 1024
)

// entry is a resident. The mutex of its shard guards all but heat, which
// readers change under the read lock.
type entry[V any] struct {
	key   string
	value V
	heat  atomic.Uint64 // a heat: how often it was asked for lately

	charge uint32 // see cost
	slot   int32  // its index in the bag where it is, doubled, and that bag's number; less than 0 in the window, see there; or nowhere
}

// cost is what e is charged: at most Tier.maxEntry, so that it fits four bytes.
func (e *entry[V]) cost() int64 { return int64(e.charge) }

// nowhere is the slot of an entry that has no place.
const nowhere = math.MinInt32

// young reports whether e, which has a place, is in the window.
func (e *entry[V]) young() bool { return e.slot < 0 }

// hit counts one. Of two readers at once only one may count, and a count at its
// limit is not written again before the clock moves on: the most popular
// entries, which all processors want, keep their cache lines shared.
func (e *entry[V]) hit(now uint32) {
	old := heat(e.heat.Load())
	if h := old.more(now); h != old {
		e.heat.Store(uint64(h))
	}
}

// again reports whether e was asked for at least twice.
func (e *entry[V]) again() bool { return heat(e.heat.Load())&again != 0 }

// count returns how often e was asked for lately, in units of 1/once.
func (e *entry[V]) count(now uint32) int64 { return heat(e.heat.Load()).at(now) }

// shard is a part of a Tier. New entries go into the window, first in, first
// out; those that leave it are kept in main if policy.go says so. Main is two
// bags: once has those that were asked for once when they came there, twice the
// others. Who finds one in once that was asked for since moves it.
//
// bytes is windowUsed + mainUsed, windowUsed <= windowMax and
// mainUsed <= mainMax: at all times, since room is made before it is used; but
// for the moment in which a reservation lowers the limits, see pool.
type shard[V any] struct {
	mu    sync.RWMutex
	hash  func(key string) uint64
	index index[V] // by the hash of its key, which is enough to tell keys apart but for an accident, see at
	peak  int      // the largest index.len() since it was built

	window      window[V]
	once, twice bag[V]
	losers      []*entry[V] // room for contest

	listing listing[V]
	words   func(dst []uint64, key string, v V) []uint64 // see Tier.ListBy; nil if nothing is listed
	room    []uint64                                     // for what words returns

	windowUsed, windowMax int64
	mainMax               int64

	policy policy
	pool   *pool

	overhead int64        // see Tier
	removed  func(V)      // see Tier.OnRemove; never nil
	lessen   shrinker[V]  // see Tier.OnEvict; nil leaves nothing
	spare    func(V) bool // see Tier.OnSpare; nil for nothing to spare

	evictions, rejections uint64
}

func (s *shard[V]) init(budget, overhead int64, random uint64, hash func(string) uint64, p *pool) {
	s.hash = hash
	s.policy, s.pool = newPolicy(budget, random), p
	s.once.number, s.twice.number = 0, 1
	s.overhead = overhead
	s.removed = func(V) {}
	s.fit()
}

// at returns the resident with this key, nil if there is none. Of keys with the same hash only one can be resident.
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
		s.evictions++
	}
	e.heat.Store(uint64(s.policy.arrive(h, e.cost(), s.index.len())))
	if !s.place(e) {
		s.rejections++
		s.removed(e.value)
		return false
	}
	s.index.put(h, e)
	s.peak = max(s.peak, s.index.len())
	s.list(e)
	return true
}

// replace gives a resident another value. It keeps its place if that is large
// enough, or if v is no larger. If v finds no room, rest says what stays in the
// room that e had.
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
	s.rejections++
	if !s.become(e, rest, had) {
		s.forget(e)
		return false
	}
	s.putBack(e, young) // nobody has left, so the room that it had is still there
	return false
}

// refuse does what replace does for a v that is larger than any entry may be. e is
// nil if there is nothing to replace.
func (s *shard[V]) refuse(e *entry[V], v V, rest shrinker[V]) {
	s.rejections++
	if e == nil {
		s.removed(v)
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

// shrinker makes a value less: it returns what stays, what that costs as with
// Update, and false if nothing does.
type shrinker[V any] func(v V) (less V, cost int64, ok bool)

// become makes e, which has no place, what f leaves of its value, and reports
// whether anything is left and costs no more than room.
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
	if s.contest(e) || s.become(e, s.lessen, e.cost()-1) && s.contest(e) {
		return
	}
	s.forget(e)
	s.evictions++
}

// evict takes e, which has no place any more, out, or leaves what lessen makes of
// it, if that fits the room.
func (s *shard[V]) evict(e *entry[V], room int64) {
	if s.become(e, s.lessen, min(room, e.cost()-1)) {
		s.pushMain(e)
		return
	}
	s.forget(e)
	s.evictions++
}

// remove takes a resident out.
func (s *shard[V]) remove(e *entry[V]) {
	s.detach(e)
	s.forget(e)
}

// forget takes e, which has no place any more, out of the index. What it was
// asked for is remembered, for when it comes back.
func (s *shard[V]) forget(e *entry[V]) {
	h := s.hash(e.key)
	s.index.remove(h)
	s.unlist(e)
	s.removed(e.value)
	s.policy.leave(h, e.count(s.policy.now))
	s.shrink()
}

// shrink rebuilds what grows with the number of entries and does not shrink by
// itself, when three quarters of the entries have gone: else a tier that was
// full of small objects and is full of large ones now would exceed its budget
// by tens of per cent.
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

// mainUsed is what all that is not in the window is charged.
func (s *shard[V]) mainUsed() int64 { return s.once.used + s.twice.used }

func (s *shard[V]) pushMain(e *entry[V]) {
	if e.again() {
		s.twice.push(e)
	} else {
		s.once.push(e)
	}
}

// bag is a part of main, in no order.
type bag[V any] struct {
	entries []*entry[V]
	used    int64 // what they are charged
	number  int32 // 0 or 1
}

func (b *bag[V]) push(e *entry[V]) {
	e.slot = int32(len(b.entries))<<1 | b.number
	b.entries = append(b.entries, e)
	b.used += e.cost()
}

func (b *bag[V]) take(e *entry[V]) {
	i, last := e.slot>>1, len(b.entries)-1
	b.entries[i] = b.entries[last]
	b.entries[i].slot = e.slot
	b.entries[last] = nil
	b.entries = b.entries[:last]
	b.used -= e.cost()
	e.slot = nowhere
}

// part tells what the part of the shard where e is uses, and how much it may.
func (s *shard[V]) part(e *entry[V]) (used, limit int64) {
	if e.young() {
		return s.windowUsed, s.windowMax
	}
	return s.mainUsed(), s.mainMax
}

// recharge changes what a resident is charged, in its place.
func (s *shard[V]) recharge(e *entry[V], cost int64) {
	more := cost - e.cost()
	e.charge = uint32(cost)
	if e.young() {
		s.windowUsed += more
	} else {
		s.bagOf(e).used += more
	}
}

// bagOf returns the bag in which e, which is in main, lies.
func (s *shard[V]) bagOf(e *entry[V]) *bag[V] {
	if e.slot&1 == s.once.number {
		return &s.once
	}
	return &s.twice
}

// detach takes e out of the window or of main.
func (s *shard[V]) detach(e *entry[V]) {
	if e.young() {
		s.window.take(e)
		s.windowUsed -= e.cost()
	} else {
		s.bagOf(e).take(e)
	}
}

type pair[V any] struct {
	key   string
	value V
}

// pairs copies what the shard holds.
func (s *shard[V]) pairs() []pair[V] {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]pair[V], 0, s.index.len())
	for e := range s.window.all {
		all = append(all, pair[V]{e.key, e.value})
	}
	for _, b := range []*bag[V]{&s.once, &s.twice} {
		for _, e := range b.entries {
			all = append(all, pair[V]{e.key, e.value})
		}
	}
	return all
}

// deleteFunc goes by keys, not by values or places, which others may change
// between two batches.
func (s *shard[V]) deleteFunc(f func(string, V) bool) (n int) {
	all := s.pairs()
	for len(all) > 0 {
		batch := all[:min(deleteBatch, len(all))]
		all = all[len(batch):]
		n += s.deleteAmong(batch, f)
	}
	return n
}

// deleteAmong is a function of its own for the sake of defer: f may panic.
func (s *shard[V]) deleteAmong(batch []pair[V], f func(string, V) bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range batch {
		if e := s.index.get(s.hash(p.key)); e != nil && e.key == p.key && f(e.key, e.value) {
			s.remove(e)
			n++
		}
	}
	return n
}

func (s *shard[V]) clear() {
	all := s.takeAll()
	for _, e := range all.all() {
		s.removed(e.value) // without the lock: there may be many
	}
}

func (s *shard[V]) takeAll() index[V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.index
	s.index, s.listing, s.peak = index[V]{}, listing[V]{}, 0
	s.window, s.windowUsed, s.losers = window[V]{}, 0, nil
	s.once.entries, s.once.used = nil, 0
	s.twice.entries, s.twice.used = nil, 0
	s.policy = newPolicy(s.policy.budget, s.policy.random)
	return all
}

func (s *shard[V]) addTo(st *Stats) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st.Len += s.index.len()
	st.Bytes += s.windowUsed + s.mainUsed()
	st.Evictions += s.evictions
	st.Rejections += s.rejections
}
