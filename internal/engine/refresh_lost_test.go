package engine_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestRefreshThatGetsLost(t *testing.T) {
	t.Run("one that does not arrive costs one more stale answer", oneThatDoesNotArriveCostsOneMoreStaleAnswer)
	t.Run("it is learnt for each response whether it arrives", itIsLearntForEachResponseWhetherItArrives)
	t.Run("a breaker's try that does not arrive is no try", aBreakersTryThatDoesNotArriveIsNoTry)
}

// What stands outside may answer an errand itself, or make another request of it. That costs one
// more stale answer: from then on refreshes run before the end of an answer, or in the foreground
// where the writer cannot flush.
func oneThatDoesNotArriveCostsOneMoreStaleAnswer(t *testing.T) {
	type middleware = func(w http.ResponseWriter, r *http.Request, next http.Handler)
	for name, outer := range map[string]middleware{
		"a login": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if edgecache.Refreshing(r) {
				w.Header().Set("Www-Authenticate", "Basic")
				http.Error(w, "who are you?", http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		},
		"a rate limit": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if strings.HasPrefix(r.RemoteAddr, "0.0.0.0:") {
				http.Error(w, "slow down", http.StatusTooManyRequests)
				return
			}
			next.ServeHTTP(w, r)
		},
		"a panic": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if edgecache.Refreshing(r) {
				panic("who are you?")
			}
			next.ServeHTTP(w, r)
		},
		"an abort": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if edgecache.Refreshing(r) {
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		},
		"runtime.Goexit": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if edgecache.Refreshing(r) {
				runtime.Goexit()
			}
			next.ServeHTTP(w, r)
		},
		"another path": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if edgecache.Refreshing(r) {
				r.URL.Path, r.RequestURI = "/other", "/other"
			}
			next.ServeHTTP(w, r)
		},
		"another path behind the cache": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if edgecache.Refreshing(r) {
				r.URL.Path = "/other"
			}
			next.ServeHTTP(w, r)
		},
		"another host": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if edgecache.Refreshing(r) {
				r.Host = "other.example"
			}
			next.ServeHTTP(w, r)
		},
		"another method": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if edgecache.Refreshing(r) {
				r.Method = "POST"
			}
			next.ServeHTTP(w, r)
		},
		"somebody's key": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if edgecache.Refreshing(r) {
				r.Header.Set("X-Api-Key", "x")
			}
			next.ServeHTTP(w, r)
		},
		"another value of what Vary names": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if edgecache.Refreshing(r) {
				r.Header.Set("X-Variant", "2")
			}
			next.ServeHTTP(w, r)
		},
		"a context of its own": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(context.Background(), visitorKey{}, "x")))
		},
	} {
		for _, flushes := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", writer flushes ", flushes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var seen warnings
					edge, err := edgecache.New(edgecache.Config{Logger: harness.Silent(), Observer: seen.observe})
					require.NoError(t, err)
					calls := 0
					page := numbered(&calls)
					cached := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						require.Equal(t, "/", r.URL.Path, "the handler runs for what is refreshed only")
						w.Header().Set("Vary", "X-Variant")
						page.ServeHTTP(w, r)
					}))
					s := newTheater(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if r.Context().Value(http.ServerContextKey) != nil {
							r = r.WithContext(context.WithValue(r.Context(), outsideKey{}, "x"))
						}
						if !flushes {
							w = struct{ http.ResponseWriter }{w}
						}
						outer(w, r, cached)
					}))
					if name == "a context of its own" {
						s.wants(t, "MISS 200 page 1", "GET", "/")
						time.Sleep(time.Minute)
						got, _ := s.visit("GET", "/") // nothing of the server can be known
						require.Contains(t, []string{"UPDATING 200 page 1", "EXPIRED 200 page 2"}, got)
						require.Zero(t, s.errands())
						return
					}
					s.wants(t, "MISS 200 page 1", "GET", "/")
					time.Sleep(time.Minute)
					s.wants(t, "UPDATING 200 page 1", "GET", "/")
					require.Equal(t, 1, calls)
					require.Equal(t, 1, s.errands())
					require.Equal(t, 1, edge.Stats().Entries)
					require.Zero(t, edge.Stats().Fetches)
					require.EqualValues(t, 1, seen.count.Load())

					for i := range 3 {
						got, took := s.visit("GET", "/")
						synctest.Wait()
						want := fmt.Sprint("UPDATING 200 page ", i+1) // and the refresh is over
						if !flushes {
							want = fmt.Sprint("EXPIRED 200 page ", i+2)
						}
						require.Equal(t, want, got)
						require.Equal(t, time.Second, took)
						s.wants(t, fmt.Sprint("HIT 200 page ", i+2), "GET", "/")
						require.Equal(t, 1, s.errands(), "learnt")
						time.Sleep(15 * time.Second)
					}
					// Things may have changed.
					time.Sleep(10 * time.Minute)
					s.wants(t, "UPDATING 200 page 4", "GET", "/")
					require.Equal(t, 2, s.errands())
					time.Sleep(90 * time.Second)
				})
			})
		}
	}
}

// One route that no errand gets through does not keep the others from sending theirs.
func itIsLearntForEachResponseWhetherItArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		edge, err := edgecache.New(edgecache.Config{Logger: harness.Silent()})
		require.NoError(t, err)
		cached := edge.Handler(numbered(&calls))
		s := newTheater(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if edgecache.Refreshing(r) && strings.HasPrefix(r.URL.Path, "/admin") {
				http.Error(w, "who are you?", http.StatusUnauthorized)
				return
			}
			cached.ServeHTTP(w, r)
		}))
		get := func(path string) string {
			got, took := s.visit("GET", path)
			synctest.Wait()
			return fmt.Sprint(got[:8], " ", took)
		}
		get("/admin")
		get("/page")
		time.Sleep(time.Minute)
		require.Equal(t, "UPDATING 0s", get("/page"))
		require.Equal(t, "UPDATING 0s", get("/admin"))
		time.Sleep(time.Minute)
		for range 5 {
			require.Equal(t, "UPDATING 0s", get("/page"))
			time.Sleep(20 * time.Second)
			get("/admin") // by another way from now on
			time.Sleep(20 * time.Second)
		}
		require.Equal(t, 7, s.errands())
	})
}

// A breaker's try that gets lost on its way is no try.
func aBreakersTryThatDoesNotArriveIsNoTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing, calls := false, 0
		edge, err := edgecache.New(edgecache.Config{Logger: harness.Silent()})
		require.NoError(t, err)
		cached := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls++
			if failing {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			w.Header().Set("Cache-Control", "max-age=10, stale-if-error=6000")
			fmt.Fprint(w, "page ", calls)
		}))
		s := newTheater(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if edgecache.Refreshing(r) {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			cached.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), outsideKey{}, "x")))
		}))
		s.wants(t, "MISS 200 page 1", "GET", "/")
		time.Sleep(20 * time.Second)
		failing = true
		for range 3 {
			s.wants(t, "STALE 200 page 1", "GET", "/")
		}
		time.Sleep(time.Second)
		failing = false
		s.wants(t, "STALE 200 page 1", "GET", "/") // it goes through the server, and does not arrive
		require.Equal(t, 1, s.errands())
		s.wants(t, "STALE 200 page 1", "GET", "/") // it does not, and makes the page
		s.wants(t, "HIT 200 page 5", "GET", "/")
	})
}
