package memory

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// long reports whether to make the runs that are too slow, or take too much memory, for every day.
func long() bool { return os.Getenv("EDGECACHE_LONG") != "" }

// size is how large a run is: in the long form, or every day.
func size[T any](inLong, everyDay T) T {
	if long() {
		return inLong
	}
	return everyDay
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestHeap(t *testing.T) {
	// The measurement behind EntryOverhead: what an entry takes beyond its key and its value, just
	// before and just after the index has grown.
	t.Run("of each entry", func(t *testing.T) {
		counts := size([]int{14_000, 20_000, 28_000, 40_000, 57_000, 80_000, 700_000, 1_000_000}, []int{14_000, 20_000})
		for _, n := range counts {
			for _, shards := range []int{1, 64} {
				before := heapInUse()
				cache := New[int](Config{MaxBytes: 1 << 40, Shards: shards, seed: 1})
				cache.ListBy(func(dst []uint64, key string, _ int) []uint64 { return append(dst, fixedHash(2, key)) })
				key := make([]byte, 32)
				for i := range n {
					binary.LittleEndian.PutUint64(key, uint64(i))
					cache.Update(key, func(int, bool) (int, int64, bool) { return i, 0, true })
				}
				require.Equal(t, n, cache.Stats().Len)
				each := (heapInUse()-before)/int64(n) - int64(len(key)) - 8
				runtime.KeepAlive(cache)
				t.Logf("%8d entries, %2d shards: %d B each", n, shards, each)
				if each > EntryOverhead {
					t.Errorf("%d entries in %d shards take %d B each beyond key and value, but are charged %d", n, shards, each, EntryOverhead)
				}
			}
		}
	})
	// The cache is filled with small entries, most of them are purged, then it is filled with large
	// ones, and so on: what had grown for many entries must not stay.
	t.Run("when many small entries give way to large ones", func(t *testing.T) {
		budget, slack := size[int64](512<<20, 3<<20), size[int64](8<<20, 128<<10)
		before := heapInUse()
		cache := New[[]byte](Config{MaxBytes: budget, Shards: 1, seed: 1})
		id := 0
		for _, size := range []int{16, 20_000, 16, 3000} {
			for range 3 * budget / 2 / int64(size+EntryOverhead) {
				id++
				cache.Update(fmt.Append(nil, "key ", id), func([]byte, bool) ([]byte, int64, bool) {
					return make([]byte, size), int64(size), true
				})
			}
			heap, st := heapInUse()-before, cache.Stats()
			t.Logf("%6d B each: %d entries, %d B charged, %d B of heap", size, st.Len, st.Bytes, heap)
			if st.Bytes < budget*9/10 {
				t.Errorf("values of %d B: %d B of %d are charged: the cache is not full", size, st.Bytes, budget)
			}
			if limit := budget + budget/10 + slack; heap > limit {
				t.Errorf("values of %d B: %d B of heap, want at most %d", size, heap, limit)
			}
			left := 0
			cache.DeleteFunc(func(string, []byte) bool { left++; return left > 100 })
		}
		runtime.KeepAlive(cache)
	})
}
