package edgecache

import (
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/mistake"
	"github.com/edgecache-go/edgecache/internal/policy"
)

// A Policy says about many responses what the functions [NoStore] to [Tag] say about one. It is a
// value: the zero Policy says nothing, and if a field of it is 0, the policy says nothing about
// that. To have a page validated at every use, set NoCache. [Policy.Handler] applies a policy to
// one handler or to a whole application, and [Routes] chooses one for each pattern.
//
// A policy is applied when the status is known, just before the header is sent, and never overrides
// what the handler said. Directive by directive it fills in what the handler left out, and where
// both said something the stricter wins: the shorter lifetime, and a restriction over a permission.
// A lifetime that the handler gave with Expires, or with MaxAge where the policy has SharedMaxAge,
// bounds what is filled in. Policies around policies do the same to each other.
//
// A policy restricts a cache inside of it, too. With NoStore or Private, or Vary "*", the Edge
// neither stores nor answers from what is stored. With NoCache it has everything confirmed.
// CacheFor, MaxAge or SharedMaxAge, the stale windows and MustRevalidate bound how long it uses
// what is stored. Vary tells apart what is stored. Permissions and Tags say nothing to it.
//
// NoStore, NoCache, Private, Vary and Tags hold for every response. The other fields hold only for
// answers to GET and HEAD with a status below 400, a 304 among them: an error page gets no lifetime
// but the one that its handler gave it. Nor does a response with status 302, 303 or 307, which are
// about the moment, such as a redirect to the login page, nor one with Set-Cookie or
// Clear-Site-Data: there the policy only shortens what the handler said. A handler that returns
// without writing, as those of frameworks do that return errors, has said no status: then they hold
// when one is written.
type Policy struct {
	NoStore        bool // see NoStore
	NoCache        bool // see NoCache
	Private        bool // see Private
	Public         bool // see Public
	Immutable      bool // see Immutable
	MustRevalidate bool // see MustRevalidate

	// CacheFor is the lifetime here and in CDNs that obey CDN-Cache-Control, for pages that are
	// purged; browsers ask each time: see [CacheFor]. Where the handler gave a lifetime, CacheFor
	// only bounds it for caches, and browsers keep to what the handler said. Beside no-store,
	// private and no-cache it adds nothing. Public, MustRevalidate and the stale windows of the
	// same policy then stand in CDN-Cache-Control. It is a mistake beside MaxAge, SharedMaxAge and
	// Immutable.
	//
	// Like the other durations it is in whole seconds, rounded down. More than nothing but less
	// than a second is a mistake: 60 is 60 nanoseconds.
	CacheFor             time.Duration
	MaxAge               time.Duration // see MaxAge
	SharedMaxAge         time.Duration // see SharedMaxAge
	StaleWhileRevalidate time.Duration // see StaleWhileRevalidate
	StaleIfError         time.Duration // see StaleIfError

	// InvalidateExact says that the answer to an unsafe request, such as a POST, makes invalid what
	// is stored for its URL alone, and for those in Location, Content-Location and Destination, but
	// not what is stored for the same paths with other queries. It has an effect on Edges outside
	// of the policy.
	InvalidateExact bool

	Vary []string // see Vary; names of request fields, or "*"
	Tags []string // see Tag
}

// Validate returns all mistakes of the policy, each a [*ConfigError], joined with errors.Join:
// durations below a second, permissions beside a restriction that contradicts them, names in Vary
// that no field can have, empty and too many Tags.
func (p Policy) Validate() error {
	var wrong mistake.List
	below := policy.Policy(p)
	below.Check("Policy", &wrong)
	return configErrors(wrong)
}

// Handler returns next with the policy applied to its responses. It panics if the policy is not
// valid (see Validate), as that is a mistake in the program. The writer that next gets can do what
// the server's writer can: flush, hijack, push, and set deadlines.
func (p Policy) Handler(next http.Handler) http.Handler {
	if err := p.Validate(); err != nil {
		panic(err)
	}
	return policy.Policy(p).Handler(next)
}

// Routes returns a decorator that applies the policy whose pattern matches the request, chosen as
// http.ServeMux chooses: the most specific pattern alone, whatever router is behind. Patterns are
// those of http.ServeMux, for example "GET /blog/{id}", "/static/" and "admin.example.com/". A path
// that ServeMux would clean, such as //blog/../blog/1, has the policy of the clean one; hosts are
// compared in lower case, without port and a dot at their end. Requests that match no pattern pass
// unchanged.
//
// Like http.ServeMux it panics if a pattern is malformed or conflicts with another one, and if a
// policy is not valid; the panic's value is an error that joins every mistake, each a
// [*ConfigError]. It reads the map once.
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

// AfterRequest returns a decorator that calls hook for every response, when its status is known and
// just before its header is sent. The hook may change the header, and unlike a policy it has the
// last word: [NoStore] and the other functions restrict and fill in, http.Header's methods
// override.
//
// The hook is not called for informational responses (1xx but 101), for hijacked connections, or
// when the handler panics before it has written anything. For a handler that returns without
// writing it is called with 200; if a framework outside then writes an error, what it has set is
// put back, and it is called once more. Outside of a cache it changes what the client is told, and
// not what the cache does, which a [Policy] there restricts. AfterRequest panics if hook is nil.
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
