package assets

import (
	_ "embed" // for the table
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
	squeezes bool   // worth compressing
	encoding string // the Content-Encoding of the file on disk; usually ""
}

// unknownType is for files that are not in the table. It is never guessed from their bytes: a
// visitor's upload must not become a page.
const unknownType = "application/octet-stream"

//go:embed types.txt
var typesText string

// betterTypes are those where this package knows better than mime-db, or more.
var betterTypes = map[string]string{
	"xhtml": "application/xhtml+xml; charset=utf-8",
	"cjs":   "text/javascript", // RFC 9239; browsers do not run CommonJS, which Node calls so
	"xml":   "text/xml",
	"rss":   "application/rss+xml; charset=utf-8",
	"atom":  "application/atom+xml; charset=utf-8",
	"glsl":  "text/plain",
	"ico":   "image/x-icon",
	"m4v":   "video/mp4",
	"flac":  "audio/flac", // RFC 9639
	"zst":   "application/zstd",
}

// namedTypes are the types of files without an extension whose names are standardised. Those of RFC
// 8615 are only below .well-known/.
var namedTypes = map[string]string{
	"apple-app-site-association":                                "application/json",
	".well-known/apple-app-site-association":                    "application/json",
	".well-known/apple-developer-merchantid-domain-association": "text/plain",
	".well-known/host-meta":                                     "application/xrd+xml", // RFC 6415
	".well-known/matrix/client":                                 "application/json",
	".well-known/matrix/server":                                 "application/json",
	".well-known/nodeinfo":                                      "application/json",
	".well-known/oauth-authorization-server":                    "application/json", // RFC 8414
	".well-known/oauth-protected-resource":                      "application/json", // RFC 9728
	".well-known/openid-configuration":                          "application/json",
	".well-known/passkey-endpoints":                             "application/json",
	".well-known/webauthn":                                      "application/json",
	".well-known/webfinger":                                     "application/jrd+json", // RFC 7033
}

// Types are the user's types by extension, with its dot and in lower case. The rest is the same on
// every machine, unlike in package mime, which reads the system's files.
type Types map[string]string

// of returns the type of a file by its name.
func (t Types) of(name string) mediaType {
	ext := strings.ToLower(path.Ext(name))
	value := t.value(name, ext)
	if value == "" {
		value = unknownType
	}
	if strings.HasPrefix(value, "text/") && !strings.Contains(value, ";") {
		value += "; charset=utf-8"
	}
	m := mediaType{name: value, class: classOf(value), squeezes: coding.Compressible(value)}
	if ext == ".svgz" && m.class == image {
		m.encoding, m.squeezes = "gzip", false
	}
	return m
}

// known reports whether there is a type for a file of that name.
func (t Types) known(name string) bool { return t.value(name, strings.ToLower(path.Ext(name))) != "" }

func (t Types) value(name, ext string) string {
	if value := t[ext]; value != "" {
		return value
	}
	if value := namedTypes[name]; value != "" {
		return value
	}
	if len(ext) < 2 {
		return ""
	}
	if value := betterTypes[ext[1:]]; value != "" {
		return value
	}
	return tableType(ext[1:])
}

// tableType looks an extension up in types.txt: sorted lines of an extension and its type, below a
// notice. The search needs no memory beside the program, and no work at its start.
func tableType(ext string) string {
	_, table, _ := strings.Cut(typesText, "\n\n")
	for table != "" {
		middle := strings.LastIndexByte(table[:len(table)/2], '\n') + 1
		line, rest, _ := strings.Cut(table[middle:], "\n")
		known, value, _ := strings.Cut(line, " ")
		switch {
		case known == ext:
			return value
		case known < ext:
			table = rest
		default:
			table = table[:middle]
		}
	}
	return ""
}

func classOf(value string) class {
	value, _, _ = strings.Cut(value, ";")
	switch value = strings.ToLower(strings.TrimSpace(value)); {
	case value == "text/html", value == "application/xhtml+xml":
		return page
	case value == "text/css":
		return style
	case value == "text/javascript", value == "application/javascript":
		return script
	case strings.HasPrefix(value, "image/"):
		return image
	case strings.HasPrefix(value, "font/"), value == "application/vnd.ms-fontobject":
		return font
	}
	return other
}

// fixed reports whether name must never be cached for ever, whatever a build tool says: browsers,
// crawlers and people know its URL.
func (t Types) fixed(name string) bool {
	switch base := path.Base(name); base {
	case "sw.js", "robots.txt", "favicon.ico":
		return true
	default:
		return t.of(name).class == page || strings.EqualFold(path.Ext(base), ".webmanifest") || strings.HasPrefix(name, ".well-known/") || namedTypes[name] != ""
	}
}
