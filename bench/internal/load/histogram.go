package load

import (
	"math/bits"
	"time"
)

// A Histogram counts durations in buckets whose width is at most a 32nd of what they hold. The zero value is empty.
type Histogram struct {
	counts [64 * perPower]uint32
	total  uint64
}

const perPower = 32 // buckets for each power of two

// Add counts one.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucket(uint64(max(d, 0)))]++
	h.total++
}

// Count is how many there are.
func (h *Histogram) Count() uint64 { return h.total }

// Quantile returns the upper bound of the bucket in which the share q of all lies at or below; 0 if there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	left := uint64(q * float64(h.total))
	for i, n := range h.counts {
		if n > 0 && uint64(n) >= left {
			return time.Duration(bound(i))
		}
		left -= uint64(n)
	}
	return 0
}

func bucket(n uint64) int {
	if n < perPower {
		return int(n)
	}
	power := bits.Len64(n) - 6 // of the bucket's width
	return (power+1)*perPower + int(n>>power) - perPower
}

// bound is the largest number in a bucket.
func bound(i int) uint64 {
	if i < perPower {
		return uint64(i)
	}
	power := i/perPower - 1
	return uint64(i%perPower+perPower+1)<<power - 1
}
