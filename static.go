package edgecache

import (
	"fmt"
	"html/template"
	"io/fs"
	"iter"
	"log/slog"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/assets"
	"github.com/edgecache-go/edgecache/internal/engine"
)

// Defaults of StaticOptions' zero fields.
const (
	DefaultStaticPrefix    = assets.DefaultPrefix          // /static/
	DefaultMaxEncodedBytes = assets.DefaultMaxEncodedBytes // 32 MiB of memory
	DefaultRetainFor       = assets.DefaultRetainFor       // 30 days
)

// StaticOptions say how [Static] and [StaticDir] serve files. The zero value works.
type StaticOptions struct {
	// Prefix is the path below which the files are, with a slash at both ends. "" means /static/.
	Prefix string

	// BaseURL stands before Prefix in all URLs that are made, and nowhere in requests: the path
	// that http.StripPrefix or a proxy removes before they come here, such as "/app". In
	// stylesheets, /static/x.png becomes /app/static/x-….png. With a host it says CDNHost, too:
	// "https://cdn.example.com/app". "" means none.
	BaseURL string

	// CDNHost is the host from which browsers fetch the files, such as cdn.example.com or
	// https://cdn.example.com. It must fetch them from here. "" means this site. All files may then
	// be used by other origins (CORS).
	CDNHost string

	// Dev serves every file as it is at that moment, at its plain URL, uncompressed, and has
	// browsers ask each time. Templates need no change.
	Dev bool

	// ViteManifest and ESBuildMetafile name a file in the tree in which a build tool says what it
	// has made. Those files have a hash in their names already, and keep them.
	ViteManifest    string
	ESBuildMetafile string

	// SPA names the page in the tree that answers for every page of a single-page application: for
	// a GET or HEAD that takes HTML, by name, by nothing but */*, or without Accept, of a path
	// outside of Prefix for which nothing else is there. It does not answer for what looks like a
	// file: /assets/missing.js, because there is a type for its extension, a path whose extension
	// one of the files has, and whatever begins with a dot. /users/john.doe and /sites/example.com
	// are pages.
	SPA string

	// SPAExcept are the paths that are never pages of the single-page application, as patterns of
	// http.ServeMux such as "/api/": what is not found there is a 404 for browsers, too. It needs
	// SPA.
	SPAExcept []string

	// Types are media types of files by their extensions, such as {".foo": "application/x-foo"},
	// beside and in place of those of the table that every machine has (that of mime-db). An
	// extension is in any case, and is the last one of a name. A type of text without a parameter
	// gets charset=utf-8.
	Types map[string]string

	// MaxAge is how long browsers may use what has no hash in its URL without asking; at most a
	// day. They always ask for HTML and sw.js. 0 means that they ask each time, and get the file
	// only if it has changed.
	MaxAge time.Duration

	// Retain is a folder in which the files of earlier versions, and of those that other processes
	// serve, are kept and found while a new version is rolled out. It must lie outside of the one
	// that is served, and is made if it is not there. "" keeps none.
	Retain string

	// RetainFor is how long a file is retained that no version has any more. 0 means
	// DefaultRetainFor (30 days).
	RetainFor time.Duration

	// MaxEncodedBytes is how much memory compressed files may take that no build has compressed. 0
	// means DefaultMaxEncodedBytes (32 MiB).
	MaxEncodedBytes int64

	// Logger gets what an operator should know: references to files that are not there, compressed
	// files that do not fit. nil means slog.Default.
	Logger *slog.Logger
}

// A StaticFile is a file that [Assets] serves.
type StaticFile struct {
	Name        string // in the tree
	URL         string // see Assets.URL
	Size        int64  // in bytes, uncompressed
	ContentType string
	Integrity   string // see Assets.Integrity
	Immutable   bool   // URL changes with the content, and is cached for ever
}

// Assets serves static files. Make one with [Static] or [StaticDir]. All its methods are safe for
// concurrent use.
//
// A file has two URLs. The one that [Assets.URL] returns contains a hash of the content, and is
// cached for ever. The plain one is for people, crawlers and scripts that know no other, and caches
// ask for it each time. robots.txt, favicon.ico, sw.js, web manifests and HTML have the plain one
// only.
type Assets struct{ set *assets.Set }

// Static serves the files of fsys: an embed.FS, a zip archive, or any other. It reads and hashes
// all of them before it returns.
//
// URLs in stylesheets are rewritten; one that leads nowhere stays as it is, and is logged. Scripts
// are not rewritten: see [Assets.Funcs] for their import map. For a directory on disk use
// [StaticDir]: an fs.FS such as os.DirFS does not say whether a symbolic link leads outside, so
// Static follows no links.
func Static(fsys fs.FS, opts StaticOptions) (*Assets, error) {
	if fsys == nil {
		return nil, &ConfigError{Field: "fsys", Value: nil, Reason: "want a file system such as an embed.FS"}
	}
	return newAssets(assets.FromFS(fsys), opts, "")
}

// StaticDir serves the files of a directory on disk. It opens nothing outside, wherever symbolic
// links lead. A file that changes is noticed by its size and time of change before it is served,
// and gets a new URL. A new file is found when a request asks for it, or another file changes.
// Close the Assets to release the directory.
//
// The directory may be replaced: moved aside, removed and made again, or reached by a symbolic link
// that is switched. What is there now is served within a second, and at once with Dev. A new one
// whose manifest is not there yet is not served before it is.
func StaticDir(dir string, opts StaticOptions) (*Assets, error) {
	source, err := assets.FromDir(dir)
	if err != nil {
		return nil, fmt.Errorf("edgecache: %w", err)
	}
	a, err := newAssets(source, opts, dir)
	if err != nil {
		source.Close()
		return nil, err
	}
	return a, nil
}

func newAssets(source *assets.Source, opts StaticOptions, dir string) (*Assets, error) {
	resolved, mistakes := assets.Settings(opts).Resolve(dir)
	if err := configErrors(mistakes); err != nil {
		return nil, err
	}
	// Where no cache stands in front, the files report how they were served.
	status := engine.NewStatusWriter(DefaultStatusHeader, DefaultStatusName)
	resolved.Report = func(h http.Header, r *http.Request, v assets.Verdict) { status.Static(h, r, v.Hit, v.Failed, v.Reason) }
	set, err := assets.New(source, resolved)
	if err != nil {
		return nil, fmt.Errorf("edgecache: static files: %w", err)
	}
	return &Assets{set}, nil
}

// Close releases the directory of StaticDir and the folder of StaticOptions.Retain. No request may
// come after it.
func (a *Assets) Close() error { return a.set.Close() }

// URL returns where a file is, under the name that it has in the tree: url_for('static', …) of
// other frameworks. A fragment or a query is kept. For a file that is not there it returns the
// plain URL, and logs that once.
func (a *Assets) URL(name string) string { return a.set.URL(name) }

// Integrity returns the value of an integrity attribute, such as "sha256-…". It is "", which means
// no check, with Dev and for a file that is not there.
func (a *Assets) Integrity(name string) string { return a.set.Integrity(name) }

// ImportMap returns the JSON of an import map, keyed by URL and with the integrity of each script:
// by it "./util.js" in one script finds the hashed URL of the other.
func (a *Assets) ImportMap() ([]byte, error) { return a.set.ImportMap() }

// Version returns a digest of all files: it changes when one changes, comes or goes. For a
// directory on disk it may be a second old.
func (a *Assets) Version() string { return a.set.Version() }

// Files iterates over all files, sorted by name.
func (a *Assets) Files() iter.Seq[StaticFile] {
	return func(yield func(StaticFile) bool) {
		for f := range a.set.Files() {
			if !yield(StaticFile(f)) {
				return
			}
		}
	}
}

// Funcs returns functions for html/template:
//
//	{{asset "app.css"}}             the URL of a file
//	{{integrity "app.js"}}          the value of an integrity attribute
//	{{importmap}}                   the import map as a script element, for before the first module
//	{{entry "src/main.ts"}}         the elements for an entry of a build tool's manifest
//	{{preload "app.css" "x.woff2"}} link elements that fetch files early
//
// Where a policy wants a nonce: {{importmap .Nonce}} and {{entry "src/main.ts" .Nonce}}.
func (a *Assets) Funcs() template.FuncMap {
	first := func(nonce []string) string {
		if len(nonce) == 0 {
			return ""
		}
		return nonce[0]
	}
	return template.FuncMap{
		"asset":     a.URL,
		"integrity": a.Integrity,
		"importmap": func(nonce ...string) (template.HTML, error) {
			tag, err := a.set.ImportMapTag(first(nonce))
			return template.HTML(tag), err
		},
		"entry": func(source string, nonce ...string) (template.HTML, error) {
			tags, err := a.set.EntryTags(source, first(nonce))
			return template.HTML(tags), err
		},
		"preload": func(names ...string) template.HTML { return template.HTML(a.set.PreloadTags(names...)) },
	}
}

// Preload adds Link fields by which a browser fetches files before it finds out that it needs them:
// at most 8 in one response, and 2 KiB of them. It returns how many of the names found room. Call
// it before WriteHeader.
func (a *Assets) Preload(w http.ResponseWriter, names ...string) int {
	return a.set.Preload(w.Header(), names...)
}

// EarlyHints is [Assets.Preload], and says so at once, by 103 Early Hints (RFC 8297), while the
// page is still being made. Over HTTP/1, where some clients take that for the answer, it only adds
// the fields.
func (a *Assets) EarlyHints(w http.ResponseWriter, r *http.Request, names ...string) int {
	n := a.Preload(w, names...)
	if n > 0 && r.ProtoMajor >= 2 {
		w.WriteHeader(http.StatusEarlyHints)
	}
	return n
}

// ServeHTTP answers with a file. It looks at the whole path: mount it with
// mux.Handle("/static/", assets), without http.StripPrefix.
func (a *Assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.set.Serve(w, r, engine.ConditionsOf(r))
}

// Handler answers requests below Prefix, and passes all others on to next. With SPA, pages that
// next has not found are answered with that page. It panics if next is nil.
func (a *Assets) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("edgecache: Handler needs a handler to wrap, got nil")
	}
	return a.set.Around(next, engine.ConditionsOf)
}
