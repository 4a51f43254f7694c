package edgecache

import (
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"iter"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/assets"
	"github.com/edgecache-go/edgecache/internal/engine"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/pattern"
)

// Defaults of StaticOptions' zero fields.
const (
	DefaultStaticPrefix    = "/static/"
	DefaultMaxEncodedBytes = 32 << 20            // of memory
	DefaultRetainFor       = 30 * 24 * time.Hour // after the last version that had the file
)

// maxStaticAge is the longest that a URL whose content may change is cached without asking.
const maxStaticAge = 24 * time.Hour

// StaticOptions say how [Static] and [StaticDir] serve files. The zero value works.
type StaticOptions struct {
	// Prefix is the path below which the files are, with a slash at both ends. "" means /static/.
	Prefix string

	// BaseURL stands before Prefix in all URLs that are made, and nowhere in requests: the path that http.StripPrefix or a
	// proxy takes off before they come here, such as "/app". In stylesheets, /static/x.png becomes
	// /app/static/x-….png. With a host it says CDNHost, too: "https://cdn.example.com/app". "" means none.
	BaseURL string

	// CDNHost is the host from which browsers fetch the files, such as cdn.example.com or https://cdn.example.com. It has to
	// fetch them from here. "" means this site. All files may then be used by other origins (CORS).
	CDNHost string

	// Dev serves every file as it is at that moment, at its plain URL, uncompressed, and has browsers ask each time.
	// Templates need no change.
	Dev bool

	// ViteManifest and ESBuildMetafile name a file in the tree in which a build tool says what it has made. Those files have
	// a hash in their names already, and keep them.
	ViteManifest    string
	ESBuildMetafile string

	// SPA names the page in the tree that answers for every page of a single-page application: for a GET or HEAD that takes
	// HTML, by name, by nothing but */*, or without Accept, of a path outside of Prefix for which nothing else is there. Not for what looks
	// like a file: /assets/missing.js, because there is a type for its extension, a path whose extension one of the files
	// has, and whatever begins with a dot. /users/john.doe and /sites/example.com are pages.
	SPA string

	// SPAExcept are the paths that are never pages of the single-page application, as patterns of http.ServeMux such as
	// "/api/": what is not found there is a 404 for browsers, too. It needs SPA.
	SPAExcept []string

	// Types are media types of files by their extensions, such as {".foo": "application/x-foo"}, beside and in place of
	// those of the table that every machine has (that of mime-db). An extension is in any case, and is the last one of a
	// name. A type of text without a parameter gets charset=utf-8.
	Types map[string]string

	// MaxAge is how long browsers may use what has no hash in its URL without asking; at most a day. HTML and sw.js are
	// always asked for. 0 means that they ask each time, and get the file only if it has changed.
	MaxAge time.Duration

	// Retain is a folder in which the files of earlier versions, and of those that other processes serve, are kept and found while
	// a new version is brought out. It must lie outside of the one that is served, and is made if it is not there. "" keeps none.
	Retain string

	// RetainFor is how long a file is retained that no version has any more. 0 means DefaultRetainFor (30 days).
	RetainFor time.Duration

	// MaxEncodedBytes is how much memory compressed files may take that no build has compressed. 0 means
	// DefaultMaxEncodedBytes (32 MiB).
	MaxEncodedBytes int64

	// Logger gets what an operator should know: references to files that are not there, compressed files that do not fit.
	// nil means slog.Default.
	Logger *slog.Logger
}

// A StaticFile is one that [Assets] serves.
type StaticFile = assets.File

// Assets serves static files. Make one with [Static] or [StaticDir]. All its methods are safe for concurrent use.
//
// A file has two URLs. The one that [Assets.URL] returns contains a hash of the content, and is cached for ever. The plain one is for people, crawlers and
// scripts that know no other, and is asked for each time. robots.txt, favicon.ico, sw.js, web manifests and HTML have the plain one only.
type Assets struct {
	set    *assets.Set
	status *engine.StatusWriter // where no cache stands in front
}

// Static serves the files of fsys: an embed.FS, a zip archive, or any other. It reads and hashes all of them before it returns.
//
// URLs in stylesheets are rewritten; one that leads nowhere stays as it is, and is logged. Scripts are not: see [Assets.Funcs] for their import map.
// Of a directory on disk use [StaticDir]: an fs.FS such as os.DirFS does not say whether a symbolic link leads outside, so links are not followed here.
func Static(fsys fs.FS, opts StaticOptions) (*Assets, error) {
	if fsys == nil {
		return nil, &ConfigError{Field: "fsys", Value: nil, Reason: "want a file system such as an embed.FS"}
	}
	return newAssets(assets.FromFS(fsys), opts, "")
}

// StaticDir serves the files of a directory on disk. It opens nothing outside, wherever symbolic links lead. A file that changes is noticed by its size and time of
// change before it is served, and gets a new URL; a new one is found when somebody asks for it, or another changes. Close it to release the directory.
//
// The directory may be replaced: moved aside, removed and made again, or reached by a symbolic link that is switched. What
// is there now is served within a second, and at once with Dev. A new one whose manifest is not there
// yet is not served before it is.
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
	resolved, err := opts.resolve(dir)
	if err != nil {
		return nil, err
	}
	a := &Assets{status: engine.NewStatusWriter(DefaultStatusHeader, DefaultStatusName)}
	resolved.Report = a.report
	if a.set, err = assets.New(source, resolved); err != nil {
		return nil, fmt.Errorf("edgecache: static files: %w", err)
	}
	return a, nil
}

// resolve returns the options with their defaults filled in, or every mistake in them. dir is the directory that is served, "" if it is none.
func (o StaticOptions) resolve(dir string) (assets.Options, error) {
	var mistakes []error
	wrong := func(name string, value any, reason string) {
		mistakes = append(mistakes, &ConfigError{Field: "StaticOptions." + name, Value: value, Reason: reason})
	}
	if o.Prefix == "" {
		o.Prefix = DefaultStaticPrefix
	}
	if o.Prefix != "/" && (path.Clean(o.Prefix)+"/" != o.Prefix || o.Prefix[0] != '/') || strings.ContainsAny(o.Prefix, "%?#\\\"<> ") {
		wrong("Prefix", o.Prefix, `want a path with a slash at both ends, such as "/static/"`)
	}
	host, base := "", strings.TrimSuffix(o.BaseURL, "/")
	if scheme, rest, ok := strings.Cut(base, "://"); ok {
		at := strings.IndexByte(rest+"/", '/')
		host, base = scheme+"://"+rest[:at], rest[at:]
		if !isOrigin(host) {
			wrong("BaseURL", o.BaseURL, `want a path such as "/app", or one with its host, such as "https://cdn.example.com/app"`)
		} else if o.CDNHost != "" {
			wrong("BaseURL", o.BaseURL, "want a path, such as \"/app\", beside CDNHost")
		}
	}
	if base != "" && (base[0] != '/' || base == "/" || path.Clean(base) != base || strings.ContainsFunc(base, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`%?#\"'<>()`, c) })) {
		wrong("BaseURL", o.BaseURL, `want a path such as "/app", or one with its host, such as "https://cdn.example.com/app"`)
	}
	if o.CDNHost != "" {
		host = strings.TrimSuffix(o.CDNHost, "/")
		if !strings.Contains(host, "//") {
			host = "https://" + host
		}
		if !isOrigin(host) {
			wrong("CDNHost", o.CDNHost, `want a host such as "cdn.example.com", or one with its scheme`)
		}
	}
	for _, f := range []struct{ name, value string }{
		{"ViteManifest", o.ViteManifest}, {"ESBuildMetafile", o.ESBuildMetafile}, {"SPA", o.SPA},
	} {
		if f.value != "" && !fs.ValidPath(f.value) {
			wrong(f.name, f.value, `want the name of a file in the tree, such as "index.html"`)
		}
	}
	except := new(pattern.Mux)
	for _, path := range o.SPAExcept {
		if _, reason := except.Add(path); reason != "" {
			wrong("SPAExcept", path, `want a pattern for http.ServeMux such as "/api/": `+reason)
		}
	}
	if len(o.SPAExcept) > 0 && o.SPA == "" {
		wrong("SPAExcept", o.SPAExcept, "want it empty without SPA")
	}
	types := assets.Types{}
	for _, ext := range slices.Sorted(maps.Keys(o.Types)) {
		value, folded := o.Types[ext], strings.ToLower(ext)
		if len(ext) < 2 || strings.LastIndexByte(ext, '.') != 0 || strings.ContainsAny(ext, `/\`) {
			wrong("Types", ext, `want the last extension of a name, with its dot, such as ".svg"`)
		}
		if types[folded] != "" {
			wrong("Types", ext, "want each extension once: capitals do not count")
		}
		if !isMediaType(value) {
			wrong("Types", ext+": "+value, `want a media type such as "image/svg+xml" or "text/plain; charset=utf-8"`)
		}
		types[folded] = value
	}
	if o.MaxAge < 0 || o.MaxAge > maxStaticAge || 0 < o.MaxAge && o.MaxAge < time.Second {
		wrong("MaxAge", o.MaxAge, "want 0 (ask each time), or time.Second to 24*time.Hour; what has a hash in its URL is cached for ever anyway")
	}
	if dir != "" && o.Retain != "" && serves(dir, o.Retain) {
		wrong("Retain", o.Retain, "want a folder outside of the one that is served: else what is retained is served, and retained again")
	}
	switch {
	case o.RetainFor < 0 || 0 < o.RetainFor && o.RetainFor < time.Second:
		wrong("RetainFor", o.RetainFor, "want 0 (default), or time.Second or more")
	case o.RetainFor == 0:
		o.RetainFor = DefaultRetainFor
	}
	switch {
	case o.MaxEncodedBytes < 0:
		wrong("MaxEncodedBytes", o.MaxEncodedBytes, "want 0 (default) or more")
	case o.MaxEncodedBytes == 0:
		o.MaxEncodedBytes = DefaultMaxEncodedBytes
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	var noPage func(*http.Request) bool
	if len(o.SPAExcept) > 0 {
		noPage = func(r *http.Request) bool { return except.Match(r) != "" }
	}
	return assets.Options{
		Prefix: o.Prefix, Base: base, Host: host, Dev: o.Dev, ViteManifest: o.ViteManifest, ESBuildMetafile: o.ESBuildMetafile, SPA: o.SPA,
		NoPage: noPage, Types: types, MaxAge: o.MaxAge, Retain: o.Retain, RetainFor: o.RetainFor, MaxEncodedBytes: o.MaxEncodedBytes, Log: o.Logger,
	}, errors.Join(mistakes...)
}

// isOrigin reports whether text is a scheme and a host, and nothing else.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") && u.User == nil && text == u.Scheme+"://"+u.Host
}

// isMediaType reports whether value can stand in Content-Type (RFC 9110, 8.3.1).
func isMediaType(value string) bool {
	name, _, err := mime.ParseMediaType(value)
	main, sub, ok := strings.Cut(name, "/")
	return err == nil && ok && field.IsToken(main) && field.IsToken(sub) && !strings.Contains(name, "*") &&
		!strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' })
}

// serves reports whether folder lies in dir, and is not hidden by a dot.
func serves(dir, folder string) bool {
	var err error
	if dir, err = filepath.Abs(dir); err == nil {
		folder, err = filepath.Abs(folder)
	}
	if err != nil {
		return false
	}
	below, err := filepath.Rel(dir, folder)
	below = filepath.ToSlash(below)
	return err == nil && (below == "." || filepath.IsLocal(below) && !strings.Contains("/"+below, "/."))
}

// Close releases the directory of StaticDir and the folder of StaticOptions.Retain. No request may come after it.
func (a *Assets) Close() error { return a.set.Close() }

// URL returns where a file is, under the name that it has in the tree: url_for('static', …) of other frameworks. A fragment or a query is kept. Of a file
// that is not there it is the plain URL, and that is logged once.
func (a *Assets) URL(name string) string { return a.set.URL(name) }

// Integrity returns the value of an integrity attribute, such as "sha256-…". It is "", which means no check, with Dev and for a file that is not there.
func (a *Assets) Integrity(name string) string { return a.set.Integrity(name) }

// ImportMap returns the JSON of an import map, keyed by URL and with the integrity of each script: by it "./util.js" in one script finds the hashed
// URL of the other.
func (a *Assets) ImportMap() ([]byte, error) { return a.set.ImportMap() }

// Version returns a digest of all files: it changes when one changes, comes or goes. Of a directory on disk it may be a second old.
func (a *Assets) Version() string { return a.set.Version() }

// Files iterates over all files, sorted by name.
func (a *Assets) Files() iter.Seq[StaticFile] { return a.set.Files() }

// Funcs returns functions for html/template:
//
//	{{asset "app.css"}}            the URL of a file
//	{{integrity "app.js"}}         the value of an integrity attribute
//	{{importmap}}                  the import map as a script element, to stand before the first module; {{importmap .Nonce}} where a policy wants one
//	{{entry "src/main.ts"}}        the elements for an entry of a build tool's manifest; {{entry "src/main.ts" .Nonce}}
//	{{preload "app.css" "x.woff2"}} link elements that fetch files early
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

// Preload adds Link fields by which a browser fetches files before it finds out that it needs them: at most 8 in one response, and 2 KiB of them. It
// returns how many of the names found room. Call it before WriteHeader.
func (a *Assets) Preload(w http.ResponseWriter, names ...string) int {
	return a.set.Preload(w.Header(), names...)
}

// EarlyHints is [Assets.Preload], and says so at once, by 103 Early Hints (RFC 8297), while the page is still being made. Over HTTP/1, where
// some clients take that for the answer, it only adds the fields.
func (a *Assets) EarlyHints(w http.ResponseWriter, r *http.Request, names ...string) int {
	n := a.Preload(w, names...)
	if n > 0 && r.ProtoMajor >= 2 {
		w.WriteHeader(http.StatusEarlyHints)
	}
	return n
}

// ServeHTTP answers with a file. It looks at the whole path: mount it with mux.Handle("/static/", assets), without http.StripPrefix.
func (a *Assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.set.Serve(w, r, engine.ConditionsOf(r))
}

// Handler answers requests below Prefix, and passes all others on to next. With SPA, pages that next has not found are answered with that page.
func (a *Assets) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("edgecache: Handler needs a handler to wrap, got nil")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case a.set.Owns(r):
			a.ServeHTTP(w, r)
		case a.set.WantsPage(r):
			serveUnlessMissing(w, r, next, func() { a.set.Shell(w, r, engine.ConditionsOf(r)) })
		case a.set.MayBePage(r):
			serveVaryingMissing(w, r, next)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// report writes the status headers, or leaves that to the Edge in front.
func (a *Assets) report(h http.Header, r *http.Request, v assets.Verdict) {
	a.status.Static(h, r, v.Hit, v.Failed, v.Reason)
}
