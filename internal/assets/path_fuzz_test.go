package assets_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

// FuzzStaticPath holds that no path panics, or opens a file outside, a hidden one or a folder, in
// production and in development, on a directory and on an fs.FS.
func FuzzStaticPath(f *testing.F) {
	parent := f.TempDir()
	dir := filepath.Join(parent, "root")
	for name, text := range map[string]string{
		"../secret.txt": "SECRET", ".env": "SECRET", ".git/config": "SECRET", "sub/.hidden": "SECRET", ".well-known/.secret": "SECRET", "m.json": "SECRET{}",
		"a.js": "public", "a.js.gz": "SECRET", "sub/b.css": "public", ".well-known/x": "public", "sub/c-0123456789abcdef.css": "public",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(f, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(f, os.WriteFile(path, []byte(text), 0o600))
	}
	require.NoError(f, os.WriteFile(filepath.Join(dir, "m.json"), []byte(`{"SECRET":{"file":"sub/none.js"}}`), 0o600))
	if err := os.Symlink(filepath.Join(parent, "secret.txt"), filepath.Join(dir, "link.txt")); err != nil {
		f.Log(err) // Windows: then without
	}
	_ = os.Symlink(parent, filepath.Join(dir, "up"))
	var all []*edgecache.Assets
	for _, dev := range []bool{false, true} {
		for _, prefix := range []string{"", "/"} {
			options := edgecache.StaticOptions{Dev: dev, Prefix: prefix, ViteManifest: "m.json", Retain: filepath.Join(parent, "kept"), Logger: slog.New(slog.DiscardHandler)}
			a, err := edgecache.StaticDir(dir, options)
			require.NoError(f, err)
			f.Cleanup(func() { _ = a.Close() })
			b, err := edgecache.Static(os.DirFS(dir), options)
			require.NoError(f, err)
			f.Cleanup(func() { _ = b.Close() })
			all = append(all, a, b)
		}
	}
	for _, seed := range []string{
		"/static/a.js", "/static/sub/b.css", "/static/../secret.txt", "/static/..%2fsecret.txt", "/static/up/secret.txt", "/static/link.txt", "/static/.env", "/static/sub", "/static/sub/",
		"/static/%00", "/static/a.js%00.css", `/static/..\secret.txt`, "/static//etc/passwd", "/static/a-0123456789abcdef.js", "/static/sub/c-0123456789abcdef.css", "/static/m.json",
		"/static/a.js.gz", "/static/.well-known/.secret", "/static/.well-known/x", "/%2e%2e/secret.txt", "/static/%ff", "/a.js", "//a.js", "/static/sub/./b.css", "/static/../kept/sums/a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		for i, a := range all {
			for _, method := range []string{"GET", "HEAD"} {
				r := httptest.NewRequest(method, "/", nil)
				r.URL = u
				w := httptest.NewRecorder()
				a.ServeHTTP(w, r)
				if strings.Contains(w.Body.String(), "SECRET") {
					t.Fatalf("%d: %q: got %q", i, target, w.Body)
				}
				switch control := w.Header().Get("Cache-Control"); {
				case w.Code == http.StatusOK && method == "GET" && w.Body.String() != "public":
					t.Fatalf("%d: %q: got %q, want a file", i, target, w.Body)
				case w.Code == http.StatusOK && strings.Contains(control, "immutable") && !strings.HasSuffix(u.Path, a.URL(nameIn(u.Path))):
					t.Fatalf("%d: %q: immutable, but %s", i, target, a.URL(nameIn(u.Path)))
				case w.Code != http.StatusOK && (w.Code != http.StatusNotFound || control != "no-store"):
					t.Fatalf("%d: %q: got %d, %q, want 404, no-store", i, target, w.Code, control)
				}
			}
		}
	})
}

// nameIn is the name of the file that a path with a hash asks for.
func nameIn(path string) string {
	_, name, ok := strings.Cut(path, "/static/")
	if !ok {
		name = strings.TrimPrefix(path, "/")
	}
	if at := strings.LastIndexByte(name, '-'); at >= 0 && len(name) > at+17 {
		return name[:at] + name[at+17:]
	}
	return name
}
