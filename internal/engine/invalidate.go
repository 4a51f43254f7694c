package engine

import (
	"net/http"
	"strings"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/directive"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// maxInvalidations is how many URLs beside its own one unsafe request invalidates (RFC 9111, 4.4).
const maxInvalidations = 4

// invalidation is what one response to an unsafe request does to stored responses (RFC 9111, 4.4).
type invalidation struct {
	edge    *Engine
	exact   bool   // leaves the other queries of a path alone
	unsure  bool   // the response may still turn out to be an error
	purges  uint64 // how many numbers of the purge sequence it took
	removed int    // stored responses
}

// invalidate removes what is stored for the URL of r, with every query unless s says otherwise, and
// in the groups that the header names (RFC 9875, 3). What is stored for the URLs in Location and
// Content-Location is marked as invalid: it is not used again without validation, except on errors.
// s is the slot that was passed on with the request. purges is how many numbers of the purge
// sequence that took.
func (e *Engine) invalidate(r *http.Request, s *staticSlot, status int, header http.Header) (purges uint64) {
	if !rules.Invalidates(r.Method, status) {
		return 0
	}
	s.passExact(r)
	i := invalidation{edge: e, exact: s.exact}
	return i.carryOut(r, status, header)
}

// invalidateUnsure is invalidate for a handler that returned without writing: it may have changed
// the resource, and may have failed. What is stored for its URL stays usable on errors, so that a
// failed request costs no response. Groups count only if the handler itself has named them.
func (e *Engine) invalidateUnsure(r *http.Request, s *staticSlot, header http.Header) {
	s.passExact(r)
	i := invalidation{edge: e, exact: s.exact, unsure: true}
	i.carryOut(r, http.StatusOK, header)
}

func (i *invalidation) carryOut(r *http.Request, status int, header http.Header) (purges uint64) {
	e := i.edge
	var buf [256]byte
	if k, ok := keyOf(buf[:0], r); ok {
		how := cache.Remove
		if i.unsure {
			how = cache.Invalidate
		}
		i.purge(how, cache.Key(k, !i.exact))
		if lines := header[directive.GroupInvalidation]; len(lines) > 0 {
			if groups, ok := field.ParseStringList(lines); ok {
				i.groups(originOf(k), groups)
			}
		}
	}
	if len(header["Location"]) > 0 || len(header["Content-Location"]) > 0 || len(r.Header["Destination"]) > 0 {
		hosts := e.proxiedHostsOf(r)
		if t, ok := rules.Destination(r, status, hosts); ok {
			i.purge(cache.Remove, cache.Key(key.OfURL(buf[:0], t.Scheme, t.Host, t.Target), !i.exact))
		}
		for _, t := range rules.InvalidationTargets(r, header, hosts, maxInvalidations) {
			i.purge(cache.Invalidate, cache.Key(key.OfURL(buf[:0], t.Scheme, t.Host, t.Target), !i.exact))
		}
	}
	if i.removed > 0 {
		e.counters.invalidated.Add(uint64(i.removed))
		e.tell(Event{Kind: Purged, Request: r, Pattern: r.Pattern, Reason: rules.Invalidated, Count: i.removed})
	}
	return i.purges
}

// groups purges the groups as tags within the origin.
func (i *invalidation) groups(origin string, groups []string) {
	targets := make([]cache.Target, len(groups))
	for at, g := range groups {
		targets[at] = cache.Tag(inOrigin(origin, directive.GroupName(g)))
	}
	i.purge(cache.Remove, targets...)
}

// purge purges targets here at once. Other processes are told later.
func (i *invalidation) purge(how cache.Effect, targets ...cache.Target) {
	n, told := i.edge.purgeTargets(how, targets...)
	if told != nil {
		told.TellLater()
	}
	i.removed += n
	i.purges += uint64(len(targets))
}

// proxiedHostsOf returns the hosts that proxies have sent with r.
func (e *Engine) proxiedHostsOf(r *http.Request) []string {
	req := e.rules.Request(r)
	return key.Hosts(nil, string(key.Scope(nil, r, &req.Scope)))
}

// tagNames returns the tags under which a response with these lines of Cache-Groups is purged: each
// group by itself, for purges by the application, and within the origin of its URL, for purges by
// responses (RFC 9875, 2.1).
func tagNames(lines []string, k []byte) []string {
	if len(lines) == 0 {
		return nil
	}
	groups, ok := field.ParseStringList(lines)
	if !ok || len(groups) == 0 {
		return nil
	}
	origin := originOf(k)
	names := make([]string, 0, 2*len(groups))
	for _, g := range groups {
		g = directive.GroupName(g)
		names = append(names, g, inOrigin(origin, g))
	}
	return names
}

// inOrigin returns the name of a tag within an origin. No other tag has a zero byte.
func inOrigin(origin, group string) string { return group + "\x00" + origin }

// isInOrigin reports whether name was made by inOrigin.
func isInOrigin(name string) bool { return strings.IndexByte(name, 0) >= 0 }

// originOf returns scheme and host of the URL with the primary key k.
func originOf(k []byte) string {
	scheme, host, _, _ := key.Split(string(k))
	return scheme + "://" + host
}
