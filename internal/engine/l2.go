package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/l2"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// openStore puts the second tier behind memory.
func (e *Engine) openStore(s l2.Store, key []byte) {
	e.l2 = l2.New(l2.Config{
		Store: s, Key: key, Rules: &e.rules, MaxBytes: 2 * e.cache.MaxBody(),
		OnBreaker: func(open bool, cause error) {
			if open {
				e.tell(Event{Kind: Failed, Reason: rules.StoreFailed, Err: fmt.Errorf("edgecache: the store is left alone for a while: %w", cause)})
			}
		},
	})
}

// restore looks for the page in the second tier, where memory has nothing. It reports whether that has answered the client, and those who wait.
// A page that is past its time becomes what the handler is asked about.
func (f *fetch) restore() (answered bool) {
	e := f.handler.engine
	if e.l2 == nil || f.old != nil || !f.plain || f.posts || f.background || f.alone {
		return false
	}
	// It takes no longer than its deadline. That this client leaves in the meantime is no reason to make
	// the response again for those who wait with it.
	found := e.l2.Lookup(context.WithoutCancel(f.r.Context()), f.key, []byte(f.scope), f.r.Header, &f.req.Scope, func(r l2.Representation) bool { return f.prefers.Takes(r.What, r.For) })
	if found.Outcome != l2.Found {
		return false
	}
	v := e.cache.NewVariant(*found.Object, found.Tags, f.flight.Began, "")
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

// markL2 remembers where the purges of the second tier stand, before the handler runs.
func (f *fetch) markL2() {
	if second := f.handler.engine.l2; second != nil {
		f.mark = second.Mark()
	}
}

// putL2 writes v to the second tier, in the background.
func (f *fetch) putL2(v *cache.Variant) {
	if second := f.handler.engine.l2; second != nil && !v.IsTold() && !v.IsForOne() {
		what, made := f.prefers.Representation(v)
		second.Put(f.key, &v.Object, v.TagNames(), l2.Representation{What: what, For: made}, f.mark)
	}
}
