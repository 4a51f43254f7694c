package edgecache

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/engine"
)

func TestStatic(t *testing.T) {
	t.Run("the cache gives it through", theCacheGivesItThrough)
	t.Run("two caches store nothing of it", twoCachesStoreNothingOfIt)
	t.Run("made-up paths fill no memory", madeUpPathsFillNoMemory)
}

func staticFixture(t *testing.T) *Assets {
	t.Helper()
	a, err := Static(fstest.MapFS{
		"css/app.css":   {Data: []byte(`@import "base.css"; a{background:url(../img/a.png?v#x)}`)},
		"css/base.css":  {Data: []byte(`b{}`)},
		"img/a.png":     {Data: []byte("png")},
		"js/app.js":     {Data: []byte("import './x.js'")},
		"js/app.js.map": {Data: []byte("{}")},
	}, StaticOptions{})
	require.NoError(t, err)
	return a
}

// The cache around a whole application gives static files through:
// they say MISS once and HIT then, answer their own conditions and ranges, and take no memory of
// the cache.
func theCacheGivesItThrough(t *testing.T) {
	a := staticFixture(t)
	e, err := New(Config{StatusHeader: "Cf-Cache-Status", StatusName: "site"})
	require.NoError(t, err)
	h := e.Handler(a.Handler(http.NotFoundHandler()))
	url := a.URL("img/a.png")
	for _, row := range []struct {
		name, method, field, value string
		code                       int
		word, cache, body          string
	}{
		{"the first is read", "GET", "", "", 200, "MISS", "site; fwd=uri-miss", "png"},
		{"the second is a hit", "GET", "", "", 200, "HIT", "site; hit", "png"},
		{"a condition is answered", "GET", "If-None-Match", `"8f8cbb7dcf46e0bc"`, 304, "HIT", "site; hit", ""},
		{"a range is answered", "GET", "Range", "bytes=1-", 206, "HIT", "site; hit", "ng"},
		{"a precondition goes past the cache and is a hit", "GET", "If-Match", `"8f8cbb7dcf46e0bc"`, 200, "HIT", "site; hit", "png"},
		{"HEAD is a hit", "HEAD", "", "", 200, "HIT", "site; hit", ""},
		{"POST is not", "POST", "", "", 405, "DYNAMIC", "site; fwd=method", "Method Not Allowed\n"},
		{"PUT is not", "PUT", "", "", 405, "DYNAMIC", "site; fwd=method", "Method Not Allowed\n"},
	} {
		r := httptest.NewRequest(row.method, url, nil)
		if row.field != "" {
			r.Header.Set(row.field, row.value)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != row.code || w.Body.String() != row.body {
			t.Errorf("%s: got %d %q, want %d %q", row.name, w.Code, w.Body, row.code, row.body)
		}
		if got := w.Header()["Cf-Cache-Status"]; len(got) != 1 || got[0] != row.word {
			t.Errorf("%s: got Cf-Cache-Status %q, want %q", row.name, got, row.word)
		}
		if got := w.Header()["Cache-Status"]; len(got) != 1 || got[0] != row.cache {
			t.Errorf("%s: got Cache-Status %q, want %q", row.name, got, row.cache)
		}
		for _, name := range []string{"X-Cache", engine.StaticField} {
			if got := w.Header()[name]; got != nil {
				t.Errorf("%s: got %s %q, want none", row.name, name, got)
			}
		}
	}
	require.Zero(t, e.Stats().URLs, "the page cache has something, want nothing")
}

// Neither of them stores a file, and both count it as what it is.
func twoCachesStoreNothingOfIt(t *testing.T) {
	a := static(t, map[string]string{"a.txt": "a"}, StaticOptions{})
	inner, err := New(Config{StatusName: "inner", StatusHeader: "-"})
	require.NoError(t, err)
	outer, err := New(Config{StatusName: "outer"})
	require.NoError(t, err)
	h := outer.Handler(inner.Handler(a))
	url := a.URL("a.txt")
	for i, want := range []string{"MISS", "HIT", "HIT"} {
		got := ask(h, url)
		if got.Header().Get("X-Cache") != want || got.Body.String() != "a" || got.Header()[engine.StaticField] != nil {
			t.Errorf("%d: got %v, want %s", i, got.Header(), want)
		}
	}
	for _, e := range []*Edge{inner, outer} {
		require.Zero(t, e.Stats().URLs)
	}
}

// Made-up paths take no memory: each gets the
// shell, and none is stored.
func madeUpPathsFillNoMemory(t *testing.T) {
	a := static(t, map[string]string{"index.html": "shell"}, StaticOptions{SPA: "index.html"})
	e, err := New(Config{})
	require.NoError(t, err)
	h := e.Handler(a.Handler(http.NotFoundHandler()))
	before := e.Stats()
	for i := range 2000 {
		path := "/" + strconv.Itoa(i) + strings.Repeat("/long", i%200)
		for _, accept := range []string{"text/html", "*/*", ""} {
			if got := ask(h, path, "Accept", accept); got.Code != 200 || got.Body.String() != "shell" {
				t.Fatalf("%s: got %d %q, want the shell", path, got.Code, got.Body)
			}
		}
	}
	require.Zero(t, e.Stats().URLs, "the page cache has something, want nothing")
	if after := e.Stats(); after.Bytes != before.Bytes || after.Entries != before.Entries {
		t.Errorf("got %d bytes in %d entries, want what was there before", after.Bytes, after.Entries)
	}
}

func static(t testing.TB, files map[string]string, options StaticOptions) *Assets {
	t.Helper()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	a, err := Static(tree, options)
	require.NoError(t, err)
	return a
}

func ask(h http.Handler, url string, fields ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, url, nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
