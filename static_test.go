package edgecache

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/engine"
)

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

// TestStaticBehindCache holds that the cache around a whole application gives static files through:
// they say MISS once and HIT then, answer their own conditions and ranges, and take no memory of
// the cache.
func TestStaticBehindCache(t *testing.T) {
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
	for k := range e.Mutants().Keys() {
		t.Errorf("the page cache has %q, want nothing", k)
	}
}
