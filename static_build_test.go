package edgecache

import (
	"bytes"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/engine"
)

func static(t testing.TB, files map[string]string, options StaticOptions) *Assets {
	t.Helper()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	a, err := Static(tree, options)
	require.NoError(t, err)
	return a
}

// TestStaticOptionsMistakes holds that all of them are reported at once, by name.
func TestStaticOptionsMistakes(t *testing.T) {
	for _, row := range []struct {
		options StaticOptions
		want    string // fields with a mistake
	}{
		{StaticOptions{}, ""},
		{StaticOptions{Prefix: "static/"}, "Prefix"},
		{StaticOptions{Prefix: "/static"}, "Prefix"},
		{StaticOptions{Prefix: "/a/../b/"}, "Prefix"},
		{StaticOptions{Prefix: "//evil/"}, "Prefix"},
		{StaticOptions{Prefix: "/a b/"}, "Prefix"},
		{StaticOptions{CDNHost: "cdn.example.com/path"}, "CDNHost"},
		{StaticOptions{CDNHost: "ftp://cdn.example.com"}, "CDNHost"},
		{StaticOptions{CDNHost: "https://user@cdn.example.com"}, "CDNHost"},
		{StaticOptions{CDNHost: "http://cdn.example.com:8080/"}, ""},
		{StaticOptions{BaseURL: "app"}, "BaseURL"},
		{StaticOptions{BaseURL: "//cdn.example.com"}, "BaseURL"},
		{StaticOptions{BaseURL: "//"}, "BaseURL"},
		{StaticOptions{BaseURL: "/a/../b"}, "BaseURL"},
		{StaticOptions{BaseURL: "/a?b"}, "BaseURL"},
		{StaticOptions{BaseURL: "/a b"}, "BaseURL"},
		{StaticOptions{BaseURL: "/a%20b"}, "BaseURL"},
		{StaticOptions{BaseURL: "/ü"}, "BaseURL"},
		{StaticOptions{BaseURL: "ftp://example.com/app"}, "BaseURL"},
		{StaticOptions{BaseURL: "https:///app"}, "BaseURL"},
		{StaticOptions{BaseURL: "https://user@example.com/app"}, "BaseURL"},
		{StaticOptions{BaseURL: "https://example.com//app"}, "BaseURL"},
		{StaticOptions{BaseURL: "https://example.com/app", CDNHost: "cdn.example.com"}, "BaseURL"},
		{StaticOptions{BaseURL: "/app", CDNHost: "cdn.example.com"}, ""},
		{StaticOptions{BaseURL: "/app/"}, ""},
		{StaticOptions{BaseURL: "/"}, ""},
		{StaticOptions{BaseURL: "https://example.com:8443/"}, ""},
		{StaticOptions{ViteManifest: "../manifest.json", ESBuildMetafile: "/meta.json", SPA: "a/"}, "ViteManifest ESBuildMetafile SPA"},
		{StaticOptions{SPA: "index.html", SPAExcept: []string{"api", "/a/{", "/b/", "/b/", "GET"}}, "SPAExcept SPAExcept SPAExcept SPAExcept"},
		{StaticOptions{SPAExcept: []string{"/api/"}}, "SPAExcept"},
		{StaticOptions{Types: map[string]string{".foo": "application/x-foo", ".TXT": "text/plain; charset=iso-8859-1"}}, ""},
		{StaticOptions{Types: map[string]string{"foo": "text/plain", ".": "text/plain", "": "text/plain", ".tar.gz": "text/plain", ".a/b": "text/plain"}}, "Types Types Types Types Types"},
		{StaticOptions{Types: map[string]string{".a": "", ".b": "text", ".c": "text/", ".d": "text/*", ".e": "text/plain\r\nX: y", ".f": "a b/c", ".g": "text/plain; charset"}}, "Types Types Types Types Types Types Types"},
		{StaticOptions{Types: map[string]string{".a": "text/plain", ".A": "text/html"}}, "Types"},
		{StaticOptions{MaxAge: -1}, "MaxAge"},
		{StaticOptions{MaxAge: 25 * time.Hour}, "MaxAge"},
		{StaticOptions{MaxAge: 60, RetainFor: 60}, "MaxAge RetainFor"},
		{StaticOptions{RetainFor: -1, MaxEncodedBytes: -1, MaxAge: -1}, "MaxAge RetainFor MaxEncodedBytes"},
	} {
		_, err := Static(fstest.MapFS{}, row.options)
		var got []string
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range joined.Unwrap() {
				var mistake *ConfigError
				require.ErrorAs(t, e, &mistake)
				got = append(got, strings.TrimPrefix(mistake.Field, "StaticOptions."))
			}
		}
		if strings.Join(got, " ") != row.want {
			t.Errorf("%+v: got %q (%v), want %q", row.options, got, err, row.want)
		}
	}
}

func TestStaticThatCannotStart(t *testing.T) {
	_, err := Static(nil, StaticOptions{})
	require.Error(t, err)
	_, err = StaticDir(filepath.Join(t.TempDir(), "none"), StaticOptions{})
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Static(fstest.MapFS{}, StaticOptions{SPA: "index.html"})
	require.ErrorContains(t, err, `"index.html"`)
	_, err = Static(fstest.MapFS{}, StaticOptions{ViteManifest: "manifest.json"})
	require.ErrorContains(t, err, `no manifest "manifest.json" of a build tool`)
	_, err = Static(fstest.MapFS{}, StaticOptions{ViteManifest: ".vite/manifest.json"})
	require.ErrorContains(t, err, "//go:embed all:")
	_, err = Static(fstest.MapFS{"m.json": {Data: []byte("[")}}, StaticOptions{ESBuildMetafile: "m.json"})
	require.ErrorContains(t, err, "m.json")
	require.Panics(t, func() { static(t, nil, StaticOptions{}).Handler(nil) })
}

// TestStaticTemplates holds what the functions for templates write, and that a template is the same
// in development.
func TestStaticTemplates(t *testing.T) {
	files := map[string]string{"app.css": "a{}", "app.js": "a()", "lib/b.mjs": "b()", "sw.js": "s()", "a.woff2": "f", "i.svg": "<svg/>"}
	const page = `<link href="{{asset "app.css"}}" integrity="{{integrity "app.css"}}"><img src="{{asset "/i.svg#x"}}">{{importmap .}}{{preload "app.css" "a.woff2" "app.js" "i.svg"}}`
	render := func(a *Assets) string {
		var b bytes.Buffer
		require.NoError(t, template.Must(template.New("").Funcs(a.Funcs()).Parse(page)).Execute(&b, `n"1`))
		return b.String()
	}
	const want = `<link href="/static/app-….css" integrity="sha256-…"><img src="/static/i-….svg#x">` +
		`<script type="importmap" nonce="n&#34;1">{"imports":{"/static/app.js":"/static/app-….js","/static/lib/b.mjs":"/static/lib/b-….mjs"},` +
		`"integrity":{"/static/app-….js":"sha256-…","/static/lib/b-….mjs":"sha256-…"}}</script>` +
		`<link rel="preload" href="/static/app-….css" as="style">` + "\n" + `<link rel="preload" href="/static/a-….woff2" as="font" crossorigin>` + "\n" +
		`<link rel="modulepreload" href="/static/app-….js" crossorigin>` + "\n" + `<link rel="preload" href="/static/i-….svg" as="image">`
	checkPattern(t, render(static(t, files, StaticOptions{})), want)
	const dev = `<link href="/static/app.css" integrity=""><img src="/static/i.svg#x"><script type="importmap" nonce="n&#34;1">{"imports":{}}</script>` +
		`<link rel="preload" href="/static/app.css" as="style">` + "\n" + `<link rel="preload" href="/static/a.woff2" as="font" crossorigin>` + "\n" +
		`<link rel="modulepreload" href="/static/app.js" crossorigin>` + "\n" + `<link rel="preload" href="/static/i.svg" as="image">`
	checkPattern(t, render(static(t, files, StaticOptions{Dev: true})), dev)
	cdn := static(t, files, StaticOptions{CDNHost: "cdn.example.com", Prefix: "/x/"})
	checkPattern(t, cdn.URL("lib/b.mjs"), "https://cdn.example.com/x/lib/b-….mjs")
	text, err := cdn.ImportMap()
	require.NoError(t, err)
	var m struct{ Imports, Integrity map[string]string }
	require.NoError(t, json.Unmarshal(text, &m))
	checkPattern(t, m.Imports["https://cdn.example.com/x/lib/b.mjs"], "https://cdn.example.com/x/lib/b-….mjs")
	if got := m.Integrity[m.Imports["https://cdn.example.com/x/app.js"]]; got != cdn.Integrity("app.js") || got == "" {
		t.Errorf("got integrity %q, want that of the file", got)
	}
}

// TestStaticBelowAStrippedPath holds that all URLs of an application begin with the path that
// http.StripPrefix takes off outside of it, and lead to its files.
func TestStaticBelowAStrippedPath(t *testing.T) {
	files := map[string]string{
		"a.js": "a", "i.png": "i", "robots.txt": "r",
		"a.css": "a{b:url(i.png)} c{d:url(/app/static/i.png)} e{f:url('/static/i.png#x')} g{h:url(/static/robots.txt)} i{j:url(/static/theirs.png)} k{l:url(/app/static/gone.png)} m{n:url(/other/i.png)}",
		"b.css": "@import '/static/c.css';", "c.css": "@import '/static/b.css';",
	}
	for _, row := range []struct{ base, cdn, want string }{
		{"/app", "", "/app/static/"}, {"/app/", "", "/app/static/"}, {"/a/b-c", "", "/a/b-c/static/"}, {"/", "", "/static/"},
		{"/app", "cdn.example.com", "https://cdn.example.com/app/static/"}, {"https://cdn.example.com/app/", "", "https://cdn.example.com/app/static/"},
		{"http://cdn.example.com", "", "http://cdn.example.com/static/"},
	} {
		var log bytes.Buffer
		a := static(t, files, StaticOptions{BaseURL: row.base, CDNHost: row.cdn, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		_, path, _ := strings.Cut(strings.TrimSuffix(row.want, "/static/"), ".com")
		if !strings.Contains(row.want, ".com") {
			path = strings.TrimSuffix(row.want, "/static/")
		}
		site := http.StripPrefix(path, a.Handler(http.NotFoundHandler()))
		get := func(url string) *httptest.ResponseRecorder {
			return ask(site, strings.TrimPrefix(strings.TrimPrefix(url, "https://cdn.example.com"), "http://cdn.example.com"))
		}
		for _, name := range []string{"a.js", "i.png", "b.css", "c.css"} {
			checkPattern(t, a.URL(name), row.want+strings.Replace(name, ".", "-….", 1))
			if got := get(a.URL(name)); got.Code != 200 || got.Header().Get("Cache-Control") != immutably {
				t.Errorf("%s: %s: got %d %v", row.base, a.URL(name), got.Code, got.Header())
			}
		}
		m, err := a.ImportMap()
		require.NoError(t, err)
		w := httptest.NewRecorder()
		a.Preload(w, "a.js")
		for _, text := range []string{string(m), w.Header().Get("Link"), a.set.PreloadTags("a.js")} {
			if !strings.Contains(text, a.URL("a.js")) {
				t.Errorf("%s: got %s, want %s in it", row.base, text, a.URL("a.js"))
			}
		}
		if path == "/app" {
			checkPattern(t, get(a.URL("a.css")).Body.String(),
				"a{b:url(i-….png)} c{d:url(/app/static/i-….png)} e{f:url('/app/static/i-….png#x')} g{h:url(/app/static/robots.txt)} i{j:url(/static/theirs.png)} k{l:url(/app/static/gone.png)} m{n:url(/other/i.png)}")
			checkPattern(t, get(a.URL("b.css")).Body.String(), "@import '/app/static/c-….css';")
			if got := log.String(); strings.Contains(got, "theirs") || !strings.Contains(got, "missing=gone.png") {
				t.Errorf("%s: got reports\n%s", row.base, got)
			}
		}
		if (row.cdn != "" || strings.Contains(row.base, "://")) != (get(a.URL("a.js")).Header().Get("Access-Control-Allow-Origin") == "*") {
			t.Errorf("%s: got Access-Control-Allow-Origin %q", row.base, get(a.URL("a.js")).Header().Get("Access-Control-Allow-Origin"))
		}
	}
	dev := static(t, files, StaticOptions{BaseURL: "/app", Dev: true})
	if got := dev.URL("a.js"); got != "/app/static/a.js" {
		t.Errorf("in development: got %s", got)
	}
	vite := static(t, map[string]string{"m.json": `{"m.ts":{"file":"m-AAAAAAAA.js","src":"m.ts"}}`, "m-AAAAAAAA.js": "1"}, StaticOptions{BaseURL: "/app", ViteManifest: "m.json"})
	tags, err := vite.set.EntryTags("m.ts", "")
	require.NoError(t, err)
	if want := `<script type="module" src="/app/static/m-AAAAAAAA.js"></script>`; tags != want {
		t.Errorf("got %s, want %s", tags, want)
	}
	root := static(t, map[string]string{"i.png": "i", "a.css": "a{b:url(/i.png)} c{d:url(/app/i.png)}"}, StaticOptions{BaseURL: "/app", Prefix: "/"})
	checkPattern(t, ask(root, "/a.css").Body.String(), "a{b:url(/app/i-….png)} c{d:url(/app/i-….png)}")
}

// checkPattern compares; … stands for any text without a quote or a slash.
func checkPattern(t *testing.T, got, want string) {
	t.Helper()
	pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(want), "…", "[A-Za-z0-9+/=]+") + "$"
	if !regexp.MustCompile(pattern).MatchString(got) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestStaticURLOfNothing holds that a page is still rendered, and the mistake said once.
func TestStaticURLOfNothing(t *testing.T) {
	var log bytes.Buffer
	a := static(t, map[string]string{"a.css": "b{c:url(none.png)} d{e:url(none.png)}"}, StaticOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for range 3 {
		if got := a.URL("gone.js") + a.Integrity("gone.js"); got != "/static/gone.js" {
			t.Errorf("got %q, want the plain URL", got)
		}
	}
	if got := a.URL("gone.svg#a>; rel=\"x\"\r\nB: c"); strings.ContainsAny(got, "<>\"\r\n ") {
		t.Errorf("got %q: it ends the URL that it stands in", got)
	}
	if n := strings.Count(log.String(), "gone.js"); n != 1 {
		t.Errorf("got %d reports of gone.js, want one", n)
	}
	if n := strings.Count(log.String(), "reference=none.png"); n != 1 {
		t.Errorf("got %d reports of none.png, want one:\n%s", n, &log)
	}
}

const viteManifest = `{
	"src/main.ts": {"file": "assets/main-AAAAAAAA.js", "name": "main", "src": "src/main.ts", "isEntry": true, "imports": ["_shared.js"], "css": ["assets/main-BBBBBBBB.css"], "dynamicImports": ["src/late.ts"]},
	"_shared.js": {"file": "assets/shared-CCCCCCCC.js", "name": "shared", "css": ["assets/shared-DDDDDDDD.css"], "imports": ["src/main.ts"]},
	"src/late.ts": {"file": "assets/late-EEEEEEEE.js", "name": "late", "src": "src/late.ts"},
	"src/alone.css": {"file": "assets/alone-FFFFFFFF.css", "src": "src/alone.css", "isEntry": true}}`

const esbuildMeta = `{"outputs": {
	"web/dist/main-AAAAAAAA.js": {"entryPoint": "src/main.ts", "cssBundle": "web/dist/main-BBBBBBBB.css", "imports": [{"path": "web/dist/chunk-CCCCCCCC.js", "kind": "import-statement"}, {"path": "web/dist/late-EEEEEEEE.js", "kind": "dynamic-import"}]},
	"web/dist/main-BBBBBBBB.css": {}, "web/dist/chunk-CCCCCCCC.js": {}, "web/dist/late-EEEEEEEE.js": {}, "web/dist/bundle.js": {"entryPoint": "src/bundle.ts"}}}`

// TestStaticBuildTools holds what an entry needs, and that names with a hash of the tool's own
// stay.
func TestStaticBuildTools(t *testing.T) {
	vite := static(t, map[string]string{
		".vite/manifest.json": viteManifest, "assets/main-AAAAAAAA.js": "1", "assets/main-BBBBBBBB.css": "2{b:url(x.png)}", "assets/shared-CCCCCCCC.js": "3", "assets/shared-DDDDDDDD.css": "4",
		"assets/late-EEEEEEEE.js": "5", "assets/alone-FFFFFFFF.css": "6", "assets/x.png": "x",
	}, StaticOptions{ViteManifest: ".vite/manifest.json"})
	esbuild := static(t, map[string]string{
		"meta.json": esbuildMeta, "main-AAAAAAAA.js": "1", "main-BBBBBBBB.css": "2", "chunk-CCCCCCCC.js": "3", "late-EEEEEEEE.js": "5", "bundle.js": "6",
	}, StaticOptions{ESBuildMetafile: "meta.json"})
	for _, row := range []struct {
		name, template, want string
		a                    *Assets
	}{
		{"Vite: stylesheets of imports first, each once, no late chunks", `{{entry "src/main.ts"}}`,
			`<link rel="stylesheet" href="/static/assets/shared-DDDDDDDD.css">` + "\n" + `<link rel="stylesheet" href="/static/assets/main-BBBBBBBB.css">` + "\n" +
				`<script type="module" src="/static/assets/main-AAAAAAAA.js"></script>` + "\n" + `<link rel="modulepreload" href="/static/assets/shared-CCCCCCCC.js">`, vite},
		{"Vite: a stylesheet", `{{entry "src/alone.css"}}`, `<link rel="stylesheet" href="/static/assets/alone-FFFFFFFF.css">`, vite},
		{"Vite: a nonce", `{{entry "src/late.ts" "a<b"}}`, `<script type="module" src="/static/assets/late-EEEEEEEE.js" nonce="a&lt;b"></script>`, vite},
		{"Vite: a source has its output's URL", `{{asset "src/main.ts"}}`, "/static/assets/main-AAAAAAAA.js", vite},
		{"Vite: another file is ours", `{{asset "assets/x.png"}}`, "/static/assets/x-2d711642b726b044.png", vite},
		{"esbuild", `{{entry "src/main.ts"}}`, `<link rel="stylesheet" href="/static/main-BBBBBBBB.css">` + "\n" + `<script type="module" src="/static/main-AAAAAAAA.js"></script>` + "\n" +
			`<link rel="modulepreload" href="/static/chunk-CCCCCCCC.js">`, esbuild},
		{"esbuild: what --outfile has named has no hash", `{{entry "src/bundle.ts"}}`, `<script type="module" src="/static/bundle-e7f6c011776e8db7.js"></script>`, esbuild},
	} {
		var b strings.Builder
		require.NoError(t, template.Must(template.New("").Funcs(row.a.Funcs()).Parse(row.template)).Execute(&b, nil), row.name)
		if b.String() != row.want {
			t.Errorf("%s: got\n%s\nwant\n%s", row.name, &b, row.want)
		}
	}
	checkAnswer(t, "a stylesheet of Vite's is not rewritten", ask(vite, "/static/assets/main-BBBBBBBB.css"), 200, immutably, "2{b:url(x.png)}")
	if err := template.Must(template.New("").Funcs(vite.Funcs()).Parse(`{{entry "src/none.ts"}}`)).Execute(&strings.Builder{}, nil); err == nil {
		t.Error("an unknown entry: got no error")
	}
	checkAnswer(t, "a metafile is hidden", ask(esbuild, "/static/meta.json"), 404, "no-store", "Not Found\n")
}

// TestStaticBuildWithoutHashes holds that a name that is too short to have a hash in it is not
// taken for one that has: older manifests do not say what a chunk was made of.
func TestStaticBuildWithoutHashes(t *testing.T) {
	a := static(t, map[string]string{
		"m.json":          `{"src/app.ts":{"file":"app-AAAAAAAA.js","src":"src/app.ts","imports":["_vendor.js"],"css":["style.css"],"assets":["DMkyD6NY.png"]},"_vendor.js":{"file":"vendor.js"}}`,
		"app-AAAAAAAA.js": "1", "vendor.js": "2", "style.css": "3", "DMkyD6NY.png": "4",
	}, StaticOptions{ViteManifest: "m.json"})
	for name, control := range map[string]string{"app-AAAAAAAA.js": immutably, "vendor.js": "no-cache", "style.css": "no-cache", "DMkyD6NY.png": immutably} {
		if got := ask(a, "/static/"+name).Header().Get("Cache-Control"); got != control {
			t.Errorf("%s: got %q, want %q", name, got, control)
		}
	}
}

// TestStaticBuildOutputThatChanges holds that a name of a build tool's is no longer believed when
// other bytes come under it.
func TestStaticBuildOutputThatChanges(t *testing.T) {
	dir := folder(t, map[string]string{"m.json": `{"src/main.ts":{"file":"main-AAAAAAAA.js"}}`, "main-AAAAAAAA.js": "one"})
	a := serveDir(t, dir, StaticOptions{ViteManifest: "m.json"})
	checkAnswer(t, "before", ask(a, a.URL("main-AAAAAAAA.js")), 200, immutably, "one")
	put(t, dir, "main-AAAAAAAA.js", "two!")
	checkAnswer(t, "after", ask(a, "/static/main-AAAAAAAA.js"), 200, "no-cache", "two!")
	if got := a.URL("main-AAAAAAAA.js"); got == "/static/main-AAAAAAAA.js" {
		t.Errorf("got %s, want a URL with our hash", got)
	}
}

// TestStaticCycle holds that stylesheets that import each other have one hash for all, which every
// one of their files changes.
func TestStaticCycle(t *testing.T) {
	urls := func(b, image string) map[string]string {
		a := static(t, map[string]string{
			"a.css": "@import 'b.css';", "b.css": "@import 'c.css';" + b, "c.css": "@import 'a.css';x{y:url(i.png)}", "self.css": "@import 'self.css';", "i.png": image, "top.css": "@import 'a.css';",
		}, StaticOptions{})
		all := map[string]string{}
		for f := range a.Files() {
			all[f.Name] = f.URL
			got := ask(a, f.URL)
			if got.Code != 200 || got.Header().Get("Cache-Control") != immutably {
				t.Errorf("%s: got %d %v", f.URL, got.Code, got.Header())
			}
			for _, m := range regexp.MustCompile(`['(]([^')]+)[')]`).FindAllStringSubmatch(got.Body.String(), -1) {
				if next := ask(a, "/static/"+m[1]); next.Header().Get("Cache-Control") != immutably {
					t.Errorf("%s refers to %s: got %d %v, want what is cached for ever", f.URL, m[1], next.Code, next.Header())
				}
			}
		}
		return all
	}
	before := urls("", "one")
	again := urls("", "one")
	for name, url := range before {
		if again[name] != url {
			t.Errorf("%s: got %s and %s for the same bytes", name, url, again[name])
		}
	}
	for what, after := range map[string]map[string]string{"another file of the group": urls("z{}", "one"), "an image": urls("", "two")} {
		for _, name := range []string{"a.css", "b.css", "c.css", "top.css"} {
			if after[name] == before[name] {
				t.Errorf("%s: %s is the same after a change of %s", name, after[name], what)
			}
		}
		if after["self.css"] != before["self.css"] {
			t.Errorf("self.css has changed with %s", what)
		}
	}
}

// TestStaticPreload holds the limits of Link fields.
func TestStaticPreload(t *testing.T) {
	long := strings.Repeat("n", 900)
	a := static(t, map[string]string{"a.css": "a", long + ".js": "l"}, StaticOptions{})
	for _, row := range []struct {
		name       string
		there      []string
		files      []string
		want, left int
	}{
		{"eight", nil, []string{"a.css", "a.css", "a.css", "a.css", "a.css", "a.css", "a.css", "a.css"}, 8, 8},
		{"not nine", nil, []string{"a.css", "a.css", "a.css", "a.css", "a.css", "a.css", "a.css", "a.css", "a.css"}, 8, 8},
		{"those that are there count", []string{"<x>", "<y>", "<z>"}, []string{"a.css", "a.css", "a.css", "a.css", "a.css", "a.css"}, 5, 8},
		{"two kilobytes", nil, []string{long + ".js", long + ".js", long + ".js"}, 2, 2},
	} {
		w := httptest.NewRecorder()
		if row.there != nil {
			w.Header()["Link"] = row.there
		}
		if got := a.Preload(w, row.files...); got != row.want || len(w.Header()["Link"]) != row.left {
			t.Errorf("%s: got %d and %q, want %d and %d", row.name, got, w.Header()["Link"], row.want, row.left)
		}
	}
	w := httptest.NewRecorder()
	a.Preload(w, "a.css", long+".js")
	checkPattern(t, w.Header()["Link"][0], "</static/a-….css>; rel=preload; as=style")
	checkPattern(t, w.Header()["Link"][1], "</static/"+long+"-….js>; rel=modulepreload; crossorigin")
}

// TestStaticEarlyHints holds that 103 goes out over HTTP/2, and only there.
func TestStaticEarlyHints(t *testing.T) {
	a := static(t, map[string]string{"a.css": "a"}, StaticOptions{})
	for _, two := range []bool{true, false} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a.EarlyHints(w, r, "a.css")
			_, _ = w.Write([]byte("page"))
		}))
		server.EnableHTTP2 = two
		server.StartTLS()
		var hints []string
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			hints = append(hints, header["Link"]...)
			return nil
		}})
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		response, err := server.Client().Do(request)
		require.NoError(t, err)
		response.Body.Close()
		server.Close()
		if (len(hints) == 1) != two || len(response.Header["Link"]) != 1 || (response.ProtoMajor == 2) != two {
			t.Errorf("HTTP/2 %v: got hints %q, then %q", two, hints, response.Header["Link"])
		}
	}
}

// TestStaticBudget holds that variants take no more memory than they may, and give back what an
// edit has freed.
func TestStaticBudget(t *testing.T) {
	dir := folder(t, map[string]string{"a.js": script, "b.js": script + "//b"})
	a := serveDir(t, dir, StaticOptions{MaxEncodedBytes: 150}) // room for one
	coding := func(name string) string {
		ask(a, "/static/"+name, "Accept-Encoding", "gzip")
		a.set.Settle()
		return ask(a, "/static/"+name, "Accept-Encoding", "gzip").Header().Get("Content-Encoding")
	}
	if first, second := coding("a.js"), coding("b.js"); first != "gzip" || second != "" {
		t.Errorf("got %q and %q, want gzip and none", first, second)
	}
	put(t, dir, "a.js", "small now")
	put(t, dir, "b.js", script+"//c")
	ask(a, "/static/a.js")
	if got := coding("b.js"); got != "gzip" {
		t.Errorf("after an edit: got %q, want gzip", got)
	}
}

// TestStaticManyAtOnce is for the race detector: requests, variants and edits at the same time.
// Whatever a client gets under a hash hashes to it.
func TestStaticManyAtOnce(t *testing.T) {
	dir := folder(t, map[string]string{"a.css": script + "b{c:url(i.png)}", "i.png": "0"})
	a := serveDir(t, dir, StaticOptions{})
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 50 {
				if worker == 0 {
					text := strings.Repeat("x", i)
					if err := errors.Join(os.WriteFile(filepath.Join(dir, "new"), []byte(text), 0o600), os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "i.png"))); err != nil {
						t.Error(err)
					}
					continue
				}
				url := a.URL("a.css")
				got := ask(a, url, "Accept-Encoding", []string{"", "br", "gzip"}[i%3])
				hash := url[len("/static/a-") : len(url)-len(".css")]
				if control := got.Header().Get("Cache-Control"); control == immutably && !strings.HasPrefix(got.Header().Get("Etag"), `"`+hash) {
					t.Errorf("got %s for %s", got.Header().Get("Etag"), url)
				}
			}
		})
	}
	group.Wait()
	a.set.Settle()
}

// TestStaticBehindTwoCaches holds that neither stores a file, and both count it as what it is.
func TestStaticBehindTwoCaches(t *testing.T) {
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
		for k := range e.Mutants().Keys() {
			t.Errorf("%s has stored %q", e.StatusName(), k)
		}
	}
}

// TestStaticMarkOfAnOrigin holds that nobody but static files of this process can keep a page from
// being stored, or call it a hit.
func TestStaticMarkOfAnOrigin(t *testing.T) {
	h := Cache(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(engine.StaticField, "1")
		_, _ = w.Write([]byte("page"))
	}))
	for i, want := range []string{"MISS", "HIT"} {
		if got := ask(h, "/page"); got.Header().Get("X-Cache") != want || got.Header()[engine.StaticField] != nil {
			t.Errorf("%d: got %v, want %s", i, got.Header(), want)
		}
	}
}
