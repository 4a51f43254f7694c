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

// maxJoins is how often a request waits for a flight that turns out to make another variant, before it runs alone.
const maxJoins = 2

// fetchOrJoin makes the page, or waits for another request that is making it.
// vary names the request fields by which the page is expected to vary: who differs in those does not wait.
func (x *exchange) fetchOrJoin(vary []string, collapse bool) {
	e := x.handler.engine
	if x.old != nil && (x.reason == rules.NoCache || x.old.Terms.Lifetime() <= 0) {
		collapse = false // each of those who wait would have to ask again
	}
	for range maxJoins {
		if !collapse {
			break
		}
		x.expected.vary = vary
		began, now := e.cache.Generation(), time.Now()
		var f *fetch
		var room [256]byte
		fl, role := e.flights.Join(x.flightID(room[:0], vary), began, now, func(fl *flight.Flight[result]) bool {
			return x.mayJoin(fl, began, now)
		}, func() (*flight.Flight[result], []byte) {
			f = x.newFetch()
			return &f.own, f.flightID(f.key[:0], vary) // which begins with the key
		})
		if role != flight.Follow {
			f.alone = role == flight.Alone
			if v := x.recheck(fl); v != nil {
				v.Touch()
				a := cacheStatus{status: Hit, received: x.received, pattern: v.Pattern.Value()}
				e.deliver(x.w, x.r, &x.req, v, time.Now(), &a)
				return
			}
			f.lead(fl)
			return
		}
		result, outcome := fl.Wait(x.r.Context())
		done, next := x.collapse(fl, result, outcome, began)
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
	if x.req.Range && x.plain && x.old == nil && e.cache.Refused(x.name.bytes(), x.scope, x.class, time.Now()) != rules.None {
		x.plain = false // who was waited for has found out that nothing is stored
	}
	x.leadAlone()
}

// recheck ends a flight whose page another one has stored since memory was looked at, and returns that page; nil if there is none that is fresh. Without this second look,
// a request that falls between the storing and the landing of one flight and its own place in the table would make the page once more.
func (x *exchange) recheck(fl *flight.Flight[result]) *cache.Variant {
	e := x.handler.engine
	res := e.cache.Peek(x.name.bytes())
	v := res.Find([]byte(x.scope), &x.req, x.r.Header)
	if v == nil || v == x.old || nonceOutside(x.w.Header(), v) {
		return nil
	}
	if x.purged(v) {
		return nil // a purge is on its way; those who join later may have come after it
	}
	if action, reason := v.Reuse(&e.rules, &x.req, time.Now()); action != rules.Serve || reason != rules.Fresh {
		return nil
	}
	fl.Share(result{stored: v})
	fl.Finish()
	return v
}

// purged reports whether v is older than a purge. Of one that has not left its mark yet it does not know: who shares v is to be asked again by those who get it.
func (x *exchange) purged(v *cache.Variant) bool {
	e := x.handler.engine
	return e.cache.PurgedSince(&x.marks, v.TagNames(), v.Gen)
}

// mayJoin reports whether a request that comes now may wait for fl, as far as that is known: not if a purge has come since it began, nor if what it has brought is past its time already.
func (x *exchange) mayJoin(fl *flight.Flight[result], came uint64, now time.Time) bool {
	e := x.handler.engine
	if e.cache.PurgedSince(&x.marks, nil, fl.Began) || fl.Away() {
		return false
	}
	switch result, _ := fl.Result(); {
	case result.again:
		return false
	case result.response != nil:
		action, _ := result.response.meta.Reuse(&e.rules, &x.req, now)
		return action != rules.Validate && !x.late(fl, tagNames(result.response.groups, x.name.bytes()), came)
	case result.stored != nil:
		return !x.late(fl, result.stored.TagNames(), came)
	}
	return !x.late(fl, x.expected.tags, came)
}

// flightID appends what requests that wait for each other must have in common: the URL, whether they
// carry credentials, and the fields by which the response is expected to vary. It begins with the key,
// which tells its own end.
func (x *exchange) flightID(id []byte, vary []string) []byte {
	who := byte(x.class)
	if x.req.Origin {
		who |= 2 // what is made for others is often not for these, see rules.Terms.Fits
	}
	if x.req.Head {
		who |= 4 // its run ends early, see endHead
	}
	id = append(append(id, x.name.bytes()...), who)
	id = binary.AppendUvarint(id, uint64(len(x.scope)))
	id = append(id, x.scope...)
	return key.Variant(id, vary, x.r.Header, &x.req.Scope)
}

// collapse answers the client with what a flight that it waited for has brought. It returns false if
// the client must go on by itself; next then names the fields by which the response varies, if a flight
// with the same values is worth another wait. came is where the purge sequence stood when the request
// came.
func (x *exchange) collapse(fl *flight.Flight[result], res result, outcome flight.Outcome, came uint64) (done bool, next []string) {
	reading := false
	defer func() {
		if reading {
			fl.DoneReading()
		} else {
			fl.Leave()
		}
	}()
	switch {
	case outcome == flight.Left:
		x.gone = true
		return true, nil
	case outcome != flight.Shared:
		return false, nil
	case res.failed && x.serveStaleCollapsed(res.broken):
		return true, nil
	case res.again:
		return false, again(x.expected.vary)
	case res.failed:
		return false, nil
	case res.stored != nil:
		return x.collapseStored(fl, &res, came)
	}
	return x.collapseGrowing(fl, res.response, came, func() { reading = true; fl.StartedReading() })
}

// again returns the fields for another wait with the same ones; it is never nil.
func again(vary []string) []string { return append([]string{}, vary...) }

// serveStaleCollapsed answers with what is stored because the handler of another request has failed.
func (x *exchange) serveStaleCollapsed(broken bool) bool {
	now := time.Now()
	if x.old == nil || !x.old.UsableOnError(&x.handler.engine.rules, &x.req, broken, now) {
		return false
	}
	a := x.newStatus(Stale, rules.StaleIfError)
	a.collapsed = true
	if broken {
		a.reason = rules.StaleUnreachable
	}
	x.handler.engine.deliver(x.w, x.r, &x.req, x.old, now, &a)
	return true
}

// collapseStored is collapse for a flight that has brought a stored response.
func (x *exchange) collapseStored(fl *flight.Flight[result], res *result, came uint64) (done bool, next []string) {
	v, now := res.stored, time.Now()
	switch {
	case x.late(fl, v.TagNames(), came) || v.Gen < fl.Began && x.purged(v):
		return false, again(v.Vary())
	case v.Rank(&x.prefers) == 0:
		return false, byPreference(v.Vary())
	case nonceOutside(x.w.Header(), v) || !x.fits(&v.Terms, v.Vary(), v.Selector().Variant, now):
		return false, nil
	}
	a := x.collapsedStatus(v.Terms.TTL(now))
	if res.confirmed {
		a.fwdStatus = http.StatusNotModified
	}
	x.handler.engine.deliver(x.w, x.r, &x.req, v, now, &a)
	return true, nil
}

// collapseGrowing is collapse for a response in progress. started is called when the client has begun to
// read it.
func (x *exchange) collapseGrowing(fl *flight.Flight[result], p *response, came uint64, started func()) (done bool, next []string) {
	now := time.Now()
	switch {
	case string(key.Values(nil, p.meta.Vary, x.r.Header, &x.req.Scope)) != p.variant:
		return false, p.meta.Vary
	case !p.answers(&x.prefers):
		return false, byPreference(p.meta.Vary)
	case x.late(fl, tagNames(p.groups, x.name.bytes()), came):
		return false, again(p.meta.Vary) // one of those that came after the purge renders it for all of them
	case nonceOutside(x.w.Header(), p.edits) || !x.fits(&p.meta.Terms, p.meta.Vary, p.variant, now):
		return false, nil
	}
	done, retry := x.readAlong(p, now, started)
	if !done && retry {
		return false, again(p.meta.Vary)
	}
	return done, nil
}

// late reports whether the page is too old for this request: one of its tags was purged after the flight began, and the request may have come after that. Who came before the purge may
// have the page; but a tag remembers its last purge only, so that goes for those who came before every purge.
func (x *exchange) late(fl *flight.Flight[result], tags []string, came uint64) bool {
	return fl.Began < came && x.handler.engine.cache.TagsPurgedSince(tags, fl.Began)
}

// fits reports whether a page that was made for another request may answer this one: by the fields that it varies by, by this client's credentials, and as fresh.
func (x *exchange) fits(t *rules.Terms, vary []string, variant string, now time.Time) bool {
	if string(key.Values(nil, vary, x.r.Header, &x.req.Scope)) != variant {
		return false
	}
	action, reason := t.Reuse(&x.handler.engine.rules, &x.req, now)
	return action == rules.Serve && reason == rules.Fresh // what is stale, and taken by max-stale, is no hit
}

// leadAlone runs the handler for this request; no other can join.
func (x *exchange) leadAlone() {
	e := x.handler.engine
	f := x.newFetch()
	f.lead(e.flights.Single(&f.own, e.cache.Generation(), time.Now()))
}
