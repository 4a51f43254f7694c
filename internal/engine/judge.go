package engine

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// Commit decides what the response is good for, when its status and header are known.
func (f *fetch) Commit(status int) {
	if f.silent {
		f.passLate()
		return
	}
	f.now = time.Now()
	header := f.Header()
	_, broken := header[OriginErrorField]
	delete(header, OriginErrorField)
	switch {
	case f.in.slot.claimed(header, f.r):
		f.passStatic()
	case f.req.Head && (f.asHead || takesNoGet(status)):
		f.withoutGet(status, header)
	case status == http.StatusNotModified && f.asks():
		f.next = refresh
		f.fields, f.edits = f.Own()
		if v := f.old.Validators(); !v.Confirmed(header) {
			f.next = askAgain
		}
		f.Discard()
	case (broken || isFailure(status)) && !f.abandoned() && f.staleUsable(broken, f.now):
		f.next, f.broken = useStale, broken
		f.shareFailure(broken)
		f.Discard()
	default:
		canonical := f.withOuterVary(field.Canonical(header))
		f.handler.engine.warn(f.inner, canonical)
		f.keepOrPass(status, canonical, broken)
	}
}

// keepOrPass stores a response with this header, as soon as its body is there, or passes it on.
func (f *fetch) keepOrPass(status int, header http.Header, broken bool) {
	e := f.handler.engine
	meta, reason := f.mayStore(status, header, broken)
	limit := e.cache.MaxBody() - footprint(header, f.key)
	if reason == rules.None && (limit <= 0 || f.Declared() > limit) {
		reason = rules.TooLarge
	}
	if reason != rules.None {
		if reason == rules.CSPNonce && nonceIn(f.w.Header()) {
			e.warnedOnce(f.inner, f.pattern(), errNonceOutside)
		}
		f.passOn(status, header, f.knownReason(status, reason))
		return
	}
	f.keep(status, header, &meta, limit)
}

// mayStore says why a response with this header must not be stored; None if it may.
func (f *fetch) mayStore(status int, header http.Header, broken bool) (meta rules.Meta, reason Reason) {
	switch {
	case f.alone:
		return meta, rules.Busy
	case broken:
		return meta, rules.Unreachable
	case f.ended():
		return meta, rules.Aborted
	}
	if meta, reason = f.store(status, header); reason != rules.None {
		return meta, reason
	}
	if f.Declared() < 0 && len(header["Content-Type"]) == 0 && rules.IsLikelyEndless(header, f.First()) {
		return meta, rules.Stream
	}
	if !f.plain && !f.posts && (status == http.StatusPreconditionFailed || status == http.StatusRequestedRangeNotSatisfiable) {
		return meta, rules.Status // it is about this request's conditions, which the handler has seen
	}
	if f.passesUnkeyed() {
		f.unkeyed = true
		return meta, f.refused // this time once more; the next request makes what can be stored
	}
	return meta, rules.None
}

// keep stores a response of at most limit bytes while the handler writes it, for its client, for the
// waiters and for the cache.
func (f *fetch) keep(status int, header http.Header, meta *rules.Meta, limit int64) {
	e := f.handler.engine
	f.next = keep
	p := &f.responseRoom
	own, edits := f.Own()
	*p = response{
		status: status, header: own, edits: edits, groups: slices.Clone(header["Cache-Groups"]), meta: *meta, declared: f.Declared(),
		body: f.grown.Init(limit, f.Declared()), limit: limit, scope: f.scope,
		variant: f.snapshot.variant(meta.Vary, f.r.Header, &f.req.Scope), prefers: &f.prefers,
	}
	p.choose(header)
	field.RemoveHopByHop(p.header)
	for _, name := range meta.Strip {
		delete(p.header, name)
	}
	p.edits.Prune(p.header)
	if _, ok := p.header["Date"]; !ok {
		p.header["Date"] = e.dates.of(f.now) // net/http would add that of each hit
	}
	p.encodable = e.config.Compress && e.encodable(status, without(header, meta.Strip), meta.Vary, meta.ETag) &&
		(p.declared < 0 || coding.MinSize <= p.declared && p.declared <= coding.MaxSize)
	f.response = p
	p.body.Draw(e.cache, f)
	p.body.Pin(e.cache.ReadRoom())
	f.Keep(p.body)
	p.body.Hold(f.flight)
	f.flight.OnStartedReading(p.body)
	f.flight.Pin()
	if field.IsIncremental(header["Incremental"]) {
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
