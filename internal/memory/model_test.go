package memory

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// run plays operations against a map that forgets nothing: the cache may hold
// less than the map does, but nothing else. All invariants are checked after each step.
func run(t *testing.T, ops []byte) {
	cache := New[int](Config{MaxBytes: 40_000, MaxEntryBytes: 8000, Shards: 2, seed: 3})
	// A key is listed by its first digit, and some by their value.
	cache.ListBy(func(dst []uint64, key string, v int) []uint64 {
		dst = append(dst, uint64(key[0])<<56)
		if v%3 == 0 {
			dst = append(dst, uint64(v%7))
		}
		return dst
	})
	model := make(map[string]int)
	next := func() (b byte) {
		if len(ops) > 0 {
			b, ops = ops[0], ops[1:]
		}
		return b
	}
	for version := 1; len(ops) > 0; version++ {
		op, key := next(), fmt.Sprint(next()%97)
		switch want := model[key]; op % 8 {
		case 0, 1, 2, 3: // up to 9 180 bytes: some are too large
			cost, keep := int64(next())*36, op&0x80 == 0
			resident := cache.Update([]byte(key), func(old int, found bool) (int, int64, bool) {
				if found && old != want {
					t.Fatalf("%s was %d, want %d", key, old, want)
				}
				return version, cost, keep
			})
			if !keep && resident {
				t.Fatalf("%s is resident against the will of f", key)
			}
			model[key] = version
			if v, ok := cache.Peek([]byte(key)); ok != resident || ok && v != version {
				t.Fatalf("%s is %d, %v after an update to %d, %v", key, v, ok, version, resident)
			}
		case 4, 5:
			if op&0x80 != 0 {
				before, resident := cache.Peek([]byte(key))
				more, wanted := int64(next())*36, op&0x40 != 0
				grown := cache.Grow([]byte(key), more, func(v int) bool {
					if v != before {
						t.Fatalf("%s grows as %d, is %d", key, v, before)
					}
					return wanted
				})
				if v, ok := cache.Peek([]byte(key)); ok != resident || v != before || grown && !(wanted && resident) {
					t.Fatalf("%s is %d, %v after it grew (%v), was %d, %v", key, v, ok, grown, before, resident)
				}
				break
			}
			v, ok := cache.Get([]byte(key))
			if _, known := model[key]; ok && (!known || v != want) {
				t.Fatalf("%s is %d, want %d", key, v, want)
			}
		case 6:
			if v, ok := cache.Delete([]byte(key)); ok && v != want {
				t.Fatalf("%s was %d when deleted, want %d", key, v, want)
			}
			delete(model, key)
		case 7:
			if op&0x80 != 0 {
				cache.Clear()
				clear(model)
				break
			}
			if op&0x40 != 0 {
				for k, v := range model {
					if _, resident := cache.Peek([]byte(k)); resident && k[0] == key[0] && v%2 == 0 {
						model[k] = -1
					}
				}
				cache.Visit(uint64(key[0])<<56, ^uint64(0), func(_ uint64, k string, v int) bool {
					if k[0] != key[0] || (v%2 == 0) != (model[k] == -1) {
						t.Fatalf("%s is visited as %d, want %d", k, v, model[k])
					}
					delete(model, k)
					if v%2 == 1 {
						model[k] = v
					}
					return v%2 == 0
				})
				for k, v := range model {
					if v == -1 {
						t.Fatalf("%s was not visited", k)
					}
				}
				break
			}
			before, deleted := cache.Stats().Len, 0
			n := cache.DeleteFunc(func(k string, v int) bool {
				if v != model[k] {
					t.Fatalf("%s is %d, want %d", k, v, model[k])
				}
				if v%3 == 0 {
					delete(model, k)
					deleted++
				}
				return v%3 == 0
			})
			if n != deleted || cache.Stats().Len != before-n {
				t.Fatalf("DeleteFunc reports %d, want %d", n, deleted)
			}
		}
		check(t, cache)
	}
}

func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 2))
		ops := make([]byte, 3000)
		for i := range ops {
			ops[i] = byte(r.Uint32())
		}
		run(t, ops)
	}
}

func FuzzCache(f *testing.F) {
	f.Add([]byte{0, 1, 10, 4, 1, 6, 1, 4, 1, 7})
	f.Add([]byte{0, 1, 200, 0, 2, 200, 0, 3, 255, 0, 1, 255, 128, 1, 0})
	f.Fuzz(run)
}

// Workers share a few keys. A value is a version of its key. What is seen must lie between what was
// deleted before the look and what had been written after it.
func TestConcurrency(t *testing.T) {
	type value struct{ key, version int64 }
	const keys, workers, steps = 300, 8, 6000
	var (
		written [keys]atomic.Int64 // the latest version that Update was given
		floor   [keys]atomic.Int64 // no version below this may be seen
		cache   = New[value](Config{MaxBytes: 150_000, Shards: 4})
	)
	cache.ListBy(func(dst []uint64, key string, v value) []uint64 {
		return append(dst, uint64(v.key%10), 100+uint64(v.version%2))
	})
	raise := func(k, n int64) {
		for old := floor[k].Load(); old < n && !floor[k].CompareAndSwap(old, n); old = floor[k].Load() {
		}
	}
	judge := func(k, lowest int64, v value) {
		if v.key != k || v.version < lowest || v.version > written[k].Load() {
			t.Errorf("key %d yields version %d of key %d, want %d to %d", k, v.version, v.key, lowest, written[k].Load())
		}
	}
	var group sync.WaitGroup
	for w := range uint64(workers) {
		group.Go(func() {
			r := rand.New(rand.NewPCG(w, 3))
			for range steps {
				k := int64(r.IntN(r.IntN(keys) + 1))
				key := fmt.Appendf(nil, "key %d", k)
				lowest := floor[k].Load()
				switch r.IntN(20) {
				default:
					if v, ok := cache.Get(key); ok {
						judge(k, lowest, v)
					}
				case 0, 1, 2, 3, 4:
					var version int64
					resident := cache.Update(key, func(old value, found bool) (value, int64, bool) {
						if found {
							judge(k, lowest, old)
						}
						version = written[k].Add(1)
						return value{k, version}, r.Int64N(6000), r.IntN(10) > 0
					})
					if raise(k, version); !resident {
						raise(k, version+1)
					}
				case 5:
					if v, ok := cache.Delete(key); ok {
						judge(k, lowest, v)
						raise(k, v.version+1)
					}
				case 6:
					deleted := make(map[int64]int64)
					cache.DeleteFunc(func(_ string, v value) bool {
						if v.version%50 == 0 {
							deleted[v.key] = v.version
						}
						return v.version%50 == 0
					})
					for k, version := range deleted {
						raise(k, version+1)
					}
				case 7:
					if r.IntN(2) > 0 {
						deleted := make(map[int64]int64)
						cache.Visit(uint64(k%10), ^uint64(0), func(_ uint64, _ string, v value) bool {
							judge(v.key, floor[v.key].Load(), v)
							if v.key%10 != k%10 {
								t.Errorf("key %d is visited as one like %d", v.key, k)
							}
							if v.version%5 == 0 {
								deleted[v.key] = v.version
							}
							return v.version%5 == 0
						})
						for k, version := range deleted {
							raise(k, version+1)
						}
						break
					}
					if r.IntN(50) > 0 {
						for _, v := range cache.All() {
							judge(v.key, 0, v)
						}
						break
					}
					var before [keys]int64
					for k := range before {
						before[k] = written[k].Load()
					}
					cache.Clear()
					for k, version := range before {
						raise(int64(k), version+1)
					}
				}
				if st := cache.Stats(); st.Bytes > st.MaxBytes {
					t.Errorf("%d bytes of %d", st.Bytes, st.MaxBytes)
				}
			}
		})
	}
	group.Wait()
	check(t, cache)
	if st := cache.Stats(); st.Evictions == 0 {
		t.Error("nothing was evicted: the budget is too large for this test")
	}
}
