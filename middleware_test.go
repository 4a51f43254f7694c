package edgecache_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestPageThatSaysNothingIsCachedForTwoMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			n++
			fmt.Fprintf(w, "page %d", n)
		})
		harness.Want(t, s.Get("/"), "MISS", 200, "page 1")
		harness.Want(t, s.Get("/"), "HIT", 200, "page 1")
		time.Sleep(2*time.Minute - time.Second)
		r := s.Get("/")
		require.Equal(t, "119", r.Header.Get("Age"))
		harness.Want(t, r, "HIT", 200, "page 1")
		time.Sleep(2 * time.Second)
		harness.Want(t, s.Get("/"), "EXPIRED", 200, "page 2")
		harness.Want(t, s.Get("/"), "HIT", 200, "page 2")
	})
}

func TestNoStoreIsNeverCached(t *testing.T) {
	n := 0
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		n++
		edgecache.NoStore(w)
		fmt.Fprintf(w, "page %d", n)
	})
	harness.Want(t, s.Get("/"), "BYPASS", 200, "page 1")
	harness.Want(t, s.Get("/"), "BYPASS", 200, "page 2")
}

// Nobody waits at the end of a page that many want, although it must not be served stale.
func TestPageInDemandIsMadeAnewBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			n++
			edgecache.SharedMaxAge(w, 100*time.Second)
			fmt.Fprintf(w, "page %d", n)
		})
		harness.Want(t, s.Get("/"), "MISS", 200, "page 1")
		for range 20 {
			harness.Want(t, s.Get("/"), "HIT", 200, "page 1")
		}
		time.Sleep(94 * time.Second)
		harness.Want(t, s.Get("/"), "HIT", 200, "page 1")
		synctest.Wait()
		require.Equal(t, 1, n, "not yet")
		time.Sleep(2 * time.Second)
		harness.Want(t, s.Get("/"), "HIT", 200, "page 1")
		synctest.Wait()
		require.Equal(t, 2, n)
		harness.Want(t, s.Get("/"), "HIT", 200, "page 2")
		time.Sleep(101 * time.Second)
		harness.Want(t, s.Get("/"), "EXPIRED", 200, "page 3") // few wanted that one
	})
}

// One Edge inside another place of the same Edge must not wait for itself.
func TestNestedHandlersCacheOnce(t *testing.T) {
	edge, err := edgecache.New(edgecache.Config{})
	require.NoError(t, err)
	s := &harness.Site{T: t, Edge: edge, Handler: edge.Handler(edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") })))}
	for _, status := range []string{"MISS", "HIT"} {
		r := s.Get("/")
		require.Len(t, r.Header.Values("Cache-Status"), 1)
		harness.Want(t, r, status, 200, "page")
	}
}

// RFC 9111, 3.4; the first of all requests asks for a part: the whole page is stored, and the part is answered from it.
func TestRangedFirstRequestFills(t *testing.T) {
	for _, declared := range []string{"", "10"} {
		for _, tt := range []struct {
			header string
			code   int
			text   string
		}{
			{"bytes=2-4", 206, "234"},
			{"bytes=-3", 206, "789"},
			{"bytes=7-", 206, "789"},
			{"bytes=20-", 416, "*"},
			{"lines", 200, "0123456789"},
		} {
			t.Run(tt.header+" of "+declared, func(t *testing.T) {
				s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Range") != "" {
						t.Error("the handler must not see the range")
					}
					if declared != "" {
						w.Header().Set("Content-Length", declared)
					}
					fmt.Fprint(w, "0123456789")
				})
				harness.Want(t, s.Get("/", "Range", tt.header), "MISS", tt.code, tt.text)
				harness.Want(t, s.Get("/", "Range", tt.header), "HIT", tt.code, tt.text)
				harness.Want(t, s.Get("/"), "HIT", 200, "0123456789")
				require.Equal(t, 1, s.Calls())
			})
		}
	}
}

func TestConditionalFirstRequestFills(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != "" {
			t.Error("the handler must not see the condition")
		}
		w.Header().Set("Etag", `"1"`)
		fmt.Fprint(w, "page")
	})
	harness.Want(t, s.Get("/", "If-None-Match", `"1"`), "MISS", 304, "")
	harness.Want(t, s.Get("/", "If-None-Match", `"0"`), "HIT", 200, "page")
	require.Equal(t, 1, s.Calls())
}

// A tag that the cache made of the bytes is known again after the page was made anew with the same bytes.
func TestMadeTagIsKnownAgainWhenThePageIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") })
		s.Get("/")
		tag := s.Get("/").Header.Get("Etag")
		require.NotEmpty(t, tag)
		time.Sleep(3 * time.Minute)
		harness.Want(t, s.Get("/", "If-None-Match", tag), "EXPIRED", 304, "")
		harness.Want(t, s.Get("/", "If-None-Match", tag), "HIT", 304, "")
	})
}

// RFC 9111, 4.2.2: nothing that a response does not say makes it live longer than one that says nothing.
func TestInferredLifetimesEndWithDefaultTTL(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  edgecache.Config
		want time.Duration
	}{
		{"by default", edgecache.Config{}, 2 * time.Minute},
		{"with another DefaultTTL", edgecache.Config{DefaultTTL: 10 * time.Minute}, 10 * time.Minute},
		{"with a shorter one", edgecache.Config{DefaultTTL: 10 * time.Second}, 10 * time.Second},
		{"with a HeuristicMax", edgecache.Config{HeuristicMax: time.Hour}, time.Hour},
		{"with explicit lifetimes only", edgecache.Config{ExplicitOnly: true}, 2 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewSite(t, tt.cfg, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Last-Modified", "Sat, 01 Jan 1994 00:00:00 GMT")
					fmt.Fprint(w, "page")
				})
				harness.Want(t, s.Get("/"), "MISS", 200, "page")
				time.Sleep(tt.want - time.Second)
				harness.Want(t, s.Get("/"), "HIT", 200, "page")
				time.Sleep(time.Second)
				harness.Want(t, s.Get("/"), "EXPIRED", 200, "page")
			})
		})
	}
}
