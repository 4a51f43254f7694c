package memory

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// stuff makes a cache full of entries of the given charge.
func stuff(t *testing.T, cache *Cache[int], charge int64) {
	t.Helper()
	for i := range 3 * cache.maxBytes / charge {
		key := fmt.Sprintf("fill %08d", i)
		put(cache, key, int(i), charged(key, charge))
	}
	check(t, cache)
	require.Greater(t, cache.Stats().Bytes, cache.maxBytes*8/10)
}

// settled holds a cache that is not in use at the moment to its budget.
func settled(t *testing.T, cache *Cache[int], reserved int64) {
	t.Helper()
	check(t, cache)
	st := cache.Stats()
	if st.Reserved != reserved {
		t.Fatalf("%d bytes are reserved, want %d", st.Reserved, reserved)
	}
	if st.Bytes+st.Reserved > st.MaxBytes {
		t.Fatalf("%d bytes are charged and %d reserved, more than %d", st.Bytes, st.Reserved, st.MaxBytes)
	}
}

func TestReserve(t *testing.T) {
	t.Parallel()
	t.Run("residents give way and come back", func(t *testing.T) {
		for _, shards := range []int{1, 4} {
			cache := newCache(Config{MaxBytes: 1 << 20, Shards: shards})
			stuff(t, cache, 1000)
			const piece = 10_000
			n := int64(0)
			for cache.Reserve(piece, n, false) {
				n += piece
				settled(t, cache, n)
			}
			if n < 3<<20/10 {
				t.Errorf("%d shards: only %d bytes of %d could be reserved", shards, n, 1<<20)
			}
			require.Less(t, cache.Stats().Bytes, int64(3<<20/4))
			require.EqualValues(t, 1, cache.Stats().Refused)
			for range n / piece {
				cache.Release(piece)
			}
			settled(t, cache, 0)
			stuff(t, cache, 1000)
			stuff(t, cache, 1000)
			if got := cache.Stats().Bytes; got < 9<<20/10 {
				t.Errorf("%d shards: residents have %d bytes of %d when nothing is reserved any more", shards, got, 1<<20)
			}
		}
	})
	// An entry that was made in reserved bytes must be worth its room like any other. A crawler
	// that asks for large responses must not empty the cache.
	t.Run("it does not let in what is not worth its room", func(t *testing.T) {
		mib := size[int64](1<<20, 1<<17) // an eighth of the budget
		cache := newCache(Config{MaxBytes: 8 * mib, Shards: 1})
		var keys [][]byte
		for i := range 8 * mib / 1049 {
			key := fmt.Sprintf("popular %08d", i)
			put(cache, key, int(i), charged(key, 1000))
			keys = append(keys, []byte(key))
		}
		hits := func() (n int) {
			for _, k := range keys {
				if _, ok := cache.Get(k); ok {
					n++
				}
			}
			return n
		}
		for range 10 {
			hits()
		}
		before := hits()
		random := rand.New(rand.NewPCG(1, 2))
		for i := range 1000 {
			size := mib/10 + random.Int64N(mib*9/10)
			require.True(t, cache.Reserve(size, 0, false))
			key := fmt.Sprint("crawled ", i)
			put(cache, key, i, charged(key, size))
			cache.Release(size)
			hits()
		}
		after := hits()
		if after < before*3/4 {
			t.Errorf("%d of %d popular entries are left after a crawl over 1000 large ones", after, before)
		}
		settled(t, cache, 0)
	})
	t.Run("many reserve at once", func(t *testing.T) {
		cache := newCache(Config{MaxBytes: 4 << 20, Shards: 4})
		var held atomic.Int64
		for round := range 20 {
			var group sync.WaitGroup
			for worker := range 8 {
				group.Go(func() {
					random := rand.New(rand.NewPCG(uint64(round), uint64(worker)))
					var mine []int64
					for range 500 {
						switch random.IntN(4) {
						case 0, 1:
							n := 1 + random.Int64N(64<<10)
							if cache.Reserve(n, random.Int64N(128<<10), random.IntN(3) == 0) {
								mine = append(mine, n)
								if got := held.Add(n); got > 2<<20 {
									t.Errorf("%d bytes are reserved, more than half", got)
								}
							}
						case 2:
							key := fmt.Sprint("key ", random.IntN(5000))
							put(cache, key, 1, random.Int64N(20_000))
						default:
							if len(mine) > 0 {
								last := len(mine) - 1
								held.Add(-mine[last])
								cache.Release(mine[last])
								mine = mine[:last]
							}
						}
					}
					for _, n := range mine {
						if random.IntN(2) == 0 || round%3 == 0 {
							held.Add(-n)
							cache.Release(n)
						} else {
							defer func() { held.Add(-n); cache.Release(n) }()
						}
					}
				})
			}
			group.Wait()
			settled(t, cache, 0)
			require.Zero(t, held.Load())
		}
	})
}

func TestReserveLimits(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, tt := range []struct {
		name    string
		cfg     Config
		largest int64
	}{
		{"the largest entry of the default", Config{MaxBytes: 64 * mib}, 8 * mib},
		{"of a single shard", Config{MaxBytes: 8 * mib}, mib},
		{"of the smallest budget", Config{MaxBytes: 64 << 10}, 8 << 10},
		{"of many shards", Config{MaxBytes: 2048 * mib}, 16 * mib},
		{"of a configuration that says so", Config{MaxBytes: 64 * mib, MaxEntryBytes: 20 * mib}, 20 * mib},
		{"less than half, where a larger one is allowed", Config{MaxBytes: 100_000, MaxEntryBytes: 90_000}, 49_000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cache := newCache(tt.cfg)
			if tt.cfg.MaxBytes >= 1024*mib {
				tt.largest = min(tt.cfg.MaxBytes/8, tt.cfg.MaxBytes/int64(len(cache.shards))/2)
			}
			require.Equal(t, tt.largest, cache.MaxReserve())
			half := tt.cfg.MaxBytes / 2
			if half < 64*mib {
				stuff(t, cache, max(half/500, 300))
			}
			require.True(t, cache.Reserve(tt.largest, 0, false), "the largest alone")
			cache.Release(tt.largest)
			require.False(t, cache.Reserve(half+1, 0, false), "more than half")
			require.False(t, cache.Reserve(cache.pool.large/2+1, 0, true), "more for what is not kept than leaves as much for what is")
			settled(t, cache, 0)

			var reserved int64
			for cache.Reserve(1000, smallGrowth, false) {
				reserved += 1000
			}
			if tt.largest < cache.pool.limit*3/4 {
				require.InDelta(t, cache.pool.limit*3/4, reserved, 1000, "what is large leaves a quarter to what is small")
			}
			for cache.Reserve(1000, 0, false) {
				reserved += 1000
			}
			settled(t, cache, reserved)
			if want := half * 9 / 10; reserved < want {
				t.Errorf("%d bytes could be reserved, want %d", reserved, want)
			}
			cache.DeleteFunc(func(string, int) bool { return true })
			if !put(cache, "the largest", 1, charged("the largest", tt.largest)) {
				t.Error("an entry of the largest size does not fit beside all that is reserved")
			}
			settled(t, cache, reserved)
			cache.Release(reserved)
			settled(t, cache, 0)
		})
	}
}

func TestReserveAllocatesNothing(t *testing.T) {
	cache := newCache(Config{MaxBytes: 64 << 20})
	if got := testing.AllocsPerRun(1000, func() {
		if cache.Reserve(4<<10, 0, false) {
			cache.Release(4 << 10)
		}
	}); got != 0 {
		t.Errorf("%v allocations, want none", got)
	}
}
