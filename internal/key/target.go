package key

import (
	"net/url"
	"strings"
)

func appendURL(dst []byte, u *url.URL, target string) []byte {
	if u.Scheme != "" || u.Host != "" || u.User != nil {
		dst = append(dst, 0, kindURL)
		dst = appendText(dst, u.Scheme)
		dst = appendText(dst, u.Host)
		user := ""
		if u.User != nil {
			user = u.User.String() + "@"
		}
		dst = appendText(dst, user)
	}
	path, query, hasQuery := target, "", false
	if at := strings.IndexByte(target, '?'); at >= 0 { // strings.Cut takes four times as long
		path, query, hasQuery = target[:at], target[at+1:], true
	}
	if !samePath(u, path) || u.RawQuery != query || u.ForceQuery != (hasQuery && query == "") {
		dst = append(dst, 0, kindPath)
		dst = appendText(dst, u.Path)
		dst = appendText(dst, u.RawPath)
		dst = appendText(dst, u.RawQuery)
	}
	return dst
}

// samePath reports whether u has the path that net/url makes of path.
func samePath(u *url.URL, path string) bool {
	if u.RawPath == "" {
		return u.Path == path && isUnreserved(path) || u.EscapedPath() == path
	}
	return u.RawPath == path && unescapesTo(path, u.Path)
}

// isUnreserved reports whether a path has only slashes and bytes that are never encoded (RFC 3986,
// 2.3).
func isUnreserved(path string) bool {
	for i := range len(path) {
		switch c := path[i]; {
		case (c|0x20)-'a' < 26, '-' <= c && c <= '9', c == '_', c == '~': // "-./" and the digits are neighbours
		default:
			return false
		}
	}
	return true
}

// unescapesTo reports whether percent-decoding escaped gives want, without allocating.
func unescapesTo(escaped, want string) bool {
	i := 0
	for ; escaped != "" && i < len(want); i++ {
		c := escaped[0]
		size := 1
		if c == '%' {
			if len(escaped) < 3 {
				return false
			}
			c, size = unhex(escaped[1])<<4|unhex(escaped[2]), 3
		}
		if c != want[i] {
			return false
		}
		escaped = escaped[size:]
	}
	return escaped == "" && i == len(want)
}

// unhex returns the value of a hexadecimal digit. For another byte the result is undefined: net/url
// has refused those.
func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return lower(c) - 'a' + 10
}
