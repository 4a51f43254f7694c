package l2

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var errDown = errors.New("down")

func TestPurge(t *testing.T) {
	type entry struct {
		host, target, scope string
		tags                []string
	}
	entries := []entry{
		{"a", "/", "", nil},
		{"a", "/blog/", "", []string{"blog"}},
		{"a", "/blog/2026/03/one?x=1", "", []string{"blog", "post 1"}},
		{"a", "/blogs", "", nil},
		{"b", "/blog/", "", []string{"blog"}},
		{"b", "/blog/", "for a", nil},
		{"a:8080", "/blog/", "", nil},
		{"a", "/1/2/3/4/5/6/7/8/9/10", "", nil},
		{"a", "/1/2/3/4/5/6/7/other", "", nil},
		{"a", "/1/2/3/4/5/6/other", "", nil},
		{"a", "/blog/?page=2", "", nil},
		{"a:443", "/gr%C3%BCn?q=a+b", "", nil},
	}
	for _, row := range []struct {
		name    string
		targets []Target
		gone    []int
	}{
		{"nothing", nil, nil},
		{"a URL", []Target{URL("a", "/blog/")}, []int{1, 5}},
		{"a URL by its key", []Target{Key(urlKey("a", "/blog/"))}, []int{1, 5}},
		{"a URL by a key of the other scheme", []Target{Key([]byte("\x05https\x01a\x06/blog/"))}, []int{1, 5}},
		{"a path with every query", []Target{Path(urlKey("a", "/blog/"))}, []int{1, 10}},
		{"the same by one of its queries", []Target{Path(urlKey("a", "/blog/?page=3"))}, []int{1, 10}},
		{"the same by a key of the other scheme", []Target{Path([]byte("\x05https\x01a\x06/blog/"))}, []int{1, 10}},
		{"a path in another spelling, and of a host without its port", []Target{Path(urlKey("a", "/grün"))}, []int{11}},
		{"a path by something that is no key", []Target{Path([]byte("?"))}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		{"a URL with a query", []Target{URL("a", "/blog/?page=2")}, []int{10}},
		{"a URL in another spelling, and of a host without its port", []Target{URL("a", "/grün?q=a b")}, []int{11}},
		{"the same on every host", []Target{URL("", "/gr%c3%bcn?q=a%20b")}, []int{11}},
		{"a folder of a host with its port", []Target{Prefix("a:80", "/blo%67/")}, []int{1, 2, 5, 10}},
		{"a URL of every host", []Target{URL("", "/blog/")}, []int{1, 4, 5, 6}},
		{"a URL that is not there", []Target{URL("a", "/blog")}, nil},
		{"two pages", []Target{URL("a", "/"), URL("a", "/blogs")}, []int{0, 3}},
		{"something that is no key", []Target{Key([]byte("?"))}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		{"a tag", []Target{Tag("blog")}, []int{1, 2, 4}},
		{"a tag that nothing carries", []Target{Tag("Blog")}, nil},
		{"another tag", []Target{Tag("post 1")}, []int{2}},
		{"a folder", []Target{Prefix("a", "/blog/")}, []int{1, 2, 5, 10}},
		{"a folder of every host", []Target{Prefix("", "/blog/")}, []int{1, 2, 4, 5, 6, 10}},
		{"a deep folder", []Target{Prefix("a", "/blog/2026/03/")}, []int{2}},
		{"a prefix that ends within a name takes its siblings", []Target{Prefix("a", "/blog/2026/0")}, []int{2}},
		{"a prefix in the root takes the host", []Target{Prefix("a", "/blo")}, []int{0, 1, 2, 3, 5, 7, 8, 9, 10, 11}},
		{"a prefix as deep as is told apart", []Target{Prefix("a", "/1/2/3/4/5/6/7/")}, []int{7, 8}},
		{"a prefix that is deeper takes the folder of that depth", []Target{Prefix("a", "/1/2/3/4/5/6/7/8/9/")}, []int{7, 8}},
		{"a prefix that is none", []Target{Prefix("a", "blog")}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		{"everything", []Target{Everything()}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newShared()
				_, _ = s.Bump(t.Context())
				ours, theirs := open(t, s), open(t, s)
				lonely := open(t, newPlain())
				check := func(when string, caches ...*Cache) {
					t.Helper()
					for i, e := range entries {
						want := Found
						for _, n := range row.gone {
							if n == i {
								want = Absent
							}
						}
						for n, cache := range caches {
							r := cache.Lookup(t.Context(), urlKey(e.host, e.target), []byte(e.scope), nil, nil, nil)
							if got := r.Outcome; got == Found != (want == Found) {
								t.Errorf("%s, cache %d, %v: got outcome %d, want %d", when, n, e, got, want)
							}
						}
					}
				}
				fill := func(cache *Cache) {
					t.Helper()
					for _, e := range entries {
						k := urlKey(e.host, e.target)
						cache.Lookup(t.Context(), k, nil, nil, nil, nil)
						put(t, cache, k, responseFor(t, nil, e.scope, "x"), e.tags...)
					}
				}
				fill(ours)
				fill(lonely)
				purge := ours.Purge(row.targets...)
				lonely.Purge(row.targets...).TellLater()
				check("at once", ours, lonely)
				require.NoError(t, purge.Tell(t.Context()))
				synctest.Wait()
				check("when the store knows", ours, theirs, lonely)
				row.gone = nil
				<-time.After(positionFor)
				fill(theirs)
				check("made again", ours, theirs)
			})
		})
	}
}

func TestPurgeOrder(t *testing.T) {
	// The store takes its time with a value that was made before the purge.
	t.Run("a write that lands after the purge", func(t *testing.T) {
		for _, target := range []Target{URL("a", "/"), Tag("tag"), Prefix("a", "/"), Everything()} {
			bubble(t, func(t *testing.T) {
				s := newShared()
				ours, theirs := open(t, s), open(t, s)
				wants(t, ours, home, "", Absent)
				hold := make(chan struct{})
				s.setHook(func(_ context.Context, method, _ string) error {
					if method == "set" {
						<-hold
					}
					return nil
				})
				put(t, ours, home, response(t, "old"), "tag")
				require.NoError(t, ours.Purge(target).Tell(t.Context()))
				close(hold)
				synctest.Wait()
				require.Equal(t, 2, s.count("set"), "it was not written at all")
				wants(t, ours, home, "", Absent)
				wants(t, theirs, home, "", Absent)
				wants(t, open(t, s), home, "", Absent)
				put(t, ours, home, response(t, "new"), "tag")
				wants(t, theirs, home, "new", Found)
			})
		}
	})
	// The value has been read when the purge comes.
	t.Run("a purge during a look-up", func(t *testing.T) {
		for _, at := range []string{"get", "load"} {
			for _, own := range []bool{true, false} {
				bubble(t, func(t *testing.T) {
					s := newShared()
					cache := open(t, s)
					writer := cache
					if !own {
						writer = open(t, s)
					}
					put(t, writer, home, response(t, "old"), "tag")
					s.setHook(func(_ context.Context, method, _ string) error {
						if method == at {
							s.setHook(nil)
							cache.Purge(Tag("tag"))
						}
						return nil
					})
					wants(t, cache, home, "", Absent)
				})
			}
		}
	})
	// It holds here for what others have stored until the store knows, and the store is told again
	// and again.
	t.Run("a purge that the store does not learn", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			ours, theirs := open(t, s), open(t, s)
			wants(t, theirs, home, "", Absent)
			put(t, theirs, home, response(t, "old"), "tag")
			other := urlKey("a", "/other")
			put(t, theirs, other, response(t, "other"))
			var down atomic.Bool
			down.Store(true)
			s.setHook(func(_ context.Context, method, _ string) error {
				if method == "bump" && down.Load() {
					return errDown
				}
				return nil
			})
			require.ErrorIs(t, ours.Purge(Tag("tag")).Tell(t.Context()), errDown)
			ours.Purge(URL("a", "/nothing")).TellLater()
			wants(t, ours, home, "", Absent)
			wants(t, ours, other, "other", Found)
			wants(t, theirs, home, "old", Found) // no process could tell
			// A tag, a URL of one host, and a path have two slots each.
			if n := ours.Stats().Pending; n != 6 {
				t.Errorf("got %d names that the store does not know, want 6", n)
			}
			<-time.After(10 * time.Second)
			down.Store(false)
			<-time.After(breakerMaxPause)
			if n := ours.Stats().Pending; n != 0 {
				t.Errorf("got %d names that the store does not know, want 0", n)
			}
			wants(t, ours, home, "", Absent)
			wants(t, theirs, home, "", Absent)
		})
	})
	// The store knows of the first purge, but returns so late that there is a second one of the
	// same name.
	t.Run("a later purge is not forgotten", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			ours, theirs := open(t, s), open(t, s)
			hold := make(chan struct{})
			var once sync.Once
			s.after = func(method string) {
				if method == "bump" {
					once.Do(func() { <-hold })
				}
			}
			told := make(chan error)
			go func() { told <- ours.Purge(Tag("tag")).Tell(t.Context()) }()
			synctest.Wait()
			wants(t, theirs, home, "", Absent)
			put(t, theirs, home, response(t, "between"), "tag")
			wants(t, theirs, home, "between", Found)
			second := ours.Purge(Tag("tag"))
			close(hold)
			require.NoError(t, <-told)
			wants(t, ours, home, "", Absent)
			require.NoError(t, second.Tell(t.Context()))
			wants(t, theirs, home, "", Absent)
		})
	})
	// The generations were read before the store knew of the purge, and the purge is no longer
	// pending when they arrive.
	t.Run("a purge that is told during a look-up", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			ours, theirs := open(t, s), open(t, s)
			put(t, theirs, home, response(t, "old"), "tag")
			purge := ours.Purge(Tag("tag"))
			var once sync.Once
			s.after = func(method string) {
				if method == "load" {
					once.Do(func() {
						if err := purge.Tell(t.Context()); err != nil {
							t.Error(err)
						}
					})
				}
			}
			wants(t, ours, home, "", Absent)
		})
	})
	// A response began to be made before a purge by another process, of which this process has not
	// heard.
	t.Run("stamps are never too young", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			ours, theirs := open(t, s), open(t, s)
			wants(t, ours, home, "", Absent)
			mark := ours.Mark()
			require.NoError(t, theirs.Purge(Tag("tag")).Tell(t.Context()))
			// This process hears of the purge while the response is being made.
			wants(t, ours, urlKey("a", "/other"), "", Absent)
			<-time.After(positionFor)
			wants(t, ours, urlKey("a", "/other"), "", Absent)
			require.True(t, ours.Put(home, response(t, "old"), []string{"tag"}, Representation{}, mark))
			synctest.Wait()
			wants(t, ours, home, "", Absent)
			wants(t, theirs, home, "", Absent)
			put(t, ours, home, response(t, "new"), "tag")
			wants(t, theirs, home, "new", Found)
			if (Mark{}) != (New(Config{Store: newShared(), Rules: &options}).Mark()) {
				t.Error("the first mark is not the zero one")
			}
		})
	})
}

func TestPurgeMakesRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShared()
		cache := open(t, s)
		for i := range 5 {
			put(t, cache, home, responseFor(t, map[string][]string{"Accept": {number(i)}}, "", "x", "Vary", "Accept"))
		}
		put(t, cache, urlKey("a", "/b"), response(t, "stays"))
		require.Len(t, s.values, 8)
		require.NoError(t, cache.Purge(URL("a", "/")).Tell(t.Context()))
		synctest.Wait()
		if len(s.values) != 2 {
			t.Errorf("got %d values, want 2: %v", len(s.values), s.values)
		}
		wants(t, cache, urlKey("a", "/b"), "stays", Found)
	})
}

func TestNamesOf(t *testing.T) {
	seen := map[string]string{}
	for _, row := range [][]string{
		{"a", "/b"}, {"a/", "b"}, {"", "a/b"}, {"a", "/b/"}, {"A", "/b"},
	} {
		for _, kind := range []byte{ofURL, ofQueries, ofPath, ofScopedPath, ofPrefix, ofPathPrefix, ofScopedPrefix, ofTag} {
			n := name(kind, row...)
			if other, taken := seen[n]; taken {
				t.Errorf("%c%q and %s have one name", kind, row, other)
			}
			seen[n] = fmt.Sprintf("%c%q", kind, row)
		}
	}
}
