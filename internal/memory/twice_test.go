package memory

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// anySize returns a size between 1 and most, each order of magnitude as often as the others.
func anySize(random *rand.Rand, most float64) int64 { return int64(math.Pow(most, random.Float64())) }

// used stores n responses that are asked for twice each and take six tenths of the budget. It
// returns their keys.
func used(t *testing.T, cache *Cache[int], n int, random *rand.Rand) (keys []string) {
	t.Helper()
	mean := cache.maxBytes * 6 / 10 / int64(n)
	for i := range n {
		key := fmt.Sprint("page ", i)
		size := 1 + random.Int64N(2*mean)
		request(cache, key, size)
		require.True(t, request(cache, key, size), "the second request is a hit")
		keys = append(keys, key)
	}
	return keys
}

// A client that asks for many URLs once each, of any size, takes no place from a response that was
// asked for twice.
func TestTwiceIsNotEvictedByOnce(t *testing.T) {
	t.Parallel()
	requests := size(300_000, 20_000)
	for _, row := range []struct {
		name    string
		most    float64 // size of a response to that client
		workers int
	}{
		{"one byte", 1, 1},
		{"of any size", 8 << 20, 1},
		{"of any size, from eight clients at once", 8 << 20, 8},
		{"as large as may be", 0, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			cache := New[int](Config{MaxBytes: 64 << 20})
			keys := used(t, cache, 1000, rand.New(rand.NewPCG(1, 1)))
			var group sync.WaitGroup
			for worker := range row.workers {
				group.Go(func() {
					random := rand.New(rand.NewPCG(2, uint64(worker)))
					for i := range requests / row.workers {
						bytes := anySize(random, max(row.most, 1))
						if row.most == 0 {
							bytes = cache.MaxReserve() - EntryOverhead - 100
						}
						key := fmt.Sprint("stranger ", worker, i)
						reserved := cache.Reserve(bytes, 0, false)
						request(cache, key, bytes)
						if reserved {
							cache.Release(bytes)
						}
					}
				})
			}
			group.Wait()
			lost := 0
			for _, key := range keys {
				if !resident(cache, key) {
					lost++
				}
			}
			if lost > 0 {
				t.Errorf("%d of %d used entries are lost", lost, len(keys))
			}
			check(t, cache)
		})
	}
}

func TestTwice(t *testing.T) {
	t.Parallel()
	// A flood that came first does not keep out what is asked for twice now.
	t.Run("it takes the place of what was asked for once", func(t *testing.T) {
		pages := size(100, 50)
		cache := New[int](Config{MaxBytes: int64(pages) * 4 << 20 / 100})
		for i := range 300 * pages {
			request(cache, fmt.Sprint("stranger ", i), 100)
		}
		for i := range pages {
			key := fmt.Sprint("page ", i)
			request(cache, key, 25<<10)
			request(cache, key, 25<<10)
		}
		for i := range pages {
			if key := fmt.Sprint("page ", i); !resident(cache, key) {
				t.Errorf("%s is not kept", key)
			}
		}
		check(t, cache)
	})
	// What was asked for twice long ago gives way to what is asked for twice now: no set of entries
	// is kept for ever.
	t.Run("it gives way if that was long ago", func(t *testing.T) {
		const budget = 2 << 20
		for _, row := range []struct {
			size   int64
			rounds int // after this many the new ones must be there
		}{
			{500, size(400, 100)},
			{20_000, size(400, 100)},
			{200_000, 400},
		} {
			t.Run(fmt.Sprint(row.size, " bytes"), func(t *testing.T) {
				cache := New[int](Config{MaxBytes: budget, Shards: 1, seed: 1})
				for i := range 3 * budget / 2000 {
					for range 3 {
						request(cache, fmt.Sprint("old ", i), 2000)
					}
				}
				pages := int(budget * 3 / 4 / row.size)
				hits, last := 0, 0
				for round := range row.rounds {
					for i := range pages {
						if request(cache, fmt.Sprint("new ", i), row.size) {
							if hits++; round >= row.rounds-5 {
								last++
							}
						}
					}
				}
				if last < 5*pages*9/10 {
					t.Errorf("%d of %d requests are hits in the end, %d in all", last, 5*pages, hits)
				}
				check(t, cache)
			})
		}
	})
	// What was asked for before it was stored counts as asked for twice when it is.
	t.Run("it counts if the first time was remembered", func(t *testing.T) {
		cache := newCache(Config{MaxBytes: 1 << 20, Shards: 1})
		again := func(key string) bool {
			return cache.shards[0].at(cache.hash(key), []byte(key)).again()
		}
		cache.Remember([]byte("twice"))
		require.True(t, put(cache, "twice", 1, 10))
		require.True(t, put(cache, "once", 1, 10))
		cache.Remember([]byte("once")) // it is there, so that Get counts the requests
		require.True(t, put(cache, "once", 2, 10))
		require.True(t, again("twice"))
		require.False(t, again("once"))
		check(t, cache)
	})
	// An entry that the window has lost, or that was never let in, is known when it comes back.
	t.Run("it counts if the entry was lost in between", func(t *testing.T) {
		cache := New[int](Config{MaxBytes: 1 << 20, Shards: 1, seed: 1})
		for i := range 2000 {
			for range 2 {
				request(cache, fmt.Sprint("old ", i), 900)
			}
		}
		again := 0
		const pages = 200
		for i := range pages {
			request(cache, fmt.Sprint("new ", i), 900)
		}
		for i := range pages {
			request(cache, fmt.Sprint("new ", i), 900)
			if e := cache.shards[0].index.get(cache.hash(fmt.Sprint("new ", i))); e != nil && e.again() {
				again++
			}
		}
		if again < pages*9/10 {
			t.Errorf("%d of %d are known", again, pages)
		}
	})
	// An entry that was asked for again where it lies, and not since, competes with its like.
	t.Run("it does not hide among what was asked for once", func(t *testing.T) {
		cache := New[int](Config{MaxBytes: 1 << 20, Shards: 1, seed: 1})
		for range 3 {
			request(cache, "large", 100_000) // larger than the window: it comes into main at once
		}
		for i := range 2000 {
			for range 3 {
				request(cache, fmt.Sprint("page ", i), 5000)
			}
		}
		if resident(cache, "large") {
			t.Error("it is still there")
		}
		check(t, cache)
	})
	// Nothing is left of the room of what was asked for once, and everything has cooled down.
	t.Run("a flood takes no room from it", func(t *testing.T) {
		cache := New[int](Config{MaxBytes: 1 << 20, Shards: 1, seed: 1})
		s := &cache.shards[0]
		for i := 0; s.twice.used < s.mainMax*97/100 || len(s.once.entries) > 0; i++ {
			for range 3 {
				request(cache, fmt.Sprint("page ", i), 1000)
			}
			// cheapestOnce moves what was asked for again.
			for len(s.once.entries) > 0 && s.cheapestOnce() == nil {
			}
			require.Less(t, i, 10_000)
		}
		var keys []string
		for _, e := range s.twice.entries {
			keys = append(keys, e.key)
		}
		for i := range 20_000 {
			request(cache, fmt.Sprint("stranger ", i), int64(1+i%1000))
		}
		s.policy.now += 100 * ticks
		for i := range 20_000 {
			request(cache, fmt.Sprint("another ", i), int64(1+i%1000))
		}
		lost := 0
		for _, key := range keys {
			if !resident(cache, key) {
				lost++
			}
		}
		if lost > 0 {
			t.Errorf("%d of %d are lost", lost, len(keys))
		}
		check(t, cache)
	})
}

// What a value could spare was asked for once, however often the rest of it was: it takes no place
// from what was asked for twice, and makes room for that.
func TestSpare(t *testing.T) {
	t.Parallel()
	const plain, large, less = 1, 2, 3 // values
	newCache := func() *Cache[int] {
		cache := newCache(Config{MaxBytes: 1 << 20, Shards: 1})
		cache.OnEvict(func(v int) (int, int64, bool) { return less, 1000, v == large })
		cache.OnSpare(func(v int) bool { return v == large })
		return cache
	}
	hot := func(cache *Cache[int], i int) []byte {
		key := fmt.Append(nil, "hot", i)
		put(cache, string(key), plain, 1000)
		for range 20 {
			cache.Get(key)
		}
		return key
	}
	rest := func(int) (int, int64, bool) { return plain, 1000, true }

	t.Run("it takes no place", func(t *testing.T) {
		cache := newCache()
		keys := used(t, cache, 500, rand.New(rand.NewPCG(1, 1)))
		for i := range 20 {
			key := hot(cache, i)
			for range 20 {
				cache.UpdateOr(key, func(int, bool) (int, int64, bool) { return large, 100_000, true }, rest)
			}
			_, ok := cache.Peek(key)
			require.True(t, ok)
		}
		for _, key := range keys {
			if _, ok := cache.Peek([]byte(key)); !ok {
				t.Errorf("%s is gone", key)
			}
		}
		check(t, cache)
	})
	t.Run("it makes room", func(t *testing.T) {
		cache := newCache()
		for i := range 20 {
			key := hot(cache, i)
			cache.UpdateOr(key, func(int, bool) (int, int64, bool) { return large, 100_000, true }, rest)
		}
		used(t, cache, 500, rand.New(rand.NewPCG(1, 1)))
		for i := range 20 {
			_, ok := cache.Peek(fmt.Append(nil, "hot", i))
			require.True(t, ok, "the rest stays")
		}
		check(t, cache)
	})
}

// When responses in progress need memory, what was asked for once goes first. What was asked for
// twice gives way for at most half of what can be reserved, so that a cache that is full of it can
// still change.
func TestReserveTakesOnceFirst(t *testing.T) {
	t.Parallel()
	const budget = 16 << 20
	cache := New[int](Config{MaxBytes: budget, Shards: 4})
	fill := func(name string, size int64, times int) (keys []string) {
		for i := range 3 * budget / int(size) / 2 {
			key := fmt.Sprint(name, i)
			for range times {
				request(cache, key, size)
			}
			keys = append(keys, key)
		}
		return keys
	}
	count := func(keys []string) (n int) {
		for _, key := range keys {
			if resident(cache, key) {
				n++
			}
		}
		return n
	}
	twice := fill("twice", 2000, 2)[:2000] // a quarter of the budget is asked for again and again
	for range 10 {
		for _, key := range twice {
			request(cache, key, 2000)
		}
	}
	cache.DeleteFunc(func(key string, _ int) bool {
		for _, k := range twice {
			if k == key {
				return false
			}
		}
		return true
	})
	before := count(twice)
	require.Greater(t, before, 1500)
	fill("once", 50_000, 1)
	var reserved int64
	for cache.Reserve(100_000, 100_000, false) {
		reserved += 100_000
	}
	require.Greater(t, reserved, int64(budget/3), "of what was asked for once there is enough")
	require.Equal(t, before, count(twice))
	cache.Release(reserved)
	settled(t, cache, 0)

	fill("all", 2000, 3)
	reserved = 0
	for cache.Reserve(100_000, 100_000, false) {
		reserved += 100_000
	}
	require.Greater(t, reserved, int64(budget/5), "the cache can still change")
	require.LessOrEqual(t, reserved, int64(budget/4+budget/16))
	cache.Release(reserved)
	settled(t, cache, 0)
}
