package rules

import (
	"strings"

	"github.com/edgecache-go/edgecache/internal/key"
)

// fieldKind is what a request field means to the cache: one role, and flags. 0 means nothing.
type fieldKind uint8

const (
	kindAuthorization fieldKind = iota + 1
	kindCookie
	kindCacheControl
	kindPragma
	kindCondition // If-None-Match and If-Modified-Since
	kindRange
	kindIfRange
	kindPrecondition
	kindUpgrade
	kindConnection
	kindOverride
	kindContent // of the message: Content-Length and Transfer-Encoding
	kindOrigin
	kindIgnored // one of Options.IgnoreFields

	kindRole       fieldKind = 0x3f
	kindCredential fieldKind = 0x40 // identifies its sender, unless it is blank
	kindScope      fieldKind = 0x80 // see key.InScope
)

// conditions are the fields that a fetch removes from the request.
var conditions = [...]string{"If-None-Match", "If-Modified-Since", "If-Range", "Range"}

// field returns what a request field means to the cache, and its name as key.Canonical spells it.
func (o *Options) field(name string) (fieldKind, string) {
	if kind, ok := o.known.find(name); ok {
		return kind, name
	}
	canonical := key.Canonical(name)
	if canonical != name {
		if kind, ok := o.known.find(canonical); ok {
			return kind, canonical
		}
	}
	return o.kindOf(canonical), canonical
}

// kindOf is field for a canonical name that is not indexed.
func (o *Options) kindOf(name string) fieldKind {
	if matchesName(o.IgnoreFields, name) {
		return kindIgnored
	}
	kind := roleOf(name)
	if key.InScope(name) {
		kind |= kindScope
	}
	if o.listed(name) || kind&kindRole == 0 && !o.OnlyCredentialFields && identifying(name) {
		kind |= kindCredential
	}
	return kind
}

func roleOf(name string) fieldKind {
	switch name {
	case "Authorization":
		return kindAuthorization
	case "Cookie":
		return kindCookie
	case "Cache-Control":
		return kindCacheControl
	case "Pragma":
		return kindPragma
	case "If-None-Match", "If-Modified-Since":
		return kindCondition
	case "Range":
		return kindRange
	case "If-Range":
		return kindIfRange
	case "If-Match", "If-Unmodified-Since":
		return kindPrecondition
	case "Upgrade":
		return kindUpgrade
	case "Connection":
		return kindConnection
	case "X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override":
		return kindOverride
	case "Content-Length", "Transfer-Encoding":
		return kindContent
	case "Origin":
		return kindOrigin
	}
	return 0
}

// listed reports whether a canonical name that is not indexed is one of CredentialFields.
func (o *Options) listed(name string) bool {
	names := o.CredentialFields
	if o.known != nil {
		names = o.known.wildcards
	}
	return matchesName(names, name)
}

// matchesName reports whether a name is one of names. A name that ends in * stands for all names
// with that prefix.
func matchesName(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
		if end := len(n) - 1; end >= 0 && n[end] == '*' && strings.HasPrefix(name, n[:end]) {
			return true
		}
	}
	return false
}

// Ignorable reports whether an application may declare that it never reads the request field with
// this canonical name (a name that ends in * stands for all names with that prefix). It may not for
// fields that frame the message, that identify the sender, or that the cache itself obeys.
func Ignorable(name string) bool {
	pattern := []string{name}
	for _, fixed := range unignorable {
		if matchesName(pattern, fixed) {
			return false
		}
	}
	return true
}

// unignorable are the names that Options.IgnoreFields cannot have.
var unignorable = [...]string{
	"Authorization", "Cache-Control", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Cookie", "Expect", "Host", "If-Match",
	"If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Incremental", "Keep-Alive", "Origin", "Pragma", "Proxy-Authorization", "Proxy-Connection", "Range",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade", "X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Original-Url", "X-Rewrite-Url",
}

// commonFields are names that arrive often. Their kinds are looked up in an index instead of
// computed for each request.
var commonFields = [...]string{
	// Clients.
	"Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Access-Control-Request-Headers", "Access-Control-Request-Method",
	"Alt-Used", "Authorization", "Cache-Control", "Connection", "Content-Length", "Content-Type", "Cookie", "Device-Memory", "Dnt", "Downlink", "Dpr",
	"Early-Data", "Ect", "From", //nolint:misspell // the effective connection type
	"Host", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Keep-Alive", "Origin",
	"Pragma", "Priority", "Purpose", "Range", "Referer", "Rtt", "Save-Data", "Te", "Upgrade", "Upgrade-Insecure-Requests", "User-Agent", "Viewport-Width",
	"Sec-Ch-Device-Memory", "Sec-Ch-Dpr", "Sec-Ch-Prefers-Color-Scheme", "Sec-Ch-Prefers-Reduced-Motion", "Sec-Ch-Ua", "Sec-Ch-Ua-Arch", "Sec-Ch-Ua-Bitness",
	"Sec-Ch-Ua-Full-Version", "Sec-Ch-Ua-Full-Version-List", "Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Model", "Sec-Ch-Ua-Platform", "Sec-Ch-Ua-Platform-Version",
	"Sec-Ch-Ua-Wow64", "Sec-Ch-Viewport-Width", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-Storage-Access", "Sec-Fetch-User",
	"Sec-Gpc", "Sec-Purpose", "Service-Worker-Navigation-Preload", "X-Requested-With",

	// Proxies and content delivery networks.
	"Cdn-Loop", "Cf-Connecting-Ip", "Cf-Ipcountry", "Cf-Ray", "Cf-Visitor", "Cf-Worker", "Cloudfront-Forwarded-Proto", "Cloudfront-Is-Desktop-Viewer",
	"Cloudfront-Is-Mobile-Viewer", "Cloudfront-Is-Smarttv-Viewer", "Cloudfront-Is-Tablet-Viewer", "Cloudfront-Viewer-Address", "Cloudfront-Viewer-Country",
	"Fastly-Client-Ip", "Fastly-Ff", "Fastly-Ssl", "Fly-Client-Ip", "Fly-Forwarded-Port", "Fly-Forwarded-Proto", "Fly-Forwarded-Ssl", "Fly-Region", "Fly-Request-Id",
	"Forwarded", "Front-End-Https", "Max-Forwards", "True-Client-Ip", "Via", "X-Akamai-Edgescape", "X-Amz-Cf-Id", "X-Amzn-Trace-Id", "X-Arr-Ssl", "X-Azure-Clientip",
	"X-Azure-Fdid", "X-Azure-Ref", "X-Azure-Requestchain", "X-Azure-Socketip", "X-Client-Ip", "X-Envoy-Attempt-Count", "X-Envoy-Expected-Rq-Timeout-Ms",
	"X-Envoy-External-Address", "X-Envoy-Internal", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Path", "X-Forwarded-Port", "X-Forwarded-Prefix",
	"X-Forwarded-Proto", "X-Forwarded-Protocol", "X-Forwarded-Scheme", "X-Forwarded-Server", "X-Forwarded-Ssl", "X-Host", "X-Original-Forwarded-For",
	"X-Original-Host", "X-Original-Uri", "X-Real-Ip", "X-Request-Start", "X-Scheme", "X-Vercel-Id",

	// Tracers.
	"B3", "Baggage", "Correlation-Id", "Elastic-Apm-Traceparent", "Newrelic", "Request-Id", "Sentry-Trace", "Traceparent", "Tracestate", "Uber-Trace-Id",
	"X-B3-Flags", "X-B3-Parentspanid", "X-B3-Sampled", "X-B3-Spanid", "X-B3-Traceid", "X-Cloud-Trace-Context", "X-Correlation-Id", "X-Datadog-Origin",
	"X-Datadog-Parent-Id", "X-Datadog-Sampling-Priority", "X-Datadog-Tags", "X-Datadog-Trace-Id", "X-Request-Id", "X-Trace-Id",
}

// knownFields is an index of kinds by name. Its hash costs next to nothing, and most buckets hold
// one name or none.
type knownFields struct {
	buckets   [512][]knownField
	wildcards []string // of CredentialFields
}

type knownField struct {
	name string
	kind fieldKind
}

func (k *knownFields) find(name string) (kind fieldKind, ok bool) {
	if k == nil {
		return 0, false
	}
	for _, known := range k.buckets[bucketOf(name)] {
		if known.name == name {
			return known.kind, true
		}
	}
	return 0, false
}

func (k *knownFields) add(name string, kind fieldKind) {
	if _, known := k.find(name); !known {
		bucket := &k.buckets[bucketOf(name)]
		*bucket = append(*bucket, knownField{name, kind})
	}
}

func bucketOf(name string) uint {
	n := uint(len(name))
	if n == 0 {
		return 0
	}
	return (n*37 + uint(name[n-1])*11 + uint(name[n/2])*3) % uint(len(knownFields{}.buckets))
}
