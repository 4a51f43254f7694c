package engine

import (
	"iter"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/directive"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// Reasons returns every [Reason] there is.
func Reasons() iter.Seq[Reason] { return rules.Reasons() }

// EventKind says what an [Event] is about.
type EventKind uint8

const (
	// Answered is a decision about a request: its header is about to be written.
	Answered EventKind = iota + 1
	// Refreshed is the end of a background refresh.
	Refreshed
	// Purged is a purge, or a response that made others invalid. In the second case there is a
	// Request, and the Reason is "invalidated".
	Purged
	// Warned says that something does not do what its author seems to think. Config.Logger gets it,
	// too, once for each route.
	Warned
	// Failed says that something of the cache itself, or a handler behind a stale response, went
	// wrong.
	Failed
	// Unkept says that a response which had been announced as stored was not kept, for the Reason.
	Unkept
)

var eventKinds = [...]string{"", "answered", "refreshed", "purged", "warned", "failed", "unkept"}

// String returns the kind in lower case.
func (k EventKind) String() string {
	if int(k) >= len(eventKinds) {
		return ""
	}
	return eventKinds[k]
}

// Event is one decision of an [Edge]. Fields that a kind does not use are zero.
type Event struct {
	Kind EventKind
	Time time.Time // of the decision
	// Request is only to read, and only until the observer returns. It is nil for a purge by the
	// methods of Edge.
	Request *http.Request
	Pattern string // of the route that rendered the response, as http.ServeMux has it; "" if that is not known
	Status  Status
	Reason  Reason        // why; none for a plain hit
	Forward Reason        // why the handler ran; none when it did not
	Stored  bool          // the response is being stored; if it is not kept in the end, an Unkept event says so
	Elapsed time.Duration // from the arrival of the request to this decision
	TTL     time.Duration // how long the response stays fresh; negative if it is stale
	// Credential names what made the request credentialed, never its value: "Authorization", "client
	// certificate", "Cookie: session", or a field such as "X-Api-Key". It is "" if nothing did, or
	// only Config.Personal.
	Credential string
	// Stored responses that a purge concerned, or that a response made invalid: then at least one.
	Count int
	Err   error // what went wrong, or what the warning is
}

// Key returns the cache key of the event's request in readable form, "https://example.com/page?q".
// It is "" if the request has no key.
func (ev Event) Key() string {
	if ev.Request == nil {
		return ""
	}
	return readableKey(ev.Request)
}

func readableKey(r *http.Request) string {
	k, ok := keyOf(nil, r)
	if !ok {
		return ""
	}
	scheme, host, target, _ := key.Split(string(k))
	return scheme + "://" + host + target
}

// Stats are counts since the engine was made, and what it holds now. The fields mean what those of
// the public Stats mean.
type Stats struct {
	Requests                                                               uint64
	Hits, Misses, Expired, Revalidated, Stale, Updating, Bypassed, Dynamic uint64

	Collapsed, Refreshes, Purges, Invalidated, Compressed uint64

	Fetches int

	MemoryStats
	Store StoreStats
}

// MemoryStats are the public MemoryStats.
type MemoryStats struct {
	Evictions, Rejections uint64

	URLs, Entries                               int
	Bytes, BytesInFlight, MaxBytes, BytesPinned int64
}

// StoreStats are the public StoreStats.
type StoreStats struct {
	Hits, Misses, Refused, Failures, Skipped, Written, Dropped uint64

	PendingPurges int
}

// counters are spread so that processors do not compete for one cache line at every hit.
type counters struct {
	stripes     [16]stripe
	collapsed   atomic.Uint64
	outgrown    atomic.Uint64
	refreshes   atomic.Uint64
	purges      atomic.Uint64
	invalidated atomic.Uint64
}

type stripe struct {
	statuses [len(statusNames)]atomic.Uint64
	_        [128 - 8*len(statusNames)%128]byte
}

func (c *counters) count(s Status) {
	c.stripes[rand.Uint32()%uint32(len(c.stripes))].statuses[s].Add(1)
}

func (c *counters) total(s Status) (n uint64) {
	for i := range c.stripes {
		n += c.stripes[i].statuses[s].Load()
	}
	return n
}

// Stats returns the counts. Each is exact; together they are from slightly different moments.
func (e *Engine) Stats() Stats {
	m := e.cache.Stats()
	c := &e.counters
	s := Stats{
		Hits: c.total(Hit), Misses: c.total(Miss), Expired: c.total(Expired), Revalidated: c.total(Revalidated),
		Stale: c.total(Stale), Updating: c.total(Updating), Bypassed: c.total(Bypass), Dynamic: c.total(Dynamic),
		Collapsed: c.collapsed.Load(), Refreshes: c.refreshes.Load(), Purges: c.purges.Load(), Invalidated: c.invalidated.Load(),
		Compressed: e.encoders.made.Load(), Fetches: e.flights.Len(),
		MemoryStats: MemoryStats{
			Evictions: m.Evictions, Rejections: m.Rejections + c.outgrown.Load(), URLs: m.Len, Entries: m.Entries,
			Bytes: m.Bytes, BytesInFlight: m.Reserved, MaxBytes: m.MaxBytes, BytesPinned: m.BytesPinned,
		},
	}
	if e.l2 != nil {
		t := e.l2.Stats()
		s.Store = StoreStats{
			Hits: t.Hits, Misses: t.Misses, Refused: t.Refused, Failures: t.Errors + t.Timeouts + t.Panics + t.Busy, Skipped: t.Skipped,
			Written: t.Written, Dropped: t.Dropped, PendingPurges: t.Pending,
		}
	}
	s.Requests = s.Hits + s.Misses + s.Expired + s.Revalidated + s.Stale + s.Updating + s.Bypassed + s.Dynamic
	return s
}

// decided counts a response and tells the observer.
func (e *Engine) decided(r *http.Request, a *cacheStatus) {
	kind := Answered
	if a.background {
		kind = Refreshed
		e.counters.refreshes.Add(1)
	} else {
		e.counters.count(a.status)
	}
	if a.collapsed {
		e.counters.collapsed.Add(1)
	}
	if e.config.Observer == nil {
		return
	}
	ev := Event{
		Kind: kind, Time: time.Now(), Request: r, Pattern: a.pattern, Status: a.status, Reason: a.reason, Forward: a.forward,
		Stored: a.stored, TTL: a.ttl, Credential: e.rules.NameCredential(r),
	}
	if ev.Pattern == "" {
		ev.Pattern = r.Pattern
	}
	if !a.received.IsZero() {
		ev.Elapsed = ev.Time.Sub(a.received)
	}
	e.tell(ev)
}

// tell calls the observer. Its panic does not reach the client.
func (e *Engine) tell(ev Event) {
	if e.config.Observer == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			e.config.Logger.Error("edgecache: observer panicked", "panic", p)
		}
	}()
	if ev.Time.IsZero() {
		ev.Time = time.Now()
	}
	e.config.Observer(ev)
}

// Status is the one word of the short status header.
type Status uint8

// The words are those that hosting platforms use.
const (
	StatusNone  Status = iota
	Hit                // answered from the cache
	Miss               // nothing fitting was stored: the handler rendered the response
	Expired            // what was stored is past its time: the handler rendered it again
	Revalidated        // what was stored was past its time, and the handler said that it still holds
	Stale              // past its time, served because the handler failed, or because the client accepts that
	Updating           // past its time, served during a refresh
	Bypass             // the response must not, or cannot, be stored
	Dynamic            // a shared cache may not answer this request
)

var statusNames = [...]string{"", "HIT", "MISS", "EXPIRED", "REVALIDATED", "STALE", "UPDATING", "BYPASS", "DYNAMIC"}

// String returns the word as it stands in the header.
func (s Status) String() string {
	if int(s) >= len(statusNames) {
		return ""
	}
	return statusNames[s]
}

// cacheStatus is what the status headers say about one response.
type cacheStatus struct {
	status     Status
	reason     Reason // why; None for a plain hit
	forward    Reason // why the handler ran; None when it did not
	fwdStatus  int    // the handler's status, if it is not the client's
	stored     bool   // the response is being stored
	collapsed  bool   // the response was rendered for another request
	ttl        time.Duration
	hasTTL     bool
	received   time.Time // when the request came
	pattern    string    // of the route that rendered the response, if it was rendered earlier
	background bool      // no client: a background refresh
}

// report counts the response to r, tells the observer, adds the status fields to h, and removes
// what clients do not get. room is a slice to cut the two values from, or nil.
func (e *Engine) report(h http.Header, r *http.Request, a *cacheStatus, room []string) {
	e.decided(r, a)
	e.hideTags(h)
	e.status.write(h, a, room)
}

// hideTags removes the tags from a response that leaves, if Config.HideTags says so. What is stored
// keeps them.
func (e *Engine) hideTags(h http.Header) {
	if !e.config.HideTags {
		return
	}
	for name := range h {
		if strings.EqualFold(name, "Cache-Groups") || strings.EqualFold(name, directive.GroupInvalidation) {
			delete(h, name)
		}
	}
}

// markPersonal marks a response as private in its header h, if it is passed on because of who the
// client is. A cache in front of this one may ignore a cookie or an API key, and would store a
// response that only has a lifetime.
//
// Deviation: RFC 9111, 5.2 has a cache pass directives on as they come. Off with
// Config.InsecureShareCookies.
func (e *Engine) markPersonal(h http.Header, req *rules.Request, status int) {
	if status == http.StatusSwitchingProtocols || !e.rules.IsPersonal(req, h) {
		return
	}
	for name := range h {
		if field.SpeaksToCaches(name) || slices.Contains(e.rules.TargetedFields, http.CanonicalHeaderKey(name)) {
			delete(h, name) // caches would obey it instead of Cache-Control
		}
	}
	cc := field.ParseCacheControl(field.Canonical(h)["Cache-Control"])
	if cc.NoStore && !cc.MustUnderstand || cc.Private && len(cc.PrivateFields) == 0 && !cc.Public && !cc.SharedMaxAge.Set {
		return // the response already says so, in its own words
	}
	directive.Set(h, directive.Private)
}
