package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
	"github.com/edgecache-go/edgecache/storetest"
)

func TestL2(t *testing.T) {
	t.Run("a page survives the process in the store", aPageSurvivesTheProcessInTheStore)
	t.Run("stored credentials stay apart", storedCredentialsStayApart)
	t.Run("a faulty store harms no request", aFaultyStoreHarmsNoRequest)
	t.Run("the store is asked once per herd", theStoreIsAskedOncePerHerd)
	t.Run("Config.Variant separates deploys", configVariantSeparatesDeploys)
	t.Run("the purge handler tells that the store does not know", thePurgeHandlerTellsThatTheStoreDoesNotKnow)
	t.Run("a client that leaves during a lookup leaves the result to others", aClientThatLeavesDuringALookupLeavesTheResultToOthers)
}

func TestL2Purges(t *testing.T) {
	t.Run("a flood of unsafe requests costs the store little", aFloodOfUnsafeRequestsCostsTheStoreLittle)
	t.Run("purges that return are known to others", purgesThatReturnAreKnownToOthers)
	t.Run("strangers purge only what they name while the store is unreachable", strangersPurgeOnlyWhatTheyNameWhileTheStoreIsUnreachable)
}

// process is one of several that share a store.
func process(t *testing.T, store edgecache.Store, handler http.HandlerFunc) *harness.Site {
	t.Helper()
	return harness.NewSite(t, edgecache.Config{Store: store}, handler)
}

func aPageSurvivesTheProcessInTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storetest.NewMap()
		n := 0
		handler := func(w http.ResponseWriter, r *http.Request) {
			n++
			edgecache.MaxAge(w, time.Minute)
			edgecache.Vary(w, "Accept-Language")
			edgecache.Tag(w, "page")
			w.Header().Set("Etag", strconv.Quote(strconv.Itoa(n)))
			if r.Header.Get("If-None-Match") == `"1"` && n == 2 {
				w.Header().Set("Etag", `"1"`)
				w.WriteHeader(http.StatusNotModified)
				return
			}
			fmt.Fprintf(w, "page %d in %s", n, r.Header.Get("Accept-Language"))
		}
		first := process(t, store, handler)
		harness.Want(t, first.Get("/", "Accept-Language", "de"), "MISS", 200, "page 1 in de")
		require.NoError(t, first.Edge.Close(t.Context()))

		time.Sleep(10 * time.Second)
		second := process(t, store, handler)
		r := second.Get("/", "Accept-Language", "de")
		require.Equal(t, "10", r.Header.Get("Age"))
		require.Contains(t, r.Header.Get("Cache-Status"), "detail=restored")
		harness.Want(t, r, "HIT", 200, "page 1 in de")
		harness.Want(t, second.Get("/", "Accept-Language", "de"), "HIT", 200, "page 1 in de")
		require.Equal(t, uint64(1), second.Edge.Stats().Store.Hits)
		require.Equal(t, 1, n)

		// Past its time the handler is asked whether it still holds.
		require.NoError(t, second.Edge.Close(t.Context()))
		time.Sleep(time.Minute)
		third := process(t, store, handler)
		harness.Want(t, third.Get("/", "Accept-Language", "de"), "REVALIDATED", 200, "page 1 in de")

		// A purge by one process holds for all.
		fourth := process(t, store, handler)
		_, err := fourth.Edge.PurgeTags(t.Context(), "page")
		require.NoError(t, err)
		require.NoError(t, third.Edge.Close(t.Context()))
		fifth := process(t, store, handler)
		harness.Want(t, fifth.Get("/", "Accept-Language", "de"), "MISS", 200, "page 3 in de")
		for _, s := range []*harness.Site{fourth, fifth} {
			require.NoError(t, s.Edge.Close(t.Context()))
		}
	})
}

func storedCredentialsStayApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storetest.NewMap()
		handler := func(w http.ResponseWriter, r *http.Request) {
			edgecache.MaxAge(w, time.Minute)
			fmt.Fprint(w, "for ", r.Header.Get("Cookie"))
		}
		first := process(t, store, handler)
		first.Get("/")
		require.NoError(t, first.Edge.Close(t.Context()))
		second := process(t, store, handler)
		harness.Want(t, second.Get("/", "Cookie", "session=1"), "DYNAMIC", 200, "for session=1")
		harness.Want(t, second.Get("/"), "HIT", 200, "for ")
		require.NoError(t, second.Edge.Close(t.Context()))
	})
}

// A store that fails, blocks, lies or panics in three of ten calls costs no request, and no more
// than its deadline.
func aFaultyStoreHarmsNoRequest(t *testing.T) {
	requests := 4000
	if os.Getenv("EDGECACHE_LONG") != "" {
		requests = 200_000
	}
	synctest.Test(t, func(t *testing.T) {
		store := storetest.NewFaultyGenerations(storetest.NewMap(), 1, 0.3)
		var versions [50]int
		s := harness.NewSite(t, edgecache.Config{Store: store, MaxBytes: 64 << 10}, func(w http.ResponseWriter, r *http.Request) {
			edgecache.MaxAge(w, time.Hour)
			edgecache.Tag(w, r.URL.Query().Get("n"))
			n, _ := strconv.Atoi(r.URL.Query().Get("n"))
			fmt.Fprintf(w, "page %d version %d %01000d", n, versions[n], 0)
		})
		random := rand.New(rand.NewPCG(1, 2))
		var slowest time.Duration
		for i := range requests {
			n := random.IntN(len(versions))
			if random.IntN(20) == 0 {
				versions[n]++
				_, _ = s.Edge.PurgeTags(t.Context(), strconv.Itoa(n)) // the error is about other processes
			}
			start := time.Now()
			r := s.Get("/?n=" + strconv.Itoa(n))
			slowest = max(slowest, time.Since(start))
			if got, want := harness.Body(t, r), fmt.Sprintf("page %d version %d %01000d", n, versions[n], 0); r.StatusCode != 200 || got != want {
				t.Fatalf("request %d: got %d %.40q, want %.40q", i, r.StatusCode, got, want)
			}
			time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
		}
		stats := s.Edge.Stats().Store
		t.Logf("%d requests, slowest %v, store: %+v", requests, slowest, stats)
		require.Positive(t, stats.Hits)
		require.Positive(t, stats.Failures)
		require.LessOrEqual(t, slowest, 50*time.Millisecond)
		require.NoError(t, s.Edge.Close(t.Context()))
	})
}

func theStoreIsAskedOncePerHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storetest.NewMap()
		handler := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") }
		first := process(t, store, handler)
		first.Get("/")
		require.NoError(t, first.Edge.Close(t.Context()))
		second := process(t, store, handler)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				w := httptest.NewRecorder()
				second.Handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
				if w.Body.String() != "page" {
					t.Errorf("got %q", w.Body)
				}
			})
		}
		wg.Wait()
		require.Zero(t, second.Calls())
		require.Equal(t, uint64(1), second.Edge.Stats().Store.Hits)
		require.NoError(t, second.Edge.Close(t.Context()))
	})
}

// A page that names the files of one deploy is not served by the next.
func configVariantSeparatesDeploys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storetest.NewMap()
		deploy := func(version string) *harness.Site {
			return harness.NewSite(t, edgecache.Config{Store: store, Version: func() string { return version }}, func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, "app-", version, ".css")
			})
		}
		first := deploy("1")
		harness.Want(t, first.Get("/"), "MISS", 200, "app-1.css")
		require.NoError(t, first.Edge.Close(t.Context()))
		second := deploy("2")
		harness.Want(t, second.Get("/"), "MISS", 200, "app-2.css")
		require.NoError(t, second.Edge.Close(t.Context()))
		again := deploy("1")
		harness.Want(t, again.Get("/"), "HIT", 200, "app-1.css")
		require.Equal(t, edgecache.Hit, again.Edge.Explain(httptest.NewRequest("GET", "/", nil)).Status)
		n, err := again.Edge.Purge(t.Context(), "/")
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.NoError(t, again.Edge.Close(t.Context()))
	})
}

// deaf is a store that cannot be told of purges.
type deaf struct{ *storetest.Map }

func (deaf) Bump(context.Context, ...string) (uint64, error) { return 0, errors.New("down") }

func thePurgeHandlerTellsThatTheStoreDoesNotKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := process(t, deaf{storetest.NewMap()}, func(w http.ResponseWriter, r *http.Request) { edgecache.MaxAge(w, time.Minute); w.WriteHeader(200) })
		purge, err := s.Edge.PurgeHandler(func(*http.Request) bool { return true })
		require.NoError(t, err)
		s.Get("/")
		w := httptest.NewRecorder()
		purge.ServeHTTP(w, httptest.NewRequest("PURGE", "http://example.com/", nil))
		require.Equal(t, http.StatusBadGateway, w.Code)
		require.Contains(t, w.Body.String(), `"purged":1`)
		require.Contains(t, w.Body.String(), "does not know yet")
		require.Equal(t, "MISS", s.Get("/").Header.Get("X-Cache"), "here the purge holds")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = s.Edge.Close(ctx) // it would go on telling
	})
}

// slowStore takes its time to answer.
type slowStore struct {
	*storetest.Map
	delay time.Duration
}

func (s slowStore) Get(ctx context.Context, key string) ([]byte, bool, error) {
	select {
	case <-time.After(s.delay):
		return s.Map.Get(ctx, key)
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

// What the store has is there for the waiters.
func aClientThatLeavesDuringALookupLeavesTheResultToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storetest.NewMap()
		handler := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") }
		first := process(t, store, handler)
		first.Get("/")
		require.NoError(t, first.Edge.Close(t.Context()))
		second := process(t, slowStore{store, 10 * time.Millisecond}, handler)
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			second.Handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx))
		})
		synctest.Wait()
		for range 10 {
			wg.Go(func() { harness.Want(t, second.Get("/"), "HIT", 200, "page") })
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		require.Zero(t, second.Calls())
		require.NoError(t, second.Edge.Close(t.Context()))
	})
}

// bumps is a store that counts calls of Bump, and takes none while it is down.
type bumps struct {
	*storetest.Map
	down  atomic.Bool
	calls atomic.Int64
	mu    sync.Mutex
	names map[string]bool
}

func newBumps() *bumps { return &bumps{Map: storetest.NewMap(), names: map[string]bool{}} }

func (b *bumps) Bump(ctx context.Context, names ...string) (uint64, error) {
	b.calls.Add(1)
	if b.down.Load() {
		return 0, storetest.ErrFault
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		b.names[name] = true
	}
	return b.Map.Bump(ctx, names...)
}

// known is how many names it has heard of.
func (b *bumps) known() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.names)
}

// A client that sends them to one URL, or to many, costs the store
// a few calls and a bounded number of names, and other processes know of the last one.
func aFloodOfUnsafeRequestsCostsTheStoreLittle(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		edgecache.MaxAge(w, time.Hour)
		fmt.Fprint(w, "page")
	}
	for _, row := range []struct {
		name   string
		target func(i int) string
		bumps  int64
		names  int
	}{
		{"one URL", func(int) string { return "/" }, 11, 8},
		{"two URLs in turn", func(i int) string { return []string{"/", "/b"}[i%2] }, 22, 16},
		{"many URLs", func(i int) string { return "/?n=" + strconv.Itoa(i) }, 101, 1 << 16},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newBumps()
				first, second := process(t, store, handler), process(t, store, handler)
				second.Get("/")
				for i := range 10_000 {
					first.Do("POST", row.target(i))
					time.Sleep(time.Second / 10_000)
				}
				synctest.Wait()
				t.Logf("%d Bumps of %d names", store.calls.Load(), store.known())
				if n := store.calls.Load(); n > row.bumps || n == 0 {
					t.Errorf("got %d Bumps for 10 000 POSTs in a second, want at most %d", n, row.bumps)
				}
				if n := store.known(); n > row.names {
					t.Errorf("got %d names, want at most %d", n, row.names)
				}
				time.Sleep(time.Second)
				require.Zero(t, first.Edge.Stats().Store.PendingPurges)
				third := process(t, store, handler)
				if row.target(1) != "/?n=1" {
					harness.Want(t, third.Get("/"), "MISS", 200, "page") // a POST is told of even if memory had nothing
				}
				for _, s := range []*harness.Site{first, second, third} {
					require.NoError(t, s.Edge.Close(t.Context()))
				}
			})
		})
	}
}

// Also when many are merged into one call of the store.
func purgesThatReturnAreKnownToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newBumps()
		var version atomic.Int64
		handler := func(w http.ResponseWriter, r *http.Request) {
			edgecache.MaxAge(w, time.Hour)
			edgecache.Tag(w, "page")
			fmt.Fprint(w, version.Load())
		}
		s := process(t, store, handler)
		var wg sync.WaitGroup
		start := time.Now()
		for range 500 {
			wg.Go(func() {
				version.Add(1)
				_, err := s.Edge.PurgeTags(t.Context(), "page")
				require.NoError(t, err)
			})
		}
		wg.Wait()
		if n, took := store.calls.Load(), time.Since(start); n > 2 || took > 100*time.Millisecond {
			t.Errorf("500 purges at once: got %d Bumps in %v, want two in 100 ms", n, took)
		}
		for i := range 20 {
			s.Get("/") // and so it is in the store
			synctest.Wait()
			version.Add(1)
			if i%2 == 0 {
				go func() { _, _ = s.Edge.PurgeTags(t.Context(), "page") }()
			}
			_, err := s.Edge.PurgeTags(t.Context(), "page")
			require.NoError(t, err)
			other := process(t, store, handler)
			harness.Want(t, other.Get("/"), "MISS", 200, strconv.FormatInt(version.Load(), 10))
			require.NoError(t, other.Edge.Close(t.Context()))
			_, err = s.Edge.PurgeTags(t.Context(), "page")
			require.NoError(t, err)
		}
		require.NoError(t, s.Edge.Close(t.Context()))
	})
}

// What 2 100 POSTs to made-up URLs purge is those URLs, and the store
// hears of them in the end.
func strangersPurgeOnlyWhatTheyNameWhileTheStoreIsUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newBumps()
		handler := func(w http.ResponseWriter, r *http.Request) {
			edgecache.MaxAge(w, time.Hour)
			fmt.Fprint(w, "page ", r.URL.Path)
		}
		const pages = 100
		writer := process(t, store, handler)
		for i := range pages {
			writer.Get("/" + strconv.Itoa(i))
		}
		require.NoError(t, writer.Edge.Close(t.Context()))
		hits := func(s *harness.Site, from, to int) (n int) {
			for i := from; i < to; i++ {
				if s.Get("/"+strconv.Itoa(i)).Header.Get("X-Cache") == "HIT" {
					n++
				}
			}
			return n
		}
		s := process(t, store, handler)
		store.down.Store(true)
		for i := range 2100 {
			s.Do("POST", "/made/up/"+strconv.Itoa(i))
		}
		s.Do("POST", "/0")
		require.Positive(t, s.Edge.Stats().Store.PendingPurges)
		harness.Want(t, s.Get("/0"), "MISS", 200, "page /0")
		if n := hits(s, 1, pages/2); n < pages/2*9/10 {
			t.Errorf("while the store is away: got %d of %d from it", n, pages/2-1)
		}
		store.down.Store(false)
		time.Sleep(time.Minute)
		require.Zero(t, s.Edge.Stats().Store.PendingPurges)
		if n := hits(s, pages/2, pages); n < pages/2*9/10 {
			t.Errorf("when the store is back: got %d of %d from it", n, pages/2)
		}
		require.NoError(t, s.Edge.Close(t.Context()))
	})
}
