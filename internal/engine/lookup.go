package engine

import (
	"encoding/binary"
	"net/http"
	"slices"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// shortBytes are bytes that usually fit in a room of their own, so that they need no memory elsewhere. A
// copy of them does not depend on the original.
type shortBytes struct {
	room [256]byte
	size int
	long []byte // the bytes, if they do not fit in room
}

// set makes b the bytes. b may lie in room.
func (s *shortBytes) set(b []byte) {
	if s.size = copy(s.room[:], b); s.size < len(b) {
		s.long = slices.Clone(b)
	}
}

// bytes returns the bytes. Behind them is the rest of the room, which may be appended to.
func (s *shortBytes) bytes() []byte {
	if s.long != nil {
		return s.long
	}
	return s.room[:s.size]
}

// lookup is what is found for a request, and what may be done with it. The same decision serves
// requests and [Engine.Explain].
type lookup struct {
	now       time.Time
	keyRoom   shortBytes
	scopeRoom shortBytes
	resource  cache.Resource
	variant   *cache.Variant // the stored response that fits; nil if none does
	passes    bool           // the request goes past the cache, for the reason
	action    rules.Action   // else
	reason    rules.Reason
}

// key is the primary key of the URL, and scope what else but Vary separates responses. Both lie in l.
func (l *lookup) key() []byte   { return l.keyRoom.bytes() }
func (l *lookup) scope() []byte { return l.scopeRoom.bytes() }

// lookup decides about r, and says so in l, which is zero. outer is what middleware outside has put into
// the header of the response so far. A request counts as a use of what is stored, an explanation does
// not.
func (e *Engine) lookup(l *lookup, r *http.Request, req *rules.Request, outer http.Header, request bool) {
	if req.Bypass != rules.None {
		l.passes, l.reason = true, req.Bypass
		if e.except.Contains(r) {
			l.reason = rules.Excepted
		}
		return
	}
	k, ok := key.Of(l.keyRoom.room[:0], r)
	if !ok {
		l.passes, l.reason = true, rules.NoKey
		return
	}
	l.keyRoom.set(k)
	scope := e.scope(l.scopeRoom.room[:0], r, req)
	l.scopeRoom.set(scope)
	if request {
		l.resource = e.cache.Get(k)
	} else {
		l.resource = e.cache.Peek(k)
	}
	l.now = time.Now()
	l.variant = l.resource.Find(scope, req, r.Header)
	switch {
	// What is excepted is never stored, so a hit need not ask. Only methods can make a difference, which
	// share a key.
	case (l.variant == nil || e.except.DiffersByMethod()) && e.except.Contains(r):
		l.passes, l.reason = true, rules.Excepted
	case l.variant != nil && nonceOutside(outer, l.variant):
		l.passes, l.reason = true, rules.CSPNonce
	case req.OtherUnit && e.passesUnit(r, req, k, scope, l.variant, l.now):
		l.passes, l.reason = true, rules.RangeUnit
	case l.variant != nil:
		l.action, l.reason = l.variant.Reuse(&e.rules, req, l.now)
	case req.CC.OnlyIfCached:
		l.action, l.reason = rules.Fail, rules.OnlyIfCached
	default:
		l.action, l.reason = rules.Validate, missReason(l.resource, scope, req, r.Header)
	}
}

// missReason says why nothing that is stored for a URL answers a request.
func missReason(res cache.Resource, scope []byte, req *rules.Request, h http.Header) rules.Reason {
	switch {
	case res.IsEmpty():
		return rules.URIMiss
	case res.Alive() == 0:
		return rules.Purged
	case res.Alike(scope, req, h) > 0:
		return rules.Accept
	}
	return rules.VaryMiss
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

// mayWait reports whether a request may be answered by one that began before it: not if its client wants an answer made anew, or its own.
func mayWait(cc *field.CacheControl) bool {
	return !cc.NoCache && !cc.NoStore && !cc.MaxAge.Set && !cc.MinFresh.Set
}
