package memory

// sketch estimates how often keys that are not resident were asked for. It is a count-min sketch of
// byte-wide counters: an estimate is never too low except by ageing, and rarely too high.
//
// It grows by doubling. A counter's index is some low bits of a hash, so either half of the doubled
// table is a copy of the old one, and no estimate changes.
type sketch struct {
	words []uint64 // eight counters each; the length is a power of two
	hand  int      // the next word to be aged
	debt  int      // how much ageing is behind
}

const (
	sketchRows = 3
	minSketch  = 64 // words
	maxCount   = 255
	// sketchWords is how many words there are for each resident. Two would add .0006 to the hit
	// ratio, for up to 16 bytes a resident.
	sketchWords = 1
)

func newSketch(words int) sketch {
	return sketch{words: make([]uint64, words)}
}

// at returns the word and the shift of the counter of h in a row.
func (k *sketch) at(h uint64, row int) (word int, shift uint) {
	m := mix(h + uint64(row)*0x9e3779b97f4a7c15)
	return int(m>>3) & (len(k.words) - 1), uint(m&7) * 8
}

// estimate returns the count of h.
func (k *sketch) estimate(h uint64) uint32 {
	least := uint64(maxCount)
	for row := range sketchRows {
		w, shift := k.at(h, row)
		least = min(least, k.words[w]>>shift&0xff)
	}
	return uint32(least)
}

// raise sets the count of h to n, unless it is more already.
func (k *sketch) raise(h uint64, n uint32) {
	for row := range sketchRows {
		w, shift := k.at(h, row)
		if k.words[w]>>shift&0xff < uint64(n) {
			k.words[w] = k.words[w]&^(0xff<<shift) | uint64(n)<<shift
		}
	}
}

// age is called at each arrival. It halves a part of the counters, so that each is halved once in
// period arrivals.
func (k *sketch) age(period int) {
	for k.debt += len(k.words); k.debt >= period; k.debt -= period {
		k.words[k.hand] = k.words[k.hand] >> 1 & 0x7f7f7f7f7f7f7f7f
		k.hand = (k.hand + 1) & (len(k.words) - 1)
	}
}

// fit grows the table until it is large enough for n residents.
func (k *sketch) fit(n int) {
	for len(k.words) < n*sketchWords {
		k.words = append(k.words[:len(k.words):len(k.words)], k.words...)
	}
}

// shrink halves the table until it fits n residents. It adds nothing up: when two counters become
// one, the larger counts.
func (k *sketch) shrink(n int) {
	words := k.words
	for len(words) > minSketch && len(words)/2 >= n*sketchWords {
		half := len(words) / 2
		for i, w := range words[half:] {
			words[i] = maxBytes(words[i], w)
		}
		words = words[:half]
	}
	k.words = append(make([]uint64, 0, len(words)), words...)
	k.hand &= len(words) - 1
}

// maxBytes returns the larger of each two bytes.
func maxBytes(a, b uint64) (c uint64) {
	for shift := 0; shift < 64; shift += 8 {
		c |= max(a>>shift&0xff, b>>shift&0xff) << shift
	}
	return c
}

// mix is the finish of SplitMix64: every bit of x changes half of the result.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
