package l2

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBump(t *testing.T) {
	// A flood of purges of one URL is a few Bumps, and the last of them holds.
	t.Run("purges of one URL are merged", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			ours, theirs := open(t, s), open(t, s)
			begin := time.Now()
			for range 10_000 {
				ours.Purge(URL("a", "/")).TellLater()
				<-time.After(time.Second / 10_000)
			}
			if n := s.count("bump"); n > 11 || n < 10 {
				t.Errorf("got %d Bumps in %v, want one each 100 ms", n, time.Since(begin))
			}
			wants(t, theirs, home, "", Absent)
			put(t, theirs, home, response(t, "old"))
			ours.Purge(URL("a", "/")).TellLater()
			wants(t, ours, home, "", Absent)
			<-time.After(mergeFor)
			synctest.Wait()
			wants(t, theirs, home, "", Absent)
			if n := ours.Stats().Pending; n != 0 {
				t.Errorf("got %d names that the store does not know, want 0", n)
			}
			<-time.After(mergeFor)
			synctest.Wait()
			begin, bumps := time.Now(), s.count("bump")
			require.NoError(t, ours.Purge(URL("a", "/")).Tell(t.Context()))
			require.NoError(t, ours.Purge(URL("b", "/b")).Tell(t.Context()))
			if took, n := time.Since(begin), s.count("bump")-bumps; took > 0 || n != 2 {
				t.Errorf("two purges of different URLs: got %d Bumps in %v, want both at once", n, took)
			}
			require.NoError(t, ours.Purge(URL("a", "/")).Tell(t.Context()))
			if took, n := time.Since(begin), s.count("bump")-bumps; took != mergeFor || n != 3 {
				t.Errorf("and the first again: got %d Bumps in %v, want a third after %v", n, took, mergeFor)
			}
		})
	})
	// No call has more names than a store can be expected to take.
	t.Run("the names of one are bounded", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			most := 0
			ours := open(t, widest{s, &most})
			targets := make([]Target, 5_000)
			for i := range targets {
				targets[i] = URL("a", "/"+number(i))
			}
			require.NoError(t, ours.Purge(targets...).Tell(t.Context()))
			if most != maxBumped {
				t.Errorf("got a Bump of %d names, want %d at most", most, maxBumped)
			}
			if n := ours.Stats().Pending; n != 0 {
				t.Errorf("got %d names that the store does not know, want 0", n)
			}
		})
	})
}

func TestPending(t *testing.T) {
	t.Run("what was told long ago takes no memory", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			cache := open(t, newShared())
			for i := range 1000 {
				cache.Purge(URL("a", "/"+number(i)), Prefix("a", "/"+number(i)+"/")).TellLater()
			}
			<-time.After(2 * mergeFor)
			cache.Purge(Tag("another")).TellLater()
			synctest.Wait()
			if p := &cache.pending; len(p.names) != 2 || p.exact != 0 || len(p.recent) != 1 || len(p.ready) != 0 {
				t.Errorf("got %d names, %d exact, %d Bumps, %d ready; want those of the last purge", len(p.names), p.exact, len(p.recent), len(p.ready))
			}
		})
	})
	// They concern what they name, and are told in the end.
	t.Run("purges by clients while the store is away", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			ours, theirs := open(t, s), open(t, s)
			const pages = 200
			for i := range pages {
				wants(t, theirs, urlKey("a", "/"+number(i)), "", Absent)
				put(t, theirs, urlKey("a", "/"+number(i)), response(t, "theirs", "Cache-Control", "max-age=86400"))
			}
			var away atomic.Bool
			s.setHook(func(_ context.Context, method, _ string) error {
				if method == "bump" && away.Load() {
					return errDown
				}
				return nil
			})
			count := func(cache *Cache) (found int) {
				for i := range pages {
					if cache.Lookup(t.Context(), urlKey("a", "/"+number(i)), nil, nil, nil, nil).Outcome == Found {
						found++
					}
				}
				return found
			}
			away.Store(true)
			for i := range 2100 {
				ours.Purge(madeUp(i)).TellLater()
				<-time.After(time.Millisecond)
			}
			if n := count(ours); n < pages*95/100 {
				t.Errorf("while the store is away: got %d of %d", n, pages)
			}
			if n := count(theirs); n != pages {
				t.Errorf("in the other process: got %d of %d", n, pages)
			}
			require.ErrorIs(t, ours.Purge(URL("a", "/0")).Tell(t.Context()), errDown)
			wants(t, ours, urlKey("a", "/0"), "", Absent)
			away.Store(false)
			<-time.After(breakerMaxPause + mergeFor)
			synctest.Wait()
			if n := ours.Stats().Pending; n != 0 {
				t.Errorf("got %d names that the store does not know, want 0", n)
			}
			for _, cache := range []*Cache{ours, theirs} {
				wants(t, cache, urlKey("a", "/0"), "", Absent)
				if n := count(cache); n < pages*95/100 {
					t.Errorf("when the store knows: got %d of %d", n, pages)
				}
			}
			if n := s.count("bump"); n > 30 {
				t.Errorf("got %d Bumps, want few", n)
			}
		})
	})
	// Only the application makes such names.
	t.Run("names that are no slots are bounded", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			ours, theirs := open(t, s), open(t, s)
			put(t, theirs, home, response(t, "old"))
			for i := range maxExact {
				ours.Purge(Prefix("", "/"+number(i)+"/"))
			}
			wants(t, ours, home, "old", Found)
			one := ours.Purge(Prefix("", "/one/more/"))
			ours.Purge(Prefix("", "/0/"), Prefix("", "/two/"))
			if n := ours.Stats().Pending; n != maxExact+1 {
				t.Errorf("got %d names, want %d and everything", n, maxExact)
			}
			wants(t, ours, home, "", Absent)
			wants(t, theirs, home, "old", Found)
			require.NoError(t, one.Tell(t.Context()))
			wants(t, theirs, home, "", Absent)
			synctest.Wait()
			if n := ours.Stats().Pending; n != 0 {
				t.Errorf("got %d names, want 0", n)
			}
		})
	})
}

func TestTell(t *testing.T) {
	// When Tell returns, other processes know, however many purges there are at once, and whether
	// the store fails or not.
	t.Run("it waits for its Bump", func(t *testing.T) {
		for _, fails := range []bool{false, true} {
			bubble(t, func(t *testing.T) {
				s := newShared()
				var calls atomic.Int64
				s.setHook(func(_ context.Context, method, _ string) error {
					if method != "bump" {
						return nil
					}
					n := calls.Add(1)
					<-time.After(time.Duration(n%7) * 10 * time.Millisecond)
					if fails && n%3 == 0 {
						return errDown
					}
					return nil
				})
				ours, theirs := open(t, s), open(t, s)
				var (
					wg         sync.WaitGroup
					kept, lost atomic.Int64
				)
				for g := range 8 {
					wg.Go(func() {
						random := rand.New(rand.NewPCG(uint64(g), 1))
						for i := range 60 {
							<-time.After(time.Duration(random.IntN(60)) * time.Millisecond)
							k := urlKey("a", "/"+number(g)+"/"+number(i))
							if theirs.Lookup(t.Context(), k, nil, nil, nil, nil).Outcome == Unavailable {
								continue
							}
							if !theirs.Put(k, response(t, "old"), []string{"all", number(i % 5)}, Representation{}, theirs.Mark()) {
								t.Error("it was not put")
							}
							<-time.After(time.Millisecond)
							target := []Target{Tag("all"), Tag(number(i % 5)), URL("a", "/"+number(g)+"/"+number(i))}[random.IntN(3)]
							if random.IntN(4) == 0 {
								ours.Purge(target).TellLater()
							}
							purge := ours.Purge(target)
							if ours.Lookup(t.Context(), k, nil, nil, nil, nil).Outcome == Found {
								t.Error("the purge does not hold here")
							}
							if purge.Tell(t.Context()) != nil {
								lost.Add(1)
								continue
							}
							kept.Add(1)
							if theirs.Lookup(t.Context(), k, nil, nil, nil, nil).Outcome == Found {
								t.Error("Tell has returned, and others do not know")
							}
						}
					})
				}
				wg.Wait()
				if kept.Load() < 50 || lost.Load() > 0 != fails {
					t.Errorf("got %d purges told and %d not", kept.Load(), lost.Load())
				}
				<-time.After(time.Minute)
				if n := ours.Stats().Pending; n != 0 {
					t.Errorf("got %d names that the store does not know, want 0", n)
				}
			})
		}
	})
	// The store has been told of one slot of a name, and the other must wait.
	t.Run("a name of which the store knows one slot", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			ours, theirs := open(t, s), open(t, s)
			require.NoError(t, ours.Purge(Tag(sharing("tag"))).Tell(t.Context()))
			<-time.After(mergeFor / 2)
			wants(t, theirs, home, "", Absent)
			put(t, theirs, home, response(t, "old"), "tag")
			wants(t, ours, home, "old", Found)
			purge := ours.Purge(Tag("tag"))
			purge.TellLater()
			synctest.Wait()
			if n := ours.Stats().Pending; n != 1 {
				t.Fatalf("got %d names that the store does not know, want one of the two", n)
			}
			wants(t, ours, home, "", Absent)
			wants(t, theirs, home, "old", Found)
			begin := time.Now()
			require.NoError(t, purge.Tell(t.Context()))
			if took := time.Since(begin); took != mergeFor/2 {
				t.Errorf("got told after %v, want %v", took, mergeFor/2)
			}
			wants(t, theirs, home, "", Absent)
		})
	})
	// It holds up no caller for longer than it may.
	t.Run("a stuck store holds up no caller", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			cache := open(t, s)
			s.setHook(func(_ context.Context, method, _ string) error {
				if method == "bump" {
					<-time.After(time.Hour)
				}
				return nil
			})
			cache.Purge(Tag("first")).TellLater()
			synctest.Wait()
			for range 3 * maxBumps {
				begin := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				require.Error(t, cache.Purge(Tag("second")).Tell(ctx))
				if took := time.Since(begin); took > 300*time.Millisecond {
					t.Errorf("got a result after %v", took)
				}
				cancel()
				begin = time.Now()
				require.Error(t, cache.Purge(Tag("third")).Tell(t.Context()))
				if took := time.Since(begin); took > DefaultWriteTimeout {
					t.Errorf("got a result after %v", took)
				}
			}
			s.setHook(nil)
			<-time.After(time.Minute + time.Hour)
			if n := cache.Stats().Pending; n != 0 {
				t.Errorf("got %d names that the store does not know, want 0", n)
			}
		})
	})
}

type widest struct {
	*shared
	most *int
}

func (w widest) Bump(ctx context.Context, names ...string) (uint64, error) {
	*w.most = max(*w.most, len(names))
	return w.shared.Bump(ctx, names...)
}
