package edgecache

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
)

// The directives that headers.go and policy.go write (RFC 9111, 5.2.2; RFC 5861; RFC 8246).
const (
	dirNoStore              = "no-store"
	dirNoCache              = "no-cache"
	dirPrivate              = "private"
	dirPublic               = "public"
	dirMaxAge               = "max-age"
	dirSharedMaxAge         = "s-maxage"
	dirImmutable            = "immutable"
	dirMustRevalidate       = "must-revalidate"
	dirMustUnderstand       = "must-understand"
	dirStaleWhileRevalidate = "stale-while-revalidate"
	dirStaleIfError         = "stale-if-error"
)

// maxSeconds is the greatest delta-seconds that every cache can read (RFC 9111, 1.2.2): 68 years.
const maxSeconds = 1 << 31

// directives is a Cache-Control field while it is rewritten. Members that we do not know stay as they were written.
type directives struct {
	members []string
}

func parseDirectives(lines []string) *directives {
	if size := len(strings.Join(lines, ", ")); size > field.MaxCacheControl {
		// It counts as no-store, and rewriting could make it short enough to be read as something else.
		return &directives{members: []string{dirNoStore}}
	}
	d := &directives{members: slices.Collect(field.Members(lines))}
	for _, member := range slices.Clone(d.members) {
		d.members = append(d.members, condemned(member)...)
	}
	return d
}

// condemned spells out what a malformed member restricts (see field.ParseCacheControl), so that rewriting it loses nothing.
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
		{said.NoStore, dirNoStore}, {said.NoCache, dirNoCache}, {said.Private, dirPrivate}, {said.ProxyRevalidate, "proxy-revalidate"},
		{said.MaxAge.Set, dirMaxAge + "=0"}, {said.SharedMaxAge.Set, dirSharedMaxAge + "=0"},
	} {
		if d.said {
			meant = append(meant, d.name)
		}
	}
	return meant
}

// said returns what the directives mean to a cache.
func (d *directives) said() field.CacheControl { return field.ParseCacheControl(d.members) }

// set makes member the only directive of its name, in the place of the first.
func (d *directives) set(member string) {
	name, _, _ := strings.Cut(member, "=")
	at := slices.IndexFunc(d.members, func(m string) bool { return isDirective(m, name) })
	if at < 0 {
		d.members = append(d.members, member)
		return
	}
	d.members[at] = member
	rest := slices.DeleteFunc(d.members[at+1:], func(m string) bool { return isDirective(m, name) })
	d.members = d.members[:at+1+len(rest)]
}

// inNanoseconds ends the name of an extension directive (RFC 9111, 5.2.3) beside a lifetime that its author surely meant in
// seconds: MaxAge(w, 60) is 60 ns, so max-age=0. Caches ignore it; who looks at the header sees it with every router, and
// the Edge tells its observer.
const inNanoseconds = "-nanoseconds"

// longestMistaken is the longest lifetime that is taken for a number of seconds: those of a leap year. What handlers work out as the rest
// of a lifetime, and is nearly over, may be below a second, but is hardly ever below 32 ms.
const longestMistaken time.Duration = 366 * 24 * 60 * 60

func (d *directives) setSeconds(name string, lifetime time.Duration) {
	mark := name + inNanoseconds
	d.members = slices.DeleteFunc(d.members, func(m string) bool { return isDirective(m, mark) })
	d.set(name + "=" + strconv.FormatInt(seconds(lifetime), 10))
	if 0 < lifetime && lifetime <= longestMistaken {
		d.set(mark + "=" + strconv.FormatInt(int64(lifetime), 10))
	}
}

func (d *directives) remove(names ...string) {
	d.members = slices.DeleteFunc(d.members, func(m string) bool {
		member, _, _ := strings.Cut(m, "=")
		member = strings.TrimSuffix(field.TrimBlanks(member), inNanoseconds)
		return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(member, name) })
	})
}

// settle removes the permissions that a restriction contradicts, in whichever order they came. The qualified forms of
// no-cache and private restrict only the fields they name, so they leave the others alone.
func (d *directives) settle() {
	said := d.said()
	if said.NoStore {
		// must-understand tells a cache that knows the status to ignore no-store (RFC 9111, 5.2.2.3).
		d.remove(dirPublic, dirMaxAge, dirSharedMaxAge, dirImmutable, dirStaleWhileRevalidate, dirStaleIfError, dirMustUnderstand)
	}
	if said.NoCache && len(said.NoCacheFields) == 0 {
		d.remove(dirMaxAge, dirSharedMaxAge, dirImmutable, dirStaleWhileRevalidate, dirStaleIfError)
	}
	if said.Private && len(said.PrivateFields) == 0 {
		d.remove(dirPublic, dirSharedMaxAge)
	}
	if said.MustRevalidate {
		d.remove(dirStaleWhileRevalidate, dirStaleIfError) // RFC 9111, 4.2.4
	}
}

// String returns the field on one line. A member whose quote is never closed comes last: it would swallow what follows.
func (d *directives) String() string {
	slices.SortStableFunc(d.members, func(a, b string) int { return order(closed(a), closed(b)) })
	return strings.Join(d.members, ", ")
}

func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// closed reports whether a directive after member, on the same line, would be read as one.
func closed(member string) bool {
	n := 0
	for range field.Members([]string{member + ",x"}) {
		n++
	}
	return n == 2
}

func isDirective(member, name string) bool {
	got, _, _ := strings.Cut(member, "=")
	return strings.EqualFold(field.TrimBlanks(got), name)
}

// seconds rounds down, as a lifetime must not be passed, and saturates.
func seconds(d time.Duration) int64 {
	return min(max(int64(d/time.Second), 0), maxSeconds)
}

// edit rewrites the Cache-Control field of h.
func edit(h http.Header, change func(*directives)) { editField(h, "Cache-Control", change) }

func editField(h http.Header, name string, change func(*directives)) {
	d := parseDirectives(lines(h, name))
	change(d)
	d.settle()
	if len(d.members) > 0 {
		h[name] = []string{d.String()}
	}
}

// restrict adds a restriction to Cache-Control and to every field that some cache obeys in its place (RFC 9213, 2.2):
// else a CDN-Cache-Control that was set before would still let that cache, which may be ours, do what is forbidden.
func restrict(h http.Header, directive string) {
	edit(h, func(d *directives) { d.set(directive) })
	for key := range h {
		if field.IsTargeted(key) {
			editField(h, http.CanonicalHeaderKey(field.TrimBlanks(key)), func(d *directives) { d.set(directive) })
		}
	}
}

// lines returns all lines of the field name, which is canonical. Handlers can write other spellings of it into the map,
// and net/http sends them: they are moved to name.
func lines(h http.Header, name string) []string {
	var odd []string
	for key := range h {
		if key != name && strings.EqualFold(field.TrimBlanks(key), name) {
			odd = append(odd, key)
		}
	}
	if odd != nil {
		slices.Sort(odd)
		all := slices.Clone(h[name])
		for _, key := range odd {
			all = append(all, h[key]...)
			delete(h, key)
		}
		h[name] = all
	}
	return h[name]
}
