package edgecache

import (
	"iter"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/engine"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// Status is the one word of the short status header.
type Status uint8

// The words, as hosting platforms use them.
const (
	StatusNone  Status = iota
	Hit                // answered from the cache
	Miss               // nothing stored fits, so the handler rendered the page
	Expired            // what is stored is past its lifetime, so the handler rendered the page again
	Revalidated        // what is stored was past its lifetime, and the handler confirmed it with a 304
	Stale              // past its lifetime, served because the handler failed or the client accepts it
	Updating           // past its lifetime, served while the page is rendered again
	Bypass             // the response forbids to store it, or cannot be stored
	Dynamic            // a shared cache must not answer this request
)

// String returns the word as the header has it.
func (s Status) String() string { return engine.Status(s).String() }

// A Reason says why a request was, or was not, answered from the cache. The list is closed: see
// [Reasons]. The zero Reason is none.
type Reason uint8

// The reasons. None is the zero value.
const (
	ReasonNone = Reason(rules.None)

	// Answered from the store.
	ReasonFresh                = Reason(rules.Fresh)
	ReasonRevalidated          = Reason(rules.Revalidated)
	ReasonCollapsed            = Reason(rules.Collapsed)
	ReasonStaleWhileRevalidate = Reason(rules.StaleWhileRevalidate)
	ReasonStaleIfError         = Reason(rules.StaleIfError)
	ReasonStaleUnreachable     = Reason(rules.StaleUnreachable)
	ReasonMaxStale             = Reason(rules.MaxStale)

	// Nothing stored fits.
	ReasonURIMiss  = Reason(rules.URIMiss)
	ReasonVaryMiss = Reason(rules.VaryMiss)
	ReasonAccept   = Reason(rules.Accept)

	// Something stored fits, but must be made anew or confirmed.
	ReasonStale           = Reason(rules.Stale)
	ReasonNoCache         = Reason(rules.NoCache)
	ReasonPurged          = Reason(rules.Purged)
	ReasonInvalidated     = Reason(rules.Invalidated)
	ReasonRequestNoCache  = Reason(rules.RequestNoCache)
	ReasonRequestMaxAge   = Reason(rules.RequestMaxAge)
	ReasonRequestMinFresh = Reason(rules.RequestMinFresh)
	ReasonOnlyIfCached    = Reason(rules.OnlyIfCached)

	// The request goes past the cache.
	ReasonMethod            = Reason(rules.Method)
	ReasonHead              = Reason(rules.Head)
	ReasonBody              = Reason(rules.Body)
	ReasonUpgrade           = Reason(rules.Upgrade)
	ReasonOverride          = Reason(rules.Override)
	ReasonPrecondition      = Reason(rules.Precondition)
	ReasonNoKey             = Reason(rules.NoKey)
	ReasonExcepted          = Reason(rules.Excepted)
	ReasonPolicy            = Reason(rules.Policy)
	ReasonRangeUnit         = Reason(rules.RangeUnit)
	ReasonAuthorization     = Reason(rules.Authorization)
	ReasonClientCertificate = Reason(rules.ClientCertificate)
	ReasonCookie            = Reason(rules.Cookie)
	ReasonCredential        = Reason(rules.Credential)
	ReasonPersonal          = Reason(rules.Personal)
	ReasonRequestNoStore    = Reason(rules.RequestNoStore)

	// The response is not kept.
	ReasonNoStore         = Reason(rules.NoStore)
	ReasonPrivate         = Reason(rules.Private)
	ReasonSetCookie       = Reason(rules.SetCookie)
	ReasonCSPNonce        = Reason(rules.CSPNonce)
	ReasonVaryStar        = Reason(rules.VaryStar)
	ReasonVaryInvalid     = Reason(rules.VaryInvalid)
	ReasonPartialContent  = Reason(rules.PartialContent)
	ReasonNotModified     = Reason(rules.NotModified)
	ReasonInterim         = Reason(rules.Interim)
	ReasonStatus          = Reason(rules.Status)
	ReasonMustUnderstand  = Reason(rules.MustUnderstand)
	ReasonStream          = Reason(rules.Stream)
	ReasonNoFreshness     = Reason(rules.NoFreshness)
	ReasonExpired         = Reason(rules.Expired)
	ReasonContentLocation = Reason(rules.ContentLocation)

	// Found out while the response was being made.
	ReasonTooLarge    = Reason(rules.TooLarge)
	ReasonIncomplete  = Reason(rules.Incomplete)
	ReasonUnwritten   = Reason(rules.Unwritten)
	ReasonAborted     = Reason(rules.Aborted)
	ReasonBusy        = Reason(rules.Busy)
	ReasonBreaker     = Reason(rules.Breaker)
	ReasonRestored    = Reason(rules.Restored)
	ReasonUnreachable = Reason(rules.Unreachable)
	ReasonStoreFailed = Reason(rules.StoreFailed)

	// Found out by static files.
	ReasonUnknownHash = Reason(rules.UnknownHash)
)

// Reasons returns every [Reason] but ReasonNone.
func Reasons() iter.Seq[Reason] {
	return func(yield func(Reason) bool) {
		for r := range rules.Reasons() {
			if !yield(Reason(r)) {
				return
			}
		}
	}
}

// String returns the detail parameter of Cache-Status, such as "no-store". Tell reasons apart by it
// in logs and metrics. It is "" for ReasonNone.
func (r Reason) String() string { return rules.Reason(r).String() }

// Explain returns a sentence for whoever asks why: what happened and, on a miss, what would make it a
// hit.
func (r Reason) Explain() string { return rules.Reason(r).Explain() }

// Forward returns the fwd parameter of Cache-Status (RFC 9211, 2.2) for the reason; "" if the request
// was not forwarded to the handler.
func (r Reason) Forward() string { return rules.Reason(r).Forward() }

// EventKind says what an [Event] is about.
type EventKind uint8

const (
	Answered  EventKind = iota + 1 // a request was decided about, and its header is about to be written
	Refreshed                      // a background refresh ended
	Purged                         // a purge was carried out, or a response made others invalid: then there is a Request, and the Reason is "invalidated"
	Warned                         // code does not do what its author seems to think; Config.Logger gets it too, once for each route
	Failed                         // something of the cache's own, or a handler behind a stale page, went wrong
	Unkept                         // a response that was announced as stored was not kept, for the Reason
)

// String returns the kind in lower case.
func (k EventKind) String() string { return engine.EventKind(k).String() }

// An Event is one decision of an [Edge]. Fields that a kind does not use are zero.
type Event struct {
	Kind    EventKind
	Time    time.Time     // of the decision
	Request *http.Request // to read only, and only until the observer returns; nil for a purge by the methods of Edge
	Pattern string        // of the route that rendered the page, as http.ServeMux has it; "" if that is not known
	Status  Status
	Reason  Reason        // why; none for a plain hit
	Forward Reason        // why the handler ran; none if it did not
	Stored  bool          // the response is being stored; if it then is not kept, an event of kind Unkept says so
	Elapsed time.Duration // from the arrival of the request to this decision
	TTL     time.Duration // how long the page stays fresh, where there is one; negative if it is stale
	// Credential names what made the request credentialed, never its value: "Authorization", "client
	// certificate", "Cookie: session", or a field such as "X-Api-Key". It is "" if nothing did, or
	// only Config.Personal.
	Credential string
	Count      int   // stored responses that a purge concerned, or that a response made invalid: then at least one
	Err        error // what went wrong, or what the warning is
}

// Key returns the cache key of the event's request in readable form, such as
// "https://example.com/page?q", or "" if it has none.
func (ev Event) Key() string { return engine.Event{Request: ev.Request}.Key() }

func eventOf(ev engine.Event) Event {
	return Event{
		Kind: EventKind(ev.Kind), Time: ev.Time, Request: ev.Request, Pattern: ev.Pattern,
		Status: Status(ev.Status), Reason: Reason(ev.Reason), Forward: Reason(ev.Forward),
		Stored: ev.Stored, Elapsed: ev.Elapsed, TTL: ev.TTL, Credential: ev.Credential,
		Count: ev.Count, Err: ev.Err,
	}
}

// Stats are counts since the Edge was made, and what it holds now.
type Stats struct {
	Requests uint64 // decided about, in all
	// By status word.
	Hits, Misses, Expired, Revalidated, Stale, Updating, Bypassed, Dynamic uint64

	Collapsed   uint64 // hits among these that waited for another request's response
	Refreshes   uint64 // background refreshes that ended
	Purges      uint64 // calls of the purge methods
	Invalidated uint64 // stored responses that unsafe requests removed, or marked as invalid: by their URL, Location, Content-Location, Destination or Invalidate
	Compressed  uint64 // encodings that Config.Compress has made
	Fetches     int    // handlers running that other requests can wait for

	MemoryStats
	Store StoreStats // of Config.Store
}

// MemoryStats are what memory holds, and what did not stay there. They are part of [Stats].
type MemoryStats struct {
	Evictions  uint64 // URLs that made room for others
	Rejections uint64 // URLs that were not worth the room, were too large, or found none while they were rendered

	URLs          int   // with something stored
	Entries       int   // stored responses, including purged ones that were not met since
	Bytes         int64 // that they are charged
	BytesInFlight int64 // that responses in progress have taken; together with Bytes never more than MaxBytes
	MaxBytes      int64

	// BytesPinned is what clients are reading of responses that have left memory: evicted, replaced or
	// purged. It stands beside MaxBytes, see [Config.MaxBytes]. Responses of up to 32 KiB do not count.
	BytesPinned int64
}

// StoreStats are counts of what happened with Config.Store.
type StoreStats struct {
	Hits, Misses  uint64 // of look-ups that the store answered
	Refused       uint64 // values that were garbled, outdated, or not what was asked for
	Failures      uint64 // calls that failed, came too late, or panicked
	Skipped       uint64 // look-ups that did not ask the store, because it had failed several times in a row
	Written       uint64
	Dropped       uint64 // not written: too much was waiting, or the store had failed
	PendingPurges int    // names, two for most purges, whose purge other processes do not know of yet
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

// An Explanation says what an [Edge] would do with a request now.
type Explanation struct {
	Key    string // "https://example.com/page?q"; "" if the request has none
	Status Status // Hit, Updating, Stale, Miss, Expired or Dynamic
	Reason Reason // why; none for a plain hit. Its Explain method says what would make it a hit
	// Credential names what makes the request credentialed, as in [Event].
	Credential string
	Variants   int           // responses stored for the URL
	Vary       []string      // request fields by which the response that fits varies, or the newest that does not
	Tags       []string      // of the response that fits
	Age        time.Duration // of the response that fits
	Lifetime   time.Duration // of the response that fits; from its header, or inferred
	Inferred   bool          // the lifetime is inferred: the response does not say it
	Codings    []string      // in which the response that fits is kept, beside identity: see Config.Compress
}

func explanationOf(x engine.Explanation) Explanation {
	return Explanation{
		Key: x.Key, Status: Status(x.Status), Reason: Reason(x.Reason), Credential: x.Credential,
		Variants: x.Variants, Vary: x.Vary, Tags: x.Tags, Age: x.Age, Lifetime: x.Lifetime,
		Inferred: x.Inferred, Codings: x.Codings,
	}
}
