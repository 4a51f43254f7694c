package assets_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

func TestShell(t *testing.T) {
	t.Run("it answers for browsers only where nothing else is there", itAnswersForBrowsersOnlyWhereNothingElseIsThere)
	t.Run("it answers behind a framework", itAnswersBehindAFramework)
}

func TestNames(t *testing.T) {
	t.Run("a compressed file of two members is not used", aCompressedFileOfTwoMembersIsNotUsed)
	t.Run("no name makes a URL of another host", noNameMakesAURLOfAnotherHost)
}

// A 404 for a program is not the response for a browser, which gets the shell: the first client
// must not take a page of the application away from all others.
func itAnswersForBrowsersOnlyWhereNothingElseIsThere(t *testing.T) {
	a := static(t, map[string]string{"index.html": "shell"}, edgecache.StaticOptions{SPA: "index.html"})
	h := edgecache.Cache(a.Handler(http.NotFoundHandler()))
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

// The 404 of a framework whose handlers return errors, and which writes after they returned, is
// like any other: browsers get the page instead, complete, and others get Vary.
func itAnswersBehindAFramework(t *testing.T) {
	a := static(t, map[string]string{"index.html": "shell"}, edgecache.StaticOptions{SPA: "index.html"})
	framework := func(status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Outer", "1")
			inner := w
			a.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Inner", "1")
				inner = w
			})).ServeHTTP(w, r)
			inner.Header().Set("Content-Type", "application/json")
			inner.Header().Set("Content-Length", "2")
			inner.WriteHeader(status)
			_, _ = inner.Write([]byte("{}"))
		})
	}
	for _, row := range []struct {
		name, accept string
		status, want int
		body, vary   string
	}{
		{"a browser, not found", "text/html", 404, 200, "shell", "Accept"},
		{"a program, not found", "application/json", 404, 404, "{}", "Accept"},
		{"a browser, found", "text/html", 200, 200, "{}", ""},
		{"a program, found", "application/json", 200, 200, "{}", ""},
		{"a browser, another error", "text/html", 403, 403, "{}", ""},
	} {
		server := httptest.NewServer(framework(row.status))
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/users/1", nil)
		require.NoError(t, err)
		request.Header.Set("Accept", row.accept)
		got, err := server.Client().Do(request)
		require.NoError(t, err, row.name)
		body, err := io.ReadAll(got.Body)
		got.Body.Close()
		server.Close()
		if err != nil || got.StatusCode != row.want || string(body) != row.body || got.Header.Get("Vary") != row.vary || got.Header.Get("X-Outer") != "1" {
			t.Errorf("%s: got %d %q %v %v, want %d %q", row.name, got.StatusCode, body, got.Header, err, row.want, row.body)
		}
		if inner := got.Header.Get("X-Inner"); (inner == "") != (row.body == "shell") {
			t.Errorf("%s: got X-Inner %q", row.name, inner)
		}
	}
}

// A compressed file is used only if every browser decodes it completely: many stop after the first
// member of a gzip file.
func aCompressedFileOfTwoMembersIsNotUsed(t *testing.T) {
	two := string(gzipped(t, script[:1000])) + string(gzipped(t, script[1000:]))
	a := static(t, map[string]string{"a.js": script, "a.js.gz": two}, edgecache.StaticOptions{MaxEncodedBytes: 1})
	if got := ask(a, a.URL("a.js"), "Accept-Encoding", "gzip").Header().Get("Content-Encoding"); got != "" {
		t.Errorf("got Content-Encoding %q, want none", got)
	}
}

// No name makes a URL of another host.
func noNameMakesAURLOfAnotherHost(t *testing.T) {
	for _, dev := range []bool{false, true} {
		a := static(t, map[string]string{"a.js": "a"}, edgecache.StaticOptions{Prefix: "/", Dev: dev})
		for _, name := range []string{"//evil.example/x.js", "///evil.example", `/\evil.example`, "//"} {
			if got := a.URL(name); strings.HasPrefix(got, "//") || strings.HasPrefix(got, `/\`) {
				t.Errorf("dev %v, %s: got %s", dev, name, got)
			}
		}
	}
}
