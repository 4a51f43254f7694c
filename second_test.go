package edgecache_test

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
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
	"github.com/edgecache-go/edgecache/storetest"
)

// process is one of several that share a store.
func process(t *testing.T, store edgecache.Store, handler http.HandlerFunc) *harness.Site {
	t.Helper()
	return harness.NewSite(t, edgecache.Config{Store: store}, handler)
}

func TestPageOutlivesTheProcessInTheStore(t *testing.T) {
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

func TestStoredCredentialsStayApart(t *testing.T) {
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

// A store that fails, blocks, lies or panics in three of ten calls costs no request, and no more than its deadline.
func TestFaultyStoreHarmsNobody(t *testing.T) {
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

func TestStoreIsAskedOncePerHerd(t *testing.T) {
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
func TestVersionSeparatesDeploys(t *testing.T) {
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

func TestPurgeHandlerTellsThatTheStoreDoesNotKnow(t *testing.T) {
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

// TestClientThatLeavesDuringALookUp: what the store has is there for those who wait with it.
func TestClientThatLeavesDuringALookUp(t *testing.T) {
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
