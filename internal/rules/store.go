package rules

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/clock"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
)

// Meta is what Store finds out about a response. It is immutable. The same Request, status, header
// and times make the same Meta again, so a store of bytes need not keep it.
type Meta struct {
	Validators
	Terms

	Vary  []string // canonical names that select the variant, sorted, no duplicates; some are only implied
	Strip []string // canonical names to remove before the header is stored; the first client may see them
}

// Terms are the conditions of reusing a stored response: the part of its Meta that is kept, so that
// a hit parses nothing and an entry is small. They hold no reference to the header. The zero Terms
// belong to no stored response, and permit nothing.
type Terms struct {
	responseTime             clock.Instant
	initialAge               time.Duration // corrected_initial_age of RFC 9111, 4.2.3
	lifetime                 time.Duration
	whileRevalidate, ifError time.Duration // zero if must-revalidate or proxy-revalidate forbid it

	stored        bool // Store allowed it
	explicit      bool // the response gave its own lifetime
	noCache       bool // must be validated at each use
	noStale       bool // must-revalidate, proxy-revalidate or s-maxage: stale only if the response itself permits it
	immutable     bool // RFC 8246
	cookies       bool // requests with a cookie or another credential may share it
	authorization bool // requests with Authorization or a client certificate may share it
	origins       bool // requests with an Origin may share it, see vary
}

// Store decides whether the response may be stored (None), or why not. It must be the full response
// to a GET. requestTime and now are when the request was sent and when the response was received.
func (o *Options) Store(req *Request, status int, h http.Header, requestTime, now time.Time) (Meta, Reason) {
	m, reason := o.store(req, status, h, requestTime, now)
	if reason != None {
		return Meta{}, reason
	}
	m.stored = true
	return m, None
}

// StorePost decides whether the response to the POST request r may be stored for later GET and HEAD
// requests of the same URL (RFC 9110, 9.3.3): only if its Content-Location is that URL and its
// lifetime is explicit.
func (o *Options) StorePost(r *http.Request, req *Request, status int, h http.Header, requestTime, now time.Time) (Meta, Reason) {
	if r.Method != http.MethodPost || !req.plain {
		return Meta{}, Method
	}
	h = field.Canonical(h)
	lines := h["Content-Location"]
	if len(lines) != 1 {
		return Meta{}, ContentLocation
	}
	own, ok := targetOf(r)
	if !ok {
		return Meta{}, ContentLocation
	}
	if stored, ok := own.resolve(lines[0]); !ok || stored != own.Target {
		return Meta{}, ContentLocation
	}
	m, reason := o.Store(req, status, h, requestTime, now)
	if reason == None && !m.explicit {
		return Meta{}, NoFreshness
	}
	return m, reason
}

func (o *Options) store(req *Request, status int, h http.Header, requestTime, now time.Time) (m Meta, reason Reason) {
	switch {
	case status < 200:
		return m, Interim
	case status == http.StatusPartialContent:
		// Partial responses are neither stored nor combined (RFC 9111, 3.3): a fetch asks for the
		// whole.
		return m, PartialContent
	case status == http.StatusNotModified:
		return m, NotModified
	case status > 599:
		return m, Status
	}
	h = field.Canonical(h)
	cc, targeted := o.directives(h)
	if cc.MustUnderstand && !understood(status) {
		return m, MustUnderstand
	}
	// must-understand overrides no-store for a cache that knows the status code (RFC 9111,
	// 5.2.2.3).
	if cc.NoStore && !cc.MustUnderstand {
		return m, NoStore
	}
	private, noCache := o.qualify(&m, &cc, h)
	if private {
		return m, Private
	}
	if reason = o.cookies(&m, h); reason != None {
		return m, reason
	}
	if field.HasNonce(h["Content-Security-Policy"]) || field.HasNonce(h["Content-Security-Policy-Report-Only"]) {
		// Deviation: RFC 9111 does not mention it, but a nonce that others know protects no one
		// (CSP 3, 7.1).
		return m, CSPNonce
	}
	o.drop(&m, h)
	o.share(&m.Terms, &cc)
	if reason = m.refuses(req); reason != None {
		return m, reason
	}
	if req.CC.NoStore {
		return m, RequestNoStore
	}
	if reason = m.vary(o, req, h); reason != None {
		return m, reason
	}
	if endless(h) {
		return m, Stream
	}
	if metrics(h) {
		return m, Excepted
	}
	m.noCache = noCache
	m.Validators = ValidatorsOf(h, now)
	m.setAge(h, requestTime, now)
	return m, m.setFreshness(o, &cc, targeted, status, h)
}

// directives returns those of the first targeted field that is valid (RFC 9213, 2.2), or else those
// of Cache-Control.
//
// Deviation: RFC 9111, 5.4 gives Pragma in responses no meaning. But authors who write it do not
// want the response reused. So without Cache-Control it counts as no-cache.
func (o *Options) directives(h http.Header) (cc field.CacheControl, targeted bool) {
	for _, name := range o.TargetedFields {
		if lines := h[name]; len(lines) > 0 {
			if cc, ok := field.ParseTargeted(lines); ok {
				return cc, true
			}
		}
	}
	cc = field.ParseCacheControl(h["Cache-Control"])
	cc.NoCache = cc.NoCache || cc.Empty && field.HasToken(h["Pragma"], "no-cache")
	return cc, false
}

// qualify applies private and no-cache. With field names as argument they concern only these fields
// (RFC 9111, 5.2.2.4 and 5.2.2.7), which then are not stored. The cache itself needs some fields:
// if one of them is named, the directive counts as unqualified.
func (o *Options) qualify(m *Meta, cc *field.CacheControl, h http.Header) (private, noCache bool) {
	private = cc.Private && (len(cc.PrivateFields) == 0 || slices.ContainsFunc(cc.PrivateFields, o.needed))
	noCache = cc.NoCache && (len(cc.NoCacheFields) == 0 || slices.ContainsFunc(cc.NoCacheFields, o.needed))
	for _, names := range [...][]string{cc.PrivateFields, cc.NoCacheFields} {
		for _, name := range names {
			m.strip(h, name)
		}
	}
	return private, noCache
}

func (o *Options) needed(name string) bool {
	switch name {
	case "Cache-Control", "Vary", "Etag", "Last-Modified", "Date", "Age", "Expires", "Location",
		"Content-Type", "Content-Encoding", "Content-Length", "Content-Range":
		return true
	}
	return slices.Contains(o.TargetedFields, name)
}

func (m *Meta) strip(h http.Header, name string) {
	if _, present := h[name]; present && !slices.Contains(m.Strip, name) {
		m.Strip = append(m.Strip, name)
	}
}

// cookies refuses Set-Cookie: one user's session must not reach another, whatever else the response
// says. Deviation: RFC 9111, 7.3 leaves that to the origin's Cache-Control. Set-Cookie2 is long
// dead, but just as personal.
func (o *Options) cookies(m *Meta, h http.Header) Reason {
	for _, name := range [...]string{"Set-Cookie", "Set-Cookie2"} {
		switch {
		case len(h[name]) == 0:
		case o.StripSetCookie:
			m.strip(h, name)
		case !o.InsecureStoreSetCookie:
			return SetCookie
		}
	}
	return None
}

// share notes what the response permits for requests with credentials. max-age is no permission,
// not even in a targeted field: it says how long, not for whom.
//
// Deviation: RFC 9111, 3.5 also lets must-revalidate share the response to a request with
// Authorization. Authors write it to be stricter, so it permits nothing here, unless
// InsecureShareCookies asks for the letter of the RFC.
func (o *Options) share(t *Terms, cc *field.CacheControl) {
	t.cookies = cc.Public || cc.SharedMaxAge.Valid
	t.authorization = t.cookies || o.InsecureShareCookies && cc.MustRevalidate
}

// refuses returns the credential because of which the request can neither make nor use this stored
// response.
func (t *Terms) refuses(req *Request) Reason {
	switch {
	case req.Authorization && !t.authorization:
		return Authorization
	case req.ClientCertificate && !t.authorization:
		return ClientCertificate
	case req.Cookie && !t.cookies:
		return Cookie
	case req.Credential && !t.cookies:
		return Credential
	case req.Personal && !t.cookies:
		return Personal
	}
	return None
}

// vary notes the request fields that selected the response. Two are added where responses often
// forget them: a response with a content coding depends on Accept-Encoding, and one that allows
// some origins depends on Origin.
//
// Deviation: RFC 9111, 4.1 gives a response without Vary to every request. But CORS fields are
// often sent only to requests with an Origin, and without Vary. So the response to a request
// without Origin is not used for requests with one, unless it allows every origin or varies on
// Origin. The response to a request with an Origin that says nothing about CORS is for all.
//
// Directives that do not count and fields that the application never reads are left out: the
// handler did not see them, so they selected nothing.
func (m *Meta) vary(o *Options, req *Request, h http.Header) Reason {
	names, star, ok := key.VaryNames(h["Vary"])
	if star {
		return VaryStar
	}
	if !ok {
		return VaryInvalid
	}
	if len(h["Content-Encoding"]) > 0 {
		names = append(names, "Accept-Encoding")
	}
	all, speaks := allowsOrigins(h)
	if speaks && !all {
		names = append(names, "Origin")
	}
	if !o.HonorRequestDirectives {
		names = slices.DeleteFunc(names, isDirectives)
	}
	if len(o.IgnoreFields) > 0 {
		names = slices.DeleteFunc(names, func(name string) bool { return matchesName(o.IgnoreFields, name) })
	}
	slices.Sort(names)
	m.Vary = slices.Compact(names)
	m.origins = req.Origin || all || slices.Contains(m.Vary, "Origin")
	return None
}

// allowsOrigins reports whether a response lets scripts of every origin read it, and whether it
// says anything about that.
func allowsOrigins(h http.Header) (all, speaks bool) {
	for name, lines := range h {
		if len(lines) == 0 || !strings.HasPrefix(name, "Access-Control-") {
			continue
		}
		speaks = true
		if name == "Access-Control-Allow-Origin" {
			all = !slices.ContainsFunc(lines, func(line string) bool { return field.TrimBlanks(line) != "*" })
		}
	}
	return all, speaks
}

// metrics reports whether the response has a format for Prometheus and OpenMetrics. Its numbers are
// of the moment, and often of one process. The version parameter tells it from other text/plain.
func metrics(h http.Header) bool {
	for _, line := range h["Content-Type"] {
		mediaType, parameters, _ := strings.Cut(line, ";")
		switch strings.ToLower(strings.Trim(mediaType, " \t")) {
		case "application/openmetrics-text":
			return true
		case "text/plain":
			if _, ok := parameter(parameters, "version"); ok {
				return true
			}
		case "application/vnd.google.protobuf":
			if proto, _ := parameter(parameters, "proto"); strings.EqualFold(proto, "io.prometheus.client.MetricFamily") {
				return true
			}
		}
	}
	return false
}

// parameter returns a parameter of a media type (RFC 9110, 5.6.6), unquoted.
func parameter(parameters, name string) (value string, ok bool) {
	for pair := range strings.SplitSeq(parameters, ";") {
		key, value, _ := strings.Cut(pair, "=")
		if strings.EqualFold(strings.Trim(key, " \t"), name) {
			return strings.Trim(value, " \t\""), true
		}
	}
	return "", false
}

// understood reports whether this cache does all that RFC 9110 and its companions say on caching
// about the status code.
func understood(status int) bool {
	switch status {
	case 200, 201, 202, 203, 204, 205,
		300, 301, 302, 303, 305, 307, 308,
		400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 426, 428, 429, 431, 451,
		500, 501, 502, 503, 504, 505, 511:
		return true
	}
	return false
}
