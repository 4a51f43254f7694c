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

// ErrUntold is what a purge says that other processes do not know of yet.
var ErrUntold = errors.New("edgecache: purged here, but the store does not know yet, and is told again")

// Purge carries out a purge that the application has asked for, and tells the observer and other processes of it.
func (e *Engine) Purge(ctx context.Context, soft bool, targets ...cache.Target) (n int, err error) {
	how, reason := cache.Remove, rules.None
	if soft {
		how, reason = cache.SoftPurge, rules.Purged
	}
	n, told := e.purgeTargets(how, targets...)
	e.counters.purges.Add(1)
	e.tell(Event{Kind: Purged, Count: n, Reason: reason})
	if told == nil {
		return n, nil
	}
	if err := told.Tell(ctx); err != nil {
		return n, fmt.Errorf("%w: %w", ErrUntold, err)
	}
	return n, nil
}

// purgeTargets is the one order in which everything is purged: first the second level, then the generations and memory, and then other processes are told, which is left to the caller; there are
// none to tell if told is nil. So a response that is read from the second level in between is found to be older than the purge, and nothing comes back.
func (e *Engine) purgeTargets(how cache.Effect, targets ...cache.Target) (n int, told *l2.Purge) {
	if e.l2 != nil && len(targets) > 0 {
		list := make([]l2.Target, len(targets))
		for i := range targets {
			list[i] = l2Target(&targets[i])
		}
		p := e.l2.Purge(list...)
		told = &p
	}
	for i := range targets {
		n += e.cache.Purge(&targets[i], how)
	}
	return n, told
}

// l2Target is the same target in the second level. Texts are copied for the reason of
// [cache.Cache.Purge].
func l2Target(t *cache.Target) l2.Target {
	switch t.Kind {
	case cache.OfURL:
		return l2.Page(strings.Clone(t.URL.Host), strings.Clone(t.URL.Target))
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

// discard forgets old, which turned out to be no longer right, in both levels.
func (e *Engine) discard(k []byte, old *cache.Variant) {
	if e.l2 != nil {
		e.l2.Purge(l2.Key(k)).TellLater()
	}
	e.cache.Discard(k, old)
}
