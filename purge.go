package edgecache

import (
	"context"
	"errors"
	"net/http"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/purge"
)

// A Purger removes stored responses, or, if it is soft, makes them stale: see [Edge.Soft]. The
// methods of [Edge] with the same names are those of the hard Purger.
//
// A purge takes effect before the method returns: no later request is answered with what was stored
// before. Pages that are being made when the purge comes go to the clients that already wait for
// them, but are not kept. Each method returns how many stored responses it concerned; purging what
// is not there is no error. All are safe for concurrent use.
//
// With a [Store] the error says that other processes could not be told yet. They will be, and in
// this process the purge holds all the same. What a soft purge concerns is removed from the store.
// Such a call returns when the store has been told. It is told at most ten times a second of the
// same URL, tag or prefix: calls in between wait for the next time, so purge in one call what
// changed together.
//
// Purge after the transaction that changed the data has committed: a page made before would show
// the old data.
type Purger struct {
	edge *Edge
	soft bool
}

// Soft returns the soft form of purging: what it concerns is stale from now on. It is served once
// more where stale-while-revalidate or stale-if-error allow that, and a 304 can confirm it; else it
// is made again.
func (e *Edge) Soft() Purger { return Purger{edge: e, soft: true} }

func (e *Edge) hard() Purger { return Purger{edge: e} }

// Purge removes all variants of the given URLs, each "https://host/path?query", or "/path?query"
// for every host. http and https are one.
//
// It does not matter how a URL is spelled: "/grün" and "/gr%C3%BCn" are one, and so are "/?q=a b",
// "/?q=a%20b" and "/?q=a+b". But an encoded slash is no slash, and a query in another order is
// another one. A host may also be one that a proxy tells in X-Forwarded-Host or the like, instead
// of the one by which it calls us.
//
// With a host it takes as long as the URL has variants, whatever else is stored; without one, as
// long as there are hosts with that path. If one of the URLs cannot be read, nothing is purged.
func (e *Edge) Purge(ctx context.Context, urls ...string) (int, error) {
	return e.hard().Purge(ctx, urls...)
}

// PurgeTags removes everything that carries one of the tags, whatever their number, at the cost of
// a few writes per tag. See [Tag]. Each tag counts its pages for itself: a page with two of the
// tags counts twice, and one that another tag has purged still counts until memory meets it.
func (e *Edge) PurgeTags(ctx context.Context, tags ...string) (int, error) {
	return e.hard().PurgeTags(ctx, tags...)
}

// PurgePrefix removes every URL that begins with prefix: "https://host/path", or "/path" for every
// host. It looks at all that is stored.
func (e *Edge) PurgePrefix(ctx context.Context, prefix string) (int, error) {
	return e.hard().PurgePrefix(ctx, prefix)
}

// PurgeAll removes everything.
func (e *Edge) PurgeAll(ctx context.Context) (int, error) { return e.hard().PurgeAll(ctx) }

// Purge is like [Edge.Purge].
func (p Purger) Purge(ctx context.Context, urls ...string) (int, error) {
	targets, err := purge.URLs(urls)
	return p.purge(ctx, targets, err)
}

// PurgeTags is like [Edge.PurgeTags].
func (p Purger) PurgeTags(ctx context.Context, tags ...string) (int, error) {
	targets, err := purge.Tags(tags)
	return p.purge(ctx, targets, err)
}

// PurgePrefix is like [Edge.PurgePrefix].
func (p Purger) PurgePrefix(ctx context.Context, prefix string) (int, error) {
	targets, err := purge.Prefixes([]string{prefix})
	return p.purge(ctx, targets, err)
}

// PurgeAll is like [Edge.PurgeAll].
func (p Purger) PurgeAll(ctx context.Context) (int, error) {
	return p.purge(ctx, []cache.Target{cache.Everything()}, nil)
}

// purge purges targets, unless err says that they could not be read.
func (p Purger) purge(ctx context.Context, targets []cache.Target, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	return p.edge.engine.Purge(ctx, p.soft, targets...)
}

// PurgeHandler returns a handler for purging over HTTP. authorize says whether a request may purge;
// there is no default, and nil is an error. Mount the handler where it belongs, outside of the
// cache; it does nothing for requests that it is not given.
//
//   - PURGE url, as Varnish and nginx know it, removes the URL that the request asks for.
//   - POST with a JSON body, as Cloudflare knows it, removes what one or more of "files", "tags",
//     "prefixes" (lists of strings) and "purge_everything" (true) name. With "soft": true it is
//     made stale instead.
//
// The answer is JSON: {"success":true,"purged":3}, or {"success":false,"purged":0,"error":"…"} with
// 400, 403, 405, 413 or 415, or with 502 and what was purged here if the [Store] could not be told.
func (e *Edge) PurgeHandler(authorize func(*http.Request) bool) (http.Handler, error) {
	if authorize == nil {
		return nil, errors.New("edgecache: PurgeHandler needs a function that authorizes requests, got nil")
	}
	return &purge.Handler{Purge: e.engine.Purge, Authorize: authorize}, nil
}
