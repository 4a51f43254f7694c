package assets

import (
	"path"
	"strings"

	"github.com/edgecache-go/edgecache/internal/coding"
)

// class is what a file is used as.
type class uint8

const (
	other class = iota
	style
	script
	image
	font
	page // HTML
)

// mediaType is what is known about files with one extension.
type mediaType struct {
	name     string // the value of Content-Type
	class    class
	squeezes bool // worth compressing
}

// unknownType is for files that are not in the table. Nothing is guessed from their bytes: what a visitor uploads must not become a page.
var unknownType = mediaType{name: "application/octet-stream"}

// mediaTypes is the same on every machine; that of package mime reads the system's files.
var mediaTypes = map[string]struct {
	name  string
	class class
}{
	".html":  {"text/html; charset=utf-8", page},
	".htm":   {"text/html; charset=utf-8", page},
	".xhtml": {"application/xhtml+xml; charset=utf-8", page},

	".css":  {"text/css; charset=utf-8", style},
	".js":   {"text/javascript; charset=utf-8", script}, // RFC 9239
	".mjs":  {"text/javascript; charset=utf-8", script},
	".cjs":  {"text/javascript; charset=utf-8", script},
	".wasm": {"application/wasm", other},

	".json":        {"application/json", other},
	".map":         {"application/json", other},
	".jsonld":      {"application/ld+json", other},
	".geojson":     {"application/geo+json", other},
	".webmanifest": {"application/manifest+json", other},
	".xml":         {"text/xml; charset=utf-8", other},
	".rss":         {"application/rss+xml; charset=utf-8", other},
	".atom":        {"application/atom+xml; charset=utf-8", other},
	".txt":         {"text/plain; charset=utf-8", other},
	".md":          {"text/markdown; charset=utf-8", other},
	".csv":         {"text/csv; charset=utf-8", other},
	".vtt":         {"text/vtt; charset=utf-8", other},
	".ics":         {"text/calendar; charset=utf-8", other},
	".glsl":        {"text/plain; charset=utf-8", other},

	".svg":  {"image/svg+xml", image},
	".ico":  {"image/x-icon", image},
	".bmp":  {"image/bmp", image},
	".png":  {"image/png", image},
	".apng": {"image/apng", image},
	".jpg":  {"image/jpeg", image},
	".jpeg": {"image/jpeg", image},
	".gif":  {"image/gif", image},
	".webp": {"image/webp", image},
	".avif": {"image/avif", image},
	".jxl":  {"image/jxl", image},

	".woff":  {"font/woff", font},
	".woff2": {"font/woff2", font},
	".ttf":   {"font/ttf", font},
	".otf":   {"font/otf", font},
	".eot":   {"application/vnd.ms-fontobject", font},

	".mp4":  {"video/mp4", other},
	".m4v":  {"video/mp4", other},
	".webm": {"video/webm", other},
	".mov":  {"video/quicktime", other},
	".ogv":  {"video/ogg", other},
	".mp3":  {"audio/mpeg", other},
	".m4a":  {"audio/mp4", other},
	".ogg":  {"audio/ogg", other},
	".opus": {"audio/ogg", other},
	".wav":  {"audio/wav", other},
	".flac": {"audio/flac", other},
	".m3u8": {"application/vnd.apple.mpegurl", other},

	".pdf":  {"application/pdf", other},
	".zip":  {"application/zip", other},
	".gz":   {"application/gzip", other},
	".zst":  {"application/zstd", other},
	".glb":  {"model/gltf-binary", other},
	".gltf": {"model/gltf+json", other},
}

func typeOf(name string) mediaType {
	if t, ok := mediaTypes[strings.ToLower(path.Ext(name))]; ok {
		return mediaType{t.name, t.class, coding.Compressible(t.name)}
	}
	return unknownType
}

// fixed reports whether name must never be cached for ever, whatever a build tool says: its URL is known to browsers, crawlers and people.
func fixed(name string) bool {
	switch base := path.Base(name); base {
	case "sw.js", "robots.txt", "favicon.ico":
		return true
	default:
		return typeOf(base).class == page || strings.EqualFold(path.Ext(base), ".webmanifest") || strings.HasPrefix(name, ".well-known/")
	}
}
