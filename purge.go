package edgecache

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/directive"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/l2"
	"github.com/edgecache-go/edgecache/internal/rules"
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
func (p Purger) Purge(ctx context.Context, urls ...string) (n int, err error) {
	targets := make([]purgeTarget, len(urls))
	for i, u := range urls {
		if targets[i], err = parsePurge(u); err != nil {
			return 0, err
		}
	}
	seconds := make([]l2.Target, len(targets))
	for i := range targets {
		seconds[i] = l2.Page(targets[i].host, targets[i].target)
	}
	tell := p.edge.purgeL2(seconds...)
	for i := range targets {
		n += p.url(&targets[i])
	}
	p.done(n)
	return n, tell(ctx)
}

// url purges one URL.
func (p Purger) url(t *purgeTarget) (n int) {
	e := p.edge
	at := e.addresses.of(key.OfURL(nil, "http", t.host, t.target))
	mask := pathMask | hostMask | queryMask
	if t.host == "" {
		at, mask = at.onEveryHost(), pathMask|queryMask
	}
	e.generations.bump(at)
	for _, scheme := range [...]string{"http", "https"} {
		e.forgetHitForMiss(key.OfURL(nil, scheme, t.host, t.target))
	}
	now := time.Now()
	e.memory.Visit(at.word(), mask, func(word uint64, k string, res resource) bool {
		if t.host == "" && !e.lists(word, k, res) || !t.means(k, res, false) {
			return false
		}
		if p.soft {
			n += res.softPurge(now)
			return false
		}
		n += res.alive()
		return true
	})
	return n
}

var errEmptyTag = errors.New(`edgecache: tag is "": want at least one byte`)

// PurgeTags is like [Edge.PurgeTags].
func (p Purger) PurgeTags(ctx context.Context, tags ...string) (n int, err error) {
	for _, t := range tags {
		if t == "" {
			return 0, errEmptyTag
		}
	}
	seconds := make([]l2.Target, len(tags))
	for i, t := range tags {
		seconds[i] = l2.Tag(directive.GroupName(t))
	}
	tell := p.edge.purgeL2(seconds...)
	for _, t := range tags {
		n += p.tag(directive.GroupName(t))
	}
	p.done(n)
	return n, tell(ctx)
}

func (p Purger) tag(name string) int {
	e := p.edge
	t := e.tags.get(name)
	number := func() uint64 { return e.generations.bumpTag(name) }
	if p.soft {
		return t.softPurge(number, time.Now())
	}
	return t.purge(number)
}

// PurgePrefix is like [Edge.PurgePrefix].
func (p Purger) PurgePrefix(ctx context.Context, prefix string) (n int, err error) {
	t, err := parsePurge(prefix)
	if err != nil {
		return 0, err
	}
	tell := p.edge.purgeL2(l2.Prefix(t.host, t.target))
	n = p.matching(&t)
	p.done(n)
	return n, tell(ctx)
}

// matching purges all URLs that begin as t. Pages that are being made are not kept, whatever their URL.
func (p Purger) matching(t *purgeTarget) (n int) {
	e := p.edge
	e.generations.bumpAll()
	now := time.Now()
	e.memory.DeleteFunc(func(k string, res resource) bool {
		if !t.means(k, res, true) {
			return false
		}
		if p.soft {
			n += res.softPurge(now)
			return false
		}
		n += res.alive()
		return true
	})
	return n
}

// PurgeAll is like [Edge.PurgeAll].
func (p Purger) PurgeAll(ctx context.Context) (n int, err error) {
	e := p.edge
	tell := e.purgeL2(l2.Everything())
	if p.soft {
		n = p.matching(&purgeTarget{})
	} else {
		e.generations.bumpAll()
		for _, res := range e.memory.All() {
			n += res.alive()
		}
		e.memory.Clear()
		e.hitForMiss.clear()
	}
	p.done(n)
	return n, tell(ctx)
}

// done counts a purge and tells of it.
func (p Purger) done(n int) {
	e := p.edge
	e.counters.purges.Add(1)
	reason := rules.None
	if p.soft {
		reason = rules.Purged
	}
	e.tell(Event{Kind: Purged, Count: n, Reason: reason})
}

// purgeTarget is a URL, or the beginning of one.
type purgeTarget struct {
	host   string // plain; "" for every host
	target string // path and query as they were written
	plain  string // the same, plain
}

// means reports whether t is the URL with the primary key k, or with prefix its beginning. Its host may also be one that a proxy has told with a request.
func (t *purgeTarget) means(k string, res resource, prefix bool) bool {
	_, host, target, ok := key.Split(k)
	if !ok {
		return false
	}
	if plain := key.PlainTarget(target); plain != t.plain && !(prefix && strings.HasPrefix(plain, t.plain)) {
		return false
	}
	return t.host == "" || t.host == key.PlainHost(host) || res.any(func(v *variant) bool { return slices.Contains(v.proxiedHosts(), t.host) })
}

// parsePurge reads what a purge is given.
func parsePurge(s string) (t purgeTarget, err error) {
	given := s
	wrong := func(why string) (purgeTarget, error) {
		return purgeTarget{}, fmt.Errorf("edgecache: cannot purge %q: %s", given, why)
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
	if u.Host != "" {
		if u.Hostname() == "" || strings.IndexFunc(u.Host, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 {
			return wrong("want a host as it stands in a request, in ASCII")
		}
		scheme := u.Scheme
		if scheme == "" {
			scheme = "https"
		}
		_, host, _, _ := key.Split(string(key.OfURL(nil, scheme, u.Host, "")))
		t.host = key.PlainHost(host)
		_, s, _ = strings.Cut(s, "//")
		s = strings.TrimLeftFunc(s, func(r rune) bool { return r != '/' && r != '?' })
	}
	if s == "" || s[0] == '?' {
		s = "/" + s
	}
	t.target, t.plain = s, key.PlainTarget(s)
	return t, nil
}
