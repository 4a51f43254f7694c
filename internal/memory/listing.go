package memory

import (
	"math/bits"
	"slices"
)

// Entries can also be found without their key. Each is listed under one or more words, which the
// owner of the cache makes of its key and its value. The listing is in the order of the words, so
// entries whose words share their first bits stand side by side. They are found at the cost of one
// search, whatever else is stored.

const (
	// leafSize is how many items a leaf has at most: a leaf takes 1 KiB.
	leafSize = 63

	// visitBatch is how many entries Visit looks at before it lets others in.
	visitBatch = 256
)

// ListBy says under which words an entry is listed: words appends them to dst and returns the
// extended slice, as append does. They must depend only on its arguments. words is called under a
// lock: it must be short, and must not call the cache. Without ListBy nothing is listed. ListBy
// must be called before anything else.
func (t *Cache[V]) ListBy(words func(dst []uint64, key string, v V) []uint64) {
	for i := range t.shards {
		t.shards[i].words = words
	}
}

// Visit calls f with each entry that is listed under a word which equals want in the bits of mask,
// and deletes it if f returns true. word is the one under which it was found: an entry with several
// words that fit is visited for each of them.
//
// It returns how many items it looked at: those that fit, and one for each search. There is one
// search in each shard if mask is the beginning of a word. If mask has a gap, there is one more for
// each value of the bits in the gap that occurs beside the bits before it.
//
// An entry that is resident, and listed so, from beginning to end is visited. One that is new
// meanwhile may be missed. f runs under the lock of a shard, for about visitBatch entries at a
// time: it must be short, and must not call the cache.
func (t *Cache[V]) Visit(want, mask uint64, f func(word uint64, key string, v V) (remove bool)) (looked int) {
	for i := range t.shards {
		looked += t.shards[i].visit(want, mask, f)
	}
	t.looked.Add(uint64(looked))
	return looked
}

func (s *shard[V]) visit(want, mask uint64, f func(uint64, string, V) bool) (looked int) {
	next, more, looked := s.probe(want, mask)
	for more {
		var n int
		next, more, n = s.visitSome(next, want, mask, f)
		looked += n
	}
	return looked
}

// probe returns the first word that fits. Most shards have none, which a read lock is enough to
// tell.
func (s *shard[V]) probe(want, mask uint64) (first uint64, found bool, looked int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for at := range s.listing.fitting(0, want, mask, &looked) {
		return s.listing.word(at), true, looked
	}
	return 0, false, looked
}

// visitSome visits a batch from the given word on, and returns the word to go on with. A batch ends
// between two words: what is listed under one word is visited at once.
func (s *shard[V]) visitSome(from, want, mask uint64, f func(uint64, string, V) bool) (next uint64, more bool, looked int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var room [8]item[V]
	found := room[:0] // found before f is called, because what f removes changes the listing
	for at := range s.listing.fitting(from, want, mask, &looked) {
		word := s.listing.word(at)
		if n := len(found); n >= visitBatch && found[n-1].word != word {
			next, more = word, true
			break
		}
		found = append(found, item[V]{word, s.listing.entry(at)})
	}
	looked += len(found)
	for _, i := range found {
		if e := i.entry; e.slot != nowhere && f(i.word, e.key, e.value) {
			s.remove(e)
		}
	}
	return next, more, looked
}

// list lists e.
func (s *shard[V]) list(e *entry[V]) {
	if s.words == nil {
		return
	}
	s.room = s.words(s.room[:0], e.key, e.value)
	for _, word := range s.room {
		s.listing.insert(word, e)
	}
}

// unlist undoes list.
func (s *shard[V]) unlist(e *entry[V]) {
	if s.words == nil {
		return
	}
	s.room = s.words(s.room[:0], e.key, e.value)
	for _, word := range s.room {
		s.listing.remove(word, e)
	}
}

// set gives e another value, and lists it by that.
func (s *shard[V]) set(e *entry[V], v V) {
	if s.words == nil {
		e.value = v
		return
	}
	s.room = s.words(s.room[:0], e.key, e.value)
	n := len(s.room)
	s.room = s.words(s.room, e.key, v)
	before, after := s.room[:n], s.room[n:]
	e.value = v
	if slices.Equal(before, after) {
		return
	}
	for _, word := range before {
		s.listing.remove(word, e)
	}
	for _, word := range after {
		s.listing.insert(word, e)
	}
}

// item is an entry as it is listed.
type item[V any] struct {
	word  uint64
	entry *entry[V]
}

// listing is a sorted list of items in leaves. A leaf that is full gives items to a neighbour
// before it is split, and one that is nearly empty joins a neighbour, so that leaves are about four
// fifths full.
type listing[V any] struct {
	leaves []*leaf[V]

	// starts are the bounds between leaves: no word of leaves[i] is less than starts[i], and none
	// of the leaf before it is more. starts[0] is 0. They lie side by side to be searched.
	starts []uint64
}

type leaf[V any] struct {
	n       int
	words   [leafSize]uint64 // the first n are used, in order
	entries [leafSize]*entry[V]
}

// position is an item of a listing: its leaf, and the index in that. It is valid until the listing
// changes.
type position struct{ leaf, at int }

func (l *listing[V]) word(p position) uint64     { return l.leaves[p.leaf].words[p.at] }
func (l *listing[V]) entry(p position) *entry[V] { return l.leaves[p.leaf].entries[p.at] }

// find returns the first item whose word is not less than word; ok is false if there is none.
func (l *listing[V]) find(word uint64) (p position, ok bool) {
	i, _ := slices.BinarySearch(l.starts, word)
	p.leaf = max(i-1, 0) // its last items may have the same word
	if p.leaf == len(l.leaves) {
		return p, false
	}
	p.at, _ = slices.BinarySearch(l.leaves[p.leaf].words[:l.leaves[p.leaf].n], word)
	return l.settled(p)
}

// settled moves p to the next leaf if it is behind the last item of its own.
func (l *listing[V]) settled(p position) (position, bool) {
	if p.at == l.leaves[p.leaf].n {
		p = position{p.leaf + 1, 0}
	}
	return p, p.leaf < len(l.leaves)
}

// fitting yields the items from the given word on that equal want in the bits of mask, in order. It
// counts its searches.
func (l *listing[V]) fitting(from, want, mask uint64, searches *int) func(yield func(position) bool) {
	return func(yield func(position) bool) {
		for {
			first, some := firstFit(from, want, mask)
			if !some {
				return
			}
			*searches++
			p, ok := l.find(first)
			for ; ok && (l.word(p)^want)&mask == 0; p, ok = l.settled(position{p.leaf, p.at + 1}) {
				if !yield(p) {
					return
				}
			}
			if !ok {
				return
			}
			from = l.word(p)
		}
	}
}

// firstFit returns the least word that is not less than from and equals want in the bits of mask;
// ok is false if there is none.
func firstFit(from, want, mask uint64) (word uint64, ok bool) {
	differ := (from ^ want) & mask
	if differ == 0 {
		return from, true
	}
	top := uint64(1) << (63 - bits.LeadingZeros64(differ)) // the first bit that is wrong
	below := top - 1
	fixed := want & mask & (top | below)
	if want&top != 0 {
		return from&^(top|below) | fixed, true
	}
	// The wrong bit is too large, so a free bit before it has to grow.
	free := ^mask &^ (top | below)
	grown := ((from | ^free) + 1) & free
	if grown == 0 {
		return 0, false
	}
	return grown | want&mask, true
}

// insert lists e under word.
func (l *listing[V]) insert(word uint64, e *entry[V]) {
	if len(l.leaves) == 0 {
		l.leaves, l.starts = append(l.leaves, new(leaf[V])), append(l.starts, 0)
	}
	i := l.leafFor(word)
	if l.leaves[i].n == leafSize {
		l.relieve(i)
		i = l.leafFor(word)
	}
	f := l.leaves[i]
	at, _ := slices.BinarySearch(f.words[:f.n], word)
	copy(f.words[at+1:f.n+1], f.words[at:f.n])
	copy(f.entries[at+1:f.n+1], f.entries[at:f.n])
	f.words[at], f.entries[at] = word, e
	f.n++
}

// leafFor returns the index of a leaf into which word may go.
func (l *listing[V]) leafFor(word uint64) int {
	i, _ := slices.BinarySearch(l.starts, word)
	if i == len(l.starts) || l.starts[i] != word {
		i--
	}
	return max(i, 0)
}

// relieve makes room in a leaf that is full.
func (l *listing[V]) relieve(i int) {
	const roomy = leafSize - 2
	switch {
	case i+1 < len(l.leaves) && l.leaves[i+1].n < roomy:
		l.level(i)
	case i > 0 && l.leaves[i-1].n < roomy:
		l.level(i - 1)
	default:
		l.leaves = slices.Insert(l.leaves, i+1, new(leaf[V]))
		l.starts = slices.Insert(l.starts, i+1, 0)
		l.level(i)
	}
}

// level makes a leaf and the next one equally full.
func (l *listing[V]) level(i int) {
	a, b := l.leaves[i], l.leaves[i+1]
	if n := (a.n - b.n) / 2; n > 0 {
		copy(b.words[n:], b.words[:b.n])
		copy(b.entries[n:], b.entries[:b.n])
		move(b, 0, a, a.n-n, n)
	} else if n = -n; n > 0 {
		move(a, a.n, b, 0, n)
		b.close(0, n)
	}
	l.starts[i+1] = b.words[0]
}

// move moves n items from one leaf to another that has room for them. In the leaf that they leave,
// they are at the end, or the caller closes the gap.
func move[V any](to *leaf[V], at int, from *leaf[V], first, n int) {
	copy(to.words[at:at+n], from.words[first:first+n])
	copy(to.entries[at:at+n], from.entries[first:first+n])
	to.n += n
	if first+n == from.n {
		clear(from.entries[first:from.n])
		from.n = first
	}
}

// close takes n items out of a leaf.
func (f *leaf[V]) close(at, n int) {
	copy(f.words[at:], f.words[at+n:f.n])
	copy(f.entries[at:], f.entries[at+n:f.n])
	clear(f.entries[f.n-n : f.n])
	f.n -= n
}

// remove undoes insert.
func (l *listing[V]) remove(word uint64, e *entry[V]) {
	for p, ok := l.find(word); ok && l.word(p) == word; p, ok = l.settled(position{p.leaf, p.at + 1}) {
		if l.entry(p) == e {
			l.leaves[p.leaf].close(p.at, 1)
			l.join(p.leaf)
			return
		}
	}
}

// join merges a leaf that has few items with a neighbour, or takes it out if it has none.
func (l *listing[V]) join(i int) {
	const few, most = leafSize / 2, leafSize * 7 / 8
	switch n := l.leaves[i].n; {
	case n == 0:
		l.drop(i)
	case n > few:
	case i+1 < len(l.leaves) && n+l.leaves[i+1].n <= most:
		l.merge(i)
	case i > 0 && l.leaves[i-1].n+n <= most:
		l.merge(i - 1)
	}
}

// merge moves the items of the leaf after i to leaf i.
func (l *listing[V]) merge(i int) {
	a, b := l.leaves[i], l.leaves[i+1]
	move(a, a.n, b, 0, b.n)
	l.drop(i + 1)
}

// drop takes out a leaf that has no items.
func (l *listing[V]) drop(i int) {
	l.leaves, l.starts = slices.Delete(l.leaves, i, i+1), slices.Delete(l.starts, i, i+1)
	switch n := len(l.leaves); {
	case n == 0:
		l.leaves, l.starts = nil, nil
		return
	case cap(l.leaves) > 64 && n < cap(l.leaves)/4:
		l.leaves, l.starts = slices.Clone(l.leaves), slices.Clone(l.starts)
	}
	l.starts[0] = 0
}
