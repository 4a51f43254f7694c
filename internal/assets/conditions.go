package assets

import (
	"net/http"
	"slices"
	"strings"

	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/field"
)

// suffixes are what servers and CDNs append to an entity tag when they encode a body, besides our
// own.
var suffixes = [...]string{"-gz", "--gzip", ";gzip", ";br", "-df"}

// matches evaluates If-None-Match by the weak comparison (RFC 9110, 13.1.2) and returns the tag to
// send, or "". etag is that of the variant that would be sent.
//
// Deviation: another coding's tag is confirmed as well, since its bytes mean the same: a proxy may
// have made that coding. But a cache in front may send the tags of all variants that it has (RFC
// 9111, 4.3.1), and serves the one that is confirmed. So a tag of ours is not confirmed if this
// client does not accept its coding.
func matches(lines []string, a *Asset, etag string, w coding.Weights) string {
	if len(lines) == 1 && field.TrimBlanks(lines[0]) == "*" {
		return etag
	}
	other := ""
	for tag := range field.ETags(lines) {
		if tag.Opaque == etag {
			return etag
		}
		if c, ok := codingOf(tag, a); ok && other == "" && (w[c] > 0 || tag.Weak) {
			other = tag.Opaque
		}
	}
	return other
}

// codingOf reports whether tag is one of the asset's, and returns its coding. Identity stands for
// codings that others made.
func codingOf(tag field.ETag, a *Asset) (coding.Coding, bool) {
	if c, ok := coding.Of(tag, field.ETag{Opaque: a.etag}); ok {
		return c, true
	}
	rest, ok := strings.CutPrefix(tag.Opaque, a.etag[:len(a.etag)-1])
	return coding.Identity, ok && slices.Contains(suffixes[:], strings.TrimSuffix(rest, `"`))
}

// matchesStrongly evaluates If-Match (RFC 9110, 13.1.1): only our own tags match, of any coding.
func matchesStrongly(lines []string, a *Asset) bool {
	if len(lines) == 1 && field.TrimBlanks(lines[0]) == "*" {
		return true
	}
	for tag := range field.ETags(lines) {
		if _, ok := codingOf(tag, a); ok && !tag.Weak {
			return true
		}
	}
	return false
}

// mayResume evaluates If-Range (RFC 9110, 13.1.5): ranges are of the identity coding, so only its
// tag matches. There is no Last-Modified to compare with a date. If-Match also says which bytes the
// client has a part of; there "*" matches, too.
func mayResume(conditions http.Header, identity field.ETag) bool {
	switch lines := conditions["If-Range"]; len(lines) {
	case 0:
	case 1:
		if tag, ok := field.ParseETag(lines[0]); !ok || !tag.StrongMatch(identity) {
			return false
		}
	default:
		return false
	}
	lines := conditions["If-Match"]
	if len(lines) == 0 || len(lines) == 1 && field.TrimBlanks(lines[0]) == "*" {
		return true
	}
	for tag := range field.ETags(lines) {
		if tag.StrongMatch(identity) {
			return true
		}
	}
	return false
}
