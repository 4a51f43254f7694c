package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/flight"
	"github.com/edgecache-go/edgecache/internal/l2"
	"github.com/edgecache-go/edgecache/internal/record"
	"github.com/edgecache-go/edgecache/internal/rules"
)

var (
	errEnded      = errors.New("edgecache: the handler's context had ended, so what it made may be less than the response")
	errIncomplete = errors.New("edgecache: body is not as long as its Content-Length, or a write of it panicked")
	errAborted    = errors.New("edgecache: handler did not return normally")
	errOriginLate = errors.New("edgecache: OriginError was called after the first byte of the body, so the page was not stored")
)

// lateError is an error status that came after the header.
type lateError int

func (s lateError) Error() string {
	return fmt.Sprintf("edgecache: status %d was said after the header, which said another, so the page was not stored: find out what can fail before the first byte, for instance by rendering into a buffer", int(s))
}

// result is what a flight tells those who wait for it: one of these.
type result struct {
	response  *response      // being made
	stored    *cache.Variant // what was stored holds
	confirmed bool           // because the handler said so
	failed    bool           // the handler failed: who may use a stale page should
	broken    bool           // and gave no answer at all
	again     bool           // its context had ended before it was done: one of the waiters leads again
}

// fetch runs the handler for one client, for the requests that wait for the same response, and for
// the cache.
//
// It is a plain GET: the client's conditions and ranges are taken off the request, so that the
// response is whole, and are then answered from it. The handler runs in the goroutine of its client's
// request, so its panic reaches that client's server loop and no other. What may be stored goes into a
// growing body, from which a second goroutine serves the client as soon as that is worth it: a slow
// client holds up neither the handler nor the waiters.
type fetch struct {
	record.Fill
	exchange
	handlerRun
	verdict
	delivery
	key    []byte // in name
	own    flight.Flight[result]
	flight *flight.Flight[result] // own, or that of a refresh
	place  place                  // while the handler runs for the cache
	posts  bool                   // the request is a POST
	asHead bool                   // the handler gets the HEAD as it is: it takes no GET
}

// handlerRun is one run of the handler. A fetch has a second one if the first did not answer it.
type handlerRun struct {
	in       *innerContext           // what goes in with the request
	ctx      context.Context         // the handler's
	stop     context.CancelCauseFunc // ends ctx; nil unless the client wants a part, or is a HEAD
	inner    *http.Request           // as the handler gets it
	snapshot requestSnapshot
	start    time.Time
	mark     l2.Mark // where the purges of the second level stood
	silent   bool    // the handler returned without writing: see unwritten
	cut      bool    // it was ended because its client, a HEAD, wants no more: see endHead
}

// verdict is what the handler's response turned out to be good for.
type verdict struct {
	now          time.Time // when the header came
	next         plan
	broken       bool        // if next is useStale: there was no answer at all
	unkeyed      bool        // it could be stored, but the handler has seen what is not in the key: see passesUnkeyed
	response     *response   // if next is keep
	responseRoom response    // for response
	grown        flight.Body // for its body
	unkept       Reason      // why the response turned out not to be kept
	stored       bool        // it has been announced as stored
	fields       http.Header // what the handler itself put on a 304
	edits        field.Edits // what it did there to the fields of middleware outside
}

// plan is what the handler's answer turned out to be good for.
type plan uint8

const (
	passOn   plan = iota // to the client only
	keep                 // to the client, to those who wait, and to the store
	refresh              // a 304: what is stored still holds
	useStale             // an error: what is stored is better
	askAgain             // a 304 that is not about what is stored
)

// lead runs the handler, answers the client, and tells those who wait.
func (f *fetch) lead(fl *flight.Flight[result]) {
	f.flight = fl
	defer fl.Finish()
	defer f.leaveBody()
	if f.restore() {
		return
	}
	e := f.handler.engine
	if !f.background && !f.alone { // refreshes have a limit of their own
		var ok bool
		if f.place, ok = e.places.enter(f.handler.next, f.r); !ok {
			f.alone = true
		}
	}
	defer f.place.leave()
	f.in = newInnerContext(f.r)
	f.in.edge, f.in.Context, f.in.refreshes = e, &f.in.own, f.background
	fl.Begin(&f.in.own, f.r.Context())
	defer fl.End()
	ctx := context.Context(f.in)
	if at, ok := f.r.Context().Deadline(); ok && f.background {
		// A flight has the values of its leader's context only. The deadline of a refresh is for all who join it.
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, at)
		defer cancel()
	}
	if f.req.Head {
		ctx, f.stop = context.WithCancelCause(ctx)
		defer f.stop(nil)
	}
	f.ctx = ctx
	for f.run() {
		// The handler confirmed something that is not what we asked about (RFC 9111, 4.3.4), or is to answer a range itself.
		// Nothing has been sent; ask without a condition of ours.
		f.old, f.ctx = nil, ctx
	}
}

// ended reports whether the handler's context has ended: every client left before the header, or a deadline that
// middleware outside has set is over, or the response took too long to finish for the store alone. What the handler
// says from then on may be what it says when it gives up, so it is for the handler's own client at most.
func (f *fetch) ended() bool { return f.ctx.Err() != nil }

// abandoned reports whether the context has ended because the clients left. Then no failure of the handler is one of
// the origin. A deadline is another matter: the handler was too slow for whoever set it.
func (f *fetch) abandoned() bool {
	err := f.ctx.Err() // of a refresh it may tell of the deadline before its client's context does
	return err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(f.r.Context().Err(), context.DeadlineExceeded)
}

func (f *fetch) run() (again bool) {
	f.start = time.Now()
	f.next = passOn
	f.markL2()
	if f.plain && f.req.Range {
		f.ctx, f.stop = context.WithCancelCause(f.ctx) // which ends with the one above it
	}
	inner := f.passedOn()
	f.inner = inner
	writer := f.Init(f.w, f)
	returned := false
	defer func() {
		if returned {
			return
		}
		if f.cut || f.Stopped() {
			if p := recover(); p != nil {
				again = f.afterCut(p)
				return
			}
		}
		if f.old != nil && f.unsent() {
			if p := recover(); p != nil {
				again = false
				f.afterPanic(p)
				return
			}
		}
		f.abort()
	}()
	defer handBack(f.r, inner)
	f.handler.next.ServeHTTP(writer, inner)
	if f.unwritten() {
		returned = true
		f.r.Pattern = inner.Pattern
		return false
	}
	f.Finish()
	returned = true
	handBack(f.r, inner) // before the page is told about
	return f.complete()
}

// passedOn returns the request for the handler.
func (f *fetch) passedOn() *http.Request {
	inner := f.in.request(f.r, f.ctx)
	if f.inner != nil {
		own := *f.r.URL // the handler is asked again, and has had the other one
		inner.URL = &own
	}
	if f.req.Head && !f.asHead {
		f.asGet(inner)
	}
	if !f.asks() && !f.req.Conditional && !f.req.Range && !f.removesDirectives() && f.handler.engine.config.Observer == nil && writerIgnoresRequest(f.w) && !f.req.Scope.Respelled() && f.snapshot.take(f.r.Header) {
		if f.removesUnkeyed() {
			inner.Header = f.handler.engine.rules.WithoutUnkeyed(&f.req, f.r.Header)
		}
		return inner
	}
	f.snapshot.taken = false
	inner.Header = f.r.Header.Clone()
	if f.removesDirectives() {
		f.req.RemoveDirectives(inner.Header)
	}
	if f.removesUnkeyed() {
		f.handler.engine.rules.RemoveUnkeyed(&f.req, inner.Header)
	}
	if f.plain {
		f.req.Plain(inner.Header)
	}
	if f.asks() {
		f.ask(inner.Header)
	}
	return inner
}

// removesDirectives reports whether the client has sent directives that do not count. The answer to a POST may be stored, too,
// but nothing else of that request is in its key either.
func (f *fetch) removesDirectives() bool { return f.req.Steering && !f.posts }

// removesUnkeyed reports whether cookies and fields that the application does not read are taken off the request. What is
// passed on keeps them: a POST, and a request for what could not be stored lately; see passesUnkeyed.
func (f *fetch) removesUnkeyed() bool { return f.req.Unkeyed() && f.plain && !f.posts }

// passesUnkeyed reports whether the handler has seen what is not in the key, so that its answer must not be stored.
func (f *fetch) passesUnkeyed() bool { return f.req.Unkeyed() && !f.plain && !f.posts }

// asks reports whether the handler is asked if what is stored still holds.
func (f *fetch) asks() bool { return f.plain && f.old != nil && f.old.Asks() }

// ask puts the conditions on h that ask it.
func (f *fetch) ask(h http.Header) {
	v := f.old.Validators()
	v.Ask(h)
}

// Commit decides what the answer is good for, when its status and header are known.
func (f *fetch) Commit(status int) {
	if f.silent {
		f.passLate()
		return
	}
	f.now = time.Now()
	e := f.handler.engine
	header := f.Header()
	_, broken := header[OriginErrorField]
	delete(header, OriginErrorField)
	if f.in.slot.claimed(header, f.r) {
		f.passStatic()
		return
	}
	if f.req.Head && (f.asHead || takesNoGet(status)) {
		f.withoutGet(status, header)
		return
	}
	if status == http.StatusNotModified && f.asks() {
		f.next = refresh
		f.fields, f.edits = f.Own()
		if v := f.old.Validators(); !v.Confirmed(header) {
			f.next = askAgain
		}
		f.Discard()
		return
	}
	if (broken || isFailure(status)) && !f.abandoned() && f.staleUsable(broken, f.now) {
		f.next, f.broken = useStale, broken
		f.shareFailure(broken)
		f.Discard()
		return
	}
	canonical := f.withOuterVary(field.Canonical(header))
	e.warn(f.inner, canonical)
	var meta rules.Meta
	reason := rules.Unreachable
	switch {
	case f.alone:
		reason = rules.Busy
	case broken: // Unreachable
	case f.ended():
		reason = rules.Aborted
	default:
		if meta, reason = f.store(status, canonical); reason == rules.None && f.Declared() < 0 && len(canonical["Content-Type"]) == 0 && rules.IsLikelyEndless(canonical, f.First()) {
			reason = rules.Stream
		}
	}
	if reason == rules.None && !f.plain && !f.posts && (status == http.StatusPreconditionFailed || status == http.StatusRequestedRangeNotSatisfiable) {
		reason = rules.Status // about this request's conditions, which the handler has seen, not about the page
	}
	if reason == rules.None && f.passesUnkeyed() {
		reason = f.refused // this time once more; the next request makes what can be stored
		f.unkeyed = true
	}
	limit := e.cache.MaxBody() - footprint(canonical, f.key)
	if reason == rules.None && (limit <= 0 || f.Declared() > limit) {
		reason = rules.TooLarge
	}
	if reason != rules.None {
		if reason == rules.CSPNonce && nonceIn(f.w.Header()) {
			e.warnedOnce(f.inner, f.pattern(), errNonceOutside)
		}
		f.passOn(status, canonical, f.knownReason(status, reason))
		return
	}
	f.next = keep
	p := &f.responseRoom
	own, edits := f.Own()
	*p = response{
		status: status, header: own, edits: edits, groups: slices.Clone(canonical["Cache-Groups"]), meta: meta, declared: f.Declared(), came: f.now,
		body: f.grown.Init(limit, f.Declared()), limit: limit, scope: f.scope,
		variant: f.snapshot.variant(meta.Vary, f.r.Header, &f.req.Scope), prefers: &f.prefers,
	}
	p.choose(canonical)
	field.RemoveHopByHop(p.header)
	for _, name := range meta.Strip {
		delete(p.header, name)
	}
	p.edits.Prune(p.header)
	if _, ok := p.header["Date"]; !ok {
		p.header["Date"] = e.dates.of(f.now) // net/http would add that of each hit
	}
	p.encodable = e.config.Compress && e.encodable(status, without(canonical, meta.Strip), meta.Vary, meta.ETag) && (p.declared < 0 || coding.MinSize <= p.declared && p.declared <= coding.MaxSize)
	f.response = p
	p.body.Draw(e.cache, f)
	p.body.Pin(e.cache.ReadRoom())
	f.Keep(p.body)
	p.body.Hold(f.flight)
	f.flight.OnStartedReading(p.body)
	f.flight.Pin()
	if field.IsIncremental(canonical["Incremental"]) {
		p.body.Live()
		f.flight.Release()
	} else {
		f.flight.Share(result{response: p})
	}
	if !f.posts { // a POST has no use for conditions on what a GET would show, nor for ranges of it
		f.plan()
	}
}

// withOuterVary returns h, the handler's header, with what middleware outside has put into Vary, whatever the handler did to that: it decides, too. It leaves h as it is.
func (f *fetch) withOuterVary(h http.Header) http.Header {
	outer := f.OuterVary()
	if len(outer) == 0 {
		return h
	}
	if own := h["Vary"]; len(own) > 0 {
		if united := field.UniteVary(outer, own); &united[0] == &own[0] {
			return h
		}
	}
	h = maps.Clone(h)
	f.UniteVary(h)
	return h
}

// footprint is what an object with this header and key takes in memory beside its body, in bytes, rounded up.
func footprint(h http.Header, k []byte) int64 {
	n := int64(1<<10 + 2*len(k))
	for name, values := range h {
		n += int64(2*len(name)) + 128
		for _, v := range values {
			n += int64(len(v)) + 32
		}
	}
	return n
}

func (f *fetch) store(status int, header http.Header) (rules.Meta, Reason) {
	e := f.handler.engine
	if f.posts {
		return e.rules.StorePost(f.r, &f.req, status, header, f.start, f.now)
	}
	return e.rules.Store(&f.req, status, header, f.start, f.now)
}

// passOn gives an answer that is not stored to the client alone. Its conditions and ranges, which the handler did not see, are answered here where the header suffices.
func (f *fetch) passOn(status int, header http.Header, reason Reason) {
	e := f.handler.engine
	if reason == rules.ContentLocation {
		reason = rules.Method // nobody expects a POST to be stored
	}
	if f.background && f.old != nil && reason != rules.Unreachable && reason != rules.Aborted {
		f.old.Recovered()
	}
	f.place.leave()
	f.refuse(reason)
	if reason == rules.Aborted {
		f.flight.Share(result{again: true})
	}
	f.flight.Release() // only now, so that who comes after the release does not wait for the next one
	if f.plain && f.req.Conditional {
		v := rules.ValidatorsOf(header, f.now)
		if v.Condition(f.r.Header, status, f.now) == rules.Unmodified {
			f.notModified(reason)
			f.Discard()
			f.halt()
			return
		}
	}
	if f.plain && f.req.Range && f.passPart(status, header, reason) {
		return
	}
	a := f.cacheStatus(reason)
	h := f.Direct()
	e.markPersonal(h, &f.req, status)
	e.report(h, f.r, &a, f.room[:0])
	f.sendDirect()
}

// passStatic gives a static file to the client alone: it is in memory or in the system's cache already, and conditions and ranges have been answered.
func (f *fetch) passStatic() {
	e := f.handler.engine
	if f.old != nil && !f.ended() && (f.Status() < 400 || tellsOfURL(f.Status())) {
		e.discard(f.key, f.old)
	}
	f.flight.Release()
	a := f.in.slot.account
	a.received, a.background = f.received, f.background
	e.report(f.Direct(), f.inner, &a, f.room[:0])
	f.sendDirect()
}

// refuse notes that the answer is not stored, if that says something about what is stored for the URL, and about the next answer.
// One to another Accept than what is stored is for does not.
func (f *fetch) refuse(reason Reason) {
	switch reason {
	case rules.RequestNoStore, rules.Unreachable, rules.Busy, rules.Aborted, rules.Head:
		return
	}
	if f.unkeyed {
		f.handler.engine.cache.ForgetRefusal(f.key, f.scope, f.class)
		return
	}
	if !f.posts && f.reason != rules.Accept && tellsOfURL(f.Status()) {
		f.handler.engine.refuse(f.key, f.scope, f.class, f.old, reason, f.now)
	}
}

// tellsOfURL reports whether an answer with this status that is not stored says something about its URL: a success does, and
// that there is nothing. Any other may be about the request alone: its address, its rate, what it accepts, a condition, a range.
// Whoever gets such an answer must not take the page from others.
func tellsOfURL(status int) bool {
	switch status {
	case http.StatusNotFound, http.StatusGone, http.StatusUnavailableForLegalReasons:
		return true
	case http.StatusPartialContent:
		return false
	}
	return status >= 200 && status <= 299
}

// complete ends a fill whose handler returned normally.
func (f *fetch) complete() (again bool) {
	e := f.handler.engine
	switch f.next {
	case askAgain:
		return true
	case useStale:
		f.serveStale(f.broken)
	case refresh:
		f.freshen()
	case keep:
		if f.cut {
			f.forgo()
			return false
		}
		err := f.end()
		if err != nil {
			f.flight.Finish() // before waiters learn that this response is lost: they must not find it again
		}
		f.response.body.Close(err)
		if failed, broken := f.failed(err); failed && f.mayServeStale(broken) {
			f.serveStale(broken)
			return false
		}
		var v *cache.Variant
		lost := rules.None // why it is not kept
		late := e.tooLate(f.inner, f.Said("Cache-Control"), f.Header()["Cache-Control"])
		if body, ok := f.response.body.Object(); ok && !late {
			v = e.cache.NewVariant(f.response.sealed(body, f.old), tagNames(f.response.groups, f.key), f.flight.Began, f.r.Pattern)
			v.SetMadeFor(&f.prefers, f.reason == rules.Accept)
			e.cache.Inherit(v, f.old, f.key)
			if f.reason == rules.Accept && e.cache.Repeats(f.key, v, &f.req, f.now) {
				// What is stored already answers the next request of this kind.
			} else {
				if e.cache.AskedAgain(f.key, v, f.flight.Joined()) {
					v.Touch()
				}
				if e.cache.Publish(f.key, v, f.old, f.class) {
					f.response.body.Stored(v.Body)
				} else if lost = rules.Busy; f.purged(v) {
					lost = rules.Purged
				}
				f.putL2(v)
			}
		} else if errors.Is(err, errEnded) {
			// What it made says nothing about the next response.
		} else if late {
			f.refuse(rules.NoStore)
		} else if f.response.body.Outgrown() {
			f.outgrown()
		}
		f.place.leave()
		f.flight.Finish() // its client may be slow; that is no reason for others to wait for what is past
		f.finish(v)
		switch {
		case lost != rules.None || v != nil:
		case late:
			lost = rules.NoStore
		case errors.Is(err, errIncomplete):
			lost = rules.Incomplete
		case f.unkept != rules.None:
			lost = f.unkept
		default:
			lost = rules.Aborted
		}
		f.tellUnkept(lost, err)
	}
	return false
}

// tellUnkept tells that a response is not kept, for the given reason, if it was announced as stored. err is what was wrong with it.
func (f *fetch) tellUnkept(reason Reason, err error) {
	if f.stored && reason != rules.None {
		f.handler.engine.tell(Event{Kind: Unkept, Request: f.r, Pattern: f.pattern(), Reason: reason, Err: err})
	}
}

// end says whether the body that the handler wrote is the whole response.
func (f *fetch) end() error {
	if f.ended() {
		return errEnded // whatever length it declared: a handler that gives up may well give a shorter response
	}
	if late := f.Late(); late != 0 {
		return lateError(late)
	}
	if _, broken := f.Header()[OriginErrorField]; broken {
		return errOriginLate
	}
	if !f.Complete() {
		return errIncomplete
	}
	return nil
}

// failed tells of a page that is not whole, for the reason err, and reports whether the handler failed: then a stale page may stand in for it, as for no answer at all if broken.
func (f *fetch) failed(err error) (failed, broken bool) {
	if err == nil || f.abandoned() {
		return false, false
	}
	ev := Event{Kind: Failed, Request: f.r, Pattern: f.pattern(), Reason: rules.Incomplete, Err: err}
	failed, broken = true, true
	late := lateError(0)
	switch {
	case errors.As(err, &late):
		ev.Kind, ev.Reason = Warned, rules.Aborted
		failed, broken = isFailure(int(late)), false
	case errors.Is(err, errOriginLate):
		ev.Kind, ev.Reason = Warned, rules.Aborted
	case !errors.Is(err, errIncomplete):
		return failed, broken // a deadline had passed: that is no news
	}
	if ev.Kind == Warned {
		f.handler.engine.warnedOf(ev)
	} else {
		f.handler.engine.tell(ev)
	}
	return failed, broken
}

// freshen takes a 304 into what is stored and answers with that (RFC 9111, 4.3.4).
func (f *fetch) freshen() {
	e := f.handler.engine
	v, reason := e.freshened(f.key, f.old, &update{f.fields, f.edits, f.w.Header()}, &f.req, f.r, f.flight.Began, f.start, f.now)
	a := f.newStatus(Revalidated, rules.Revalidated)
	a.fwdStatus, a.pattern = http.StatusNotModified, v.Pattern.Value()
	switch {
	case f.ended():
		f.flight.Share(result{again: true}) // good for this answer only
	case f.Late() != 0:
		f.failed(lateError(f.Late())) // it confirmed nothing
	case reason == rules.None:
		a.stored = e.cache.Replace(f.key, v, f.old, f.class)
		f.putL2(v)
		f.flight.Share(result{stored: v, confirmed: true})
		a.ttl, a.hasTTL = v.Terms.TTL(f.now), true
	case f.class != cache.Anonymous || reason == rules.RequestNoStore:
		a.reason = reason // about this request
	default:
		// A 304 has the Cache-Control that a 200 would have (RFC 9110, 15.4.5).
		e.discard(f.key, f.old)
		a.reason = reason
	}
	// A cookie on a 304 is no part of the page, but it is for this client. So is what belongs to this exchange.
	for name, lines := range f.fields {
		if name == "Set-Cookie" && len(lines) > 0 || e.rules.Drops(name) {
			f.w.Header()[name] = lines
		}
	}
	f.flight.Finish()
	e.deliver(f.w, f.r, &f.req, v, f.now, &a)
}
