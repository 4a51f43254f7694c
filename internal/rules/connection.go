package rules

import (
	"maps"
	"net/http"
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
)

// connection returns what a Connection field has against the cache (RFC 9110, 7.6.1). A proxy
// behind us removes the fields that it names, and so does WithoutConnection; named reports whether
// it names any. Fields that can make the response personal, or move it to another URL, keep the
// request from the cache: without them, the response would be stored for others as if they had
// never been sent.
func (o *Options) connection(lines []string) (against Reason, named bool) {
	if len(lines) == 1 && (lines[0] == "keep-alive" || lines[0] == "close") {
		return None, false // browsers and proxies say this each time
	}
	count := 0
	for option := range field.Members(lines) {
		if isUsualOption(option) {
			continue
		}
		if count++; count > key.MaxFields || !field.IsToken(option) {
			return Override, false
		}
		kind, name := o.field(http.CanonicalHeaderKey(option))
		if kind != 0 || name == "Host" || tellsAddress(name) {
			return Override, false
		}
		named = true
	}
	return None, named
}

// isUsualOption reports whether a connection option names nothing that the cache or a handler looks
// at. The Upgrade field itself decides about "upgrade".
func isUsualOption(option string) bool {
	for _, usual := range [...]string{"keep-alive", "close", "upgrade", "te", "http2-settings"} {
		if strings.EqualFold(option, usual) {
			return true
		}
	}
	return false
}

// tellsAddress reports whether a field of this canonical name probably tells a client's address, as
// proxies do. A handler that misses it may take the request for an internal one.
func tellsAddress(name string) bool {
	name = strings.ToLower(name)
	for _, end := range [...]string{"ip", "-for", "address", "addr", "via"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// wantsProtocol reports whether an Upgrade field asks for a protocol other than a version of HTTP
// or TLS. A server may ignore those, and usually does (RFC 9110, 7.8): the response is the same in
// the new protocol.
func wantsProtocol(lines []string) bool {
	for protocol := range field.Members(lines) {
		name, _, _ := strings.Cut(protocol, "/")
		switch strings.ToLower(name) {
		case "h2c", "h2", "http", "tls":
		default:
			return true
		}
	}
	return false
}

// WithoutConnection returns a copy of h, a request header, without what belongs to its connection:
// Upgrade, Connection, and the fields that Connection names (RFC 9110, 7.6.1).
func WithoutConnection(h http.Header) http.Header {
	kept := maps.Clone(h) // the fetch has a header of its own
	named := []string{"Connection", "Upgrade", "Http2-Settings"}
	for name, lines := range h {
		if !strings.EqualFold(name, "Connection") {
			continue
		}
		for option := range field.Members(lines) {
			if !isUsualOption(option) {
				named = append(named, option)
			}
		}
	}
	for name := range kept {
		for _, n := range named {
			if strings.EqualFold(name, n) {
				delete(kept, name)
				break
			}
		}
	}
	return kept
}
