package memory

import (
	"sync"
	"sync/atomic"
)

const (
	// smallGrowth is how large something that grows may be and still draw on all that can be
	// reserved. Beyond it, it may not use the last quarter. Otherwise a few large responses, or
	// clients that stand still in the middle of one, would keep every small response from being
	// stored.
	smallGrowth = 64 << 10

	// trimBatch is how many residents give way before others get the lock.
	trimBatch = 256

	// slowly is the part of the excess of granted that a large entry returns to the residents.
	slowly = 64
)

// pool is what residents have left to what is not an entry yet.
//
// Residents and reservations together never take more than the budget. granted grows first, then
// each shard makes room, then free grows. What is taken back leaves free before it leaves granted.
// A shard reads granted under its lock whenever it takes something in.
type pool struct {
	granted atomic.Int64 // bytes that residents must not use, each shard its part
	free    atomic.Int64 // the part of granted that is not reserved
	growing sync.Mutex   // held while granted grows
	refused atomic.Uint64

	shards  int64
	limit   int64 // granted never exceeds it
	large   int64 // the same for what is larger than smallGrowth
	fair    int64 // beyond it, what was asked for twice no longer gives way
	largest int64 // what can be reserved when nothing else is, and become an entry beside that
	step    int64 // what is granted in advance
}

func (p *pool) init(budget, perShard, shards, maxEntry int64) {
	p.shards = shards
	p.step = min(max(budget/256, 1), 1<<20)
	// An entry must fit its shard however much is granted.
	p.limit = min(budget/2, shards*(perShard-windowBytes(perShard)-maxEntry))
	p.largest = maxEntry
	if p.limit < maxEntry {
		half := perShard / 100 * 49 // the rest is for the window
		p.limit, p.largest = shards*half, min(maxEntry, half)
	}
	p.large = max(p.limit/4*3, p.largest)
	p.fair = max(p.limit/2, p.largest)
}

// share is what each shard must leave.
func (p *pool) share() int64 { return (p.granted.Load() + p.shards - 1) / p.shards }

// reserved is what was reserved and not released.
func (p *pool) reserved() int64 { return max(p.granted.Load()-p.free.Load(), 0) }

// take takes n bytes out of free, if they are there.
func (p *pool) take(n int64) bool {
	for {
		free := p.free.Load()
		if free < n {
			return false
		}
		if p.free.CompareAndSwap(free, free-n) {
			return true
		}
	}
}

// giveBack returns to the residents, as entries come, what is granted in excess: to a small one
// what it needs, to a large one little. Otherwise what is reserved for one large entry would be
// room for which the next one need not compete. Reserving again would evict others for it, whatever
// its worth: a crawl over large responses would push out all that is popular.
func (p *pool) giveBack(cost int64) {
	excess := p.free.Load() - p.step
	if excess <= 0 {
		return
	}
	n := excess / slowly
	if cost <= p.step {
		n = max(n, min(excess, p.shards*cost))
	}
	if p.take(n) {
		p.granted.Add(-n)
	}
}

// Reserve sets n bytes of the budget aside for something that grows and has has bytes now.
// Residents give way to it, first those that were asked for once. Reserve returns false, and keeps
// nothing, if too much is reserved already: about half of the budget, or half of that where all
// residents left were asked for at least twice. It is less for what is large, and half of that for
// what is passing, so will not be kept. Each reservation must be released.
//
// Release what is reserved for a value when Update has made it resident, not before: so it must be
// worth its room like any other, and its bytes are counted at every moment.
func (t *Cache[V]) Reserve(n, has int64, passing bool) bool {
	p := &t.pool
	limit := p.limit
	switch {
	case passing:
		limit = p.large / 2
	case has+n > smallGrowth:
		limit = p.large
	}
	if p.reserved()+n > limit || !p.take(n) && !t.grant(n) {
		p.refused.Add(1)
		return false
	}
	return true
}

// grant takes n bytes that must first be taken from residents.
func (t *Cache[V]) grant(n int64) bool {
	p := &t.pool
	p.growing.Lock()
	defer p.growing.Unlock()
	for !p.take(n) {
		short := n - p.free.Load()
		if short <= 0 {
			continue
		}
		granted := p.granted.Load()
		more := min(short+p.step, p.limit-granted)
		if granted+short <= p.fair {
			more = min(more, p.fair-granted)
		}
		if more < short {
			return false
		}
		p.granted.Add(more)
		if !t.makeRoom(granted+more <= p.fair) {
			p.granted.Add(-more)
			for i := range t.shards {
				t.shards[i].refit()
			}
			return false
		}
		p.free.Add(more)
	}
	return true
}

// makeRoom makes every shard keep to its limits, see shard.makeRoom.
func (t *Cache[V]) makeRoom(all bool) bool {
	for i := range t.shards {
		if !t.shards[i].makeRoom(all) {
			return false
		}
	}
	return true
}

// Release gives back n bytes that Reserve has set aside.
func (t *Cache[V]) Release(n int64) { t.pool.free.Add(n) }

// MaxReserve is the most that can be reserved for one value, when nothing else is reserved, and
// that may be charged for it then, key and overhead included. It is less than half of what one
// shard holds, because a value and the one that takes its place must fit side by side.
func (t *Cache[V]) MaxReserve() int64 { return t.pool.largest }

// fit makes the limits of s what is left beside what is granted.
func (s *shard[V]) fit() {
	left := s.policy.budget - s.pool.share()
	s.windowMax = windowBytes(left)
	s.mainMax = left - s.windowMax
}

// refit is fit, after what was granted has been taken back.
func (s *shard[V]) refit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fit()
}

// makeRoom evicts until s keeps to its limits. It reports false if all entries left were asked for
// twice, and need not go.
func (s *shard[V]) makeRoom(all bool) bool {
	for {
		if more, stuck := s.trim(all); !more {
			return !stuck
		}
	}
}

// trim evicts some entries. It reports whether that was not enough, and whether no more may go.
func (s *shard[V]) trim(all bool) (more, stuck bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fit()
	for range trimBatch {
		switch {
		case s.mainUsed() > s.mainMax:
			v := s.cheapestOnce()
			if v == nil {
				if !all {
					return false, true
				}
				v = s.cheapest(&s.twice)
			}
			s.detach(v)
			s.evict(v, v.cost())
		case s.windowUsed > s.windowMax:
			s.leaveWindow(s.window.oldest())
		default:
			return false, false
		}
	}
	return true, false
}
