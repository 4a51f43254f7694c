package key

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
)

// Purges and invalidation compare URLs as people do, not byte by byte as keys are. If a purge
// misses a response because a client spelled its URL differently, a wrong response stays; if it
// removes another spelling as well, that costs a render. Two hosts, or two targets, with the same
// plain form are the same.

// PlainHost returns host, which is spelled as in keys, without the default port of http or of
// https: the scheme that a page was requested by says little about the scheme of the connection to
// us.
func PlainHost(host string) string {
	if len(host) > len(":80") && host[len(host)-1] <= '9' {
		for _, scheme := range [...]string{"http", "https"} {
			if name, port := splitHost(scheme, host); port == "" {
				host = name
			}
		}
	}
	return host
}

// PlainTarget returns target, a path and query, in one of its spellings. Percent-encoding that is
// not needed is decoded, so that /gr%C3%BCn, as browsers write it, equals the bytes of /grün, and a
// plus sign in the query becomes a blank. Encoded characters that would separate parts of a path or
// a query stay as they are. A target without a path has that of the root.
//
// The result is for comparison, not a target: a blank in it may have been any spelling of one. It
// does not allocate if target is in that form already.
func PlainTarget(target string) string {
	if target == "" || target[0] == '?' {
		target = "/" + target
	}
	at := strings.IndexByte(target, '?')
	if strings.IndexByte(target, '%') < 0 && (at < 0 || strings.IndexByte(target[at:], '+') < 0) {
		return target
	}
	plain := make([]byte, 0, len(target))
	kept := "/?#%" // in a path
	for i := 0; i < len(target); i++ {
		switch c := target[i]; {
		case i == at:
			kept = "&=+;#%" // in a query
			plain = append(plain, c)
		case c == '+' && at >= 0 && i > at:
			plain = append(plain, ' ')
		case c == '%' && i+2 < len(target) && isHex(target[i+1]) && isHex(target[i+2]):
			decoded := unhex(target[i+1])<<4 | unhex(target[i+2])
			if strings.IndexByte(kept, decoded) >= 0 {
				plain = append(plain, target[i:i+3]...)
			} else {
				plain = append(plain, decoded)
			}
			i += 2
		default:
			plain = append(plain, c)
		}
	}
	return string(plain)
}

// PlainPath returns the path of a plain target, and its query with the question mark, or "" without
// one.
func PlainPath(plain string) (path, query string) {
	if at := strings.IndexByte(plain, '?'); at >= 0 {
		return plain[:at], plain[at:]
	}
	return plain, ""
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

// MaxHosts bounds the hosts that are read from one scope. Proxies set one or two. A client that
// sends more sees only its own variants, and may keep them.
const MaxHosts = 8

// Hosts appends the hosts, plain, that a scope names besides that of the key, in X-Forwarded-Host
// or Forwarded for instance. The first and the last of a list count, since handlers read one of
// those. A host without a port also counts with that of X-Forwarded-Port.
func Hosts(dst []string, scope string) []string {
	start, port := len(dst), ""
	add := func(text string) {
		text = hostIn(text)
		for _, known := range dst[start:] {
			if known == text {
				return
			}
		}
		if text != "" && len(dst)-start < MaxHosts {
			dst = append(dst, text)
		}
	}
	for len(scope) > 1 && scope[0] == 0 {
		kind := scope[1]
		scope = scope[2:]
		ok := true
		switch kind {
		case kindField:
			var name, line string
			var lines uint64
			name, scope, ok = cutText(scope)
			if ok {
				lines, scope, ok = cutNumber(scope)
			}
			tells := ok && tellsHost(name)
			for ; ok && lines > 0; lines-- {
				if line, scope, ok = cutText(scope); Canonical(name) == "X-Forwarded-Port" {
					port = portIn(line)
				}
				if tells {
					first, rest, more := strings.Cut(line, ",")
					add(first)
					if more {
						add(rest[strings.LastIndexByte(rest, ',')+1:])
					}
				}
			}
		case kindForwarded:
			for ok && scope != "" && scope[0] != 0 {
				what := scope[0]
				scope = scope[1:]
				if what == 'h' || what == 'p' {
					var text string
					if text, scope, ok = cutText(scope); what == 'h' {
						add(text)
					}
				}
			}
			ok = ok && scope != ""
			scope = strings.TrimPrefix(scope, "\x00")
		case kindHost, kindServerName:
			var text string
			if text, scope, ok = cutText(scope); ok && kind == kindHost {
				add(text)
			}
		case kindPeer, kindScopeSum:
			if ok = len(scope) >= sha256.Size; ok {
				scope = scope[sha256.Size:]
			}
		case kindURL, kindPath:
			for range 3 {
				if ok {
					_, scope, ok = cutText(scope)
				}
			}
		default:
			ok = false // what others appended comes last
		}
		if !ok {
			break
		}
	}
	if port != "" {
		for _, host := range dst[start:] {
			if strings.LastIndexByte(host, ':') <= strings.LastIndexByte(host, ']') {
				add(host + ":" + port)
			}
		}
	}
	return dst
}

// portIn returns the first port in the value of a field. It is "" without one, or if it is the
// default of a scheme.
func portIn(text string) string {
	port, _, _ := strings.Cut(text, ",")
	port = strings.Trim(port, " \t")
	if port == "80" || port == "443" || len(port) > len("65535") || strings.Trim(port, "0123456789") != "" {
		return ""
	}
	return port
}

// cutNumber is the reverse of binary.AppendUvarint.
func cutNumber(s string) (n uint64, rest string, ok bool) {
	var buf [binary.MaxVarintLen64]byte
	n, size := binary.Uvarint(buf[:copy(buf[:], s)])
	if size <= 0 {
		return 0, "", false
	}
	return n, s[size:], true
}

// tellsHost reports whether a field of the scope may name a host.
func tellsHost(name string) bool {
	name = strings.ToLower(name)
	for _, word := range [...]string{"host", "server", "domain", "authority", "url", "uri"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return name == "forwarded"
}

// hostIn returns the host in the value of a field, plain, or "" without one.
func hostIn(text string) string {
	text = strings.Trim(text, " \t\"")
	if _, behind, absolute := strings.Cut(text, "://"); absolute {
		text = behind
	}
	if end := strings.IndexAny(text, "/?#"); end >= 0 {
		text = text[:end]
	}
	text = text[strings.LastIndexByte(text, '@')+1:]
	if text == "" || len(text) > maxHost {
		return ""
	}
	var buf [2 + maxHost + 8]byte
	_, host, _, ok := Split(string(OfURL(buf[:0], "http", text, "/")))
	if !ok {
		return ""
	}
	return PlainHost(host)
}

// maxHost is the longest host that is read from a scope, with its port, in bytes (RFC 1035, 2.3.4).
const maxHost = 255 + len(":65535")
