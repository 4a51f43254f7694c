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
	// Prefix is the path below which the files are served, with a slash at both ends. "" means
	// DefaultStaticPrefix (/static/).
	Prefix string

	// BaseURL stands before Prefix in every URL that [Assets.URL] returns, but not in requests. It
	// is the path that http.StripPrefix or a proxy in front removes, such as "/app". URLs in
	// stylesheets have it, too: /static/x.png becomes /app/static/x-….png. It may contain the host
	// as well, instead of CDNHost: "https://cdn.example.com/app". "" means none.
	BaseURL string

	// CDNHost is the host from which browsers fetch the files, such as cdn.example.com or
	// https://cdn.example.com; the CDN must fetch them from here. With it, all other origins may use
	// the files, too (CORS). "" means the host of the site.
	CDNHost string

	// Dev is for development: each file is read when it is requested, and served at its plain URL,
	// uncompressed, and browsers validate it each time. Templates need no change.
	Dev bool

	// ViteManifest and ESBuildMetafile name a file in the tree in which a build tool lists what it
	// has built. The names of those files contain a hash already, and stay as they are. "" means
	// none.
	ViteManifest    string
	ESBuildMetafile string

	// SPA names the file in the tree that is the one page of a single-page application, such as
	// "index.html". [Assets.Handler] then serves it for every path outside of Prefix that next does
	// not find. The request must be a GET or HEAD that accepts HTML: Accept names it, is only */*,
	// or is missing. "" means none.
	//
	// It is not served for a path that looks like a file: one with an extension that has a known
	// type, such as /assets/missing.js, or that a file in the tree has, and one that begins with a
	// dot. /users/john.doe and /sites/example.com do not look like files.
	SPA string

	// SPAExcept are paths that are never pages of the single-page application, as patterns of
	// http.ServeMux such as "/api/". What next does not find there is a 404, also for browsers. It
	// needs SPA.
	SPAExcept []string

	// Types are media types by file extension, such as {".foo": "application/x-foo"}. They add to or
	// replace those of the built-in table, which is that of mime-db and the same on every machine.
	// An extension may be in any case, and only the last one of a name counts. A text type without
	// a parameter gets charset=utf-8.
	Types map[string]string

	// MaxAge is how long browsers may use a file that has no hash in its URL without validating it:
	// a second to a day, except for HTML and sw.js, which they always validate. 0 means that they
	// validate each time, and receive the file only if it has changed.
	MaxAge time.Duration

	// Retain is a folder that keeps files of earlier versions, and of versions that other processes
	// serve, so that they are still found while a new version is rolled out. It must lie outside of
	// the directory that is served, and is created if necessary. "" keeps none.
	Retain string

	// RetainFor is how long Retain keeps a file that no version contains any more, a second or more.
	// 0 means DefaultRetainFor (30 days).
	RetainFor time.Duration

	// MaxEncodedBytes is how much memory compressed files may take, in bytes; files that a build has
	// already compressed do not count. 0 means DefaultMaxEncodedBytes (32 MiB).
	MaxEncodedBytes int64

	// Logger gets what an operator should know, such as references to files that do not exist, and
	// compressed files that do not fit into MaxEncodedBytes. nil means slog.Default.
	Logger *slog.Logger
}

// A StaticFile is a file that [Assets] serves.
type StaticFile struct {
	Name        string // its path in the tree, such as "css/app.css"
	URL         string // where it is served: see [Assets.URL]
	Size        int64  // in bytes, uncompressed
	ContentType string // its media type, such as "text/css; charset=utf-8"
	Integrity   string // for an integrity attribute: see [Assets.Integrity]
	Immutable   bool   // URL changes with the content, so it is cached for ever
}

// Assets serves static files. Make one with [Static] or [StaticDir]. All methods but Close are safe
// for concurrent use.
//
// A file has two URLs. The one that [Assets.URL] returns contains a hash of the content, and is
// cached for ever. The plain one is for people, crawlers and scripts that know no other, and caches
// validate it each time. robots.txt, favicon.ico, sw.js, web manifests and HTML have only the plain
// one.
type Assets struct{ set *assets.Set }

// Static serves the files of fsys: an embed.FS, a zip archive, or any other. It reads and hashes
// all of them before it returns. Mistakes in opts are reported at once: the error joins one
// [*ConfigError] for each.
//
// URLs in stylesheets are rewritten to the ones with a hash; a URL of a file that does not exist
// stays as it is, and is logged. Scripts are not rewritten: see [Assets.Funcs] for their import
// map.
//
// Use [StaticDir] for a directory on disk. Static follows no symbolic links, since a file system
// such as os.DirFS does not tell whether a link leads outside.
func Static(fsys fs.FS, opts StaticOptions) (*Assets, error) {
	if fsys == nil {
		return nil, &ConfigError{Field: "fsys", Value: nil, Reason: "want a file system such as an embed.FS"}
	}
	return newAssets(assets.FromFS(fsys), opts, "")
}

// StaticDir is like [Static] for a directory on disk. It opens no file outside of dir, wherever
// symbolic links lead. Close the Assets to release the directory.
//
// Before a file is served, a change is noticed by its size and modification time, and the changed
// file gets a new URL. A new file is found when a request asks for it, or another file changes.
//
// The whole directory may be replaced: moved aside, removed and created again, or reached by a
// symbolic link that is switched. The new content is served within a second, or at once with Dev.
// If StaticOptions names a manifest, a new directory is not served before its manifest is there.
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

// Close releases the directory of [StaticDir] and the folder of StaticOptions.Retain. Call it when
// no request is in progress and none will follow.
func (a *Assets) Close() error { return a.set.Close() }

// URL returns the URL of a file by its name in the tree, such as "css/app.css". Other frameworks
// call this url_for('static', …). A query or a fragment in name is kept. If the file does not
// exist, URL returns its plain URL, and logs that once.
func (a *Assets) URL(name string) string { return a.set.URL(name) }

// Integrity returns the value of the integrity attribute for a file, such as "sha256-…". It is "",
// which means no check, with Dev and for a file that does not exist.
func (a *Assets) Integrity(name string) string { return a.set.Integrity(name) }

// ImportMap returns an import map as JSON. It maps the plain URL of each script to the one with a
// hash, and has the integrity of each. With it, import "./util.js" in one script finds the hashed
// URL of the other.
func (a *Assets) ImportMap() ([]byte, error) { return a.set.ImportMap() }

// Version returns a hash of all files, which changes when a file is changed, added or removed. For
// a directory on disk it may be a second old.
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
// If a Content-Security-Policy wants a nonce, pass it: {{importmap .Nonce}} and
// {{entry "src/main.ts" .Nonce}}.
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

// Preload adds Link fields to the header of w, so that a browser fetches the named files before it
// finds out that it needs them. A response gets at most 8 of them, and 2 KiB. Preload returns how
// many of the names fitted. Call it before WriteHeader.
func (a *Assets) Preload(w http.ResponseWriter, names ...string) int {
	return a.set.Preload(w.Header(), names...)
}

// EarlyHints is like [Assets.Preload], and also sends the fields at once, in a 103 Early Hints (RFC
// 8297), while the handler renders the page. Over HTTP/1 it only adds the fields, since some
// clients take a 103 for the response.
func (a *Assets) EarlyHints(w http.ResponseWriter, r *http.Request, names ...string) int {
	n := a.Preload(w, names...)
	if n > 0 && r.ProtoMajor >= 2 {
		w.WriteHeader(http.StatusEarlyHints)
	}
	return n
}

// ServeHTTP serves a file. It reads the whole path, including Prefix: mount it with
// mux.Handle("/static/", assets), without http.StripPrefix.
func (a *Assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.set.Serve(w, r, engine.ConditionsOf(r))
}

// Handler returns a handler that serves files for requests below Prefix, and passes all others to
// next. With StaticOptions.SPA it serves that page for what next does not find. It panics if next
// is nil.
func (a *Assets) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("edgecache: Handler needs a handler to wrap, got nil")
	}
	return a.set.Around(next, engine.ConditionsOf)
}
