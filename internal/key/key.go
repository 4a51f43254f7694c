// Package key names stored responses: the primary key of a request, the scope of what else reaches
// a handler unkeyed, and the variant that Vary selects. It is a security boundary: two requests
// that a handler can tell apart by an input that an attacker chooses must not share a name.
// Otherwise the response that the attacker provoked is served to everyone.
//
// All functions append to dst and return the extended slice, as append does. They keep none of
// their arguments.
package key

import (
	"encoding/binary"
	"net/http"
	"strings"
)

// MaxLength is the longest primary key in bytes. A request with a longer one is not cached.
const MaxLength = 8 << 10

// Of appends the primary key of r: scheme, host and raw target, each preceded by its length. The
// scheme is that of the connection; forwarded ones belong to Scope. The host is normalised as in
// OfURL. The target is the path and query byte for byte: URL.Path is decoded, so /a%2fb and /a/b
// would be one. The method is not part of the key.
//
// ok is false, and dst is returned as it was, when r has no target that could name a resource:
// CONNECT, "*", authority form, an absolute form that contradicts the connection or r.Host, or a
// key longer than MaxLength.
func Of(dst []byte, r *http.Request) (key []byte, ok bool) {
	scheme, host, target, ok := parts(r)
	if !ok {
		return dst, false
	}
	key = OfURL(dst, scheme, host, target)
	if len(key)-len(dst) > MaxLength {
		return dst, false
	}
	return key, true
}

// OfURL appends the key of a URL in parts. It equals what Of appends for a request to it. The
// scheme and the ASCII letters of the host become lower case. One trailing dot of the name is
// dropped, and a port that is empty or the scheme's default. A target without a path gets "/".
// Nothing else is normalised.
func OfURL(dst []byte, scheme, host, target string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(scheme)))
	dst = appendLower(dst, scheme)
	name, port := splitHost(scheme, host)
	dst = binary.AppendUvarint(dst, uint64(len(name)+len(port)))
	dst = appendLower(dst, name)
	dst = append(dst, port...)
	if target == "" || target[0] == '?' {
		dst = binary.AppendUvarint(dst, uint64(len(target)+1))
		dst = append(dst, '/')
		return append(dst, target...)
	}
	return appendText(dst, target)
}

// Split cuts a primary key into its parts. ok is false for other strings. The parts are substrings
// of key.
func Split[T string | []byte](key T) (scheme, host, target T, ok bool) {
	scheme, key, ok1 := cutText(key)
	host, key, ok2 := cutText(key)
	target, key, ok3 := cutText(key)
	if !ok1 || !ok2 || !ok3 || len(key) > 0 {
		var none T
		return none, none, none, false
	}
	return scheme, host, target, true
}

// parts returns scheme, host and target of r, not normalised, except that the target has a path. If
// r.URL has none, the scope says so: a handler sees another path than for "/".
func parts(r *http.Request) (scheme, host, target string, ok bool) {
	if r.URL == nil || r.URL.Opaque != "" || r.Method == http.MethodConnect {
		return "", "", "", false
	}
	scheme = "http"
	if r.TLS != nil {
		scheme = "https"
	}
	host = r.Host
	switch uri := r.RequestURI; {
	case uri == "": // made by hand, not read from a connection
		if r.TLS == nil && strings.EqualFold(r.URL.Scheme, "https") {
			scheme = "https"
		}
		if r.URL.Scheme != "" && !strings.EqualFold(r.URL.Scheme, scheme) {
			return "", "", "", false
		}
		if host == "" {
			host = r.URL.Host
		}
		target = r.URL.RequestURI()
	case uri[0] == '/':
		target = uri
	default:
		absScheme, rest, isAbsolute := strings.Cut(uri, "://")
		if !isAbsolute || !strings.EqualFold(absScheme, scheme) {
			return "", "", "", false
		}
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		authority := rest[strings.LastIndexByte(rest[:end], '@')+1 : end]
		if !SameHost(scheme, authority, host) {
			return "", "", "", false
		}
		target = rest[end:]
	}
	if r.URL.Host != "" && !SameHost(scheme, r.URL.Host, host) {
		return "", "", "", false
	}
	if target == "" || target[0] == '?' {
		target = "/" + target
	}
	return scheme, host, target, target[0] == '/'
}

// splitHost cuts a host into its name without one trailing dot, and its port with the colon, which
// is empty if it is the default of scheme. A host that would change again if it were split again
// ("a..", "a:80:80") is not a host. It is left as it is, so that a key can be made again from its
// parts.
func splitHost(scheme, host string) (name, port string) {
	if strings.IndexByte(host, ':') < 0 && !strings.HasSuffix(host, ".") {
		return host, ""
	}
	name = host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && i > strings.LastIndexByte(host, ']') {
		name, port = host[:i], host[i:]
	}
	name = strings.TrimSuffix(name, ".")
	if strings.HasSuffix(name, ".") || strings.LastIndexByte(name, ':') > strings.LastIndexByte(name, ']') {
		return host, ""
	}
	switch {
	case port == ":",
		port == ":80" && strings.EqualFold(scheme, "http"),
		port == ":443" && strings.EqualFold(scheme, "https"):
		port = ""
	}
	return name, port
}

// SameHost reports whether two hosts, each with or without a port, are the same for URLs of this
// scheme.
func SameHost(scheme, a, b string) bool {
	if a == b {
		return true
	}
	aName, aPort := splitHost(scheme, a)
	bName, bPort := splitHost(scheme, b)
	return aPort == bPort && equalFoldASCII(aName, bName)
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// cutText is the reverse of appendText. It refuses a length that is not written in the shortest
// way: keys are compared as bytes.
func cutText[T string | []byte](s T) (text, rest T, ok bool) {
	var (
		length uint64
		none   T
	)
	for i := range min(len(s), binary.MaxVarintLen32) {
		c := s[i]
		length |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			rest = s[i+1:]
			if i > 0 && c == 0 || length > uint64(len(rest)) {
				return none, none, false
			}
			return rest[:length], rest[length:], true
		}
	}
	return none, none, false
}

func appendLower(dst []byte, s string) []byte {
	start := len(dst)
	dst = append(dst, s...)
	for i := start; i < len(dst); i++ {
		dst[i] = lower(dst[i])
	}
	return dst
}

func equalFoldASCII(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// lower folds only ASCII: a Kelvin sign in a host is not a k.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
