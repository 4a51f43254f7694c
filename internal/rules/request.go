package rules

import (
	"net/http"
	"slices"
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
)

// Request is what one pass over a request finds. It is cheap, lives on the stack and keeps nothing
// of the request but names of fields once its directives are parsed.
type Request struct {
	Bypass Reason // None if the request may be looked up; else why it is passed
	Unsafe bool   // the method is not known to be safe: a success invalidates (RFC 9111, 4.4)
	Head   bool

	// Credentials that count. A request may carry several.
	Authorization     bool // Authorization
	ClientCertificate bool // TLS client certificate; follows the rule of Authorization
	Cookie            bool // a cookie that is not on the ignore list
	Credential        bool // a field that identifies its sender; follows the rule of Cookie
	Personal          bool // the application says so; follows the rule of Cookie; set by the caller

	Origin bool // a script or a font asks: the response must say that this origin may read it

	Conditional bool // If-None-Match or If-Modified-Since
	Range       bool // GET with Range in bytes
	OtherUnit   bool // GET with Range in another unit, see RangeUnitOf

	// CC has the directives if Options.HonorRequestDirectives. Pragma: no-cache counts if there is
	// no Cache-Control (RFC 9111, 5.4).
	CC       field.CacheControl
	Steering bool // there are directives that do not count: see RemoveDirectives

	// Connection says that there are fields which belong to the connection of the request. If
	// nothing else keeps it from the cache, they are removed before the look-up: see
	// WithoutConnection.
	Connection bool
	// Unread says that Bypass is Body only because it is not known whether there is a body: in
	// HTTP/2 and HTTP/3 a request need not say (RFC 9114, 4.1).
	Unread bool

	Scope key.Fields // for key.Scope

	Limits *Limits // usually nil; the caller of Options.Request sets it, since it is not part of r

	plain bool // only its method or body can keep it from the cache, and nothing has to be removed
}

// Credentialed reports whether the request carries anything that identifies its sender.
func (q *Request) Credentialed() bool {
	return q.Authorization || q.ClientCertificate || q.Cookie || q.Credential || q.Personal
}

// Plain removes conditions and ranges from h, the header of this request or a copy of it, so that
// the handler makes a full response.
func (q *Request) Plain(h http.Header) { q.Scope.Remove(h, conditions[:]...) }

// RemoveDirectives removes Cache-Control and Pragma from h, the header of this request or a copy of
// it. A handler must not see what is not in the key of its response: an origin or a cache behind it
// would obey this client, and others would get the result.
func (q *Request) RemoveDirectives(h http.Header) { q.Scope.Remove(h, "Cache-Control", "Pragma") }

// Unkeyed reports whether the request has cookies or fields that are not in the key of a response:
// see RemoveUnkeyed.
func (q *Request) Unkeyed() bool { return q.Scope.IgnoresCookies() || q.Scope.Ignores() }

// RemoveUnkeyed removes from h, the header of this request or a copy of it, the cookies of
// Options.IgnoreCookies and the fields of IgnoreFields. A handler must not see what is not in the
// key of its response.
func (o *Options) RemoveUnkeyed(q *Request, h http.Header) {
	q.Scope.RemoveCookies(h)
	if !q.Scope.Ignores() {
		return
	}
	for name := range h {
		if kind, _ := o.field(name); kind == kindIgnored {
			delete(h, name)
		}
	}
}

// WithoutUnkeyed returns a copy of h, the header of this request, without what RemoveUnkeyed
// removes. The copy shares the lists of values with h.
func (o *Options) WithoutUnkeyed(q *Request, h http.Header) http.Header {
	n := len(h)
	if q.Scope.IgnoresCookies() {
		n-- // most visitors have no other cookies
	}
	less := make(http.Header, n)
	var cookie []string
	for name, lines := range h {
		if q.Scope.Ignores() {
			if kind, _ := o.field(name); kind == kindIgnored {
				continue
			}
		}
		if name == "Cookie" {
			cookie = lines
			continue
		}
		less[name] = lines
	}
	if cookie = q.Scope.Cookies(cookie); len(cookie) > 0 {
		less["Cookie"] = cookie
	}
	return less
}

// isDirectives reports whether the request field with this canonical name holds directives for
// caches.
func isDirectives(name string) bool { return name == "Cache-Control" || name == "Pragma" }

// Request classifies r in one pass over its header.
func (o *Options) Request(r *http.Request) Request {
	var q Request
	switch r.Method {
	case http.MethodGet, "":
	case http.MethodHead:
		q.Head = true
	default:
		// Methods are case-sensitive, so "get" is another method, which may not be safe.
		q.Bypass, q.Unsafe = Method, !safe(r.Method)
	}
	// VerifiedChains is never filled without PeerCertificates, so this covers both.
	q.ClientCertificate = r.TLS != nil && len(r.TLS.PeerCertificates) > 0

	var cacheControl, pragma []string
	var against Reason // the first one in the list, since the order of a map is random
	crowded := false
	for name, lines := range r.Header {
		kind, canonical := o.field(name)
		if kind == 0 && canonical == name {
			continue // most of them
		}
		if kind == kindIgnored {
			q.Scope.Ignore(canonical)
			continue
		}
		if !q.Scope.Note(name, canonical, kind&kindScope != 0, lines) {
			// A field that is not read may identify the sender. Nothing else matters then.
			q.Credential, crowded = true, true
			break
		}
		if len(lines) == 0 {
			continue
		}
		if kind&kindCredential != 0 && slices.ContainsFunc(lines, notBlank) {
			q.Credential = true
		}
		switch kind & kindRole {
		case kindAuthorization:
			q.Authorization = true
		case kindCookie:
			q.Cookie = o.identifies(&q, lines) || q.Cookie
		case kindCacheControl:
			if q.Steering = !o.HonorRequestDirectives; q.Steering {
				break
			}
			cacheControl = append(cacheControl[:len(cacheControl):len(cacheControl)], lines...)
		case kindPragma:
			if q.Steering = !o.HonorRequestDirectives; q.Steering {
				break
			}
			pragma = append(pragma[:len(pragma):len(pragma)], lines...)
		case kindOrigin:
			q.Origin = true
		case kindCondition:
			q.Conditional = q.Conditional || canonical == name // another spelling does not address this cache
		case kindRange:
			if canonical == name && r.Method != http.MethodHead {
				q.Range = inBytes(lines[0])
				q.OtherUnit = !q.Range && RangeUnitOf(lines[0]) != ""
			}
		case kindPrecondition:
			against = earlier(against, Precondition)
		case kindUpgrade:
			if q.Connection = true; wantsProtocol(lines) {
				against = earlier(against, Upgrade)
			}
		case kindConnection:
			reason, named := o.connection(lines)
			q.Connection = q.Connection || named
			if reason != None {
				against = earlier(against, reason)
			}
		case kindOverride:
			against = earlier(against, Override)
		case kindContent:
			// net/http has read the field itself, but a handler that takes underscores for dashes
			// finds a body where there is none.
			if canonical != name && slices.ContainsFunc(lines, notZero) {
				against = earlier(against, Body)
			}
		}
	}
	if crowded {
		against = NoKey
	}
	q.plain = against == None && !q.Connection
	if q.Bypass == None {
		q.Bypass = against
	}
	if q.Bypass == None && (r.ContentLength != 0 || len(r.TransferEncoding) > 0) {
		q.Bypass = Body
		q.Unread = r.ContentLength < 0 && len(r.TransferEncoding) == 0
	}
	switch {
	case !o.HonorRequestDirectives:
		q.CC.Empty = true
	case len(cacheControl) > 0:
		q.CC = field.ParseCacheControl(cacheControl)
	default:
		q.CC.Empty = true
		q.CC.NoCache = len(pragma) > 0 && field.HasToken(pragma, "no-cache")
	}
	return q
}

// safe reports whether method is registered as safe (RFC 9110, 16.1.1). All others invalidate, also
// unknown ones.
func safe(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "QUERY", "REPORT", "SEARCH", "":
		return true
	}
	return false
}

// identifies reports whether a Cookie field identifies its sender, and notes whether it has cookies
// that do not count.
func (o *Options) identifies(q *Request, lines []string) (identifies bool) {
	list := o.ignoredCookies()
	for _, line := range lines {
		counts, ignored := list.Identify(line)
		if ignored {
			q.Scope.IgnoreCookies(list)
		}
		identifies = identifies || counts
	}
	return identifies && !o.InsecureShareCookies
}

func (o *Options) ignoredCookies() *key.Cookies {
	if o.unread != nil {
		return o.unread
	}
	return key.NewCookies(o.IgnoreCookies)
}

func inBytes(line string) bool {
	unit, _, found := strings.Cut(line, "=")
	return found && strings.EqualFold(strings.Trim(unit, " \t"), "bytes")
}

// RangeUnitOf returns the unit of a Range field (RFC 9110, 14.1), "" if the field is malformed.
func RangeUnitOf(line string) string {
	unit, set, _ := strings.Cut(line, "=")
	if unit = field.TrimBlanks(unit); !field.IsToken(unit) || field.TrimBlanks(set) == "" {
		return ""
	}
	return unit
}

func notZero(line string) bool { return notBlank(line) && field.TrimBlanks(line) != "0" }

func notBlank(line string) bool { return strings.Trim(line, " \t") != "" }

// earlier returns the reason that comes first in the list. None counts as last.
func earlier(a, b Reason) Reason {
	if a == None || b < a {
		return b
	}
	return a
}
