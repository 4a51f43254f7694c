package field

import (
	"iter"
	"strings"
)

// ETag is an entity tag (RFC 9110, 8.8.3). The zero value is no tag and matches nothing.
type ETag struct {
	Opaque string // with its quotes
	Weak   bool
}

// ParseETag reads a field value that is one entity tag. It refuses an unquoted tag, a lower-case w/
// and a list.
func ParseETag(s string) (ETag, bool) {
	tag, rest, ok := cutETag(TrimBlanks(s))
	if !ok || rest != "" {
		return ETag{}, false
	}
	return tag, true
}

// String returns the tag as it is written in a field.
func (t ETag) String() string {
	if t.Weak {
		return "W/" + t.Opaque
	}
	return t.Opaque
}

// StrongMatch reports whether both tags are strong and equal (RFC 9110, 8.8.3.2): the bytes are the
// same.
func (t ETag) StrongMatch(u ETag) bool {
	return !t.Weak && !u.Weak && t.WeakMatch(u)
}

// WeakMatch reports whether the opaque parts are equal (RFC 9110, 8.8.3.2): the meaning is the
// same.
func (t ETag) WeakMatch(u ETag) bool {
	return t.Opaque == u.Opaque && t.Opaque != ""
}

// MaxETags is the longest list of entity tags that is read, in bytes over all lines.
const MaxETags = 16 << 10

// ETags yields the entity tags of If-Match or If-None-Match over all lines. A comma or a backslash
// inside a tag is part of it. Malformed members, "*" among them, are skipped (HasToken finds "*").
// It yields nothing for a list of more than MaxETags bytes: a client with that many versions gets
// the response.
func ETags(lines []string) iter.Seq[ETag] {
	return func(yield func(ETag) bool) {
		if size(lines) > MaxETags {
			return
		}
		for _, line := range lines {
			for line = strings.TrimLeft(line, " \t,"); line != ""; line = strings.TrimLeft(line, " \t,") {
				tag, rest, ok := cutETag(line)
				rest = strings.TrimLeft(rest, " \t")
				if !ok || rest != "" && rest[0] != ',' {
					_, line, _ = strings.Cut(line, ",")
					continue
				}
				if !yield(tag) {
					return
				}
				line = rest
			}
		}
	}
}

// cutETag cuts a leading entity tag off s. Unlike a quoted string it has no escapes: the next quote
// ends it.
func cutETag(s string) (tag ETag, rest string, ok bool) {
	opaque, weak := strings.CutPrefix(s, "W/")
	if opaque == "" || opaque[0] != '"' {
		return ETag{}, s, false
	}
	for i := 1; i < len(opaque); i++ {
		switch c := opaque[i]; {
		case c == '"':
			return ETag{Opaque: opaque[:i+1], Weak: weak}, opaque[i+1:], true
		case c <= ' ' || c == 0x7f:
			return ETag{}, s, false
		}
	}
	return ETag{}, s, false
}
