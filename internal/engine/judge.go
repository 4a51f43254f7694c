package engine

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// Commit decides what happens to the response when its status and header are known.
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

// keepOrPass begins to store a response with this header, or passes it on.
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

// mayStore returns why a response with this header must not be stored; None if it may.
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
	if !f.plainGET && !f.posts && (status == http.StatusPreconditionFailed || status == http.StatusRequestedRangeNotSatisfiable) {
		return meta, rules.Status // about the conditions of this request, which the handler saw
	}
	if f.passesUnkeyed() {
		f.unkeyed = true
		// Only this once: the next request gets a response that can be stored. There is a reason, as only
		// a hit-for-miss lets the handler see that; without one, too, nothing is stored.
		return meta, cmp.Or(f.hitForMiss, rules.Busy)
	}
	return meta, rules.None
}

// keep stores a response of at most limit bytes while the handler writes it, for its client, for
// the waiters and for the cache.
func (f *fetch) keep(status int, header http.Header, meta *rules.Meta, limit int64) {
	e := f.handler.engine
	f.next = keep
	resp := &f.responseRoom
	own, edits := f.Own()
	*resp = response{
		status: status, header: own, edits: edits, groups: slices.Clone(header["Cache-Groups"]), meta: *meta, declared: f.Declared(),
		body: f.grown.Init(limit, f.Declared()), limit: limit, scope: f.scope,
		variant: f.snapshot.variant(meta.Vary, f.r.Header, &f.req.Scope), prefers: &f.prefers,
	}
	resp.choose(header)
	field.RemoveHopByHop(resp.header)
	for _, name := range meta.Strip {
		delete(resp.header, name)
	}
	resp.edits.Prune(resp.header)
	if _, ok := resp.header["Date"]; !ok {
		resp.header["Date"] = e.dates.of(f.now) // otherwise net/http adds the date of each hit
	}
	resp.encodable = e.config.Compress && e.encodable(status, without(header, meta.Strip), meta.Vary, meta.ETag) &&
		(resp.declared < 0 || coding.MinSize <= resp.declared && resp.declared <= coding.MaxSize)
	f.response = resp
	resp.body.Draw(e.cache, f)
	resp.body.Pin(e.cache.ReadRoom())
	f.Keep(resp.body)
	resp.body.Hold(f.flight)
	f.flight.OnStartedReading(resp.body)
	f.flight.Pin()
	if field.IsIncremental(header["Incremental"]) {
		resp.body.Live()
		f.flight.Release()
	} else {
		f.flight.Share(result{response: resp})
	}
	if !f.posts { // a POST has no conditions on the response to a GET, and no ranges of it
		f.plan()
	}
}

// withOuterVary returns h, the handler's header, with the names that middleware outside has put
// into Vary. They count whatever the handler did to the field. h stays as it is.
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

// footprint is how much memory an object with this header and key takes beside its body, in bytes,
// rounded up.
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

// passOn gives a response that is not stored to the client alone. The client's conditions and
// ranges, which the handler did not see, are evaluated here if the header suffices.
func (f *fetch) passOn(status int, header http.Header, reason Reason) {
	e := f.handler.engine
	if reason == rules.ContentLocation {
		reason = rules.Method // the usual reason of a POST
	}
	if f.background && f.old != nil && reason != rules.Unreachable && reason != rules.Aborted {
		f.old.Recovered()
	}
	f.place.leave()
	f.noteHitForMiss(reason)
	if reason == rules.Aborted {
		f.flight.Share(result{again: true})
	}
	f.flight.Release() // after noteHitForMiss, so that the waiters do not wait for the next flight
	if f.plainGET && f.req.Conditional {
		v := rules.ValidatorsOf(header, f.now)
		if v.Condition(f.r.Header, status, f.now) == rules.Unmodified {
			f.notModified(reason)
			f.Discard()
			f.halt()
			return
		}
	}
	if f.plainGET && f.req.Range && f.passPart(status, header, reason) {
		return
	}
	a := f.cacheStatus(reason)
	h := f.Direct()
	e.markPersonal(h, &f.req, status)
	e.report(h, f.r, &a, f.room[:0])
	f.sendDirect()
}

// passStatic gives a static file to the client alone: it is in memory or in the system's cache
// already, and has answered conditions and ranges itself.
func (f *fetch) passStatic() {
	e := f.handler.engine
	if f.old != nil && !f.ended() && (f.Status() < 400 || tellsOfURL(f.Status())) {
		e.discard(f.key, f.old)
	}
	f.flight.Release()
	a := f.in.slot.served
	a.received, a.background = f.received, f.background
	e.report(f.Direct(), f.inner, &a, f.room[:0])
	f.sendDirect()
}

// noteHitForMiss notes that the response is not stored, if that says something about what is stored
// for the URL and about the next response. If the stored response is for another Accept, it does
// not.
func (f *fetch) noteHitForMiss(reason Reason) {
	switch reason {
	case rules.RequestNoStore, rules.Unreachable, rules.Busy, rules.Aborted, rules.Head:
		return
	}
	if f.unkeyed {
		f.handler.engine.cache.ForgetHitForMiss(f.key, f.scope, f.class)
		return
	}
	if !f.posts && f.reason != rules.Accept && tellsOfURL(f.Status()) {
		f.handler.engine.setHitForMiss(f.key, f.scope, f.class, f.old, reason, f.now)
	}
}

// tellsOfURL reports whether a response with this status that is not stored says something about
// its URL. A success does, and so does the absence of the resource. Any other may be about the
// request alone: its address, its rate, what it accepts, a condition, a range. Such a response must
// not take the stored one from other clients.
func tellsOfURL(status int) bool {
	switch status {
	case http.StatusNotFound, http.StatusGone, http.StatusUnavailableForLegalReasons:
		return true
	case http.StatusPartialContent:
		return false
	}
	return status >= 200 && status <= 299
}
