package edgecache

import (
	"context"
	"errors"
	"net/http"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/purge"
)

// A Purger purges stored responses: a hard one removes them, and a soft one makes them stale. Get a
// soft one from [Edge.Soft]; the methods of [Edge] with the same names purge hard. The zero Purger
// does not work. All methods are safe for concurrent use.
//
// A purge has taken effect when the method returns: no later request is served with what was stored
// before. A response that is being rendered at that moment still goes to the clients that wait for
// it, but is not stored. Each method returns how many stored responses it concerned. Purging what
// is not stored is no error.
//
// Purge after the transaction that changed the data has committed, since a response rendered before
// that shows the old data.
//
// With Config.Store the methods also tell the store, and through it other processes. They return
// when the store knows, or ctx ends. An error then means that it does not know yet; it is told
// again in the background, and in this process the purge holds all the same. What a soft purge
// concerns is removed from the store. The store is told at most ten times a second of the same URL,
// tag or prefix, and further calls wait for their turn, so purge in one call what changed together.
type Purger struct {
	edge *Edge
	soft bool
}

// Soft returns a [Purger] that makes responses stale instead of removing them. A stale response is
// served once more if stale-while-revalidate or stale-if-error allows it, and a 304 of the handler
// can make it fresh again. Otherwise the handler renders it again.
func (e *Edge) Soft() Purger { return Purger{edge: e, soft: true} }

func (e *Edge) hard() Purger { return Purger{edge: e} }

// Purge removes all variants of the given URLs and returns how many responses it removed; see
// [Purger] for what all purges have in common. A URL is "https://host/path?query", or "/path?query"
// for every host. http and https are the same. If one of the URLs is malformed, Purge removes
// nothing and returns an error.
//
// The spelling of a URL does not matter: "/grün" and "/gr%C3%BCn" are the same, and so are "/?q=a
// b", "/?q=a%20b" and "/?q=a+b". But an encoded slash is no slash, and a query in another order is
// another query. The host may also be one that a proxy sends in X-Forwarded-Host or a similar
// field, instead of the one in the request.
//
// With a host, the time it takes grows with the variants of the URL, and not with what else is
// stored. Without a host, it grows with the number of hosts that have the path.
func (e *Edge) Purge(ctx context.Context, urls ...string) (int, error) {
	return e.hard().Purge(ctx, urls...)
}

// PurgeTags removes every response that carries one of the tags: see [Tag]. It takes a few writes
// per tag, however many responses there are. Each tag counts its responses for itself: a response
// with two of the tags counts twice, and one that another tag has purged still counts until memory
// removes it. An empty tag is an error, and then nothing is removed.
func (e *Edge) PurgeTags(ctx context.Context, tags ...string) (int, error) {
	return e.hard().PurgeTags(ctx, tags...)
}

// PurgePrefix removes every response whose URL begins with prefix: "https://host/path", or "/path"
// for every host. It looks at everything that is stored, so it takes longer the more that is.
// A malformed prefix is an error, and then nothing is removed.
func (e *Edge) PurgePrefix(ctx context.Context, prefix string) (int, error) {
	return e.hard().PurgePrefix(ctx, prefix)
}

// PurgeAll removes every stored response.
func (e *Edge) PurgeAll(ctx context.Context) (int, error) { return e.hard().PurgeAll(ctx) }

// Purge is like [Edge.Purge], but makes the responses stale if p is soft.
func (p Purger) Purge(ctx context.Context, urls ...string) (int, error) {
	targets, err := purge.URLs(urls)
	return p.purge(ctx, targets, err)
}

// PurgeTags is like [Edge.PurgeTags], but makes the responses stale if p is soft.
func (p Purger) PurgeTags(ctx context.Context, tags ...string) (int, error) {
	targets, err := purge.Tags(tags)
	return p.purge(ctx, targets, err)
}

// PurgePrefix is like [Edge.PurgePrefix], but makes the responses stale if p is soft.
func (p Purger) PurgePrefix(ctx context.Context, prefix string) (int, error) {
	targets, err := purge.Prefixes([]string{prefix})
	return p.purge(ctx, targets, err)
}

// PurgeAll is like [Edge.PurgeAll], but makes the responses stale if p is soft.
func (p Purger) PurgeAll(ctx context.Context) (int, error) {
	return p.purge(ctx, []cache.Target{cache.Everything()}, nil)
}

// purge purges targets, unless err says that they are malformed.
func (p Purger) purge(ctx context.Context, targets []cache.Target, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	return p.edge.engine.Purge(ctx, p.soft, targets...)
}

// PurgeHandler returns a handler for purging over HTTP. authorize reports whether a request may
// purge, and must be safe for concurrent use; there is no default, and nil is an error. Mount the
// handler outside of the cache. It reacts only to requests that reach it.
//
//   - PURGE url, as Varnish and nginx know it, removes the URL of the request.
//   - POST with a JSON body, as Cloudflare knows it, removes what is named by one or more of
//     "files", "tags", "prefixes" (lists of strings) and "purge_everything" (true). With "soft":
//     true it makes that stale instead. The body has at most 1 MiB.
//
// The response is JSON: {"success":true,"purged":3}, or {"success":false,"purged":0,"error":"…"}.
// The status of the second is 400, 403, 405, 413 or 415; or 502, with the number of what was purged
// here, if Config.Store does not know yet (see [Purger]).
func (e *Edge) PurgeHandler(authorize func(*http.Request) bool) (http.Handler, error) {
	if authorize == nil {
		return nil, errors.New("edgecache: authorize is nil: want a function that authorizes requests")
	}
	return &purge.Handler{Purge: e.engine.Purge, Authorize: authorize}, nil
}
