package edgecache

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// DefaultExcept returns the patterns that Config.Except has when it is nil: what watches a program, and what is for its
// developers. The caller owns the slice.
func DefaultExcept() []string {
	return []string{"/health", "/healthz", "/livez", "/ready", "/readyz", "/ping", "/-/healthy", "/-/ready", "/metrics", "/debug/"}
}

// except knows the requests in which the cache has no part. The zero value knows none.
type except struct {
	mux      *http.ServeMux
	first    map[string]bool // first segments of the paths of all patterns; nil if one of them takes any
	byMethod bool            // a pattern names a method, so that GET and HEAD may differ, which share what is stored
}

// newExcept returns an except of patterns for http.ServeMux, and what it has against them.
func newExcept(patterns []string) (x except, mistakes []error) {
	if len(patterns) == 0 {
		return x, nil
	}
	x.mux, x.first = http.NewServeMux(), make(map[string]bool)
	for i, pattern := range patterns {
		plain, reason := register(x.mux, pattern)
		if reason != nil {
			mistakes = append(mistakes, &ConfigError{
				Field: fmt.Sprintf("Except[%d]", i), Value: pattern,
				Reason: fmt.Sprintf(`want a pattern for http.ServeMux such as "/healthz" or "/debug/": %v`, reason),
			})
			continue
		}
		x.byMethod = x.byMethod || strings.ContainsAny(plain, " \t")
		if segment, literal := firstOfPattern(plain); !literal {
			x.first = nil
		} else if x.first != nil {
			x.first[segment] = true
		}
	}
	return x, mistakes
}

// firstOfPattern returns the first segment of the path of a pattern that is valid; literal is false if it takes others, too.
func firstOfPattern(pattern string) (segment string, literal bool) {
	path := pattern[strings.IndexByte(pattern, '/')+1:]
	segment, _, more := strings.Cut(path, "/")
	switch {
	case segment == "{$}":
		return "", true
	case segment == "" && !more, strings.HasPrefix(segment, "{"):
		return "", false
	}
	segment, err := url.PathUnescape(segment)
	segment, _, _ = strings.Cut(segment, "/")
	return segment, err == nil
}

// matches reports whether a pattern takes the request. It goes by method, host and path as the Edge has got them, which the
// key of what is stored tells apart: so what is excepted is never stored, and a stored response needs no such question.
//
// Unlike http.ServeMux it takes no path for another one: a path that ServeMux would clean counts as it is and as the clean
// one, since nobody knows which of them the handler will see. Hosts are compared as plainHost has them.
func (x *except) matches(r *http.Request) bool {
	if x.mux == nil || r.URL == nil || !x.mayTake(r.URL.Path) {
		return false
	}
	r = onPlainHost(r)
	return x.takes(r) || strings.Contains(r.URL.Path, "/.") && x.takes(withDots(r))
}

// mayTake reports whether a path needs a closer look, which costs allocations: most begin otherwise than any pattern.
func (x *except) mayTake(path string) bool {
	if x.first == nil || path == "" || path[0] != '/' || strings.Contains(path, "//") || strings.Contains(path, "/.") {
		return true
	}
	segment := path[1:]
	if at := strings.IndexByte(segment, '/'); at >= 0 {
		segment = segment[:at]
	}
	return x.first[segment]
}

func (x *except) takes(r *http.Request) bool {
	// The pattern and not the handler tells: for a path to be cleaned the handler is a redirect.
	_, pattern := x.mux.Handler(r)
	return pattern != ""
}

// withDots returns a request for the same path in which dots are no steps, so that ServeMux leaves them.
func withDots(r *http.Request) *http.Request {
	raw := *r
	u := url.URL{Path: r.URL.Path, RawPath: strings.ReplaceAll(r.URL.EscapedPath(), ".", "%2E")}
	raw.URL = &u
	return &raw
}

var registeredAt = regexp.MustCompile(` \(registered at [^()]*:[0-9]+\)`)

// register adds a pattern to mux, with its host as requests are compared with it, and returns what it added, or what
// speaks against it.
func register(mux *http.ServeMux, pattern string) (plain string, reason any) {
	defer func() {
		if p := recover(); p != nil {
			// http.ServeMux adds where it was told of a pattern, which is always below.
			reason = registeredAt.ReplaceAllString(fmt.Sprint(p), "")
		}
	}()
	plain, why := plainPattern(pattern)
	if why != "" {
		return plain, why
	}
	mux.Handle(plain, http.NotFoundHandler())
	return plain, nil
}

// plainPattern returns a pattern for http.ServeMux with its host as plainHost has it. why is not "" if no request can
// have that method or host.
func plainPattern(pattern string) (plain, why string) {
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

// onPlainHost returns r, or a request for the same, with a host that http.ServeMux takes for what plainHost returns. It
// sees to a port itself.
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

// plainHost returns a host in one of its spellings: in lower case, without port, the brackets of an IPv6 address, and a
// dot at its end. http.ServeMux compares hosts byte by byte, and clients choose how they spell one.
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
