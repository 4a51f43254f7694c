package memory

// mainUsed is what everything outside the window is charged.
func (s *shard[V]) mainUsed() int64 { return s.once.used + s.twice.used }

func (s *shard[V]) pushMain(e *entry[V]) {
	if e.again() {
		s.twice.push(e)
	} else {
		s.once.push(e)
	}
}

// bag is a part of main, in no order. An entry in it has the slot 2*i + number if it is entries[i].
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

// part returns what the part of the shard that holds e uses, and how much it may.
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
