package edgecache_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

// freshKeys returns a handler that asks h for another page each time, so that nothing of it is stored yet.
func freshKeys(h http.Handler) http.Handler {
	n := 0
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		r.RequestURI = fmt.Sprintf("/page?%08d", n)
		r.URL.RawQuery = r.RequestURI[len("/page?"):]
		h.ServeHTTP(w, r)
	})
}

// refused answers what may not be stored.
func refused(body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(body)
	})
}

// passing is what goes through the cache without being stored, each with the request that asks for it.
func passing(body []byte) []passed {
	post := harness.BrowserRequest("https://example.com/page")
	post.Method = http.MethodPost
	head := harness.BrowserRequest("https://example.com/page")
	head.Method = http.MethodHead
	return []passed{
		{"no-store", refused(body), harness.BrowserRequest("https://example.com/page"), 5},
		{"POST", refused(body), post, 11},
		{"HEAD", refused(body), head, 3},
	}
}

type passed struct {
	name    string
	h       http.Handler
	r       *http.Request
	ceiling float64 // allocations beyond those of the bare handler
}

// missCeiling is how many allocations a miss may cost beyond the bare handler.
const missCeiling = 14

func BenchmarkMiss(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 1<<10)
	r := harness.BrowserRequest("https://example.com/page")
	b.Run("bare/1KiB", func(b *testing.B) { benchmarkServed(b, freshKeys(harness.Page(body)), r) })
	b.Run("miss/1KiB", func(b *testing.B) { benchmarkServed(b, freshKeys(edgecache.Cache(harness.Page(body))), r) })
	mux := http.NewServeMux()
	mux.Handle("GET /page", harness.Page(body))
	b.Run("mux/bare/1KiB", func(b *testing.B) { benchmarkServed(b, freshKeys(mux), r) })
	b.Run("mux/miss/1KiB", func(b *testing.B) { benchmarkServed(b, freshKeys(edgecache.Cache(mux)), r) })
}

func BenchmarkPass(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 1<<10)
	for _, p := range passing(body) {
		b.Run(p.name+"/bare", func(b *testing.B) { benchmarkServed(b, p.h, p.r) })
		b.Run(p.name+"/passed", func(b *testing.B) { benchmarkServed(b, edgecache.Cache(p.h), p.r) })
	}
}

// benchmarkServed measures h for a client whose writer is one of net/http's.
func benchmarkServed(b *testing.B, h http.Handler, r *http.Request) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}

func TestMissAlloc(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 1<<10)
	bare, miss := beyondBare(freshKeys(harness.Page(body)), freshKeys(edgecache.Cache(harness.Page(body))), harness.BrowserRequest("https://example.com/page"))
	t.Logf("miss: %v allocations; bare handler: %v", miss, bare)
	if miss > bare+missCeiling {
		t.Errorf("miss: got %v allocations, want at most %v more than the bare handler's %v", miss, missCeiling, bare)
	}
}

func TestPassAlloc(t *testing.T) {
	for _, p := range passing(bytes.Repeat([]byte("x"), 1<<10)) {
		bare, passed := beyondBare(p.h, edgecache.Cache(p.h), p.r)
		t.Logf("%s: %v allocations; bare handler: %v", p.name, passed, bare)
		if passed > bare+p.ceiling {
			t.Errorf("%s: got %v allocations, want at most %v more than the bare handler's %v", p.name, passed, p.ceiling, bare)
		}
	}
}

// beyondBare returns what a request allocates with the bare handler and with the cache, of a client whose writer is one of net/http's.
func beyondBare(bare, cache http.Handler, r *http.Request) (ofBare, ofCache float64) {
	measure := func(h http.Handler) float64 {
		allocs, _ := harness.Cost(func() { h.ServeHTTP(httptest.NewRecorder(), r) })
		return allocs
	}
	return measure(bare), measure(cache)
}
