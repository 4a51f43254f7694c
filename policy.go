package edgecache

import (
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/mistake"
	"github.com/edgecache-go/edgecache/internal/policy"
)

// A Policy says for many responses what the functions [NoStore] to [Tag] say for one.
// [Policy.Handler] applies it to one handler or a whole application, and [Routes] applies one for
// each pattern. The zero Policy says nothing, and a field that is zero says nothing: to have a
// response validated at each use, set NoCache.
//
// A policy is applied when the status is known, just before the header is sent. It never overrides
// what the handler said. Directive by directive it fills in what the handler left out, and where
// both said something the stricter wins: the shorter lifetime, and a restriction over a permission.
// A lifetime that the handler gave with Expires, or with MaxAge while the policy has SharedMaxAge,
// bounds what is filled in. Policies around policies do the same to each other.
//
// NoStore, NoCache, Private, Vary and Tags apply to every response. The other fields apply only to
// responses to GET and HEAD with a status below 400, including 304: an error gets no lifetime but
// the one that its handler gave it. Responses about the moment get none either: a 302, 303 or 307,
// such as a redirect to the login page, and those with Set-Cookie or Clear-Site-Data. For them the
// policy only shortens what the handler said. If a handler returns without writing, as those of
// frameworks do that return errors, the status is not known yet: the other fields then apply when a
// status is written.
//
// A policy outside of an [Edge] also restricts that Edge. With NoStore, Private or Vary "*", the
// Edge neither stores the response nor serves a stored one. With NoCache it validates each use.
// CacheFor, MaxAge or SharedMaxAge, the stale windows and MustRevalidate bound how long it uses
// what is stored. Vary separates what is stored. Permissions and Tags have no effect on it.
//
// Durations are in whole seconds, rounded down. One that is negative, or not 0 but less than a
// second, is a mistake: 60 is 60 nanoseconds.
type Policy struct {
	NoStore        bool // as NoStore: no cache may store the response
	NoCache        bool // as NoCache: caches must validate it before each use
	Private        bool // as Private: only browsers may store it
	Public         bool // as Public: it may be shared even if the request had a cookie
	Immutable      bool // as Immutable: it never changes while it is fresh
	MustRevalidate bool // as MustRevalidate: it is never used stale

	// CacheFor is how long responses are fresh in this cache, and in CDNs that obey
	// CDN-Cache-Control, while browsers validate them before each use; it is for responses that are
	// purged. See the function [CacheFor]. If the handler gave a lifetime, CacheFor only shortens it
	// for caches, and browsers obey the handler. With no-store, private or no-cache it adds nothing.
	// Public, MustRevalidate and the stale windows of the same policy are then written into
	// CDN-Cache-Control. CacheFor together with MaxAge, SharedMaxAge or Immutable is a mistake.
	CacheFor time.Duration

	MaxAge       time.Duration // as MaxAge: how long responses are fresh, also in browsers
	SharedMaxAge time.Duration // as SharedMaxAge: how long they are fresh in shared caches

	// StaleWhileRevalidate and StaleIfError are windows in which stale responses may be served: see
	// the functions [StaleWhileRevalidate] and [StaleIfError].
	StaleWhileRevalidate time.Duration
	StaleIfError         time.Duration

	// InvalidateExact narrows what the response to an unsafe request, such as a POST, invalidates:
	// what is stored for its URL and for those in Location, Content-Location and Destination, but
	// not for the same paths with other queries. It acts on Edges outside of the policy.
	InvalidateExact bool

	Vary []string // as Vary: names of request fields, or "*"
	Tags []string // as Tag: groups that can be purged together
}

// Validate returns all mistakes of the policy, or nil. Each is a [*ConfigError]; they are joined
// with errors.Join. Mistakes are durations below a second, permissions together with a restriction
// that contradicts them, texts in Vary that cannot be the name of a field, empty tags, and too many
// tags.
func (p Policy) Validate() error {
	var wrong mistake.List
	below := policy.Policy(p)
	below.Check("Policy", &wrong)
	return configErrors(wrong)
}

// Handler returns next with the policy applied to its responses. It panics if the policy is not
// valid (see [Policy.Validate]), as that is a mistake in the program. The http.ResponseWriter that
// next gets can do what the server's can: flush, hijack, push, and set deadlines.
func (p Policy) Handler(next http.Handler) http.Handler {
	if err := p.Validate(); err != nil {
		panic(err)
	}
	return policy.Policy(p).Handler(next)
}

// Routes returns middleware that applies the policy whose pattern matches the request. It chooses
// as http.ServeMux does: only the most specific pattern counts, whatever router is behind. Requests
// that match no pattern pass unchanged.
//
// Patterns are those of http.ServeMux, for example "GET /blog/{id}", "/static/" and
// "admin.example.com/". A path that ServeMux would clean, such as //blog/../blog/1, has the policy
// of the clean path. Hosts are compared in lower case, without a port or a dot at their end.
//
// Like http.ServeMux, Routes panics if a pattern is malformed or conflicts with another one, and
// also if a policy is not valid. The value of the panic is an error that joins all mistakes, each a
// [*ConfigError]. Routes keeps no reference to the map.
func Routes(routes map[string]Policy) func(http.Handler) http.Handler {
	below := make(map[string]policy.Policy, len(routes))
	for pattern, p := range routes {
		below[pattern] = policy.Policy(p)
	}
	var wrong mistake.List
	decorate := policy.Routes(below, &wrong)
	if err := configErrors(wrong); err != nil {
		panic(err)
	}
	return decorate
}

// AfterRequest returns middleware that calls hook for each response, when its status is known and
// just before its header is sent. The hook may change the header. Unlike a policy it has the last
// word: [NoStore] and the other functions still restrict and fill in, but the methods of
// http.Header override.
//
// The hook must be safe for concurrent use. It is not called for informational responses (1xx,
// except 101), for hijacked connections, or if the handler panics before it has written anything.
// If the handler returns without writing, it is called with 200; if a framework outside then writes
// an error, the changes of the hook are undone, and it is called once more.
//
// Outside of an [Edge] the hook changes what clients are told, but not what the Edge stores; use a
// [Policy] there. AfterRequest panics if hook is nil.
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
	return policy.After(hook)
}
