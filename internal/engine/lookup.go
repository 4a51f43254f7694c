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

// shortBytes are bytes that usually fit into a room of their own, so they need no memory elsewhere.
// A copy does not depend on the original.
type shortBytes struct {
	room [256]byte
	size int
	long []byte // the bytes, if they do not fit in room
}

// set copies b. b may lie in room.
func (s *shortBytes) set(b []byte) {
	if s.size = copy(s.room[:], b); s.size < len(b) {
		s.long = slices.Clone(b)
	}
}

// bytes returns the bytes. Behind them is the rest of the room, so callers may append.
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
	passes    bool           // the request goes past the cache, because of reason
	action    rules.Action   // if it does not
	reason    rules.Reason
}

// key is the primary key of the URL. scope is what else, apart from Vary, separates responses. Both
// lie in l.
func (l *lookup) key() []byte   { return l.keyRoom.bytes() }
func (l *lookup) scope() []byte { return l.scopeRoom.bytes() }

// lookup decides about r, and notes the decision in l, which is zero. outer is the header of the
// response as middleware outside has left it so far. A request counts as a use of what is stored,
// an explanation does not.
func (e *Engine) lookup(l *lookup, r *http.Request, req *rules.Request, outer http.Header, request bool) {
	if req.Bypass != rules.None {
		l.passes, l.reason = true, req.Bypass
		if e.except.Contains(r) {
			l.reason = rules.Excepted
		}
		return
	}
	k, ok := keyOf(l.keyRoom.room[:0], r)
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
	// An excepted request is never stored, so a hit does not ask. The exception is a pattern with a
	// method: GET and HEAD share a key.
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

// keyOf appends the primary key of the URL of r to k. All of the engine makes keys of requests
// here.
func keyOf(k []byte, r *http.Request) ([]byte, bool) { return key.Of(k, r) }

// missReason says why no response that is stored for a URL answers a request.
func missReason(stored cache.Resource, scope []byte, req *rules.Request, h http.Header) rules.Reason {
	switch {
	case stored.IsEmpty():
		return rules.URIMiss
	case stored.Alive() == 0:
		return rules.Purged
	case stored.Alike(scope, req, h) > 0:
		return rules.Accept
	}
	return rules.VaryMiss
}

// classify says what the header of r and the application say about r, and within which limits it is
// served.
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

// personal asks Config.Personal. If that panics, the request counts as personal and nothing is
// shared: the client gets its response from the handler, and the panic is logged.
func (e *Engine) personal(r *http.Request) (yes bool) {
	defer func() {
		if p := recover(); p != nil {
			yes = true
			e.logPanic(r, p, "edgecache: Config.Personal panicked")
		}
	}()
	return e.config.Personal(r)
}

// scope appends what besides the URL and Vary separates responses: see key.Scope, then what
// policies outside vary on, and the version that the application names.
func (e *Engine) scope(dst []byte, r *http.Request, req *rules.Request) []byte {
	dst = key.Scope(dst, r, &req.Scope)
	if req.Limits != nil && len(req.Limits.Vary) > 0 {
		// No other part of a scope begins with these bytes.
		dst = key.Variant(append(dst, 0, 'P'), e.rules.Chosen(req.Limits.Vary), r.Header, &req.Scope)
	}
	if e.config.Version == nil {
		return dst
	}
	version := e.config.Version()
	dst = append(dst, 0, 'V') // no other part of a scope begins with these bytes
	dst = binary.AppendUvarint(dst, uint64(len(version)))
	return append(dst, version...)
}

// mayWait reports whether a request may be answered by one that began before it. It may not if its
// client wants a new response, or one of its own.
func mayWait(cc *field.CacheControl) bool {
	return !cc.NoCache && !cc.NoStore && !cc.MaxAge.Set && !cc.MinFresh.Set
}
