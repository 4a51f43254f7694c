// Package field reads and writes the syntax of HTTP header fields: lists, tokens, dates, entity
// tags, ranges, cache directives and structured fields. It decides nothing. Every function takes
// the lines of a field as net/http keeps them, reads all of them (RFC 9110, 5.3), never panics, and
// returns the stricter reading of malformed bytes.
package field

import (
	"iter"
	"strings"
)

// Members yields the members of a comma-separated list over all lines, without surrounding blanks
// (RFC 9110, 5.6.1). Commas inside quoted strings do not separate, a backslash in a quoted string
// takes the next byte literally, and empty members are skipped. A quote that is never closed ends
// with its line, so that one line cannot swallow the next.
func Members(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for line != "" {
				var member string
				member, line = cutMember(line)
				if member != "" && !yield(member) {
					return
				}
			}
		}
	}
}

// HasToken reports whether a member of the list equals token, case-insensitively.
func HasToken(lines []string, token string) bool {
	for _, line := range lines {
		for line != "" {
			var member string
			member, line = cutMember(line)
			if member != "" && strings.EqualFold(member, token) {
				return true
			}
		}
	}
	return false
}

// IsToken reports whether s is a token (RFC 9110, 5.6.2): one or more letters, digits or
// !#$%&'*+-.^_`|~.
func IsToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

// IsQuoted reports whether s is exactly one quoted string (RFC 9110, 5.6.4).
func IsQuoted(s string) bool {
	if len(s) < 2 || s[0] != '"' {
		return false
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i == len(s)-1
		}
	}
	return false
}

// cutMember cuts the first member, trimmed and possibly empty, off s.
func cutMember(s string) (member, rest string) {
	member, rest = Cut(s, ',')
	return TrimBlanks(member), rest
}

// Cut cuts s at the first sep outside quoted strings; sep belongs to neither part. Without one,
// after is empty.
func Cut(s string, sep byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == sep && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// TrimBlanks removes spaces and tabs, which are the only optional white space of HTTP (RFC 9110,
// 5.6.3), from both ends.
func TrimBlanks(s string) string {
	for s != "" && isBlank(s[0]) {
		s = s[1:]
	}
	for s != "" && isBlank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isTokenByte(c byte) bool {
	const special = 1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' | 1<<'-' | 1<<'.'
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', isDigit(c):
		return true
	case c < '0':
		return uint64(special)>>c&1 != 0
	}
	return c == '^' || c == '_' || c == '`' || c == '|' || c == '~'
}
