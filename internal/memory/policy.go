package memory

// The policy keeps what is worth most: hits for each byte. It was chosen by running variants over
// generated traces; TestHitRatio prints how it does.
//
// One rule comes before worth: what was asked for once never takes the place of what was asked for
// twice. Otherwise a client that asks for many URLs, once each, would empty the cache of all that
// has cooled down a little. The same goes for a part of a value, see Cache.OnSpare.

// Numbers found by experiment. Each is near the middle of a plateau.
const (
	// windowPercent of the budget is for new entries. With less, bursts are lost; with more, what
	// is popular for long.
	windowPercent = 3

	// oncePercent of what is not window stays with entries that were asked for once, if they have
	// it. What was asked for twice takes their room down to that, and then that of its like.
	// Without it, large entries that were asked for twice push out small ones before those had
	// their chance.
	oncePercent = 25

	// samples is how many residents are drawn for each that must go.
	samples = 48

	// promotions is how many of the entries that were asked for once are looked at, beside the
	// samples, when one that was asked for twice needs room.
	promotions = 4

	// halfLife is how many budgets full of new entries must come until a request counts half.
	// Counting entries instead is a little better while sizes stay the same. But when large entries
	// follow small ones, it takes thousands of budgets until dead small ones give way.
	halfLife = 15

	// maxArrival is the share of the budget for which one arrival can count. Otherwise a popular
	// object that is refused for its size would, by itself, cool all others down.
	maxArrival = 64

	// sketchPeriod is how many arrivals for each resident halve the sketch.
	sketchPeriod = 5

	// chance is added to each count, or entries that have cooled down would be all alike, whatever
	// their size. With half a request, dead entries of 1 KB would keep out the most popular one of
	// 512 KB for ever; now it takes 4 MB of them. The factor, (maxHeat+chance)/chance = 4 081, also
	// bounds the victims of one entry among its like, and so how long Update holds its lock.
	chance = once / 16
)

func windowBytes(budget int64) int64 { return budget / 100 * windowPercent }

// policy is the memory, the clock and the dice of a shard's decisions. Arrivals move the clock, not
// time: what matters is how often the cache could have been filled again.
type policy struct {
	sketch sketch
	seen   seen
	budget int64
	now    uint32 // in ticks; wraps around
	credit int64  // bytes that arrived since the last tick
	random uint64
}

func newPolicy(budget int64, random uint64) policy {
	return policy{sketch: newSketch(minSketch), seen: newSeen(), budget: budget, random: random}
}

// arrive counts a request for a key that is absent, for an entry of this cost,
// and returns its heat.
func (p *policy) arrive(h uint64, cost int64, residents int) heat {
	p.credit += min(cost, p.budget/maxArrival)
	for tick := p.budget / ticks * halfLife; p.credit >= max(tick, 1); p.credit -= max(tick, 1) {
		p.now++
	}
	p.sketch.fit(residents)
	p.seen.fit(residents)
	p.sketch.age(sketchPeriod * max(residents, minSketch))
	n := min(p.sketch.estimate(h)+1, maxCount)
	p.sketch.raise(h, n)
	first := newHeat(p.now, int64(n)*once)
	if p.seen.note(h) {
		first |= again
	}
	return first
}

// leave remembers the count of a key that is no longer resident.
func (p *policy) leave(h uint64, count int64) {
	p.seen.note(h)
	p.sketch.raise(h, uint32((count+once/2)/once))
}

// heat is a count of requests that halves every ticks ticks: the tick at which
// it was last changed in the high half, the count then in the low one. It is
// one word, so that a hit is one store.
type heat uint64

const (
	once    = 256             // a request
	maxHeat = maxCount * once // more would not fit the sketch
	ticks   = 8               // in a half-life

	// again says that it was asked for at least twice, however long ago: as long as it is resident,
	// or as seen remembers it.
	again heat = 1 << 31
)

func newHeat(now uint32, count int64) heat { return heat(now)<<32 | heat(count) }

// at returns the count as it is now.
func (h heat) at(now uint32) int64 {
	age := now - uint32(h>>32)
	return int64(uint32(h&^again)) * fade[age%ticks] >> 16 >> min(age/ticks, 63)
}

// more returns h with one request added at now.
func (h heat) more(now uint32) heat { return newHeat(now, min(h.at(now)+once, maxHeat)) | again }

// fade is 2^(-i/ticks) in units of 1/65536.
var fade = [ticks]int64{65536, 60097, 55109, 50535, 46341, 42495, 38968, 35734}

// below returns a random number in [0, n).
func (p *policy) below(n int) int {
	p.random += 0x9e3779b97f4a7c15
	return int(uint64(uint32(mix(p.random))) * uint64(n) >> 32)
}

// contest lets e, which has no place, into main if there is room, or if it is worth more than those
// that must make room for it. No entry leaves unless e comes.
//
// An entry with something to spare competes as one that was asked for once. Others in main lose
// what they have to spare before they leave.
func (s *shard[V]) contest(e *entry[V]) bool {
	return s.compete(e, e.again() && !s.spares(e))
}

// compete is contest for an entry that was asked for again, or was not.
func (s *shard[V]) compete(e *entry[V], again bool) bool {
	if e.cost() > s.mainMax {
		return false
	}
	losers := s.losers[:0]
	for s.mainUsed()+e.cost() > s.mainMax {
		v := s.rival(e, again)
		if v == nil {
			for _, v := range losers {
				s.pushMain(v)
			}
			s.losers = forgetful(losers)
			return false
		}
		spares := v.again() && s.spares(v)
		s.detach(v)
		if spares && s.become(v, s.hooks.lessen, v.cost()-1) {
			s.pushMain(v)
			continue
		}
		losers = append(losers, v)
	}
	s.pushMain(e)
	for _, v := range losers {
		s.evict(v, s.mainMax-s.mainUsed())
	}
	s.losers = forgetful(losers)
	return true
}

// forgetful returns an empty list in the room of this one, if that is not large.
func forgetful[V any](list []*entry[V]) []*entry[V] {
	clear(list)
	if cap(list) > 256 {
		return nil
	}
	return list[:0]
}

// spares reports whether e has something to spare.
func (s *shard[V]) spares(e *entry[V]) bool { return s.hooks.spare != nil && s.hooks.spare(e.value) }

// rival returns the entry that must make room for e next; nil if none is found that is worth less
// than e. again says that e, and all that is in it, was asked for at least twice.
func (s *shard[V]) rival(e *entry[V], again bool) *entry[V] {
	if !again {
		if v := s.cheapestOnce(); v != nil && s.worthMore(e, v) {
			return v
		}
		return nil
	}
	s.promote()
	if s.once.used > s.mainMax/100*oncePercent || len(s.twice.entries) == 0 {
		if v := s.cheapestOnce(); v != nil {
			return v
		}
	}
	if len(s.twice.entries) > 0 {
		if v := s.cheapest(&s.twice); s.worthMore(e, v) {
			return v
		}
	}
	return nil
}

// cheapestOnce returns the least worthy of a sample of the entries in main that were asked for
// once; nil if there are none. Readers cannot move an entry that they ask for again: those that
// turn up in the sample are moved now.
func (s *shard[V]) cheapestOnce() *entry[V] {
	var least sample[V]
	for drawn := 0; drawn < min(samples, len(s.once.entries)); {
		v := s.once.entries[s.policy.below(len(s.once.entries))]
		if s.promoted(v) {
			continue
		}
		drawn++
		least.take(v, s.policy.now)
	}
	return least.entry
}

// promoted moves v, if it has been asked for again, to where it competes with its like.
func (s *shard[V]) promoted(v *entry[V]) bool {
	if !v.again() {
		return false
	}
	s.detach(v)
	s.pushMain(v)
	return true
}

// promote moves some of the entries that were asked for again. Where nothing competes for the room
// of what was asked for once, they would stay there unseen.
func (s *shard[V]) promote() {
	for range promotions {
		if n := len(s.once.entries); n > 0 {
			s.promoted(s.once.entries[s.policy.below(n)])
		}
	}
}

// cheapest returns the least worthy of a sample of b, which is not empty.
func (s *shard[V]) cheapest(b *bag[V]) *entry[V] {
	var least sample[V]
	n := len(b.entries)
	for range min(samples, n) {
		least.take(b.entries[s.policy.below(n)], s.policy.now)
	}
	return least.entry
}

// sample is the least worthy of the entries that it has taken.
type sample[V any] struct {
	entry       *entry[V]
	count, cost int64
}

func (s *sample[V]) take(e *entry[V], now uint32) {
	count, cost := e.count(now)+chance, e.cost()
	if s.entry == nil || s.count*cost > count*s.cost {
		s.entry, s.count, s.cost = e, count, cost
	}
}

// worthMore reports whether a was asked for more often for each byte than b.
func (s *shard[V]) worthMore(a, b *entry[V]) bool {
	now := s.policy.now
	return (a.count(now)+chance)*b.cost() > (b.count(now)+chance)*a.cost()
}
