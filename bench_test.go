package edgecache_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestAllocations(t *testing.T) {
	t.Run("a hit allocates little more than a bare handler", aHitAllocatesLittleMoreThanABareHandler)
	t.Run("a hit of a short-lived page allocates once", aHitOfAShortLivedPageAllocatesOnce)
	t.Run("a miss", aMiss)
	t.Run("a pass", aPass)
}

// bare is a handler that says by hand all that a hit says, and writes the same bytes.
func bare(body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Length", strconv.Itoa(len(body)))
		h.Set("Cache-Control", "max-age=3600")
		h.Set("Etag", `"ec-0123456789abcdef01234567"`)
		h.Set("Date", "Sun, 22 Nov 2026 12:00:00 GMT")
		h.Set("Age", "0")
		h.Set("X-Cache", "HIT")
		h.Set("Cache-Status", "edgecache; hit; ttl=3599")
		_, _ = w.Write(body)
	})
}

// hits returns a cache that has the page for r.
func hits(tb testing.TB, body []byte, r *http.Request) http.Handler {
	tb.Helper()
	h := edgecache.Cache(harness.Page(body))
	h.ServeHTTP(harness.NewSink(), r)
	w := harness.NewSink()
	h.ServeHTTP(w, r)
	require.Equal(tb, "HIT", w.Fields.Get("X-Cache"))
	return h
}

func aHitAllocatesLittleMoreThanABareHandler(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 1<<10)
	r := harness.BrowserRequest("https://example.com/page")
	measure := func(h http.Handler) (allocs, size float64) {
		w := harness.NewSink()
		return harness.Cost(func() {
			w.Reset()
			h.ServeHTTP(w, r)
		})
	}
	bareAllocs, bareSize := measure(bare(body))
	allocs, size := measure(hits(t, body, r))
	t.Logf("hit: %v allocations, %v B; bare handler: %v, %v B", allocs, size, bareAllocs, bareSize)
	if allocs > bareAllocs+2 || size > bareSize+400 {
		t.Errorf("hit: got %v allocations and %v B, want at most 2 and 400 B more than the bare handler's %v and %v B", allocs, size, bareAllocs, bareSize)
	}
}

// The array of header values is one client's. The texts in it are shared: the status of a page with
// minutes to live is ready made.
func aHitOfAShortLivedPageAllocatesOnce(t *testing.T) {
	h := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edgecache.MaxAge(w, 2*time.Minute)
		edgecache.Vary(w, "Accept-Encoding")
		_, _ = w.Write(make([]byte, 1<<10))
	}))
	r, w := harness.BrowserRequest("https://example.com/page"), harness.NewSink()
	h.ServeHTTP(w, r)
	if allocs, size := harness.Cost(func() { w.Reset(); h.ServeHTTP(w, r) }); allocs > 1 || size > 160 {
		t.Errorf("got %v allocations and %v B, want at most 1 and 160 B", allocs, size)
	}
	if got := w.Fields.Get("Cache-Status"); !strings.HasPrefix(got, "edgecache; hit; ttl=1") {
		t.Errorf("got %q", got)
	}
}

func benchmarkHandler(b *testing.B, h http.Handler, r *http.Request) {
	w := harness.NewSink()
	b.ReportAllocs()
	for b.Loop() {
		w.Reset()
		h.ServeHTTP(w, r)
	}
}

func BenchmarkInProcess(b *testing.B) {
	small, large := bytes.Repeat([]byte("x"), 1<<10), bytes.Repeat([]byte("x"), 1<<20)
	r := harness.BrowserRequest("https://example.com/page")
	b.Run("bare/1KiB", func(b *testing.B) { benchmarkHandler(b, bare(small), r) })
	b.Run("hit/1KiB", func(b *testing.B) { benchmarkHandler(b, hits(b, small, r), r) })
	b.Run("bare/1MiB", func(b *testing.B) { benchmarkHandler(b, bare(large), r) })
	b.Run("hit/1MiB", func(b *testing.B) { benchmarkHandler(b, hits(b, large, r), r) })
	b.Run("hit/64KiB", func(b *testing.B) { benchmarkHandler(b, hits(b, bytes.Repeat(small, 64), r), r) })
	for _, row := range []struct {
		name   string
		policy edgecache.Policy
		fields []string // added to what a browser sends
	}{
		{"proxied", edgecache.Policy{}, []string{"X-Forwarded-For", "192.0.2.1", "X-Forwarded-Host", "example.com", "X-Forwarded-Proto", "https"}},
		{"vary", edgecache.Policy{Vary: []string{"Accept-Encoding"}}, nil},
		{"session", edgecache.Policy{Public: true}, []string{"Cookie", "session=0123456789abcdef"}},
		{"reload", edgecache.Policy{Immutable: true}, []string{"Cache-Control", "max-age=0"}},
	} {
		b.Run("hit/"+row.name, func(b *testing.B) {
			r := harness.BrowserRequest("https://example.com/page")
			for i := 0; i < len(row.fields); i += 2 {
				r.Header.Set(row.fields[i], row.fields[i+1])
			}
			h := edgecache.Cache(row.policy.Handler(harness.Page(small)))
			h.ServeHTTP(harness.NewSink(), r)
			w := harness.NewSink()
			h.ServeHTTP(w, r)
			require.Equal(b, "HIT", w.Fields.Get("X-Cache"))
			benchmarkHandler(b, h, r)
		})
	}
	b.Run("304", func(b *testing.B) {
		h := hits(b, small, r)
		w := harness.NewSink()
		h.ServeHTTP(w, r)
		conditional := harness.BrowserRequest("https://example.com/page")
		conditional.Header.Set("If-None-Match", w.Fields.Get("Etag"))
		benchmarkHandler(b, h, conditional)
	})
	b.Run("range", func(b *testing.B) {
		ranged := harness.BrowserRequest("https://example.com/page")
		ranged.Header.Set("Range", "bytes=100-199")
		benchmarkHandler(b, hits(b, small, r), ranged)
	})
	b.Run("miss/1KiB", func(b *testing.B) {
		h := edgecache.Cache(harness.Page(small))
		w := harness.NewSink()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			w.Reset()
			r.RequestURI = "/page?" + strconv.Itoa(i)
			r.URL.RawQuery = r.RequestURI[len("/page?"):]
			h.ServeHTTP(w, r)
		}
	})
	b.Run("nostore/1KiB", func(b *testing.B) {
		h := edgecache.Cache(edgecache.Policy{NoStore: true}.Handler(harness.Page(small)))
		benchmarkHandler(b, h, harness.BrowserRequest("https://example.com/private"))
	})
}

// BenchmarkLoopback compares over real connections, keep-alive, in one run.
func BenchmarkLoopback(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		body := bytes.Repeat([]byte("x"), size)
		for _, c := range []struct {
			name string
			h    http.Handler
		}{{"bare", bare(body)}, {"hit", edgecache.Cache(harness.Page(body))}} {
			b.Run(fmt.Sprintf("%s/%dKiB", c.name, size>>10), func(b *testing.B) {
				server := httptest.NewServer(c.h)
				defer server.Close()
				b.SetBytes(int64(size))
				b.RunParallel(func(pb *testing.PB) {
					conn, err := net.Dial("tcp", server.Listener.Addr().String())
					if err != nil {
						b.Error(err)
						return
					}
					defer conn.Close()
					request := []byte("GET /page HTTP/1.1\r\nHost: example.com\r\n\r\n")
					buf := make([]byte, 64<<10)
					for pb.Next() {
						if _, err := conn.Write(request); err != nil {
							b.Error(err)
							return
						}
						if err := readResponse(conn, buf, size); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}

// readResponse reads a response whose body has size bytes, without parsing more than it must.
func readResponse(conn net.Conn, buf []byte, size int) error {
	n := 0
	for {
		m, err := conn.Read(buf[n:])
		if err != nil {
			return err
		}
		n += m
		if end := bytes.Index(buf[:n], []byte("\r\n\r\n")); end >= 0 {
			_, err := io.CopyN(io.Discard, conn, int64(size-(n-end-4)))
			return err
		}
	}
}

// freshKeys returns a handler that asks h for another page each time, so that nothing of it is
// stored yet.
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

// passing is what goes through the cache without being stored, each with the request that asks for
// it.
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

func aMiss(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 1<<10)
	bare, miss := beyondBare(freshKeys(harness.Page(body)), freshKeys(edgecache.Cache(harness.Page(body))), harness.BrowserRequest("https://example.com/page"))
	t.Logf("miss: %v allocations; bare handler: %v", miss, bare)
	if miss > bare+missCeiling {
		t.Errorf("miss: got %v allocations, want at most %v more than the bare handler's %v", miss, missCeiling, bare)
	}
}

func aPass(t *testing.T) {
	for _, p := range passing(bytes.Repeat([]byte("x"), 1<<10)) {
		bare, passed := beyondBare(p.h, edgecache.Cache(p.h), p.r)
		t.Logf("%s: %v allocations; bare handler: %v", p.name, passed, bare)
		if passed > bare+p.ceiling {
			t.Errorf("%s: got %v allocations, want at most %v more than the bare handler's %v", p.name, passed, p.ceiling, bare)
		}
	}
}

// beyondBare returns what a request allocates with the bare handler and with the cache, of a client
// whose writer is one of net/http's.
func beyondBare(bare, cache http.Handler, r *http.Request) (ofBare, ofCache float64) {
	measure := func(h http.Handler) float64 {
		allocs, _ := harness.Cost(func() { h.ServeHTTP(httptest.NewRecorder(), r) })
		return allocs
	}
	return measure(bare), measure(cache)
}

// article is a page of about 50 KB with the variety of a real one: words drawn from a vocabulary,
// in markup, with numbers and links.
func article() string {
	d := harness.NewDice(50)
	vocabulary := make([]string, 2000)
	for i := range vocabulary {
		word := make([]byte, 2+d.IntN(9))
		for j := range word {
			word[j] = "etaoinshrdlucmfwypvbgkjqxz"[d.IntN(1+d.IntN(26))]
		}
		vocabulary[i] = string(word)
	}
	var b strings.Builder
	b.WriteString("<!doctype html><html lang=en><head><meta charset=utf-8><title>News</title><link rel=stylesheet href=/static/app.css></head><body>\n")
	for i := 0; b.Len() < 50_000; i++ {
		fmt.Fprintf(&b, "<article class=\"card card--news\" id=\"story-%d\"><h2><a href=\"/news/%d/%s\">", d.IntN(1e6), d.IntN(1e6), vocabulary[d.IntN(2000)])
		for n := range 60 {
			b.WriteString(vocabulary[d.IntN(1+d.IntN(2000))])
			b.WriteString([]string{" ", " ", " ", ", ", ". "}[d.IntN(5)])
			if n == 8 {
				fmt.Fprintf(&b, "</a></h2><time datetime=\"2026-11-%02dT%02d:%02d\"></time><p class=\"card__text\">", 1+d.IntN(30), d.IntN(24), d.IntN(60))
			}
		}
		b.WriteString("</p></article>\n")
	}
	return b.String()
}

// gzipped compresses each response, with a writer from a pool, as middleware does.
func gzipped(next http.Handler) http.Handler {
	pool := sync.Pool{New: func() any { return gzip.NewWriter(io.Discard) }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		zw := pool.Get().(*gzip.Writer)
		defer pool.Put(zw)
		zw.Reset(w)
		next.ServeHTTP(&gzipWriter{w, zw}, r)
		_ = zw.Close()
	})
}

type gzipWriter struct {
	http.ResponseWriter
	zw *gzip.Writer
}

func (g *gzipWriter) WriteHeader(status int) {
	h := g.Header()
	h.Set("Content-Encoding", "gzip")
	h.Add("Vary", "Accept-Encoding")
	h.Del("Content-Length")
	g.ResponseWriter.WriteHeader(status)
}

func (g *gzipWriter) Write(p []byte) (int, error) { return g.zw.Write(p) }

// BenchmarkEncode is what a page costs once.
func BenchmarkEncode(b *testing.B) {
	text := []byte(article())
	for c := coding.Brotli; c < coding.Count; c++ {
		b.Run(c.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				packed, err := coding.Encode(c, bytes.NewReader(text), false)
				require.NoError(b, err)
				b.ReportMetric(float64(len(packed)), "wire-B")
			}
		})
	}
}

// BenchmarkCompress compares hits of one page: as it is, compressed once, and compressed for each
// request.
func BenchmarkCompress(b *testing.B) {
	text := article()
	edge := func(compress bool) http.Handler {
		e, err := edgecache.New(edgecache.Config{Compress: compress})
		require.NoError(b, err)
		return e.Handler(harness.Page([]byte(text)))
	}
	for _, c := range []struct {
		name, accept string
		h            http.Handler
		want         string
	}{
		{"off", harness.AcceptEncoding, edge(false), ""},
		{"identity", "identity", edge(true), ""},
		{"br", harness.AcceptEncoding, edge(true), "br"},
		{"zstd", "zstd", edge(true), "zstd"},
		{"gzip", "gzip", edge(true), "gzip"},
		{"gzip-per-request", "gzip", gzipped(edge(false)), "gzip"},
	} {
		r := harness.BrowserRequest("http://example.com/")
		r.Header.Set("Accept-Encoding", c.accept)
		w := harness.NewSink()
		for warm := 0; warm < 3 || w.Fields.Get("Content-Encoding") != c.want; warm++ {
			w.Reset()
			c.h.ServeHTTP(w, r)
			runtime.Gosched()
		}
		b.Run(c.name, func(b *testing.B) {
			benchmarkHandler(b, c.h, r)
			w.Reset()
			c.h.ServeHTTP(w, r)
			b.ReportMetric(float64(w.Size), "wire-B")
		})
	}
}
