package edgecache

import (
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/directive"
	"github.com/edgecache-go/edgecache/internal/engine"
)

// The functions of this file say how a response may be cached. doc.go says what they have in
// common.

// NoStore keeps the response out of every cache (RFC 9111, 5.2.2.5). It removes all directives that
// let a cache store it. It also restricts a CDN-Cache-Control that is already set; for a response
// that only a CDN may store, set CDN-Cache-Control after NoStore.
func NoStore(w http.ResponseWriter) { directive.Restrict(w.Header(), directive.NoStore) }

// NoCache lets caches store the response, but they must validate it with the handler before each
// use (RFC 9111, 5.2.2.4): see [NotModified]. It removes what MaxAge, SharedMaxAge, Immutable,
// StaleWhileRevalidate and StaleIfError set.
func NoCache(w http.ResponseWriter) { directive.Restrict(w.Header(), directive.NoCache) }

// Private says that the response is for one visitor: only the browser may store it, and no shared
// cache (RFC 9111, 5.2.2.7). It removes what Public and SharedMaxAge set; MaxAge then counts for
// the browser.
func Private(w http.ResponseWriter) { directive.Restrict(w.Header(), directive.Private) }

// Public says that the response is the same for all clients. It may then be shared even if the
// request had a cookie or an Authorization (RFC 9111, 5.2.2.9). It also counts together with
// [CacheFor], in either order, and for other caches that have a field of their own (RFC 9213). It
// has no effect together with NoStore or Private, in either order.
func Public(w http.ResponseWriter) { directive.Share(w.Header()) }

// MaxAge says how long the response is fresh, in this cache and in browsers (RFC 9111, 5.2.2.1). No
// purge reaches a browser: see [CacheFor] for responses that are purged. The lifetime counts in
// whole seconds, rounded down; a negative one is 0. If MaxAge is called twice, the last call wins.
// Call it before the first byte of the body. It has no effect together with NoStore or NoCache.
func MaxAge(w http.ResponseWriter, lifetime time.Duration) {
	directive.SetSeconds(w.Header(), directive.MaxAge, lifetime)
}

// SharedMaxAge says how long the response is fresh in shared caches, which obey it instead of
// MaxAge and never serve the response stale (RFC 9111, 5.2.2.10). Like Public it lets them share
// the response to a request with a cookie. It has no effect together with NoStore, NoCache or
// Private. The lifetime counts in whole seconds, as in [MaxAge].
func SharedMaxAge(w http.ResponseWriter, lifetime time.Duration) {
	directive.SetSeconds(w.Header(), directive.SharedMaxAge, lifetime)
}

// CacheFor says how long the response is fresh in this cache, and in CDNs that obey
// CDN-Cache-Control (RFC 9213), while browsers validate it before each use. Use it for responses
// that are purged: a purge reaches this cache, but not what [MaxAge] has left in a browser.
//
// Unlike [SharedMaxAge], CacheFor does not share the response to a request with a cookie; together
// with [Public] it does. It has no effect together with NoStore or Private, nor in an Edge whose
// Config.TargetedHeaders lacks CDN-Cache-Control. The lifetime counts in whole seconds, as in
// [MaxAge].
func CacheFor(w http.ResponseWriter, lifetime time.Duration) {
	directive.CacheFor(w.Header(), lifetime)
}

// Immutable says that the response never changes while it is fresh. A browser then does not
// validate it even when its user reloads the page (RFC 8246). It is for URLs that change with their
// content. It has no effect together with NoStore or NoCache.
func Immutable(w http.ResponseWriter) { directive.Set(w.Header(), directive.Immutable) }

// MustRevalidate says that a stale response must be validated before it is used, even if the
// handler fails (RFC 9111, 5.2.2.2). It removes what StaleWhileRevalidate and StaleIfError set.
//
// It permits nothing here. But other shared caches may take it as permission to share the response
// to a request with an Authorization (RFC 9111, 3.5): say Private if such caches stand in front.
func MustRevalidate(w http.ResponseWriter) { directive.Set(w.Header(), directive.MustRevalidate) }

// StaleWhileRevalidate says for how long a stale response may still be served while the handler
// renders a new one (RFC 5861, 3). The window starts when the response becomes stale, and counts in
// whole seconds, as in [MaxAge]. It has no effect together with NoStore, NoCache, MustRevalidate or
// SharedMaxAge.
func StaleWhileRevalidate(w http.ResponseWriter, window time.Duration) {
	directive.SetSeconds(w.Header(), directive.StaleWhileRevalidate, window)
}

// StaleIfError says for how long a stale response may still be served when rendering a new one
// fails (RFC 5861, 4). The window starts when the response becomes stale, and counts in whole
// seconds, as in [MaxAge]. It has no effect together with NoStore, NoCache, MustRevalidate or
// SharedMaxAge.
func StaleIfError(w http.ResponseWriter, window time.Duration) {
	directive.SetSeconds(w.Header(), directive.StaleIfError, window)
}

// Vary adds the request fields on which the response depends (RFC 9110, 12.5.5). Fields that are
// there already stay, and none is added twice. A name may be a list such as "Accept, Cookie".
//
// "*" means that the response depends on more than the request, so it is never reused; it replaces
// all others. A text that cannot be the name of a field counts as "*": the response is then reused
// too seldom, but not wrongly.
func Vary(w http.ResponseWriter, names ...string) { directive.AddVary(w.Header(), names) }

// Tag adds the response to groups that can be purged together (RFC 9875, 2): by [Edge.PurgeTags],
// or by [Invalidate] in another response. Tags are compared byte by byte, and empty ones are left
// out.
//
// A tag of printable ASCII is sent as it is. Other bytes are percent-encoded. If a tag is then
// longer than 1024 bytes, a hash replaces its end. PurgeTags and Invalidate do the same, so each
// tag finds its responses. A response can carry 1024 tags and 64 KiB of them. With more it could
// not be purged, so Tag makes it [NoStore]. Clients see the tags, unless Config.HideTags is set.
func Tag(w http.ResponseWriter, tags ...string) { directive.AddTags(w.Header(), tags) }

// Invalidate tells caches that stored responses with any of these tags are outdated (RFC 9875, 3):
// those that the request has changed. It works only on responses to unsafe methods, such as POST.
// It returns false, and leaves the header unchanged, if the response would name more than 1024 tags
// or 64 KiB of them; use [Edge.PurgeTags] then.
func Invalidate(w http.ResponseWriter, tags ...string) bool {
	return directive.AddGroups(w.Header(), directive.GroupInvalidation, tags)
}

// OriginError says that the response being written only reports that there is none: the origin
// refused or reset the connection, or did not speak HTTP. Call it before WriteHeader, typically in
// the ErrorHandler of an httputil.ReverseProxy, and then write the error page for the case that
// nothing better is stored, with a status such as 502.
//
// The cache never stores such a response. It serves a stored response instead that became stale at
// most Config.StaleIfUnreachable ago, unless that says must-revalidate, proxy-revalidate, s-maxage
// or no-cache (RFC 9111, 4.2.4).
//
// A response that breaks off in the middle does not need OriginError. The cache notices when a
// handler panics with http.ErrAbortHandler, as ReverseProxy does, or writes less than its
// Content-Length. A client that leaves is no failure: if the context of the request was cancelled
// for that, OriginError does not count.
//
// Without a cache around the handler, OriginError only adds a response field that means nothing.
func OriginError(w http.ResponseWriter) { w.Header()[engine.OriginErrorField] = []string{"1"} }
