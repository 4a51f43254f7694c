package engine

import (
	"crypto/tls"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// An Explanation says what an [Edge] would do with a request now.
type Explanation struct {
	Key    string // "https://example.com/page?q"; "" if the request has none
	Status Status // Hit, Updating, Stale, Miss, Expired or Dynamic
	Reason Reason // why; none for a plain hit. Its Explain method says what would make it a hit
	// Credential names what makes the request credentialed, as in [Event].
	Credential string
	Variants   int           // responses stored for the URL
	Vary       []string      // request fields by which the page that fits varies, or the newest that does not
	Tags       []string      // of the page that fits
	Age        time.Duration // of the page that fits
	Lifetime   time.Duration // of the page that fits; from the headers, or inferred
	Inferred   bool          // the lifetime is inferred: the response does not say it
	Codings    []string      // in which the page that fits is kept, beside identity: see Config.Compress
}

// Explain returns what the cache would do with r, without doing it: nothing is counted, and no handler runs.
// What can only be known from a response, such as no-store, shows in the status of the request itself.
// r is a request as a handler gets it, or one made with http.NewRequest("GET", "https://example.com/page", nil).
func (e *Engine) Explain(r *http.Request) Explanation {
	r = asServed(r)
	limits, _, _ := e.Outside(r)
	req := e.classify(r, limits)
	r = e.withoutConnection(r, limits, &req)
	x := Explanation{Key: readableKey(r), Credential: e.rules.NameCredential(r)}
	if e.except.Contains(r) {
		x.Status, x.Reason = Dynamic, rules.Excepted
		return x
	}
	if req.Bypass != rules.None {
		x.Status, x.Reason = Dynamic, req.Bypass
		return x
	}
	k, ok := key.Of(nil, r)
	if !ok {
		x.Status, x.Reason = Dynamic, rules.NoKey
		return x
	}
	now := time.Now()
	res := e.cache.Peek(k)
	scope := e.scope(nil, r, &req)
	v := res.Find(scope, &req, r.Header)
	x.Variants = res.Alive()
	x.Vary = append(x.Vary, res.ExpectedVary(v)...)
	if e.passesUnit(r, &req, k, scope, v, now) {
		x.Status, x.Reason = Dynamic, rules.RangeUnit
		return x
	}
	if v == nil {
		x.Status, x.Reason = Miss, rules.URIMiss
		switch refused := e.cache.Refused(k, string(scope), cache.ClassOf(&req), now); {
		case refused != rules.None:
			x.Reason = refused
		case res.Alike(scope, &req, r.Header) > 0:
			x.Reason = rules.Accept
		case x.Variants > 0:
			x.Reason = rules.VaryMiss
		case !res.IsEmpty():
			x.Reason = rules.Purged
		}
		if req.Head && !e.isOutermost(r) {
			x.Reason = rules.Head
		}
		return x
	}
	for _, name := range v.TagNames() {
		if !isInOrigin(name) {
			x.Tags = append(x.Tags, name)
		}
	}
	x.Codings = v.Encodings().Names()
	x.Age, x.Lifetime, x.Inferred = v.Terms.Age(now), v.Terms.Lifetime(), !v.Terms.Explicit()
	action, reason := v.Reuse(&e.rules, &req, now)
	x.Reason = reason
	switch action {
	case rules.Serve:
		x.Status = Hit
		if reason == rules.Fresh {
			x.Reason = rules.None
		} else {
			x.Status = Stale
		}
	case rules.ServeAndRefresh:
		if x.Status = Updating; req.Head && !e.isOutermost(r) {
			x.Status = Stale
		}
	case rules.Forward:
		x.Status = Dynamic
	default:
		if x.Status = Expired; action == rules.Validate && req.Head && !e.isOutermost(r) {
			x.Reason = rules.Head
		}
	}
	return x
}

// asServed returns a request made for sending as the server would see it.
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
