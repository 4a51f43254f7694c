package edgecache

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// A Purger removes stored responses, or, if it is soft, makes them stale: see [Edge.Soft]. The methods of [Edge] of the same names are those of the hard one.
//
// A purge takes effect before the method returns: no request that comes afterwards is answered with what was stored before, and pages that were being made when the purge came go to
// those who already wait for them, but are not kept. Each method returns how many stored responses it concerned; purging what is not there is no error. All are safe for concurrent use.
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
// The path and the query must be spelled as clients do. A URL without host is looked for among all that is stored.
// If one of the URLs cannot be read, nothing is purged.
func (e *Edge) Purge(ctx context.Context, urls ...string) (int, error) {
	return e.hard().Purge(ctx, urls...)
}

// PurgeTags removes everything that carries one of the tags, at the cost of one atomic write per tag. See [Tag].
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
func (p Purger) Purge(_ context.Context, urls ...string) (n int, err error) {
	targets := make([]purgeTarget, len(urls))
	for i, u := range urls {
		if targets[i], err = parsePurge(u); err != nil {
			return 0, err
		}
	}
	for _, t := range targets {
		n += p.url(t)
	}
	p.done(n)
	return n, nil
}

func (p Purger) url(t purgeTarget) (n int) {
	e := p.edge
	if t.host == "" {
		return p.matching(func(_, target string) bool { return target == t.target })
	}
	var buf [256]byte
	for _, scheme := range [...]string{"http", "https"} {
		k := key.OfURL(buf[:0], scheme, t.host, t.target)
		e.fence.raise(k)
		if p.soft {
			if res, ok := e.memory.Peek(k); ok {
				n += res.outdate(time.Now())
			}
		} else if res, ok := e.memory.Delete(k); ok {
			n += res.alive()
		}
	}
	if e.forwarded.Load() {
		// Behind a proxy the public host may stand in X-Forwarded-Host only, which is part of the variant.
		host := strings.ToLower(t.host)
		n += p.matching(func(_, target string) bool { return target == t.target }, func(v *variant) bool {
			return strings.Contains(strings.ToLower(v.Scope), host)
		})
	}
	return n
}

// PurgeTags is like [Edge.PurgeTags].
func (p Purger) PurgeTags(_ context.Context, tags ...string) (n int, err error) {
	for _, t := range tags {
		if t == "" {
			return 0, fmt.Errorf("edgecache: tag is %q: want at least one byte", t)
		}
	}
	for _, t := range tags {
		n += p.tag(groupName(t))
	}
	p.done(n)
	return n, nil
}

func (p Purger) tag(name string) int {
	e := p.edge
	number := e.fence.raiseTag(name)
	t := e.tags.find(name)
	if t == nil {
		return 0
	}
	if p.soft {
		t.softAt.Store(int64(time.Since(epoch)))
		lift(&t.soft, number)
		return int(t.entries.Load())
	}
	lift(&t.hard, number)
	return int(max(t.entries.Swap(0), 0))
}

// PurgePrefix is like [Edge.PurgePrefix].
func (p Purger) PurgePrefix(_ context.Context, prefix string) (n int, err error) {
	t, err := parsePurge(prefix)
	if err != nil {
		return 0, err
	}
	n = p.matching(func(host, target string) bool {
		return strings.HasPrefix(target, t.target) && (t.host == "" || host == t.host)
	})
	if t.host != "" && p.edge.forwarded.Load() {
		host := strings.ToLower(t.host)
		n += p.matching(func(_, target string) bool { return strings.HasPrefix(target, t.target) }, func(v *variant) bool {
			return strings.Contains(strings.ToLower(v.Scope), host)
		})
	}
	p.done(n)
	return n, nil
}

// matching purges the URLs that match, or, with variant, those of them that have such a variant. Pages that are being made are not kept, whatever their URL.
func (p Purger) matching(match func(host, target string) bool, variants ...func(*variant) bool) (n int) {
	e := p.edge
	e.fence.raiseAll()
	now := time.Now()
	e.memory.DeleteFunc(func(k string, res *resource) bool {
		_, host, target, ok := key.Split(k)
		if !ok || !match(host, target) {
			return false
		}
		for _, fits := range variants {
			if !res.any(fits) {
				return false
			}
		}
		if p.soft {
			n += res.outdate(now)
			return false
		}
		n += res.alive()
		return true
	})
	return n
}

// PurgeAll is like [Edge.PurgeAll].
func (p Purger) PurgeAll(_ context.Context) (n int, err error) {
	e := p.edge
	if p.soft {
		n = p.matching(func(string, string) bool { return true })
	} else {
		e.fence.raiseAll()
		n = int(e.entries.Load())
		e.memory.Clear()
	}
	p.done(n)
	return n, nil
}

// done counts a purge and tells of it.
func (p Purger) done(n int) {
	e := p.edge
	e.counters.purges.Add(1)
	reason := rules.None
	if p.soft {
		reason = rules.Purged
	}
	e.tell(Event{Kind: PurgeDone, Count: n, Reason: reason})
}

// purgeTarget is a URL, or the beginning of one, in the form of the key.
type purgeTarget struct{ host, target string }

// parsePurge reads what a purge is given.
func parsePurge(s string) (purgeTarget, error) {
	wrong := func(why string) (purgeTarget, error) {
		return purgeTarget{}, fmt.Errorf("edgecache: cannot purge %q: %s", s, why)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return wrong(`want a URL such as "https://host/path?query" or "/path?query"`)
	case u.Fragment != "" || strings.Contains(s, "#"):
		return wrong("want no fragment: it never reaches a server")
	case u.User != nil:
		return wrong("want no user name or password")
	case u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https":
		return wrong("want http or https")
	case u.Host == "" && (u.Scheme != "" || !strings.HasPrefix(s, "/")):
		return wrong(`want a URL such as "https://host/path?query", or a path that begins with /`)
	}
	t := purgeTarget{target: u.EscapedPath()}
	if t.target == "" {
		t.target = "/"
	}
	if u.ForceQuery || u.RawQuery != "" {
		t.target += "?" + u.RawQuery
	}
	if u.Host != "" {
		// As the key spells it.
		scheme := u.Scheme
		if scheme == "" {
			scheme = "https"
		}
		_, host, _, ok := key.Split(string(key.OfURL(nil, scheme, u.Host, t.target)))
		if !ok {
			return wrong("want a host that a request can have")
		}
		t.host = host
	}
	return t, nil
}

// invalidateGroups carries out Cache-Group-Invalidation on the response to an unsafe request (RFC 9875, 3): within the origin of its URL.
func (e *Edge) invalidateGroups(k []byte, groups []string) {
	origin := originOf(k)
	for _, g := range groups {
		e.hard().tag(inOrigin(origin, groupName(g)))
	}
}
