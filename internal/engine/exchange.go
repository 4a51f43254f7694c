package engine

import (
	"encoding/binary"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/flight"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// exchange is one client's request that nothing stored answers. It waits for the fetch of another
// request, or becomes a fetch itself.
type exchange struct {
	handler    *handler
	w          http.ResponseWriter
	r          *http.Request // as it came, but the handler may have its header: see requestSnapshot
	req        rules.Request
	received   time.Time
	prefers    cache.Preferences // of r, as it came
	class      cache.Class
	name       shortBytes // the primary key, with room for the rest of a flight's ID
	scope      string
	marks      cache.Marks    // where purges of the URL are marked
	reason     Reason         // why nothing stored could be used
	hitForMiss Reason         // why a response could not be stored lately; None also if unknown
	old        *cache.Variant // what is validated or replaced; nil if there is nothing
	expected   expectation    // of the response
	plainGET   bool           // see plain GET in docs/architecture.md; false right after a hit-for-miss
	background bool           // a refresh: no client waits
	alone      bool           // the cache is overloaded: the response is not stored
	gone       bool           // the client left while it waited for another request's response
}

// expectation is what a response will probably be like, judged by what was stored last.
type expectation struct {
	tags []string
	vary []string // the request fields that it depends on
}

func (h *handler) newExchange(w http.ResponseWriter, r *http.Request, req *rules.Request, k, scope []byte, reason Reason, received time.Time) exchange {
	x := exchange{
		handler: h, w: w, r: r, req: *req, reason: reason, received: received,
		scope: string(scope), class: cache.ClassOf(req),
	}
	x.prefers = cache.PreferencesOf(r.Header, &x.req.Scope)
	x.name.set(k)
	var hosts []string
	if x.scope != "" {
		hosts = key.Hosts(nil, x.scope)
	}
	x.marks = h.engine.cache.Marks(k, hosts)
	return x
}

// newFetch returns the fetch that x becomes.
func (x *exchange) newFetch() *fetch {
	f := &fetch{exchange: *x, delivery: delivery{length: -1}}
	f.key = f.name.bytes()
	return f
}

// newStatus returns the status of this request, as far as it is known before the response.
func (x *exchange) newStatus(s Status, reason Reason) cacheStatus {
	return cacheStatus{status: s, forward: x.reason, reason: reason, received: x.received, background: x.background, pattern: x.pattern()}
}

// pattern is the route that rendered the response, as far as it is known.
func (x *exchange) pattern() string {
	if x.old != nil {
		return x.old.Pattern()
	}
	return x.r.Pattern
}

// staleUsable reports whether the stored response may be served because the handler failed. For a
// refresh it always may: it is still being served, and one failed attempt changes nothing. broken
// says that there was no answer at all.
func (x *exchange) staleUsable(broken bool, now time.Time) bool {
	return x.old != nil && (x.background || x.old.UsableOnError(&x.handler.engine.rules, &x.req, broken, now))
}

// fetchOrJoin fetches the response, or waits for another request that is fetching it. vary names
// the request fields by which the response is expected to vary: a request with other values does
// not wait.
func (x *exchange) fetchOrJoin(vary []string, collapse bool) {
	e := x.handler.engine
	if x.old != nil && (x.reason == rules.NoCache || x.old.Terms.Lifetime() <= 0) {
		collapse = false // each waiter would have to validate the response again
	}
	for range maxJoins {
		if !collapse {
			break
		}
		x.expected.vary = vary
		gen, now := e.cache.Generation(), time.Now()
		var f *fetch
		var room [256]byte
		fl, role := e.flights.Join(x.flightID(room[:0], vary), gen, now, func(fl *flight.Flight[result]) bool {
			return x.mayJoin(fl, gen, now)
		}, func() (*flight.Flight[result], []byte) {
			f = x.newFetch()
			return &f.own, f.flightID(f.key[:0], vary) // which begins with the key
		})
		if role != flight.Follow {
			f.alone = role == flight.Alone
			if v := x.recheck(fl); v != nil {
				v.Touch()
				a := cacheStatus{status: Hit, received: x.received, pattern: v.Pattern()}
				e.deliver(x.w, x.r, &x.req, v, time.Now(), &a)
				return
			}
			f.lead(fl)
			return
		}
		result, outcome := fl.Wait(x.r.Context())
		done, next := x.collapse(fl, result, outcome, gen)
		if x.gone {
			x.giveUp()
			return
		}
		if done {
			return
		}
		x.alone = outcome == flight.TimedOut
		collapse = next != nil
		vary = next
	}
	if x.req.Range && x.plainGET && x.old == nil {
		x.askAsItCame() // if the flight that it waited for was not stored
	}
	x.leadAlone()
}

// askAsItCame has the handler see the request as it came, if the URL is a hit-for-miss by now, and
// reports whether it does. The reason goes with that: what the handler has then seen beside the key
// must not be stored, see passesUnkeyed.
func (x *exchange) askAsItCame() bool {
	x.hitForMiss = x.handler.engine.cache.HitForMiss(x.name.bytes(), x.scope, x.class, time.Now())
	x.plainGET = x.hitForMiss == rules.None
	return !x.plainGET
}

// recheck looks for a response that another flight has stored since the lookup. It ends fl with
// that response and returns it, or returns nil if there is no fresh one. Without this second look,
// the response would be fetched twice if another flight stores it and finishes between the lookup
// of this request and its Join.
func (x *exchange) recheck(fl *flight.Flight[result]) *cache.Variant {
	e := x.handler.engine
	res := e.cache.Peek(x.name.bytes())
	v := res.Find([]byte(x.scope), &x.req, x.r.Header)
	if v == nil || v == x.old || nonceOutside(x.w.Header(), v) {
		return nil
	}
	if x.purged(v) {
		return nil // a purge is in progress; requests that join later may have come after it
	}
	if action, reason := v.Reuse(&e.rules, &x.req, time.Now()); action != rules.Serve || reason != rules.Fresh {
		return nil
	}
	fl.Share(result{stored: v})
	fl.Finish()
	return v
}

// purged reports whether v is older than a purge. It misses a purge that is still being recorded,
// so waiters check again after v is shared with them.
func (x *exchange) purged(v *cache.Variant) bool {
	e := x.handler.engine
	return e.cache.PurgedSince(&x.marks, v.TagNames(), v.Gen)
}

// mayJoin reports whether a request that comes now may wait for fl, as far as that is known. It may
// not if a purge came after fl began, or if the result of fl is too old already.
func (x *exchange) mayJoin(fl *flight.Flight[result], gen uint64, now time.Time) bool {
	e := x.handler.engine
	if e.cache.PurgedSince(&x.marks, nil, fl.Gen) || fl.Away() {
		return false
	}
	switch result, _ := fl.Result(); {
	case result.again:
		return false
	case result.response != nil:
		action, _ := result.response.meta.Reuse(&e.rules, &x.req, now)
		return action != rules.Validate && !x.late(fl, tagNames(result.response.groups, x.name.bytes()), gen)
	case result.stored != nil:
		return !x.late(fl, result.stored.TagNames(), gen)
	}
	return !x.late(fl, x.expected.tags, gen)
}

// flightID appends what requests that wait for each other must have in common: the URL, whether
// they carry credentials, and the fields by which the response is expected to vary. It begins with
// the key, which tells its own end.
func (x *exchange) flightID(id []byte, vary []string) []byte {
	kind := byte(x.class)
	if x.req.Origin {
		kind |= 2 // others' responses often do not fit requests with Origin, see rules.Terms.Fits
	}
	if x.req.Head {
		kind |= 4 // its run ends early, see endHead
	}
	id = append(append(id, x.name.bytes()...), kind)
	id = binary.AppendUvarint(id, uint64(len(x.scope)))
	id = append(id, x.scope...)
	return key.Variant(id, vary, x.r.Header, &x.req.Scope)
}

// late reports whether the response of fl is too old for this request: one of its tags was purged
// after fl began, and the request may have come after that. A request from before the purge may
// have the response. But a tag remembers only its last purge, so this holds only if no purge at all
// lies between the two.
func (x *exchange) late(fl *flight.Flight[result], tags []string, gen uint64) bool {
	return fl.Gen < gen && x.handler.engine.cache.TagsPurgedSince(tags, fl.Gen)
}

// leadAlone runs the handler for this request alone; no other request can join.
func (x *exchange) leadAlone() {
	e := x.handler.engine
	f := x.newFetch()
	f.lead(e.flights.Single(&f.own, e.cache.Generation(), time.Now()))
}

// maxJoins is how many flights a request waits for before it runs alone. One is not enough if the
// flight turns out to make another variant.
const maxJoins = 2
