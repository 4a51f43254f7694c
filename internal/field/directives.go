package field

import (
	"net/http"
	"strings"
)

// maxQualified bounds the field names of a qualified no-cache or private. A longer list is read as
// the unqualified form.
const maxQualified = 64

// directive is a cache directive that this package knows. Those that take seconds come first.
type directive uint8

const (
	maxAge directive = iota
	sharedMaxAge
	staleWhileRevalidate
	staleIfError
	minFresh
	maxStale

	immutable
	mustRevalidate
	mustUnderstand
	noCache
	noStore
	noTransform
	onlyIfCached
	private
	proxyRevalidate
	public

	unknown
)

// withSeconds is the number of directives that take seconds.
const withSeconds = maxStale + 1

// directives has the name of each directive (RFC 9111, 5.2; RFC 5861; RFC 8246), and the directive
// that a malformed one counts as. That is unknown, so it is ignored, where it only permits.
var directives = [unknown]struct {
	name      string
	malformed directive
}{
	maxAge:               {"max-age", maxAge},
	sharedMaxAge:         {"s-maxage", sharedMaxAge},
	staleWhileRevalidate: {"stale-while-revalidate", staleWhileRevalidate},
	staleIfError:         {"stale-if-error", staleIfError},
	minFresh:             {"min-fresh", minFresh},
	maxStale:             {"max-stale", maxStale},

	immutable:       {"immutable", unknown},
	mustRevalidate:  {"must-revalidate", proxyRevalidate}, // it also permits (RFC 9111, 3.5)
	mustUnderstand:  {"must-understand", unknown},
	noCache:         {"no-cache", noCache},
	noStore:         {"no-store", noStore},
	noTransform:     {"no-transform", noTransform},
	onlyIfCached:    {"only-if-cached", unknown},
	private:         {"private", private},
	proxyRevalidate: {"proxy-revalidate", proxyRevalidate},
	public:          {"public", unknown},
}

// lookup finds the directive of a name, case-insensitively.
func lookup(name string) directive {
	for d := range directives {
		if known := directives[d].name; len(known) == len(name) && equalFold(known, name) {
			return directive(d)
		}
	}
	return unknown
}

// equalFold reports whether name equals lower, which is in lower case and as long, in any case.
func equalFold(lower, name string) bool {
	for i := range len(lower) {
		if toLower(name[i]) != lower[i] {
			return false
		}
	}
	return true
}

func toLower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// directiveSet is what the directives of one field say, while they are read.
type directiveSet struct {
	flags   uint32 // a bit for each directive that is there without seconds, in a form that counts
	seconds [withSeconds]Delta

	noCache, private fieldNames
}

// fieldNames is the argument of a directive that may be qualified.
type fieldNames struct {
	names []string // canonical, in the order given
	all   bool     // the unqualified form is there as well; it wins
}

// add reads a list of names. A list that is malformed, empty or too long is the unqualified form.
func (f *fieldNames) add(list string) {
	none := true
	for list != "" {
		var name string
		name, list, _ = strings.Cut(list, ",")
		if name = TrimBlanks(name); name == "" {
			continue
		}
		if !IsToken(name) || len(f.names) == maxQualified {
			f.all = true
			return
		}
		none = false
		f.names = append(f.names, http.CanonicalHeaderKey(name))
	}
	f.all = f.all || none
}

func (f *fieldNames) list() []string {
	if f.all {
		return nil
	}
	return f.names
}

// names returns where the field names of a directive go, nil if it takes none.
func (s *directiveSet) names(d directive) *fieldNames {
	switch d {
	case noCache:
		return &s.noCache
	case private:
		return &s.private
	}
	return nil
}

func (s *directiveSet) has(d directive) bool { return s.flags&(1<<d) != 0 }

// set notes a directive without an argument. It must be one that may come without.
func (s *directiveSet) set(d directive) {
	s.flags |= 1 << d
	if names := s.names(d); names != nil {
		names.all = true
	}
}

// qualify notes a directive with a list of field names. It must be one that may have some.
func (s *directiveSet) qualify(d directive, list string) {
	s.flags |= 1 << d
	s.names(d).add(list)
}

// condemn notes a malformed directive, as far as it restricts.
func (s *directiveSet) condemn(d directive) {
	if d == unknown {
		return
	}
	switch d = directives[d].malformed; {
	case d < withSeconds:
		s.seconds[d] = Delta{Set: true}
	case d != unknown:
		s.set(d)
	}
}

// cacheControl returns what the directives say together.
func (s *directiveSet) cacheControl() CacheControl {
	return CacheControl{
		NoStore: s.has(noStore), NoCache: s.has(noCache), NoTransform: s.has(noTransform), OnlyIfCached: s.has(onlyIfCached),
		Private: s.has(private), Public: s.has(public), MustRevalidate: s.has(mustRevalidate),
		ProxyRevalidate: s.has(proxyRevalidate), MustUnderstand: s.has(mustUnderstand), Immutable: s.has(immutable),

		NoCacheFields: s.noCache.list(), PrivateFields: s.private.list(),

		MaxAge: s.seconds[maxAge], SharedMaxAge: s.seconds[sharedMaxAge],
		StaleWhileRevalidate: s.seconds[staleWhileRevalidate], StaleIfError: s.seconds[staleIfError],
		MinFresh: s.seconds[minFresh], MaxStale: s.seconds[maxStale],

		MaxStaleAny: s.has(maxStale) && !s.seconds[maxStale].Set,
	}
}
