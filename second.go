package edgecache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/edgecache-go/edgecache/internal/l2"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// errUntold is what a purge says that other processes do not know of yet.
var errUntold = errors.New("edgecache: purged here, but the store does not know yet, and is told again")

// openStore puts the second tier behind memory.
func (e *Edge) openStore(s Store, key []byte) {
	e.l2 = l2.New(l2.Config{
		Store: s, Key: key, Rules: &e.rules, MaxBytes: 2 * e.maxObject,
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
	e := f.handler.edge
	if e.l2 == nil || f.old != nil || !f.plain || f.posts || f.background || f.alone {
		return false
	}
	// It takes no longer than its deadline. That this client leaves in the meantime is no reason to make
	// the response again for those who wait with it.
	found := e.l2.Lookup(context.WithoutCancel(f.r.Context()), f.key, []byte(f.scope), f.r.Header, &f.req.Scope, f.prefers.takesStored)
	if found.Outcome != l2.Found {
		return false
	}
	v := e.newVariant(*found.Object, found.Tags, f.flight.Began, "")
	v.isFor(&f.prefers, false)
	e.publish(f.key, v, nil, f.class)
	if e.generations.purgedSince(&f.marks, v.gen) || v.purged() || e.generations.tagsPurgedSince(v.tagNames(), v.gen) {
		return false // a purge came in between
	}
	if nonceOutside(f.w.Header(), v) {
		return false
	}
	now := time.Now()
	switch action, reason := v.reuse(&e.rules, &f.req, now); action {
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
	if second := f.handler.edge.l2; second != nil {
		f.mark = second.Mark()
	}
}

// putL2 writes v to the second tier, in the background.
func (f *fetch) putL2(v *variant) {
	if second := f.handler.edge.l2; second != nil && !v.IsTold() && v.made&madeAlone == 0 {
		second.Put(f.key, &v.Object, v.tagNames(), f.prefers.stored(v), f.mark)
	}
}

// purgeL2 makes targets unusable in the second l2. It is called before the fence is raised and memory is cleared; the result is to be called after that: it tells other processes.
func (e *Edge) purgeL2(targets ...l2.Target) (tell func(context.Context) error) {
	if e.l2 == nil || len(targets) == 0 {
		return func(context.Context) error { return nil }
	}
	p := e.l2.Purge(targets...)
	return func(ctx context.Context) error {
		if err := p.Tell(ctx); err != nil {
			return fmt.Errorf("%w: %w", errUntold, err)
		}
		return nil
	}
}

// dropL2 is purgeSecond where nobody waits for other processes to know.
func (e *Edge) dropL2(targets ...l2.Target) {
	if e.l2 != nil {
		e.l2.Purge(targets...).TellLater()
	}
}

// dropL2URL is dropSecond of the page with the primary key k.
func (e *Edge) dropL2URL(k []byte) {
	if e.l2 != nil {
		e.dropL2(l2.Key(k))
	}
}
