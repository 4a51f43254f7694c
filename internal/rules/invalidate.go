package rules

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
)

// maxLocation bounds the length of the URLs that are considered for invalidation, in bytes.
const maxLocation = 8 << 10

// Target is a URL, in the parts that the key is made of.
type Target struct {
	Scheme, Host string
	Target       string // path and query
}

// Invalidates reports whether a response with this status to a request with this method invalidates
// what is stored for its URL (RFC 9111, 4.4): a success or redirection of a method that is not
// known to be safe.
func Invalidates(method string, status int) bool {
	return !safe(method) && status >= 200 && status <= 399
}

// InvalidationTargets returns the URLs, besides that of r, that a successful unsafe request
// invalidates: those in Location and Content-Location, if they have the same origin (RFC 9111,
// 4.4). There are at most max, without duplicates. hosts are the names, as key.PlainHost spells
// them, under which proxies say that the request was made: see key.Hosts.
func InvalidationTargets(r *http.Request, h http.Header, hosts []string, max int) []Target {
	h = field.Canonical(h)
	if len(h["Location"]) == 0 && len(h["Content-Location"]) == 0 {
		return nil
	}
	own, ok := targetOf(r)
	if !ok {
		return nil
	}
	own.known(r, hosts)
	var targets []Target
	for _, name := range [...]string{"Location", "Content-Location"} {
		for _, line := range h[name] {
			if len(targets) >= max {
				return targets
			}
			target, ok := own.resolve(line)
			if ok && target != own.Target && !slices.Contains(targets, target) {
				targets = append(targets, target)
			}
		}
	}
	return targets
}

// Destination returns the URL to which a MOVE or COPY has written. ok is false unless its status
// says so and the URL has the same origin (RFC 4918, 9.8.5, 9.9.4 and 10.3). hosts are as for
// InvalidationTargets.
func Destination(r *http.Request, status int, hosts []string) (t Target, ok bool) {
	if r.Method != "MOVE" && r.Method != "COPY" || status != http.StatusCreated && status != http.StatusNoContent {
		return t, false
	}
	lines := r.Header["Destination"]
	if len(lines) != 1 {
		return t, false
	}
	own, ok := targetOf(r)
	if !ok {
		return t, false
	}
	own.known(r, hosts)
	return own.resolve(lines[0])
}

// origin is the target URI of a request (RFC 9110, 7.1) in two forms: as the key has it, and as its
// client sees it.
type origin struct {
	Target
	public  url.URL                        // with the scheme that a proxy in front speaks
	hosts   []string                       // other names that proxies gave it
	accepts func(scheme, host string) bool // of a whole URL
}

func targetOf(r *http.Request) (o origin, ok bool) {
	k, ok := key.Of(nil, r)
	if !ok {
		return o, false
	}
	o.Scheme, o.Host, o.Target.Target, _ = key.Split(string(k))
	public, err := url.ParseRequestURI(o.Target.Target)
	if err != nil {
		return o, false
	}
	o.public = *public
	o.public.Scheme, o.public.Host = o.Scheme, o.Host
	// TLS often ends in front of us. The field can be forged, but it only decides which of its own
	// URLs a client invalidates, and that client may send unsafe requests to them anyway.
	if proto := r.Header.Get("X-Forwarded-Proto"); strings.EqualFold(proto, "http") || strings.EqualFold(proto, "https") {
		o.public.Scheme = strings.ToLower(proto)
	}
	o.accepts = func(scheme, host string) bool { return scheme == o.public.Scheme && sameHost(scheme, host, o.Host) }
	return o, true
}

// known makes o accept every URL by which its client may know the same site. It is for invalidation
// only.
//
// Deviation: where TLS does not end here, http and https are one origin, as few proxies tell which
// of them it was in a way that all understand. Proxies may also have told another host than the one
// by which they call us. Both only decide which of its own URLs a client invalidates.
func (o *origin) known(r *http.Request, hosts []string) {
	either := r.TLS == nil || forwardedAs(r.Header, "http")
	own := o.Scheme
	o.hosts = append(o.hosts, key.PlainHost(o.Host))
	for _, host := range hosts {
		o.hosts = append(o.hosts, host)
		if port := r.Header.Get("X-Forwarded-Port"); port != "" && !strings.Contains(host, ":") {
			o.hosts = append(o.hosts, key.PlainHost(host+":"+port))
		}
	}
	o.accepts = func(scheme, host string) bool {
		if scheme != own && !(either && (scheme == "http" || scheme == "https")) {
			return false
		}
		_, host, _, _ = key.Split(string(key.OfURL(nil, scheme, host, "/")))
		return slices.Contains(o.hosts, key.PlainHost(host))
	}
}

// forwardedAs reports whether a proxy says that its client, or a proxy before it, spoke scheme to
// it.
func forwardedAs(h http.Header, scheme string) bool {
	for member := range field.Members(h["X-Forwarded-Proto"]) {
		if strings.EqualFold(member, scheme) {
			return true
		}
	}
	for member := range field.Members(h["Forwarded"]) {
		if strings.Contains(strings.ToLower(strings.ReplaceAll(member, `"`, "")+";"), "proto="+scheme+";") {
			return true
		}
	}
	return false
}

// resolve returns the target that reference, a field of the response, points to; ok is false if it
// is of another origin.
func (o *origin) resolve(reference string) (t Target, ok bool) {
	if len(reference) > maxLocation {
		return t, false
	}
	u, err := o.public.Parse(reference)
	if err != nil || u.User != nil {
		return t, false
	}
	if (u.Scheme != o.public.Scheme || u.Host != o.public.Host) && !o.accepts(u.Scheme, u.Host) {
		return t, false
	}
	return Target{o.Scheme, o.Host, u.RequestURI()}, true
}

// sameHost leaves it to the key what spellings of a host are one.
func sameHost(scheme, a, b string) bool {
	return bytes.Equal(key.OfURL(nil, scheme, a, "/"), key.OfURL(nil, scheme, b, "/"))
}
