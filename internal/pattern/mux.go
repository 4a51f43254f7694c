// Package pattern matches requests with the patterns of http.ServeMux. Unlike ServeMux it compares
// hosts in one spelling: in lower case, and without a port, the brackets of an IPv6 address, or a
// dot at the end.
package pattern

import (
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
)

// A Mux finds the pattern that matches a request: the most specific one, as in http.ServeMux. The
// zero value has no patterns. Match is safe for concurrent use, but Add is not.
type Mux struct{ mux http.ServeMux }

// registeredAt matches the place where a pattern was registered, which http.ServeMux adds to its
// messages. That is always in this package, so it helps no reader.
var registeredAt = regexp.MustCompile(` \(registered at [^()]*:[0-9]+\)`)

// Add adds a pattern. It returns the pattern with its host in one spelling. refused says why the
// pattern cannot be added; it is "" if it was added.
func (m *Mux) Add(pattern string) (plain, refused string) {
	plain, refused = plainPattern(pattern)
	if refused != "" {
		return plain, refused
	}
	defer func() {
		if p := recover(); p != nil {
			refused = registeredAt.ReplaceAllString(fmt.Sprint(p), "")
		}
	}()
	m.mux.Handle(plain, http.NotFoundHandler())
	return plain, ""
}

// Match returns the pattern that matches r, as Add returned it; "" if none does.
func (m *Mux) Match(r *http.Request) string { return m.match(onPlainHost(r)) }

func (m *Mux) match(r *http.Request) string {
	// Only the pattern counts. The handler is a redirect if the path is not clean.
	_, pattern := m.mux.Handler(r)
	return pattern
}

// plainPattern returns a pattern for http.ServeMux with its host as plainHost returns it. refused
// says why no request can have that method or host; it is "" otherwise.
func plainPattern(pattern string) (plain, refused string) {
	method, rest := "", pattern
	if at := strings.IndexAny(pattern, " \t"); at >= 0 {
		method, rest = pattern[:at], strings.TrimLeft(pattern[at+1:], " \t")
		switch upper := strings.ToUpper(method); upper {
		case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE":
			if upper != method {
				return pattern, "methods are in capitals: " + upper
			}
		}
		method += " "
	}
	at := strings.IndexByte(rest, '/')
	if at < 0 {
		return pattern, "" // http.ServeMux says what is wrong
	}
	host, path := rest[:at], rest[at:]
	if _, _, err := net.SplitHostPort(host); err == nil {
		return pattern, "hosts are compared without their port"
	}
	return method + plainHost(host) + path, ""
}

// onPlainHost returns r, or a request for the same path, with a host that http.ServeMux reads as
// plainHost returns it. ServeMux removes a port itself.
func onPlainHost(r *http.Request) *http.Request {
	odd := strings.HasSuffix(r.Host, ".") || strings.Contains(r.Host, ".:")
	for i := 0; i < len(r.Host) && !odd; i++ {
		c := r.Host[i]
		odd = c == '[' || 'A' <= c && c <= 'Z'
	}
	if !odd {
		return r
	}
	plain := *r
	plain.Host = plainHost(r.Host)
	return &plain
}

// plainHost returns a host in one spelling: http.ServeMux compares hosts byte by byte, but clients
// may spell one in several ways.
func plainHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if address, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(address, "]")
	}
	return host
}
