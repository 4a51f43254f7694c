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
	Answered  EventKind = iota + 1 // a request was decided about: its header is about to be written
	Refreshed                      // a background refresh ended
	Purged                         // a purge was carried out, or a response made others invalid: then it has a Request, and its Reason is "invalidated"
	Warned                         // something does not do what its author seems to think: Config.Logger gets it, too, once for each route
	Failed                         // something of the cache's own, or a handler behind a stale page, went wrong
	Unkept                         // a response that had been announced as stored was not kept, for the Reason
)

var eventKinds = [...]string{"", "answered", "refreshed", "purged", "warned", "failed", "unkept"}

// String returns the kind in lower case.
func (k EventKind) String() string {
	if int(k) >= len(eventKinds) {
		return ""
	}
	return eventKinds[k]
}

// An Event is one decision of an [Edge]. Fields that a kind does not use are zero.
type Event struct {
	Kind    EventKind
	Time    time.Time     // of the decision
	Request *http.Request // to read only, and only until the observer returns; nil for a purge by the methods of Edge
	Pattern string        // of the route that made the page, as http.ServeMux has it; "" if that is not known
	Status  Status
	Reason  Reason        // why; none for a plain hit
	Forward Reason        // why the handler ran; none when it did not
	Stored  bool          // the answer is being stored; where it then is not kept, an event of the kind Unkept says so
	Elapsed time.Duration // from the arrival of the request to this decision
	TTL     time.Duration // how much longer the page is fresh, where there is one; negative if it is stale
	// Credential names what made the request credentialed, never its value: "Authorization", "client certificate",
	// "Cookie: session", or a field such as "X-Api-Key". It is "" if nothing did, or only Config.Personal.
	Credential string
	Count      int   // stored responses that a purge concerned, or that a response made invalid: then at least one
	Err        error // what went wrong, or what the warning is
}

// Key returns the cache key of the event's request in readable form, "https://example.com/page?q", or "" if it has none.
func (ev Event) Key() string {
	if ev.Request == nil {
		return ""
	}
	return readableKey(ev.Request)
}

func readableKey(r *http.Request) string {
	k, ok := key.Of(nil, r)
	if !ok {
		return ""
	}
	scheme, host, target, _ := key.Split(string(k))
	return scheme + "://" + host + target
}

// Stats are counts since the engine was made, and what it holds now. The fields mean what those of
// the public Stats do.
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

// counters are spread so that processors do not fight for one cache line at every hit.
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

// Stats returns the counts. Each is exact; together they are of slightly different moments.
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

// decided counts an answer and tells the observer.
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

// tell calls the observer. Its panic is not the client's.
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

// The words, as hosting platforms use them.
const (
	StatusNone  Status = iota
	Hit                // answered from the cache
	Miss               // nothing fitting was stored: the handler made the page
	Expired            // what was stored is past its time: the handler made the page anew
	Revalidated        // what was stored was past its time, and the handler said that it still holds
	Stale              // past its time, served because the handler failed, or because the client accepts that
	Updating           // past its time, served while the page is made anew
	Bypass             // the response forbids to store it, or cannot be stored
	Dynamic            // the request is none that a shared cache may answer
)

var statusNames = [...]string{"", "HIT", "MISS", "EXPIRED", "REVALIDATED", "STALE", "UPDATING", "BYPASS", "DYNAMIC"}

// String returns the word as it stands in the header.
func (s Status) String() string {
	if int(s) >= len(statusNames) {
		return ""
	}
	return statusNames[s]
}

// cacheStatus is what the status headers tell about one answer.
type cacheStatus struct {
	status     Status
	reason     Reason // why; None for a plain hit
	forward    Reason // why the handler ran; None when it did not
	fwdStatus  int    // what the handler answered, where that is not what the client gets
	stored     bool   // the answer is being stored
	collapsed  bool   // the answer was made for another request
	ttl        time.Duration
	hasTTL     bool
	received   time.Time // when the request came
	pattern    string    // of the route that made the page, if it was made earlier
	background bool      // no client: a background refresh
}

// report counts the answer to r, tells the observer, adds the status fields to h, and takes off what clients do not get. room is a slice to cut the two values from, or nil.
func (e *Engine) report(h http.Header, r *http.Request, a *cacheStatus, room []string) {
	e.decided(r, a)
	e.hideTags(h)
	e.status.write(h, a, room)
}

// hideTags takes the tags off a response that leaves, if Config.HideTags says so. What is stored keeps them.
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

// markPersonal makes a response that is passed on because of who asks say so, in its header h. A cache in front of this one may
// take no notice of a cookie or an API key, and would keep a response that only says how long.
//
// Deviation: RFC 9111, 5.2 has a cache pass directives on as they come. Off with Config.InsecureShareCookies.
func (e *Engine) markPersonal(h http.Header, req *rules.Request, status int) {
	if status == http.StatusSwitchingProtocols || !e.rules.IsPersonal(req, h) {
		return
	}
	for name := range h {
		if field.SpeaksToCaches(name) || slices.Contains(e.rules.TargetedFields, http.CanonicalHeaderKey(name)) {
			delete(h, name) // it would be obeyed in place of Cache-Control
		}
	}
	cc := field.ParseCacheControl(field.Canonical(h)["Cache-Control"])
	if cc.NoStore && !cc.MustUnderstand || cc.Private && len(cc.PrivateFields) == 0 && !cc.Public && !cc.SharedMaxAge.Set {
		return // it says so itself, in its own words
	}
	directive.Set(h, directive.Private)
}
