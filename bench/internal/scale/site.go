// Package scale measures an Edge that holds much, for long, on several processors: in process, without a network.
//
// Each measurement expects a process of its own, so that the heap holds nothing else.
package scale

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// client takes everything and keeps nothing but the status.
type client struct {
	header http.Header
	status string // X-Cache
	size   int
}

func newClient() *client { return &client{header: make(http.Header, 16)} }

func (c *client) Header() http.Header { return c.header }

func (c *client) WriteHeader(int) {
	if v := c.header["X-Cache"]; len(v) > 0 {
		c.status = v[0]
	}
}

func (c *client) Write(p []byte) (int, error) {
	c.size += len(p)
	return len(p), nil
}

// ask sends a GET for target to h, with one more field if name is not empty.
func (c *client) ask(h http.Handler, target, name, value string) {
	clear(c.header)
	c.status, c.size = "", 0
	r := newRequest(target)
	if name != "" {
		r.Header[name] = []string{value}
	}
	h.ServeHTTP(c, r)
}

// newRequest returns a request as net/http makes it.
func newRequest(target string) *http.Request {
	r, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		panic(err) // targets are made here
	}
	r.RequestURI = target
	r.Host = "bench.example"
	r.Header = http.Header{"Accept-Encoding": {"gzip"}, "User-Agent": {"bench"}}
	return r
}

// typical is a page with the header that an application puts on it. Each value is a string of its own, as if it had just been
// made, so that what an entry keeps of it is seen on the heap.
func typical(size int) http.Handler {
	body := []byte(strings.Repeat("x", size))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Content-Type"] = []string{strings.Clone("text/html; charset=utf-8")}
		h["Cache-Control"] = []string{strings.Clone("public, max-age=3600, stale-while-revalidate=60")}
		h["Etag"] = []string{`"` + strconv.FormatUint(uint64(len(r.RequestURI))<<40, 36) + `"`}
		h["Last-Modified"] = []string{strings.Clone("Sun, 22 Nov 2026 12:00:00 GMT")}
		h["Vary"] = []string{strings.Clone("Accept-Encoding")}
		h["Content-Length"] = []string{strconv.Itoa(size)}
		_, _ = w.Write(body)
	})
}

// MiB prints bytes.
func MiB(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
