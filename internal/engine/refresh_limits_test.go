package engine_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestRefreshLimits(t *testing.T) {
	t.Run("refreshes are bounded", refreshesAreBounded)
	t.Run("refreshes are first come, first served", refreshesAreFirstComeFirstServed)
	t.Run("the place of a refresh is kept for a second", thePlaceOfARefreshIsKeptForASecond)
	t.Run("a waiting refresh is dropped when it is not wanted", aWaitingRefreshIsDroppedWhenItIsNotWanted)
	t.Run("a waiting refresh keeps nothing of its client", aWaitingRefreshKeepsNothingOfItsClient)
}

// gauge counts how many run at once.
type gauge struct {
	mu        sync.Mutex
	now, most int
	runs      map[string]int
}

func (g *gauge) enter(name string) (leave func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now++
	g.most = max(g.most, g.now)
	if g.runs == nil {
		g.runs = make(map[string]int)
	}
	g.runs[name]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.now--
	}
}

// at returns how many run now.
func (g *gauge) at() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

func (g *gauge) seen(name string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.runs[name]
}

type outsideKey struct{}

// within returns h as it is, or behind middleware that puts something into the context.
func within(h http.Handler, outside bool) http.Handler {
	if !outside {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), outsideKey{}, "x")))
	})
}

// places are where a cache stands: alone, behind middleware of which nothing is known, and behind
// middleware of a server.
var places = []string{"alone", "outside", "in a server"}

func at(where string, h http.Handler) http.Handler {
	if where == "in a server" {
		return http.HandlerFunc(newTheater(within(h, true)).serve)
	}
	return within(h, where == "outside")
}

// Whatever starts them, no more refreshes run at once than Config.MaxRefreshes says.
func refreshesAreBounded(t *testing.T) {
	const urls = 1200 // more than run, and wait, at once
	for name, tt := range map[string]struct {
		header string
		fails  bool          // before they become due, so that a breaker opens
		after  time.Duration // when they are due
		word   string
	}{
		"stale-while-revalidate":     {"max-age=10, stale-while-revalidate=6000", false, 20 * time.Second, "UPDATING"},
		"ahead of the end":           {"max-age=10, must-revalidate", false, 9500 * time.Millisecond, "HIT"},
		"the breaker's single tries": {"max-age=10, stale-if-error=6000", true, 20 * time.Second, "STALE"},
	} {
		for _, where := range places {
			for _, limit := range []int{0, 3} {
				t.Run(fmt.Sprintf("%s, %s, limit %d", name, where, limit), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						var running gauge
						var slow, failing bool
						s := harness.NewCountedSite(t, edgecache.Config{MaxRefreshes: limit}, func(w http.ResponseWriter, r *http.Request, call int) {
							if failing {
								w.WriteHeader(http.StatusServiceUnavailable)
								return
							}
							if slow {
								defer running.enter(r.URL.RawQuery)()
								time.Sleep(5 * time.Second)
							}
							w.Header().Set("Cache-Control", tt.header)
							io.WriteString(w, "page")
						})
						if limit == 0 {
							limit = edgecache.DefaultMaxRefreshes
						}
						h := at(where, s.Handler)
						urls := urls
						if tt.word != "UPDATING" {
							urls = 80 // these take some preparation
						}
						all := func(words ...string) {
							visits := make([]*harness.Client, urls)
							for i := range visits {
								visits[i] = harness.Send(t.Context(), h, harness.Request("GET", fmt.Sprint("/?", i)))
								if i%128 == 127 {
									synctest.Wait() // a route may run 512 handlers at once
								}
							}
							synctest.Wait()
							for i, v := range visits {
								if got := v.SentField("X-Cache"); got != words[0] {
									t.Fatalf("%d: got %q, want %q", i, got, words[0])
								}
							}
						}
						all("MISS")
						if tt.word == "HIT" {
							for range 20 {
								all("HIT")
							}
						}
						time.Sleep(tt.after)
						if failing = tt.fails; failing {
							for range 3 {
								all("STALE")
							}
							time.Sleep(time.Second)
						}
						synctest.Wait()
						failing, slow = false, true
						all(tt.word)
						require.Equal(t, limit, running.at())
						time.Sleep(time.Hour)
						synctest.Wait()
						require.Equal(t, limit, running.most)
						require.Zero(t, running.at())
						for name, runs := range running.runs {
							require.Equal(t, 1, runs, name)
						}
						if name == "stale-while-revalidate" && where != "outside" {
							require.Len(t, running.runs, limit+1024, "what waits needs no other request")
						}
					})
				})
			}
		}
	}
}

// What was passed over is first in line when a place is free.
func refreshesAreFirstComeFirstServed(t *testing.T) {
	for _, where := range places {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var running gauge
				gates := map[string]chan struct{}{"/a": make(chan struct{}), "/b": make(chan struct{}), "/c": make(chan struct{})}
				slow := false
				s := harness.NewCountedSite(t, edgecache.Config{MaxRefreshes: 1}, func(w http.ResponseWriter, r *http.Request, call int) {
					if slow {
						defer running.enter(r.URL.Path)()
						<-gates[r.URL.Path]
					}
					w.Header().Set("Cache-Control", "max-age=10, stale-while-revalidate=6000")
					io.WriteString(w, "page")
				})
				h := at(where, s.Handler)
				get := func(path string) {
					v := harness.Send(t.Context(), h, harness.Request("GET", path))
					synctest.Wait()
					require.Equal(t, "page", v.Text())
				}
				for path := range gates {
					get(path)
				}
				time.Sleep(20 * time.Second)
				slow = true
				get("/a")
				require.Equal(t, 1, running.seen("/a"))
				for range 10 {
					get("/b")
				}
				get("/c")
				require.Zero(t, running.seen("/b")+running.seen("/c"))
				close(gates["/a"])
				synctest.Wait()
				get("/c")
				get("/b")
				require.Equal(t, 1, running.seen("/b"))
				require.Zero(t, running.seen("/c"))
				close(gates["/b"])
				synctest.Wait()
				get("/c")
				require.Equal(t, 1, running.seen("/c"))
				close(gates["/c"])
				synctest.Wait()
				require.Equal(t, 1, running.most)
				for path := range gates {
					s.Visit(path).Wants(t, "HIT", 200, "page")
					require.Equal(t, 1, running.seen(path))
				}
			})
		})
	}
}

// A place that no refresh comes for is not kept for ever.
func thePlaceOfARefreshIsKeptForASecond(t *testing.T) {
	for _, waits := range []time.Duration{time.Second - 1, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			var running gauge
			slow := false
			s := harness.NewCountedSite(t, edgecache.Config{MaxRefreshes: 1}, func(w http.ResponseWriter, r *http.Request, call int) {
				if slow {
					defer running.enter(r.URL.Path)()
					time.Sleep(5 * time.Second)
				}
				w.Header().Set("Cache-Control", "max-age=10, stale-while-revalidate=6000")
				io.WriteString(w, "page")
			})
			h := within(s.Handler, true)
			get := func(path string) {
				harness.Send(t.Context(), h, harness.Request("GET", path))
				synctest.Wait()
			}
			for _, path := range []string{"/a", "/b", "/c"} {
				get(path)
			}
			time.Sleep(20 * time.Second)
			slow = true
			get("/a")
			get("/b") // and never again
			time.Sleep(5 * time.Second)
			synctest.Wait()
			time.Sleep(waits)
			get("/c")
			require.Equal(t, waits == time.Second, running.seen("/c") == 1, waits)
			time.Sleep(time.Minute)
		})
	}
}

// What a refresh waits for may have happened otherwise when its turn comes.
func aWaitingRefreshIsDroppedWhenItIsNotWanted(t *testing.T) {
	for name, tt := range map[string]struct {
		meanwhile func(s *harness.Site)
		runs      int
	}{
		"nothing":                      {func(*harness.Site) {}, 1},
		"a purge":                      {func(s *harness.Site) { s.Edge.Purge(s.T.Context(), "https://example.com/b") }, 0},
		"a purge by tag":               {func(s *harness.Site) { s.Edge.PurgeTags(s.T.Context(), "tag") }, 0},
		"the end of the window":        {func(*harness.Site) { time.Sleep(10 * time.Minute) }, 0},
		"a new page, by a client":      {func(s *harness.Site) { s.Edge.PurgeAll(s.T.Context()); <-s.Visit("/b").Done }, 1},
		"a Close, which waits for one": {func(s *harness.Site) { go s.Edge.Close(s.T.Context()); synctest.Wait() }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var running gauge
				gate := make(chan struct{})
				stale := false
				s := harness.NewCountedSite(t, edgecache.Config{MaxRefreshes: 1}, func(w http.ResponseWriter, r *http.Request, call int) {
					if stale {
						defer running.enter(r.URL.Path)()
						if r.URL.Path == "/a" {
							<-gate
						}
					}
					w.Header().Set("Cache-Control", "max-age=10, stale-while-revalidate=60")
					edgecache.Tag(w, "tag")
					io.WriteString(w, "page")
				})
				s.Visit("/a").Wants(t, "MISS", 200, "page")
				s.Visit("/b").Wants(t, "MISS", 200, "page")
				time.Sleep(20 * time.Second)
				stale = true
				s.Visit("/a").Wants(t, "UPDATING", 200, "page")
				s.Visit("/b").Wants(t, "UPDATING", 200, "page")
				synctest.Wait()
				tt.meanwhile(s)
				close(gate)
				synctest.Wait()
				require.Equal(t, tt.runs, running.seen("/b"))
			})
		})
	}
}

// A refresh that waits keeps neither its request nor its writer, and nothing at all if the client
// made its request large.
func aWaitingRefreshKeepsNothingOfItsClient(t *testing.T) {
	gate := make(chan struct{})
	var running gauge
	began := make(chan string, 10)
	var stale bool
	edge, err := edgecache.New(edgecache.Config{MaxRefreshes: 1})
	require.NoError(t, err)
	h := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if stale {
			defer running.enter(r.URL.Path)()
			began <- r.URL.Path
			<-gate
		}
		w.Header().Set("Cache-Control", "max-age=600, stale-while-revalidate=600")
		w.Header().Set("Vary", "X-Variant")
		io.WriteString(w, "page")
	}))
	large := strings.Repeat("x", 5<<10)
	get := func(path, variant string) (weak.Pointer[http.Request], weak.Pointer[httptest.ResponseRecorder], string) {
		r, w := httptest.NewRequest("GET", path, nil), httptest.NewRecorder()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		r = r.WithContext(ctx)
		r.Header.Set("X-Variant", variant)
		r.Header.Set("X-Other", large)
		h.ServeHTTP(w, r)
		return weak.Make(r), weak.Make(w), w.Header().Get("X-Cache")
	}
	get("/a", "1")
	get("/b", "2")
	get("/c", large)
	_, err = edge.Soft().PurgeAll(t.Context())
	require.NoError(t, err)
	stale = true
	get("/a", "1")
	require.Equal(t, "/a", <-began)
	var requests []weak.Pointer[http.Request]
	var writers []weak.Pointer[httptest.ResponseRecorder]
	for path, variant := range map[string]string{"/b": "2", "/c": large} {
		r, w, word := get(path, variant)
		require.Equal(t, "UPDATING", word)
		requests, writers = append(requests, r), append(writers, w)
	}
	runtime.GC()
	runtime.GC()
	for i := range requests {
		require.Nil(t, requests[i].Value())
		require.Nil(t, writers[i].Value())
	}
	close(gate)
	require.Equal(t, "/b", <-began)
	require.NoError(t, edge.Close(t.Context()))
	require.Zero(t, running.seen("/c"), "a large one is not kept")
}
