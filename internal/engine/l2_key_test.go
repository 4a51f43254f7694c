package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
	"github.com/edgecache-go/edgecache/storetest"
)

func TestL2Key(t *testing.T) {
	t.Run("applications with keys never meet", applicationsWithKeysNeverMeet)
	t.Run("names of keys are apart", namesOfKeysAreApart)
	t.Run("a forged value is not served", aForgedValueIsNotServed)
	t.Run("a replayed value is not served", aReplayedValueIsNotServed)
	t.Run("a faulty store is as harmless with a key", aFaultyStoreIsAsHarmlessWithAKey)
	t.Run("the key belongs to the caller", theKeyBelongsToTheCaller)
}

var (
	oneKey   = bytes.Repeat([]byte("one key."), 4)
	otherKey = bytes.Repeat([]byte("another."), 4)
)

// keyed is a process with a key. Its pages say whose they are.
func keyed(t *testing.T, store edgecache.Store, key []byte, whose string) *harness.Site {
	t.Helper()
	return harness.NewSite(t, edgecache.Config{Store: store, StoreKey: key}, func(w http.ResponseWriter, r *http.Request) {
		edgecache.MaxAge(w, 24*time.Hour)
		edgecache.Tag(w, "tag")
		fmt.Fprint(w, r.URL.Path, " of ", whose)
	})
}

func closeSite(s *harness.Site) {
	s.T.Helper()
	require.NoError(s.T, s.Edge.Close(s.T.Context()))
}

// On one store, with the same URLs.
func applicationsWithKeysNeverMeet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storetest.NewMap()
		names := &bumps{Map: store, names: map[string]bool{}}
		owners := map[string][]byte{"one": oneKey, "another": otherKey, "the one without a key": nil}
		seen := map[string]string{}
		for who, key := range owners {
			s := keyed(t, names, key, who)
			harness.Want(t, s.Get("/"), "MISS", 200, "/ of "+who)
			_, err := s.Edge.Purge(t.Context(), "/x", "http://example.com/y")
			require.NoError(t, err)
			_, err = s.Edge.PurgePrefix(t.Context(), "/z/")
			require.NoError(t, err)
			_, err = s.Edge.PurgeTags(t.Context(), "z")
			require.NoError(t, err)
			closeSite(s)
			for _, name := range append(store.Keys(), names.take()...) {
				if _, known := seen[name]; !known {
					seen[name] = who
				}
				if len(name) > edgecache.MaxStoreKey || strings.Trim(name, "0123456789abcdefghijklmnopqrstuvwxyz") != "" {
					t.Errorf("got the name %q", name)
				}
			}
		}
		require.Len(t, store.Keys(), 2*len(owners), "each has an index and a response of its own")
		for who, key := range owners {
			s := keyed(t, store, key, "nobody else")
			harness.Want(t, s.Get("/"), "HIT", 200, "/ of "+who)
			closeSite(s)
		}
		// A purge of everything is one of everything that is one's own.
		first := keyed(t, store, oneKey, "one, made again")
		_, err := first.Edge.PurgeAll(t.Context())
		require.NoError(t, err)
		closeSite(first)
		for who, key := range owners {
			s := keyed(t, store, key, "somebody")
			if who == "one" {
				harness.Want(t, s.Get("/"), "MISS", 200, "/ of somebody")
			} else {
				harness.Want(t, s.Get("/"), "HIT", 200, "/ of "+who)
			}
			closeSite(s)
		}
	})
}

// take returns the names that were bumped since it was called last, each of which only one Edge may
// use.
func (b *bumps) take() (names []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name := range b.names {
		names = append(names, name)
	}
	clear(b.names)
	return names
}

// No name of a value or of a generation is that of another application.
func namesOfKeysAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[string]int{}
		for i, key := range [][]byte{oneKey, otherKey, nil} {
			store := newBumps()
			s := keyed(t, store, key, "x")
			for n := range 50 {
				s.Get(fmt.Sprint("/", n))
				_, err := s.Edge.Purge(t.Context(), fmt.Sprint("/", n), fmt.Sprint("http://example.com/", n))
				require.NoError(t, err)
				_, err = s.Edge.PurgePrefix(t.Context(), fmt.Sprint("/", n, "/"))
				require.NoError(t, err)
				_, err = s.Edge.PurgeTags(t.Context(), fmt.Sprint(n))
				require.NoError(t, err)
			}
			_, err := s.Edge.PurgeAll(t.Context())
			require.NoError(t, err)
			closeSite(s)
			for _, name := range append(store.take(), store.Keys()...) {
				if other, taken := seen[name]; taken && other != i {
					t.Errorf("applications %d and %d both have %s", other, i, name)
				}
				seen[name] = i
			}
		}
		if len(seen) < 3*50*4 {
			t.Errorf("got %d names: that shows nothing", len(seen))
		}
	})
}

// An attacker can read and write the store, and knows everything but the key.
func aForgedValueIsNotServed(t *testing.T) {
	for name, forge := range map[string]func(store, forged *storetest.Map, keys []string, value func(string) []byte){
		"values are swapped": func(store, _ *storetest.Map, keys []string, value func(string) []byte) {
			values := make([][]byte, len(keys))
			for i, k := range keys {
				values[i] = value(k)
			}
			for i, k := range keys {
				_ = store.Set(context.Background(), k, values[(i+1)%len(keys)], 0)
			}
		},
		"a value of an application without a key": func(store, forged *storetest.Map, keys []string, _ func(string) []byte) {
			other := forged.Keys()
			for _, k := range keys {
				for _, o := range other {
					if o[0] == k[0] {
						v, _, _ := forged.Get(context.Background(), o)
						_ = store.Set(context.Background(), k, v, 0)
					}
				}
			}
		},
		"a bit is turned": func(store, _ *storetest.Map, keys []string, value func(string) []byte) {
			for _, k := range keys {
				v := value(k)
				v[rand.IntN(len(v))] ^= 1 << rand.IntN(8)
				_ = store.Set(context.Background(), k, v, 0)
			}
		},
		"a text is replaced": func(store, _ *storetest.Map, keys []string, value func(string) []byte) {
			for _, k := range keys {
				if v := value(k); bytes.Contains(v, []byte("of us")) {
					_ = store.Set(context.Background(), k, bytes.ReplaceAll(v, []byte("of us"), []byte("of me")), 0)
				}
			}
		},
		"cut": func(store, _ *storetest.Map, keys []string, value func(string) []byte) {
			for _, k := range keys {
				v := value(k)
				_ = store.Set(context.Background(), k, v[:rand.IntN(len(v))], 0)
			}
		},
		"longer": func(store, _ *storetest.Map, keys []string, value func(string) []byte) {
			for _, k := range keys {
				_ = store.Set(context.Background(), k, append(value(k), 0), 0)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, forged := storetest.NewMap(), storetest.NewMap()
				first := keyed(t, store, oneKey, "us")
				first.Get("/a")
				first.Get("/b")
				closeSite(first)
				forger := keyed(t, forged, nil, "me")
				forger.Get("/a")
				closeSite(forger)
				forge(store, forged, store.Keys(), func(k string) []byte {
					v, _, err := store.Get(t.Context(), k)
					require.NoError(t, err)
					return v
				})
				second := keyed(t, store, oneKey, "us, again")
				for _, target := range []string{"/a", "/b"} {
					harness.Want(t, second.Get(target), "MISS", 200, target+" of us, again")
				}
				if second.Edge.Stats().Store.Refused == 0 {
					t.Error("nothing was refused: that shows nothing")
				}
				closeSite(second)
			})
		})
	}
}

// forgetful is a store that keeps values for ever.
type forgetful struct{ *storetest.Map }

func (f forgetful) Set(ctx context.Context, key string, value []byte, _ time.Duration) error {
	return f.Map.Set(ctx, key, value, 0)
}

// What was stored once is put back under its own name. A purge and the end of its time hold
// all the same.
func aReplayedValueIsNotServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := forgetful{storetest.NewMap()}
		first := keyed(t, store, oneKey, "the past")
		first.Get("/")
		closeSite(first)
		kept := map[string][]byte{}
		for _, k := range store.Keys() {
			kept[k], _, _ = store.Get(t.Context(), k)
		}
		replay := func() {
			for k, v := range kept {
				require.NoError(t, store.Set(t.Context(), k, v, 0))
			}
		}
		second := keyed(t, store, oneKey, "today")
		harness.Want(t, second.Get("/"), "HIT", 200, "/ of the past")
		_, err := second.Edge.PurgeTags(t.Context(), "tag")
		require.NoError(t, err)
		closeSite(second)
		replay()
		third := keyed(t, store, oneKey, "today")
		harness.Want(t, third.Get("/"), "MISS", 200, "/ of today")
		closeSite(third)

		for _, k := range store.Keys() { // those of today
			kept[k], _, _ = store.Get(t.Context(), k)
		}
		time.Sleep(26 * time.Hour) // its day, and an hour for an origin that is not there
		replay()
		require.NotEmpty(t, kept)
		fourth := keyed(t, store, oneKey, "tomorrow")
		harness.Want(t, fourth.Get("/"), "MISS", 200, "/ of tomorrow")
		closeSite(fourth)
	})
}

// Nothing changes with a key.
func aFaultyStoreIsAsHarmlessWithAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storetest.NewFaultyGenerations(storetest.NewMap(), 7, 0.3)
		s := harness.NewSite(t, edgecache.Config{Store: store, StoreKey: oneKey, MaxBytes: 64 << 10}, func(w http.ResponseWriter, r *http.Request) {
			edgecache.MaxAge(w, time.Hour)
			fmt.Fprintf(w, "page %s %01000d", r.URL.Path, 0)
		})
		random := rand.New(rand.NewPCG(3, 4))
		for range 2000 {
			target := fmt.Sprint("/", random.IntN(50))
			if got, want := harness.Body(t, s.Get(target)), fmt.Sprintf("page %s %01000d", target, 0); got != want {
				t.Fatalf("got %.40q, want %.40q", got, want)
			}
			time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
		}
		if st := s.Edge.Stats().Store; st.Hits == 0 || st.Refused == 0 || st.Failures == 0 {
			t.Errorf("got %+v: that shows nothing", st)
		}
		_ = s.Edge.Close(t.Context())
	})
}

// New has taken what it needs.
func theKeyBelongsToTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storetest.NewMap()
		key := slices.Clone(oneKey)
		first := keyed(t, store, key, "us")
		clear(key)
		first.Get("/")
		closeSite(first)
		second := keyed(t, store, oneKey, "nobody")
		harness.Want(t, second.Get("/"), "HIT", 200, "/ of us")
		closeSite(second)
	})
}
