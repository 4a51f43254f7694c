// Package coding knows content codings: which of them a client accepts, which bodies are worth
// encoding, and how to encode them.
package coding

import (
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
)

// Coding is a content coding, or Identity. Try those that a client likes equally in this order.
type Coding uint8

// The codings that are made here.
const (
	Identity Coding = iota
	Brotli
	Zstd
	Gzip
	Count // how many there are
)

var (
	names      = [Count]string{"identity", "br", "zstd", "gzip"} // RFC 9110, 8.4.1; RFC 7932; RFC 9659
	extensions = [Count]string{"", ".br", ".zst", ".gz"}
	suffixes   = [Count]string{"", "-br", "-zstd", "-gzip"}
)

// String returns the name of the coding in Content-Encoding.
func (c Coding) String() string { return names[c] }

// Extension is the file name extension of this coding, "" for Identity.
func (c Coding) Extension() string { return extensions[c] }

// Weights are a client's weights of each coding, in thousandths; 0 means not acceptable.
type Weights [Count]int

// Accepted reads Accept-Encoding (RFC 9110, 12.5.3).
func Accepted(lines []string) Weights {
	var w Weights
	if len(lines) == 0 {
		w[Identity] = 1000 // everything is acceptable, and every client understands this
		return w
	}
	const unsaid = -1
	star := unsaid
	for c := range w {
		w[c] = unsaid
	}
	for name, weight := range field.Weighted(lines) {
		switch name {
		case "br":
			w.say(Brotli, weight)
		case "zstd":
			w.say(Zstd, weight)
		case "gzip", "x-gzip":
			w.say(Gzip, weight)
		case "identity":
			w.say(Identity, weight)
		case "*":
			star = weight
		}
	}
	for c := range w {
		switch {
		case w[c] != unsaid:
		case star != unsaid:
			w[c] = star
		case Coding(c) == Identity:
			w[c] = 1 // acceptable unless it is excluded, but a client that names others prefers those
		default:
			w[c] = 0
		}
	}
	return w
}

// say notes a weight. The first one for a coding counts, but a refusal always does.
func (w *Weights) say(c Coding, weight int) {
	if w[c] < 0 || weight == 0 {
		w[c] = weight
	}
}

// Tag is the entity tag of a response in the coding c, if t is that of the same response in
// Identity: codings are different representations, which must not share a tag (RFC 9110, 8.8.3.3).
// The zero tag stays zero.
func Tag(t field.ETag, c Coding) field.ETag {
	if t.Opaque != "" && c != Identity {
		t.Opaque = t.Opaque[:len(t.Opaque)-1] + suffixes[c] + `"`
	}
	return t
}

// Of returns the coding for which Tag makes the opaque part of tag from that of t.
func Of(tag, t field.ETag) (Coding, bool) {
	if t.Opaque == "" {
		return Identity, false
	}
	rest, ok := strings.CutPrefix(tag.Opaque, t.Opaque[:len(t.Opaque)-1])
	if !ok || !strings.HasSuffix(rest, `"`) {
		return Identity, false
	}
	for c, suffix := range suffixes {
		if rest[:len(rest)-1] == suffix {
			return Coding(c), true
		}
	}
	return Identity, false
}

// Plain returns the tag from which Tag made tag, or tag itself.
func Plain(tag field.ETag) field.ETag {
	for _, suffix := range suffixes[1:] {
		if plain, ok := strings.CutSuffix(tag.Opaque, suffix+`"`); ok && plain != "" {
			tag.Opaque = plain + `"`
			break
		}
	}
	return tag
}

// AddVary returns the lines of a Vary with Accept-Encoding added: see field.AddVary.
func AddVary(lines []string) []string { return field.AddVary(lines, "Accept-Encoding") }

// Varies reports whether the lines of a Vary name Accept-Encoding, or everything.
func Varies(lines []string) bool {
	return len(lines) > 0 && (field.HasToken(lines, "Accept-Encoding") || field.HasToken(lines, "*"))
}
