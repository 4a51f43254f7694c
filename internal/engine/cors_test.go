package engine_test

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
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestCORS(t *testing.T) {
	t.Run("responses are kept apart by Origin", responsesAreKeptApartByOrigin)
	t.Run("origins do not fill the variants", originsDoNotFillTheVariants)
	t.Run("requests with an Origin wait for each other only", requestsWithAnOriginWaitForEachOtherOnly)
	t.Run("stale and confirmed pages keep their Origin", staleAndConfirmedPagesKeepTheirOrigin)
}

// What a request without Origin was answered with is not for scripts of other origins, unless it
// says so; see the deviation from RFC 9111, 4.1.
func responsesAreKeptApartByOrigin(t *testing.T) {
	const a, b = "https://a.example", "https://b.example"
	type visit struct{ origin, status, allowed string }
	allow := func(h http.Header, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin != "" {
			h.Set("Access-Control-Allow-Origin", origin)
		}
	}
	for _, tt := range []struct {
		name    string
		outer   func(h http.Header, r *http.Request)
		handler func(h http.Header, r *http.Request)
		visits  []visit
		entries int
	}{
		{"answered only where there is an Origin, and without Vary", nil, allow, []visit{
			{"", "MISS", ""}, {a, "MISS", a}, {a, "HIT", a}, {b, "MISS", b}, {"", "HIT", ""}, {a, "HIT", a}, {b, "HIT", b},
		}, 3},
		{"the same, with an Origin first", nil, allow, []visit{
			{a, "MISS", a}, {"", "MISS", ""}, {a, "HIT", a}, {b, "MISS", b}, {"", "HIT", ""},
		}, 3},
		{"with Vary where there is an Origin only", nil, func(h http.Header, r *http.Request) {
			if allow(h, r); h.Get("Access-Control-Allow-Origin") != "" {
				h.Set("Vary", "Origin")
			}
		}, []visit{{"", "MISS", ""}, {a, "MISS", a}, {"", "HIT", ""}, {a, "HIT", a}}, 2},
		{"with Vary always", nil, func(h http.Header, r *http.Request) { h.Set("Vary", "Origin"); allow(h, r) }, []visit{
			{"", "MISS", ""}, {a, "MISS", a}, {"", "HIT", ""}, {a, "HIT", a}, {b, "MISS", b},
		}, 3},
		{"every origin", nil, func(h http.Header, r *http.Request) { h.Set("Access-Control-Allow-Origin", "*") }, []visit{
			{"", "MISS", "*"}, {a, "HIT", "*"}, {b, "HIT", "*"},
		}, 1},
		{"every origin, with an Origin only", nil, func(h http.Header, r *http.Request) {
			if r.Header.Get("Origin") != "" {
				h.Set("Access-Control-Allow-Origin", "*")
			}
		}, []visit{{"", "MISS", ""}, {a, "MISS", "*"}, {b, "HIT", "*"}, {"", "HIT", "*"}}, 1},
		{"one origin, always", nil, func(h http.Header, r *http.Request) { h.Set("Access-Control-Allow-Origin", a) }, []visit{
			{"", "MISS", a}, {a, "MISS", a}, {b, "MISS", a}, {a, "HIT", a},
		}, 3},
		{"two lines, of which one is a star", nil, func(h http.Header, r *http.Request) { h["Access-Control-Allow-Origin"] = []string{"*", a} }, []visit{
			{"", "MISS", "* | " + a}, {a, "MISS", "* | " + a},
		}, 2},
		{"something else about CORS", nil, func(h http.Header, r *http.Request) { h.Set("Access-Control-Allow-Credentials", "true") }, []visit{
			{a, "MISS", ""}, {b, "MISS", ""}, {b, "HIT", ""},
		}, 2},
		{"nothing about CORS", nil, func(h http.Header, r *http.Request) {}, []visit{
			{"", "MISS", ""}, {"", "HIT", ""}, {a, "MISS", ""}, {a, "HIT", ""}, {b, "HIT", ""}, {"", "HIT", ""},
		}, 1},
		{"by middleware outside", func(h http.Header, r *http.Request) { h.Set("Vary", "Origin"); allow(h, r) }, func(http.Header, *http.Request) {}, []visit{
			{"", "MISS", ""}, {a, "MISS", a}, {"", "HIT", ""}, {a, "HIT", a}, {b, "MISS", b},
		}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			edge, err := edgecache.New(edgecache.Config{})
			require.NoError(t, err)
			cached := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tt.handler(w.Header(), r)
				_, _ = io.WriteString(w, "page")
			}))
			for i, v := range tt.visits {
				w, r := httptest.NewRecorder(), harness.Request("GET", "/")
				if v.origin != "" {
					r.Header.Set("Origin", v.origin)
				}
				if tt.outer != nil {
					tt.outer(w.Header(), r)
				}
				cached.ServeHTTP(w, r)
				got := visit{v.origin, w.Header().Get("X-Cache"), linesOf(w.Header(), "Access-Control-Allow-Origin")}
				require.Equal(t, v, got, "visit %d", i)
			}
			require.Equal(t, tt.entries, edge.Stats().Entries)
		})
	}
}

func originsDoNotFillTheVariants(t *testing.T) {
	edge, err := edgecache.New(edgecache.Config{})
	require.NoError(t, err)
	h := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "page") }))
	hits := 0
	for i := range 200 {
		w, r := httptest.NewRecorder(), harness.Request("GET", "/")
		r.Header.Set("Origin", fmt.Sprintf("https://%d.example", i))
		h.ServeHTTP(w, r)
		if w.Header().Get("X-Cache") == "HIT" {
			hits++
		}
	}
	require.Equal(t, 199, hits)
	require.Equal(t, 1, edge.Stats().Entries)
}

// Those with an Origin wait for each other, not for one without.
func requestsWithAnOriginWaitForEachOtherOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewOrigin(t, edgecache.Config{})
		plain := s.Send("GET", "/")
		first := s.Called()
		var others []*harness.Client
		for range 10 {
			others = append(others, s.Send("GET", "/", "Origin", "https://a.example"))
		}
		second := s.Called()
		s.Idle()
		first.Writes("page")
		plain.Gets(t, "MISS", 200, "page")
		second.Writes("page", "Access-Control-Allow-Origin", "https://a.example")
		for _, v := range others {
			require.Equal(t, "https://a.example", v.Sent.Get("Access-Control-Allow-Origin"))
		}
		s.Idle()
	})
}

func staleAndConfirmedPagesKeepTheirOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewOrigin(t, edgecache.Config{})
		v := s.Send("GET", "/")
		s.Called().Writes("page", "Cache-Control", "max-age=10, stale-if-error=60", "Etag", `"1"`)
		v.Gets(t, "MISS", 200, "page")
		time.Sleep(11 * time.Second)
		v = s.Send("GET", "/", "Origin", "https://a.example")
		c := s.Called()
		require.Empty(t, c.Request.Header.Get("If-None-Match"), "what it does not fit is not confirmed for it")
		c.Says(func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) })
		c.Ends()
		v.Gets(t, "BYPASS", 503, "") // the stale page is not for it
		v = s.Send("GET", "/", "Origin", "https://a.example")
		s.Called().Writes("page", "Cache-Control", "max-age=10", "Etag", `"1"`)
		v.Gets(t, "MISS", 200, "page")
		s.Send("GET", "/").Gets(t, "HIT", 200, "page")
		time.Sleep(11 * time.Second)
		v = s.Send("GET", "/")
		c = s.Called()
		require.Equal(t, `"1"`, c.Request.Header.Get("If-None-Match"))
		c.Says(func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotModified) })
		c.Ends()
		v.Gets(t, "REVALIDATED", 200, "page")
		s.Send("GET", "/", "Origin", "https://b.example").Gets(t, "HIT", 200, "page") // it still says nothing about CORS
	})
}
