package rules

import (
	"net/http"
	"slices"
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
)

// Request is what one pass over a request tells. It is cheap, lives on the stack and refers to
// nothing of the request but names of fields once its directives are parsed.
type Request struct {
	Bypass Reason // None if the request may be looked up; else why the cache stands aside
	Unsafe bool   // the method is not known to be safe: a success invalidates (RFC 9111, 4.4)
	Head   bool

	// Credentials that count. A request may carry several.
	Authorization     bool // Authorization
	ClientCertificate bool // TLS client certificate; counts as Authorization
	Cookie            bool // a cookie that is not on the ignore list
	Credential        bool // a field that identifies its sender; follows the rule of Cookie
	Personal          bool // the application says so; follows the rule of Cookie. The caller sets it

	Origin bool // a field Origin: the request of a script or a font, whose answer must say that this origin may read it

	Conditional bool // If-None-Match or If-Modified-Since
	Range       bool // GET with Range in bytes
	OtherUnit   bool // GET with Range in another unit, see RangeUnitOf

	// CC has the directives, if Options.HonorRequestDirectives; Pragma: no-cache counts if there is
	// no Cache-Control (RFC 9111, 5.4).
	CC       field.CacheControl
	Steering bool // there are directives that do not count: what is fetched must not depend on them, see RemoveDirectives

	// There are fields that belong to the connection of the request. If nothing else keeps it from
	// the cache, they come off before it is looked up: see WithoutConnection.
	Connection bool
	// Bypass is Body only because nobody knows yet whether there is one: in HTTP/2 and HTTP/3 a
	// request need not say (RFC 9114, 4.1).
	Unread bool

	Scope key.Fields // for key.Scope

	Limits *Limits // usually nil; not of r, so Options.Request leaves it to its caller

	plain bool // nothing but its method and its body keeps it from the cache, and nothing has to come off
}

// Credentialed reports whether the request carries anything that identifies its sender.
func (q *Request) Credentialed() bool {
	return q.Authorization || q.ClientCertificate || q.Cookie || q.Credential || q.Personal
}

// Plain removes conditions and ranges from h, the header of this request or a copy of it, so that
// the handler makes a full answer.
func (q *Request) Plain(h http.Header) { q.Scope.Remove(h, conditions[:]...) }

// RemoveDirectives removes Cache-Control and Pragma from h, the header of this request or a copy of
// it. What is not in the key of a response must not reach the handler that makes it: an origin or a
// cache behind would answer as the client says, and others would get that.
func (q *Request) RemoveDirectives(h http.Header) { q.Scope.Remove(h, "Cache-Control", "Pragma") }

// Unkeyed reports whether the request has cookies or fields that are not in the key of a response:
// see RemoveUnkeyed.
func (q *Request) Unkeyed() bool { return q.Scope.IgnoresCookies() || q.Scope.Ignores() }

// RemoveUnkeyed removes from h, the header of this request or a copy of it, the cookies of
// Options.IgnoreCookies and the fields of IgnoreFields. What is not in the key of a response must
// not reach the handler that makes it.
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

// WithoutUnkeyed returns a header like h, of this request, without what RemoveUnkeyed removes. It
// shares the lists of values with h.
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

// isDirectives says whether a request field, named canonically, holds directives for caches.
func isDirectives(name string) bool { return name == "Cache-Control" || name == "Pragma" }

// Request classifies r in one pass over its header.
func (o *Options) Request(r *http.Request) Request {
	var q Request
	switch r.Method {
	case http.MethodGet, "":
	case http.MethodHead:
		q.Head = true
	default:
		// Methods are case-sensitive, so "get" is another method, of unknown safety.
		q.Bypass, q.Unsafe = Method, !safe(r.Method)
	}
	// VerifiedChains is never filled without PeerCertificates, so the latter answers for both.
	q.ClientCertificate = r.TLS != nil && len(r.TLS.PeerCertificates) > 0

	var cacheControl, pragma []string
	var against Reason // the first in the order of the list, since the order of a map is none
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
			// What is not read may identify somebody. Nothing of the rest is needed.
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
			q.Conditional = q.Conditional || canonical == name // another spelling asks nothing of us
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
			// net/http has read the field itself, but who knows no difference between dashes and
			// underscores finds a body that there is not.
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

// safe says whether method is registered as safe (RFC 9110, 16.1.1). All others invalidate, also
// those never heard of.
func safe(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "QUERY", "REPORT", "SEARCH", "":
		return true
	}
	return false
}

// identifies says whether a Cookie field identifies its sender, and notes whether it has cookies
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

// RangeUnitOf returns the unit in which a Range field counts (RFC 9110, 14.1); "" if it is
// malformed.
func RangeUnitOf(line string) string {
	unit, set, _ := strings.Cut(line, "=")
	if unit = field.TrimBlanks(unit); !field.IsToken(unit) || field.TrimBlanks(set) == "" {
		return ""
	}
	return unit
}

func notZero(line string) bool { return notBlank(line) && field.TrimBlanks(line) != "0" }

func notBlank(line string) bool { return strings.Trim(line, " \t") != "" }

// earlier returns the one that comes first in the list; None counts as last.
func earlier(a, b Reason) Reason {
	if a == None || b < a {
		return b
	}
	return a
}
