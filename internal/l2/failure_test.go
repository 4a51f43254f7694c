package l2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// No Lookup takes longer than it may, and none takes any time once the breaker is open.
func TestDeadline(t *testing.T) {
	for name, hook := range map[string]func(ctx context.Context) error{
		"a store that heeds its context":   func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"a store that ignores its context": func(context.Context) error { <-time.After(time.Hour); return nil },
		"a store that is slow at each step": func(context.Context) error {
			<-time.After(DefaultTimeout * 2 / 3)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newShared()
				var events []string
				cache := open(t, s, func(c *Config) {
					c.OnBreaker = func(open bool, cause error) { events = append(events, fmt.Sprint(open, cause != nil)) }
				})
				put(t, cache, home, response(t, "x"))
				s.setHook(func(ctx context.Context, _, _ string) error { return hook(ctx) })
				for i := range 2 * breakerFailures {
					begin := time.Now()
					r := cache.Lookup(t.Context(), home, nil, nil, nil, nil)
					took := time.Since(begin)
					if r.Outcome != Unavailable || i < breakerFailures && took != DefaultTimeout || i >= breakerFailures && took != 0 {
						t.Errorf("look-up %d: got outcome %d after %v", i, r.Outcome, took)
					}
				}
				if s := cache.Stats(); s.Timeouts != breakerFailures || s.Opened != 1 || !s.Open || s.Skipped != breakerFailures {
					t.Errorf("got %+v", s)
				}
				s.setHook(nil)
				<-time.After(breakerPause)
				for range 3 {
					begin := time.Now()
					wants(t, cache, home, "", Unavailable) // the trial is in the background
					if took := time.Since(begin); took != 0 {
						t.Errorf("with a trial in progress: got %v", took)
					}
				}
				synctest.Wait()
				wants(t, cache, home, "x", Found)
				if got := fmt.Sprint(events); got != "[true true false false]" {
					t.Errorf("got events %v", got)
				}
			})
		})
	}
}

func TestBreaker(t *testing.T) {
	t.Run("it backs off", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			cache := open(t, s)
			s.setHook(func(context.Context, string, string) error { return errDown })
			for range breakerFailures {
				wants(t, cache, home, "", Unavailable)
			}
			begin, calls := time.Now(), s.count("get")
			var trials []time.Duration
			for range 2 * 60 * 10 {
				<-time.After(time.Second / 10)
				wants(t, cache, home, "", Unavailable)
				synctest.Wait()
				if n := s.count("get"); n > calls {
					calls = n
					trials = append(trials, time.Since(begin).Round(time.Second))
				}
			}
			if got, want := fmt.Sprint(trials), "[1s 3s 7s 15s 31s 1m1s 1m31s]"; got != want {
				t.Errorf("got trials after %v, want %v", got, want)
			}
			if cache.Put(home, response(t, "x"), nil, Representation{}, cache.Mark()) {
				t.Error("Put: got true while the breaker is open")
			}
		})
	})
}

func TestCall(t *testing.T) {
	t.Run("its goroutines are bounded", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newPlain()
			cache := open(t, s)
			s.setHook(func(context.Context, string, string) error { <-time.After(time.Hour); return nil })
			var wg sync.WaitGroup
			for range 10 * maxLookups {
				wg.Go(func() {
					begin := time.Now()
					cache.Lookup(t.Context(), home, nil, nil, nil, nil)
					if took := time.Since(begin); took > DefaultTimeout {
						t.Errorf("got a result after %v", took)
					}
				})
			}
			wg.Wait()
			synctest.Wait()
			calls := func() int {
				stacks := make([]byte, 8<<20)
				stacks = stacks[:runtime.Stack(stacks, true)]
				return bytes.Count(stacks, []byte("created by github.com/edgecache-go/edgecache/internal/l2.call"))
			}
			if n := calls(); n != maxLookups {
				t.Errorf("got %d goroutines for calls, want %d", n, maxLookups)
			}
			if n := cache.Stats().Busy; n != 9*maxLookups {
				t.Errorf("got %d calls that were not made, want %d", n, 9*maxLookups)
			}
			<-time.After(time.Hour)
			synctest.Wait()
			if n := calls(); n > 0 {
				t.Errorf("got %d goroutines for calls when all have returned", n)
			}
		})
	})
	t.Run("a panic is contained", func(t *testing.T) {
		for name, hook := range map[string]func(){
			"a panic":  func() { panic("store") },
			"a Goexit": runtime.Goexit,
		} {
			t.Run(name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					s := newShared()
					cache := open(t, s)
					put(t, cache, home, response(t, "x"))
					s.setHook(func(context.Context, string, string) error { hook(); return nil })
					wants(t, cache, home, "", Unavailable)
					require.True(t, cache.Put(home, response(t, "y"), nil, Representation{}, cache.Mark()))
					require.Error(t, cache.Purge(Tag("t")).Tell(t.Context()))
					synctest.Wait()
					s.setHook(nil)
					if st := cache.Stats(); st.Panics < 3 || st.Dropped != 1 {
						t.Errorf("got %+v", st)
					}
					wants(t, cache, home, "x", Found)
				})
			})
		}
	})
	t.Run("a client that leaves says nothing about the store", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			cache := open(t, s)
			s.setHook(func(ctx context.Context, _, _ string) error { <-ctx.Done(); return ctx.Err() })
			for range 3 * breakerFailures {
				ctx, cancel := context.WithTimeout(t.Context(), DefaultTimeout/2)
				begin := time.Now()
				if r := cache.Lookup(ctx, home, nil, nil, nil, nil); r.Outcome != Unavailable || time.Since(begin) != DefaultTimeout/2 {
					t.Errorf("got %d after %v", r.Outcome, time.Since(begin))
				}
				cancel()
			}
			if st := cache.Stats(); st.Open || st.Timeouts+st.Errors > 0 {
				t.Errorf("got %+v", st)
			}
		})
	})
}

func TestQueue(t *testing.T) {
	t.Run("it is bounded", func(t *testing.T) {
		for _, row := range []struct {
			name   string
			change func(*Config)
			size   int
			want   int
		}{
			{"by entries", func(c *Config) { c.QueueEntries = 7 }, 10, 7},
			{"by bytes", func(c *Config) { c.QueueBytes = 100 << 10 }, 10 << 10, 9},
			{"by bytes, one alone too large", func(c *Config) { c.QueueBytes = 10 << 10 }, 10 << 10, 0},
		} {
			t.Run(row.name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					s := newPlain()
					cache := open(t, s, row.change)
					hold := make(chan struct{})
					s.setHook(func(context.Context, string, string) error { <-hold; return nil })
					taken := 0
					for i := range 20 {
						begin := time.Now()
						if cache.Put(urlKey("a", "/"+number(i)), response(t, strings.Repeat("x", row.size)), nil, Representation{}, cache.Mark()) {
							taken++
						}
						if time.Since(begin) > 0 {
							t.Error("Put has waited")
						}
					}
					st := cache.Stats()
					if taken != row.want || st.Dropped != uint64(20-taken) || st.QueueEntries != taken || st.QueueBytes > cache.config.QueueBytes {
						t.Errorf("got %d taken and %+v, want %d", taken, st, row.want)
					}
					close(hold)
					synctest.Wait()
					if st := cache.Stats(); st.Written != uint64(taken) || st.QueueEntries != 0 || st.QueueBytes != 0 {
						t.Errorf("got %+v when it has drained", st)
					}
				})
			})
		}
	})
	// There is a flood of purges, and the store is slow.
	t.Run("purges leave room for writes", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newPlain()
			cache := open(t, s)
			hold := make(chan struct{})
			s.setHook(func(context.Context, string, string) error { <-hold; return nil })
			for i := range DefaultQueueEntries {
				cache.Purge(URL("a", "/made/up/"+number(i))).TellLater()
			}
			if n := cache.Stats().QueueEntries; n != DefaultQueueEntries/erasePart {
				t.Errorf("got %d jobs, want %d", n, DefaultQueueEntries/erasePart)
			}
			if !cache.Put(home, response(t, "x"), nil, Representation{}, cache.Mark()) {
				t.Error("a response was dropped")
			}
			close(hold)
			synctest.Wait()
			wants(t, cache, home, "x", Found)
			cache.Purge(URL("a", "/")).TellLater()
			synctest.Wait()
			if n := len(s.values); n != 0 {
				t.Errorf("got %d values after the purge, want none", n)
			}
		})
	})
	// The store sees the writes of one URL in their order.
	t.Run("writes of one URL keep their order", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newPlain()
			cache := open(t, s)
			random := rand.New(rand.NewPCG(1, 1))
			var mu sync.Mutex
			s.setHook(func(context.Context, string, string) error {
				mu.Lock()
				d := time.Duration(random.IntN(10)) * time.Millisecond
				mu.Unlock()
				<-time.After(d)
				return nil
			})
			for i := range 20 {
				for _, target := range []string{"/", "/a", "/b", "/c"} {
					require.True(t, cache.Put(urlKey("a", target), response(t, number(i)), nil, Representation{}, cache.Mark()))
				}
			}
			require.NoError(t, cache.Close(t.Context()))
			s.setHook(nil)
			cache.tasks.closed = false // so that what it has left can be seen
			for _, target := range []string{"/", "/a", "/b", "/c"} {
				wants(t, cache, urlKey("a", target), "19", Found)
			}
		})
	})
}

func TestClose(t *testing.T) {
	slow := func(ctx context.Context, _, _ string) error {
		select {
		case <-time.After(time.Second):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	t.Run("it waits for what is queued", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			cache := New(Config{Store: s, Rules: &options, QueueEntries: 100})
			s.setHook(slow)
			for i := range 10 {
				require.True(t, cache.Put(urlKey("a", "/"+number(i)), response(t, "x"), nil, Representation{}, cache.Mark()))
			}
			cache.Purge(Tag("t")).TellLater()
			require.NoError(t, cache.Close(t.Context()))
			if st := cache.Stats(); st.Written != 10 || st.Pending != 0 {
				t.Errorf("got %+v", st)
			}
			require.NoError(t, cache.Close(t.Context()))
			s.setHook(nil)
			wants(t, cache, home, "", Unavailable)
			if cache.Put(home, response(t, "x"), nil, Representation{}, cache.Mark()) {
				t.Error("Put: got true after Close")
			}
			require.Error(t, cache.Purge(Tag("t")).Tell(t.Context()))
			cache.Purge(Tag("u")).TellLater()
		})
	})
	t.Run("it gives up when its context ends", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			cache := New(Config{Store: s, Rules: &options})
			s.setHook(slow)
			for i := range 100 {
				require.True(t, cache.Put(urlKey("a", "/"+number(i)), response(t, "x"), nil, Representation{}, cache.Mark()))
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			begin := time.Now()
			require.ErrorIs(t, cache.Close(ctx), context.DeadlineExceeded)
			if took := time.Since(begin); took != 5*time.Second {
				t.Errorf("got %v, want 5 s", took)
			}
			synctest.Wait() // and the bubble ends only when no goroutine is left
			if st := cache.Stats(); st.QueueEntries != 0 || st.Dropped == 0 || st.Open {
				t.Errorf("got %+v", st)
			}
		})
	})
	t.Run("it tells of purges once more", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			cache := New(Config{Store: s, Rules: &options})
			s.setHook(func(context.Context, string, string) error { return errDown })
			require.ErrorIs(t, cache.Purge(Tag("t")).Tell(t.Context()), errDown)
			synctest.Wait()
			begin, tried := time.Now(), s.count("bump")
			require.NoError(t, cache.Close(t.Context()))
			if took := time.Since(begin); took > 0 || s.count("bump") != tried+1 {
				t.Errorf("got %d more trials in %v, want one at once", s.count("bump")-tried, took)
			}
			if n := cache.Stats().Pending; n != 2 {
				t.Errorf("got %d names that the store does not know, want 2", n)
			}
		})
	})
}

// Two processes use a store that errs, blocks, gets stuck, lies and panics in 30 % of its calls. No
// result is from before a purge that was told, or of another URL, and none takes too long.
func TestFaults(t *testing.T) {
	seeds := uint64(10)
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		bubble(t, func(t *testing.T) {
			s := newShared()
			var mu sync.Mutex
			random := rand.New(rand.NewPCG(seed, 7))
			draw := func(n int) int {
				mu.Lock()
				defer mu.Unlock()
				return random.IntN(n)
			}
			s.setHook(func(ctx context.Context, method, k string) error {
				if draw(100) >= 30 {
					return nil
				}
				switch draw(5) {
				case 0:
					return errDown
				case 1:
					<-ctx.Done()
					return ctx.Err()
				case 2:
					<-time.After(3 * time.Second)
					return nil // late, but then it is done
				case 3:
					panic("store")
				}
				if method == "get" { // a lie: what is stored under another key, or a part of it
					s.mu.Lock()
					defer s.mu.Unlock()
					for _, v := range s.values {
						s.values[k] = v[:len(v)-draw(2)*min(len(v), 9)]
						break
					}
				}
				return nil
			})
			caches := []*Cache{open(t, s), open(t, s)}
			const pages = 5
			// version is the newest that was made, floor the oldest that may still be served.
			var version, floor [pages]int
			var hits, purges int
			for step := range 4000 {
				<-time.After(time.Duration(draw(40)) * time.Millisecond)
				cache, i := caches[draw(2)], draw(pages)
				k := urlKey("a", "/"+number(i))
				switch step % 97 {
				case 0:
					version[i]++
					target := []Target{URL("a", "/"+number(i)), Tag("tag " + number(i)), Prefix("a", "/"), Everything()}[draw(4)]
					err := cache.Purge(target).Tell(t.Context())
					for err != nil { // a purge holds everywhere once it was told
						<-time.After(time.Second)
						if cache.Stats().Pending == 0 {
							break
						}
					}
					floor[i] = version[i]
					purges++
				default:
					mark := cache.Mark()
					begin := time.Now()
					r := cache.Lookup(t.Context(), k, nil, http.Header{}, nil, nil)
					if took := time.Since(begin); took > DefaultTimeout {
						t.Fatalf("got a result after %v", took)
					}
					if r.Outcome == Found {
						hits++
						var page, v int
						_, err := fmt.Sscanf(text(r.Object), "page %d version %d", &page, &v)
						if err != nil || page != i || v < floor[i] {
							t.Fatalf("step %d: got %q for page %d, want version %d or later", step, text(r.Object), i, floor[i])
						}
						continue
					}
					cache.Put(k, response(t, fmt.Sprintf("page %d version %d", i, version[i])), []string{"tag " + number(i)}, Representation{}, mark)
				}
			}
			s.setHook(nil)
			if hits < 100 || purges < 40 {
				t.Errorf("got %d hits and %d purges: that shows nothing", hits, purges)
			}
		})
	}
}

// TestConcurrency is for the race detector.
func TestConcurrency(t *testing.T) {
	s := newShared()
	cache := New(Config{Store: s, Rules: &options, Timeout: 10 * time.Second})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				k := urlKey("a", "/"+number(i%7))
				switch (g + i) % 5 {
				case 0:
					cache.Put(k, response(t, "page "+number(i%7)), []string{"tag"}, Representation{}, cache.Mark())
				case 1:
					if i%20 == 1 {
						if err := cache.Purge(Key(k), Tag("tag")).Tell(t.Context()); err != nil {
							t.Error(err)
						}
					}
				case 2:
					_ = cache.Stats()
				default:
					r := cache.Lookup(t.Context(), k, nil, http.Header{}, nil, nil)
					if r.Object != nil && text(r.Object) != "page "+number(i%7) {
						t.Errorf("got %q", text(r.Object))
					}
				}
			}
		})
	}
	wg.Wait()
	if err := cache.Close(t.Context()); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
