package edgecache_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

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

// gzipped compresses each answer anew, with a writer from a pool, as middleware does.
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
