package memory

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// checkListing holds a shard to the invariants of its listing: it is in order, and has every entry
// under its words and nothing else.
func checkListing[V any](t testing.TB, s *shard[V]) {
	t.Helper()
	l := &s.listing
	have := make(map[item[V]]int)
	last := uint64(0)
	for i, f := range l.leaves {
		if f.n <= 0 || f.n > leafSize || l.starts[i] > f.words[0] || l.starts[i] < last || i == 0 && l.starts[0] != 0 {
			t.Fatalf("leaf %d has %d items from %x on, begins at %x, and %x is before it", i, f.n, f.words[0], l.starts[i], last)
		}
		for j := range leafSize {
			e := f.entries[j]
			if (e != nil) != (j < f.n) || j < f.n && f.words[j] < last {
				t.Fatalf("item %d of %d in leaf %d is %x after %x", j, f.n, i, f.words[j], last)
			}
			if e != nil {
				last = f.words[j]
				have[item[V]{last, e}]++
			}
		}
	}
	if len(l.starts) != len(l.leaves) {
		t.Fatalf("%d leaves begin at %d words", len(l.leaves), len(l.starts))
	}
	if s.words == nil {
		return
	}
	for _, e := range s.index.all() {
		for _, word := range s.words(nil, e.key, e.value) {
			i := item[V]{word, e}
			if have[i]--; have[i] == 0 {
				delete(have, i)
			}
		}
	}
	if len(have) == 0 && len(l.leaves) > 8 {
		t.Logf("%d entries in %d leaves: %.2f full", s.index.len(), len(l.leaves), float64(s.index.len())/float64(leafSize*len(l.leaves)))
	}
	for i, n := range have {
		t.Fatalf("%q is listed %d times too often under %x", i.entry.key, n, i.word)
	}
}

func TestFirstFit(t *testing.T) {
	const width = 6 // all words and masks of width bits, at both ends of a word
	for _, shift := range []int{0, 64 - width} {
		outside := ^(uint64(1<<width-1) << shift)
		for mask := range uint64(1 << width) {
			for want := range uint64(1 << width) {
				for from := range uint64(1 << width) {
					wanted, some := uint64(0), false
					for w := from; w < 1<<width && !some; w++ {
						wanted, some = w, (w^want)&mask == 0
					}
					if shift == 0 {
						// Bits before these are not free, or there would always be a larger word.
						got, ok := firstFit(from, want, mask|outside)
						if ok != some || ok && got != wanted {
							t.Fatalf("from %b, %b in %b: got %b, %v, want %b, %v", from, want, mask, got, ok, wanted, some)
						}
						continue
					}
					got, ok := firstFit(from<<shift, want<<shift, mask<<shift)
					if ok != some || ok && got != wanted<<shift {
						t.Fatalf("from %b, %b in %b: got %b, %v, want %b, %v", from, want, mask, got>>shift, ok, wanted, some)
					}
				}
			}
		}
	}
}

// FuzzListing plays insertions and removals against a slice.
func FuzzListing(f *testing.F) {
	f.Add([]byte{1, 2, 3, 250, 1})
	f.Fuzz(playListing)
}

func TestListing(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 5))
		ops := make([]byte, 6000)
		for i := range ops {
			ops[i] = byte(r.Uint32())
		}
		playListing(t, ops)
	}
}

func playListing(t *testing.T, ops []byte) {
	s := &shard[int]{}
	l := &s.listing
	var all []item[int]
	for n, op := range ops {
		switch growing := n/1500%2 == 0; {
		case len(all) > 0 && (op%4 == 0 || !growing && op%4 < 3):
			i := int(op) * 7919 % len(all)
			l.remove(all[i].word, all[i].entry)
			all = slices.Delete(all, i, i+1)
		default:
			// Many words are alike.
			i := item[int]{uint64(op) * uint64(op>>5) << (op % 3 * 20), new(entry[int])}
			l.insert(i.word, i.entry)
			all = append(all, i)
		}
		if n%50 != 0 && n < len(ops)-10 {
			continue
		}
		checkListing(t, s)
		want, mask := uint64(op), []uint64{^uint64(0), 0xff, 0, 0xff << 20}[op%4]
		count, searches := 0, 0
		for p := range l.fitting(0, want, mask, &searches) {
			if (l.word(p)^want)&mask != 0 {
				t.Fatalf("%x does not fit %x in %x", l.word(p), want, mask)
			}
			count++
		}
		wanted := 0
		for _, i := range all {
			if (i.word^want)&mask == 0 {
				wanted++
			}
		}
		if count != wanted {
			t.Fatalf("%d items equal %x in %x, want %d", count, want, mask, wanted)
		}
	}
	for _, i := range all {
		l.remove(i.word, i.entry)
	}
	if len(l.leaves) != 0 {
		t.Fatalf("%d leaves are left of an empty listing", len(l.leaves))
	}
}

// listed is a cache whose keys are "group/member". An entry is listed under the group in the first
// half of a word and the member in the other, and under its value, if it is not 0, as a whole word.
func listed(cfg Config) *Cache[int] {
	cache := newCache(cfg)
	cache.ListBy(func(dst []uint64, key string, v int) []uint64 {
		var group, member uint32
		_, _ = fmt.Sscanf(key, "%d/%d", &group, &member)
		dst = append(dst, uint64(group)<<32|uint64(member))
		if v != 0 {
			dst = append(dst, uint64(v)<<48)
		}
		return dst
	})
	return cache
}

const (
	ofGroup  = uint64(1<<32-1) << 32
	ofMember = 1<<32 - 1
)

func TestVisit(t *testing.T) {
	t.Run("it visits what is listed under a word", func(t *testing.T) {
		cache := listed(Config{MaxBytes: 64 << 20, Shards: 8})
		const groups, members = 40, 300
		for g := range groups {
			for m := range members {
				require.True(t, put(cache, fmt.Sprintf("%d/%d", g, m), 0, 10))
			}
		}
		count := func(want, mask uint64, remove bool) (n int) {
			looked := cache.Visit(want, mask, func(word uint64, key string, _ int) bool {
				if (word^want)&mask != 0 {
					t.Errorf("%s is listed under %x, which does not fit %x", key, word, want)
				}
				n++
				return remove
			})
			if looked < n {
				t.Errorf("looked at %d items and visited %d", looked, n)
			}
			return n
		}
		require.Equal(t, members, count(7<<32, ofGroup, false), "one group")
		require.Equal(t, members, count(7<<32, ofGroup, false), "a visit that removes nothing changes nothing")
		require.Equal(t, groups, count(7, ofMember, false), "one member of every group")
		require.Equal(t, 1, count(7<<32|7, ^uint64(0), false), "one member of one group")
		require.Zero(t, count(99<<32, ofGroup, false), "a group that is not there")
		require.Equal(t, groups*members, count(0, 0, false), "everything")
		require.Equal(t, members, count(7<<32, ofGroup, true))
		require.Zero(t, count(7<<32, ofGroup, false), "a group that was removed")
		require.Equal(t, groups-1, count(7, ofMember, true))
		require.Equal(t, (groups-1)*(members-1), cache.Stats().Len)
		check(t, cache)
		cache.Clear()
		require.Zero(t, count(0, 0, false))
		check(t, cache)
	})
	// The cost of a visit does not depend on what else is stored.
	t.Run("it looks only at what fits", func(t *testing.T) {
		const shards = 8
		for _, n := range []int{1000, 10_000} {
			cache := listed(Config{MaxBytes: 64 << 20, Shards: shards})
			for i := range n {
				put(cache, fmt.Sprintf("%d/%d", i, i%2), 0, 10)
				put(cache, fmt.Sprintf("%d/%d", 1<<30, i), 0, 10)
			}
			keep := func(uint64, string, int) bool { return false }
			if looked := cache.Visit(77<<32, ofGroup, keep); looked > 1+2*shards {
				t.Errorf("%d entries: looked at %d for a group of one", 2*n, looked)
			}
			if looked := cache.Visit(1<<62|5, ^uint64(0), keep); looked > 1+2*shards {
				t.Errorf("%d entries: looked at %d for one of a group of %d", 2*n, looked, n)
			}
		}
	})
	t.Run("an entry is listed by its present value", func(t *testing.T) {
		cache := listed(Config{MaxBytes: 100_000, MaxEntryBytes: 8000, Shards: 1})
		at := func(v int) (n int) {
			cache.Visit(uint64(v)<<48, ^uint64(0), func(uint64, string, int) bool { n++; return false })
			return n
		}
		require.True(t, put(cache, "1/1", 2, 100))
		require.Equal(t, []int{1, 0}, []int{at(2), at(3)})
		require.True(t, put(cache, "1/1", 3, 7000)) // and moves
		require.Equal(t, []int{0, 1}, []int{at(2), at(3)})
		require.False(t, put(cache, "1/1", 4, 9000))
		require.Equal(t, []int{0, 0, 0}, []int{at(2), at(3), at(4)})
		check(t, cache)
		require.True(t, put(cache, "1/1", 2, 100))
		n := 0
		cache.Visit(0, 0, func(uint64, string, int) bool { n++; return true })
		require.Equal(t, 1, n, "what a visit has removed is not visited under its other words")
		check(t, cache)
	})
}

// BenchmarkUpdateOfOneGroup shows that insertion and removal do not get slower with the size of a
// group, such as a client can make up for everything.
func BenchmarkUpdateOfOneGroup(b *testing.B) {
	for _, groups := range []int{1, 1 << 20} {
		b.Run(fmt.Sprint(groups, " groups"), func(b *testing.B) {
			cache := New[int](Config{MaxBytes: 1 << 26, Shards: 4, seed: 1})
			cache.ListBy(func(dst []uint64, key string, _ int) []uint64 {
				h := fixedHash(9, key)
				return append(dst, h%uint64(groups)<<44|h>>20)
			})
			key := make([]byte, 0, 32)
			for i := 0; b.Loop(); i++ {
				key = fmt.Appendf(key[:0], "key %d", bits.Reverse32(uint32(i)))
				cache.Update(key, func(int, bool) (int, int64, bool) { return i, 10, true })
			}
		})
	}
}
