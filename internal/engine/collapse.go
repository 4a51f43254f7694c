package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/flight"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// maxJoins is how often a request waits for a flight that turns out to make another variant, before it runs alone.
const maxJoins = 2

// fetchOrJoin makes the page, or waits for another request that is making it.
// vary names the request fields by which the page is expected to vary: who differs in those does not wait.
func (f *fetch) fetchOrJoin(vary []string, collapse bool) {
	e := f.handler.engine
	if f.old != nil && (f.reason == rules.NoCache || f.old.Terms.Lifetime() <= 0) {
		collapse = false // each of those who wait would have to ask again
	}
	for range maxJoins {
		if !collapse {
			break
		}
		f.vary = vary
		began, now := e.cache.Generation(), time.Now()
		fl, role := e.flights.Join(&f.own, f.flightID(vary), began, now, func(fl *flight.Flight[result]) bool {
			return f.mayJoin(fl, began, now)
		})
		if role != flight.Follow {
			f.alone = role == flight.Alone
			if v := f.recheck(fl); v != nil {
				v.Touch()
				a := cacheStatus{status: Hit, received: f.received, pattern: v.Pattern.Value()}
				e.deliver(f.w, f.r, &f.req, v, time.Now(), &a)
				return
			}
			f.lead(fl)
			return
		}
		result, outcome := fl.Wait(f.r.Context())
		done, next := f.collapse(fl, result, outcome, began)
		if f.gone {
			f.giveUp()
			return
		}
		if done {
			return
		}
		f.alone = outcome == flight.TimedOut
		collapse = next != nil
		vary = next
	}
	if f.req.Range && f.plain && f.old == nil && e.cache.Refused(f.key, f.scope, f.class, time.Now()) != rules.None {
		f.plain = false // who was waited for has found out that nothing is stored
	}
	f.lead(e.flights.Single(&f.own, e.cache.Generation(), time.Now()))
}

// recheck ends a flight whose page another one has stored since memory was looked at, and returns that page; nil if there is none that is fresh. Without this second look,
// a request that falls between the storing and the landing of one flight and its own place in the table would make the page once more.
func (f *fetch) recheck(fl *flight.Flight[result]) *cache.Variant {
	e := f.handler.engine
	res := e.cache.Peek(f.key)
	v := res.Find([]byte(f.scope), &f.req, f.r.Header)
	if v == nil || v == f.old || nonceOutside(f.w.Header(), v) {
		return nil
	}
	if f.purged(v) {
		return nil // a purge is on its way; those who join later may have come after it
	}
	if action, reason := v.Reuse(&e.rules, &f.req, time.Now()); action != rules.Serve || reason != rules.Fresh {
		return nil
	}
	fl.Share(result{stored: v})
	fl.Finish()
	return v
}

// purged reports whether v is older than a purge. Of one that has not left its mark yet it does not know: who shares v is to be asked again by those who get it.
func (f *fetch) purged(v *cache.Variant) bool {
	e := f.handler.engine
	return e.cache.PurgedSince(&f.marks, v.TagNames(), v.Gen)
}

// mayJoin reports whether a request that comes now may wait for fl, as far as that is known: not if a purge has come since it began, nor if what it has brought is past its time already.
func (f *fetch) mayJoin(fl *flight.Flight[result], came uint64, now time.Time) bool {
	e := f.handler.engine
	if e.cache.PurgedSince(&f.marks, nil, fl.Began) || fl.Away() {
		return false
	}
	switch result, _ := fl.Result(); {
	case result.again:
		return false
	case result.response != nil:
		action, _ := result.response.meta.Reuse(&e.rules, &f.req, now)
		return action != rules.Validate && !f.late(fl, tagNames(result.response.groups, f.key), came)
	case result.stored != nil:
		return !f.late(fl, result.stored.TagNames(), came)
	}
	return !f.late(fl, f.tags, came)
}

// flightID returns what those who wait for each other must have in common: the page, whether they carry credentials, and the fields by which the page is expected to vary.
// It begins with the key, which tells its own end, and stands behind that in its room.
func (f *fetch) flightID(vary []string) []byte {
	who := byte(f.class)
	if f.req.Origin {
		who |= 2 // what is made for others is often not for these, see rules.Terms.Fits
	}
	if f.req.Head {
		who |= 4 // its run ends early, see endHead
	}
	id := append(f.key, who) //nolint:gocritic // the room behind the key is there for this
	id = binary.AppendUvarint(id, uint64(len(f.scope)))
	id = append(id, f.scope...)
	return key.Variant(id, vary, f.r.Header, &f.req.Scope)
}

// collapse answers the client with what a flight that it waited for has brought. It reports false when the client must go on by itself; next then names the fields by which the page
// varies, if a flight with the same values is worth another wait. came is where the purge sequence stood when the request came.
func (f *fetch) collapse(fl *flight.Flight[result], result result, outcome flight.Outcome, came uint64) (done bool, next []string) {
	seated := false
	defer func() {
		if seated {
			fl.DoneReading()
		} else {
			fl.Leave()
		}
	}()
	e := f.handler.engine
	now := time.Now()
	switch {
	case outcome == flight.Left:
		f.gone = true
		return true, nil
	case outcome != flight.Shared:
		return false, nil
	case result.failed:
		if f.old == nil || !f.old.UsableOnError(&e.rules, &f.req, result.broken, now) {
			if result.again {
				return false, append([]string{}, f.vary...)
			}
			return false, nil
		}
		a := f.newStatus(Stale, rules.StaleIfError)
		a.collapsed = true
		if result.broken {
			a.reason = rules.StaleUnreachable
		}
		e.deliver(f.w, f.r, &f.req, f.old, now, &a)
		return true, nil
	case result.again:
		return false, append([]string{}, f.vary...)
	case result.stored != nil:
		v := result.stored
		if f.late(fl, v.TagNames(), came) || v.Gen < fl.Began && f.purged(v) {
			return false, append([]string{}, v.Vary()...)
		}
		if v.Rank(&f.prefers) == 0 {
			return false, byPreference(v.Vary())
		}
		if nonceOutside(f.w.Header(), v) || !f.fits(&v.Terms, v.Vary(), v.Selector().Variant, now) {
			return false, nil
		}
		a := f.collapsedStatus(v.Terms.TTL(now))
		if result.confirmed {
			a.fwdStatus = http.StatusNotModified
		}
		e.deliver(f.w, f.r, &f.req, v, now, &a)
		return true, nil
	}
	p := result.response
	if string(key.Values(nil, p.meta.Vary, f.r.Header, &f.req.Scope)) != p.variant {
		return false, p.meta.Vary
	}
	if !p.answers(&f.prefers) {
		return false, byPreference(p.meta.Vary)
	}
	if f.late(fl, tagNames(p.groups, f.key), came) {
		return false, append([]string{}, p.meta.Vary...) // one of those who came after the purge makes it anew for all of them
	}
	if nonceOutside(f.w.Header(), p.edits) || !f.fits(&p.meta.Terms, p.meta.Vary, p.variant, now) {
		return false, nil
	}
	if done, again := f.readAlong(p, now, func() { seated = true; fl.StartedReading() }); done || !again {
		return done, nil
	}
	return false, append([]string{}, p.meta.Vary...)
}

// late reports whether the page is too old for this request: one of its tags was purged after the flight began, and the request may have come after that. Who came before the purge may
// have the page; but a tag remembers its last purge only, so that goes for those who came before every purge.
func (f *fetch) late(fl *flight.Flight[result], tags []string, came uint64) bool {
	return fl.Began < came && f.handler.engine.cache.TagsPurgedSince(tags, fl.Began)
}

// fits reports whether a page that was made for another request may answer this one: by the fields that it varies by, by this client's credentials, and as fresh.
func (f *fetch) fits(t *rules.Terms, vary []string, variant string, now time.Time) bool {
	if string(key.Values(nil, vary, f.r.Header, &f.req.Scope)) != variant {
		return false
	}
	action, reason := t.Reuse(&f.handler.engine.rules, &f.req, now)
	return action == rules.Serve && reason == rules.Fresh // what is stale, and taken by max-stale, is no hit
}

// collapsedStatus is the account of a request that another one's answer serves. The handler did not run for it: to its client that is a hit.
func (f *fetch) collapsedStatus(ttl time.Duration) cacheStatus {
	a := f.newStatus(Hit, rules.Collapsed)
	a.collapsed, a.ttl, a.hasTTL = true, ttl, true
	return a
}

// readAlong answers the client from a page that is being made for another; seated is called when it has begun to read. It reports false when the page is lost before the client has got anything of it; again says that one of those who wait should lead then.
func (f *fetch) readAlong(p *response, now time.Time, seated func()) (done, again bool) {
	e := f.handler.engine
	ctx := f.r.Context()
	a := f.collapsedStatus(p.meta.TTL(now))
	status := p.status
	want, part := p.wanted(f.r, &f.req, now)
	if f.req.Head && want == wantsAll && p.declared < 0 {
		want = wantsWhole // which tells the length
	}
	offset, length := int64(0), int64(-1)
	var reader *flight.Reader
	switch want {
	case wantsWhole:
		if reader = p.body.Reader(); reader == nil {
			return false, false
		}
		defer reader.Close()
		err := p.body.Done(ctx)
		if err == nil {
			body, _ := p.body.Object()
			e.deliver(f.w, f.r, &f.req, e.cache.NewVariant(p.sealed(body, nil), nil, 0, ""), now, &a)
			return true, false
		}
		if errors.Is(err, flight.ErrLive) {
			return false, false
		}
		if !errors.Is(err, flight.ErrOutgrown) {
			return f.lost(err)
		}
		// It will never be there as a whole. All of it, as it comes, answers any request (RFC 9110, 14.2).
	case wantsNothing:
		status = http.StatusNotModified
	case wantsPart:
		offset, length = part.Start, part.Length
		fallthrough
	case wantsAll:
		// Until there is enough of it to be worth sending, a page that breaks off can still be made again.
		if err := p.body.Ready(ctx, sendAt); err != nil {
			return f.lost(err)
		}
	}
	if reader == nil {
		if reader = p.body.Reader(); reader == nil {
			return false, false // it has outgrown what is kept: too late to get on
		}
		defer reader.Close()
	}
	seated()

	h := f.w.Header()
	e.applyHeader(h, p.header, p.edits)
	h["Age"] = []string{strconv.FormatInt(int64(p.meta.Age(now)/time.Second), 10)}
	switch want {
	case wantsNothing:
		dropRepresentationHeaders(h)
	case wantsPart:
		status = http.StatusPartialContent
		h["Content-Range"] = []string{contentRange(offset, length, p.declared)}
		h["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	}
	p.describe(h, f.r, &f.req, want == wantsNothing, now)
	e.report(h, f.r, &a, nil)
	f.w.WriteHeader(status)
	if want == wantsNothing || f.req.Head || !object.BodyAllowed(status) {
		return true, false
	}
	err := copyBody(ctx, f.w, reader, offset, length)
	reader.Close()
	if err != nil || reader.LetGo() {
		panic(http.ErrAbortHandler) // the client must not take what it got for the page
	}
	return true, false
}

// lost tells what to do about a page that cannot be had, before the client has got anything: a stale one will do where it may. Else all who waited would run into the same failure.
// again says that the handler's context had ended, so that one of them should lead.
func (f *fetch) lost(err error) (done, again bool) {
	if f.r.Context().Err() != nil && errors.Is(err, context.Cause(f.r.Context())) {
		f.gone = true
		return true, false
	}
	now := time.Now()
	if !f.staleUsable(true, now) {
		return false, errors.Is(err, errEnded)
	}
	a := f.newStatus(Stale, rules.StaleUnreachable)
	a.collapsed = true
	f.handler.engine.deliver(f.w, f.r, &f.req, f.old, now, &a)
	return true, false
}

// giveUp ends a request that waited in vain until its context ended. If its client has left, nobody is there to be answered; if the time that somebody gave it is over, the handler is
// to say so: it would have seen that, too.
func (f *fetch) giveUp() {
	if errors.Is(f.r.Context().Err(), context.DeadlineExceeded) {
		e := f.handler.engine
		f.alone = true
		f.lead(e.flights.Single(&f.own, e.cache.Generation(), time.Now()))
		return
	}
	panic(http.ErrAbortHandler)
}
