package memory

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGrow(t *testing.T) {
	t.Run("an entry grows where there is room", func(t *testing.T) {
		const max = 10_000
		yes, no := func(int) bool { return true }, func(int) bool { return false }
		for _, row := range []struct {
			name  string
			more  int64
			f     func(int) bool
			grown bool
		}{
			{"a resident grows", 500, yes, true},
			{"up to the largest size", max - 1000, yes, true},
			{"not one byte beyond it", max - 999, yes, false},
			{"not if f does not want it", 500, no, false},
			{"not by less than nothing", -1, yes, false},
			{"by nothing", 0, yes, true},
		} {
			t.Run(row.name, func(t *testing.T) {
				cache := newCache(Config{MaxBytes: 100_000, MaxEntryBytes: max})
				require.True(t, put(cache, "key", 7, charged("key", 1000)))
				before := cache.Stats()
				if got := cache.Grow([]byte("key"), row.more, row.f); got != row.grown {
					t.Errorf("got %v, want %v", got, row.grown)
				}
				if row.grown {
					before.Bytes += row.more
				}
				require.Equal(t, before, cache.Stats())
				v, ok := cache.Peek([]byte("key"))
				require.True(t, ok)
				require.Equal(t, 7, v)
				check(t, cache)
			})
		}
		cache := newCache(Config{MaxBytes: 100_000})
		require.False(t, cache.Grow([]byte("absent"), 1, func(int) bool { t.Error("f is called"); return true }))
	})
	t.Run("nothing changes if f panics", func(t *testing.T) {
		cache := newCache(Config{MaxBytes: 1 << 20})
		require.True(t, put(cache, "key", 1, 10))
		before := cache.Stats()
		require.Panics(t, func() { cache.Grow([]byte("key"), 100, func(int) bool { panic("no") }) })
		require.Equal(t, before, cache.Stats())
		check(t, cache)
		require.True(t, put(cache, "key", 2, 10), "the lock must be free")
	})
	// An entry that no client asks for again gets no room at the cost of those that are asked for,
	// and does not lose its own.
	t.Run("it costs no entry that is worth more", func(t *testing.T) {
		cache := newCache(Config{MaxBytes: 200_000, MaxEntryBytes: 50_000})
		for i := 0; cache.Stats().Evictions == 0 && cache.Stats().Rejections == 0; i++ {
			key := fmt.Sprintf("%04d", i)
			put(cache, key, i, charged(key, 2000))
			for range 10 {
				cache.Get([]byte(key))
			}
		}
		const hot = "0001"
		for range 5 {
			cache.Get([]byte(hot))
		}
		keys := map[string]bool{}
		for key := range cache.All() {
			keys[key] = true
		}
		require.False(t, cache.Grow([]byte("0000"), 40_000, func(int) bool { return true }), "asked for as often as all others, and twenty times as large")
		check(t, cache)
		for key := range cache.All() {
			delete(keys, key)
		}
		require.Empty(t, keys, "gone")
		require.True(t, cache.Grow([]byte(hot), 200, func(int) bool { return true }), "it is worth it")
		_, ok := cache.Peek([]byte(hot))
		require.True(t, ok)
		check(t, cache)
	})
}
