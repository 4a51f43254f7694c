package edgecache

import (
	"fmt"
	"net/http"
	"net/url"
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
		if reason := register(x.mux, pattern); reason != nil {
			mistakes = append(mistakes, &ConfigError{
				Field: fmt.Sprintf("Except[%d]", i), Value: pattern,
				Reason: fmt.Sprintf(`want a pattern for http.ServeMux such as "/healthz" or "/debug/": %v`, reason),
			})
			continue
		}
		x.byMethod = x.byMethod || strings.ContainsAny(pattern, " \t")
		if segment, literal := firstOfPattern(pattern); !literal {
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
// one, since nobody knows which of them the handler will see. Hosts are compared in lower case.
func (x *except) matches(r *http.Request) bool {
	if x.mux == nil || r.URL == nil || !x.mayTake(r.URL.Path) {
		return false
	}
	if host := strings.ToLower(r.Host); host != r.Host {
		lower := *r
		lower.Host = host
		r = &lower
	}
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
