package edgecache_test

import (
	"context"
	"fmt"
	"net/http"
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

// TestFloodOfUnsafeRequestsAndTheStore: a client that sends them to one URL, or to many, costs the store
// a few calls and a bounded number of names, and other processes know of the last one.
func TestFloodOfUnsafeRequestsAndTheStore(t *testing.T) {
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

// TestPurgesThatReturnAreKnownToOthers: also when many are merged into one call of the store.
func TestPurgesThatReturnAreKnownToOthers(t *testing.T) {
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

// TestUnreachableStoreAndStrangers: what 2 100 POSTs to made-up URLs purge is those URLs, and the store
// hears of them in the end.
func TestUnreachableStoreAndStrangers(t *testing.T) {
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
