package edgecache_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

// Pages of a route that is never cacheable do not wait for each other, even those that nobody has asked for before. The first page that can be stored heals the route.
func TestUncacheableRouteIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		private := true
		mux := http.NewServeMux()
		mux.HandleFunc("GET /account/{id}", func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(100 * time.Millisecond)
			if private {
				edgecache.Private(w)
			}
			fmt.Fprint(w, r.PathValue("id"))
		})
		edge, err := edgecache.New(edgecache.Config{})
		require.NoError(t, err)
		h := edge.Handler(mux)
		herd := func(target string) time.Duration {
			start := time.Now()
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil)) })
			}
			wg.Wait()
			return time.Since(start)
		}
		require.Equal(t, 200*time.Millisecond, herd("/account/0"), "the first waits to learn, and then runs")
		for i := 1; i < 8; i++ {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprint("/account/", i), nil))
		}
		require.Equal(t, 100*time.Millisecond, herd("/account/new"), "nobody waits")
		private = false
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/account/healer", nil))
		require.Equal(t, 100*time.Millisecond, herd("/account/healed"))
		require.Equal(t, uint64(19), edge.Stats().Collapsed, "one makes it for all again")
	})
}
