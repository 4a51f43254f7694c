package memory

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// request is what a cache does for a request: look, and store if it is not there.
func request(t *Cache[int], key string, cost int64) (hit bool) {
	if _, ok := t.Get([]byte(key)); ok {
		return true
	}
	put(t, key, 0, cost)
	return false
}

func resident(t *Cache[int], key string) bool {
	_, ok := t.Peek([]byte(key))
	return ok
}

func TestHeat(t *testing.T) {
	t.Run("it fades", func(t *testing.T) {
		const now = 1000
		for _, tt := range []struct {
			name  string
			count int64
			age   uint32
			want  int64
		}{
			{"a count of now is itself", 10 * once, 0, 10 * once},
			{"it is half after a half-life", 10 * once, ticks, 5 * once},
			{"and in between by the root of two", 100 * once, ticks / 2, 100 * once * 46341 / 65536},
			{"it is a quarter after two", 10 * once, 2 * ticks, 10 * once / 4},
			{"it ends at nothing", maxHeat, 16 * ticks, 0},
			{"and stays there", maxHeat, math.MaxUint32, 0},
		} {
			t.Run(tt.name, func(t *testing.T) {
				if got := newHeat(now, tt.count).at(now + tt.age); got != tt.want {
					t.Errorf("got %d, want %d", got, tt.want)
				}
			})
		}
		if got := newHeat(math.MaxUint32, 2*once).at(ticks - 1); got != once {
			t.Errorf("over the wrap of the clock: got %d, want %d", got, once)
		}
	})
	t.Run("a hit adds to it", func(t *testing.T) {
		var e entry[int]
		e.hit(0)
		e.hit(0)
		if got := e.count(0); got != 2*once {
			t.Errorf("two hits count %d, want %d", got, 2*once)
		}
		for range 2 * maxCount {
			e.hit(0)
		}
		if got := e.count(0); got != maxHeat {
			t.Errorf("the limit is %d, want %d", got, maxHeat)
		}
		e.hit(ticks)
		if got := e.count(ticks); got != maxHeat/2+once {
			t.Errorf("a hit after a half-life makes it %d, want %d", got, maxHeat/2+once)
		}
	})
	t.Run("a replaced value keeps it", func(t *testing.T) {
		cache := newCache(Config{MaxBytes: 100_000, Shards: 1})
		for range 10 {
			request(cache, "key", 100)
		}
		for _, cost := range []int64{200, 50, 5000, 100} { // 5000 is more than the window: it moves
			require.True(t, put(cache, "key", 0, cost))
			e := cache.shards[0].index.get(cache.hash("key"))
			if got := e.count(cache.shards[0].policy.now); got != 10*once {
				t.Errorf("cost %d: count is %d, want %d", cost, got, 10*once)
			}
			check(t, cache)
		}
	})
	t.Run("a key that comes back has it again", func(t *testing.T) {
		cache := newCache(Config{MaxBytes: 100_000, Shards: 1})
		for range 10 {
			request(cache, "key", 100)
		}
		cache.Delete([]byte("key"))
		require.True(t, put(cache, "key", 0, 100))
		e := cache.shards[0].index.get(cache.hash("key"))
		if got := e.count(cache.shards[0].policy.now); got != 11*once {
			t.Errorf("count is %d, want %d", got, 11*once)
		}
	})
}

// The main part of the cache is full of entries that were asked for old times each. A newcomer is
// asked for as often as the row says.
func TestContest(t *testing.T) {
	for _, tt := range []struct {
		name     string
		old      int
		cost     int64 // of an old entry; a newcomer costs 10 000, more than the window
		newcomer int
		want     bool
	}{
		{"what is asked for less often must wait", 3, 10_000, 3, false},
		{"what is asked for more often comes in", 3, 10_000, 5, true},
		{"as often, in less room, is worth more", 3, 20_000, 3, true},
		{"more often, in more room, is worth less", 3, 2_500, 11, false},
		{"much more often, in more room, is worth more", 3, 2_500, 16, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cache := newCache(Config{MaxBytes: 200_000, Shards: 1})
			for i := range 200_000 / tt.cost {
				for range tt.old {
					request(cache, fmt.Sprint("old", i), charged("old10", tt.cost))
				}
			}
			before := cache.Stats()
			for range tt.newcomer {
				request(cache, "new", charged("new", 10_000))
			}
			if got := resident(cache, "new"); got != tt.want {
				t.Errorf("resident is %v, want %v", got, tt.want)
			}
			if st := cache.Stats(); !tt.want && st.Evictions != before.Evictions {
				t.Errorf("%d were evicted for one that did not come in", st.Evictions-before.Evictions)
			}
			check(t, cache)
		})
	}
}

func TestWindow(t *testing.T) {
	t.Run("first in, first out", func(t *testing.T) {
		cache := newCache(Config{MaxBytes: 100_000, Shards: 1}) // a window of 3 000
		for i := range 200 {
			for range 5 {
				request(cache, fmt.Sprint("popular", i), charged("popular10", 500))
			}
		}
		require.Greater(t, cache.Stats().Bytes, int64(99_000))
		for i := range 20 {
			request(cache, fmt.Sprint("new", i), charged("new10", 1000))
			for j := range i + 1 {
				if got, want := resident(cache, fmt.Sprint("new", j)), j > i-3; got != want {
					t.Fatalf("after new%d: new%d is resident: %v, want %v", i, j, got, want)
				}
			}
		}
	})
	t.Run("a resident that grows leaves it", func(t *testing.T) {
		for _, tt := range []struct {
			name string
			hits int
			want bool
		}{
			{"makes room if it is worth that", 200, true},
			{"is gone if it is not", 2, false},
		} {
			t.Run(tt.name, func(t *testing.T) {
				cache := newCache(Config{MaxBytes: 100_000, Shards: 1})
				for range tt.hits {
					request(cache, "key", charged("key", 1000))
				}
				for i := range 500 {
					for range 4 {
						request(cache, fmt.Sprint("other", i), charged("other10", 500))
					}
				}
				if !resident(cache, "key") { // it may have been evicted while it was small
					require.True(t, put(cache, "key", 0, charged("key", 1000)))
				}
				rejections := cache.Stats().Rejections
				if got := put(cache, "key", 1, charged("key", 10_000)); got != tt.want {
					t.Errorf("resident is %v, want %v", got, tt.want)
				}
				if v, ok := cache.Get([]byte("key")); ok != tt.want || ok && v != 1 {
					t.Errorf("Get returns %d, %v", v, ok)
				}
				if st := cache.Stats(); !tt.want && st.Rejections != rejections+1 {
					t.Errorf("%d rejections, want 1", st.Rejections-rejections)
				}
				check(t, cache)
			})
		}
	})
}

func TestWorth(t *testing.T) {
	// The responses of a site are large now and were small once. Requests for each byte alone would
	// keep the old ones for ever.
	t.Run("small entries that are dead give way to large ones", func(t *testing.T) {
		cache := newCache(Config{MaxBytes: 1 << 20, Shards: 1})
		for i := range 4000 {
			for range 3 {
				request(cache, fmt.Sprint("small", i), 100)
			}
		}
		hits, last := 0, 0
		const rounds, pages = 1200, 20 // 20 responses of 40 KB: four fifths of the budget
		for round := range rounds {
			for i := range pages {
				if request(cache, fmt.Sprint("large", i), 40_000) {
					if hits++; round >= rounds-10 {
						last++
					}
				}
			}
		}
		if last < 10*pages*9/10 {
			t.Errorf("%d of %d requests are hits in the end, %d in all", last, 10*pages, hits)
		}
		check(t, cache)
	})
	t.Run("a popular entry that is too large does not cool the rest", func(t *testing.T) {
		cache := newCache(Config{MaxBytes: 1 << 20, Shards: 1, MaxEntryBytes: 1 << 19})
		for i := range 1000 {
			for range 20 {
				request(cache, fmt.Sprint("page", i), 900)
			}
		}
		for range 200 {
			request(cache, "giant", 1<<19-1000)
		}
		kept := 0
		for i := range 1000 {
			if request(cache, fmt.Sprint("page", i), 900) {
				kept++
			}
		}
		if kept < 700 {
			t.Errorf("%d of 1000 popular entries are left", kept)
		}
	})
}

func TestSketch(t *testing.T) {
	k := newSketch(minSketch)
	k.fit(100)
	for h := range uint64(100) {
		k.raise(mix(h), uint32(h))
	}
	low, high := 0, 0
	judge := func(step string, scale uint64) {
		t.Helper()
		low, high = 0, 0
		for h := range uint64(100) {
			switch n := k.estimate(mix(h)); {
			case n < uint32(h*scale/2):
				low++
			case n > uint32(h*scale/2):
				high++
			}
		}
		if low > 0 || high > 10 {
			t.Errorf("%s: %d estimates are too low, %d too high", step, low, high)
		}
	}
	judge("written", 2)
	k.raise(mix(90), 5)
	judge("raised to less than it is", 2)
	k.fit(5000)
	if got, want := len(k.words), 8192; got != want {
		t.Errorf("%d words for 5000 residents, want %d", got, want)
	}
	judge("grown", 2)
	k.shrink(100)
	if got, want := len(k.words), 128; got != want {
		t.Errorf("%d words for 100 residents, want %d", got, want)
	}
	judge("shrunk", 2)
	for range 1000 {
		k.age(1000)
	}
	judge("aged for a period", 1)
	k.raise(1, maxCount)
	if n := k.estimate(1); n != maxCount {
		t.Errorf("the limit is %d, want %d", n, maxCount)
	}
}

func TestShrink(t *testing.T) {
	cache := newCache(Config{MaxBytes: 16 << 20, Shards: 1})
	for i := range 20_000 {
		put(cache, fmt.Sprint(i), i, 1)
	}
	s := &cache.shards[0]
	words := len(s.policy.sketch.words)
	require.Equal(t, 20_000, s.peak)
	n := cache.DeleteFunc(func(_ string, v int) bool { return v >= 2000 })
	require.Equal(t, 18_000, n)
	if s.peak > 5000 || cap(s.once.entries)+cap(s.twice.entries) > 10_000 || len(s.policy.sketch.words) > words/2 {
		t.Errorf("peak %d, main %d, sketch %d of %d", s.peak, cap(s.once.entries)+cap(s.twice.entries), len(s.policy.sketch.words), words)
	}
	for i := range 2000 {
		if v, ok := cache.Get([]byte(fmt.Sprint(i))); !ok || v != i {
			t.Fatalf("%d is %d, %v", i, v, ok)
		}
	}
	check(t, cache)
}
