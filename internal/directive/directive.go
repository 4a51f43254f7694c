// Package directive writes the header fields that tell caches what to do: Cache-Control and the
// fields in its form, Vary, Cache-Groups and Cache-Group-Invalidation. It is pure, and works only
// on an http.Header.
//
// A restriction wins over a permission, in whichever order they come. Directives that the package
// does not know stay as they were written.
package directive

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
)

// The directives that this package writes (RFC 9111, 5.2.2; RFC 5861; RFC 8246).
const (
	NoStore              = "no-store"
	NoCache              = "no-cache"
	Private              = "private"
	Public               = "public"
	MaxAge               = "max-age"
	SharedMaxAge         = "s-maxage"
	Immutable            = "immutable"
	MustRevalidate       = "must-revalidate"
	StaleWhileRevalidate = "stale-while-revalidate"
	StaleIfError         = "stale-if-error"

	proxyRevalidate = "proxy-revalidate"
	mustUnderstand  = "must-understand"
)

// InNanoseconds ends the name of an extension directive (RFC 9111, 5.2.3). It is written beside a
// lifetime that its author surely meant in seconds: MaxAge(w, 60) is 60 ns, so max-age=0. Caches
// ignore it, but people see it in the header with every router, and an Edge tells its observer.
const InNanoseconds = "-nanoseconds"

// longestMistaken is the longest lifetime that is taken for a number of seconds by mistake: as many
// nanoseconds as a leap year has seconds, about 32 ms. The rest of a lifetime that is nearly over
// may be below a second, but is hardly ever that short.
const longestMistaken time.Duration = 366 * 24 * 60 * 60

// maxSeconds is the greatest delta-seconds that every cache can read (RFC 9111, 1.2.2): 68 years.
const maxSeconds = 1 << 31

// A List is a Cache-Control field while it is edited. Members that it does not know stay as they
// were written. It is not safe for concurrent use.
type List struct {
	members []string
}

// Parse returns the List of all lines of a field. A field that is too long counts as no-store.
func Parse(lines []string) *List {
	if size := len(strings.Join(lines, ", ")); size > field.MaxCacheControl {
		// Editing could make it short enough to be read as something else.
		return &List{members: []string{NoStore}}
	}
	l := &List{members: slices.Collect(field.Members(lines))}
	for _, member := range slices.Clone(l.members) {
		l.members = append(l.members, condemned(member)...)
	}
	return l
}

// condemned returns the directives that a malformed member counts as (see field.ParseCacheControl),
// so that editing does not lose what it restricts.
func condemned(member string) (meant []string) {
	name, argument, hasArgument := strings.Cut(member, "=")
	if field.IsToken(name) && (!hasArgument || field.IsToken(argument) || field.IsQuoted(argument)) {
		return nil
	}
	said := field.ParseCacheControl([]string{member})
	for _, d := range []struct {
		said bool
		name string
	}{
		{said.NoStore, NoStore},
		{said.NoCache, NoCache},
		{said.Private, Private},
		{said.ProxyRevalidate, proxyRevalidate},
		{said.MaxAge.Set, MaxAge + "=0"},
		{said.SharedMaxAge.Set, SharedMaxAge + "=0"},
	} {
		if d.said {
			meant = append(meant, d.name)
		}
	}
	return meant
}

// Meaning returns what the directives mean to a cache.
func (l *List) Meaning() field.CacheControl { return field.ParseCacheControl(l.members) }

// Set makes member, such as "max-age=60", the only directive of its name. It takes the place of the
// first one, or the end.
func (l *List) Set(member string) {
	name, _, _ := strings.Cut(member, "=")
	at := slices.IndexFunc(l.members, func(m string) bool { return isNamed(m, name) })
	if at < 0 {
		l.members = append(l.members, member)
		return
	}
	l.members[at] = member
	rest := slices.DeleteFunc(l.members[at+1:], func(m string) bool { return isNamed(m, name) })
	l.members = l.members[:at+1+len(rest)]
}

// SetSeconds sets a directive whose argument is in seconds. lifetime is rounded down, since the
// response must not be used longer than that; it is at least 0, and at most 2^31 seconds.
func (l *List) SetSeconds(name string, lifetime time.Duration) {
	mark := name + InNanoseconds
	l.members = slices.DeleteFunc(l.members, func(m string) bool { return isNamed(m, mark) })
	l.Set(name + "=" + strconv.FormatInt(seconds(lifetime), 10))
	if 0 < lifetime && lifetime <= longestMistaken {
		l.Set(mark + "=" + strconv.FormatInt(int64(lifetime), 10))
	}
}

func seconds(d time.Duration) int64 {
	return min(max(int64(d/time.Second), 0), maxSeconds)
}

func (l *List) remove(names ...string) {
	l.members = slices.DeleteFunc(l.members, func(m string) bool {
		member, _, _ := strings.Cut(m, "=")
		member = strings.TrimSuffix(field.TrimBlanks(member), InNanoseconds)
		return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(member, name) })
	})
}

// settle removes permissions that a restriction contradicts, in whichever order they were set. The
// qualified forms of no-cache and private restrict only the fields that they name, so they remove
// nothing.
func (l *List) settle() {
	said := l.Meaning()
	if said.NoStore {
		// must-understand tells a cache that knows the status to ignore no-store (RFC 9111,
		// 5.2.2.3).
		l.remove(Public, MaxAge, SharedMaxAge, Immutable, StaleWhileRevalidate, StaleIfError, mustUnderstand)
	}
	if said.NoCache && len(said.NoCacheFields) == 0 {
		l.remove(MaxAge, SharedMaxAge, Immutable, StaleWhileRevalidate, StaleIfError)
	}
	if said.Private && len(said.PrivateFields) == 0 {
		l.remove(Public, SharedMaxAge)
	}
	if said.MustRevalidate {
		l.remove(StaleWhileRevalidate, StaleIfError) // RFC 9111, 4.2.4
	}
}

// String returns the field as one line. A member whose quote is never closed comes last, since it
// would swallow what follows.
func (l *List) String() string {
	slices.SortStableFunc(l.members, func(a, b string) int { return cmp.Compare(swallows(a), swallows(b)) })
	return strings.Join(l.members, ", ")
}

// swallows returns 1 if a directive after member, on the same line, would not be read as one.
func swallows(member string) int {
	n := 0
	for range field.Members([]string{member + ",x"}) {
		n++
	}
	if n == 2 {
		return 0
	}
	return 1
}

func isNamed(member, name string) bool {
	got, _, _ := strings.Cut(member, "=")
	return strings.EqualFold(field.TrimBlanks(got), name)
}
