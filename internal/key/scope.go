package key

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
)

const (
	// MaxScope is the longest scope in bytes that is kept as text. A longer one is replaced by its
	// SHA-256 and the hosts that it names.
	MaxScope = 2 << 10
	// MaxFields bounds the fields of one request that may be part of its scope, and those that may
	// not be spelled canonically. A proxy sets a dozen.
	MaxFields = 32
	// MaxFieldsSize bounds the names and values of the fields in a scope, in bytes.
	MaxFieldsSize = 16 << 10
)

// The kinds of entries, each behind a zero byte. A variant begins with the length of a field name,
// which is never zero.
const (
	kindField      = 'h' // name, number of lines, lines
	kindRespelled  = 'r' // the same, for a field in Vary that is spelled in another way
	kindForwarded  = 'f' // host and proto of each element
	kindHost       = 'a' // r.Host as it was spelled
	kindServerName = 's' // TLS server name that is not the host
	kindPeer       = 'c' // SHA-256 of the client's certificate
	kindURL        = 'u' // scheme, host and user information of an absolute URL
	kindPath       = 'p' // path, raw path, query that are not those of the target
	kindScopeSum   = '#'
	kindVariantSum = 'v'
)

// Scope appends what else of r reaches a handler unkeyed and is known to change responses: the
// fields by which proxies tell the scheme, host, port and path that the client used, in a fixed
// order with all their lines; the fields by which scripts ask for a fragment of a page; the host,
// if it is spelled unlike the key; a TLS server name that is not the host, and the client's
// certificate; an absolute URL; a path or query that an outer handler rewrote. It appends nothing
// for a plain request. f has seen every name of r.Header.
//
// Addresses of clients (X-Forwarded-For and the like) are left out: they would end sharing. So is
// everything that Vary is there for.
func Scope(dst []byte, r *http.Request, f *Fields) []byte {
	start := len(dst)
	if f.count > 0 {
		dst = appendFields(dst, r.Header, f)
	}
	if scheme, host, target, ok := parts(r); ok {
		dst = appendHost(dst, r, scheme, host)
		dst = appendURL(dst, r.URL, target)
	}
	if len(dst)-start <= MaxScope {
		return dst
	}
	// A purge looks for the hosts that it names: see Hosts.
	hosts := Hosts(nil, string(dst[start:]))
	dst = bounded(dst, start, MaxScope, kindScopeSum)
	return appendLines(dst, kindField, "Host", hosts)
}

func appendFields(dst []byte, h http.Header, f *Fields) []byte {
	array := f.names
	names := array[:min(f.count, len(array))]
	if f.count > len(names) {
		names = append(names, f.rare.names...)
	}
	slices.Sort(names)
	for _, name := range names {
		if name == "Forwarded" {
			dst = appendForwarded(dst, h[name])
			continue
		}
		dst = appendLines(dst, kindField, name, h[name])
	}
	return dst
}

func appendLines(dst []byte, kind byte, name string, lines []string) []byte {
	dst = append(dst, 0, kind)
	dst = appendText(dst, name)
	dst = binary.AppendUvarint(dst, uint64(len(lines)))
	for _, line := range lines {
		dst = appendText(dst, line)
	}
	return dst
}

// InScope reports whether a request field is part of the scope, so that a request for a stored
// response must carry it. name is spelled as by Canonical: CGI and FastCGI see no difference
// between X_Forwarded_Host and X-Forwarded-Host.
func InScope(name string) bool {
	// Two letters rule out almost all that browsers send.
	if len(name) < len("Rsc") {
		return false
	}
	second := lower(name[1])
	switch name[0] {
	case 'B':
		if second != 'a' {
			return false
		}
	case 'C':
		if second != 'f' && second != 'l' {
			return false
		}
	case 'F', 'H', 'X':
	case 'N':
		if second != 'e' {
			return false
		}
	case 'D':
		if second != 'a' {
			return false
		}
	case 'R':
		if second != 's' {
			return false
		}
	case 'S':
		if second != 'c' {
			return false
		}
	case 'T':
		if second != 'u' {
			return false
		}
	case 'W':
		if second != 'l' {
			return false
		}
	default:
		return false
	}
	switch {
	case strings.HasPrefix(name, "X-Forwarded-"): // -Host, -Proto, -Port, -Prefix, -Ssl, -User, -Client-Cert and others
		return !ofClient(name[len("X-Forwarded-"):])
	case strings.HasPrefix(name, "X-Original-"): // -Host, -Proto, -Uri
		return !ofClient(name[len("X-Original-"):])
	}
	if isFragment(name) {
		return true
	}
	switch name {
	case "Forwarded", "Host",
		// The host.
		"X-Host", "X-Real-Host", "X-Host-Override", "X-Http-Host-Override", "X-Backend-Host", "X-Envoy-Original-Host",
		// The scheme.
		"Front-End-Https", "X-Scheme", "X-Url-Scheme", "X-Arr-Ssl", "Cf-Visitor", "Cloudfront-Forwarded-Proto", "Fastly-Ssl", "Wl-Proxy-Ssl",
		// The path.
		"Script-Name", "X-Script-Name", "X-Ingress-Path", "X-Replaced-Path", "X-Envoy-Original-Path":
		return true
	}
	return false
}

// ofClient reports whether the rest of a name, behind X-Forwarded- or X-Original-, is about the
// client's address, the proxies in between, or this one request, and not about the URL.
func ofClient(rest string) bool {
	switch rest {
	case "For", "For-Ip", "For-Port", "For-Original", "Forwarded-For", "By", "Ip", "Client-Ip", "Client-Port", "Remote-Addr", "Remote-Ip", "Remote-Port",
		"Request-Id", "Trace-Id":
		return true
	}
	return false
}

// appendForwarded appends the host and proto parameters of a Forwarded field (RFC 7239, 4), element
// by element, since handlers read the first or the last. It appends nothing if there are none. The
// whole field is appended unless every reader must see the same in it, also one that cuts at
// semicolons and knows no quotes.
func appendForwarded(dst []byte, lines []string) []byte {
	start := len(dst)
	dst = append(dst, 0, kindForwarded)
	found := false
	for _, line := range lines {
		dst = append(dst, 'l')
		for more := true; more; {
			element, rest := field.Cut(line, ',')
			var some, ok bool
			if dst, some, ok = appendElement(append(dst, 'e'), element); !ok {
				return appendLines(dst[:start], kindField, "Forwarded", lines)
			}
			found = found || some
			more = len(element) < len(line)
			line = rest
		}
	}
	if !found {
		return dst[:start]
	}
	return append(dst, 0)
}

// appendElement appends host and proto of one element and reports whether there are any. ok is
// false when a reader could see more in the element: it is malformed, has other parameters, or has
// separators within quotes.
func appendElement(dst []byte, element string) (extended []byte, found, ok bool) {
	for more := true; more; {
		pair, rest := field.Cut(element, ';')
		name, value, _ := strings.Cut(field.TrimBlanks(pair), "=")
		if !field.IsToken(value) && !(field.IsQuoted(value) && !strings.ContainsAny(value, `;,=\`)) {
			return dst, false, false
		}
		switch {
		case equalFoldASCII(name, "host"):
			dst, found = appendText(append(dst, 'h'), value), true
		case equalFoldASCII(name, "proto"):
			dst, found = appendText(append(dst, 'p'), value), true
		case !equalFoldASCII(name, "for") && !equalFoldASCII(name, "by"):
			return dst, false, false
		}
		more = len(pair) < len(element)
		element = rest
	}
	return dst, found, true
}

// appendHost appends the names by which the connection was made, where they differ from the host in
// the key.
func appendHost(dst []byte, r *http.Request, scheme, host string) []byte {
	name, port := splitHost(scheme, host)
	if r.Host != host || len(name)+len(port) != len(host) || hasCapital(host) {
		dst = append(dst, 0, kindHost)
		dst = appendText(dst, r.Host)
	}
	if r.TLS == nil {
		return dst
	}
	if sni := r.TLS.ServerName; !equalFoldASCII(sni, name) && !equalFoldASCII(sni, host) && !(sni == "" && isAddress(name)) {
		dst = append(dst, 0, kindServerName)
		dst = appendText(dst, sni)
	}
	if len(r.TLS.PeerCertificates) > 0 {
		// A certificate identifies its sender as Authorization does.
		sum := sha256.Sum256(r.TLS.PeerCertificates[0].Raw)
		dst = append(dst, 0, kindPeer)
		dst = append(dst, sum[:]...)
	}
	return dst
}

// isAddress reports whether a host is an IP address, for which there is no TLS server name (RFC
// 6066, 3).
func isAddress(host string) bool {
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}
