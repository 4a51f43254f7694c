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

// maxLocation bounds the URLs that are looked at for invalidation.
const maxLocation = 8 << 10

// Target is a URL in the parts that the key is made of.
type Target struct {
	Scheme, Host string
	Target       string // path and query
}

// Invalidates says whether a response with this status to a request with this method makes what is stored for its URL
// invalid (RFC 9111, 4.4): a success or a redirection of a method that is not known to be safe.
func Invalidates(method string, status int) bool {
	return !safe(method) && status >= 200 && status <= 399
}

// InvalidationTargets returns the URLs, beside that of r, which a successful unsafe request makes invalid: those in
// Location and Content-Location, if they are of the same origin (RFC 9111, 4.4). At most max, no duplicates.
func InvalidationTargets(r *http.Request, h http.Header, max int) []Target {
	h = field.Canonical(h)
	if len(h["Location"]) == 0 && len(h["Content-Location"]) == 0 {
		return nil
	}
	own, ok := targetOf(r)
	if !ok {
		return nil
	}
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

// origin is the target URI of a request (RFC 9110, 7.1) in two forms: as the key has it, and as its client sees it.
type origin struct {
	Target
	public url.URL // with the scheme that a proxy in front speaks
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
	// TLS often ends in front of us. The field can be forged, but then it only decides which of its own URLs a client, who
	// may send unsafe requests to them anyway, makes invalid.
	if proto := r.Header.Get("X-Forwarded-Proto"); strings.EqualFold(proto, "http") || strings.EqualFold(proto, "https") {
		o.public.Scheme = strings.ToLower(proto)
	}
	return o, true
}

// resolve returns the target that reference, a field of the response, points to; ok is false if it is of another origin.
func (o *origin) resolve(reference string) (t Target, ok bool) {
	if len(reference) > maxLocation {
		return t, false
	}
	u, err := o.public.Parse(reference)
	if err != nil || u.User != nil || u.Scheme != o.public.Scheme || !sameHost(u.Scheme, u.Host, o.Host) {
		return t, false
	}
	return Target{o.Scheme, o.Host, u.RequestURI()}, true
}

// sameHost leaves it to the key what spellings of a host are one.
func sameHost(scheme, a, b string) bool {
	return bytes.Equal(key.OfURL(nil, scheme, a, "/"), key.OfURL(nil, scheme, b, "/"))
}
