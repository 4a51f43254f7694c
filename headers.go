package edgecache

import (
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/directive"
	"github.com/edgecache-go/edgecache/internal/engine"
)

// With the functions of this file a handler says how its response may be cached. They touch only
// w.Header(), so they work with every router. What they write is plain HTTP, which browsers and
// CDNs understand without this package. Like w.Header() itself they have no effect after
// WriteHeader or the first Write. An Edge does not keep a page that was restricted too late, and
// tells its observer and its logger ([Warned]).
//
// Two rules hold for Cache-Control, whether its directives were set here or written by hand:
//
//   - A restriction wins over a permission, in whichever order they are called. The code that finds
//     out that a page is for one visitor is seldom the code that knows how long such pages keep,
//     and only one of the two mistakes shows one visitor's page to another. To take a restriction
//     back, delete the header.
//   - If a function is called twice, the last call wins.
//
// Durations are written in whole seconds, rounded down, so that less than a second is 0. Negative
// ones are 0, and more than 2^31 seconds (68 years) are 2^31 seconds. MaxAge(w, 60) is 60
// nanoseconds: the header says so, with max-age=0, max-age-nanoseconds=60, and an Edge tells its
// observer and its logger ([Warned]).

// NoStore keeps the response out of every cache (RFC 9111, 5.2.2.5). It removes all directives by
// which a cache may keep it, and restricts a CDN-Cache-Control that is already set, too. For a page
// that only a CDN may keep, set CDN-Cache-Control after NoStore.
func NoStore(w http.ResponseWriter) { directive.Restrict(w.Header(), directive.NoStore) }

// NoCache lets caches keep the response, but they must ask the handler whether it still holds
// before they use it again (RFC 9111, 5.2.2.4); see [NotModified]. It removes MaxAge, SharedMaxAge,
// Immutable, StaleWhileRevalidate and StaleIfError.
func NoCache(w http.ResponseWriter) { directive.Restrict(w.Header(), directive.NoCache) }

// Private says that the response is for one visitor: only the browser may keep it, no shared cache
// (RFC 9111, 5.2.2.7). It removes Public and SharedMaxAge; MaxAge then counts for the browser.
func Private(w http.ResponseWriter) { directive.Restrict(w.Header(), directive.Private) }

// Public says that the response is the same for everybody, and may be shared even if it was made
// for a request with a cookie or an Authorization (RFC 9111, 5.2.2.9). It counts together with
// [CacheFor], too, in either order, and for every other cache that is told in a field of its own
// (RFC 9213). After or before Private or NoStore it has no effect.
func Public(w http.ResponseWriter) { directive.Share(w.Header()) }

// MaxAge says how long the response is fresh, in browsers too, which no purge reaches: see
// [CacheFor] (RFC 9111, 5.2.2.1). Whole seconds count, rounded down; less than one, or a negative
// lifetime, is 0. If it is called twice, the last call wins. Call it before the first byte of the
// body. It has no effect together with NoStore or NoCache.
func MaxAge(w http.ResponseWriter, lifetime time.Duration) {
	directive.SetSeconds(w.Header(), directive.MaxAge, lifetime)
}

// SharedMaxAge says how long the response is fresh in shared caches, where it takes the place of
// MaxAge (RFC 9111, 5.2.2.10); they do not serve it stale. Like Public it lets them share what was
// made for a request with a cookie. It has no effect together with NoStore, NoCache or Private.
func SharedMaxAge(w http.ResponseWriter, lifetime time.Duration) {
	directive.SetSeconds(w.Header(), directive.SharedMaxAge, lifetime)
}

// CacheFor says how long the response is fresh here, and in CDNs that obey CDN-Cache-Control (RFC
// 9213), while browsers ask each time whether it has changed. It is the lifetime for pages that are
// purged: a purge reaches this cache, and what [MaxAge] has left in a browser stays there. Unlike
// [SharedMaxAge] it shares nothing with requests that carry a cookie; together with [Public] it
// does. It has no effect together with NoStore or Private. It says nothing to an Edge whose
// Config.TargetedHeaders do not have CDN-Cache-Control.
func CacheFor(w http.ResponseWriter, lifetime time.Duration) {
	directive.CacheFor(w.Header(), lifetime)
}

// Immutable says that the response never changes while it is fresh, so that a browser does not ask
// even when its user reloads the page (RFC 8246). It is for URLs that change with their content. It
// has no effect together with NoStore or NoCache.
func Immutable(w http.ResponseWriter) { directive.Set(w.Header(), directive.Immutable) }

// MustRevalidate says that once it is stale the response must not be used without asking, not even
// when the handler fails (RFC 9111, 5.2.2.2). It removes StaleWhileRevalidate and StaleIfError. It
// permits nothing here. Other shared caches may take it as leave to keep what was made for a
// request with an Authorization (RFC 9111, 3.5): say Private if such caches stand in front.
func MustRevalidate(w http.ResponseWriter) { directive.Set(w.Header(), directive.MustRevalidate) }

// StaleWhileRevalidate says for how long after its lifetime the response may still be served while
// a new one is being made (RFC 5861, 3). It has no effect together with NoStore, NoCache,
// MustRevalidate or SharedMaxAge.
func StaleWhileRevalidate(w http.ResponseWriter, window time.Duration) {
	directive.SetSeconds(w.Header(), directive.StaleWhileRevalidate, window)
}

// StaleIfError says for how long after its lifetime the response may still be served when making a
// new one fails (RFC 5861, 4). It has no effect together with NoStore, NoCache, MustRevalidate or
// SharedMaxAge.
func StaleIfError(w http.ResponseWriter, window time.Duration) {
	directive.SetSeconds(w.Header(), directive.StaleIfError, window)
}

// Vary adds request fields on which the response depends (RFC 9110, 12.5.5). Those that are there
// already stay, none is doubled, and "*" (depends on more than the request says: never reused)
// absorbs all others. A name may be a list such as "Accept, Cookie". What cannot be the name of a
// field counts as "*": the page is then reused too seldom, not wrongly.
func Vary(w http.ResponseWriter, names ...string) { directive.AddVary(w.Header(), names) }

// Tag puts the response into groups that can be purged together: by Edge.PurgeTags, and by
// [Invalidate] in a response (RFC 9875, 2). Tags are compared byte by byte; empty ones are left
// out.
//
// A tag is sent as it is as long as it is ASCII. Other bytes are percent-encoded, and if a tag is
// longer than 1024 bytes, a hash takes the place of its end. PurgeTags and Invalidate do the same,
// so every tag finds its pages. A response can carry 1024 tags and 64 KiB of them. One that needs
// more could not be purged, so it is not stored: see [NoStore]. Clients see the tags, unless
// Config.HideTags is set.
func Tag(w http.ResponseWriter, tags ...string) { directive.AddTags(w.Header(), tags) }

// Invalidate tells caches that what carries any of these tags is outdated (RFC 9875, 3): the pages
// that the request has changed. It works on responses to unsafe methods only, such as POST. The
// result is false, and the header unchanged, if the response would name more than 1024 tags or
// 64 KiB of them; use Edge.PurgeTags then.
func Invalidate(w http.ResponseWriter, tags ...string) bool {
	return directive.AddGroups(w.Header(), directive.GroupInvalidation, tags)
}

// OriginError says that the answer being written only reports that there is none: the origin refused the connection,
// reset it, or spoke nonsense. Call it before WriteHeader, typically in the ErrorHandler of an httputil.ReverseProxy, and
// write the error page for the case that nothing better exists, with a status such as 502.
//
// The cache never stores such an answer. It serves a stored page that is past its time instead, where that is allowed
// (RFC 9111, 4.2.4): for Config.StaleIfUnreachable, unless the page said must-revalidate, proxy-revalidate, s-maxage or
// no-cache. An answer that breaks off in the middle needs no word: a handler that panics with http.ErrAbortHandler, as
// ReverseProxy does, or writes less than its Content-Length, is understood. So is a client that leaves: what the handler
// does when its context was cancelled for that counts as no failure, whatever it says.
//
// Without a cache around it, OriginError adds one response field that means nothing.
func OriginError(w http.ResponseWriter) { w.Header()[engine.OriginErrorField] = []string{"1"} }
