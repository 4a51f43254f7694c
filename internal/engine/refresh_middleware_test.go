package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestRefreshThroughMiddleware(t *testing.T) {
	t.Run("clients get the stale page at once", clientsGetTheStalePageAtOnce)
	t.Run("it knows no client", itKnowsNoClient)
	t.Run("Config.Personal is asked when it arrives", configPersonalIsAskedWhenItArrives)
	t.Run("middleware that asks the cache for more gets nothing", middlewareThatAsksTheCacheForMoreGetsNothing)
	t.Run("Close waits for it and ends it in time", closeWaitsForItAndEndsItInTime)
	t.Run("one that comes too late makes nothing", oneThatComesTooLateMakesNothing)
	t.Run("its context is that of the server", itsContextIsThatOfTheServer)
	t.Run("its writer can do what the server's can", itsWriterCanDoWhatTheServersCan)
	t.Run("a cache behind another does not answer it stale", aCacheBehindAnotherDoesNotAnswerItStale)
	t.Run("clients cannot look like refreshes", clientsCannotLookLikeRefreshes)
	t.Run("clients do not wait for one that is on its way", clientsDoNotWaitForOneThatIsOnItsWay)
}

// A refresh below middleware is a request of its own, which goes through the server's handler.

// theater is a server whose requests come without a connection, so that time can be fake.
type theater struct {
	server   http.Server
	mu       sync.Mutex
	requests []bool // what came to the server's handler, and whether it was a refresh
}

func newTheater(outer http.Handler) *theater {
	s := new(theater)
	s.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, edgecache.Refreshing(r))
		s.mu.Unlock()
		outer.ServeHTTP(w, r)
	})
	return s
}

// errands is how many refreshes have come.
func (s *theater) errands() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, refreshing := range s.requests {
		if refreshing {
			n++
		}
	}
	return n
}

// visit sends a request as the server would, and returns "STATUS code body" and how long it took.
func (s *theater) visit(method, target string, header ...string) (string, time.Duration) {
	r, w, start := harness.Request(method, target, header...), httptest.NewRecorder(), time.Now()
	s.serve(w, r)
	return fmt.Sprint(w.Header().Get("X-Cache"), " ", w.Code, " ", w.Body), time.Since(start)
}

func (s *theater) serve(w http.ResponseWriter, r *http.Request) {
	ctx := context.Background()
	if s.server.BaseContext != nil {
		ctx = s.server.BaseContext(nil)
	}
	ctx = context.WithValue(ctx, http.ServerContextKey, &s.server)
	if s.server.ConnContext != nil {
		ctx = s.server.ConnContext(ctx, nil)
	}
	ctx, cancel := context.WithCancel(context.WithValue(ctx, http.LocalAddrContextKey, &net.TCPAddr{Port: 80}))
	defer cancel()
	s.server.Handler.ServeHTTP(w, r.WithContext(ctx))
}

func (s *theater) wants(t *testing.T, want, method, target string, header ...string) {
	t.Helper()
	got, took := s.visit(method, target, header...)
	synctest.Wait()
	if got != want || took != 0 {
		t.Errorf("got %q after %v, want %q at once", got, took, want)
	}
}

// numbered is a page that says how often it was made, and takes a second but for the first time.
func numbered(calls *int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*calls++
		call := *calls
		if call > 1 {
			time.Sleep(time.Second)
		}
		w.Header().Set("Cache-Control", "public, max-age=10, stale-while-revalidate=6000")
		fmt.Fprint(w, "page ", call)
	})
}

type visitorKey struct{}

// outers are ways to stand outside of a cache that let refreshes through.
var outers = map[string]func(edge *edgecache.Edge, page http.Handler) http.Handler{
	"middleware that fills the context": func(edge *edgecache.Edge, page http.Handler) http.Handler { return within(edge.Handler(page), true) },
	"http.TimeoutHandler": func(edge *edgecache.Edge, page http.Handler) http.Handler {
		return http.TimeoutHandler(edge.Handler(page), 500*time.Millisecond, "too slow") // less than a refresh takes
	},
	"http.MaxBytesHandler": func(edge *edgecache.Edge, page http.Handler) http.Handler {
		return http.MaxBytesHandler(edge.Handler(page), 10)
	},
	"a mux, with several mounts": func(edge *edgecache.Edge, page http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/other/", edge.Handler(http.NotFoundHandler()))
		mux.Handle("GET /{page}", edge.Handler(page))
		mux.Handle("HEAD /{page}", edge.Handler(http.NotFoundHandler()))
		return mux
	},
	"a prefix that is taken off": func(edge *edgecache.Edge, page http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/", http.StripPrefix("/pa", edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "ge" {
				http.NotFound(w, r)
				return
			}
			page.ServeHTTP(w, r)
		}))))
		return mux
	},
	"a router that uses its context again, and makes a handler for each request": func(edge *edgecache.Edge, page http.Handler) http.Handler {
		type state struct{ inUse bool }
		type stateKey struct{}
		free := make(chan *state, 10)
		free <- new(state)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var s *state
			select {
			case s = <-free:
			default:
				s = new(state)
			}
			s.inUse = true
			defer func() { s.inUse = false; free <- s }()
			edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				page.ServeHTTP(w, r)
				if own := r.Context().Value(stateKey{}).(*state); own != s || !s.inUse {
					panic("a context is used that belongs to another request")
				}
			})).ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), stateKey{}, s)))
		})
	},
	"another Edge": func(edge *edgecache.Edge, page http.Handler) http.Handler {
		outer, err := edgecache.New(edgecache.Config{StatusHeader: "X-Outer", StatusName: "outer", Except: []string{"/"}})
		if err != nil {
			panic(err)
		}
		return outer.Handler(edge.Handler(page))
	},
	"policies": func(edge *edgecache.Edge, page http.Handler) http.Handler {
		return edgecache.Policy{Vary: []string{"Accept"}}.Handler(edgecache.Policy{MaxAge: time.Minute}.Handler(edge.Handler(page)))
	},
	"middleware that copies the request": func(edge *edgecache.Edge, page http.Handler) http.Handler {
		cached := edge.Handler(page)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { cached.ServeHTTP(w, r.Clone(r.Context())) })
	},
}

func clientsGetTheStalePageAtOnce(t *testing.T) {
	for name, outer := range outers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				edge := emptyEdge(t)
				calls, refreshes := 0, 0
				page := numbered(&calls)
				s := newTheater(outer(edge, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if edgecache.Refreshing(r) {
						refreshes++
						require.Equal(t, "GET", r.Method)
						require.Equal(t, "text/html", r.Header.Get("Accept"), "what it may be chosen by")
						require.Empty(t, r.Header["Cookie"])
						require.Empty(t, r.Header["Range"])
						require.Nil(t, r.Context().Value(visitorKey{}))
						at, ok := r.Context().Deadline()
						require.True(t, ok)
						require.Equal(t, 30*time.Second, time.Until(at))
					}
					page.ServeHTTP(w, r)
				})))
				accept := []string{"Accept", "text/html"}
				s.wants(t, "MISS 200 page 1", "GET", "/page", accept...)
				s.wants(t, "HIT 200 page 1", "GET", "/page", accept...)
				for i := range 3 {
					time.Sleep(2 * time.Minute)
					s.wants(t, fmt.Sprint("UPDATING 200 page ", i+1), "GET", "/page", "Accept", "text/html", "Cookie", "session=alice")
					s.wants(t, fmt.Sprint("UPDATING 200 page ", i+1), "GET", "/page", accept...) // which does not start another
					require.Equal(t, i+2, calls)
					time.Sleep(time.Second)
					synctest.Wait()
					s.wants(t, fmt.Sprint("HIT 200 page ", i+2), "GET", "/page", accept...)
				}
				require.Equal(t, 3, refreshes)
				require.Equal(t, 3, s.errands())
			})
		})
	}
}

// Who is signed in outside is no part of a refresh, whether he has started it or not.
func itKnowsNoClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		edge, err := edgecache.New(edgecache.Config{Personal: func(r *http.Request) bool { return r.Context().Value(visitorKey{}) != nil }})
		require.NoError(t, err)
		calls := 0
		page := numbered(&calls)
		cached := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			require.Nil(t, r.Context().Value(visitorKey{}))
			page.ServeHTTP(w, r)
		}))
		s := newTheater(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c, err := r.Cookie("session"); err == nil {
				r = r.WithContext(context.WithValue(r.Context(), visitorKey{}, c.Value))
			}
			cached.ServeHTTP(w, r)
		}))
		s.wants(t, "MISS 200 page 1", "GET", "/")
		time.Sleep(time.Minute)
		s.wants(t, "UPDATING 200 page 1", "GET", "/", "Cookie", "session=alice", "X-Api-Key", "k", "Authorization", "Basic eA==")
		time.Sleep(time.Second)
		synctest.Wait()
		s.wants(t, "HIT 200 page 2", "GET", "/", "Cookie", "session=bob")
	})
}

// Config.Personal is asked with what middleware outside puts into the context of each request,
// errands included: never without.
func configPersonalIsAskedWhenItArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type session struct{ user string }
		signedIn := func(r *http.Request) bool { return r.Context().Value(visitorKey{}).(*session).user != "" }
		var log strings.Builder
		edge, err := edgecache.New(edgecache.Config{Personal: signedIn, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, err)
		calls, everybody := 0, ""
		cached := edge.Handler(numbered(&calls))
		s := newTheater(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			own := &session{everybody}
			if c, err := r.Cookie("session"); err == nil {
				own.user = c.Value
			}
			cached.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitorKey{}, own)))
		}))
		s.wants(t, "MISS 200 page 1", "GET", "/")
		for i, visitor := range []string{"", "session=alice"} {
			time.Sleep(time.Minute)
			s.wants(t, fmt.Sprint("UPDATING 200 page ", i+1), "GET", "/", "Cookie", visitor)
			time.Sleep(time.Second)
			synctest.Wait()
			s.wants(t, fmt.Sprint("HIT 200 page ", i+2), "GET", "/")
		}
		require.Empty(t, log.String())
		everybody = "the owner of the address"
		time.Sleep(time.Minute)
		s.wants(t, "UPDATING 200 page 3", "GET", "/")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, 3, calls, "what is somebody's is not made for everybody")
	})
}

// Middleware outside may ask the cache for something on the way of an errand: it gets nothing, and
// nothing comes of that.
func middlewareThatAsksTheCacheForMoreGetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		edge, err := edgecache.New(edgecache.Config{Logger: harness.Silent()})
		require.NoError(t, err)
		calls := 0
		cached := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/menu":
				w.Header().Set("Cache-Control", "max-age=10")
				fmt.Fprint(w, "menu")
			case "/allowed":
				w.Header().Set("Cache-Control", "no-store")
				http.Error(w, "only with a session", http.StatusUnauthorized)
			default:
				calls++
				w.Header().Set("Cache-Control", "max-age=10, stale-while-revalidate=6000")
				fmt.Fprint(w, r.Context().Value(visitorKey{}), calls)
			}
		}))
		s := newTheater(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ask := func(path string) *httptest.ResponseRecorder {
				part, answer := r.Clone(context.WithValue(r.Context(), visitorKey{}, "part")), httptest.NewRecorder()
				part.URL.Path, part.RequestURI = path, path
				cached.ServeHTTP(answer, part)
				return answer
			}
			if !edgecache.Refreshing(r) {
				require.Equal(t, http.StatusUnauthorized, ask("/allowed").Code)
			}
			cached.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitorKey{}, ask("/menu").Body.String())))
		}))
		s.wants(t, "MISS 200 menu1", "GET", "/")
		time.Sleep(time.Minute)
		s.wants(t, "UPDATING 200 menu1", "GET", "/")
		require.Equal(t, 1, s.errands())
		require.Equal(t, 1, calls)
		for i := range 3 {
			s.wants(t, fmt.Sprint("UPDATING 200 menu", i+1), "GET", "/")
			s.wants(t, fmt.Sprint("HIT 200 menu", i+2), "GET", "/")
			time.Sleep(time.Minute)
		}
		require.Equal(t, 1, s.errands(), "learnt")
	})
}

// Close waits for an errand, and ends it when its own time is over, wherever it is.
func closeWaitsForItAndEndsItInTime(t *testing.T) {
	for _, where := range []string{"outside", "in the handler", "in the handler, when what is outside has answered"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				edge, err := edgecache.New(edgecache.Config{Logger: harness.Silent()})
				require.NoError(t, err)
				var gone atomic.Bool
				calls := 0
				block := func(r *http.Request) { <-r.Context().Done(); time.Sleep(time.Second); gone.Store(true) }
				cached := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if calls++; calls > 1 {
						block(r)
					}
					w.Header().Set("Cache-Control", "max-age=10, stale-while-revalidate=6000")
					fmt.Fprint(w, "page")
				}))
				var outer http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if edgecache.Refreshing(r) && where == "outside" {
						block(r)
						return
					}
					cached.ServeHTTP(w, r)
				})
				if strings.Contains(where, "answered") {
					outer = http.TimeoutHandler(outer, time.Second, "too slow")
				}
				s := newTheater(outer)
				s.wants(t, "MISS 200 page", "GET", "/")
				time.Sleep(time.Minute)
				s.wants(t, "UPDATING 200 page", "GET", "/")
				time.Sleep(2 * time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				require.ErrorIs(t, edge.Close(ctx), context.DeadlineExceeded)
				require.False(t, gone.Load())
				require.NoError(t, edge.Close(t.Context()))
				require.True(t, gone.Load(), "it was told to end, and waited for")
			})
		})
	}
}

// What comes too late, since middleware outside has given up, makes nothing.
func oneThatComesTooLateMakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		edge, err := edgecache.New(edgecache.Config{Logger: harness.Silent()})
		require.NoError(t, err)
		calls := 0
		cached := edge.Handler(numbered(&calls))
		s := newTheater(http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if edgecache.Refreshing(r) {
				time.Sleep(time.Minute)
			}
			cached.ServeHTTP(w, r)
		}), time.Second, "too slow"))
		s.wants(t, "MISS 200 page 1", "GET", "/")
		time.Sleep(time.Minute)
		s.wants(t, "UPDATING 200 page 1", "GET", "/")
		time.Sleep(5 * time.Minute)
		require.Equal(t, 1, calls)
		require.Zero(t, edge.Stats().Refreshes)
	})
}

// A refresh begins with what the server gives to each of its requests. What it gives to one
// connection may be needed, and may tell who is there: then a refresh stays in its request.
func itsContextIsThatOfTheServer(t *testing.T) {
	type key struct{}
	for name, tt := range map[string]struct {
		base    func(net.Listener) context.Context
		conn    func(context.Context, net.Conn) context.Context
		errands int
		value   any
		took    time.Duration
	}{
		"nothing":     {nil, nil, 1, nil, 0},
		"BaseContext": {func(net.Listener) context.Context { return context.WithValue(context.Background(), key{}, "base") }, nil, 1, "base", 0},
		"BaseContext that asks its listener": {func(l net.Listener) context.Context {
			if l == nil {
				return context.Background() // the test's own
			}
			return context.WithValue(context.Background(), key{}, l.Addr().String())
		}, nil, 1, ":80", 0},
		"BaseContext that panics": {func(l net.Listener) context.Context {
			if l != nil {
				panic("not again")
			}
			return context.WithValue(context.Background(), key{}, "once")
		}, nil, 0, "once", time.Second},
		"ConnContext": {nil, func(ctx context.Context, _ net.Conn) context.Context { return context.WithValue(ctx, key{}, "conn") }, 0, "conn", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				page := numbered(&calls)
				var value any
				s := newTheater(within(emptyEdge(t).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					value = r.Context().Value(key{})
					require.NotNil(t, r.Context().Value(http.ServerContextKey))
					require.NotNil(t, r.Context().Value(http.LocalAddrContextKey))
					page.ServeHTTP(w, r)
				})), true))
				s.server.BaseContext, s.server.ConnContext = tt.base, tt.conn
				s.wants(t, "MISS 200 page 1", "GET", "/")
				time.Sleep(time.Minute)
				value = nil
				got, took := s.visit("GET", "/")
				synctest.Wait()
				require.Equal(t, "UPDATING 200 page 1", got)
				require.Equal(t, tt.took, took)
				require.Equal(t, tt.errands, s.errands())
				require.Equal(t, tt.value, value)
				time.Sleep(time.Second)
				synctest.Wait()
				s.wants(t, "HIT 200 page 2", "GET", "/")
			})
		})
	}
}

// Middleware outside meets a writer that can do what that of the server can.
func itsWriterCanDoWhatTheServersCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		cached := emptyEdge(t).Handler(numbered(&calls))
		met := false
		s := newTheater(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if edgecache.Refreshing(r) {
				met = true
				c := http.NewResponseController(w)
				require.NoError(t, c.SetReadDeadline(time.Time{}))
				require.NoError(t, c.SetWriteDeadline(time.Time{}))
				require.NoError(t, c.EnableFullDuplex())
				require.NoError(t, c.Flush())
				_, _, err := w.(http.Hijacker).Hijack()
				require.ErrorIs(t, err, errors.ErrUnsupported)
				n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("1234"))
				require.NoError(t, err)
				require.EqualValues(t, 4, n)
				_ = w.(io.StringWriter)
				_ = w.(closeNotifier).CloseNotify()
			}
			cached.ServeHTTP(w, r)
		}))
		s.wants(t, "MISS 200 page 1", "GET", "/")
		time.Sleep(time.Minute)
		s.wants(t, "UPDATING 200 page 1", "GET", "/")
		require.True(t, met)
		time.Sleep(time.Second)
	})
}

// An Edge behind another one does not answer its refresh with what is stale.
func aCacheBehindAnotherDoesNotAnswerItStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, outer := emptyEdge(t), emptyEdge(t)
		calls := 0
		s := newTheater(within(outer.Handler(within(inner.Handler(numbered(&calls)), true)), true))
		s.wants(t, "MISS 200 page 1", "GET", "/")
		time.Sleep(time.Minute)
		s.wants(t, "UPDATING 200 page 1", "GET", "/")
		time.Sleep(time.Second)
		synctest.Wait()
		s.wants(t, "HIT 200 page 2", "GET", "/")
		require.Equal(t, 2, calls)
	})
}

// A request of a client is none, whatever it says.
func clientsCannotLookLikeRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the handler takes a second
		calls := 0
		s := newTheater(emptyEdge(t).Handler(numbered(&calls)))
		for _, header := range [][]string{{"Edgecache-Refreshing", "1"}, {"X-Refreshing", "true"}, {"Cache-Control", "stale-while-revalidate"}, {"Purpose", "prefetch"}} {
			s.visit("GET", "/"+header[0], header...)
		}
		require.Len(t, s.requests, 4)
		require.False(t, slices.Contains(s.requests, true))
		require.False(t, edgecache.Refreshing(harness.Request("GET", "/")))
	})
}

// What stands outside may let in a few requests at once. A client that has to wait for a new page
// does not wait for an errand that waits outside, maybe for that client.
func clientsDoNotWaitForOneThatIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		cached := emptyEdge(t).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls++
			w.Header().Set("Cache-Control", "max-age=100, must-revalidate")
			fmt.Fprint(w, "page ", calls)
		}))
		gate := make(chan struct{})
		s := newTheater(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if edgecache.Refreshing(r) {
				<-gate
			}
			cached.ServeHTTP(w, r)
		}))
		for i := range 20 {
			s.wants(t, []string{"MISS", "HIT"}[min(i, 1)]+" 200 page 1", "GET", "/")
		}
		time.Sleep(99 * time.Second)
		s.wants(t, "HIT 200 page 1", "GET", "/")
		require.Equal(t, 1, s.errands(), "the page is about to end")
		time.Sleep(2 * time.Second)
		s.wants(t, "EXPIRED 200 page 2", "GET", "/")
		close(gate)
		synctest.Wait()
		s.wants(t, "HIT 200 page 2", "GET", "/")
		require.Equal(t, 2, calls, "the errand finds that a client has been quicker")
	})
}
