package engine

import (
	"crypto/tls"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// Explanation has the fields of the public Explanation.
type Explanation struct {
	Key        string
	Status     Status
	Reason     Reason
	Credential string
	Variants   int
	Vary       []string
	Tags       []string
	Age        time.Duration
	Lifetime   time.Duration
	Inferred   bool
	Codings    []string
}

// Explain returns what the cache would do with r, without doing it.
func (e *Engine) Explain(r *http.Request) Explanation {
	r = asServed(r)
	limits, _, _ := e.Outside(r)
	req := e.classify(r, limits)
	r = e.withoutConnection(r, limits, &req)
	var l lookup
	e.lookup(&l, r, &req, nil, false)
	x := Explanation{Key: readableKey(r), Credential: e.rules.NameCredential(r), Reason: l.reason}
	if !l.passes || l.reason == rules.RangeUnit {
		x.Variants = l.resource.Alive()
		x.Vary = append(x.Vary, l.resource.ExpectedVary(l.variant)...)
	}
	passesHead := req.Head && !e.isOutermost(r)
	switch {
	case l.passes:
		x.Status = Dynamic
	case l.variant == nil:
		x.Status = Miss
		if hitForMiss := e.cache.HitForMiss(l.key(), string(l.scope()), cache.ClassOf(&req), l.now); hitForMiss != rules.None && l.action != rules.Fail {
			x.Reason = hitForMiss
		}
		if passesHead {
			x.Reason = rules.Head
		}
	default:
		x.describe(&l)
		x.Status, x.Reason = wouldBe(&l, passesHead)
	}
	return x
}

// describe adds what is known of the stored response.
func (x *Explanation) describe(l *lookup) {
	v := l.variant
	for _, name := range v.TagNames() {
		if !isInOrigin(name) {
			x.Tags = append(x.Tags, name)
		}
	}
	x.Codings = v.Encodings().Names()
	x.Age, x.Lifetime, x.Inferred = v.Terms.Age(l.now), v.Terms.Lifetime(), !v.Terms.Explicit()
}

// wouldBe returns how a request with a stored response would be answered.
func wouldBe(l *lookup, passesHead bool) (Status, rules.Reason) {
	switch l.action {
	case rules.Serve:
		if l.reason == rules.Fresh {
			return Hit, rules.None
		}
		return Stale, l.reason
	case rules.ServeAndRefresh:
		if passesHead {
			return Stale, l.reason
		}
		return Updating, l.reason
	case rules.Forward:
		return Dynamic, l.reason
	case rules.Validate:
		if passesHead {
			return Expired, rules.Head
		}
	case rules.Fail:
	}
	return Expired, l.reason
}

// asServed returns r as the server would see it, if r is a request made for sending.
func asServed(r *http.Request) *http.Request {
	if r.RequestURI != "" || !r.URL.IsAbs() || r.URL.Host == "" {
		return r
	}
	served := r.Clone(r.Context())
	if served.Host == "" {
		served.Host = r.URL.Host
	}
	if r.URL.Scheme == "https" && r.TLS == nil {
		served.TLS = new(tls.ConnectionState)
	}
	served.URL.Scheme, served.URL.Host, served.URL.User = "", "", nil
	served.RequestURI = served.URL.RequestURI()
	return served
}
