package policy

import (
	"net/http"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/directive"
	"github.com/edgecache-go/edgecache/internal/field"
)

// StatusOpen stands for a status that is not known yet, and may stay unknown.
const StatusOpen = 0

// Apply applies p to the header h of a response to a request with that method.
func (p *Policy) Apply(method string, status int, h http.Header, now time.Time) {
	if status == http.StatusSwitchingProtocols {
		return // no cache sees what follows
	}
	if len(p.Vary) > 0 {
		directive.AddVary(h, p.Vary)
	}
	if len(p.Tags) > 0 {
		directive.AddTags(h, p.Tags)
	}
	for _, restriction := range []struct {
		set       bool
		directive string
	}{
		{p.NoStore, directive.NoStore},
		{p.NoCache, directive.NoCache},
		{p.Private, directive.Private},
	} {
		if restriction.set {
			directive.Restrict(h, restriction.directive)
		}
	}
	if p.permits() && status != StatusOpen && status < 400 && (method == http.MethodGet || method == http.MethodHead) {
		p.fill(h, !isMomentary(status, h), now)
	}
}

func (p *Policy) permits() bool {
	return p.Public || p.Immutable || p.MustRevalidate || p.CacheFor > 0 ||
		p.MaxAge > 0 || p.SharedMaxAge > 0 || p.StaleWhileRevalidate > 0 || p.StaleIfError > 0
}

// isMomentary reports whether a response is about this moment or for this client, so that it is
// fresh only if its handler says so.
func isMomentary(status int, h http.Header) bool {
	switch status {
	case http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect:
		return true
	}
	for name := range h {
		name = field.TrimBlanks(name)
		for _, one := range [...]string{"Set-Cookie", "Set-Cookie2", "Clear-Site-Data"} {
			if strings.EqualFold(name, one) {
				return true
			}
		}
	}
	return false
}

// fill adds directives that permit or prolong if grants is true, else only those that shorten.
// Those that a restriction contradicts are removed afterwards, by directive.Edit.
func (p *Policy) fill(h http.Header, grants bool, now time.Time) {
	if field.HasToken(directive.Lines(h, "Pragma"), "no-cache") && directive.Of(h, "Cache-Control").Empty {
		directive.Set(h, directive.NoCache) // old code means this by it, and a Cache-Control of ours would override it
	}
	expires := expiry(h, now)
	if p.CacheFor > 0 {
		p.fillForCaches(h, grants, expires)
		return
	}
	directive.Edit(h, func(l *directive.List) { p.fillIn(l, grants, expires) })
	if p.Public && grants {
		directive.ShareTargeted(h)
	}
}

// fillForCaches is fill for a policy with CacheFor, which is the max-age of the field that caches
// obey.
func (p *Policy) fillForCaches(h http.Header, grants bool, expires field.Delta) {
	control := directive.Of(h, "Cache-Control")
	targeted := directive.Of(h, directive.Targeted)
	general := control.MaxAge
	if !general.Set {
		general = expires
	}
	timed := general.Set || control.SharedMaxAge.Set
	own := *p
	own.MaxAge = p.CacheFor
	switch {
	case !targeted.Empty:
		p.fillTargeted(h, grants, &control, &targeted, general)
	case restricts(&control):
		directive.Edit(h, func(l *directive.List) { p.fillIn(l, false, expires) })
	case timed:
		directive.Edit(h, func(l *directive.List) {
			p.fillIn(l, grants, expires)
			shorten(l, directive.SharedMaxAge, control.SharedMaxAge, p.CacheFor)
		})
		if p.Public && grants {
			directive.ShareTargeted(h)
		}
		if !control.SharedMaxAge.Set && general.Value > p.CacheFor {
			target(h, func(l *directive.List) { l.SetSeconds(directive.MaxAge, p.CacheFor) })
		}
	case grants:
		target(h, func(l *directive.List) { own.fillIn(l, true, field.Delta{}) })
		directive.Set(h, directive.NoCache)
	}
}

// fillTargeted is fillForCaches for a response with a CDN-Cache-Control. general is the lifetime
// that Cache-Control or Expires gives to all caches.
func (p *Policy) fillTargeted(h http.Header, grants bool, control, targeted *field.CacheControl, general field.Delta) {
	own := *p
	if !targeted.SharedMaxAge.Set { // else caches obey that
		own.MaxAge = p.CacheFor
	}
	timed := general.Set || control.SharedMaxAge.Set || targeted.MaxAge.Set || targeted.SharedMaxAge.Set
	if grants && !timed && !restricts(control) && !restricts(targeted) {
		directive.Set(h, directive.NoCache)
	}
	if grants = grants && !control.NoStore && !control.Private && !restricts(targeted); !grants {
		general = field.Delta{}
	}
	directive.EditField(h, directive.Targeted, func(l *directive.List) {
		own.fillIn(l, grants, general)
		shorten(l, directive.SharedMaxAge, targeted.SharedMaxAge, p.CacheFor)
	})
}

// target copies Cache-Control to CDN-Cache-Control and changes the copy. Caches obey the copy
// instead (RFC 9213, 2.2), so it must contain everything else that the original says.
func target(h http.Header, change func(*directive.List)) {
	h[directive.Targeted] = directive.Lines(h, "Cache-Control")
	directive.EditField(h, directive.Targeted, change)
}

// restricts reports whether a whole response is restricted, not only some of its fields.
func restricts(cc *field.CacheControl) bool {
	return cc.NoStore || cc.NoCache && len(cc.NoCacheFields) == 0 || cc.Private && len(cc.PrivateFields) == 0
}

// fillIn fills in one field. expires is a lifetime that the handler gave elsewhere; it counts if
// the field has none.
func (p *Policy) fillIn(l *directive.List, grants bool, expires field.Delta) {
	said := l.Meaning()
	timed := said.MaxAge.Set || said.SharedMaxAge.Set || expires.Set
	for _, flag := range []struct {
		set, adds bool
		directive string
	}{
		{p.Public, grants, directive.Public},
		{p.Immutable, grants, directive.Immutable},
		{p.MustRevalidate, grants || timed, directive.MustRevalidate},
	} {
		if flag.set && flag.adds {
			l.Set(flag.directive)
		}
	}
	// If the handler gave one lifetime for all caches, shared ones must not use the response longer.
	general := said.MaxAge
	if !general.Set {
		general = expires
	}
	for _, one := range []struct {
		directive   string
		own         time.Duration
		said, bound field.Delta
		shortens    bool // the handler said something that own can shorten
	}{
		{directive.MaxAge, p.MaxAge, said.MaxAge, expires, said.MaxAge.Set || expires.Set},
		{directive.SharedMaxAge, p.SharedMaxAge, said.SharedMaxAge, general, said.SharedMaxAge.Set}, // beside max-age it would share
		{directive.StaleWhileRevalidate, p.StaleWhileRevalidate, said.StaleWhileRevalidate, field.Delta{}, said.StaleWhileRevalidate.Set},
		{directive.StaleIfError, p.StaleIfError, said.StaleIfError, field.Delta{}, said.StaleIfError.Set},
	} {
		switch {
		case one.own == 0, !grants && !one.shortens:
		case one.said.Set:
			shorten(l, one.directive, one.said, one.own)
		case one.bound.Set:
			l.SetSeconds(one.directive, min(one.own, one.bound.Value))
		default:
			l.SetSeconds(one.directive, one.own)
		}
	}
}

// shorten sets a directive to own, unless the handler said nothing or something stricter. A
// malformed lifetime is stricter, since it means stale.
func shorten(l *directive.List, name string, said field.Delta, own time.Duration) {
	if said.Set && said.Value > own {
		l.SetSeconds(name, own)
	}
}

// expiry returns the lifetime that Expires gives (RFC 9111, 5.3). A value that is no date, and
// several values, count as a date in the past.
func expiry(h http.Header, now time.Time) field.Delta {
	values := directive.Lines(h, "Expires")
	if len(values) == 0 {
		return field.Delta{}
	}
	lifetime := field.Delta{Set: true}
	if len(values) > 1 {
		return lifetime
	}
	if date, ok := field.ParseDate(h.Get("Date"), now); ok {
		now = date
	}
	if expires, ok := field.ParseDate(values[0], now); ok {
		lifetime.Valid, lifetime.Value = true, max(expires.Sub(now), 0)
	}
	return lifetime
}
