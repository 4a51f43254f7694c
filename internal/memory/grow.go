package memory

// Grow charges the value of key for more bytes, for something that it can do without. If there is
// room for that, f is called with the value, and may add to what it points to. If f returns false,
// or if the room would cost more than it is worth, the value stays charged as before. Unlike Update
// it never costs the key its place. Entries that gave way to make room are not brought back.
//
// f runs under the lock of the key's shard: it must be short, and must not call the cache. If f
// panics, nothing is charged. Grow reports whether the value is charged for more.
func (t *Cache[V]) Grow(key []byte, more int64, f func(V) bool) bool {
	h := t.hashOf(key)
	s := t.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.at(h, key)
	if e == nil || more < 0 || more > t.maxEntry-e.cost() {
		return false
	}
	s.pool.giveBack(more)
	s.fit()
	if !s.grow(e, more) {
		return false
	}
	grown := false
	defer func() {
		if !grown {
			s.recharge(e, e.cost()-more)
		}
	}()
	grown = f(e.value)
	return grown
}

// grow makes room for e to be larger.
func (s *shard[V]) grow(e *entry[V], more int64) bool {
	used, limit := s.part(e)
	if used+more <= limit {
		s.recharge(e, e.cost()+more)
		return true
	}
	young := e.young()
	s.detach(e)
	e.charge += uint32(more)
	if young && e.cost() <= s.windowMax {
		return s.place(e) // as the newest; older ones leave the window
	}
	if s.compete(e, e.again()) {
		return true
	}
	e.charge -= uint32(more)
	s.putBack(e, young) // no entry has left, so the room that it had is still there
	return false
}
