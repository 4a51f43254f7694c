package edgecache_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

// A request that finds nothing stored may get to the table of flights only after the flight that made the page has landed. The page is stored by then.
func TestWhoComesTooLateForTheFlightFindsThePage(t *testing.T) {
	const (
		urls    = 4000
		clients = 4
	)
	var runs [urls]atomic.Int32
	h := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n int
		_, err := fmt.Sscanf(r.URL.Path, "/%d", &n)
		if err != nil {
			panic(err)
		}
		runs[n].Add(1)
		w.Header().Set("Cache-Control", "max-age=3600")
		w.WriteHeader(http.StatusOK)
	}))
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for n := range urls {
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, fmt.Sprint("/", n), nil))
			}
		})
	}
	all.Wait()
	twice := 0
	for n := range runs {
		if runs[n].Load() != 1 {
			twice++
		}
	}
	require.Zero(t, twice, "pages of %d that were made more than once", urls)
}
