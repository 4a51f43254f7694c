package field

import (
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/pquerna/cachecontrol/cacheobject"
)

// maxDelta is what a delta-seconds too large to count means (RFC 9111, 1.2.2).
const maxDelta = 1 << 31 * time.Second

// maxQualified bounds the field names of a qualified no-cache or private. A longer list is read as the unqualified form.
const maxQualified = 64

// Delta is the argument of a directive that takes seconds. The zero value is an absent directive.
type Delta struct {
	Set   bool          // the directive is present
	Valid bool          // and its argument could be read; Set && !Valid of a lifetime means stale
	Value time.Duration // whole seconds, at most 2^31 of them; 0 unless Valid
}

// CacheControl is what the directives of a request or of a response say. The zero value says nothing.
//
// Malformed directives restrict but never permit: no-store, no-cache and private hold with whatever argument, a delta
// is Set && !Valid, must-revalidate counts as proxy-revalidate, which does not open the door to Authorization
// (RFC 9111, 3.5), and the others are ignored.
type CacheControl struct {
	NoStore, NoCache, NoTransform, OnlyIfCached, Private, Public, MustRevalidate, ProxyRevalidate, MustUnderstand, Immutable bool

	// The qualified forms, canonical names in the order given. Empty while NoCache or Private is true means the
	// unqualified form, which wins when both are there.
	NoCacheFields, PrivateFields []string

	// Of duplicates the stricter counts, which is one of the readings that RFC 9111, 4.2.1 leaves.
	MaxAge, SharedMaxAge, StaleWhileRevalidate, StaleIfError, MinFresh, MaxStale Delta

	MaxStaleAny bool // max-stale without a value, and none with one
	Empty       bool // no line, or no member in any

	noCacheAll, privateAll bool // an unqualified form was seen
}

// MaxCacheControl is the longest Cache-Control that is read, in bytes over all lines. What is longer is no page's, and reading it would cost more than the page.
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
// cacheobject reads the directives, but one at a time: of a whole field it returns nothing if a single directive is
// malformed, takes the last of duplicates, and lets an unquoted private=a,no-store swallow the no-store.
//
// A field of more than MaxCacheControl bytes is not read: it counts as no-store.
func ParseCacheControl(lines []string) CacheControl {
	if len(lines) == 1 {
		switch lines[0] { // what browsers send when their users reload: nothing is parsed for a hit
		case "max-age=0":
			return CacheControl{MaxAge: Delta{Set: true, Valid: true}}
		case "no-cache":
			return CacheControl{NoCache: true}
		}
	}
	if size(lines) > MaxCacheControl {
		return CacheControl{NoStore: true}
	}
	cc := CacheControl{Empty: true}
	for _, line := range lines {
		for line != "" {
			var member string
			member, line = cutMember(line)
			if member != "" {
				cc.Empty = false
				cc.add(member)
			}
		}
	}
	cc.settle()
	return cc
}

// add reads one member.
func (cc *CacheControl) add(member string) {
	name, argument, hasArgument := strings.Cut(member, "=")
	if !IsToken(name) || hasArgument && !IsToken(argument) && !IsQuoted(argument) {
		cc.condemnAll(member)
		return
	}
	switch known := lookup(name); known {
	case unknown:
	case mustUnderstand:
		// RFC 9111, 5.2.2.3: unknown to cacheobject.
		cc.MustUnderstand = cc.MustUnderstand || !hasArgument
	case onlyIfCached, minFresh, maxStale:
		cc.addRequest(known, member, hasArgument)
	default:
		if !cc.addPlain(known, argument, hasArgument) {
			cc.addResponse(known, member, argument)
		}
	}
}

// addPlain reads what needs no parsing: a directive without an argument where it may have none, or with a few digits where it takes seconds. That is nearly all there is.
func (cc *CacheControl) addPlain(known directive, argument string, hasArgument bool) bool {
	const maxDigits = 9 // fits a delta, so nothing has to be decided
	if !hasArgument {
		switch known {
		case noStore:
			cc.NoStore = true
		case noCache:
			cc.NoCache, cc.noCacheAll = true, true
		case private:
			cc.Private, cc.privateAll = true, true
		case public:
			cc.Public = true
		case mustRevalidate:
			cc.MustRevalidate = true
		default:
			return false
		}
		return true
	}
	n, ok := parseDigits(argument)
	if !ok || len(argument) > maxDigits {
		return false
	}
	d := Delta{Set: true, Valid: true, Value: time.Duration(n) * time.Second}
	switch known {
	case maxAge:
		cc.MaxAge = earlierOf(cc.MaxAge, d)
	case sharedMaxAge:
		cc.SharedMaxAge = earlierOf(cc.SharedMaxAge, d)
	case staleWhileRevalidate:
		cc.StaleWhileRevalidate = earlierOf(cc.StaleWhileRevalidate, d)
	case staleIfError:
		cc.StaleIfError = earlierOf(cc.StaleIfError, d)
	default:
		return false
	}
	return true
}

func (cc *CacheControl) addRequest(known directive, member string, hasArgument bool) {
	parsed, err := cacheobject.ParseRequestCacheControl(member)
	if err != nil {
		cc.condemn(known)
		return
	}
	switch known {
	case onlyIfCached:
		cc.OnlyIfCached = true
	case minFresh:
		cc.MinFresh = laterOf(cc.MinFresh, seconds(parsed.MinFresh))
	case maxStale:
		if hasArgument {
			cc.MaxStale = earlierOf(cc.MaxStale, seconds(parsed.MaxStale))
		} else {
			cc.MaxStaleAny = true
		}
	}
}

func (cc *CacheControl) addResponse(known directive, member, argument string) {
	parsed, err := cacheobject.ParseResponseCacheControl(member)
	if err != nil {
		cc.condemn(known)
		return
	}
	switch known {
	case noStore:
		cc.NoStore = true
	case noCache:
		cc.NoCache = true
		qualify(&cc.NoCacheFields, &cc.noCacheAll, argument)
	case private:
		cc.Private = true
		qualify(&cc.PrivateFields, &cc.privateAll, argument)
	case noTransform:
		cc.NoTransform = true
	case public:
		cc.Public = true
	case mustRevalidate:
		cc.MustRevalidate = true
	case proxyRevalidate:
		cc.ProxyRevalidate = true
	case immutable:
		cc.Immutable = true
	case maxAge:
		cc.MaxAge = earlierOf(cc.MaxAge, seconds(parsed.MaxAge))
	case sharedMaxAge:
		cc.SharedMaxAge = earlierOf(cc.SharedMaxAge, seconds(parsed.SMaxAge))
	case staleWhileRevalidate:
		cc.StaleWhileRevalidate = earlierOf(cc.StaleWhileRevalidate, seconds(parsed.StaleWhileRevalidate))
	case staleIfError:
		cc.StaleIfError = earlierOf(cc.StaleIfError, seconds(parsed.StaleIfError))
	}
}

// condemnAll reads a malformed member: every directive it mentions anywhere, in quotes or out of them, is condemned.
// Thus nothing that may have been meant as no-store is lost to a stray quote or a missing comma.
func (cc *CacheControl) condemnAll(member string) {
	for member != "" {
		end := 0
		for end < len(member) && isTokenByte(member[end]) {
			end++
		}
		cc.condemn(lookup(member[:end]))
		member = member[min(end+1, len(member)):]
	}
}

// condemn takes from a malformed directive what restricts.
func (cc *CacheControl) condemn(known directive) {
	invalid := Delta{Set: true}
	switch known {
	case noStore:
		cc.NoStore = true
	case noCache:
		cc.NoCache, cc.noCacheAll = true, true
	case private:
		cc.Private, cc.privateAll = true, true
	case noTransform:
		cc.NoTransform = true
	case mustRevalidate, proxyRevalidate:
		cc.ProxyRevalidate = true
	case maxAge:
		cc.MaxAge = invalid
	case sharedMaxAge:
		cc.SharedMaxAge = invalid
	case staleWhileRevalidate:
		cc.StaleWhileRevalidate = invalid
	case staleIfError:
		cc.StaleIfError = invalid
	case minFresh:
		cc.MinFresh = invalid
	case maxStale:
		cc.MaxStale = invalid
	}
}

// settle applies what can only be known at the end.
func (cc *CacheControl) settle() {
	if cc.noCacheAll {
		cc.NoCacheFields = nil
	}
	if cc.privateAll {
		cc.PrivateFields = nil
	}
	if cc.MaxStale.Set {
		cc.MaxStaleAny = false
	}
	cc.noCacheAll, cc.privateAll = false, false
}

// qualify adds the field names of argument to fields, or sets all when it is not a quoted list of them. The token form
// is not accepted: private=a, b is cut at its comma before it comes here, and what was meant is unknown
// (RFC 9111, 5.2.2.4 and 5.2.2.7: a sender should not generate it). Nor are escapes, which cacheobject replaces by "?".
func qualify(fields *[]string, all *bool, argument string) {
	if !IsQuoted(argument) {
		*all = true
		return
	}
	qualifyNames(fields, all, argument[1:len(argument)-1])
}

func qualifyNames(fields *[]string, all *bool, names string) {
	none := true
	for names != "" {
		var name string
		name, names, _ = strings.Cut(names, ",")
		if name = TrimBlanks(name); name == "" {
			continue
		}
		if !IsToken(name) || len(*fields) == maxQualified {
			*all = true
			return
		}
		none = false
		*fields = append(*fields, http.CanonicalHeaderKey(name))
	}
	*all = *all || none
}

// seconds converts what cacheobject read. It stops at 2^31-1, where the RFC means 2^31 or more.
func seconds(d cacheobject.DeltaSeconds) Delta {
	if d == math.MaxInt32 {
		return Delta{Set: true, Valid: true, Value: maxDelta}
	}
	return Delta{Set: true, Valid: true, Value: time.Duration(d) * time.Second}
}

// saturated is n seconds, at most maxDelta.
func saturated(n int64) time.Duration {
	return time.Duration(min(n, int64(maxDelta/time.Second))) * time.Second
}

func earlierOf(a, b Delta) Delta {
	if !a.Set || a.Valid && b.Value < a.Value {
		return b
	}
	return a
}

func laterOf(a, b Delta) Delta {
	if !a.Set || a.Valid && b.Value > a.Value {
		return b
	}
	return a
}

type directive uint8

const (
	unknown directive = iota
	immutable
	maxAge
	maxStale
	minFresh
	mustRevalidate
	mustUnderstand
	noCache
	noStore
	noTransform
	onlyIfCached
	private
	proxyRevalidate
	public
	sharedMaxAge
	staleIfError
	staleWhileRevalidate
)

// lookup finds the directive of a name, case-insensitively and without allocating.
func lookup(name string) directive {
	var buffer [len("stale-while-revalidate")]byte
	if len(name) > len(buffer) {
		return unknown
	}
	lower := buffer[:len(name)]
	for i := range len(name) {
		lower[i] = toLower(name[i])
	}
	switch string(lower) {
	case "immutable":
		return immutable
	case "max-age":
		return maxAge
	case "max-stale":
		return maxStale
	case "min-fresh":
		return minFresh
	case "must-revalidate":
		return mustRevalidate
	case "must-understand":
		return mustUnderstand
	case "no-cache":
		return noCache
	case "no-store":
		return noStore
	case "no-transform":
		return noTransform
	case "only-if-cached":
		return onlyIfCached
	case "private":
		return private
	case "proxy-revalidate":
		return proxyRevalidate
	case "public":
		return public
	case "s-maxage":
		return sharedMaxAge
	case "stale-if-error":
		return staleIfError
	case "stale-while-revalidate":
		return staleWhileRevalidate
	}
	return unknown
}

func toLower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// ParseAge reads an Age field (RFC 9111, 5.1). The first member counts; if it is not a number of seconds, the field is
// ignored. The age is at most 2^31 s.
func ParseAge(lines []string) (time.Duration, bool) {
	for member := range Members(lines) {
		n, ok := parseDigits(member)
		return saturated(n), ok
	}
	return 0, false
}
