package key

import (
	"net/http"
	"slices"
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
)

// MaxVary is how many different field names a Vary may list. A response with more is not stored.
const MaxVary = 32

// VaryNames reads the lines of a Vary field (RFC 9110, 12.5.5): the canonical names, sorted and without duplicates, and
// whether "*" is anywhere among them. ok is false when a member is no token or there are more than MaxVary names.
func VaryNames(lines []string) (names []string, star, ok bool) {
	ok = true
	for member := range field.Members(lines) {
		switch {
		case member == "*":
			star = true
			continue
		case !field.IsToken(member):
			ok = false
			continue
		}
		name := http.CanonicalHeaderKey(member)
		at, found := slices.BinarySearch(names, name)
		if found {
			continue
		}
		if len(names) == MaxVary {
			return nil, star || field.HasToken(lines, "*"), false
		}
		names = slices.Insert(names, at, name)
	}
	if !ok {
		names = nil
	}
	return names, star, ok
}

// Variant appends the values that the fields names have in h.
func Variant(dst []byte, names []string, h http.Header) []byte {
	for _, name := range names {
		dst = appendText(dst, name)
		lines, present := h[name]
		if !present || name == "Host" {
			dst = append(dst, 0)
			continue
		}
		dst = append(dst, 1)
		dst = appendText(dst, strings.Join(lines, ","))
	}
	return dst
}
