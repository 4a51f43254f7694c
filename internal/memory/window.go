package memory

// window is the new entries, in the order in which they came: a ring, with a gap where one was
// taken from the middle. An entry in it has the slot -1-i if it is ring[i].
type window[V any] struct {
	ring  []*entry[V]
	first int // of the oldest entry, if there is one: never a gap
	used  int // places from there on, gaps included
	gaps  int
}

// oldest returns the entry that came first; nil if there is none.
func (w *window[V]) oldest() *entry[V] {
	if w.used == 0 {
		return nil
	}
	return w.ring[w.first]
}

// all yields the entries, the oldest first.
func (w *window[V]) all(yield func(*entry[V]) bool) {
	for i := range w.used {
		if e := w.ring[w.at(i)]; e != nil && !yield(e) {
			return
		}
	}
}

// at returns where in the ring the i-th place is.
func (w *window[V]) at(i int) int {
	if i += w.first; i >= len(w.ring) {
		i -= len(w.ring)
	}
	return i
}

// push adds e as the newest.
func (w *window[V]) push(e *entry[V]) {
	if w.used == len(w.ring) {
		n := w.used - w.gaps
		w.move(max(8, n+n/8))
	}
	i := w.at(w.used)
	w.ring[i], e.slot = e, int32(-1-i)
	w.used++
}

// take takes e out.
func (w *window[V]) take(e *entry[V]) {
	w.ring[-1-e.slot], e.slot = nil, nowhere
	w.gaps++
	for w.used > 0 && w.ring[w.first] == nil {
		w.first = w.at(1)
		w.used--
		w.gaps--
	}
}

// move moves the entries to a ring of this size, without gaps.
func (w *window[V]) move(size int) {
	moved := window[V]{ring: make([]*entry[V], size)}
	for e := range w.all {
		moved.push(e)
	}
	*w = moved
}

// shrink gives back what the ring no longer needs.
func (w *window[V]) shrink() {
	if n := w.used - w.gaps; len(w.ring) > 4*max(n, 8) {
		w.move(max(8, n+n/8))
	}
}
