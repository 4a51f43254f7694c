package field

import (
	"net/http"
	"slices"
	"strings"
)

// Canonical returns h itself when every key is spelled canonically, else a deep copy in which odd
// spellings ("cache-control", "Cache-Control ") are folded into the canonical key. Handlers can
// write such keys, and http.Transport keeps a field sent as "Cache-Control : no-store" with its
// blank: a directive must not get lost that way. Values of the canonical key come first, then those
// of the odd spellings in the order of their bytes.
func Canonical(h http.Header) http.Header {
	var odd []string
	for key := range h {
		if CanonicalName(key) != key {
			odd = append(odd, key)
		}
	}
	if odd == nil {
		return h
	}
	slices.Sort(odd)
	folded := h.Clone()
	for _, key := range odd {
		delete(folded, key)
	}
	for _, key := range odd {
		name := CanonicalName(key)
		folded[name] = append(folded[name], h[key]...)
	}
	return folded
}

// CanonicalName returns the canonical spelling of a key. It trims blanks first, since net/http
// leaves a key with a blank as it is.
func CanonicalName(key string) string {
	return http.CanonicalHeaderKey(strings.Trim(key, " \t\r\n"))
}

// hopByHop are the fields that RFC 9111, 3.1 and RFC 9110, 7.6.1 keep out of a cache whether or not
// Connection lists them.
var hopByHop = [...]string{
	"Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// RemoveHopByHop deletes from h what belongs to one connection (RFC 9111, 3.1): Connection and
// every field it lists, the fields that are hop-by-hop by definition, and trailers announced by
// http.TrailerPrefix, which are not header fields. Keys of h must be canonical.
func RemoveHopByHop(h http.Header) {
	for member := range Members(h["Connection"]) {
		h.Del(member)
	}
	for key := range h {
		if isHopByHop(key) {
			delete(h, key)
		}
	}
}

// isHopByHop reports whether the field of this name always belongs to one connection, whatever
// Connection lists.
func isHopByHop(name string) bool {
	return name == "Connection" || slices.Contains(hopByHop[:], name) || strings.HasPrefix(name, http.TrailerPrefix)
}

var lineEnds = strings.NewReplacer("\r", " ", "\n", " ")

// OneLine returns value as net/http writes it into a header: without line ends, which could start
// another field, and without blanks around it. Use it before other writers of header fields, such
// as mime/multipart.
func OneLine(value string) string {
	if strings.ContainsAny(value, "\r\n") {
		value = lineEnds.Replace(value)
	}
	return TrimBlanks(value)
}

// AddVary returns the lines of a Vary with the name of a field added, unless they name it or
// everything (RFC 9110, 12.5.5). It does not write into lines.
func AddVary(lines []string, name string) []string {
	if HasToken(lines, name) || HasToken(lines, "*") {
		return lines
	}
	return append(lines[:len(lines):len(lines)], name)
}
