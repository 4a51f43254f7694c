package engine

import (
	"strings"

	"github.com/edgecache-go/edgecache/internal/directive"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
)

// tagNames returns the names under which a response with these Cache-Groups is purged: each group by itself, for purges by the application, and within the origin of its URL, for
// purges by responses (RFC 9875, 2.1).
func tagNames(lines []string, k []byte) []string {
	if len(lines) == 0 {
		return nil
	}
	groups, ok := field.ParseStringList(lines)
	if !ok || len(groups) == 0 {
		return nil
	}
	origin := originOf(k)
	names := make([]string, 0, 2*len(groups))
	for _, g := range groups {
		g = directive.GroupName(g)
		names = append(names, g, inOrigin(origin, g))
	}
	return names
}

// inOrigin is the name of a tag within an origin. A zero byte is in no tag.
func inOrigin(origin, group string) string { return group + "\x00" + origin }

// isInOrigin reports whether name is one of inOrigin's.
func isInOrigin(name string) bool { return strings.IndexByte(name, 0) >= 0 }

// originOf returns scheme and host of the URL with the primary key k.
func originOf(k []byte) string {
	scheme, host, _, _ := key.Split(string(k))
	return scheme + "://" + host
}
