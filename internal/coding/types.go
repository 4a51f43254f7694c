package coding

import (
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
)

// compressible are the media types that are worth encoding, besides text/* and types that end in
// +json or +xml.
var compressible = map[string]bool{
	"application/ecmascript":        true,
	"application/graphql":           true,
	"application/javascript":        true,
	"application/json":              true,
	"application/json5":             true,
	"application/jsonlines":         true,
	"application/rtf":               true,
	"application/vnd.apple.mpegurl": true,
	"application/vnd.ms-fontobject": true,
	"application/wasm":              true,
	"application/x-javascript":      true,
	"application/x-mpegurl":         true,
	"application/x-ndjson":          true,
	"application/x-sh":              true,
	"application/x-yaml":            true,
	"application/xml":               true,
	"application/xml-dtd":           true,
	"application/yaml":              true,
	"font/otf":                      true,
	"font/ttf":                      true,
	"image/bmp":                     true,
	"image/vnd.microsoft.icon":      true,
	"image/x-icon":                  true,
	"model/gltf-binary":             true,
}

// Compressible reports whether a body of this Content-Type usually becomes smaller. It is false for
// an event stream, which must be sent as it comes.
func Compressible(contentType string) bool {
	mediaType, _ := field.Cut(contentType, ';')
	mediaType = strings.ToLower(field.TrimBlanks(mediaType))
	return mediaType != "text/event-stream" &&
		(strings.HasPrefix(mediaType, "text/") || strings.HasSuffix(mediaType, "+json") || strings.HasSuffix(mediaType, "+xml") || compressible[mediaType])
}
