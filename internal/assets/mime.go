package assets

import (
	"path"
	"strings"
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
var mediaTypes = map[string]mediaType{
	".html":  {"text/html; charset=utf-8", page, true},
	".htm":   {"text/html; charset=utf-8", page, true},
	".xhtml": {"application/xhtml+xml; charset=utf-8", page, true},

	".css":  {"text/css; charset=utf-8", style, true},
	".js":   {"text/javascript; charset=utf-8", script, true}, // RFC 9239
	".mjs":  {"text/javascript; charset=utf-8", script, true},
	".cjs":  {"text/javascript; charset=utf-8", script, true},
	".wasm": {"application/wasm", other, true},

	".json":        {"application/json", other, true},
	".map":         {"application/json", other, true},
	".jsonld":      {"application/ld+json", other, true},
	".geojson":     {"application/geo+json", other, true},
	".webmanifest": {"application/manifest+json", other, true},
	".xml":         {"text/xml; charset=utf-8", other, true},
	".rss":         {"application/rss+xml; charset=utf-8", other, true},
	".atom":        {"application/atom+xml; charset=utf-8", other, true},
	".txt":         {"text/plain; charset=utf-8", other, true},
	".md":          {"text/markdown; charset=utf-8", other, true},
	".csv":         {"text/csv; charset=utf-8", other, true},
	".vtt":         {"text/vtt; charset=utf-8", other, true},
	".ics":         {"text/calendar; charset=utf-8", other, true},
	".glsl":        {"text/plain; charset=utf-8", other, true},

	".svg":  {"image/svg+xml", image, true},
	".ico":  {"image/x-icon", image, true},
	".bmp":  {"image/bmp", image, true},
	".png":  {"image/png", image, false},
	".apng": {"image/apng", image, false},
	".jpg":  {"image/jpeg", image, false},
	".jpeg": {"image/jpeg", image, false},
	".gif":  {"image/gif", image, false},
	".webp": {"image/webp", image, false},
	".avif": {"image/avif", image, false},
	".jxl":  {"image/jxl", image, false},

	".woff":  {"font/woff", font, false},
	".woff2": {"font/woff2", font, false},
	".ttf":   {"font/ttf", font, true},
	".otf":   {"font/otf", font, true},
	".eot":   {"application/vnd.ms-fontobject", font, true},

	".mp4":  {"video/mp4", other, false},
	".m4v":  {"video/mp4", other, false},
	".webm": {"video/webm", other, false},
	".mov":  {"video/quicktime", other, false},
	".ogv":  {"video/ogg", other, false},
	".mp3":  {"audio/mpeg", other, false},
	".m4a":  {"audio/mp4", other, false},
	".ogg":  {"audio/ogg", other, false},
	".opus": {"audio/ogg", other, false},
	".wav":  {"audio/wav", other, false},
	".flac": {"audio/flac", other, false},
	".m3u8": {"application/vnd.apple.mpegurl", other, true},

	".pdf":  {"application/pdf", other, false},
	".zip":  {"application/zip", other, false},
	".gz":   {"application/gzip", other, false},
	".zst":  {"application/zstd", other, false},
	".glb":  {"model/gltf-binary", other, true},
	".gltf": {"model/gltf+json", other, true},
}

func typeOf(name string) mediaType {
	if t, ok := mediaTypes[strings.ToLower(path.Ext(name))]; ok {
		return t
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
