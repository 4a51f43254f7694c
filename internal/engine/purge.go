package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/l2"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// ErrUntold is the error of a purge that other processes do not know of yet.
var ErrUntold = errors.New("edgecache: purged here, but the store does not know yet; telling it is retried")

// Purge carries out a purge of the application, and tells the observer and other processes of it.
func (e *Engine) Purge(ctx context.Context, soft bool, targets ...cache.Target) (n int, err error) {
	how, reason := cache.Remove, rules.None
	if soft {
		how, reason = cache.SoftPurge, rules.Purged
	}
	n, l2Purge := e.purgeTargets(how, targets...)
	e.counters.purges.Add(1)
	e.tell(Event{Kind: Purged, Count: n, Reason: reason})
	if l2Purge == nil {
		return n, nil
	}
	if err := l2Purge.Tell(ctx); err != nil {
		return n, fmt.Errorf("%w: %w", ErrUntold, err)
	}
	return n, nil
}

// purgeTargets is the one order of every purge: first the second level, then the generations and
// memory. The caller then tells other processes; l2Purge is nil if there are none to tell. A
// response that is read from the second level in between turns out to be older than the purge, so
// nothing comes back.
func (e *Engine) purgeTargets(how cache.Effect, targets ...cache.Target) (n int, l2Purge *l2.Purge) {
	if e.l2 != nil && len(targets) > 0 {
		list := make([]l2.Target, len(targets))
		for i := range targets {
			list[i] = l2Target(&targets[i])
		}
		p := e.l2.Purge(list...)
		l2Purge = &p
	}
	for i := range targets {
		n += e.cache.Purge(&targets[i], how)
	}
	return n, l2Purge
}

// l2Target returns the same target for the second level. It copies texts, for the reason of
// [cache.Cache.Purge]: the target may be on the stack of the caller.
func l2Target(t *cache.Target) l2.Target {
	switch t.Kind {
	case cache.OfURL:
		return l2.URL(strings.Clone(t.URL.Host), strings.Clone(t.URL.Target))
	case cache.OfKey:
		return l2.Key(t.Key)
	case cache.OfPath:
		return l2.Path(t.Key)
	case cache.OfPrefix:
		return l2.Prefix(strings.Clone(t.URL.Host), strings.Clone(t.URL.Target))
	case cache.OfTag:
		return l2.Tag(strings.Clone(t.Tag))
	}
	return l2.Everything()
}

// discard removes old, which is no longer right, from both levels.
func (e *Engine) discard(k []byte, old *cache.Variant) {
	if e.l2 != nil {
		e.l2.Purge(l2.Key(k)).TellLater()
	}
	e.cache.Discard(k, old)
}
