// Package rules decides what a shared cache may store, reuse and must validate: RFC 9111 with RFC
// 5861, 8246 and 9213, plus the safety that they leave to the implementer. It is pure: no I/O, no
// locks, no clock. Every decision comes with a [Reason] from one closed list.
package rules

import "iter"

// Reason says why a decision went as it did. The list is closed: the same words appear in the
// Cache-Status field, in metrics, in logs and in the documentation.
type Reason uint8

// The reasons. None is the zero value: the response may be stored, or the request may be looked up.
const (
	None Reason = iota

	// Served from the store.
	Fresh
	Revalidated
	Collapsed
	StaleWhileRevalidate
	StaleIfError
	StaleUnreachable
	MaxStale

	// Nothing stored fits.
	URIMiss
	VaryMiss
	Accept

	// A stored response fits, but must be rendered again or confirmed.
	Stale
	NoCache
	Purged
	Invalidated
	RequestNoCache
	RequestMaxAge
	RequestMinFresh
	OnlyIfCached

	// The request goes past the cache.
	Method
	Head
	Body
	Upgrade
	Override
	Precondition
	NoKey
	Excepted
	Policy
	RangeUnit
	Authorization
	ClientCertificate
	Cookie
	Credential
	Personal
	RequestNoStore

	// The response is not stored.
	NoStore
	Private
	SetCookie
	CSPNonce
	VaryStar
	VaryInvalid
	PartialContent
	NotModified
	Interim
	Status
	MustUnderstand
	Stream
	NoFreshness
	Expired
	ContentLocation

	// Known only while the response was being made.
	TooLarge
	Incomplete
	Unwritten
	Aborted
	Busy
	Breaker
	Restored
	Unreachable
	StoreFailed

	// Known only to static files.
	UnknownHash

	reasons // how many there are
)

type description struct{ name, forward, explain string }

var descriptions = [reasons]description{
	None: {"", "", "Nothing prevents it."},

	Fresh:                {"fresh", "", "A stored response was fresh: this is a hit."},
	Revalidated:          {"revalidated", "stale", "The handler confirmed the stored response with a 304; a longer max-age would have made this a plain hit."},
	Collapsed:            {"collapsed", "miss", "Another request was already fetching this URL, and its response was shared."},
	StaleWhileRevalidate: {"stale-while-revalidate", "", "The stored response is stale but inside its stale-while-revalidate window: it is served at once and refreshed in the background."},
	StaleIfError:         {"stale-if-error", "stale", "The handler failed, and stale-if-error allows the last good response instead."},
	StaleUnreachable:     {"stale-unreachable", "stale", "The origin could not be reached, so the last good response was served; must-revalidate would forbid this."},
	MaxStale:             {"max-stale", "", "The client accepts stale responses with max-stale, and the response does not forbid it."},

	URIMiss:  {"uri-miss", "uri-miss", "Nothing is stored for this URL yet; the next request can hit."},
	VaryMiss: {"vary-miss", "vary-miss", "The URL is stored, but for other values of the request fields that Vary names, or of forwarding fields such as X-Forwarded-Host; fewer names in Vary make more hits."},

	Accept: {"accept", "vary-miss", "The URL is stored, but not in a media type and language that this Accept and Accept-Language are known to get; name in Vary the fields by which the handler chooses."},

	Stale:           {"stale", "stale", "The stored response is stale; a longer max-age or stale-while-revalidate would make this a hit."},
	NoCache:         {"no-cache", "stale", "The response said no-cache, so the handler must confirm each use; say max-age instead to get hits."},
	Purged:          {"purged", "stale", "The stored response was purged; the next one can hit."},
	Invalidated:     {"invalidated", "stale", "An unsafe request, such as a POST, may have changed this URL, or its response named it in Location or Content-Location, so the stored response must be confirmed or rendered once."},
	RequestNoCache:  {"request-no-cache", "request", "The client asked for a new response with Cache-Control: no-cache (a forced reload); a plain request would hit."},
	RequestMaxAge:   {"request-max-age", "request", "The client wants a response younger than the stored one (max-age in the request); a plain request would hit."},
	RequestMinFresh: {"request-min-fresh", "request", "The client wants a response that stays fresh longer than the stored one (min-fresh); a plain request would hit."},
	OnlyIfCached:    {"only-if-cached", "", "The client asked for a stored response only, and none can be used: the status is 504."},

	Method:            {"method", "method", "Only GET and HEAD are served from the cache."},
	Head:              {"head", "miss", "A HEAD is served from the stored response to a GET. There was none, and a router may have another handler for HEAD, so this response is not stored; send a GET, or make the cache the server's own handler."},
	Body:              {"request-body", "bypass", "The request carries a body, which is not part of the cache key; send parameters in the query instead."},
	Upgrade:           {"upgrade", "bypass", "The client wants another protocol on this connection, for instance a WebSocket."},
	Override:          {"override", "bypass", "The request rewrites its own URL or method with a field such as X-Original-URL, which is not part of the cache key."},
	Precondition:      {"precondition", "bypass", "Only the origin can evaluate If-Match and If-Unmodified-Since; the cache evaluates If-None-Match and If-Modified-Since."},
	NoKey:             {"no-key", "bypass", "There is no key to store it under: the request target is too long or malformed, or the request has too many fields such as X-Forwarded-Host."},
	Excepted:          {"excepted", "bypass", "Monitoring is never cached: the request matches Config.Except, or the response holds metrics for Prometheus."},
	Policy:            {"policy", "bypass", "A policy outside of the cache says no-store, private or Vary: *, so nothing is stored or served from the store."},
	RangeUnit:         {"range-unit", "bypass", "The request asks for a range in a unit other than bytes, which only the handler knows."},
	Authorization:     {"authorization", "bypass", "The request carries Authorization; the response is shared only if it says public or s-maxage."},
	ClientCertificate: {"client-certificate", "bypass", "The client sent a TLS certificate, which counts as Authorization; the response is shared only if it says public or s-maxage."},
	Cookie:            {"cookie", "bypass", "The request carries a cookie; the response is shared only if it says public or s-maxage, or if the cookie is on the ignore list."},
	Credential:        {"credential", "bypass", "The request carries a field that identifies its sender, such as an API key, or whose name says so; the response is shared only if it says public or s-maxage."},
	Personal:          {"personal", "bypass", "Config.Personal says that the request belongs to one user; the response is shared only if it says public or s-maxage."},
	RequestNoStore:    {"request-no-store", "request", "The client asked with no-store that the response is not stored."},

	NoStore:         {"no-store", "miss", "The response said no-store; remove that to let it be cached."},
	Private:         {"private", "miss", "The response said private: it belongs to one user. Say public if it is the same for everyone."},
	SetCookie:       {"set-cookie", "miss", "The response sets a cookie, which must not reach another client; set cookies only where a session begins."},
	CSPNonce:        {"csp-nonce", "miss", "The Content-Security-Policy has a nonce, which is for one response; allow scripts by their hashes instead, with 'strict-dynamic' if they load others."},
	VaryStar:        {"vary-star", "miss", "The response said Vary: *, so no later request can match it; name the request fields that matter. edgecache.Vary writes * for a name that is not a field name."},
	VaryInvalid:     {"vary-invalid", "miss", "Vary has an invalid field name, or too many names, so it is unknown which requests match."},
	PartialContent:  {"partial-content", "miss", "The handler sent a 206 to a request without a Range; only complete responses are stored."},
	NotModified:     {"not-modified", "miss", "The handler sent a 304 to a request without a condition; only complete responses are stored."},
	Interim:         {"interim", "miss", "A 1xx response is not the final one."},
	Status:          {"status", "miss", "Responses with this status are stored only with an explicit lifetime; say max-age to store it."},
	MustUnderstand:  {"must-understand", "miss", "The response said must-understand, and edgecache does not know the caching rules of its status code."},
	Stream:          {"stream", "miss", "Event streams and multipart pushes never end, and audio, video and lines of JSON may not, so they are passed through; a Content-Length lets the last three be stored."},
	NoFreshness:     {"no-freshness", "miss", "The response has no lifetime, and none is inferred with ExplicitOnly, for this status, or beside a field for other caches, Clear-Site-Data or a user's token; say max-age to store it."},
	Expired:         {"expired", "miss", "The response was stale on arrival (max-age=0, a past or invalid Expires, an Age above its lifetime) and has no validator; give it a lifetime or an ETag."},
	ContentLocation: {"content-location", "method", "The response to a POST is stored only if its Content-Location is the URL of the POST and its lifetime is explicit."},

	TooLarge:    {"too-large", "miss", "The response is larger than the largest object that the cache stores; raise that limit to store it."},
	Incomplete:  {"incomplete", "miss", "The body is shorter or longer than its Content-Length; only complete responses are stored."},
	Unwritten:   {"unwritten", "miss", "The handler returned without writing, so middleware outside of the cache may write the response, and it is not stored; write in the handler, or make the cache the server's own handler."},
	Aborted:     {"aborted", "miss", "The handler panicked, its time ran out, or all its clients left before it was done, so the response is not stored."},
	Busy:        {"busy", "miss", "The cache is overloaded, so the response was passed through and not stored: too many requests wait for it, or wait too long, too many handlers of its route run, or responses in progress use all the memory that they may."},
	Breaker:     {"breaker", "", "The handler failed several times in a row, so the stale response is served at once; the handler is tried again after a pause."},
	Restored:    {"restored", "", "The store behind memory had the response: a hit, and in memory from now on."},
	Unreachable: {"unreachable", "miss", "The handler said that the origin did not respond, and no stored response may be used instead."},
	StoreFailed: {"store-failed", "miss", "The store failed; the request was served as if there were no cache."},

	UnknownHash: {"unknown-hash", "miss", "The URL names a version of a static file that is neither here nor retained; the latest version is served instead, and caches must not store it."},
}

// String returns the reason as one kebab-case word; "" for None.
func (r Reason) String() string { return r.describe().name }

// Forward returns the value of Cache-Status' fwd parameter (RFC 9211, 2.2) for the reason: "" if
// the request was not forwarded.
func (r Reason) Forward() string { return r.describe().forward }

// Explain returns one sentence that says what happened and, on a miss, what would make it a hit.
func (r Reason) Explain() string { return r.describe().explain }

func (r Reason) describe() *description {
	if r >= reasons {
		r = None
	}
	return &descriptions[r]
}

// Reasons iterates over the closed list without None, in the order of the documentation.
func Reasons() iter.Seq[Reason] {
	return func(yield func(Reason) bool) {
		for r := None + 1; r < reasons; r++ {
			if !yield(r) {
				return
			}
		}
	}
}
