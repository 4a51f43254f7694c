package directive

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
)

// The response fields that name tags (RFC 9875).
const (
	Groups            = "Cache-Groups"
	GroupInvalidation = "Cache-Group-Invalidation"
)

// AddTags adds a response to groups that can be purged together. With more tags than can be read it
// could not be purged, so it becomes no-store.
func AddTags(h http.Header, tags []string) {
	if !AddGroups(h, Groups, tags) {
		Restrict(h, NoStore)
	}
}

// AddGroups adds tags to the field name, which is a List of Strings (RFC 9651, 3.1). It returns
// false, and changes nothing, if the result would be too long to be read.
func AddGroups(h http.Header, name string, tags []string) bool {
	had := Lines(h, name)
	groups, ok := field.ParseStringList(had)
	text := strings.Join(had, ", ") // as written, with any parameters
	if !ok {
		text = "" // malformed, so ours behind it could not be read either (RFC 9651, 4.2)
	}
	count := len(groups)
	for _, tag := range tags {
		group := GroupName(tag)
		if group == "" || slices.Contains(groups, group) {
			continue
		}
		groups = append(groups, group)
		if text != "" {
			text += ", "
		}
		text += quoted(group)
	}
	if len(groups) > field.MaxStrings || len(text) > field.MaxStructured {
		return false
	}
	if len(groups) > count {
		h[name] = []string{text}
	}
	return true
}

// GroupName returns the name of a tag in headers and purges: printable ASCII of at most
// field.MaxStringLength bytes. GroupName of a name is the name itself. Two tags can have the same
// name, such as "é" and "%C3%A9": then a purge removes more than was asked for, never less.
func GroupName(tag string) string {
	const hexDigits = "0123456789ABCDEF"
	if strings.IndexFunc(tag, func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
		var b strings.Builder
		for i := range len(tag) {
			if c := tag[i]; c < ' ' || c > '~' {
				b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
			} else {
				b.WriteByte(c)
			}
		}
		tag = b.String()
	}
	if len(tag) > field.MaxStringLength {
		sum := sha256.Sum256([]byte(tag))
		end := "~" + hex.EncodeToString(sum[:16])
		tag = tag[:field.MaxStringLength-len(end)] + end
	}
	return tag
}

var quoting = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// quoted returns group as a String (RFC 9651, 4.1.6).
func quoted(group string) string { return `"` + quoting.Replace(group) + `"` }
