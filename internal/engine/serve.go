package engine

import (
	"encoding/binary"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// handler is one place where an Edge stands in front of something.
type handler struct {
	engine *Engine
	next   http.Handler
	seen   atomic.Bool // it has served a request
	reused atomic.Bool // and another: it is not one that a framework makes for each request
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

// serve answers a request that has come here for the first time. req is what its header and the application say about it.
func (h *handler) serve(w http.ResponseWriter, r *http.Request, req *rules.Request) {
	e := h.engine
	if req.Bypass != rules.None {
		switch {
		case e.except.Contains(r):
			h.pass(w, r, req, rules.Excepted)
		case req.Bypass == rules.Method && r.Method == http.MethodPost && !req.Limits.Passes() && h.post(w, r, req):
		default:
			h.pass(w, r, req, req.Bypass)
		}
		return
	}
	var (
		keyBuf   [256]byte
		scopeBuf [128]byte
	)
	k, ok := key.Of(keyBuf[:0], r)
	if !ok {
		h.pass(w, r, req, rules.NoKey)
		return
	}
	scope := e.scope(scopeBuf[:0], r, req)
	res := e.cache.Get(k)
	now := time.Now()
	v := res.Find(scope, req, r.Header)
	// What is excepted is never stored, so a hit need not ask. Only methods can make a difference, which share a key.
	if (v == nil || e.except.DiffersByMethod()) && e.except.Contains(r) {
		h.pass(w, r, req, rules.Excepted)
		return
	}
	if v != nil && nonceOutside(w.Header(), v) {
		h.passNonce(w, r, req, v, now)
		return
	}
	if req.OtherUnit && e.passesUnit(r, req, k, scope, v, now) {
		h.passUnit(w, r, req, k, scope, now)
		return
	}
	action, reason := rules.Validate, rules.URIMiss
	switch {
	case v != nil:
		action, reason = v.Reuse(&e.rules, req, now)
	case req.CC.OnlyIfCached:
		action, reason = rules.Fail, rules.OnlyIfCached
	case !res.IsEmpty():
		switch {
		case res.Alive() == 0:
			reason = rules.Purged
		case res.Alike(scope, req, r.Header) > 0:
			reason = rules.Accept
		default:
			reason = rules.VaryMiss
		}
	}
	switch action {
	case rules.Serve:
		v.Touch()
		var after func()
		if v.Terms.ForbidsStale() && cache.ClassOf(req) == cache.Anonymous && h.fetches(r, req) && v.Ending(now) {
			after, _ = h.refresh(w, r, req, k, scope, v, rules.Fresh)
		}
		a := cacheStatus{status: Hit, reason: reason, received: now, pattern: v.Pattern.Value()}
		if reason == rules.Fresh {
			a.reason = rules.None // "hit" says it all
		} else if reason != rules.None {
			a.status, a.ttl, a.hasTTL = Stale, v.TTL(now), true
		}
		e.deliver(w, r, req, v, now, &a)
		if after != nil {
			after()
		}
		return
	case rules.ServeAndRefresh:
		if !h.fetches(r, req) {
			v.Touch()
			e.deliver(w, r, req, v, now, &cacheStatus{status: Stale, reason: reason, ttl: v.TTL(now), hasTTL: true, received: now, pattern: v.Pattern.Value()})
			return
		}
		if after, ok := h.refresh(w, r, req, k, scope, v, rules.StaleWhileRevalidate); ok {
			v.Touch()
			e.deliver(w, r, req, v, now, &cacheStatus{status: Updating, reason: reason, ttl: v.TTL(now), hasTTL: true, received: now, pattern: v.Pattern.Value()})
			if after != nil {
				after()
			}
			return
		}
		reason = rules.Stale
	case rules.Fail:
		e.gatewayTimeout(w, r, reason, reason.Explain())
		return
	case rules.Forward:
		v = nil // it is there, but not for this request
	}
	if !h.fetches(r, req) {
		h.passHead(w, r, req, v != nil, reason)
		return
	}
	if action == rules.Validate && v != nil {
		if open, due, broken := v.Breaker(now); open && v.UsableOnError(&e.rules, req, broken, now) {
			var after func()
			tried := true
			if due {
				after, tried = h.refresh(w, r, req, k, scope, v, reason)
			}
			if tried { // else the request tries itself, and takes the try from nobody: its client may break it off
				e.deliver(w, r, req, v, now, &cacheStatus{status: Stale, reason: rules.Breaker, ttl: v.TTL(now), hasTTL: true, received: now, pattern: v.Pattern.Value()})
				if after != nil {
					after()
				}
				return
			}
		}
	}
	x := h.newExchange(w, r, req, k, scope, reason, now)
	x.old = v
	x.refused = e.cache.Refused(k, x.scope, x.class, now)
	refused := x.refused != rules.None
	x.plain = v != nil || !refused || req.Head
	x.expected.tags = res.ExpectedTags(v)
	vary := res.ExpectedVary(v)
	if reason == rules.Accept || v != nil && res.HasSeveral() && res.Alike(scope, req, r.Header) > 1 {
		vary = byPreference(vary)
	}
	x.fetchOrJoin(vary, !refused && mayWait(&req.CC))
}

// classify tells what the header of r says, what the application says about r, and within which limits it is served.
func (e *Engine) classify(r *http.Request, limits *rules.Limits) rules.Request {
	req := e.rules.Request(r)
	if e.config.Personal != nil {
		req.Personal = e.personal(r)
	}
	if limits != nil {
		req.Limits = limits
		if limits.Pass && req.Bypass == rules.None {
			req.Bypass = rules.Policy
		}
	}
	return req
}

// personal asks Config.Personal. One that panics tells nothing, and nothing is shared then: the
// client gets its answer from the handler, and the operator the panic.
func (e *Engine) personal(r *http.Request) (yes bool) {
	defer func() {
		if p := recover(); p != nil {
			yes = true
			e.logPanic(r, p, "edgecache: Config.Personal panicked")
		}
	}()
	return e.config.Personal(r)
}

// mayWait reports whether a request may be answered by one that began before it: not if its client wants an answer made anew, or its own.
func mayWait(cc *field.CacheControl) bool {
	return !cc.NoCache && !cc.NoStore && !cc.MaxAge.Set && !cc.MinFresh.Set
}

// scope appends what besides the URL and Vary separates pages: see key.Scope; what policies outside vary on, and the version that the application names.
func (e *Engine) scope(dst []byte, r *http.Request, req *rules.Request) []byte {
	dst = key.Scope(dst, r, &req.Scope)
	if req.Limits != nil && len(req.Limits.Vary) > 0 {
		dst = key.Variant(append(dst, 0, 'P'), e.rules.Chosen(req.Limits.Vary), r.Header, &req.Scope) // no other part of a scope begins so
	}
	if e.config.Version == nil {
		return dst
	}
	version := e.config.Version()
	dst = append(dst, 0, 'V') // no other part of a scope begins so
	dst = binary.AppendUvarint(dst, uint64(len(version)))
	return append(dst, version...)
}

// gatewayTimeout answers a request for which only a stored response would do, when none may be used (RFC 9111, 5.2.1.7 and 5.2.2.2).
func (e *Engine) gatewayTimeout(w http.ResponseWriter, r *http.Request, reason Reason, text string) {
	e.decided(r, &cacheStatus{status: Miss, reason: reason})
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	// RFC 9211, 2: an answer that the cache makes up itself gets no member in Cache-Status; the short header still says what happened.
	if e.status.header != "" {
		h.Set(e.status.header, Miss.String())
	}
	http.Error(w, text, http.StatusGatewayTimeout)
}
