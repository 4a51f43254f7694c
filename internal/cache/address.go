package cache

import (
	"bytes"
	"hash/maphash"

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

// hasNoProxiedHost reports whether no proxy has told a host.
func (r Resource) hasNoProxiedHost() bool {
	for range r.proxiedHosts {
		return false
	}
	return true
}

// proxiedHosts yields the hosts that proxies have told with the requests for the variants.
func (r Resource) proxiedHosts(yield func(string) bool) {
	for v := range r.Variants {
		for _, host := range v.proxiedHosts() {
			if !yield(host) {
				return
			}
		}
	}
}
