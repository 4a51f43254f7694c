package rules

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
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
	own, ok := targetOf(r)
	if !ok {
		return nil
	}
	h = field.Canonical(h)
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
	o.Scheme, o.Host = "http", r.Host
	if r.TLS != nil {
		o.Scheme = "https"
	}
	if o.Host == "" {
		o.Host = r.URL.Host
	}
	// The raw bytes, as the key has them, if the target is in origin-form.
	o.Target.Target = r.RequestURI
	if !strings.HasPrefix(r.RequestURI, "/") {
		o.Target.Target = r.URL.RequestURI()
	}
	public, err := url.ParseRequestURI(o.Target.Target)
	if err != nil || o.Host == "" || len(o.Target.Target) > maxLocation {
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
	if err != nil || u.User != nil || !strings.EqualFold(u.Scheme, o.public.Scheme) || authority(u.Scheme, u.Host) != authority(u.Scheme, o.Host) {
		return t, false
	}
	u.Fragment = ""
	return Target{o.Scheme, o.Host, u.RequestURI()}, true
}

// authority returns host in one spelling: lower case, without the root's dot and the scheme's own port.
func authority(scheme, host string) string {
	host = strings.ToLower(host)
	port := ":80"
	if strings.EqualFold(scheme, "https") {
		port = ":443"
	}
	host = strings.TrimSuffix(host, port)
	return strings.TrimSuffix(host, ".")
}
