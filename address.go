package edgecache

import (
	"bytes"
	"hash/maphash"
	"slices"

	"github.com/edgecache-go/edgecache/internal/key"
)

// address is where a URL stands for purges: by host, path and query, each hashed, in whatever way they are spelled. http and https are one. Two URLs may share a address by accident, so what is found by it
// is compared before it is removed.
type address struct{ host, path, query uint64 }

// addresses makes them.
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

// on returns the same address on another host, which is plain.
func (a *addresses) on(at address, host string) address {
	at.host = maphash.String(a.seed, host)
	return at
}

// How a word of memory's listing is cut: so that the URLs of a path stand side by side, those of them on one host, and then those with one query. The rest is the key's, so that those who spell one URL in
// many ways do not make it slow to find one of them.
const (
	pathBits, hostBits, queryBits, keyBits = 24, 14, 14, 12

	pathMask  uint64 = (1<<pathBits - 1) << (64 - pathBits)
	hostMask  uint64 = (1<<hostBits - 1) << (queryBits + keyBits)
	queryMask uint64 = (1<<queryBits - 1) << keyBits
	keyMask   uint64 = 1<<keyBits - 1
)

// word is what is listed at the address, but for the bits of the key.
func (at address) word() uint64 {
	word := at.path&pathMask | at.host>>(64-hostBits)<<(queryBits+keyBits)
	if at.query != 0 {
		word |= max(at.query>>(64-queryBits), 1) << keyBits
	}
	return word
}

// words says how memory lists a resource: by its URL, and by the same with each other host that a proxy has told with a request for it.
func (e *Edge) words(dst []uint64, k string, r resource) []uint64 {
	var buf [256]byte
	kb := append(buf[:0], k...)
	at := e.addresses.of(kb)
	tail := maphash.Bytes(e.addresses.seed, kb) & keyMask
	first := len(dst)
	dst = append(dst, at.word()|tail)
	for host := range r.proxiedHosts {
		dst = append(dst, e.addresses.on(at, host).word()|tail)
	}
	if told := dst[first:]; len(told) > 1 {
		slices.Sort(told)
		dst = dst[:first+len(slices.Compact(told))]
	}
	return dst
}

// lists reports whether word is the one by which k is listed under its own host.
func (e *Edge) lists(word uint64, k string, r resource) bool {
	return r.hasNoProxiedHost() || e.addresses.of([]byte(k)).word() == word&^keyMask
}

// marks returns where the fence has what concerns the URL with the primary key k, in a scope that tells the given hosts.
func (e *Edge) marks(k []byte, hosts []string) (m marks) {
	at := e.addresses.of(k)
	m.path = at.everyQuery()
	m.add(at)
	m.add(at.onEveryHost())
	for _, host := range hosts {
		m.add(e.addresses.on(at, host))
	}
	return m
}

// proxiedHosts returns the hosts, plain, that proxies have told with the request for v.
func (v *variant) proxiedHosts() []string {
	if v.extras == nil || v.extras.proxiedHosts == nil {
		return nil
	}
	return *v.extras.proxiedHosts
}

// hasNoProxiedHost reports whether no proxy has told a host.
func (r resource) hasNoProxiedHost() bool {
	for range r.proxiedHosts {
		return false
	}
	return true
}

// proxiedHosts yields the hosts that proxies have told with the requests for the variants.
func (r resource) proxiedHosts(yield func(string) bool) {
	for v := range r.variants {
		for _, host := range v.proxiedHosts() {
			if !yield(host) {
				return
			}
		}
	}
}
