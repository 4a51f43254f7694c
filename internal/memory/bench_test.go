package memory

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

func benchKeys(n int) [][]byte {
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "https example.com /articles/%d", i)
	}
	return keys
}

// BenchmarkHit is the part of a hit that happens here, from all processors at once.
func BenchmarkHit(b *testing.B) {
	keys := benchKeys(10_000)
	cache := New[*int](Config{MaxBytes: 64 << 20})
	for _, k := range keys {
		cache.Update(k, func(*int, bool) (*int, int64, bool) { return new(int), 1000, true })
	}
	absent := []byte("https example.com /absent")
	for _, bb := range []struct {
		name string
		pick func(i int) []byte
	}{
		{"many keys", func(i int) []byte { return keys[i%len(keys)] }},
		{"one key", func(int) []byte { return keys[0] }},
		{"absent", func(int) []byte { return absent }},
	} {
		b.Run("lookup/"+bb.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := rand.IntN(len(keys)); pb.Next(); i++ {
					cache.Get(bb.pick(i))
				}
			})
		})
	}
}

func BenchmarkUpdate(b *testing.B) {
	keys := benchKeys(10_000)
	cache := New[*int](Config{MaxBytes: 64 << 20})
	v := new(int)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.IntN(len(keys)); pb.Next(); i++ {
			cache.Update(keys[i%len(keys)], func(*int, bool) (*int, int64, bool) { return v, 1000, true })
		}
	})
}

// BenchmarkChurn is the miss: every key is new, and the cache is full.
func BenchmarkChurn(b *testing.B) {
	cache := New[*int](Config{MaxBytes: 64 << 20})
	v := new(int)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		key := make([]byte, 16)
		binary.LittleEndian.PutUint64(key, rand.Uint64())
		for i := uint64(0); pb.Next(); i++ {
			binary.LittleEndian.PutUint64(key[8:], i)
			cache.Get(key)
			cache.Update(key, func(*int, bool) (*int, int64, bool) { return v, int64(100 + i%8000), true })
		}
	})
}

func BenchmarkDeleteFunc(b *testing.B) {
	keys := benchKeys(10_000)
	cache := New[*int](Config{MaxBytes: 64 << 20})
	for _, k := range keys {
		cache.Update(k, func(*int, bool) (*int, int64, bool) { return new(int), 1000, true })
	}
	b.ReportAllocs()
	for b.Loop() {
		cache.DeleteFunc(func(string, *int) bool { return false })
	}
}

// BenchmarkReserve is what a small response costs beside its place: taking its chunk and giving it
// back.
func BenchmarkReserve(b *testing.B) {
	cache := New[int](Config{MaxBytes: 64 << 20})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if cache.Reserve(4<<10, 0, false) {
				cache.Release(4 << 10)
			}
		}
	})
}
