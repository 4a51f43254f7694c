package memory

import "slices"

// seen remembers which absent keys were asked for lately. The sketch counts, and takes one key for
// another now and then. seen is practically never wrong: a mark is 32 bits of a hash that clients
// do not know, compared with seenWays others. What it knows was asked for before, so it tells a
// flood of keys that are all new from what comes back.
//
// The marks lie in buckets, the latest first; a new one pushes the oldest of its bucket out. The
// table grows by doubling: a bucket's index is some low bits of a hash, so either half of the
// doubled table is a copy of the old one.
type seen struct {
	buckets []seenBucket // the length is a power of two
}

const (
	seenWays = 8

	// minSeen is the least number of buckets. There are as many marks as residents, or up to twice
	// as many: twice as many are worth .0005 of the hit ratio, more are worth nothing.
	minSeen = 32
)

type seenBucket [seenWays]uint32

func newSeen() seen { return seen{make([]seenBucket, minSeen)} }

// note remembers h, and reports whether it was known.
func (s *seen) note(h uint64) (known bool) {
	m := mix(h)
	mark := uint32(m>>32) | 1 // never the mark of an empty place
	b := &s.buckets[int(m>>1)&(len(s.buckets)-1)]
	last := 0
	for last < seenWays-1 && b[last] != mark {
		last++
	}
	known = b[last] == mark
	copy(b[1:last+1], b[:last])
	b[0] = mark
	return known
}

// fit grows the table until it is large enough beside n residents.
func (s *seen) fit(n int) {
	for len(s.buckets)*seenWays < n {
		s.buckets = append(s.buckets[:len(s.buckets):len(s.buckets)], s.buckets...)
	}
}

// shrink halves the table until it fits n residents. When two buckets become one, the latest marks
// of both stay.
func (s *seen) shrink(n int) {
	buckets := s.buckets
	for len(buckets) > minSeen && len(buckets)/2*seenWays >= n {
		half := len(buckets) / 2
		for i := range half {
			buckets[i] = buckets[i].merge(&buckets[half+i])
		}
		buckets = buckets[:half]
	}
	s.buckets = append(make([]seenBucket, 0, len(buckets)), buckets...)
}

// merge returns the latest marks of b and o, in turns, each once.
func (b *seenBucket) merge(o *seenBucket) (both seenBucket) {
	n := 0
	for i := range 2 * seenWays {
		mark := b[i/2]
		if i%2 == 1 {
			mark = o[i/2]
		}
		if n < seenWays && mark != 0 && !slices.Contains(both[:n], mark) {
			both[n] = mark
			n++
		}
	}
	return both
}
