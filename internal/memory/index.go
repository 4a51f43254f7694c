package memory

import (
	"iter"
	"math/bits"
)

// index finds entries by the hash of their key. It takes half of the room of a map that has just
// grown: its slots are 67 to 85 per cent full.
//
// It is a table with linear probing: an entry stands in the first free slot from its home on, and
// removal leaves no gap between an entry and its home.
type index[V any] struct {
	hashes  []uint64 // 0 is a free slot
	entries []*entry[V]
	n       int
}

func (x *index[V]) len() int { return x.n }

// get returns the entry whose key has this hash; nil if there is none.
func (x *index[V]) get(h uint64) *entry[V] {
	h = filled(h)
	if len(x.hashes) == 0 {
		return nil
	}
	for i := x.home(h); ; i = x.after(i) {
		switch x.hashes[i] {
		case h:
			return x.entries[i]
		case 0:
			return nil
		}
	}
}

// put makes e the entry whose key has this hash, where there is none yet.
func (x *index[V]) put(h uint64, e *entry[V]) {
	if 20*x.n >= 17*len(x.hashes) {
		x.resize()
	}
	h = filled(h)
	i := x.home(h)
	for x.hashes[i] != 0 {
		i = x.after(i)
	}
	x.hashes[i], x.entries[i] = h, e
	x.n++
}

// remove takes out the entry whose key has this hash, if there is one.
func (x *index[V]) remove(h uint64) {
	h = filled(h)
	if len(x.hashes) == 0 {
		return
	}
	i := x.home(h)
	for x.hashes[i] != h {
		if x.hashes[i] == 0 {
			return
		}
		i = x.after(i)
	}
	// Entries behind the gap move into it, unless that is before their home.
	for j := x.after(i); x.hashes[j] != 0; j = x.after(j) {
		if x.distance(x.home(x.hashes[j]), j) >= x.distance(i, j) {
			x.hashes[i], x.entries[i] = x.hashes[j], x.entries[j]
			i = j
		}
	}
	x.hashes[i], x.entries[i] = 0, nil
	x.n--
}

// resize gives the table the size that fits what it holds.
func (x *index[V]) resize() {
	size := max(16, (x.n+1)*3/2)
	old := *x
	*x = index[V]{hashes: make([]uint64, size), entries: make([]*entry[V], size)}
	for h, e := range old.all() {
		x.put(h, e)
	}
}

// all yields every entry with the hash of its key.
func (x *index[V]) all() iter.Seq2[uint64, *entry[V]] {
	return func(yield func(uint64, *entry[V]) bool) {
		for i, h := range x.hashes {
			if h != 0 && !yield(h, x.entries[i]) {
				return
			}
		}
	}
}

// filled returns h as it is written in a slot.
func filled(h uint64) uint64 { return max(h, 1) }

// home is the slot where the search for a hash begins. It depends on all bits: the hashes of one
// shard share some.
func (x *index[V]) home(h uint64) int {
	home, _ := bits.Mul64(h*0x9e3779b97f4a7c15, uint64(len(x.hashes)))
	return int(home)
}

func (x *index[V]) after(i int) int {
	if i++; i == len(x.hashes) {
		return 0
	}
	return i
}

// distance is how many slots j is behind i, round the end of the table.
func (x *index[V]) distance(i, j int) int {
	if i > j {
		j += len(x.hashes)
	}
	return j - i
}
