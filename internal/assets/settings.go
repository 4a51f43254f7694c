package assets

import (
	"io/fs"
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

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/mistake"
	"github.com/edgecache-go/edgecache/internal/pattern"
)

// Defaults of the zero fields of Settings.
const (
	DefaultPrefix          = "/static/"
	DefaultMaxEncodedBytes = 32 << 20
	DefaultRetainFor       = 30 * 24 * time.Hour
)

// maxAge is the longest that a URL whose content may change is cached without validation.
const maxAge = 24 * time.Hour

// Settings have the fields of the public StaticOptions, which document them, so that one converts
// to the other.
type Settings struct {
	Prefix          string
	BaseURL         string
	CDNHost         string
	Dev             bool
	ViteManifest    string
	ESBuildMetafile string
	SPA             string
	SPAExcept       []string
	Types           map[string]string
	MaxAge          time.Duration
	Retain          string
	RetainFor       time.Duration
	MaxEncodedBytes int64
	Logger          *slog.Logger
}

// settingsMistakes collects what is wrong with Settings.
type settingsMistakes struct{ mistake.List }

func (l *settingsMistakes) add(name string, value any, reason string) {
	l.Add("StaticOptions."+name, value, reason)
}

// Resolve returns the options with their defaults filled in, and every mistake in them. dir is the
// directory that is served, "" for a file system.
func (s Settings) Resolve(dir string) (Options, mistake.List) {
	var wrong settingsMistakes
	o := Options{
		Dev: s.Dev, ViteManifest: s.ViteManifest, ESBuildMetafile: s.ESBuildMetafile, SPA: s.SPA,
		MaxAge: s.MaxAge, Retain: s.Retain, Log: s.Logger,
	}
	o.Prefix, o.Base, o.Host = s.urls(&wrong)
	for _, f := range []struct{ name, value string }{
		{"ViteManifest", s.ViteManifest}, {"ESBuildMetafile", s.ESBuildMetafile}, {"SPA", s.SPA},
	} {
		if f.value != "" && !fs.ValidPath(f.value) {
			wrong.add(f.name, f.value, `want the name of a file in the tree, such as "index.html"`)
		}
	}
	o.NoPage = s.noPage(&wrong)
	o.Types = s.types(&wrong)
	if s.MaxAge < 0 || s.MaxAge > maxAge || 0 < s.MaxAge && s.MaxAge < time.Second {
		wrong.add("MaxAge", s.MaxAge, "want 0 (ask each time), or time.Second to 24*time.Hour; what has a hash in its URL is cached for ever anyway")
	}
	if dir != "" && s.Retain != "" && serves(dir, s.Retain) {
		wrong.add("Retain", s.Retain, "want a folder outside of the one that is served: else what is retained is served, and retained again")
	}
	switch o.RetainFor = s.RetainFor; {
	case s.RetainFor < 0 || 0 < s.RetainFor && s.RetainFor < time.Second:
		wrong.add("RetainFor", s.RetainFor, "want 0 (default), or time.Second or more")
	case s.RetainFor == 0:
		o.RetainFor = DefaultRetainFor
	}
	switch o.MaxEncodedBytes = s.MaxEncodedBytes; {
	case s.MaxEncodedBytes < 0:
		wrong.add("MaxEncodedBytes", s.MaxEncodedBytes, "want 0 (default) or more")
	case s.MaxEncodedBytes == 0:
		o.MaxEncodedBytes = DefaultMaxEncodedBytes
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o, wrong.List
}

// urls returns the parts of URLs: the prefix, the path before it, and the scheme and host.
func (s *Settings) urls(wrong *settingsMistakes) (prefix, base, host string) {
	if prefix = s.Prefix; prefix == "" {
		prefix = DefaultPrefix
	}
	if prefix != "/" && (path.Clean(prefix)+"/" != prefix || prefix[0] != '/') || strings.ContainsAny(prefix, "%?#\\\"<> ") {
		wrong.add("Prefix", prefix, `want a path with a slash at both ends, such as "/static/"`)
	}
	base = strings.TrimSuffix(s.BaseURL, "/")
	if scheme, rest, ok := strings.Cut(base, "://"); ok {
		at := strings.IndexByte(rest+"/", '/')
		host, base = scheme+"://"+rest[:at], rest[at:]
		if !isOrigin(host) {
			wrong.add("BaseURL", s.BaseURL, `want a path such as "/app", or one with its host, such as "https://cdn.example.com/app"`)
		} else if s.CDNHost != "" {
			wrong.add("BaseURL", s.BaseURL, "want a path, such as \"/app\", beside CDNHost")
		}
	}
	isOdd := func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`%?#\"'<>()`, c) }
	if base != "" && (base[0] != '/' || base == "/" || path.Clean(base) != base || strings.ContainsFunc(base, isOdd)) {
		wrong.add("BaseURL", s.BaseURL, `want a path such as "/app", or one with its host, such as "https://cdn.example.com/app"`)
	}
	if s.CDNHost != "" {
		host = strings.TrimSuffix(s.CDNHost, "/")
		if !strings.Contains(host, "//") {
			host = "https://" + host
		}
		if !isOrigin(host) {
			wrong.add("CDNHost", s.CDNHost, `want a host such as "cdn.example.com", or one with its scheme`)
		}
	}
	return prefix, base, host
}

// noPage returns whether the single-page application does not answer for a URL; nil if it does for
// all.
func (s *Settings) noPage(wrong *settingsMistakes) func(*http.Request) bool {
	except := new(pattern.Mux)
	for _, one := range s.SPAExcept {
		if _, refused := except.Add(one); refused != "" {
			wrong.add("SPAExcept", one, `want a pattern for http.ServeMux such as "/api/": `+refused)
		}
	}
	if len(s.SPAExcept) == 0 {
		return nil
	}
	if s.SPA == "" {
		wrong.add("SPAExcept", s.SPAExcept, "want it empty without SPA")
	}
	return func(r *http.Request) bool { return except.Match(r) != "" }
}

func (s *Settings) types(wrong *settingsMistakes) Types {
	types := Types{}
	for _, ext := range slices.Sorted(maps.Keys(s.Types)) {
		value, folded := s.Types[ext], strings.ToLower(ext)
		if len(ext) < 2 || strings.LastIndexByte(ext, '.') != 0 || strings.ContainsAny(ext, `/\`) {
			wrong.add("Types", ext, `want the last extension of a name, with its dot, such as ".svg"`)
		}
		if types[folded] != "" {
			wrong.add("Types", ext, "want each extension once: capitals do not count")
		}
		if !isMediaType(value) {
			wrong.add("Types", ext+": "+value, `want a media type such as "image/svg+xml" or "text/plain; charset=utf-8"`)
		}
		types[folded] = value
	}
	return types
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
