package directive

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
)

const (
	cacheControl = "Cache-Control"

	// Targeted is the field for CDNs, in the spelling of net/http (RFC 9213, 3.1).
	Targeted = "Cdn-Cache-Control"
)

// Of returns what a field in the form of Cache-Control means to a cache. name is canonical.
func Of(h http.Header, name string) field.CacheControl { return Parse(Lines(h, name)).Meaning() }

// Edit changes the Cache-Control field of h, and then removes permissions that a restriction in it
// contradicts.
func Edit(h http.Header, change func(*List)) { EditField(h, cacheControl, change) }

// EditField is [Edit] for another field in the form of Cache-Control. name is canonical.
func EditField(h http.Header, name string, change func(*List)) {
	l := Parse(Lines(h, name))
	change(l)
	l.settle()
	if len(l.members) > 0 {
		h[name] = []string{l.String()}
	}
}

// editTargeted edits every field that some cache obeys instead of Cache-Control (RFC 9213, 2.2).
func editTargeted(h http.Header, change func(*List)) {
	for key := range h {
		if field.IsTargeted(key) {
			EditField(h, http.CanonicalHeaderKey(field.TrimBlanks(key)), change)
		}
	}
}

// Set sets a directive in Cache-Control: see [List.Set].
func Set(h http.Header, directive string) {
	Edit(h, func(l *List) { l.Set(directive) })
}

// SetSeconds sets a directive with an argument in seconds in Cache-Control: see [List.SetSeconds].
func SetSeconds(h http.Header, directive string, lifetime time.Duration) {
	Edit(h, func(l *List) { l.SetSeconds(directive, lifetime) })
}

// Restrict sets a restriction in Cache-Control and in every targeted field. Otherwise a
// CDN-Cache-Control that is already set would still let a CDN, or this cache, do what is forbidden.
func Restrict(h http.Header, directive string) {
	Set(h, directive)
	editTargeted(h, func(l *List) { l.Set(directive) })
}

// Share sets public in Cache-Control, and then does the same as [ShareTargeted].
func Share(h http.Header) {
	Set(h, Public)
	ShareTargeted(h)
}

// ShareTargeted sets public in every targeted field if Cache-Control has it.
func ShareTargeted(h http.Header) {
	if Of(h, cacheControl).Public {
		editTargeted(h, func(l *List) { l.Set(Public) })
	}
}

// CacheFor replaces CDN-Cache-Control with a lifetime, and sets no-cache in Cache-Control, which
// only browsers then obey. If Cache-Control has no-store or private, it does nothing.
func CacheFor(h http.Header, lifetime time.Duration) {
	said := Of(h, cacheControl)
	if said.NoStore || said.Private {
		return
	}
	Restrict(h, NoCache)
	h.Del(Targeted) // Restrict has restricted it, too
	EditField(h, Targeted, func(l *List) {
		l.SetSeconds(MaxAge, lifetime)
		if said.Public {
			l.Set(Public)
		}
	})
}

// AddVary adds names of request fields to Vary (RFC 9110, 12.5.5). A name may be a list, and none
// is added twice. A text that cannot be a name counts as "*", which replaces all others.
func AddVary(h http.Header, names []string) {
	had := slices.Collect(field.Members(Lines(h, "Vary")))
	all := had
	for name := range field.Members(names) {
		if !field.IsToken(name) {
			name = "*"
		}
		if !slices.ContainsFunc(all, func(s string) bool { return strings.EqualFold(s, name) }) {
			all = append(all, http.CanonicalHeaderKey(name))
		}
	}
	switch {
	case slices.Contains(all, "*"):
		h["Vary"] = []string{"*"}
	case len(all) > len(had):
		h["Vary"] = []string{strings.Join(all, ", ")}
	}
}

// Lines returns all lines of the field name, which is canonical. Handlers can put other spellings
// of it into the map, and net/http sends them, so Lines moves them to name.
func Lines(h http.Header, name string) []string {
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
