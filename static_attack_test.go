package edgecache

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStaticShellBesideOtherAnswers holds that what is not found for a program is no answer for a browser, which gets the shell there: whoever
// asks first must not take a page of the application away from everybody.
func TestStaticShellBesideOtherAnswers(t *testing.T) {
	a := static(t, map[string]string{"index.html": "shell"}, StaticOptions{SPA: "index.html"})
	h := Cache(a.Handler(http.NotFoundHandler()))
	for range 2 {
		for _, row := range []struct {
			accept, vary string
			code         int
		}{{"application/json", "Accept", 404}, {"", "Accept", 200}, {"*/*", "Accept", 200}, {"text/html", "Accept", 200}, {"text/html;q=0", "Accept", 404}} {
			got := ask(h, "/users/1", "Accept", row.accept)
			if got.Code != row.code || got.Header().Get("Vary") != row.vary {
				t.Errorf("Accept %q: got %d, Vary %q, want %d, %q", row.accept, got.Code, got.Header().Get("Vary"), row.code, row.vary)
			}
		}
	}
	if got := ask(h, "/users/1.json", "Accept", "text/html"); got.Code != 404 || got.Header()["Vary"] != nil {
		t.Errorf("no page: got %d, Vary %q, want 404, none", got.Code, got.Header()["Vary"])
	}
}

// TestStaticShellOfManyPaths holds that whoever makes up paths fills no memory: each gets the shell, and none
// is stored.
func TestStaticShellOfManyPaths(t *testing.T) {
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
	for k := range e.memory.All() {
		t.Fatalf("the page cache has %q, want nothing", k)
	}
	if after := e.Stats(); after.Bytes != before.Bytes || after.Entries != before.Entries {
		t.Errorf("got %d bytes in %d entries, want what was there before", after.Bytes, after.Entries)
	}
}

// TestStaticSidecarOfTwoMembers holds that a compressed file is one that every browser decodes whole: many stop after the first member of a gzip file.
func TestStaticSidecarOfTwoMembers(t *testing.T) {
	two := string(gzipped(t, script[:1000])) + string(gzipped(t, script[1000:]))
	a := static(t, map[string]string{"a.js": script, "a.js.gz": two}, StaticOptions{MaxEncodedBytes: 1})
	if got := ask(a, a.URL("a.js"), "Accept-Encoding", "gzip").Header().Get("Content-Encoding"); got != "" {
		t.Errorf("got Content-Encoding %q, want none", got)
	}
}

// TestStaticURLStaysOnTheSite holds that no name makes a URL of another host.
func TestStaticURLStaysOnTheSite(t *testing.T) {
	for _, dev := range []bool{false, true} {
		a := static(t, map[string]string{"a.js": "a"}, StaticOptions{Prefix: "/", Dev: dev})
		for _, name := range []string{"//evil.example/x.js", "///evil.example", `/\evil.example`, "//"} {
			if got := a.URL(name); strings.HasPrefix(got, "//") || strings.HasPrefix(got, `/\`) {
				t.Errorf("dev %v, %s: got %s", dev, name, got)
			}
		}
	}
}
