package cache

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/key"
)

// Effect is what a purge does to a stored response.
type Effect uint8

const (
	// Remove removes the response.
	Remove Effect = iota
	// SoftPurge makes the response stale from now on.
	SoftPurge
	// Invalidate has the response validated before any use. It may still be served on errors (RFC
	// 9111, 4.4).
	Invalidate
)

// Target is what a purge concerns. URL, Prefix, Key, Tag and Everything make one.
type Target struct {
	Kind targetKind
	URL  targetURL // for OfURL and OfPrefix
	Key  []byte    // for OfKey and OfPath
	Tag  string    // for OfTag
}

// targetKind says which fields of a Target are set. The engine reads it to purge the second level,
// too.
type targetKind uint8

const (
	OfURL    targetKind = iota // one URL
	OfKey                      // one URL by its key, on the host of the key
	OfPath                     // the same with every query
	OfPrefix                   // all URLs that begin with URL
	OfTag                      // all responses with the tag
	ofAll
)

// URL returns the target of a URL as the application writes it.
func URL(given string) (Target, error) {
	u, err := parseTarget(given)
	return Target{Kind: OfURL, URL: u}, err
}

// Prefix returns the target of all URLs that begin with the given one.
func Prefix(given string) (Target, error) {
	u, err := parseTarget(given)
	return Target{Kind: OfPrefix, URL: u}, err
}

// Key returns the target of the URL with the primary key k; with everyQuery, of its path with every
// query.
func Key(k []byte, everyQuery bool) Target {
	if everyQuery {
		return Target{Kind: OfPath, Key: k}
	}
	return Target{Kind: OfKey, Key: k}
}

// Tag returns the target of all responses with this tag.
func Tag(name string) Target { return Target{Kind: OfTag, Tag: name} }

// Everything returns the target of all that is stored.
func Everything() Target { return Target{Kind: ofAll} }

// Purge purges what is in memory, and returns how many stored responses it concerned. It takes one
// number of the sequence.
//
// The number comes before the removal: a response that is stored in between is removed, and one
// that is stored later turns out to be older than the purge. The caller purges a second level
// first.
func (c *Cache) Purge(t *Target, how Effect) (n int) {
	switch t.Kind {
	case OfURL:
		return c.purgeURL(t.URL.clone(), how)
	case OfKey:
		return c.purgeKey(t.Key, false, how)
	case OfPath:
		return c.purgeKey(t.Key, true, how)
	case OfPrefix:
		return c.purgePrefix(t.URL.clone(), how)
	case OfTag:
		return c.purgeTag(strings.Clone(t.Tag), how)
	}
	return c.purgeAll(how)
}

// clone copies the texts. So a Target that only has a key can stay on the caller's stack: an unsafe
// request makes one, and its purge keeps nothing of it.
func (t *targetURL) clone() targetURL {
	return targetURL{strings.Clone(t.Host), strings.Clone(t.Target), strings.Clone(t.plain)}
}

// apply does to all responses of a URL what a purge asks for, and returns how many it concerned.
// gone says that the caller must remove them.
func (r Resource) apply(how Effect, now time.Time) (n int, gone bool) {
	switch how {
	case SoftPurge:
		return r.softPurge(now), false
	case Invalidate:
		return r.invalidate(now), false
	}
	return r.Alive(), true
}

func (c *Cache) purgeURL(u targetURL, how Effect) (n int) {
	at := c.addresses.of(key.OfURL(nil, "http", u.Host, u.Target))
	mask := pathMask | hostMask | queryMask
	if u.Host == "" {
		at, mask = at.onEveryHost(), pathMask|queryMask
	}
	c.purges.bump(at)
	for _, scheme := range [...]string{"http", "https"} {
		c.forgetHitForMiss(key.OfURL(nil, scheme, u.Host, u.Target))
	}
	now := time.Now()
	c.memory.Visit(at.word(), mask, func(word uint64, k string, r Resource) (gone bool) {
		if u.Host == "" && !c.lists(word, k, r) || !u.means(k, r, false) {
			return false
		}
		count, gone := r.apply(how, now)
		n += count
		return gone
	})
	return n
}

// purgeKey purges the URL with the primary key k, or its path with every query.
func (c *Cache) purgeKey(k []byte, everyQuery bool, how Effect) (n int) {
	c.forgetHitForMiss(k)
	at := c.addresses.of(k)
	mask := pathMask | hostMask
	if everyQuery {
		c.purges.bumpPath(at)
	} else {
		c.purges.bump(at)
		mask |= queryMask
	}
	own, now := plainOf(string(k)), time.Now()
	if how == Invalidate {
		return c.invalidateKey(at.word(), mask, &own, everyQuery, now)
	}
	c.memory.Visit(at.word(), mask, func(_ uint64, k string, r Resource) (gone bool) {
		if !own.covers(k, everyQuery) {
			return false
		}
		count, gone := r.apply(how, now)
		n += count
		return gone
	})
	return n
}

// invalidateKey marks own first, since that is the URL of the request, and then its other queries.
// It removes those beyond MaxInvalid.
func (c *Cache) invalidateKey(word, mask uint64, own *plainURL, everyQuery bool, now time.Time) (n int) {
	c.memory.Visit(word, mask|queryMask, func(_ uint64, k string, r Resource) (gone bool) {
		if plainOf(k) == *own {
			n += r.invalidate(now)
		}
		return false
	})
	if !everyQuery {
		return n
	}
	marked := 0
	c.memory.Visit(word, mask, func(_ uint64, k string, r Resource) (gone bool) {
		if plainOf(k) == *own || !own.covers(k, true) {
			return false
		}
		if marked++; marked > MaxInvalid {
			n += r.Alive()
			return true
		}
		n += r.invalidate(now)
		return false
	})
	return n
}

// purgePrefix purges all URLs that begin as u. Responses in progress are not stored, whatever their
// URL.
func (c *Cache) purgePrefix(u targetURL, how Effect) (n int) {
	c.purges.bumpAll()
	now := time.Now()
	c.memory.DeleteFunc(func(k string, r Resource) (gone bool) {
		if !u.means(k, r, true) {
			return false
		}
		count, gone := r.apply(how, now)
		n += count
		return gone
	})
	return n
}

func (c *Cache) purgeTag(name string, how Effect) (n int) {
	t := c.tags.get(name)
	number := func() uint64 { return c.purges.bumpTag(name) }
	if how == SoftPurge {
		return t.softPurge(number, time.Now())
	}
	return t.purge(number)
}

func (c *Cache) purgeAll(how Effect) (n int) {
	if how != Remove {
		return c.purgePrefix(targetURL{}, how)
	}
	c.purges.bumpAll()
	for _, r := range c.memory.All() {
		n += r.Alive()
	}
	c.memory.Clear()
	c.hitForMiss.clear()
	return n
}

// targetURL is a URL, or the beginning of one.
type targetURL struct {
	Host   string // plain; "" for every host
	Target string // path and query as the application wrote them
	plain  string // the same in its plain spelling
}

// means reports whether t is the URL with the primary key k; with prefix, whether it is the
// beginning of that URL. The host may also be one that a proxy named with a request.
func (t *targetURL) means(k string, r Resource, prefix bool) bool {
	_, host, target, ok := key.Split(k)
	if !ok {
		return false
	}
	if plain := key.PlainTarget(target); plain != t.plain && !(prefix && strings.HasPrefix(plain, t.plain)) {
		return false
	}
	return t.Host == "" || t.Host == key.PlainHost(host) ||
		r.any(func(v *Variant) bool { return slices.Contains(v.proxiedHosts(), t.Host) })
}

// parseTarget reads the URL that a purge is given.
func parseTarget(s string) (t targetURL, err error) {
	given := s
	wrong := func(why string) (targetURL, error) {
		return targetURL{}, fmt.Errorf("edgecache: cannot purge %q: %s", given, why)
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
		t.Host = key.PlainHost(host)
		_, s, _ = strings.Cut(s, "//")
		s = strings.TrimLeftFunc(s, func(r rune) bool { return r != '/' && r != '?' })
	}
	if s == "" || s[0] == '?' {
		s = "/" + s
	}
	t.Target, t.plain = s, key.PlainTarget(s)
	return t, nil
}

// MaxInvalid is how many URLs of one path an invalidation keeps, in case the handler fails. It
// removes the others: otherwise each of many requests would mark all queries of a list again.
const MaxInvalid = 64

// plainURL is a URL in its plain spelling, without its scheme.
type plainURL struct{ host, path, query string }

// covers reports whether k is the key of u; with everyQuery, whether it has the same path.
func (u *plainURL) covers(k string, everyQuery bool) bool {
	o := plainOf(k)
	return o.host == u.host && o.path == u.path && (everyQuery || o.query == u.query)
}

func plainOf(k string) (u plainURL) {
	_, host, target, _ := key.Split(k)
	u.host = key.PlainHost(host)
	u.path, u.query = key.PlainPath(key.PlainTarget(target))
	return u
}
