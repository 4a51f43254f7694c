package engine

import (
	"net/http"
	"sync/atomic"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// handler is one place where an Edge stands in front of a handler.
type handler struct {
	engine *Engine
	next   http.Handler
	seen   atomic.Bool // it has served a request
	reused atomic.Bool // and another one: no framework makes it for each request
	out    way
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e := h.engine
	if !h.reused.Load() && h.seen.Swap(true) {
		h.reused.Store(true)
	}
	limits, entered, errand := e.Outside(r)
	if entered {
		h.next.ServeHTTP(w, r) // the outer handler of the same Edge caches this request
		return
	}
	if errand != nil {
		h.receive(w, r, errand, limits)
		return
	}
	req := e.classify(r, limits)
	if req.Unread || req.Connection {
		h.serveArrived(w, r, limits, &req)
		return
	}
	h.serve(w, r, &req)
}

// serve answers a request that comes to this Edge for the first time. req is what its header and
// the application say about it.
func (h *handler) serve(w http.ResponseWriter, r *http.Request, req *rules.Request) {
	var l lookup
	h.engine.lookup(&l, r, req, w.Header(), true)
	switch {
	case l.passes:
		h.passLookup(w, r, req, &l)
	case h.reuse(w, r, req, &l):
	case !h.fetches(r, req):
		h.passHead(w, r, req, l.variant != nil, l.reason)
	default:
		h.fetch(w, r, req, &l)
	}
}

// passLookup passes on a request that the lookup sends past the cache.
func (h *handler) passLookup(w http.ResponseWriter, r *http.Request, req *rules.Request, l *lookup) {
	switch {
	case l.reason == rules.Method && r.Method == http.MethodPost && !req.Limits.Passes() && h.post(w, r, req):
	case l.reason == rules.CSPNonce:
		h.passNonce(w, r, req, l.variant, l.now)
	case l.reason == rules.RangeUnit:
		h.passUnit(w, r, req, l.key(), l.scope(), l.now)
	default:
		h.pass(w, r, req, l.reason)
	}
}

// reuse answers the request with what l has found, if that may be used without the handler.
// Otherwise it returns false, and l says what to validate and why.
func (h *handler) reuse(w http.ResponseWriter, r *http.Request, req *rules.Request, l *lookup) (answered bool) {
	v := l.variant
	switch l.action {
	case rules.Serve:
		v.Touch()
		var after func()
		if v.Terms.ForbidsStale() && cache.ClassOf(req) == cache.Anonymous && h.fetches(r, req) && v.Ending(l.now) {
			after, _ = h.refresh(w, r, req, l.key(), l.scope(), v, rules.Fresh)
		}
		status := Stale
		if l.reason == rules.Fresh || l.reason == rules.None {
			status = Hit
		}
		h.deliverStored(w, r, req, l, status, after)
		return true
	case rules.ServeAndRefresh:
		if !h.fetches(r, req) {
			v.Touch()
			h.deliverStored(w, r, req, l, Stale, nil)
			return true
		}
		if after, ok := h.refresh(w, r, req, l.key(), l.scope(), v, rules.StaleWhileRevalidate); ok {
			v.Touch()
			h.deliverStored(w, r, req, l, Updating, after)
			return true
		}
		l.reason = rules.Stale
	case rules.Fail:
		h.engine.gatewayTimeout(w, r, l.reason, l.reason.Explain())
		return true
	case rules.Forward:
		l.variant = nil // it is there, but not for this request
	case rules.Validate:
		return v != nil && h.fetches(r, req) && h.reuseAfterFailures(w, r, req, l)
	}
	return false
}

// reuseAfterFailures answers with a stale response whose breaker is open. If a try of the handler
// is due, it is tried in the background. If that is not possible, reuseAfterFailures returns false
// and the request asks the handler itself. That does not count as the try, since the client may
// cancel it.
func (h *handler) reuseAfterFailures(w http.ResponseWriter, r *http.Request, req *rules.Request, l *lookup) (answered bool) {
	open, due, broken := l.variant.Breaker(l.now)
	if !open || !l.variant.UsableOnError(&h.engine.rules, req, broken, l.now) {
		return false
	}
	var after func()
	if due {
		var ok bool
		if after, ok = h.refresh(w, r, req, l.key(), l.scope(), l.variant, l.reason); !ok {
			return false
		}
	}
	l.reason = rules.Breaker
	h.deliverStored(w, r, req, l, Stale, after)
	return true
}

// deliverStored answers with what l has found, and then calls after, if it is not nil.
func (h *handler) deliverStored(w http.ResponseWriter, r *http.Request, req *rules.Request, l *lookup, status Status, after func()) {
	v := l.variant
	a := cacheStatus{status: status, reason: l.reason, received: l.now, pattern: v.Pattern()}
	switch {
	case l.reason == rules.Fresh:
		a.reason = rules.None // "hit" says it all
	case l.reason != rules.None:
		a.ttl, a.hasTTL = v.TTL(l.now), true
	}
	h.engine.deliver(w, r, req, v, l.now, &a)
	if after != nil {
		after()
	}
}

// fetch has the handler answer a request that no stored response answers, or waits for the fetch of
// another request.
func (h *handler) fetch(w http.ResponseWriter, r *http.Request, req *rules.Request, l *lookup) {
	x := h.newExchange(w, r, req, l.key(), l.scope(), l.reason, l.now)
	x.old = l.variant
	x.hitForMiss = h.engine.cache.HitForMiss(l.key(), x.scope, x.class, l.now)
	isHitForMiss := x.hitForMiss != rules.None
	x.plainGET = x.old != nil || !isHitForMiss || req.Head
	x.expected.tags = l.resource.ExpectedTags(x.old)
	vary := l.resource.ExpectedVary(x.old)
	if l.reason == rules.Accept || x.old != nil && l.resource.HasSeveral() && l.resource.Alike(l.scope(), req, r.Header) > 1 {
		vary = byPreference(vary)
	}
	x.fetchOrJoin(vary, !isHitForMiss && mayWait(&req.CC))
}

// gatewayTimeout answers a request that only a stored response could answer, if none may be used
// (RFC 9111, 5.2.1.7 and 5.2.2.2).
func (e *Engine) gatewayTimeout(w http.ResponseWriter, r *http.Request, reason Reason, text string) {
	e.decided(r, &cacheStatus{status: Miss, reason: reason})
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	// A response that the cache makes up itself gets no member in Cache-Status (RFC 9211, 2). The
	// short header still says what happened.
	if e.status.header != "" {
		h.Set(e.status.header, Miss.String())
	}
	http.Error(w, text, http.StatusGatewayTimeout)
}
