package edgecache_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

// site is a handler behind a cache, with a count of how often it ran.
type site struct {
	t     *testing.T
	edge  *edgecache.Edge
	h     http.Handler
	calls int
}

func newSite(t *testing.T, cfg edgecache.Config, handler http.HandlerFunc) *site {
	t.Helper()
	edge, err := edgecache.New(cfg)
	require.NoError(t, err)
	s := &site{t: t, edge: edge}
	s.h = edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls++
		handler(w, r)
		w.WriteHeader(http.StatusOK) // one that writes nothing would decide nothing; of the others this is not the first
	}))
	return s
}

// get sends a request; header is name, value, name, value …
func (s *site) get(target string, header ...string) *http.Response {
	return s.do(http.MethodGet, target, header...)
}

func (s *site) do(method, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(b)
}

// want checks the short status, the status code and the body of an answer; "*" stands for any body.
func want(t *testing.T, r *http.Response, status string, code int, text string) {
	t.Helper()
	if got := r.Header.Get("X-Cache"); got != status {
		t.Errorf("X-Cache: got %q, want %q (Cache-Status: %q)", got, status, r.Header.Values("Cache-Status"))
	}
	if r.StatusCode != code {
		t.Errorf("status: got %d, want %d", r.StatusCode, code)
	}
	if got := body(t, r); text != "*" && got != text {
		t.Errorf("body: got %q, want %q", got, text)
	}
}

func TestPageThatSaysNothingIsCachedForTwoMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := newSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			n++
			fmt.Fprintf(w, "page %d", n)
		})
		want(t, s.get("/"), "MISS", 200, "page 1")
		want(t, s.get("/"), "HIT", 200, "page 1")
		time.Sleep(2*time.Minute - time.Second)
		r := s.get("/")
		require.Equal(t, "119", r.Header.Get("Age"))
		want(t, r, "HIT", 200, "page 1")
		time.Sleep(2 * time.Second)
		want(t, s.get("/"), "EXPIRED", 200, "page 2")
		want(t, s.get("/"), "HIT", 200, "page 2")
	})
}

func TestNoStoreIsNeverCached(t *testing.T) {
	n := 0
	s := newSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		n++
		edgecache.NoStore(w)
		fmt.Fprintf(w, "page %d", n)
	})
	want(t, s.get("/"), "BYPASS", 200, "page 1")
	want(t, s.get("/"), "BYPASS", 200, "page 2")
}

// Nobody waits at the end of a page that many want, although it must not be served stale.
func TestPageInDemandIsMadeAnewBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := newSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			n++
			edgecache.SharedMaxAge(w, 100*time.Second)
			fmt.Fprintf(w, "page %d", n)
		})
		want(t, s.get("/"), "MISS", 200, "page 1")
		for range 20 {
			want(t, s.get("/"), "HIT", 200, "page 1")
		}
		time.Sleep(94 * time.Second)
		want(t, s.get("/"), "HIT", 200, "page 1")
		synctest.Wait()
		require.Equal(t, 1, n, "not yet")
		time.Sleep(2 * time.Second)
		want(t, s.get("/"), "HIT", 200, "page 1")
		synctest.Wait()
		require.Equal(t, 2, n)
		want(t, s.get("/"), "HIT", 200, "page 2")
		time.Sleep(101 * time.Second)
		want(t, s.get("/"), "EXPIRED", 200, "page 3") // few wanted that one
	})
}

// One Edge inside another place of the same Edge must not wait for itself.
func TestNestedHandlersCacheOnce(t *testing.T) {
	edge, err := edgecache.New(edgecache.Config{})
	require.NoError(t, err)
	s := &site{t: t, edge: edge, h: edge.Handler(edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") })))}
	for _, status := range []string{"MISS", "HIT"} {
		r := s.get("/")
		require.Len(t, r.Header.Values("Cache-Status"), 1)
		want(t, r, status, 200, "page")
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
				s := newSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Range") != "" {
						t.Error("the handler must not see the range")
					}
					if declared != "" {
						w.Header().Set("Content-Length", declared)
					}
					fmt.Fprint(w, "0123456789")
				})
				want(t, s.get("/", "Range", tt.header), "MISS", tt.code, tt.text)
				want(t, s.get("/", "Range", tt.header), "HIT", tt.code, tt.text)
				want(t, s.get("/"), "HIT", 200, "0123456789")
				require.Equal(t, 1, s.calls)
			})
		}
	}
}

func TestConditionalFirstRequestFills(t *testing.T) {
	s := newSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != "" {
			t.Error("the handler must not see the condition")
		}
		w.Header().Set("Etag", `"1"`)
		fmt.Fprint(w, "page")
	})
	want(t, s.get("/", "If-None-Match", `"1"`), "MISS", 304, "")
	want(t, s.get("/", "If-None-Match", `"0"`), "HIT", 200, "page")
	require.Equal(t, 1, s.calls)
}

// A tag that the cache made of the bytes is known again after the page was made anew with the same bytes.
func TestMadeTagIsKnownAgainWhenThePageIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") })
		s.get("/")
		tag := s.get("/").Header.Get("Etag")
		require.NotEmpty(t, tag)
		time.Sleep(3 * time.Minute)
		want(t, s.get("/", "If-None-Match", tag), "EXPIRED", 304, "")
		want(t, s.get("/", "If-None-Match", tag), "HIT", 304, "")
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
				s := newSite(t, tt.cfg, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Last-Modified", "Sat, 01 Jan 1994 00:00:00 GMT")
					fmt.Fprint(w, "page")
				})
				want(t, s.get("/"), "MISS", 200, "page")
				time.Sleep(tt.want - time.Second)
				want(t, s.get("/"), "HIT", 200, "page")
				time.Sleep(time.Second)
				want(t, s.get("/"), "EXPIRED", 200, "page")
			})
		})
	}
}
