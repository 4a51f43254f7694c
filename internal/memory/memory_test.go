package memory

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// put stores v under key.
func put[V any](t *Cache[V], key string, v V, cost int64) bool {
	return t.Update([]byte(key), func(V, bool) (V, int64, bool) { return v, cost, true })
}

// charged is the cost that makes an entry of a Cache[int] be charged n in all.
func charged(key string, n int64) int64 { return n - EntryOverhead - 8 - int64(len(key)) }

func newCache(cfg Config) *Cache[int] {
	cfg.seed = 1
	return New[int](cfg)
}

// check holds a cache to the invariants that shard states.
func check[V any](t testing.TB, cache *Cache[V]) {
	t.Helper()
	var sum int64
	n := 0
	for i := range cache.shards {
		s := &cache.shards[i]
		var window, main int64
		members := 0
		for e := range s.window.all {
			if s.index.get(cache.hash(e.key)) != e || !e.young() || s.window.ring[-1-e.slot] != e {
				t.Fatalf("shard %d: window entry %q is placed wrongly", i, e.key)
			}
			window += e.cost()
			members++
		}
		if w := &s.window; w.used-w.gaps != members || w.used > len(w.ring) || w.used > 0 && w.oldest() == nil {
			t.Fatalf("shard %d: the window has %d entries in %d places, %d of them gaps", i, members, w.used, w.gaps)
		}
		for number, b := range []*bag[V]{&s.once, &s.twice} {
			var used int64
			for j, e := range b.entries {
				if s.index.get(cache.hash(e.key)) != e || e.slot != int32(j<<1+number) || number == 1 && !e.again() {
					t.Fatalf("shard %d: main entry %q has slot %d, want %d in %d", i, e.key, e.slot, j, number)
				}
				used += e.cost()
				members++
			}
			if used != b.used {
				t.Fatalf("shard %d: used %d in bag %d, want %d", i, b.used, number, used)
			}
			main += used
		}
		checkListing(t, s)
		if members != s.index.len() || s.peak < members {
			t.Fatalf("shard %d: %d entries in the queues, %d in the index, peak %d", i, members, s.index.len(), s.peak)
		}
		if window != s.windowUsed || main != s.mainUsed() {
			t.Fatalf("shard %d: used %d and %d, want %d and %d", i, s.windowUsed, s.mainUsed(), window, main)
		}
		if window > s.windowMax || main > s.mainMax {
			t.Fatalf("shard %d: used %d of %d and %d of %d", i, window, s.windowMax, main, s.mainMax)
		}
		sum += window + main
		n += members
	}
	if st := cache.Stats(); st.Bytes != sum || st.Bytes > st.MaxBytes || st.Len != n {
		t.Fatalf("stats are %+v, want %d bytes of %d entries", st, sum, n)
	}
}

func TestUpdate(t *testing.T) {
	t.Run("it reports what is resident", func(t *testing.T) {
		const max = 10_000
		for _, tt := range []struct {
			name     string
			old      int64 // charge of what is there before; 0 = nothing
			cost     int64
			keep     bool
			resident bool
		}{
			{"a new value is resident at once", 0, 100, true, true},
			{"a new value that is not wanted is not", 0, 100, false, false},
			{"a value that replaces another is resident", 1000, 100, true, true},
			{"an old value that is not wanted any more is gone", 1000, 100, false, false},
			{"a value of the largest size is resident", 0, charged("key", max), true, true},
			{"a value one byte larger is refused", 0, charged("key", max) + 1, true, false},
			{"a resident may grow to the largest size", 1000, charged("key", max), true, true},
			{"a resident that grows beyond it is gone", 1000, charged("key", max) + 1, true, false},
			{"a cost that would overflow is refused", 1000, math.MaxInt64, true, false},
			{"a negative cost is none", 0, math.MinInt64, true, true},
		} {
			t.Run(tt.name, func(t *testing.T) {
				cache := newCache(Config{MaxBytes: 100_000, MaxEntryBytes: max})
				if tt.old > 0 {
					require.True(t, put(cache, "key", 1, charged("key", tt.old)))
				}
				resident := cache.Update([]byte("key"), func(old int, found bool) (int, int64, bool) {
					if found != (tt.old > 0) || found && old != 1 {
						t.Errorf("old value is %d, %v", old, found)
					}
					return 2, tt.cost, tt.keep
				})
				if resident != tt.resident {
					t.Errorf("resident is %v, want %v", resident, tt.resident)
				}
				for name, look := range map[string]func([]byte) (int, bool){"Get": cache.Get, "Peek": cache.Peek} {
					v, ok := look([]byte("key"))
					if ok != tt.resident || ok && v != 2 {
						t.Errorf("%s returns %d, %v, want 2, %v", name, v, ok, tt.resident)
					}
				}
				check(t, cache)
			})
		}
	})
	t.Run("it changes nothing if f panics", func(t *testing.T) {
		cache := newCache(Config{MaxBytes: 1 << 20})
		require.True(t, put(cache, "key", 1, 10))
		require.Panics(t, func() {
			cache.Update([]byte("key"), func(int, bool) (int, int64, bool) { panic("no") })
		})
		if v, ok := cache.Get([]byte("key")); !ok || v != 1 {
			t.Errorf("Get returns %d, %v, want the old value", v, ok)
		}
		require.True(t, put(cache, "key", 2, 10), "the lock must be free")
	})
	t.Run("it does not keep the slice of the key", func(t *testing.T) {
		cache := newCache(Config{MaxBytes: 1 << 20})
		key := []byte("a")
		cache.Update(key, func(int, bool) (int, int64, bool) { return 1, 1, true })
		key[0] = 'b'
		if _, ok := cache.Get(key); ok {
			t.Error("the cache reads a key that its caller has changed")
		}
	})
}

func TestDelete(t *testing.T) {
	t.Run("of one key", func(t *testing.T) {
		cache := newCache(Config{MaxBytes: 1 << 20})
		if v, ok := cache.Delete([]byte("key")); ok || v != 0 {
			t.Errorf("an absent key yields %d, %v", v, ok)
		}
		require.True(t, put(cache, "key", 1, 10))
		if v, ok := cache.Delete([]byte("key")); !ok || v != 1 {
			t.Errorf("got %d, %v, want 1, true", v, ok)
		}
		if _, ok := cache.Get([]byte("key")); ok {
			t.Error("a deleted value is visible")
		}
		check(t, cache)
	})
	t.Run("of all that a function says", func(t *testing.T) {
		cache := fill(t, 3000)
		n := cache.DeleteFunc(func(k string, v int) bool {
			if k != fmt.Sprint("key", v) {
				t.Errorf("%q comes with %d", k, v)
			}
			return strings.HasPrefix(k, "key1")
		})
		if n != 1111 || cache.Stats().Len != 3000-1111 {
			t.Errorf("%d deleted, %d left", n, cache.Stats().Len)
		}
		for k := range cache.All() {
			if strings.HasPrefix(k, "key1") {
				t.Fatalf("%q is left", k)
			}
		}
		if n := cache.DeleteFunc(func(string, int) bool { return false }); n != 0 {
			t.Errorf("%d deleted by a condition that is never true", n)
		}
		check(t, cache)
	})
	t.Run("a function judges the value that replaced another", func(t *testing.T) {
		cache := New[int](Config{MaxBytes: 4 << 20, Shards: 1, seed: 1})
		for i := range 2 * deleteBatch {
			require.True(t, put(cache, fmt.Sprint(i), 0, 1))
		}
		s := &cache.shards[0]
		all := s.pairs()
		for i := range 2 * deleteBatch {
			require.True(t, put(cache, fmt.Sprint(i), 1, 1))
		}
		if n := s.deleteAmong(all, func(_ string, v int) bool { return v == 1 }); n != 2*deleteBatch {
			t.Errorf("%d deleted, want all: their values were replaced after the snapshot", n)
		}
	})
	t.Run("of everything", func(t *testing.T) {
		cache := fill(t, 1000)
		cache.Clear()
		if st := cache.Stats(); st.Len != 0 || st.Bytes != 0 {
			t.Errorf("stats are %+v", st)
		}
		require.True(t, put(cache, "key1", 5, 1))
		if v, _ := cache.Get([]byte("key1")); v != 5 {
			t.Errorf("got %d, want 5", v)
		}
		check(t, cache)
	})
}

// fill puts n entries into a cache of four shards, so that some are in windows.
func fill(t *testing.T, n int) *Cache[int] {
	cache := newCache(Config{MaxBytes: 4 << 20, Shards: 4})
	for i := range n {
		require.True(t, put(cache, fmt.Sprint("key", i), i, 1))
	}
	return cache
}

func TestAll(t *testing.T) {
	cache := fill(t, 1000)
	seen := make(map[string]int)
	for k, v := range cache.All() {
		seen[k] = v
		cache.Delete([]byte(k)) // no lock is held
	}
	if len(seen) != 1000 || seen["key7"] != 7 {
		t.Errorf("%d entries seen, key7 is %d", len(seen), seen["key7"])
	}
	require.True(t, put(cache, "a", 1, 1))
	require.True(t, put(cache, "b", 1, 1))
	n := 0
	for range cache.All() {
		n++
		break
	}
	if n != 1 {
		t.Errorf("an iteration that was broken off saw %d", n)
	}
}

func TestStats(t *testing.T) {
	cache := newCache(Config{MaxBytes: 100_000, Shards: 1, MaxEntryBytes: 10_000})
	require.True(t, put(cache, "a", 1, charged("a", 1000)))
	if st, want := cache.Stats(), (Stats{Len: 1, Bytes: 1000, MaxBytes: 100_000}); st != want {
		t.Errorf("got %+v, want %+v", st, want)
	}
	require.False(t, put(cache, "b", 1, 10_001))
	for i := range 1000 {
		put(cache, fmt.Sprint(i), 1, 800)
	}
	st := cache.Stats()
	if st.Rejections != 1 || st.Evictions != uint64(1001-st.Len) {
		t.Errorf("got %+v: want 1 rejection and one eviction for each entry that is gone", st)
	}
}

func TestShards(t *testing.T) {
	t.Run("their number", func(t *testing.T) {
		const mib = 1 << 20
		for _, tt := range []struct {
			name     string
			cfg      Config
			shards   int
			maxEntry int64
		}{
			{"nothing", Config{}, 1, 0},
			{"a negative budget is none", Config{MaxBytes: -1}, 1, 0},
			{"a small budget is one shard", Config{MaxBytes: mib}, 1, mib / 8},
			{"a shard for each 16 MiB", Config{MaxBytes: 64 * mib}, 4, 8 * mib},
			{"a power of two", Config{MaxBytes: 127 * mib}, 4, 127 * mib / 8},
			{"at most 64", Config{MaxBytes: 1 << 40, MaxEntryBytes: 1 << 30}, 64, 1 << 30},
			{"no entry of 4 GiB", Config{MaxBytes: 1 << 40}, 64, math.MaxUint32},
			{"as many as asked for", Config{MaxBytes: 64 * mib, Shards: 8}, 8, 4 * mib},
			{"fewer, so that the largest entry is half a shard", Config{MaxBytes: 64 * mib, MaxEntryBytes: 16 * mib}, 2, 16 * mib},
			{"the largest entry fits beside the window", Config{MaxBytes: 1000, MaxEntryBytes: 1000}, 1, 1000 - windowBytes(1000)},
		} {
			t.Run(tt.name, func(t *testing.T) {
				cache := newCache(tt.cfg)
				if n := len(cache.shards); n != tt.shards {
					t.Errorf("%d shards, want %d", n, tt.shards)
				}
				if cache.maxEntry != tt.maxEntry {
					t.Errorf("largest entry %d, want %d", cache.maxEntry, tt.maxEntry)
				}
			})
		}
	})
	t.Run("the largest entry fits every one", func(t *testing.T) {
		for _, cfg := range []Config{
			{MaxBytes: 64 << 20},
			{MaxBytes: 64 << 20, MaxEntryBytes: 30 << 20},
			{MaxBytes: 64 << 20, MaxEntryBytes: 64 << 20},
			{MaxBytes: 100_000, Shards: 64},
		} {
			cache := newCache(cfg)
			for i := range 100 {
				key := fmt.Sprint("key", i)
				cache.Clear()
				if !put(cache, key, 1, charged(key, cache.maxEntry)) {
					t.Fatalf("%+v: %s is refused", cfg, key)
				}
				check(t, cache)
			}
		}
	})
	t.Run("without a budget they hold nothing", func(t *testing.T) {
		cache := newCache(Config{})
		if put(cache, "", 1, 0) {
			t.Error("an entry is resident")
		}
		check(t, cache)
	})
	t.Run("seeds differ", func(t *testing.T) {
		a, b := New[int](Config{MaxBytes: 1}), New[int](Config{MaxBytes: 1})
		same := 0
		for i := range 64 {
			key := fmt.Sprint(i)
			if a.hash(key) == b.hash(key) {
				same++
			}
		}
		if same > 1 {
			t.Error("two caches hash alike: keys can be chosen that share a shard")
		}
	})
}

func TestGet(t *testing.T) {
	t.Run("it does not allocate", func(t *testing.T) {
		cache := New[*int](Config{MaxBytes: 64 << 20})
		require.True(t, put(cache, "key", new(int), 10))
		buf := []byte("a key 0")
		if n := testing.AllocsPerRun(1000, func() {
			cache.Get(append(buf[:0], "key"...))
			cache.Get(append(buf[:0], "absent"...))
			cache.Peek(append(buf[:0], "key"...))
		}); n != 0 {
			t.Errorf("%v allocations, want 0", n)
		}
	})
	t.Run("keys are compared in full", func(t *testing.T) {
		cache := newCache(Config{MaxBytes: 1 << 20})
		keys := []string{"", "a", "a\x00", "A", "aa", "a\xff"}
		for i, k := range keys {
			require.True(t, put(cache, k, i, 1))
		}
		for i, k := range keys {
			if v, ok := cache.Get([]byte(k)); !ok || v != i {
				t.Errorf("%q yields %d, %v, want %d", k, v, ok, i)
			}
		}
		got := make([]string, 0, len(keys))
		for k := range cache.All() {
			got = append(got, k)
		}
		slices.Sort(got)
		slices.Sort(keys)
		require.Equal(t, keys, got)
	})
	// Keys with all 64 bits of their hashes the same must not be mixed up. They may push each other
	// out.
	t.Run("keys with the same hash are told apart", func(t *testing.T) {
		for _, hash := range []func(string) uint64{
			func(string) uint64 { return 7 },
			func(key string) uint64 { return uint64(len(key)) },
		} {
			cache := newCache(Config{MaxBytes: 1 << 20, Shards: 4, hash: hash})
			var gone []int
			cache.OnRemove(func(v int) { gone = append(gone, v) })
			require.True(t, put(cache, "a", 1, 0))
			if _, ok := cache.Get([]byte("b")); ok {
				t.Error("Get: got the value of another key")
			}
			if _, ok := cache.Peek([]byte("b")); ok {
				t.Error("Peek: got the value of another key")
			}
			if _, ok := cache.Delete([]byte("b")); ok {
				t.Error("Delete: deleted another key")
			}
			require.True(t, cache.Update([]byte("b"), func(old int, found bool) (int, int64, bool) {
				if found || old != 0 {
					t.Errorf("Update: got the value %d of another key", old)
				}
				return 2, 0, true
			}))
			check(t, cache)
			require.Equal(t, []int{1}, gone)
			v, ok := cache.Get([]byte("b"))
			require.True(t, ok)
			require.Equal(t, 2, v)
			if _, ok := cache.Get([]byte("a")); ok {
				t.Error("the one that was pushed out is still there")
			}
			require.EqualValues(t, 1, cache.Stats().Evictions)
			require.Zero(t, cache.DeleteFunc(func(key string, _ int) bool { return key == "a" }))
			require.Equal(t, 1, cache.DeleteFunc(func(key string, _ int) bool { return key == "b" }))
			check(t, cache)
		}
	})
}

func TestOnRemove(t *testing.T) {
	t.Run("it hears of each value once", func(t *testing.T) {
		cache := newCache(Config{MaxBytes: 100_000, Shards: 1, MaxEntryBytes: 20_000})
		live := map[int]int{}
		cache.OnRemove(func(v int) { live[v]-- })
		next := 0
		put := func(key string, cost int64, keep bool) {
			next++
			v := next
			cache.Update([]byte(key), func(old int, found bool) (int, int64, bool) {
				if keep {
					live[v]++
					if found {
						live[old]--
					}
				}
				return v, cost, keep
			})
		}
		random := rand.New(rand.NewPCG(1, 2))
		for range 20_000 {
			put(fmt.Sprint(random.IntN(200)), int64(random.IntN(25_000)), random.IntN(10) > 0)
			if random.IntN(100) == 0 {
				cache.Delete([]byte(fmt.Sprint(random.IntN(200))))
			}
		}
		resident := map[int]bool{}
		for _, v := range cache.All() {
			resident[v] = true
		}
		for v, n := range live {
			if want := 0; resident[v] {
				want = 1
				if n != want {
					t.Fatalf("value %d: got %d, want %d", v, n, want)
				}
			} else if n != want {
				t.Fatalf("value %d has left: got %d, want %d", v, n, want)
			}
		}
		cache.Clear()
		for v, n := range live {
			if n != 0 {
				t.Fatalf("value %d after Clear: got %d, want 0", v, n)
			}
		}
	})
}

// A value for which UpdateOr finds no room is not stored, and what rest says stays.
func TestUpdateOr(t *testing.T) {
	const most = 40_000
	for _, tt := range []struct {
		name string
		cost int64 // of the new value, too much in each row
		rest func(v int) (int, int64, bool)
		want int // 0 is nothing
	}{
		{"what rest says stays", charged("key", 20_000), func(v int) (int, int64, bool) { return v + 1, 700, true }, 8},
		{"also where the new value is larger than any may be", most, func(v int) (int, int64, bool) { return v + 1, 700, true }, 8},
		{"nothing stays if rest says so", charged("key", 20_000), func(int) (int, int64, bool) { return 0, 0, false }, 0},
		{"nothing stays if it costs more than the old value did", charged("key", 20_000), func(v int) (int, int64, bool) { return v, charged("key", 1001), true }, 0},
		{"nothing stays without rest", charged("key", 20_000), nil, 0},
	} {
		for _, young := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, ", young: ", young), func(t *testing.T) {
				cache := newCache(Config{MaxBytes: 100_000, Shards: 1, MaxEntryBytes: most})
				removed := 0
				cache.OnRemove(func(v int) { removed = v })
				if !young {
					require.True(t, put(cache, "key", 1, charged("key", 1000)))
				}
				for i := range 500 {
					for range 9 {
						request(cache, fmt.Sprint("other", i), charged("other10", 500))
					}
				}
				if _, ok := cache.Peek([]byte("key")); !ok {
					require.True(t, put(cache, "key", 1, charged("key", 1000)))
				}
				removed = 0
				resident := cache.UpdateOr([]byte("key"), func(int, bool) (int, int64, bool) { return 7, tt.cost, true }, tt.rest)
				require.False(t, resident)
				v, ok := cache.Peek([]byte("key"))
				if ok != (tt.want > 0) || v != tt.want {
					t.Errorf("%d, %v is there, want %d", v, ok, tt.want)
				}
				if (removed > 0) == ok {
					t.Errorf("OnRemove heard of %d", removed)
				}
				check(t, cache)
			})
		}
	}
	cache := newCache(Config{MaxBytes: 100_000, Shards: 1})
	require.False(t, cache.UpdateOr([]byte("new"), func(int, bool) (int, int64, bool) { return 1, 1 << 40, true }, func(int) (int, int64, bool) {
		t.Error("there is nothing that could stay")
		return 0, 0, false
	}))
}

// A value that is about to be evicted may become smaller, and stays if that makes enough room.
func TestOnEvict(t *testing.T) {
	for _, tt := range []struct {
		name  string
		press func(cache *Cache[int])
	}{
		{"what others are worth more than", func(cache *Cache[int]) {
			for i := range 300 {
				for range 5 {
					request(cache, fmt.Sprint("other", i), charged("other10", 500))
				}
			}
		}},
		{"what is reserved", func(cache *Cache[int]) {
			for cache.Reserve(1000, 0, false) {
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cache := newCache(Config{MaxBytes: 100_000, Shards: 1, MaxEntryBytes: 10_000})
			asked := map[int]int{}
			cache.OnEvict(func(v int) (int, int64, bool) {
				asked[v]++
				return v + 1000, charged("page10", 300), 0 < v && v < 10
			})
			removed := map[int]bool{}
			cache.OnRemove(func(v int) { removed[v] = true })
			for i := range 9 {
				for range 3 {
					key := fmt.Sprint("page1", i)
					if _, ok := cache.Get([]byte(key)); !ok {
						require.True(t, put(cache, key, i+1, charged(key, 9500)))
					}
				}
			}
			tt.press(cache)
			less := 0
			for i := range 9 {
				v, ok := cache.Peek(fmt.Append(nil, "page1", i))
				switch {
				case ok && v == i+1001:
					less++
				case ok && v != i+1:
					t.Errorf("page %d is %d", i, v)
				case !ok && !removed[i+1] && !removed[i+1001]:
					t.Errorf("page %d is gone, and OnRemove was not told", i)
				}
				if asked[i+1] > 1 {
					t.Errorf("page %d was asked to become less %d times", i, asked[i+1])
				}
			}
			if less < 2 {
				t.Errorf("%d of 9 have become less and stayed", less)
			}
			check(t, cache)
		})
	}
}
