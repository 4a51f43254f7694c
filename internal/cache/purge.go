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
	Remove     Effect = iota
	SoftPurge         // it is stale from now on
	Invalidate        // it is validated before any use, but still stands in for errors (RFC 9111, 4.4)
)

// A Target is what a purge concerns. Make one with URL, Prefix, Key, Tag, or Everything.
type Target struct {
	Kind targetKind
	URL  targetURL
	Key  []byte // of Key
	Tag  string
}

type targetKind uint8

const (
	OfURL    targetKind = iota
	OfKey               // a URL by its key, on the host of that
	OfPath              // the same with every query
	OfPrefix            // what begins with url
	OfTag
	ofAll
)

// URL is a URL as a purge is given it.
func URL(given string) (Target, error) {
	u, err := parseTarget(given)
	return Target{Kind: OfURL, URL: u}, err
}

// Prefix is the beginning of a URL.
func Prefix(given string) (Target, error) {
	u, err := parseTarget(given)
	return Target{Kind: OfPrefix, URL: u}, err
}

// Key is the URL with the primary key k; with everyQuery its path, whatever the query.
func Key(k []byte, everyQuery bool) Target {
	if everyQuery {
		return Target{Kind: OfPath, Key: k}
	}
	return Target{Kind: OfKey, Key: k}
}

// Tag is what carries a tag of this name.
func Tag(name string) Target { return Target{Kind: OfTag, Tag: name} }

// Everything is all that is stored.
func Everything() Target { return Target{Kind: ofAll} }

// Purge purges what is in memory, and returns how many stored responses that concerned. It takes one number of the sequence.
//
// The number comes before the removal: a response that is stored in between is then removed, and one that is stored afterwards is found to be older than the purge. A second level is to
// be purged before that.
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

// clone copies the texts, so that a Target that only has a key can stay on the caller's stack: an
// unsafe request makes one, and its purge keeps nothing of it.
func (u *targetURL) clone() targetURL {
	return targetURL{strings.Clone(u.Host), strings.Clone(u.Target), strings.Clone(u.plain)}
}

// apply does to all responses of a URL what a purge asks for, and returns how many it concerned. gone reports that they are to be removed.
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

// invalidateKey marks own itself first, as it is the URL that is surely asked for, and then its other queries. Beyond maxInvalid these are removed.
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

// purgePrefix purges all URLs that begin as u. Responses in progress are not kept, whatever their URL.
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
	Target string // path and query as they were written
	plain  string // the same, plain
}

// means reports whether t is the URL with the primary key k, or with prefix its beginning. Its host may also be one that a proxy has told with a request.
func (t *targetURL) means(k string, res Resource, prefix bool) bool {
	_, host, target, ok := key.Split(k)
	if !ok {
		return false
	}
	if plain := key.PlainTarget(target); plain != t.plain && !(prefix && strings.HasPrefix(plain, t.plain)) {
		return false
	}
	return t.Host == "" || t.Host == key.PlainHost(host) || res.any(func(v *Variant) bool { return slices.Contains(v.proxiedHosts(), t.Host) })
}

// parseTarget reads what a purge is given.
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

// MaxInvalid is how many URLs of one path stay, as invalid, for the case that the handler fails. The others are removed: else each of many requests would have all queries of a list to mark again.
const MaxInvalid = 64

// plainURL is a URL without its scheme, plain.
type plainURL struct{ host, path, query string }

// covers reports whether k is the key of u, or with everyQuery one of the same path.
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
