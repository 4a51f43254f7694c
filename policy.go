package edgecache

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/directive"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/pattern"
)

// A Policy says about many responses what the functions [NoStore] to [Tag] say about one. It is a value: the zero Policy
// says nothing, and 0 in a field of it means that the policy says nothing about that (to have a page validated
// at every use, set NoCache). [Policy.Handler] applies it to one handler or to a
// whole application, and [Routes] chooses one for each pattern.
//
// A policy is applied when the status is known, just before the header is sent, and never overrides what the handler
// said. Directive by directive it fills in what the handler left out, and where both said something the stricter wins:
// the shorter lifetime, and a restriction over a permission. A lifetime that the handler gave with Expires, or with
// MaxAge where the policy has SharedMaxAge, bounds what is filled in. Policies around policies do the same to each other.
//
// A policy restricts a cache inside of it, too: with NoStore or Private, or Vary "*", the Edge neither stores nor answers from
// what is stored; with NoCache it has everything confirmed; MaxAge or SharedMaxAge, the stale windows and MustRevalidate
// bound how long it uses what is stored; Vary tells apart what is stored. Permissions and Tags say nothing to it.
//
// NoStore, NoCache, Private, Vary and Tags hold for every response. The other fields hold only for answers to GET and HEAD
// with a status below 400, a 304 among them: an error page gets no lifetime but the one that its handler gave it. Nor does a
// response with status 302, 303 or 307, which are about the moment, such as a redirect to the login page, nor one with
// Set-Cookie or Clear-Site-Data: there the policy only shortens what the handler said. A handler that returns without writing, as those of frameworks do
// that return errors, has said no status: then they hold when one is written.
type Policy struct {
	NoStore        bool // see NoStore
	NoCache        bool // see NoCache
	Private        bool // see Private
	Public         bool // see Public
	Immutable      bool // see Immutable
	MustRevalidate bool // see MustRevalidate

	// Whole seconds, rounded down. More than nothing but less than a second is a mistake: 60 is 60 nanoseconds.
	MaxAge               time.Duration // see MaxAge
	SharedMaxAge         time.Duration // see SharedMaxAge
	StaleWhileRevalidate time.Duration // see StaleWhileRevalidate
	StaleIfError         time.Duration // see StaleIfError

	// InvalidateExact says that the answer to an unsafe request, such as a POST, makes invalid what is stored for its URL alone, and for those in Location, Content-Location and Destination, but not
	// what is stored for the same paths with other queries. It has an effect on Edges outside of the policy.
	InvalidateExact bool

	Vary []string // see Vary; names of request fields, or "*"
	Tags []string // see Tag
}

// Validate returns all mistakes of the policy, each a [*ConfigError], joined with errors.Join: durations below a second,
// permissions beside a restriction that contradicts them, names in Vary that no field can have, empty and too many Tags.
func (p Policy) Validate() error { return p.validate("Policy") }

func (p Policy) validate(name string) error {
	var mistakes []error
	wrong := func(fieldName string, value any, reason string) {
		mistakes = append(mistakes, &ConfigError{Field: name + "." + fieldName, Value: value, Reason: reason})
	}
	type value struct {
		name  string
		value any
		set   bool
	}
	public := value{"Public", p.Public, p.Public}
	immutable := value{"Immutable", p.Immutable, p.Immutable}
	maxAge := value{"MaxAge", p.MaxAge, p.MaxAge != 0}
	sharedMaxAge := value{"SharedMaxAge", p.SharedMaxAge, p.SharedMaxAge != 0}
	staleWhileRevalidate := value{"StaleWhileRevalidate", p.StaleWhileRevalidate, p.StaleWhileRevalidate != 0}
	staleIfError := value{"StaleIfError", p.StaleIfError, p.StaleIfError != 0}

	for _, v := range []value{maxAge, sharedMaxAge, staleWhileRevalidate, staleIfError} {
		if v.set && v.value.(time.Duration) < time.Second {
			wrong(v.name, v.value, "want 0 (says nothing) or at least time.Second, with its unit, such as 60*time.Second")
		}
	}
	for _, restriction := range []struct {
		name    string
		set     bool
		forbids []value
	}{
		{"NoStore", p.NoStore, []value{public, maxAge, sharedMaxAge, immutable, staleWhileRevalidate, staleIfError}},
		{"NoCache", p.NoCache, []value{maxAge, sharedMaxAge, immutable, staleWhileRevalidate, staleIfError}},
		{"Private", p.Private, []value{public, sharedMaxAge}},
		{"MustRevalidate", p.MustRevalidate, []value{staleWhileRevalidate, staleIfError}},
	} {
		for _, v := range restriction.forbids {
			if restriction.set && v.set {
				wrong(v.name, v.value, "want it unset beside "+restriction.name)
			}
		}
	}
	for i, f := range p.Vary {
		if !field.IsToken(f) {
			wrong(fmt.Sprintf("Vary[%d]", i), f, `want the name of a header field such as "Accept-Language", or "*"`)
		}
	}
	for i, tag := range p.Tags {
		if tag == "" {
			wrong(fmt.Sprintf("Tags[%d]", i), tag, "want a text that is not empty")
		}
	}
	if !directive.AddGroups(http.Header{}, directive.Groups, p.Tags) {
		wrong("Tags", len(p.Tags), fmt.Sprintf("want at most %d tags and %d bytes of them", field.MaxStrings, field.MaxStructured))
	}
	return errors.Join(mistakes...)
}

// Handler returns next with the policy applied to its responses. It panics if the policy is not valid (see Validate), as
// that is a mistake in the program. The writer that next gets can do what the server's writer can: flush, hijack,
// push, and set deadlines.
func (p Policy) Handler(next http.Handler) http.Handler {
	return p.checked().decoration().decorate(next)
}

// AfterRequest returns a decorator that calls hook for every response, when its status is known and just before its header
// is sent. The hook may change the header, and unlike a policy it has the last word: [NoStore] and the other functions
// restrict and fill in, http.Header's methods override. It is not called for informational responses (1xx but 101),
// for hijacked connections, or when the handler panics before it has written anything. For a handler that returns without
// writing it is called with 200; if a framework outside then writes an error, what it has set is put back, and it is called once
// more. Outside of a cache it changes what the client is told, and not what the cache does, which a [Policy] there
// restricts. It panics if hook is nil.
//
//	edgecache.AfterRequest(func(r *http.Request, status int, header http.Header) {
//		if strings.HasPrefix(r.URL.Path, "/admin/") {
//			header.Set("Cache-Control", "no-store")
//		}
//	})
func AfterRequest(hook func(r *http.Request, status int, header http.Header)) func(http.Handler) http.Handler {
	if hook == nil {
		panic(&ConfigError{Field: "AfterRequest", Value: nil, Reason: "want a function"})
	}
	return (&decoration{hook: hook}).decorate
}

// Routes returns a decorator that applies the policy whose pattern matches the request, chosen as http.ServeMux chooses:
// the most specific pattern alone, whatever router is behind. Patterns are those of http.ServeMux, for example
// "GET /blog/{id}", "/static/" and "admin.example.com/". A path that ServeMux would clean, such as //blog/../blog/1, has the
// policy of the clean one; hosts are compared in lower case, without port and a dot at their end. Requests that match no
// pattern pass unchanged.
//
// Like http.ServeMux it panics if a pattern is malformed or conflicts with another one, and if a policy is not valid;
// the panic's value is an error that joins every mistake, each a [*ConfigError]. It reads the map once.
func Routes(routes map[string]Policy) func(http.Handler) http.Handler {
	var mistakes []error
	mux := new(pattern.Mux)
	applies := make(map[string]*decoration, len(routes))
	for _, route := range slices.Sorted(maps.Keys(routes)) {
		if err := routes[route].validate(fmt.Sprintf("Routes[%q]", route)); err != nil {
			mistakes = append(mistakes, err)
		}
		plain, reason := mux.Add(route)
		if reason != "" {
			mistakes = append(mistakes, &ConfigError{Field: "Routes", Value: route, Reason: "want a pattern for http.ServeMux: " + reason})
		}
		applies[plain] = routes[route].clone().decoration()
	}
	if err := errors.Join(mistakes...); err != nil {
		panic(err)
	}
	return func(next http.Handler) http.Handler {
		return &decorator{next, func(r *http.Request) *decoration {
			return applies[mux.Match(r)]
		}}
	}
}

// checked returns a copy that the caller cannot change, of a policy that is valid.
func (p Policy) checked() *Policy {
	if err := p.Validate(); err != nil {
		panic(err)
	}
	return p.clone()
}

func (p Policy) clone() *Policy {
	p.Vary, p.Tags = slices.Clone(p.Vary), slices.Clone(p.Tags)
	return &p
}

func (p *Policy) decoration() *decoration {
	return &decoration{hook: p.apply, policy: true, limits: p.limits()}
}

// statusOpen stands for a status that is not known yet, and may never be said.
const statusOpen = 0

// apply fills the header of a response to r.
func (p *Policy) apply(r *http.Request, status int, h http.Header) {
	if status == http.StatusSwitchingProtocols {
		return // no cache sees what follows
	}
	if p.InvalidateExact {
		if s := staticSlotOf(r); s != nil {
			s.exact = true
		}
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
	}{{p.NoStore, directive.NoStore}, {p.NoCache, directive.NoCache}, {p.Private, directive.Private}} {
		if restriction.set {
			directive.Restrict(h, restriction.directive)
		}
	}
	if p.permits() && status != statusOpen && status < 400 && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		p.fill(h, !isMomentary(status, h), time.Now())
	}
}

func (p *Policy) permits() bool {
	return p.Public || p.Immutable || p.MustRevalidate ||
		p.MaxAge > 0 || p.SharedMaxAge > 0 || p.StaleWhileRevalidate > 0 || p.StaleIfError > 0
}

// isMomentary reports whether a response is of this moment or this client, unless its handler says otherwise.
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

// fill adds what permits or prolongs, or, unless grants, only what shortens; settling afterwards removes what a restriction contradicts.
func (p *Policy) fill(h http.Header, grants bool, now time.Time) {
	directive.Edit(h, func(d *directive.List) {
		said := d.Meaning()
		if said.Empty && field.HasToken(directive.Lines(h, "Pragma"), "no-cache") {
			d.Set(directive.NoCache) // what old code means by it, and what a Cache-Control of ours would silence
		}
		for _, flag := range []struct {
			set       bool
			directive string
		}{{p.Public, directive.Public}, {p.Immutable, directive.Immutable}, {p.MustRevalidate, directive.MustRevalidate}} {
			if flag.set && (grants || flag.directive == directive.MustRevalidate && (said.MaxAge.Set || said.SharedMaxAge.Set || len(directive.Lines(h, "Expires")) > 0)) {
				d.Set(flag.directive)
			}
		}
		// Where the handler gave one lifetime for all caches, shared ones must not keep the response longer.
		expires := expiry(h, now)
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
			if grants || one.shortens {
				fillIn(d, one.directive, one.own, one.said, one.bound)
			}
		}
	})
	if p.Public && grants {
		directive.ShareTargeted(h)
	}
}

// fill sets a directive to own unless what was said is stricter, as an unreadable lifetime is: it means stale. What was
// not said is at most bound, where that is set. own is 0 for nothing.
func fillIn(d *directive.List, name string, own time.Duration, said, bound field.Delta) {
	switch {
	case own == 0, said.Set && said.Value <= own:
		return
	case !said.Set && bound.Set:
		own = min(own, bound.Value)
	}
	d.SetSeconds(name, own)
}

// expiry returns the lifetime that Expires gives (RFC 9111, 5.3); what is no date, or several, is in the past.
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
