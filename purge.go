package edgecache

import (
	"context"
	"errors"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/directive"
)

// A Purger removes stored responses, or, if it is soft, makes them stale: see [Edge.Soft]. The methods of [Edge] of the same names are those of the hard one.
//
// A purge takes effect before the method returns: no request that comes afterwards is answered with what was stored before, and pages that were being made when the purge came go to
// those who already wait for them, but are not kept. Each method returns how many stored responses it concerned; purging what is not there is no error. All are safe for concurrent use.
// With a [Store] the error says that other processes could not be told yet; they will be, and for this process the purge holds all the same. What a soft purge concerns is removed from the store.
// Such a call returns when the store has been told. It is told at most ten times a second of the same URL, tag or prefix: calls in between wait for the next time, so purge in one call what changed together.
// Call them after the transaction that changed the data has committed: a page made before would show the old data.
type Purger struct {
	edge *Edge
	soft bool
}

// Soft returns the soft form of purging: what it concerns is stale from now on. It is served once more where stale-while-revalidate or stale-if-error allow, and can be
// confirmed by a 304; else it is made anew.
func (e *Edge) Soft() Purger { return Purger{edge: e, soft: true} }

func (e *Edge) hard() Purger { return Purger{edge: e} }

// Purge removes all variants of the given URLs, each "https://host/path?query", or "/path?query" for every host. http and https are one.
//
// It does not matter how a URL is spelled: "/grün" and "/gr%C3%BCn" are one, so are "/?q=a b", "/?q=a%20b" and "/?q=a+b"; but an encoded slash is no slash, and a query in another order is another one.
// A host may also be one that a proxy tells in X-Forwarded-Host or the like, instead of that by which it calls us. With a host it takes as long as the URL has variants, whatever else is stored;
// without one, as long as there are hosts with that path. If one of the URLs cannot be read, nothing is purged.
func (e *Edge) Purge(ctx context.Context, urls ...string) (int, error) {
	return e.hard().Purge(ctx, urls...)
}

// PurgeTags removes everything that carries one of the tags, whatever their number, at the cost of a few writes per tag. See [Tag].
// Each tag counts its pages for itself: one that carries two of the tags counts twice, and one that another tag has purged still counts until memory meets it.
func (e *Edge) PurgeTags(ctx context.Context, tags ...string) (int, error) {
	return e.hard().PurgeTags(ctx, tags...)
}

// PurgePrefix removes every URL that begins with prefix: "https://host/path", or "/path" for every host. It looks at all that is stored.
func (e *Edge) PurgePrefix(ctx context.Context, prefix string) (int, error) {
	return e.hard().PurgePrefix(ctx, prefix)
}

// PurgeAll removes everything.
func (e *Edge) PurgeAll(ctx context.Context) (int, error) { return e.hard().PurgeAll(ctx) }

// Purge is like [Edge.Purge].
func (p Purger) Purge(ctx context.Context, urls ...string) (int, error) {
	targets := make([]cache.Target, len(urls))
	for i, u := range urls {
		var err error
		if targets[i], err = cache.URL(u); err != nil {
			return 0, err
		}
	}
	return p.edge.engine.Purge(ctx, p.soft, targets...)
}

var errEmptyTag = errors.New(`edgecache: tag is "": want at least one byte`)

// PurgeTags is like [Edge.PurgeTags].
func (p Purger) PurgeTags(ctx context.Context, tags ...string) (int, error) {
	targets := make([]cache.Target, len(tags))
	for i, t := range tags {
		if t == "" {
			return 0, errEmptyTag
		}
		targets[i] = cache.Tag(directive.GroupName(t))
	}
	return p.edge.engine.Purge(ctx, p.soft, targets...)
}

// PurgePrefix is like [Edge.PurgePrefix].
func (p Purger) PurgePrefix(ctx context.Context, prefix string) (int, error) {
	t, err := cache.Prefix(prefix)
	if err != nil {
		return 0, err
	}
	return p.edge.engine.Purge(ctx, p.soft, t)
}

// PurgeAll is like [Edge.PurgeAll].
func (p Purger) PurgeAll(ctx context.Context) (int, error) {
	return p.edge.engine.Purge(ctx, p.soft, cache.Everything())
}

// parsePurge reports what is wrong with a URL to purge.
func parsePurge(s string) (cache.Target, error) { return cache.URL(s) }
