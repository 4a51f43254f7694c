package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/edgecache-go/edgecache"
)

func generationsTests() []test {
	return []test{
		{"a name that was never bumped is at 0", generations(func(t testing.TB, g edgecache.Generations) {
			loads(t, g, 0, names("a", "b"), []uint64{0, 0})
			loads(t, g, 0, nil, nil)
		})},
		{"a bump gives all its names the next number, and no other name", generations(func(t testing.TB, g edgecache.Generations) {
			first := bump(t, g, "a", "b")
			loads(t, g, first, names("a", "b", "c"), []uint64{first, first, 0})
			second := bump(t, g, "b")
			loads(t, g, second, names("c", "b", "a", "b"), []uint64{0, second, first, second})
			third := bump(t, g, "c")
			if first == 0 || second <= first || third <= second {
				t.Fatalf("got %d, %d, %d, want greater and greater ones", first, second, third)
			}
			loads(t, g, third, nil, nil)
		})},
		{"a bump without names takes a number", generations(func(t testing.TB, g edgecache.Generations) {
			first := bump(t, g)
			if second := bump(t, g); first == 0 || second <= first {
				t.Fatalf("got %d, then %d, want greater and greater ones", first, second)
			}
		})},
		{"one call may have many names", generations(func(t testing.TB, g edgecache.Generations) {
			many := make([]string, edgecache.MaxStoreCallNames)
			for i := range many {
				many[i] = fmt.Sprintf("%0*d", edgecache.MaxStoreKey, i)
			}
			n := bump(t, g, many...)
			loads(t, g, n, many, slices.Repeat([]uint64{n}, len(many)))
		})},
		{"MaxStoreNames names are kept", generations(func(t testing.TB, g edgecache.Generations) {
			all := make([]string, edgecache.MaxStoreNames+100)
			for i := range all {
				all[i] = fmt.Sprintf("s%x", i)
			}
			var want []uint64
			for part := range slices.Chunk(all, edgecache.MaxStoreCallNames) {
				want = append(want, slices.Repeat([]uint64{bump(t, g, part...)}, len(part))...)
			}
			last := bump(t, g)
			for part := range slices.Chunk(all, edgecache.MaxStoreCallNames) {
				loads(t, g, last, part, want[:len(part)])
				want = want[len(part):]
			}
		})},
		{"names do not collide with keys, and do not expire", func(t testing.TB, s edgecache.Store) {
			generations(func(t testing.TB, g edgecache.Generations) {
				first := bump(t, g, "a")
				absent(t, s, "a")
				set(t, s, "a", []byte("value"), ttl)
				set(t, s, "b", []byte("value"), 0)
				loads(t, g, first, names("a", "b"), []uint64{first, 0})
				remove(t, s, "b")
				second := bump(t, g, "b")
				wait(t, ttl+grace)
				absent(t, s, "a")
				loads(t, g, second, names("a", "b"), []uint64{first, second})
			})(t, s)
		}},
		{"concurrent bumps get distinct numbers, and are visible at once", generations(func(t testing.TB, g edgecache.Generations) {
			var (
				mu   sync.Mutex
				seen = map[uint64]bool{}
			)
			concurrently(func(i int) {
				own := fmt.Sprintf("own%d", i)
				for range 20 {
					n, err := g.Bump(t.Context(), own, "all")
					if err != nil {
						t.Errorf("Bump: %v", err)
						return
					}
					mu.Lock()
					if seen[n] {
						t.Errorf("two bumps got %d", n)
					}
					seen[n] = true
					mu.Unlock()
					got, now, err := g.Load(t.Context(), own, "all")
					if err != nil || len(got) != 2 || got[0] != n || got[1] < n || now < got[1] {
						t.Errorf("after the bump to %d: got %d, %d, %v, want it to be seen", n, got, now, err)
						return
					}
				}
			})
		})},
		{"a call with an ended context is an error", generations(func(t testing.TB, g edgecache.Generations) {
			if n, err := g.Bump(ended(t), "a"); err == nil {
				t.Errorf("Bump: got %d, want an error", n)
			}
			if got, now, err := g.Load(ended(t), "a"); err == nil {
				t.Errorf("Load: got %d, %d, want an error", got, now)
			}
		})},
	}
}

func names(list ...string) []string { return list }

func bump(t testing.TB, g edgecache.Generations, names ...string) uint64 {
	t.Helper()
	n, err := g.Bump(t.Context(), names...)
	if err != nil {
		t.Fatalf("Bump %.40q: %v", names, err)
	}
	return n
}

func loads(t testing.TB, g edgecache.Generations, now uint64, names []string, want []uint64) {
	t.Helper()
	got, at, err := g.Load(t.Context(), names...)
	if err != nil {
		t.Fatalf("Load %.40q: %v", names, err)
	}
	if !slices.Equal(got, want) || at != now {
		t.Fatalf("Load %.40q: got %d at %d, want %d at %d", names, got, at, want, now)
	}
}

func streamTests() []test {
	return []test{
		{"a missing key is not opened, without an error", stream(func(t testing.TB, _ edgecache.Store, s edgecache.StreamStore) {
			r, size, found, err := s.Open(t.Context(), "a")
			if found || err != nil || size != 0 || r != nil {
				t.Fatalf("got %v, %d, %v, %v, want nothing", r, size, found, err)
			}
		})},
		{"Get and Open see what Set and SetFrom stored", stream(func(t testing.TB, s edgecache.Store, ss edgecache.StreamStore) {
			for _, size := range []int{0, 1, 1000, large} {
				value := make([]byte, size)
				if size > 0 {
					value = pattern(size, 7)
				}
				setFrom(t, ss, "a", int64(size), iotest.HalfReader(bytes.NewReader(value)), 0)
				want(t, s, "a", value)
				opens(t, ss, "a", value)
				set(t, s, "b", value, 0)
				opens(t, ss, "b", value)
			}
		})},
		{"a reader that fails, or has fewer or more bytes, stores nothing", stream(func(t testing.TB, s edgecache.Store, ss edgecache.StreamStore) {
			for name, r := range map[string]io.Reader{
				"fewer":      strings.NewReader("nine byte"),
				"more":       strings.NewReader("eleven byte"),
				"much more":  bytes.NewReader(pattern(1<<20, 1)),
				"fails":      io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("broken"))),
				"fails last": io.MultiReader(strings.NewReader("ten bytes!"), iotest.ErrReader(errors.New("broken"))),
			} {
				if err := ss.SetFrom(t.Context(), "a", 10, r, 0); err == nil {
					t.Errorf("%s: got no error, want one", name)
				}
				absent(t, s, "a")
			}
			set(t, s, "a", []byte("old"), 0)
			if err := ss.SetFrom(t.Context(), "a", 10, strings.NewReader("short"), 0); err == nil {
				t.Error("got no error, want one")
			}
			if got, found, err := s.Get(t.Context(), "a"); err != nil || found && string(got) != "old" {
				t.Errorf("got %q, %v, %v, want the old value or none", got, found, err)
			}
		})},
		{"an opened value is read whole, whatever happens to it meanwhile", stream(func(t testing.TB, s edgecache.Store, ss edgecache.StreamStore) {
			old := pattern(large, 1)
			for name, change := range map[string]func(){
				"overwritten": func() { set(t, s, "a", pattern(large, 2), 0) },
				"shortened":   func() { set(t, s, "a", []byte("new"), 0) },
				"deleted":     func() { remove(t, s, "a") },
			} {
				set(t, s, "a", old, 0)
				r, _, found, err := ss.Open(t.Context(), "a")
				if err != nil || !found {
					t.Fatalf("%s: got %v, %v", name, found, err)
				}
				var got bytes.Buffer
				_, err = io.CopyN(&got, r, 1000)
				noError(t, "Read", "a", err)
				change()
				rest, err := got.ReadFrom(r)
				if !bytes.HasPrefix(old, got.Bytes()) || err == nil && got.Len() != len(old) {
					t.Errorf("%s: got %d bytes more, %v, want those of the value that was opened, or an error", name, rest, err)
				}
				noError(t, "Close", "a", r.Close())
			}
		})},
		{"a value expires after its ttl, and not before", stream(func(t testing.TB, s edgecache.Store, ss edgecache.StreamStore) {
			setFrom(t, ss, "dies", 1, strings.NewReader("1"), ttl)
			setFrom(t, ss, "lives", 1, strings.NewReader("2"), time.Hour)
			opens(t, ss, "dies", []byte("1"))
			wait(t, ttl+grace)
			if _, _, found, err := ss.Open(t.Context(), "dies"); found || err != nil {
				t.Fatalf("got %v, %v, want nothing", found, err)
			}
			absent(t, s, "dies")
			opens(t, ss, "lives", []byte("2"))
		})},
		{"a call with an ended context is an error", stream(func(t testing.TB, s edgecache.Store, ss edgecache.StreamStore) {
			set(t, s, "a", []byte("1"), 0)
			if _, _, found, err := ss.Open(ended(t), "a"); err == nil || found {
				t.Errorf("Open: got %v, %v, want an error", found, err)
			}
			if err := ss.SetFrom(ended(t), "b", 1, strings.NewReader("1"), 0); err == nil {
				t.Error("SetFrom: got no error, want one")
			}
		})},
	}
}

func setFrom(t testing.TB, s edgecache.StreamStore, key string, size int64, r io.Reader, ttl time.Duration) {
	t.Helper()
	noError(t, "SetFrom", key, s.SetFrom(t.Context(), key, size, r, ttl))
}

func opens(t testing.TB, s edgecache.StreamStore, key string, want []byte) {
	t.Helper()
	r, size, found, err := s.Open(t.Context(), key)
	noError(t, "Open", key, err)
	if !found || size != int64(len(want)) {
		t.Fatalf("Open %q: got %d bytes, %v, want %d", key, size, found, len(want))
	}
	got, err := io.ReadAll(r)
	noError(t, "Read", key, err)
	noError(t, "Close", key, r.Close())
	if !bytes.Equal(got, want) {
		t.Fatalf("Open %q: got %d bytes, %.40q, want %d bytes, %.40q", key, len(got), got, len(want), want)
	}
}
