package memory

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

// deleteFunc goes by keys, not by values or places, which may change between two batches.
func (s *shard[V]) deleteFunc(f func(string, V) bool) (n int) {
	all := s.pairs()
	for len(all) > 0 {
		batch := all[:min(deleteBatch, len(all))]
		all = all[len(batch):]
		n += s.deleteAmong(batch, f)
	}
	return n
}

// deleteAmong is a function of its own because of defer: f may panic.
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
		s.hooks.removed(e.value) // without the lock: there may be many
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
