package engine_test

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestHeap(t *testing.T) {
	t.Run("an entry takes what it is charged for", anEntryTakesWhatItIsChargedFor)
	t.Run("hosts that a proxy tells are charged for", hostsThatAProxyTellsAreChargedFor)
}

// articles is a site whose pages have the header that applications put on them. Each value is a
// string of its own, as if it had just been made, so that what an entry keeps of it is seen on the
// heap.
func articles(body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Content-Type"] = []string{strings.Clone("text/html; charset=utf-8")}
		h["Cache-Control"] = []string{strings.Clone("public, max-age=3600, stale-while-revalidate=60")}
		h["Etag"] = []string{`"` + strconv.Itoa(len(r.RequestURI)+1e9) + `"`}
		h["Last-Modified"] = []string{strings.Clone("Sun, 22 Nov 2026 12:00:00 GMT")}
		h["Vary"] = []string{strings.Clone("Accept-Encoding")}
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
		_, _ = w.Write(body)
	})
}

// What a stored page takes beyond its key, its header (names and values) and its body, and that it
// is charged for what it takes.
func anEntryTakesWhatItIsChargedFor(t *testing.T) {
	const pages, most = 20_000, 250
	body := bytes.Repeat([]byte("x"), 1<<10)
	for name, site := range map[string]http.Handler{"a page with five fields": articles(body), "a page without validators": harness.Page(body)} {
		t.Run(name, func(t *testing.T) {
			edge, err := edgecache.New(edgecache.Config{MaxBytes: 1 << 30})
			require.NoError(t, err)
			h := edge.Handler(site)
			r := harness.BrowserRequest("https://example.com/")
			w := harness.NewSink()
			ask := func(target string) {
				w.Reset()
				r.RequestURI = target
				r.URL.Path, r.URL.RawQuery, _ = strings.Cut(target, "?")
				h.ServeHTTP(w, r)
			}
			ask("/warm")
			before := live()
			for i := range pages {
				ask(fmt.Sprintf("/articles/%08d?page=1", i))
			}
			heap := (live() - before) / pages
			charged := edge.Stats().Bytes / pages

			ask(fmt.Sprintf("/articles/%08d?page=1", pages-1))
			require.Equal(t, "HIT", w.Fields.Get("X-Cache"))
			require.Equal(t, pages+1, edge.Stats().Entries)
			given := len(body) + len(key.OfURL(nil, "https", "example.com", "/articles/00000000?page=1"))
			for name, values := range w.Fields {
				if name == "Age" || name == "X-Cache" || name == "Cache-Status" {
					continue
				}
				given += len(name)
				for _, v := range values {
					given += len(v)
				}
			}
			overhead := heap - int64(given)
			t.Logf("%d B of heap, %d of them beyond key, header and body; %d are charged", heap, overhead, charged)
			if overhead > most {
				t.Errorf("%d B beyond key, header and body, want at most %d", overhead, most)
			}
			if charged < heap || charged > heap+heap/5 {
				t.Errorf("%d B are charged for %d", charged, heap)
			}
			runtime.KeepAlive(h)
		})
	}
}

// A stranger makes up hosts that a proxy might have told: each is listed for purges, and is charged
// for that.
func hostsThatAProxyTellsAreChargedFor(t *testing.T) {
	const pages, hosts = 5_000, 6
	edge, err := edgecache.New(edgecache.Config{MaxBytes: 1 << 30})
	require.NoError(t, err)
	h := edge.Handler(harness.Page([]byte("x")))
	before := live()
	for i := range pages {
		r := harness.BrowserRequest(fmt.Sprint("https://example.com/", i))
		for j := range hosts {
			r.Header[fmt.Sprint("X-Forwarded-Host-", j)] = []string{fmt.Sprintf("%d.%d.made.up.example", i, j)}
		}
		h.ServeHTTP(harness.NewSink(), r)
	}
	heap, charged := (live()-before)/pages, edge.Stats().Bytes/pages
	t.Logf("%d B of heap, %d are charged", heap, charged)
	if require.Equal(t, pages, edge.Stats().Entries); charged < heap || charged > heap+heap/2 {
		t.Errorf("%d B are charged for %d", charged, heap)
	}
	runtime.KeepAlive(h)
}

// live returns what is live on the heap, in bytes.
func live() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
