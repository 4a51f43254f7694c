package cache

import (
	"bytes"
	"hash/maphash"
	"math/bits"
	"slices"

	"github.com/edgecache-go/edgecache/internal/generations"
	"github.com/edgecache-go/edgecache/internal/key"
)

// How many places the table of generations has.
const (
	urlPlaces  = 1 << 14 // for URLs on one host, and on all hosts
	pathPlaces = 1 << 14 // for paths on one host, with every query; separate, since strangers can bump them
	tagPlaces  = 1 << 12

	firstPath  = urlPlaces
	firstTag   = firstPath + pathPlaces
	everywhere = firstTag + tagPlaces // the place of purges that concern every fetch
	places     = everywhere + 1
)

// purges keeps a response that was rendered before a purge from being stored, or joined, after it:
// see [generations.Table]. The hash of a name gives it one place.
type purges struct {
	table *generations.Table
	seed  maphash.Seed
}

// Marks are the places where purges of one URL leave a mark: the URL on the host of its key, on
// each other host that a proxy named with the request, on every host, and its path.
type Marks struct {
	urls [2 + key.MaxHosts]uint16
	used int // of urls
	path uint16
}

func newPurges() purges { return purges{generations.New(places), maphash.MakeSeed()} }

// now returns the number of the last purge. A fetch remembers it when it begins.
func (p *purges) now() uint64 { return p.table.Now() }

// add includes the place of an address.
func (m *Marks) add(at address) {
	m.urls[m.used] = at.url()
	m.used++
}

// url returns the place of a URL. Without a host it is that of the URL on every host.
func (at address) url() uint16 { return uint16(mix(at.host, at.path, at.query) % urlPlaces) }

// everyQuery returns the place of the path with every query, counted from firstPath.
func (at address) everyQuery() uint16 { return uint16(mix(at.host, at.path, 0) % pathPlaces) }

// onEveryHost returns the same URL without its host.
func (at address) onEveryHost() address { return address{path: at.path, query: at.query} }

// mix makes one hash of three.
func mix(a, b, c uint64) uint64 {
	return (a ^ bits.RotateLeft64(b*0x9e3779b97f4a7c15, 21)) + bits.RotateLeft64(c*0xbf58476d1ce4e5b9, 42)
}

// bump marks a URL as purged now; without a host, on every host. The mark comes before the removal:
// a response that is stored in between is removed, and one that comes later sees the mark.
func (p *purges) bump(at address) { p.table.Bump(uint32(at.url())) }

// bumpPath marks a path on its host, with every query, as purged now.
func (p *purges) bumpPath(at address) { p.table.Bump(firstPath + uint32(at.everyQuery())) }

// bumpTag marks a tag as purged now, and returns the number of the purge.
func (p *purges) bumpTag(tag string) uint64 { return p.table.Bump(p.tag(tag)) }

// bumpAll marks everything as purged now.
func (p *purges) bumpAll() { p.table.Bump(everywhere) }

// purgedSince reports whether the URL of m was, or may have been, purged after gen.
func (p *purges) purgedSince(m *Marks, gen uint64) bool {
	for _, at := range m.urls[:m.used] {
		if p.table.PurgedSince(gen, uint32(at)) {
			return true
		}
	}
	return p.table.PurgedSince(gen, firstPath+uint32(m.path)) || p.table.PurgedSince(gen, everywhere)
}

// tagsPurgedSince reports whether one of the tags was, or may have been, purged after gen.
func (p *purges) tagsPurgedSince(tags []string, gen uint64) bool {
	for _, tag := range tags {
		if p.table.PurgedSince(gen, p.tag(tag)) {
			return true
		}
	}
	return false
}

func (p *purges) tag(tag string) uint32 {
	return firstTag + uint32(maphash.String(p.seed, tag)%tagPlaces)
}

// addresses hashes URLs with a random seed.
type addresses struct{ seed maphash.Seed }

func (a *addresses) init() { a.seed = maphash.MakeSeed() }

// of returns the address of the URL with the primary key k.
func (a *addresses) of(k []byte) address {
	_, host, target, _ := key.Split(k)
	if bytes.IndexByte(host, ':') >= 0 {
		host = []byte(key.PlainHost(string(host)))
	}
	if len(target) == 0 || target[0] == '?' || bytes.IndexByte(target, '%') >= 0 || bytes.IndexByte(target, '+') >= 0 {
		target = []byte(key.PlainTarget(string(target)))
	}
	path, query, found := bytes.Cut(target, []byte{'?'})
	at := address{host: maphash.Bytes(a.seed, host), path: maphash.Bytes(a.seed, path)}
	if found {
		at.query = maphash.Bytes(a.seed, query) | 1 // no query is 0
	}
	return at
}

// on returns the same address on another host, whose name is plain.
func (a *addresses) on(at address, host string) address {
	at.host = maphash.String(a.seed, host)
	return at
}

// address is a URL as purges see it: host, path and query in their plain spelling, each hashed.
// http and https are one. Two URLs may share an address by accident, so callers compare what they
// find by it before they remove anything.
type address struct{ host, path, query uint64 }

// How a word of memory's listing is cut. The URLs of a path stand side by side, among them those of
// one host, and among those the ones with one query. The other bits come from the key: one URL that
// is spelled in many ways does not make others slow to find.
const (
	pathBits, hostBits, queryBits, keyBits = 24, 14, 14, 12

	pathMask  uint64 = (1<<pathBits - 1) << (64 - pathBits)
	hostMask  uint64 = (1<<hostBits - 1) << (queryBits + keyBits)
	queryMask uint64 = (1<<queryBits - 1) << keyBits
	keyMask   uint64 = 1<<keyBits - 1
)

// word returns what is listed at the address, without the bits of the key.
func (at address) word() uint64 {
	word := at.path&pathMask | at.host>>(64-hostBits)<<(queryBits+keyBits)
	if at.query != 0 {
		word |= max(at.query>>(64-queryBits), 1) << keyBits
	}
	return word
}

// words returns by which words memory lists a resource: by its URL, and by the same URL on each
// host that a proxy named with a request for it.
func (c *Cache) words(dst []uint64, k string, r Resource) []uint64 {
	var buf [256]byte
	kb := append(buf[:0], k...)
	at := c.addresses.of(kb)
	tail := maphash.Bytes(c.addresses.seed, kb) & keyMask
	first := len(dst)
	dst = append(dst, at.word()|tail)
	for host := range r.proxiedHosts {
		dst = append(dst, c.addresses.on(at, host).word()|tail)
	}
	if words := dst[first:]; len(words) > 1 {
		slices.Sort(words)
		dst = dst[:first+len(slices.Compact(words))]
	}
	return dst
}

// lists reports whether word lists k under its own host.
func (c *Cache) lists(word uint64, k string, r Resource) bool {
	return r.hasNoProxiedHost() || c.addresses.of([]byte(k)).word() == word&^keyMask
}

// Marks returns where purges of the URL with the primary key k leave a mark, in a scope that names
// the given hosts.
func (c *Cache) Marks(k []byte, hosts []string) (m Marks) {
	at := c.addresses.of(k)
	m.path = at.everyQuery()
	m.add(at)
	m.add(at.onEveryHost())
	for _, host := range hosts {
		m.add(c.addresses.on(at, host))
	}
	return m
}

// hasNoProxiedHost reports whether no proxy named a host.
func (r Resource) hasNoProxiedHost() bool {
	for range r.proxiedHosts {
		return false
	}
	return true
}

// proxiedHosts yields the hosts that proxies named with the requests for the variants.
func (r Resource) proxiedHosts(yield func(string) bool) {
	for v := range r.Variants {
		for _, host := range v.proxiedHosts() {
			if !yield(host) {
				return
			}
		}
	}
}
