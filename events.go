package edgecache

import (
	"iter"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/engine"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// Status is one word about how a request was served, as in the short status field: see
// Config.StatusHeader.
type Status uint8

// The words of [Status], as hosting platforms use them. The zero value is StatusNone.
const (
	StatusNone  Status = iota // an empty word: no request was served
	Hit                       // served from the cache
	Miss                      // nothing stored fits, so the handler ran
	Expired                   // the stored response was stale, so the handler rendered it again
	Revalidated               // the stored response was stale, and the handler confirmed it with a 304
	Stale                     // served stale: the handler failed, or the client accepts it
	Updating                  // served stale, while the handler renders it again
	Bypass                    // the handler ran, and its response must not or cannot be stored
	Dynamic                   // a shared cache must not serve this request, so the handler ran
)

// String returns the word as it stands in the header, such as "HIT"; "" for StatusNone.
func (s Status) String() string { return engine.Status(s).String() }

// A Reason says why a request was, or was not, served from the cache. The list is closed: see
// [Reasons]. [Reason.Explain] says more about each. The zero value is ReasonNone: there is nothing
// to explain, as with a plain hit.
type Reason uint8

// The reasons.
const (
	ReasonNone Reason = iota // nothing to explain, as with a plain hit

	// The request was served from what is stored.
	ReasonFresh                // stored and still fresh
	ReasonRevalidated          // stale; the handler confirmed it with a 304
	ReasonCollapsed            // shared with a request that waited for another one
	ReasonStaleWhileRevalidate // stale; served while it is refreshed in the background
	ReasonStaleIfError         // stale; the handler failed
	ReasonStaleUnreachable     // stale; the origin cannot be reached
	ReasonMaxStale             // stale; the client allows it with max-stale

	// Nothing stored fits the request.
	ReasonURIMiss  // nothing is stored for the URL
	ReasonVaryMiss // stored only for other values of the fields in Vary
	ReasonAccept   // not stored in a type and language that are known to fit

	// A stored response fits, but must be rendered again or validated first.
	ReasonStale           // past its lifetime
	ReasonNoCache         // the response said no-cache
	ReasonPurged          // purged since it was stored
	ReasonInvalidated     // an unsafe request may have changed it
	ReasonRequestNoCache  // the client said no-cache
	ReasonRequestMaxAge   // too old for the client's max-age
	ReasonRequestMinFresh // not fresh for the client's min-fresh
	ReasonOnlyIfCached    // the client wants only what is stored, and gets a 504

	// The request bypasses the cache.
	ReasonMethod            // neither GET nor HEAD
	ReasonHead              // a HEAD, and no response to a GET is stored
	ReasonBody              // a request body
	ReasonUpgrade           // another protocol is asked for
	ReasonOverride          // it rewrites its own URL or method
	ReasonPrecondition      // If-Match or If-Unmodified-Since
	ReasonNoKey             // a URL that is too long or malformed
	ReasonExcepted          // it matches Config.Except, or the response has metrics
	ReasonPolicy            // a Policy outside of the cache forbids it
	ReasonRangeUnit         // a Range that is not in bytes
	ReasonAuthorization     // an Authorization
	ReasonClientCertificate // a TLS client certificate
	ReasonCookie            // a cookie that is not ignored
	ReasonCredential        // another field that identifies the sender
	ReasonPersonal          // Config.Personal returned true
	ReasonRequestNoStore    // the client said no-store

	// The response is not stored.
	ReasonNoStore         // it says no-store
	ReasonPrivate         // it says private
	ReasonSetCookie       // it sets a cookie
	ReasonCSPNonce        // its Content-Security-Policy has a nonce, which fits one response
	ReasonVaryStar        // it says Vary: *
	ReasonVaryInvalid     // its Vary is malformed or too long
	ReasonPartialContent  // a 206 to a request without Range
	ReasonNotModified     // a 304 to a request without a condition
	ReasonInterim         // a 1xx, which is not the final response
	ReasonStatus          // its status needs an explicit lifetime
	ReasonMustUnderstand  // must-understand, with an unknown status
	ReasonStream          // it may never end, such as event streams
	ReasonNoFreshness     // it has no lifetime, and none is inferred
	ReasonExpired         // it is stale on arrival, and has no validator
	ReasonContentLocation // it is for a POST, and its header does not make it valid for a GET

	// Known only while the response is looked up or rendered.
	ReasonTooLarge    // larger than Config.MaxObjectBytes
	ReasonIncomplete  // shorter or longer than its Content-Length
	ReasonUnwritten   // the handler returned without writing
	ReasonAborted     // the handler panicked or ran out of time, or all clients left
	ReasonBusy        // the cache is overloaded
	ReasonBreaker     // stale; the handler failed several times and is left alone
	ReasonRestored    // a hit: Config.Store had the response
	ReasonUnreachable // the origin cannot be reached, and nothing stored may be used
	ReasonStoreFailed // Config.Store failed; served as if it were not there

	// Known only to static files.
	ReasonUnknownHash // the URL has the hash of a file that is not known here
)

// Reasons iterates over every [Reason] but ReasonNone.
func Reasons() iter.Seq[Reason] {
	return func(yield func(Reason) bool) {
		for r := range rules.Reasons() {
			if !yield(Reason(r)) {
				return
			}
		}
	}
}

// String returns the reason as one word, such as "no-store": the detail parameter of Cache-Status
// (RFC 9211, 2.8), and a label for logs and metrics. It is "" for ReasonNone.
func (r Reason) String() string { return rules.Reason(r).String() }

// Explain returns one sentence for people: what happened and, on a miss, what would make it a hit.
func (r Reason) Explain() string { return rules.Reason(r).Explain() }

// Forward returns the fwd parameter of Cache-Status (RFC 9211, 2.2) for the reason, such as "miss".
// It is "" if the handler did not run.
func (r Reason) Forward() string { return rules.Reason(r).Forward() }

// EventKind says what an [Event] is about.
type EventKind uint8

// The kinds of events. There is none for the zero value.
const (
	// Answered: a request is decided about, and its header is about to be written.
	Answered EventKind = iota + 1
	// Refreshed: a background refresh ended.
	Refreshed
	// Purged: a purge was carried out, or a response invalidated others. In the second case there
	// is a Request, and the Reason is ReasonInvalidated.
	Purged
	// Warned: code does not do what its author seems to think. Config.Logger gets this, too, once
	// for each route and cause.
	Warned
	// Failed: the cache itself failed in something, such as calls of Config.Store, or a handler
	// failed where no client sees it, such as behind a stale response.
	Failed
	// Unkept: a response that was announced as stored was not stored after all; Reason says why.
	Unkept
)

// String returns the kind as one word in lower case, such as "answered".
func (k EventKind) String() string { return engine.EventKind(k).String() }

// An Event is one decision of an [Edge]: see Config.Observer. Fields that a kind does not use are
// zero.
type Event struct {
	// Kind says what the event is about, and so which of the other fields are set.
	Kind EventKind
	// Time is when the decision was made.
	Time time.Time
	// Request is read-only, and valid only until the observer returns. It is nil for a purge by the
	// methods of Edge.
	Request *http.Request
	// Pattern is the route of the handler that rendered the response, as http.ServeMux has it, such
	// as "GET /blog/{id}"; "" if it is not known.
	Pattern string
	// Status is the word that the client gets in the short status field.
	Status Status
	// Reason says why; it is ReasonNone for a plain hit.
	Reason Reason
	// Forward says why the handler ran; it is ReasonNone if it did not run.
	Forward Reason
	// Stored says that the response is being stored. If it turns out that it cannot be, an event of
	// kind Unkept follows.
	Stored bool
	// Elapsed is the time from the arrival of the request to this decision.
	Elapsed time.Duration
	// TTL is how long the response stays fresh, if there is one. It is negative if it is stale.
	TTL time.Duration
	// Credential names what made the request credentialed, never its value: "Authorization", "client
	// certificate", "Cookie: session", or a field such as "X-Api-Key". It is "" if nothing did, or
	// only Config.Personal.
	Credential string
	// Count is how many stored responses a purge concerned, or a response invalidated. In the second
	// case it is at least 1.
	Count int
	// Err is what went wrong, or what the warning is.
	Err error
}

// Key returns the cache key of the event's request in readable form, such as
// "https://example.com/page?q". It is "" if there is no request, or it has no key.
func (ev Event) Key() string { return engine.Event{Request: ev.Request}.Key() }

func eventOf(ev engine.Event) Event {
	return Event{
		Kind: EventKind(ev.Kind), Time: ev.Time, Request: ev.Request, Pattern: ev.Pattern,
		Status: Status(ev.Status), Reason: Reason(ev.Reason), Forward: Reason(ev.Forward),
		Stored: ev.Stored, Elapsed: ev.Elapsed, TTL: ev.TTL, Credential: ev.Credential,
		Count: ev.Count, Err: ev.Err,
	}
}

// Stats are counters of what happened since the Edge was made, and what it holds now.
type Stats struct {
	Requests uint64 // decided about, in all

	// Requests by [Status]; the sum is Requests.
	Hits, Misses, Expired, Revalidated, Stale, Updating, Bypassed, Dynamic uint64

	Collapsed uint64 // hits among them that waited for another request's response
	Refreshes uint64 // background refreshes that ended
	Purges    uint64 // calls of the purge methods

	// Invalidated are stored responses that unsafe requests removed or marked as invalid: by their
	// URL, or by Location, Content-Location, Destination or [Invalidate] in their responses.
	Invalidated uint64

	Compressed uint64 // encodings that Config.Compress has made
	Fetches    int    // handlers that run now, and whose response other requests can wait for

	MemoryStats
	Store StoreStats // about Config.Store; zero without one
}

// MemoryStats are what memory holds now, and what it could not keep. They are part of [Stats].
type MemoryStats struct {
	Evictions  uint64 // URLs that made room for others
	Rejections uint64 // URLs not worth the room, too large, or without room while rendered

	URLs    int   // with something stored
	Entries int   // stored responses, including purged ones that have not been removed yet
	Bytes   int64 // that the entries take, with keys and overhead

	// BytesInFlight are taken by responses that handlers are still writing. With Bytes they never
	// exceed MaxBytes.
	BytesInFlight int64
	MaxBytes      int64 // the budget: see [Config]

	// BytesPinned are taken by responses that clients are still reading, but that were evicted,
	// replaced or purged. They are not part of MaxBytes: see Config.MaxBytes. Responses of up to 32
	// KiB do not count.
	BytesPinned int64
}

// StoreStats are counters of what happened with Config.Store. They are part of [Stats].
type StoreStats struct {
	Hits, Misses uint64 // look-ups that the store answered
	Refused      uint64 // values that were garbled, outdated, or stored under another name
	Failures     uint64 // calls that failed, took too long, panicked, or were too many at once
	Skipped      uint64 // look-ups not made, because the store had failed several times in a row
	Written      uint64 // values that were stored
	Dropped      uint64 // values not stored: too much was waiting, or the store had failed

	// PendingPurges are names whose purge other processes do not know of yet. Most purges have two.
	PendingPurges int
}

func statsOf(s engine.Stats) Stats {
	return Stats{
		Requests: s.Requests,
		Hits:     s.Hits, Misses: s.Misses, Expired: s.Expired, Revalidated: s.Revalidated,
		Stale: s.Stale, Updating: s.Updating, Bypassed: s.Bypassed, Dynamic: s.Dynamic,
		Collapsed: s.Collapsed, Refreshes: s.Refreshes, Purges: s.Purges, Invalidated: s.Invalidated,
		Compressed: s.Compressed, Fetches: s.Fetches,
		MemoryStats: MemoryStats(s.MemoryStats), Store: StoreStats(s.Store),
	}
}

// An Explanation says what an [Edge] would do with a request now: see [Edge.Explain].
type Explanation struct {
	Key    string // such as "https://example.com/page?q"; "" if the request has none
	Status Status // Hit, Updating, Stale, Miss, Expired or Dynamic
	Reason Reason // why; ReasonNone for a plain hit

	// Credential names what makes the request credentialed, as in [Event].
	Credential string

	Variants int // how many responses are stored for the URL

	// Vary are the request fields by which the response that fits varies. If none fits, they are
	// those of the newest one.
	Vary []string

	// The rest is about the response that fits, and zero if none does.
	Tags     []string      // see [Tag]
	Age      time.Duration // since it was generated or validated (RFC 9111, 4.2.3)
	Lifetime time.Duration // from its header, or inferred (RFC 9111, 4.2.1)
	Inferred bool          // Lifetime is inferred: the header does not give it
	Codings  []string      // in which it is kept besides identity: see Config.Compress
}

func explanationOf(x engine.Explanation) Explanation {
	return Explanation{
		Key: x.Key, Status: Status(x.Status), Reason: Reason(x.Reason), Credential: x.Credential,
		Variants: x.Variants, Vary: x.Vary, Tags: x.Tags, Age: x.Age, Lifetime: x.Lifetime,
		Inferred: x.Inferred, Codings: x.Codings,
	}
}
