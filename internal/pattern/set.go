package pattern

import (
	"net/http"
	"net/url"
	"strings"
)

// A Set is the set of all requests that one of its patterns matches. The zero value is empty. A Set
// is immutable, and safe for concurrent use.
type Set struct {
	mux      *Mux            // nil if there are no patterns
	first    map[string]bool // first segments of the paths of all patterns; nil if one matches any
	byMethod bool            // see DiffersByMethod
}

// NewSet returns the set of requests that patterns match. It leaves out malformed patterns, and
// calls refused for each of them, with its index and the reason. refused may be nil if there are
// none.
func NewSet(patterns []string, refused func(i int, reason string)) (s Set) {
	if len(patterns) == 0 {
		return s
	}
	s.mux, s.first = new(Mux), make(map[string]bool)
	for i, pattern := range patterns {
		plain, reason := s.mux.Add(pattern)
		if reason != "" {
			refused(i, reason)
			continue
		}
		s.byMethod = s.byMethod || strings.ContainsAny(plain, " \t")
		if segment, literal := firstSegment(plain); !literal {
			s.first = nil
		} else if s.first != nil {
			s.first[segment] = true
		}
	}
	return s
}

// firstSegment returns the first segment of the path of a valid pattern. literal is false if the
// pattern also matches paths with another first segment.
func firstSegment(pattern string) (segment string, literal bool) {
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

// DiffersByMethod reports whether a pattern names a method. Then the set may contain only one of
// GET and HEAD for the same URL.
func (s *Set) DiffersByMethod() bool { return s.byMethod }

// Contains reports whether a pattern matches the method, host and path of r; the query does not
// count. A path that http.ServeMux would clean is compared both as it is and clean, since a handler
// may see either.
func (s *Set) Contains(r *http.Request) bool {
	if s.mux == nil || r.URL == nil || !s.mayContain(r.URL.Path) {
		return false
	}
	r = onPlainHost(r)
	return s.mux.match(r) != "" || strings.Contains(r.URL.Path, "/.") && s.mux.match(withDots(r)) != ""
}

// mayContain reports whether a path needs a full match, which allocates. Most paths do not, since
// they begin like no pattern.
func (s *Set) mayContain(path string) bool {
	if s.first == nil || path == "" || path[0] != '/' || strings.Contains(path, "//") || strings.Contains(path, "/.") {
		return true
	}
	segment := path[1:]
	if at := strings.IndexByte(segment, '/'); at >= 0 {
		segment = segment[:at]
	}
	return s.first[segment]
}

// withDots returns a request for the same path with its dots escaped, so that ServeMux does not
// clean them away.
func withDots(r *http.Request) *http.Request {
	raw := *r
	u := url.URL{Path: r.URL.Path, RawPath: strings.ReplaceAll(r.URL.EscapedPath(), ".", "%2E")}
	raw.URL = &u
	return &raw
}
