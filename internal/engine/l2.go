package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/l2"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// openStore puts the second level behind memory.
func (e *Engine) openStore(s l2.Store, key []byte) {
	e.l2 = l2.New(l2.Config{
		Store: s, Key: key, Rules: &e.rules, MaxBytes: 2 * e.cache.MaxBody(),
		OnBreaker: func(open bool, cause error) {
			if open {
				e.tell(Event{Kind: Failed, Reason: rules.StoreFailed, Err: fmt.Errorf("edgecache: the store failed several times in a row, and is not asked for a while: %w", cause)})
			}
		},
	})
}

// restore looks for the response in the second level, on a memory miss. It returns true if that has
// answered the client and the waiters. A response that is past its time becomes f.old, about which
// the handler is asked.
func (f *fetch) restore() (answered bool) {
	e := f.handler.engine
	if e.l2 == nil || f.old != nil || !f.plainGET || f.posts || f.background || f.alone {
		return false
	}
	// The lookup has a deadline of its own. If this client leaves in the meantime, the waiters still
	// get the stored response instead of a second run of the handler.
	found := e.l2.Lookup(context.WithoutCancel(f.r.Context()), f.key, []byte(f.scope), f.r.Header, &f.req.Scope, func(r l2.Representation) bool {
		return f.prefers.Takes(r.What, r.For)
	})
	if found.Outcome != l2.Found {
		return false
	}
	v := e.cache.NewVariant(*found.Object, found.Tags, f.flight.Gen, "")
	v.SetMadeFor(&f.prefers, false)
	e.cache.Publish(f.key, v, nil, f.class)
	if v.Purged() || e.cache.PurgedSince(&f.marks, v.TagNames(), v.Gen) {
		return false // a purge came in between
	}
	if nonceOutside(f.w.Header(), v) {
		return false
	}
	now := time.Now()
	switch action, reason := v.Reuse(&e.rules, &f.req, now); action {
	case rules.Serve:
		f.flight.Share(result{stored: v})
		f.flight.Finish()
		a := cacheStatus{status: Hit, reason: rules.Restored, received: f.received}
		if reason != rules.Fresh {
			a.status, a.reason = Stale, reason
		}
		e.deliver(f.w, f.r, &f.req, v, now, &a)
		return true
	case rules.Forward:
		return false // it is there, but not for this request
	default:
		f.old, f.reason = v, reason
		return false
	}
}

// markL2 notes where the purges of the second level stand, before the handler runs.
func (f *fetch) markL2() {
	if store := f.handler.engine.l2; store != nil {
		f.mark = store.Mark()
	}
}

// putL2 writes v to the second level, in the background.
func (f *fetch) putL2(v *cache.Variant) {
	if store := f.handler.engine.l2; store != nil && !v.IsTold() && !v.IsForOne() {
		what, made := f.prefers.Representation(v)
		store.Put(f.key, &v.Object, v.TagNames(), l2.Representation{What: what, For: made}, f.mark)
	}
}
