package edgecache_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

// RFC 9111, 4.1: the stored response is selected by the fields of the request that came in.
func TestWhatTheHandlerMakesOfItsRequestDoesNotSayForWhomThePageIs(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(h http.Header)
	}{
		{"a field that is set", func(h http.Header) { h.Set("X-Colour", "blue") }},
		{"a value that is overwritten where it stands", func(h http.Header) { copy(h["X-Colour"], []string{"blue"}) }},
		{"a field that is deleted", func(h http.Header) { h.Del("X-Colour") }},
		{"a line that is added", func(h http.Header) { h.Add("X-Colour", "blue") }},
		{"a header that is emptied", func(h http.Header) { clear(h) }},
	} {
		for _, when := range []string{"before the header", "after it"} {
			for _, conditional := range []bool{false, true} {
				t.Run(tt.name+" "+when, func(t *testing.T) {
					cache := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						team := r.Header.Get("X-Colour")
						w.Header().Set("Vary", "X-Colour")
						if when == "after it" {
							w.WriteHeader(http.StatusOK)
						}
						tt.change(r.Header)
						io.WriteString(w, team)
					}))
					get := func(team string) (word, body string) {
						r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
						if team != "" {
							r.Header.Set("X-Colour", team)
						}
						if conditional {
							r.Header.Set("If-None-Match", `"other"`)
						}
						w := httptest.NewRecorder()
						cache.ServeHTTP(w, r)
						return w.Header().Get("X-Cache"), w.Body.String()
					}
					for _, want := range []string{"MISS", "HIT"} {
						word, body := get("red")
						require.Equal(t, []string{want, "red"}, []string{word, body})
					}
					for _, other := range []string{"blue", "", "red, blue"} {
						word, body := get(other)
						require.Equal(t, []string{"MISS", other}, []string{word, body})
					}
				})
			}
		}
	}
}

// Those who stand outside see of their request what the handler has made of it, as without us, and nothing that the cache has taken off for the handler.
func TestHeaderOfTheRequestOutsideIsAsTheHandlerLeavesIt(t *testing.T) {
	for _, tt := range []struct {
		name   string
		header http.Header
	}{
		{"a plain request", http.Header{"Accept": {"text/html"}}},
		{"a request with a condition", http.Header{"If-None-Match": {`"a"`}, "If-Modified-Since": {"Sun, 22 Nov 2026 12:00:00 GMT"}}},
		{"a request for a range", http.Header{"Range": {"bytes=0-1"}, "If-Range": {`"a"`}}},
		{"a request with a field that has no line", http.Header{"X-Empty": {}}},
		{"a request without any field", http.Header{}},
		{"a request with many fields", fieldsWithLines(40)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cache := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for _, name := range []string{"If-None-Match", "If-Modified-Since", "Range", "If-Range"} {
					require.NotContains(t, r.Header, name, "a fill is a plain GET")
				}
				io.WriteString(w, "page")
			}))
			r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
			r.Header = tt.header.Clone()
			cache.ServeHTTP(httptest.NewRecorder(), r)
			require.Equal(t, tt.header, r.Header)
		})
	}
}

func fieldsWithLines(n int) http.Header {
	h := make(http.Header)
	for i := range n {
		h["X-"+string(rune('A'+i%26))+string(rune('a'+i/26))] = slices.Repeat([]string{"v"}, 1+i%3)
	}
	return h
}

// A handler that changes its request while others wait for the same page must not be in their way: run with -race.
func TestHandlerMayChangeItsRequestAtAnyTime(t *testing.T) {
	left := make(chan struct{})
	cache := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "X-Colour")
		go func() {
			defer close(left)
			for range 1000 {
				r.Header.Set("X-Colour", "blue")
				r.Header.Del("X-Colour")
			}
		}()
		io.WriteString(w, "page")
	}))
	r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
	r.Header.Set("X-Colour", "red")
	cache.ServeHTTP(httptest.NewRecorder(), r)
	<-left
	r = httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
	r.Header.Set("X-Colour", "red")
	w := httptest.NewRecorder()
	cache.ServeHTTP(w, r)
	require.Equal(t, "HIT", w.Header().Get("X-Cache"))
}

// looking is the writer of a middleware outside that looks at the request with each write.
type looking struct {
	http.ResponseWriter
	r *http.Request
}

func (l *looking) Write(p []byte) (int, error) {
	_ = l.r.Header.Get("Accept-Encoding")
	return l.ResponseWriter.Write(p)
}

// While the client gets the page, from another goroutine, its handler goes on. Two goroutines must not share a map that one of them changes: that ends the process.
func TestMiddlewareOutsideMayLookAtTheRequestWhileTheHandlerChangesIt(t *testing.T) {
	cache := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := range 200 {
			_, _ = io.WriteString(w, strings.Repeat("x", 100))
			r.Header.Set("X-Piece", fmt.Sprint(i))
		}
	}))
	for i := range 50 {
		w, r := httptest.NewRecorder(), harness.Request("GET", fmt.Sprint("/", i))
		cache.ServeHTTP(&looking{w, r}, r)
		require.Equal(t, 20_000, w.Body.Len())
	}
}
