package assets_test

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

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/assets"
	"github.com/edgecache-go/edgecache/internal/engine"
)

func TestOptions(t *testing.T) {
	t.Run("mistakes are reported at once, by name", mistakesAreReportedAtOnceByName)
	t.Run("what cannot start is reported", whatCannotStartIsReported)
}

func TestTemplates(t *testing.T) {
	t.Run("functions for templates write the same in development", functionsForTemplatesWriteTheSameInDevelopment)
	t.Run("URLs begin with a stripped path", urlsBeginWithAStrippedPath)
	t.Run("a URL of nothing is said once", aURLOfNothingIsSaidOnce)
	t.Run("Preload has limits", preloadHasLimits)
	t.Run("early hints go out over HTTP2 only", earlyHintsGoOutOverHTTP2Only)
}

func TestBuildTools(t *testing.T) {
	t.Run("an entry names what it needs", anEntryNamesWhatItNeeds)
	t.Run("a short name is not taken for one with a hash", aShortNameIsNotTakenForOneWithAHash)
	t.Run("a name is not believed when other bytes come under it", aNameIsNotBelievedWhenOtherBytesComeUnderIt)
	t.Run("stylesheets that import each other have one hash", stylesheetsThatImportEachOtherHaveOneHash)
}

func TestEncodings(t *testing.T) {
	t.Run("encodings keep to their memory", encodingsKeepToTheirMemory)
	t.Run("requests and edits may come at the same time", requestsAndEditsMayComeAtTheSameTime)
}

func TestMark(t *testing.T) {
	t.Run("an origin cannot mark its pages as static files", anOriginCannotMarkItsPagesAsStaticFiles)
}

func static(t testing.TB, files map[string]string, options edgecache.StaticOptions) *edgecache.Assets {
	t.Helper()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	a, err := edgecache.Static(tree, options)
	require.NoError(t, err)
	return a
}

// All of them are reported at once, by name.
func mistakesAreReportedAtOnceByName(t *testing.T) {
	for _, row := range []struct {
		options edgecache.StaticOptions
		want    string // fields with a mistake
	}{
		{edgecache.StaticOptions{}, ""},
		{edgecache.StaticOptions{Prefix: "static/"}, "Prefix"},
		{edgecache.StaticOptions{Prefix: "/static"}, "Prefix"},
		{edgecache.StaticOptions{Prefix: "/a/../b/"}, "Prefix"},
		{edgecache.StaticOptions{Prefix: "//evil/"}, "Prefix"},
		{edgecache.StaticOptions{Prefix: "/a b/"}, "Prefix"},
		{edgecache.StaticOptions{CDNHost: "cdn.example.com/path"}, "CDNHost"},
		{edgecache.StaticOptions{CDNHost: "ftp://cdn.example.com"}, "CDNHost"},
		{edgecache.StaticOptions{CDNHost: "https://user@cdn.example.com"}, "CDNHost"},
		{edgecache.StaticOptions{CDNHost: "http://cdn.example.com:8080/"}, ""},
		{edgecache.StaticOptions{BaseURL: "app"}, "BaseURL"},
		{edgecache.StaticOptions{BaseURL: "//cdn.example.com"}, "BaseURL"},
		{edgecache.StaticOptions{BaseURL: "//"}, "BaseURL"},
		{edgecache.StaticOptions{BaseURL: "/a/../b"}, "BaseURL"},
		{edgecache.StaticOptions{BaseURL: "/a?b"}, "BaseURL"},
		{edgecache.StaticOptions{BaseURL: "/a b"}, "BaseURL"},
		{edgecache.StaticOptions{BaseURL: "/a%20b"}, "BaseURL"},
		{edgecache.StaticOptions{BaseURL: "/ü"}, "BaseURL"},
		{edgecache.StaticOptions{BaseURL: "ftp://example.com/app"}, "BaseURL"},
		{edgecache.StaticOptions{BaseURL: "https:///app"}, "BaseURL"},
		{edgecache.StaticOptions{BaseURL: "https://user@example.com/app"}, "BaseURL"},
		{edgecache.StaticOptions{BaseURL: "https://example.com//app"}, "BaseURL"},
		{edgecache.StaticOptions{BaseURL: "https://example.com/app", CDNHost: "cdn.example.com"}, "BaseURL"},
		{edgecache.StaticOptions{BaseURL: "/app", CDNHost: "cdn.example.com"}, ""},
		{edgecache.StaticOptions{BaseURL: "/app/"}, ""},
		{edgecache.StaticOptions{BaseURL: "/"}, ""},
		{edgecache.StaticOptions{BaseURL: "https://example.com:8443/"}, ""},
		{edgecache.StaticOptions{ViteManifest: "../manifest.json", ESBuildMetafile: "/meta.json", SPA: "a/"}, "ViteManifest ESBuildMetafile SPA"},
		{edgecache.StaticOptions{SPA: "index.html", SPAExcept: []string{"api", "/a/{", "/b/", "/b/", "GET"}}, "SPAExcept SPAExcept SPAExcept SPAExcept"},
		{edgecache.StaticOptions{SPAExcept: []string{"/api/"}}, "SPAExcept"},
		{edgecache.StaticOptions{Types: map[string]string{".foo": "application/x-foo", ".TXT": "text/plain; charset=iso-8859-1"}}, ""},
		{edgecache.StaticOptions{Types: map[string]string{"foo": "text/plain", ".": "text/plain", "": "text/plain", ".tar.gz": "text/plain", ".a/b": "text/plain"}}, "Types Types Types Types Types"},
		{edgecache.StaticOptions{Types: map[string]string{".a": "", ".b": "text", ".c": "text/", ".d": "text/*", ".e": "text/plain\r\nX: y", ".f": "a b/c", ".g": "text/plain; charset"}}, "Types Types Types Types Types Types Types"},
		{edgecache.StaticOptions{Types: map[string]string{".a": "text/plain", ".A": "text/html"}}, "Types"},
		{edgecache.StaticOptions{MaxAge: -1}, "MaxAge"},
		{edgecache.StaticOptions{MaxAge: 25 * time.Hour}, "MaxAge"},
		{edgecache.StaticOptions{MaxAge: 60, RetainFor: 60}, "MaxAge RetainFor"},
		{edgecache.StaticOptions{RetainFor: -1, MaxEncodedBytes: -1, MaxAge: -1}, "MaxAge RetainFor MaxEncodedBytes"},
	} {
		_, err := edgecache.Static(fstest.MapFS{}, row.options)
		var got []string
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range joined.Unwrap() {
				var mistake *edgecache.ConfigError
				require.ErrorAs(t, e, &mistake)
				got = append(got, strings.TrimPrefix(mistake.Field, "StaticOptions."))
			}
		}
		if strings.Join(got, " ") != row.want {
			t.Errorf("%+v: got %q (%v), want %q", row.options, got, err, row.want)
		}
	}
}

func whatCannotStartIsReported(t *testing.T) {
	_, err := edgecache.Static(nil, edgecache.StaticOptions{})
	require.Error(t, err)
	_, err = edgecache.StaticDir(filepath.Join(t.TempDir(), "none"), edgecache.StaticOptions{})
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = edgecache.Static(fstest.MapFS{}, edgecache.StaticOptions{SPA: "index.html"})
	require.ErrorContains(t, err, `"index.html"`)
	_, err = edgecache.Static(fstest.MapFS{}, edgecache.StaticOptions{ViteManifest: "manifest.json"})
	require.ErrorContains(t, err, `no manifest "manifest.json" of a build tool`)
	_, err = edgecache.Static(fstest.MapFS{}, edgecache.StaticOptions{ViteManifest: ".vite/manifest.json"})
	require.ErrorContains(t, err, "//go:embed all:")
	_, err = edgecache.Static(fstest.MapFS{"m.json": {Data: []byte("[")}}, edgecache.StaticOptions{ESBuildMetafile: "m.json"})
	require.ErrorContains(t, err, "m.json")
	require.Panics(t, func() { static(t, nil, edgecache.StaticOptions{}).Handler(nil) })
}

// The functions for templates, and that a template is the same in development.
func functionsForTemplatesWriteTheSameInDevelopment(t *testing.T) {
	files := map[string]string{"app.css": "a{}", "app.js": "a()", "lib/b.mjs": "b()", "sw.js": "s()", "a.woff2": "f", "i.svg": "<svg/>"}
	const page = `<link href="{{asset "app.css"}}" integrity="{{integrity "app.css"}}"><img src="{{asset "/i.svg#x"}}">{{importmap .}}{{preload "app.css" "a.woff2" "app.js" "i.svg"}}`
	render := func(a *edgecache.Assets) string {
		var b bytes.Buffer
		require.NoError(t, template.Must(template.New("").Funcs(a.Funcs()).Parse(page)).Execute(&b, `n"1`))
		return b.String()
	}
	const want = `<link href="/static/app-….css" integrity="sha256-…"><img src="/static/i-….svg#x">` +
		`<script type="importmap" nonce="n&#34;1">{"imports":{"/static/app.js":"/static/app-….js","/static/lib/b.mjs":"/static/lib/b-….mjs"},` +
		`"integrity":{"/static/app-….js":"sha256-…","/static/lib/b-….mjs":"sha256-…"}}</script>` +
		`<link rel="preload" href="/static/app-….css" as="style">` + "\n" + `<link rel="preload" href="/static/a-….woff2" as="font" crossorigin>` + "\n" +
		`<link rel="modulepreload" href="/static/app-….js" crossorigin>` + "\n" + `<link rel="preload" href="/static/i-….svg" as="image">`
	checkPattern(t, render(static(t, files, edgecache.StaticOptions{})), want)
	const dev = `<link href="/static/app.css" integrity=""><img src="/static/i.svg#x"><script type="importmap" nonce="n&#34;1">{"imports":{}}</script>` +
		`<link rel="preload" href="/static/app.css" as="style">` + "\n" + `<link rel="preload" href="/static/a.woff2" as="font" crossorigin>` + "\n" +
		`<link rel="modulepreload" href="/static/app.js" crossorigin>` + "\n" + `<link rel="preload" href="/static/i.svg" as="image">`
	checkPattern(t, render(static(t, files, edgecache.StaticOptions{Dev: true})), dev)
	cdn := static(t, files, edgecache.StaticOptions{CDNHost: "cdn.example.com", Prefix: "/x/"})
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

// All URLs of an application begin with the path that
// http.StripPrefix takes off outside of it, and lead to its files.
func urlsBeginWithAStrippedPath(t *testing.T) {
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
		a := static(t, files, edgecache.StaticOptions{BaseURL: row.base, CDNHost: row.cdn, Logger: slog.New(slog.NewTextHandler(&log, nil))})
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
		for _, text := range []string{string(m), w.Header().Get("Link"), assets.Of(a).PreloadTags("a.js")} {
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
	dev := static(t, files, edgecache.StaticOptions{BaseURL: "/app", Dev: true})
	if got := dev.URL("a.js"); got != "/app/static/a.js" {
		t.Errorf("in development: got %s", got)
	}
	vite := static(t, map[string]string{"m.json": `{"m.ts":{"file":"m-AAAAAAAA.js","src":"m.ts"}}`, "m-AAAAAAAA.js": "1"}, edgecache.StaticOptions{BaseURL: "/app", ViteManifest: "m.json"})
	tags, err := assets.Of(vite).EntryTags("m.ts", "")
	require.NoError(t, err)
	if want := `<script type="module" src="/app/static/m-AAAAAAAA.js"></script>`; tags != want {
		t.Errorf("got %s, want %s", tags, want)
	}
	root := static(t, map[string]string{"i.png": "i", "a.css": "a{b:url(/i.png)} c{d:url(/app/i.png)}"}, edgecache.StaticOptions{BaseURL: "/app", Prefix: "/"})
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

// A page is still rendered, and the mistake said once.
func aURLOfNothingIsSaidOnce(t *testing.T) {
	var log bytes.Buffer
	a := static(t, map[string]string{"a.css": "b{c:url(none.png)} d{e:url(none.png)}"}, edgecache.StaticOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
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

// What an entry needs, and that names with a hash of the tool's own
// stay.
func anEntryNamesWhatItNeeds(t *testing.T) {
	vite := static(t, map[string]string{
		".vite/manifest.json": viteManifest, "assets/main-AAAAAAAA.js": "1", "assets/main-BBBBBBBB.css": "2{b:url(x.png)}", "assets/shared-CCCCCCCC.js": "3", "assets/shared-DDDDDDDD.css": "4",
		"assets/late-EEEEEEEE.js": "5", "assets/alone-FFFFFFFF.css": "6", "assets/x.png": "x",
	}, edgecache.StaticOptions{ViteManifest: ".vite/manifest.json"})
	esbuild := static(t, map[string]string{
		"meta.json": esbuildMeta, "main-AAAAAAAA.js": "1", "main-BBBBBBBB.css": "2", "chunk-CCCCCCCC.js": "3", "late-EEEEEEEE.js": "5", "bundle.js": "6",
	}, edgecache.StaticOptions{ESBuildMetafile: "meta.json"})
	for _, row := range []struct {
		name, template, want string
		a                    *edgecache.Assets
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

// A name that is too short to have a hash in it is not
// taken for one that has: older manifests do not say what a chunk was made of.
func aShortNameIsNotTakenForOneWithAHash(t *testing.T) {
	a := static(t, map[string]string{
		"m.json":          `{"src/app.ts":{"file":"app-AAAAAAAA.js","src":"src/app.ts","imports":["_vendor.js"],"css":["style.css"],"assets":["DMkyD6NY.png"]},"_vendor.js":{"file":"vendor.js"}}`,
		"app-AAAAAAAA.js": "1", "vendor.js": "2", "style.css": "3", "DMkyD6NY.png": "4",
	}, edgecache.StaticOptions{ViteManifest: "m.json"})
	for name, control := range map[string]string{"app-AAAAAAAA.js": immutably, "vendor.js": "no-cache", "style.css": "no-cache", "DMkyD6NY.png": immutably} {
		if got := ask(a, "/static/"+name).Header().Get("Cache-Control"); got != control {
			t.Errorf("%s: got %q, want %q", name, got, control)
		}
	}
}

// A name of a build tool's is no longer believed when
// other bytes come under it.
func aNameIsNotBelievedWhenOtherBytesComeUnderIt(t *testing.T) {
	dir := folder(t, map[string]string{"m.json": `{"src/main.ts":{"file":"main-AAAAAAAA.js"}}`, "main-AAAAAAAA.js": "one"})
	a := serveDir(t, dir, edgecache.StaticOptions{ViteManifest: "m.json"})
	checkAnswer(t, "before", ask(a, a.URL("main-AAAAAAAA.js")), 200, immutably, "one")
	put(t, dir, "main-AAAAAAAA.js", "two!")
	checkAnswer(t, "after", ask(a, "/static/main-AAAAAAAA.js"), 200, "no-cache", "two!")
	if got := a.URL("main-AAAAAAAA.js"); got == "/static/main-AAAAAAAA.js" {
		t.Errorf("got %s, want a URL with our hash", got)
	}
}

// Stylesheets that import each other have one hash for all, which every
// one of their files changes.
func stylesheetsThatImportEachOtherHaveOneHash(t *testing.T) {
	urls := func(b, image string) map[string]string {
		a := static(t, map[string]string{
			"a.css": "@import 'b.css';", "b.css": "@import 'c.css';" + b, "c.css": "@import 'a.css';x{y:url(i.png)}", "self.css": "@import 'self.css';", "i.png": image, "top.css": "@import 'a.css';",
		}, edgecache.StaticOptions{})
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

// Link fields keep to their limits.
func preloadHasLimits(t *testing.T) {
	long := strings.Repeat("n", 900)
	a := static(t, map[string]string{"a.css": "a", long + ".js": "l"}, edgecache.StaticOptions{})
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

// 103 goes out over HTTP/2, and only there.
func earlyHintsGoOutOverHTTP2Only(t *testing.T) {
	a := static(t, map[string]string{"a.css": "a"}, edgecache.StaticOptions{})
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

// Variants take no more memory than they may, and give back what an
// edit has freed.
func encodingsKeepToTheirMemory(t *testing.T) {
	dir := folder(t, map[string]string{"a.js": script, "b.js": script + "//b"})
	a := serveDir(t, dir, edgecache.StaticOptions{MaxEncodedBytes: 150}) // room for one
	coding := func(name string) string {
		ask(a, "/static/"+name, "Accept-Encoding", "gzip")
		assets.Of(a).Settle()
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

// It is for the race detector: requests, variants and edits at the same time.
// Whatever a client gets under a hash hashes to it.
func requestsAndEditsMayComeAtTheSameTime(t *testing.T) {
	dir := folder(t, map[string]string{"a.css": script + "b{c:url(i.png)}", "i.png": "0"})
	a := serveDir(t, dir, edgecache.StaticOptions{})
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
	assets.Of(a).Settle()
}

// Only static files of this process can keep a response from being stored by their mark, or call it
// a hit.
func anOriginCannotMarkItsPagesAsStaticFiles(t *testing.T) {
	h := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(engine.StaticField, "1")
		_, _ = w.Write([]byte("page"))
	}))
	for i, want := range []string{"MISS", "HIT"} {
		if got := ask(h, "/page"); got.Header().Get("X-Cache") != want || got.Header()[engine.StaticField] != nil {
			t.Errorf("%d: got %v, want %s", i, got.Header(), want)
		}
	}
}
