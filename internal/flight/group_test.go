package flight

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var limits = Limits{Wait: 10 * time.Second, Leader: 30 * time.Second, Finish: time.Minute, Waiters: 3}

// in begins a flight in f.
func in[T any](f *Flight[T], id string) func() (*Flight[T], []byte) {
	return func() (*Flight[T], []byte) { return f, []byte(id) }
}

func admitAll(*Flight[string]) bool { return true }

// join joins at the clock of the test.
func join(g *Group[string], id string) (*Flight[string], Role) {
	return g.Join([]byte(id), 0, time.Now(), admitAll, in(new(Flight[string]), id))
}

// lead begins a flight and fails the test if there is one already.
func lead(t *testing.T, g *Group[string], id string) *Flight[string] {
	t.Helper()
	f, role := join(g, id)
	require.Equal(t, Lead, role)
	return f
}

// begin gives the handler its context.
func begin(f *Flight[string], leader context.Context) (ctx context.Context, end func()) {
	c := new(Context)
	f.Begin(c, leader)
	return c, f.End
}

// follow joins f and fails the test if that is not possible.
func follow(t *testing.T, g *Group[string], id string, f *Flight[string]) {
	t.Helper()
	got, role := join(g, id)
	require.Equal(t, Follow, role)
	require.Same(t, f, got)
}

func TestJoin(t *testing.T) {
	t.Run("the first leads and the others follow", func(t *testing.T) {
		g := NewGroup[string](limits)
		f := lead(t, g, "a")
		follow(t, g, "a", f)
		follow(t, g, "a", f)
		other := lead(t, g, "b")
		require.NotSame(t, f, other)
		require.Equal(t, 2, g.Len())
		f.Finish()
		require.Equal(t, 1, g.Len())
		lead(t, g, "a").Finish()
		other.Finish()
		require.Zero(t, g.Len())
	})
	t.Run("a flight that may not be joined is replaced", func(t *testing.T) {
		g := NewGroup[string](limits)
		first, _ := g.Join([]byte("a"), 7, time.Now(), admitAll, in(new(Flight[string]), "a"))
		require.EqualValues(t, 7, first.Gen)
		second, role := g.Join([]byte("a"), 8, time.Now(), func(f *Flight[string]) bool { return f.Gen >= 8 }, in(new(Flight[string]), "a"))
		require.Equal(t, Lead, role)
		require.NotSame(t, first, second)
		require.EqualValues(t, 8, second.Gen)
		first.Finish() // must not take its successor off the table
		follow(t, g, "a", second)
		second.Finish()
		require.Zero(t, g.Len())
	})
	t.Run("it is not joined when", func(t *testing.T) {
		for _, tt := range []struct {
			name string
			do   func(*Flight[string])
			want Role
		}{
			{"it was released without a result", func(f *Flight[string]) { f.Release() }, Lead},
			{"its leader has not said anything for too long", func(f *Flight[string]) { time.Sleep(limits.Leader) }, Lead},
			{"its handler is done and has brought nothing", func(f *Flight[string]) { _, stop := begin(f, context.Background()); stop() }, Lead},
			{"its handler was told to end", func(f *Flight[string]) {
				ctx, cancel := context.WithCancel(context.Background())
				begin(f, ctx)
				cancel()
				synctest.Wait()
			}, Lead},
		} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := NewGroup[string](limits)
					f := lead(t, g, "a")
					tt.do(f)
					_, role := join(g, "a")
					require.Equal(t, tt.want, role)
				})
			})
		}
	})
	t.Run("it is joined until", func(t *testing.T) {
		for _, tt := range []struct {
			name string
			do   func(*Flight[string])
		}{
			{"just before the leader's age", func(*Flight[string]) { time.Sleep(limits.Leader - 1) }},
			{"any age once there is a result", func(f *Flight[string]) { f.Share("page"); time.Sleep(100 * limits.Leader) }},
		} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := NewGroup[string](limits)
					f := lead(t, g, "a")
					tt.do(f)
					follow(t, g, "a", f)
				})
			})
		}
	})
	t.Run("a full flight leaves others alone", func(t *testing.T) {
		g := NewGroup[string](limits)
		f := lead(t, g, "a")
		for range limits.Waiters {
			follow(t, g, "a", f)
		}
		alone, role := join(g, "a")
		require.Equal(t, Alone, role)
		require.NotSame(t, f, alone)
		alone.Finish()
		require.Equal(t, 1, g.Len(), "a flight alone is not on the table")
		f.Leave() // one follower makes room
		follow(t, g, "a", f)
		_, role = join(g, "a")
		require.Equal(t, Alone, role)
	})
	t.Run("ids with the same hash are told apart", func(t *testing.T) {
		var s shard[string]
		flights := make([]*Flight[string], 3)
		for i := range flights {
			flights[i] = &Flight[string]{entry: entry[string]{id: []byte{byte(i)}, hash: 1}}
			s.add(flights[i])
		}
		for _, gone := range []int{1, 2, 0} { // from the middle, the first, the last
			if flights[gone] != nil {
				s.remove(flights[gone])
			}
			// This is another flight with that id.
			s.remove(&Flight[string]{entry: entry[string]{id: []byte{byte(gone)}, hash: 1}})
			flights[gone] = nil
			for i, f := range flights {
				require.Same(t, f, s.find(1, []byte{byte(i)}))
			}
		}
		require.Empty(t, s.flights)
		require.Nil(t, s.find(2, []byte{0}))
	})
	t.Run("a single flight cannot be joined", func(t *testing.T) {
		g := NewGroup[string](limits)
		f := g.Single(new(Flight[string]), 5, time.Now())
		require.EqualValues(t, 5, f.Gen)
		require.Zero(t, g.Len())
		f.Finish()
		f.Finish()
	})
}

func TestWait(t *testing.T) {
	t.Run("it ends", func(t *testing.T) {
		for _, tt := range []struct {
			name    string
			do      func(f *Flight[string], cancel func())
			result  string
			outcome Outcome
			after   time.Duration
		}{
			{"with the result", func(f *Flight[string], _ func()) { f.Share("page") }, "page", Shared, time.Second},
			{"with the first of two results", func(f *Flight[string], _ func()) { f.Share("page"); f.Share("other") }, "page", Shared, time.Second},
			{"with the result although it was released then", func(f *Flight[string], _ func()) { f.Share("page"); f.Release(); f.Finish() }, "page", Shared, time.Second},
			{"without a result when it is released", func(f *Flight[string], _ func()) { f.Release() }, "", Released, time.Second},
			{"without a result that comes after the release", func(f *Flight[string], _ func()) { f.Release(); f.Share("page") }, "", Released, time.Second},
			{"without a result when the leader ends", func(f *Flight[string], _ func()) { f.Finish() }, "", Released, time.Second},
			{"when the follower leaves", func(_ *Flight[string], cancel func()) { cancel() }, "", Left, time.Second},
			{"after the limit", func(*Flight[string], func()) {}, "", TimedOut, limits.Wait},
		} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := NewGroup[string](limits)
					f := lead(t, g, "a")
					follow(t, g, "a", f)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					go func() {
						time.Sleep(time.Second)
						tt.do(f, cancel)
					}()
					start := time.Now()
					result, outcome := f.Wait(ctx)
					require.Equal(t, tt.result, result)
					require.Equal(t, tt.outcome, outcome)
					require.Equal(t, tt.after, time.Since(start))
					f.Leave()
				})
			})
		}
	})
	t.Run("it ends at once when the result is there", func(t *testing.T) {
		g := NewGroup[string](limits)
		f := lead(t, g, "a")
		f.Share("page")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		result, outcome := f.Wait(ctx)
		require.Equal(t, "page", result)
		require.Equal(t, Shared, outcome)
	})
}

type contextKey struct{}

func TestHandlerContext(t *testing.T) {
	t.Run("it has the leader's values but not its end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := NewGroup[string](limits)
			f := lead(t, g, "a")
			follow(t, g, "a", f)
			leader, cancel := context.WithTimeout(context.WithValue(t.Context(), contextKey{}, "v"), time.Second)
			defer cancel()
			ctx, stop := begin(f, leader)
			require.Equal(t, "v", ctx.Value(contextKey{}))
			time.Sleep(time.Hour)
			require.NoError(t, ctx.Err(), "a follower still waits")
			stop()
			require.Error(t, ctx.Err(), "the handler is done")
		})
	})
	t.Run("it ends with the last that is interested", func(t *testing.T) {
		for _, tt := range []struct {
			name  string
			leave func(leader func(), f *Flight[string]) // two followers
			ends  bool
		}{
			{"no request leaves", func(func(), *Flight[string]) {}, false},
			{"the leader leaves", func(leader func(), f *Flight[string]) { leader() }, false},
			{"the followers leave", func(_ func(), f *Flight[string]) { f.Leave(); f.Leave() }, false},
			{"the leader and one follower leave", func(leader func(), f *Flight[string]) { leader(); f.Leave() }, false},
			{"all leave, the leader first", func(leader func(), f *Flight[string]) { leader(); synctest.Wait(); f.Leave(); f.Leave() }, true},
			{"all leave, the leader last", func(leader func(), f *Flight[string]) { f.Leave(); f.Leave(); leader() }, true},
		} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := NewGroup[string](limits)
					f := lead(t, g, "a")
					follow(t, g, "a", f)
					follow(t, g, "a", f)
					leader, cancel := context.WithCancel(t.Context())
					defer cancel()
					ctx, stop := begin(f, leader)
					defer stop()
					tt.leave(cancel, f)
					synctest.Wait()
					require.Equal(t, tt.ends, ctx.Err() != nil)
					if tt.ends {
						require.ErrorIs(t, context.Cause(ctx), ErrLeft)
					}
				})
			})
		}
	})
	t.Run("a leader that had left before ends it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := NewGroup[string](limits).Single(new(Flight[string]), 0, time.Now())
			leader, cancel := context.WithCancel(t.Context())
			cancel()
			ctx, stop := begin(f, leader)
			defer stop()
			<-ctx.Done()
			require.ErrorIs(t, context.Cause(ctx), ErrLeft)
		})
	})
}

func TestPin(t *testing.T) {
	t.Run("a flight is finished for its own sake", func(t *testing.T) {
		start := func(t *testing.T) (g *Group[string], f *Flight[string], leave func(), ctx context.Context, stop func()) {
			g = NewGroup[string](limits)
			f = lead(t, g, "a")
			leader, cancel := context.WithCancel(t.Context())
			ctx, stop = begin(f, leader)
			f.Pin()
			f.Share("page")
			return g, f, func() { cancel(); synctest.Wait() }, ctx, stop
		}
		t.Run("up to the limit", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, _, leave, ctx, stop := start(t)
				defer stop()
				leave()
				began := time.Now()
				<-ctx.Done()
				require.ErrorIs(t, context.Cause(ctx), ErrUnfinished)
				require.Equal(t, limits.Finish, time.Since(began))
			})
		})
		t.Run("and no timer is left when it ends inside it", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, _, leave, ctx, stop := start(t)
				leave()
				time.Sleep(limits.Finish - 1)
				require.NoError(t, ctx.Err())
				stop()
				require.NotErrorIs(t, context.Cause(ctx), ErrUnfinished)
			})
		})
		t.Run("and a new request may join it", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, f, leave, ctx, stop := start(t)
				defer stop()
				leave()
				time.Sleep(limits.Finish - 1)
				follow(t, g, "a", f)
				time.Sleep(10 * limits.Finish)
				require.NoError(t, ctx.Err(), "one request uses it again")
				f.Leave()
				began := time.Now()
				<-ctx.Done()
				require.ErrorIs(t, context.Cause(ctx), ErrUnfinished)
				require.Equal(t, limits.Finish, time.Since(began), "the limit counts from when the last one left")
			})
		})
		t.Run("and it is not joined when it was given up", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, _, leave, ctx, stop := start(t)
				defer stop()
				leave()
				<-ctx.Done()
				_, role := join(g, "a")
				require.Equal(t, Lead, role)
			})
		})
	})
	t.Run("followers may leave after the handler is done", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := NewGroup[string](limits)
			f := lead(t, g, "a")
			follow(t, g, "a", f)
			_, stop := begin(f, t.Context())
			f.Pin()
			f.Share("page")
			stop()
			f.Finish()
			f.Leave() // must not start a timer for a handler that is done: the bubble would not end
		})
	})
}

func TestConcurrency(t *testing.T) {
	// One leads among very many, again and again. Goroutines and timers that were left would keep
	// the bubble from ending.
	t.Run("one of a thousand leads", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			many := limits
			many.Waiters = 1 << 16
			g := NewGroup[string](many)
			for round := range 10 {
				want := fmt.Sprint("page ", round)
				var mu sync.Mutex
				leads := 0
				var all sync.WaitGroup
				for range 1000 {
					all.Go(func() {
						f, role := join(g, "a")
						if role == Lead {
							mu.Lock()
							leads++
							mu.Unlock()
							_, stop := begin(f, t.Context())
							time.Sleep(time.Second)
							f.Share(want)
							stop()
							f.Finish()
							return
						}
						defer f.Leave()
						if result, outcome := f.Wait(t.Context()); role != Follow || outcome != Shared || result != want {
							t.Errorf("role %v, outcome %v, result %q, want %q", role, outcome, result, want)
						}
					})
				}
				all.Wait()
				require.Equal(t, 1, leads)
				require.Zero(t, g.Len())
			}
		})
	})
	// The counts must come out even, whatever the order in which requests leave.
	t.Run("everything at once", func(t *testing.T) {
		many := Limits{Wait: time.Minute, Leader: time.Minute, Finish: time.Minute, Waiters: 1 << 16}
		g := NewGroup[string](many)
		var all sync.WaitGroup
		for i := range 2000 {
			all.Go(func() {
				id := fmt.Sprint(i % 7)
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				f, role := join(g, id)
				if role == Follow {
					if i%3 == 0 {
						cancel()
					}
					if result, outcome := f.Wait(ctx); outcome == Shared && result != id {
						t.Errorf("%q got %q", id, result)
					}
					f.Leave()
					return
				}
				handler, stop := begin(f, ctx)
				switch i % 4 {
				case 0:
					cancel()
					f.Release() // or the followers would wait for us, and we for them
					<-handler.Done()
					if cause := context.Cause(handler); !errors.Is(cause, ErrLeft) {
						t.Errorf("the handler's context ended because of %v", cause)
					}
				case 1:
					f.Release()
				default:
					f.Pin()
					f.Share(id)
				}
				stop()
				f.Finish()
			})
		}
		all.Wait()
		require.Zero(t, g.Len())
	})
}
