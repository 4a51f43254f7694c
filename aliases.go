package edgecache

import (
	"bytes"
	"sync"

	"github.com/edgecache-go/edgecache/internal/key"
)

// maxAliases is how many hosts are remembered as standing for others. Beyond that a purge by URL looks at all that is stored.
const maxAliases = 64

// aliases are the hosts in keys under which pages of other hosts are stored, because a proxy tells the public host in a field of its own.
type aliases struct {
	mu    sync.RWMutex
	hosts map[string]struct{}
	many  bool
}

// note remembers the host of k if scope may name another one.
func (a *aliases) note(k, scope []byte) {
	if len(scope) == 0 || !namesHost(scope) {
		return
	}
	_, host, _, _ := key.Split(string(k))
	a.mu.RLock()
	_, known := a.hosts[host]
	known = known || a.many
	a.mu.RUnlock()
	if known {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.hosts) >= maxAliases {
		a.many, a.hosts = true, nil
		return
	}
	if a.hosts == nil {
		a.hosts = make(map[string]struct{})
	}
	a.hosts[host] = struct{}{}
}

// namesHost reports whether a scope may hold a host: not if it only tells the scheme, as most proxies do.
func namesHost(scope []byte) bool {
	const scheme, before, between = "X-Forwarded-Proto", 3, 2 // see key.Scope: kind and length come before the name, number and length between name and value
	return bytes.Index(scope, []byte(scheme)) != before || len(scope) > before+len(scheme)+between+len("https")
}

// list returns the hosts; all is false when there are more than can be named.
func (a *aliases) list() (hosts []string, all bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for host := range a.hosts {
		hosts = append(hosts, host)
	}
	return hosts, !a.many
}
