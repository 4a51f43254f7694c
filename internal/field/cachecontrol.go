package field

import (
	"math"
	"strings"
	"time"

	"github.com/pquerna/cachecontrol/cacheobject"
)

// maxDelta is the value of a delta-seconds that is too large to count (RFC 9111, 1.2.2).
const maxDelta = 1 << 31 * time.Second

// Delta is the argument of a directive that takes seconds. The zero value is an absent directive.
type Delta struct {
	Set   bool          // the directive is present
	Valid bool          // and its argument could be read; Set && !Valid of a lifetime means stale
	Value time.Duration // whole seconds, at most 2^31 of them; 0 unless Valid
}

// CacheControl is what the directives of a request or of a response say. The zero value says
// nothing.
//
// Malformed directives restrict but never permit: no-store, no-cache and private hold with any
// argument, a delta is Set && !Valid, must-revalidate counts as proxy-revalidate, which does not
// permit requests with Authorization (RFC 9111, 3.5), and the others are ignored.
type CacheControl struct {
	NoStore, NoCache, NoTransform, OnlyIfCached, Private, Public, MustRevalidate bool
	ProxyRevalidate, MustUnderstand, Immutable                                   bool

	// The qualified forms: canonical names in the order given. If NoCache or Private is true and
	// its names are empty, the directive is unqualified. The unqualified form wins when both are
	// there.
	NoCacheFields, PrivateFields []string

	// The strictest of duplicates counts, which is one of the readings that RFC 9111, 4.2.1 leaves.
	MaxAge, SharedMaxAge, StaleWhileRevalidate, StaleIfError, MinFresh, MaxStale Delta

	MaxStaleAny bool // max-stale is there without a value, and not with one
	Empty       bool // no line, or no member in any
}

// MaxCacheControl is the longest Cache-Control that is read, in bytes over all lines. No real
// response has a longer one, and reading it would cost more than the response.
const MaxCacheControl = 4 << 10

// size is the number of bytes in all lines.
func size(lines []string) (n int) {
	for _, line := range lines {
		n += len(line)
	}
	return n
}

// ParseCacheControl reads the lines of a Cache-Control field of either direction (RFC 9111, 5.2).
//
// Each directive is read by itself: a malformed one does not hide the others, and an unquoted
// private=a,no-store does not swallow the no-store.
//
// A field of more than MaxCacheControl bytes is not read: it counts as no-store.
func ParseCacheControl(lines []string) CacheControl {
	switch len(lines) {
	case 0:
		return CacheControl{Empty: true}
	case 1:
		switch lines[0] { // browsers send these when their users reload: a hit parses nothing
		case "max-age=0":
			return CacheControl{MaxAge: Delta{Set: true, Valid: true}}
		case "no-cache":
			return CacheControl{NoCache: true}
		}
	}
	if size(lines) > MaxCacheControl {
		return CacheControl{NoStore: true}
	}
	var s directiveSet
	empty := true
	for _, line := range lines {
		for line != "" {
			var member string
			member, line = cutMember(line)
			if member != "" {
				empty = false
				s.add(member)
			}
		}
	}
	cc := s.cacheControl()
	cc.Empty = empty
	return cc
}

// add reads one member.
func (s *directiveSet) add(member string) {
	name, argument, hasArgument := strings.Cut(member, "=")
	if !IsToken(name) || hasArgument && !IsToken(argument) && !IsQuoted(argument) {
		s.condemnAll(member)
		return
	}
	d := lookup(name)
	switch {
	case d == unknown:
	case d < withSeconds && hasArgument:
		s.addSeconds(d, argument)
	case d < withSeconds && d != maxStale:
		s.condemn(d)
	case !hasArgument:
		s.set(d)
	case s.names(d) != nil && IsQuoted(argument):
		s.qualify(d, argument[1:len(argument)-1])
	default:
		// A token is not a list of names either: private=a, b was cut at its comma before, so its
		// meaning is unknown. A sender should not generate it (RFC 9111, 5.2.2.4 and 5.2.2.7).
		s.condemn(d)
	}
}

// addSeconds reads the argument of a directive that takes seconds. The stricter of two counts.
func (s *directiveSet) addSeconds(d directive, argument string) {
	seconds, ok := parseSeconds(argument)
	if !ok {
		s.condemn(d)
		return
	}
	before := s.seconds[d]
	stricter := seconds < before.Value
	if d == minFresh {
		stricter = seconds > before.Value
	}
	if !before.Set || before.Valid && stricter {
		s.seconds[d] = Delta{Set: true, Valid: true, Value: seconds}
	}
}

// condemnAll reads a malformed member: every directive that it mentions, in quotes or not, is
// condemned. So a no-store is not lost to a stray quote or a missing comma.
func (s *directiveSet) condemnAll(member string) {
	for member != "" {
		end := 0
		for end < len(member) && isTokenByte(member[end]) {
			end++
		}
		s.condemn(lookup(member[:end]))
		member = member[min(end+1, len(member)):]
	}
}

// parseSeconds reads a delta-seconds, also in quotes. A value that is too large to count is
// maxDelta. cacheobject reads what is not a few plain digits. It allocates, and it would return
// nothing for a whole field that has one malformed directive.
func parseSeconds(argument string) (seconds time.Duration, ok bool) {
	const maxDigits = 9 // always less than maxDelta
	if n, ok := parseDigits(argument); ok && len(argument) <= maxDigits {
		return time.Duration(n) * time.Second, true
	}
	parsed, err := cacheobject.ParseResponseCacheControl("max-age=" + argument)
	switch {
	case err != nil:
		return 0, false
	case parsed.MaxAge == math.MaxInt32: // the largest value that it returns
		return maxDelta, true
	}
	return time.Duration(parsed.MaxAge) * time.Second, true
}

// saturated is n seconds, at most maxDelta.
func saturated(n int64) time.Duration {
	return time.Duration(min(n, int64(maxDelta/time.Second))) * time.Second
}

// ParseAge reads an Age field (RFC 9111, 5.1). The first member counts. If it is not a number of
// seconds, the field is ignored. The age is at most 2^31 s.
func ParseAge(lines []string) (time.Duration, bool) {
	for member := range Members(lines) {
		n, ok := parseDigits(member)
		return saturated(n), ok
	}
	return 0, false
}
