package directive

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
)

// The fields that name tags (RFC 9875).
const (
	Groups            = "Cache-Groups"
	GroupInvalidation = "Cache-Group-Invalidation"
)

// AddTags puts a response into groups that can be purged together. A response that needs more than
// can be read could not be purged, so it becomes no-store.
func AddTags(h http.Header, tags []string) {
	if !AddGroups(h, Groups, tags) {
		Restrict(h, NoStore)
	}
}

// AddGroups adds tags to a field that is a List of Strings. It returns false, and changes nothing,
// if no reader would take the result.
func AddGroups(h http.Header, name string, tags []string) bool {
	had := Lines(h, name)
	groups, ok := field.ParseStringList(had)
	text := strings.Join(had, ", ") // as written, with any parameters
	if !ok {
		text = "" // it cannot be read (RFC 9651, 4.2), and behind it neither could ours
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

// GroupName returns the text by which a tag is known in headers and to purges. It is printable
// ASCII of at most field.MaxStringLength bytes, and its own GroupName. Two tags can get one name,
// "é" and "%C3%A9" for instance: then a purge takes more than was asked, never less.
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

// quoted writes a String (RFC 9651, 4.1.6).
func quoted(group string) string { return `"` + quoting.Replace(group) + `"` }
