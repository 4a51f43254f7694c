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
	None: {"", "", "Nothing stands in the way."},

	Fresh:                {"fresh", "", "A stored response was fresh: this is a hit."},
	Revalidated:          {"revalidated", "stale", "The handler confirmed the stored response with 304; a longer max-age would have made it a plain hit."},
	Collapsed:            {"collapsed", "miss", "Another request was already rendering this page and its answer was shared."},
	StaleWhileRevalidate: {"stale-while-revalidate", "", "The stored response is past its lifetime but inside its stale-while-revalidate window: served at once while it is made anew."},
	StaleIfError:         {"stale-if-error", "stale", "The handler answered with an error, and stale-if-error allows the last good response instead."},
	StaleUnreachable:     {"stale-unreachable", "stale", "The origin could not be reached, so the last good response was served; must-revalidate would forbid this."},
	MaxStale:             {"max-stale", "", "The client accepts stale responses with max-stale, and nothing in the response forbids it."},

	URIMiss:  {"uri-miss", "uri-miss", "Nothing is stored for this URL yet; the next request can hit."},
	VaryMiss: {"vary-miss", "vary-miss", "The URL is stored, but not for the values of the request fields that Vary names, or of forwarding fields such as X-Forwarded-Host; fewer names in Vary make more hits."},

	Accept: {"accept", "vary-miss", "The URL is stored, but in no media type or language that the request names, nor was the handler asked with this Accept and Accept-Language; name in Vary the fields by which the handler chooses."},

	Stale:           {"stale", "stale", "The stored response is past its lifetime; a longer max-age or stale-while-revalidate would make this a hit."},
	NoCache:         {"no-cache", "stale", "The response said no-cache, so each use must be confirmed by the handler; say max-age instead to get hits."},
	Purged:          {"purged", "stale", "The stored response was purged and has to be made anew once."},
	Invalidated:     {"invalidated", "stale", "An answer to an unsafe request, such as a POST, named this URL in Location or Content-Location, so the stored response has to be confirmed or made anew once."},
	RequestNoCache:  {"request-no-cache", "request", "The client asked for a new answer with Cache-Control: no-cache (a forced reload); a plain request would hit."},
	RequestMaxAge:   {"request-max-age", "request", "The client wants a response younger than the stored one (max-age in the request); a plain request would hit."},
	RequestMinFresh: {"request-min-fresh", "request", "The client wants a response that stays fresh for longer than the stored one will (min-fresh); a plain request would hit."},
	OnlyIfCached:    {"only-if-cached", "", "The client asked for a stored response only, and none can be used: the answer is 504."},

	Method:            {"method", "method", "Only GET and HEAD are answered from the cache."},
	Head:              {"head", "miss", "A HEAD is answered from what a GET has stored. This one went to the handler, which behind a router may be another one than that of GET, so nothing is stored: ask with GET, or make the cache the server's own handler."},
	Body:              {"request-body", "bypass", "The request carries a body, which is not part of the cache key; send parameters in the query instead."},
	Upgrade:           {"upgrade", "bypass", "The client wants another protocol on this connection, for instance a WebSocket."},
	Override:          {"override", "bypass", "The request rewrites its own URL or method with a field such as X-Original-URL, which is not part of the cache key."},
	Precondition:      {"precondition", "bypass", "If-Match and If-Unmodified-Since are for the origin to judge; If-None-Match and If-Modified-Since are answered by the cache."},
	NoKey:             {"no-key", "bypass", "The request target is too long, or is none that a page can have, or the request has more fields such as X-Forwarded-Host than a key takes: there is no key to store it under."},
	Excepted:          {"excepted", "bypass", "What watches the program is left alone: the request is one of Config.Except, or the response holds metrics for Prometheus."},
	Policy:            {"policy", "bypass", "A policy that stands outside of the cache says no-store, private or Vary: *, so nothing is stored, nor answered from what is stored."},
	RangeUnit:         {"range-unit", "bypass", "The request asks for a range in a unit other than bytes, which only the handler knows."},
	Authorization:     {"authorization", "bypass", "The request carries Authorization; the response is shared only if it says public or s-maxage."},
	ClientCertificate: {"client-certificate", "bypass", "The client showed a TLS certificate, which counts as Authorization; the response is shared only if it says public or s-maxage."},
	Cookie:            {"cookie", "bypass", "The request carries a cookie; the response is shared only if it says public or s-maxage, or if the cookie is on the ignore list."},
	Credential:        {"credential", "bypass", "The request carries a field that identifies somebody, such as an API key, or whose name says so; the response is shared only if it says public or s-maxage."},
	Personal:          {"personal", "bypass", "Config.Personal says that the request is one user's; the response is shared only if it says public or s-maxage."},
	RequestNoStore:    {"request-no-store", "request", "The client asked with no-store that its answer is not kept."},

	NoStore:         {"no-store", "miss", "The response said no-store; remove it to let the page be cached."},
	Private:         {"private", "miss", "The response said private: it belongs to one user. Say public if it is the same for everybody."},
	SetCookie:       {"set-cookie", "miss", "The response sets a cookie, which must not reach anybody else; set cookies only where a session begins."},
	CSPNonce:        {"csp-nonce", "miss", "The Content-Security-Policy has a nonce, which is for one response; let scripts in by their hashes, with 'strict-dynamic' if they load others."},
	VaryStar:        {"vary-star", "miss", "The response said Vary: *, which edgecache.Vary also writes for what is no field name; no later request can match it, so name the request fields that matter."},
	VaryInvalid:     {"vary-invalid", "miss", "Vary names something that is no field name, or too many fields, so matching requests cannot be told apart."},
	PartialContent:  {"partial-content", "miss", "The handler answered 206 to a request without a Range; only complete responses are stored."},
	NotModified:     {"not-modified", "miss", "The handler answered 304 to a request without a condition; only complete responses are stored."},
	Interim:         {"interim", "miss", "A 1xx answer is not the final one."},
	Status:          {"status", "miss", "Answers with this status are kept only with an explicit lifetime; say max-age to store it."},
	MustUnderstand:  {"must-understand", "miss", "The response said must-understand, and the caching rules of its status code are not known here."},
	Stream:          {"stream", "miss", "Event streams and multipart pushes never end, and audio, video and lines of JSON without a Content-Length may not, so they are passed on as they come; a length lets the last three be stored."},
	NoFreshness:     {"no-freshness", "miss", "The response does not say how long it may be kept, and none is inferred: not with ExplicitOnly, or not for its kind, or not beside a field for other caches, Clear-Site-Data or somebody's token; say max-age to store it."},
	Expired:         {"expired", "miss", "The response was stale when it came (max-age=0, a past or invalid Expires, an Age past its lifetime) and has no validator; give it a lifetime or an ETag."},
	ContentLocation: {"content-location", "method", "The answer to a POST is kept only if its Content-Location is the URL that was posted to and its lifetime is explicit."},

	TooLarge:    {"too-large", "miss", "The response is larger than the largest object the cache takes; raise that limit to store it."},
	Incomplete:  {"incomplete", "miss", "The body is shorter or longer than its Content-Length; only complete responses are stored."},
	Unwritten:   {"unwritten", "miss", "The handler returned without writing, so the answer is left to what stands outside of the cache, and is not stored. Write in the handler, or make the cache the server's own handler."},
	Aborted:     {"aborted", "miss", "The handler panicked, or its clients had left or its time was over before it was done, so its response is not kept."},
	Busy:        {"busy", "miss", "So much is going on that this answer was passed on and not kept: too many requests wait for the page, or for too long, or too many handlers of its route run, or pages under way take all the memory that they may."},
	Breaker:     {"breaker", "", "The handler failed several times in a row, so the stale page is served at once; the handler is tried again after a pause."},
	Restored:    {"restored", "", "The store behind memory had the page: a hit, and in memory from now on."},
	Unreachable: {"unreachable", "miss", "The handler said that the origin gave no answer, and nothing stored may stand in for it."},
	StoreFailed: {"store-failed", "miss", "The store could not keep the response; requests are served as if there were no cache."},

	UnknownHash: {"unknown-hash", "miss", "The URL names a version of a static file that is neither here nor retained; the latest one stands in for it and is not kept."},
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
