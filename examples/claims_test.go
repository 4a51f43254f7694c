package examples_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

// visit sends one request and returns the response. header is name, value, name, value …
func visit(h http.Handler, method string, header ...string) *http.Response {
	r := httptest.NewRequest(method, "/", nil)
	for i := 0; i < len(header); i += 2 {
		if header[i] == "body" {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(header[i+1])), int64(len(header[i+1]))
			continue
		}
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// says makes a handler of a status and a header. A value such as "now-1h" is a date.
func says(status int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			value := header[i+1]
			if since, isDate := strings.CutPrefix(value, "now"); isDate {
				d, err := time.ParseDuration(since)
				if err != nil {
					panic(err)
				}
				value = time.Now().Add(d).UTC().Format(http.TimeFormat)
			}
			w.Header().Add(header[i], value)
		}
		w.WriteHeader(status)
		if status != http.StatusNoContent {
			_, _ = io.WriteString(w, "the page")
		}
	}
}

// TestGuideKept compares "How long a response is kept" with the code: what the second of two
// requests gets, just before and just after the time that the guide gives.
func TestGuideKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, row := range []struct {
			name    string
			handler http.HandlerFunc
			kept    time.Duration
		}{
			{"200 without a caching header", says(200), 2 * time.Minute},
			{"203 without a caching header", says(203), 30 * time.Second},
			{"301 without a caching header", says(301, "Location", "/x"), 30 * time.Second},
			{"308 without a caching header", says(308, "Location", "/x"), 30 * time.Second},
			{"404 without a caching header", says(404), 30 * time.Second},
			{"410 without a caching header", says(410), 30 * time.Second},
			{"a tenth of the time since Last-Modified", says(200, "Last-Modified", "now-1000s"), 100 * time.Second},
			{"two minutes at most by Last-Modified", says(200, "Last-Modified", "now-1000h"), 2 * time.Minute},
			{"404 with Last-Modified", says(404, "Last-Modified", "now-1000h"), 30 * time.Second},
			{"204 with Last-Modified", says(204, "Last-Modified", "now-1000s"), 100 * time.Second},
			{"405 with Last-Modified", says(405, "Last-Modified", "now-1000s"), 100 * time.Second},
			{"501 with Last-Modified", says(501, "Last-Modified", "now-1000s"), 100 * time.Second},
			{"any status with max-age", says(503, "Cache-Control", "max-age=60"), time.Minute},
			{"Expires", says(418, "Expires", "now+60s"), time.Minute},
			{"s-maxage beats max-age", says(200, "Cache-Control", "max-age=60, s-maxage=10"), 10 * time.Second},
			{"CDN-Cache-Control beats Cache-Control", says(200, "Cache-Control", "no-store", "CDN-Cache-Control", "max-age=5"), 5 * time.Second},
		} {
			h := edgecache.Cache(row.handler)
			visit(h, "GET")
			time.Sleep(row.kept - time.Second)
			if got := visit(h, "GET").Header.Get("X-Cache"); got != "HIT" {
				t.Errorf("%s: a second before its end: got %s, want HIT", row.name, got)
			}
			time.Sleep(time.Second)
			if got := visit(h, "GET").Header.Get("X-Cache"); got == "HIT" {
				t.Errorf("%s: at its end: got HIT, want a new one", row.name)
			}
		}
	})
}

// TestGuideNeverStored compares "What is never stored", and what the guide says about requests,
// with the code.
func TestGuideNeverStored(t *testing.T) {
	for _, row := range []struct {
		name    string
		handler http.HandlerFunc
		request []string
		second  string // X-Cache for the second of two such requests
	}{
		{"any other status, without a lifetime", says(418), nil, "BYPASS"},
		{"5xx without a lifetime", says(503), nil, "BYPASS"},
		{"no-store", says(200, "Cache-Control", "no-store"), nil, "BYPASS"},
		{"private", says(200, "Cache-Control", "private, max-age=60"), nil, "BYPASS"},
		{"Set-Cookie", says(200, "Set-Cookie", "a=b", "Cache-Control", "public, max-age=60"), nil, "BYPASS"},
		{"a nonce", says(200, "Content-Security-Policy", "script-src 'nonce-1'", "Cache-Control", "public, max-age=60"), nil, "BYPASS"},
		{"Pragma: no-cache alone", says(200, "Pragma", "no-cache"), nil, "DYNAMIC"},
		{"an error after the first byte", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			http.Error(w, "oops", http.StatusInternalServerError)
		}, nil, "MISS"},
		{"an Origin, where the page says nothing about CORS", says(200), []string{"Origin", "https://a.example"}, "HIT"},
		{"Vary: *", says(200, "Vary", "*"), nil, "BYPASS"},
		{"206", says(206, "Cache-Control", "max-age=60"), nil, "BYPASS"},
		{"an event stream", says(200, "Content-Type", "text/event-stream"), nil, "BYPASS"},
		{"another length than declared", says(200, "Content-Length", "9"), nil, "MISS"},
		{"larger than MaxObjectBytes", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 16<<20)) }, nil, "BYPASS"},

		{"a cookie", says(200, "Cache-Control", "max-age=60"), []string{"Cookie", "session=1"}, "DYNAMIC"},
		{"a cookie, but public", says(200, "Cache-Control", "public"), []string{"Cookie", "session=1"}, "HIT"},
		{"a cookie, but s-maxage", says(200, "Cache-Control", "s-maxage=60"), []string{"Cookie", "session=1"}, "HIT"},
		{"a cookie, but public for CDNs", says(200, "CDN-Cache-Control", "public"), []string{"Cookie", "session=1"}, "HIT"},
		{"a cookie of an analytics script", says(200), []string{"Cookie", "_ga=1"}, "HIT"},
		{"Authorization", says(200, "Cache-Control", "max-age=60"), []string{"Authorization", "Bearer x"}, "DYNAMIC"},
		{"an API key", says(200, "Cache-Control", "max-age=60"), []string{"X-Api-Key", "x"}, "DYNAMIC"},
		{"a body", says(200), []string{"body", "x"}, "DYNAMIC"},
		{"X-Original-URL", says(200), []string{"X-Original-URL", "/x"}, "DYNAMIC"},
		{"a method override", says(200), []string{"X-HTTP-Method-Override", "DELETE"}, "DYNAMIC"},
		{"a condition fills the cache", says(200), []string{"If-None-Match", `"x"`}, "HIT"},
		{"a range fills the cache", says(200), []string{"Range", "bytes=0-2"}, "HIT"},
		{"an address is no part of the key", says(200), []string{"X-Forwarded-For", "192.0.2.1"}, "HIT"},
	} {
		h := edgecache.Cache(row.handler)
		visit(h, "GET", row.request...)
		if got := visit(h, "GET", row.request...).Header.Get("X-Cache"); got != row.second {
			t.Errorf("%s: got %s, want %s", row.name, got, row.second)
		}
	}
}

// TestGuideConversations holds what the guide says about one request after another.
func TestGuideConversations(t *testing.T) {
	type request struct {
		method string
		header []string
		want   string // X-Cache
		code   int
	}
	forwarded := []string{"X-Forwarded-Host", "evil.example"}
	for _, row := range []struct {
		name     string
		handler  http.HandlerFunc
		requests []request
	}{
		{"no-cache is confirmed at every use", func(w http.ResponseWriter, r *http.Request) {
			edgecache.NoCache(w)
			if !edgecache.NotModified(w, r, edgecache.ETag("v1")) {
				_, _ = io.WriteString(w, "the page")
			}
		}, []request{{"GET", nil, "MISS", 200}, {"GET", nil, "REVALIDATED", 200}, {"GET", nil, "REVALIDATED", 200}}},
		{"a POST removes the page", says(200), []request{
			{"GET", nil, "MISS", 200}, {"GET", nil, "HIT", 200}, {"POST", nil, "DYNAMIC", 200}, {"GET", nil, "MISS", 200}}},
		{"a POST that fails removes nothing", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			w.WriteHeader(http.StatusOK)
		}, []request{{"GET", nil, "MISS", 200}, {"POST", nil, "DYNAMIC", 400}, {"GET", nil, "HIT", 200}}},
		{"the answer to a POST that is the page of its URL is kept", says(200, "Content-Location", "/", "Cache-Control", "max-age=60"), []request{
			{"POST", nil, "MISS", 200}, {"GET", nil, "HIT", 200}}},
		{"another answer to a POST is not kept", says(200, "Cache-Control", "max-age=60"), []request{
			{"POST", nil, "DYNAMIC", 200}, {"GET", nil, "MISS", 200}}},
		{"HEAD is answered from what GET stored", says(200), []request{{"GET", nil, "MISS", 200}, {"HEAD", nil, "HIT", 200}}},
		{"a range is answered from the stored page", says(200), []request{
			{"GET", []string{"Range", "bytes=0-2"}, "MISS", 206}, {"GET", nil, "HIT", 200}, {"GET", []string{"Range", "bytes=0-2"}, "HIT", 206}}},
		{"a forwarded host has its own variant", says(200), []request{
			{"GET", forwarded, "MISS", 200}, {"GET", nil, "MISS", 200}, {"GET", forwarded, "HIT", 200}, {"GET", nil, "HIT", 200}}},
	} {
		h := edgecache.Cache(row.handler)
		for i, q := range row.requests {
			got := visit(h, q.method, q.header...)
			if got.Header.Get("X-Cache") != q.want || got.StatusCode != q.code {
				t.Errorf("%s: request %d: got %s and %d, want %s and %d", row.name, i+1, got.Header.Get("X-Cache"), got.StatusCode, q.want, q.code)
			}
		}
	}

	h := edgecache.Cache(says(200))
	visit(h, "GET")
	tag := visit(h, "GET").Header.Get("ETag")
	require.NotEmpty(t, tag, "a page without ETag gets one")
	require.Equal(t, 304, visit(h, "GET", "If-None-Match", tag).StatusCode)
}

// TestGuideWaiting holds that requests for a page that is being made wait for it, unless it may not
// be shared.
func TestGuideWaiting(t *testing.T) {
	for _, row := range []struct {
		name    string
		handler http.HandlerFunc
		runs    int64
		takes   time.Duration
	}{
		{"one run for a hundred", says(200), 1, time.Second},
		{"requests that waited in vain run at once, in parallel", says(200, "Cache-Control", "private"), 100, 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			var runs atomic.Int64
			h := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				runs.Add(1)
				time.Sleep(time.Second)
				row.handler(w, r)
			}))
			began := time.Now()
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() { visit(h, "GET") })
			}
			all.Wait()
			if runs.Load() != row.runs || time.Since(began) != row.takes {
				t.Errorf("%s: got %d runs in %v, want %d in %v", row.name, runs.Load(), time.Since(began), row.runs, row.takes)
			}
		})
	}
}

// TestGuideStale holds what is served past its time.
func TestGuideStale(t *testing.T) {
	for _, row := range []struct {
		name, header string
		status       int // of the handler, later on
		want         []string
	}{
		{"re-rendered in the background", "max-age=10, stale-while-revalidate=60", 200, []string{"UPDATING 200", "HIT 200"}},
		{"shown when the handler fails", "max-age=10, stale-if-error=60", 503, []string{"STALE 200"}},
		{"an answer with an error is an answer", "max-age=10", 503, []string{"BYPASS 503"}},
		{"s-maxage forbids both", "max-age=10, s-maxage=10, stale-while-revalidate=60, stale-if-error=60", 503, []string{"BYPASS 503"}},
		{"must-revalidate forbids both", "max-age=10, must-revalidate, stale-while-revalidate=60, stale-if-error=60", 503, []string{"BYPASS 503"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			status, header := 200, row.header
			h := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { says(status, "Cache-Control", header)(w, r) }))
			visit(h, "GET")
			time.Sleep(11 * time.Second)
			if status = row.status; status >= 500 {
				header = "no-store"
			}
			for _, want := range row.want {
				r := visit(h, "GET")
				synctest.Wait()
				if got := fmt.Sprint(r.Header.Get("X-Cache"), " ", r.StatusCode); got != want {
					t.Errorf("%s: got %s, want %s", row.name, got, want)
				}
			}
		})
	}
}
