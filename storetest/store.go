package storetest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgecache-go/edgecache"
)

const (
	// ttl is the ttl of values that expire in a test.
	ttl = time.Second
	// grace is how much later they may expire.
	grace = time.Second
	// large is the size of a large value, in bytes.
	large = 8 << 20
	// together is how many goroutines use a store concurrently.
	together = 16
)

func storeTests() []test {
	return []test{
		{"a missing key is not found, without an error", func(t testing.TB, s edgecache.Store) {
			absent(t, s, "a")
		}},
		{"Get returns what Set stored, byte for byte", func(t testing.TB, s edgecache.Store) {
			every := make([]byte, 256)
			for i := range every {
				every[i] = byte(i)
			}
			set(t, s, "a", every, 0)
			want(t, s, "a", every)
			want(t, s, "a", every)
		}},
		{"a later value replaces an earlier one", func(t testing.TB, s edgecache.Store) {
			for _, value := range []string{"first", "second and longer", "3", "", "last"} {
				set(t, s, "a", []byte(value), 0)
				want(t, s, "a", []byte(value))
			}
		}},
		{"an empty value is found", func(t testing.TB, s edgecache.Store) {
			set(t, s, "a", nil, 0)
			want(t, s, "a", nil)
			set(t, s, "b", []byte{}, 0)
			want(t, s, "b", nil)
		}},
		{"a value of 8 MiB is stored like any other", func(t testing.TB, s edgecache.Store) {
			value := pattern(large, 1)
			set(t, s, "a", value, 0)
			want(t, s, "a", value)
			set(t, s, "a", []byte("small"), 0)
			want(t, s, "a", []byte("small"))
		}},
		{"the store does not keep the slice passed to Set", func(t testing.TB, s edgecache.Store) {
			value := []byte("as it was set")
			set(t, s, "a", value, 0)
			clear(value)
			want(t, s, "a", []byte("as it was set"))
		}},
		{"the store does not change the slice passed to Set", func(t testing.TB, s edgecache.Store) {
			value := append(make([]byte, 0, 64), "the caller's"...)
			set(t, s, "a", value, 0)
			if whole := value[:cap(value)]; !bytes.Equal(whole[:len(value)], []byte("the caller's")) || bytes.ContainsFunc(whole[len(value):], func(r rune) bool { return r != 0 }) {
				t.Errorf("got %q behind the caller's back", whole)
			}
		}},
		{"the slice from Get belongs to the caller", func(t testing.TB, s edgecache.Store) {
			set(t, s, "a", []byte("as it was set"), 0)
			first, second := get(t, s, "a"), get(t, s, "a")
			clear(first)
			_ = append(first, "and more"...)
			if string(second) != "as it was set" {
				t.Errorf("a second slice: got %q", second)
			}
			want(t, s, "a", []byte("as it was set"))
		}},
		{"the slice from Get survives its value", func(t testing.TB, s edgecache.Store) {
			set(t, s, "a", []byte("the old one"), 0)
			old := get(t, s, "a")
			set(t, s, "a", []byte("THE NEW ONE"), 0)
			remove(t, s, "a")
			if string(old) != "the old one" {
				t.Errorf("got %q", old)
			}
		}},
		{"a deleted value is not found", func(t testing.TB, s edgecache.Store) {
			set(t, s, "a", []byte("1"), 0)
			set(t, s, "b", []byte("2"), 0)
			remove(t, s, "a")
			absent(t, s, "a")
			want(t, s, "b", []byte("2"))
		}},
		{"deleting a missing key is no error", func(t testing.TB, s edgecache.Store) {
			remove(t, s, "a")
			set(t, s, "a", []byte("1"), 0)
			remove(t, s, "a")
			remove(t, s, "a")
			absent(t, s, "a")
		}},
		{"a deleted key can be set again", func(t testing.TB, s edgecache.Store) {
			set(t, s, "a", []byte("1"), time.Hour)
			remove(t, s, "a")
			set(t, s, "a", []byte("2"), 0)
			want(t, s, "a", []byte("2"))
		}},
		{"a value expires after its ttl, and not before", func(t testing.TB, s edgecache.Store) {
			set(t, s, "dies", []byte("1"), ttl)
			set(t, s, "lives", []byte("2"), time.Hour)
			set(t, s, "stays", []byte("3"), 0)
			set(t, s, "longest", []byte("4"), edgecache.MaxStoreTTL)
			want(t, s, "dies", []byte("1"))
			wait(t, ttl+grace)
			absent(t, s, "dies")
			want(t, s, "lives", []byte("2"))
			want(t, s, "stays", []byte("3"))
			want(t, s, "longest", []byte("4"))
		}},
		{"the ttl of the last Set counts", func(t testing.TB, s edgecache.Store) {
			set(t, s, "longer", []byte("1"), ttl)
			set(t, s, "longer", []byte("2"), time.Hour)
			set(t, s, "for", []byte("1"), ttl)
			set(t, s, "for", []byte("2"), 0)
			set(t, s, "shorter", []byte("1"), 0)
			set(t, s, "shorter", []byte("2"), ttl)
			wait(t, ttl+grace)
			want(t, s, "longer", []byte("2"))
			want(t, s, "for", []byte("2"))
			absent(t, s, "shorter")
		}},
		{"reading does not extend the ttl", func(t testing.TB, s edgecache.Store) {
			set(t, s, "a", []byte("1"), ttl)
			wait(t, ttl/2)
			_, _, err := s.Get(t.Context(), "a")
			noError(t, "Get", "a", err)
			wait(t, ttl/2+grace)
			absent(t, s, "a")
		}},
		{"all keys of 1 to MaxStoreKey bytes are distinct", func(t testing.TB, s edgecache.Store) {
			const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
			var keys []string
			for _, c := range alphabet {
				keys = append(keys, string(c), "ab"+string(c), strings.Repeat("z", edgecache.MaxStoreKey-1)+string(c))
			}
			for n := 4; n < edgecache.MaxStoreKey; n++ {
				keys = append(keys, strings.Repeat("q", n)) // each the beginning of the next
			}
			keys = append(keys, "con", "nul", "aux", "index", "tmp", "0000", "00")
			for _, k := range keys {
				set(t, s, k, []byte("value of "+k), 0)
			}
			for _, k := range keys {
				want(t, s, k, []byte("value of "+k))
			}
			remove(t, s, "qqqq")
			absent(t, s, "qqqq")
			want(t, s, "qqqqq", []byte("value of qqqqq"))
		}},
		{"a call with an ended context is an error", func(t testing.TB, s edgecache.Store) {
			set(t, s, "a", []byte("1"), 0)
			ctx := ended(t)
			if value, found, err := s.Get(ctx, "a"); err == nil || found || len(value) > 0 {
				t.Errorf("Get: got %q, %v, %v, want nothing and an error", value, found, err)
			}
			if err := s.Set(ctx, "b", []byte("2"), 0); err == nil {
				t.Error("Set: got no error, want one")
			}
			if err := s.Delete(ctx, "a"); err == nil {
				t.Error("Delete: got no error, want one")
			}
			set(t, s, "c", []byte("3"), 0) // and the store still works
			want(t, s, "c", []byte("3"))
		}},
		{"a context may end after the call", func(t testing.TB, s edgecache.Store) {
			ctx, cancel := context.WithCancel(t.Context())
			if err := s.Set(ctx, "a", []byte("1"), 0); err != nil {
				t.Fatalf("Set: %v", err)
			}
			value, found, err := s.Get(ctx, "a")
			cancel()
			if err != nil || !found || string(value) != "1" {
				t.Errorf("got %q, %v, %v, want 1", value, found, err)
			}
			want(t, s, "a", []byte("1"))
		}},
		{"many goroutines each use their own keys", func(t testing.TB, s edgecache.Store) {
			concurrently(func(i int) {
				key := fmt.Sprintf("k%d", i)
				for n := range 20 {
					value := pattern(1+n*100, byte(i))
					if err := s.Set(t.Context(), key, value, time.Hour); err != nil {
						t.Errorf("Set %q: %v", key, err)
						return
					}
					got, found, err := s.Get(t.Context(), key)
					if err != nil || !found || !bytes.Equal(got, value) {
						t.Errorf("Get %q: got %d bytes, %v, %v, want the %d that were set", key, len(got), found, err, len(value))
						return
					}
					if n%5 == 4 {
						if err := s.Delete(t.Context(), key); err != nil {
							t.Errorf("Delete %q: %v", key, err)
							return
						}
						if _, found, err := s.Get(t.Context(), key); found || err != nil {
							t.Errorf("Get %q after Delete: got %v, %v", key, found, err)
							return
						}
					}
				}
			})
		}},
		{"concurrent values are stored whole, one of them last", func(t testing.TB, s edgecache.Store) {
			whole := func(value []byte) bool {
				return len(value) > 0 && bytes.Equal(value, pattern(1000+int(value[0])*5000, value[0]))
			}
			concurrently(func(i int) {
				for n := range 20 {
					if err := s.Set(t.Context(), "a", pattern(1000+i*5000, byte(i)), 0); err != nil {
						t.Errorf("Set: %v", err)
						return
					}
					got, found, err := s.Get(t.Context(), "a")
					if err != nil || !found || !whole(got) {
						t.Errorf("Get in round %d: got %d bytes, %v, %v, want one of the values", n, len(got), found, err)
						return
					}
				}
			})
			if got := get(t, s, "a"); !whole(got) {
				t.Errorf("at the end: got %d bytes, want one of the values", len(got))
			}
		}},
	}
}

// pattern returns n bytes that begin with seed, and that tell a truncated or shifted value from a
// whole one.
func pattern(n int, seed byte) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // it never fails
	b[0] = seed
	return b
}

func concurrently(run func(i int)) {
	var wg sync.WaitGroup
	for i := range together {
		wg.Go(func() { run(i) })
	}
	wg.Wait()
}

// wait lets time pass.
func wait(t testing.TB, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal("the test was ended")
	}
}

func set(t testing.TB, s edgecache.Store, key string, value []byte, ttl time.Duration) {
	t.Helper()
	noError(t, "Set", key, s.Set(t.Context(), key, value, ttl))
}

func remove(t testing.TB, s edgecache.Store, key string) {
	t.Helper()
	noError(t, "Delete", key, s.Delete(t.Context(), key))
}

func get(t testing.TB, s edgecache.Store, key string) []byte {
	t.Helper()
	value, found, err := s.Get(t.Context(), key)
	noError(t, "Get", key, err)
	if !found {
		t.Fatalf("Get %q: got nothing, want what was set", key)
	}
	return value
}

func want(t testing.TB, s edgecache.Store, key string, value []byte) {
	t.Helper()
	if got := get(t, s, key); !bytes.Equal(got, value) {
		t.Fatalf("Get %q: got %d bytes, %.40q, want %d bytes, %.40q", key, len(got), got, len(value), value)
	}
}

func absent(t testing.TB, s edgecache.Store, key string) {
	t.Helper()
	value, found, err := s.Get(t.Context(), key)
	noError(t, "Get", key, err)
	if found || len(value) > 0 {
		t.Fatalf("Get %q: got %d bytes, %v, want nothing", key, len(value), found)
	}
}

func noError(t testing.TB, method, key string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s %q: got the error %q, want none", method, key, err)
	}
}
