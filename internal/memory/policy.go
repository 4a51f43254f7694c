package memory

// The policy keeps what is worth most: hits for each byte. It was chosen by
// running variants over generated traces; TestHitRatio prints where it stands.

// Numbers found by experiment; var only so that tests can vary them.
var (
	windowPercent int64 = 5
	samples             = 12
	ageing              = 10
)

func windowBytes(budget int64) int64 { return budget * windowPercent / 100 }

const maxVictims = 1024

// policy is the memory and the dice of a shard's decisions.
type policy struct {
	sketch sketch
	random uint64
	turn   int // arrivals since the last resident was aged
	hand   int // the next resident of main to be aged
}

// arrive counts a request for an absent key and returns how many there were.
func (p *policy) arrive(h uint64, residents int) uint32 {
	for len(p.sketch.words) < residents*sketchWords {
		p.sketch.grow()
	}
	n := min(p.sketch.estimate(h)+1, maxCount)
	p.sketch.raise(h, n)
	period := ageing * max(residents, minSketch)
	p.sketch.debt += len(p.sketch.words)
	for p.sketch.debt >= period {
		p.sketch.debt -= period
		p.sketch.age()
	}
	return n
}

// leave remembers the count of a key that is resident no longer.
func (p *policy) leave(h uint64, n uint32) { p.sketch.raise(h, n) }

func (p *policy) forgetAll() {
	p.sketch = newSketch(minSketch)
	p.turn, p.hand = 0, 0
}

// below returns a random number in [0, n).
func (p *policy) below(n int) int {
	p.random += 0x9e3779b97f4a7c15
	return int(uint64(uint32(mix(p.random))) * uint64(n) >> 32)
}

// ageMain halves the count of one resident for every ageing arrivals, so that
// residents and absent keys forget equally fast.
func (s *shard[V]) ageMain() {
	p := &s.policy
	if p.turn++; p.turn < ageing || len(s.main) == 0 {
		return
	}
	p.turn = 0
	if p.hand >= len(s.main) {
		p.hand = 0
	}
	e := s.main[p.hand]
	e.hits.Store(e.hits.Load() / 2)
	p.hand++
}

// contest lets e, which has no place, into main if there is room, or if it is
// worth more than those that must make room for it.
func (s *shard[V]) contest(e *entry[V]) bool {
	if e.cost > s.mainMax {
		return false
	}
	need := s.mainUsed + e.cost - s.mainMax
	// Victims are moved behind n, where they are not drawn twice; nobody leaves
	// unless e comes.
	n := len(s.main)
	for need > 0 {
		if n == 0 || len(s.main)-n == maxVictims {
			return false
		}
		v := s.main[s.cheapest(n)]
		if !worthMore(e, v) {
			return false
		}
		n--
		s.swap(int(v.slot), n)
		need -= v.cost
	}
	for len(s.main) > n {
		s.remove(s.main[len(s.main)-1])
		s.evictions++
	}
	s.pushMain(e)
	return true
}

// cheapest returns the index of the least worthy of a sample of main[:n].
func (s *shard[V]) cheapest(n int) int {
	least := s.policy.below(n)
	for range min(samples, n) - 1 {
		if i := s.policy.below(n); worthMore(s.main[least], s.main[i]) {
			least = i
		}
	}
	return least
}

// worthMore reports whether a is asked for more often for each byte than b.
// An entry that has aged to nothing still counts by its size.
func worthMore[V any](a, b *entry[V]) bool {
	x, y := int64(a.hits.Load())*2+1, int64(b.hits.Load())*2+1
	return x*b.cost > y*a.cost
}
