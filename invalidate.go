package edgecache

import (
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/directive"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/l2"
	"github.com/edgecache-go/edgecache/internal/rules"
)

const (
	// maxInvalidations is how many URLs beside its own one unsafe request invalidates (RFC 9111, 4.4).
	maxInvalidations = 4

	// maxInvalid is how many URLs of one path stay, as invalid, for the case that the handler fails. The others are removed: else each of many requests would have all queries of a list to mark again.
	maxInvalid = 64
)

// An invalidation is what one response to an unsafe request makes of what is stored (RFC 9111, 4.4).
type invalidation struct {
	edge    *Edge
	exact   bool   // not the other queries of a path
	unsure  bool   // the response may still turn out to be an error
	purges  uint64 // how many numbers of the purge sequence it has taken
	removed int    // stored responses
}

// invalidate removes what is stored for the URL of r with every query, and in the groups that the header names (RFC 9875, 3). What Location and Content-Location name is marked as invalid: it is
// not used again without validation, but still for errors. s is what has gone in with the request. The result is how many numbers of the purge sequence that took.
func (e *Edge) invalidate(r *http.Request, s *staticSlot, status int, header http.Header) (purges uint64) {
	if !rules.Invalidates(r.Method, status) {
		return 0
	}
	s.passExact(r)
	i := invalidation{edge: e, exact: s.exact}
	return i.carryOut(r, status, header)
}

// invalidateUnsure is invalidate for a handler that has returned without writing: it may have changed the resource, and may have failed. What is
// stored for its URL stays for errors, so that a request that fails costs no response. Groups are what the handler itself has named.
func (e *Edge) invalidateUnsure(r *http.Request, s *staticSlot, header http.Header) {
	s.passExact(r)
	i := invalidation{edge: e, exact: s.exact, unsure: true}
	i.carryOut(r, http.StatusOK, header)
}

func (i *invalidation) carryOut(r *http.Request, status int, header http.Header) (purges uint64) {
	e := i.edge
	var buf [256]byte
	if k, ok := key.Of(buf[:0], r); ok {
		if i.unsure {
			i.mark(k)
		} else {
			i.remove(k)
		}
		if lines := header[directive.GroupInvalidation]; len(lines) > 0 {
			if groups, ok := field.ParseStringList(lines); ok {
				i.groups(originOf(k), groups)
			}
		}
	}
	if len(header["Location"]) > 0 || len(header["Content-Location"]) > 0 || len(r.Header["Destination"]) > 0 {
		hosts := e.proxiedHostsOf(r)
		if t, ok := rules.Destination(r, status, hosts); ok {
			i.remove(key.OfURL(buf[:0], t.Scheme, t.Host, t.Target))
		}
		for _, t := range rules.InvalidationTargets(r, header, hosts, maxInvalidations) {
			i.mark(key.OfURL(buf[:0], t.Scheme, t.Host, t.Target))
		}
	}
	if i.removed > 0 {
		e.counters.invalidated.Add(uint64(i.removed))
		e.tell(Event{Kind: Purged, Request: r, Pattern: r.Pattern, Reason: rules.Invalidated, Count: i.removed})
	}
	return i.purges
}

// proxiedHostsOf returns the hosts that proxies have told with r.
func (e *Edge) proxiedHostsOf(r *http.Request) []string {
	req := e.rules.Request(r)
	return key.Hosts(nil, string(key.Scope(nil, r, &req.Scope)))
}

// raise keeps fills that have begun from bringing back what is invalid, and forgets that in the second l2. It returns what the listing of memory has of it.
func (i *invalidation) raise(k []byte) (word, mask uint64) {
	e := i.edge
	i.purges++
	e.forgetHitForMiss(k)
	at := e.addresses.of(k)
	if i.exact {
		e.dropL2URL(k)
		e.generations.bump(at)
		return at.word(), pathMask | hostMask | queryMask
	}
	if e.l2 != nil {
		e.dropL2(l2.Path(k))
	}
	e.generations.bumpPath(at)
	return at.word(), pathMask | hostMask
}

// concerns reports whether other is invalid together with k.
func (i *invalidation) concerns(k *plainURL, other string) bool {
	o := plainOf(other)
	return o.host == k.host && o.path == k.path && (!i.exact || o.query == k.query)
}

// remove forgets a URL with every query.
func (i *invalidation) remove(k []byte) {
	word, mask := i.raise(k)
	own := plainOf(string(k))
	i.edge.memory.Visit(word, mask, func(_ uint64, k string, res resource) bool {
		if !i.concerns(&own, k) {
			return false
		}
		i.removed += res.alive()
		return true
	})
}

// mark makes a URL invalid, with every query.
func (i *invalidation) mark(k []byte) {
	e := i.edge
	word, mask := i.raise(k)
	own, now := plainOf(string(k)), time.Now()
	// The URL itself comes first, as it is the one that is surely asked for.
	e.memory.Visit(word, pathMask|hostMask|queryMask, func(_ uint64, k string, res resource) bool {
		if plainOf(k) == own {
			i.removed += res.invalidate(now)
		}
		return false
	})
	if i.exact {
		return
	}
	marked := 0
	e.memory.Visit(word, mask, func(_ uint64, k string, res resource) bool {
		if plainOf(k) == own || !i.concerns(&own, k) {
			return false
		}
		if marked++; marked > maxInvalid {
			i.removed += res.alive()
			return true
		}
		i.removed += res.invalidate(now)
		return false
	})
}

// groups purges the tags within the origin.
func (i *invalidation) groups(origin string, groups []string) {
	e := i.edge
	for _, g := range groups {
		e.dropL2(l2.Tag(inOrigin(origin, directive.GroupName(g))))
	}
	for _, g := range groups {
		i.removed += e.hard().tag(inOrigin(origin, directive.GroupName(g)))
		i.purges++
	}
}

// plainURL is a URL without its scheme, plain.
type plainURL struct{ host, path, query string }

func plainOf(k string) (u plainURL) {
	_, host, target, _ := key.Split(k)
	u.host = key.PlainHost(host)
	u.path, u.query = key.PlainPath(key.PlainTarget(target))
	return u
}
