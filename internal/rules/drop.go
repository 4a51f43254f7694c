package rules

import (
	"net/http"
	"strings"
)

// DefaultDropFields returns the response fields that belong to one exchange: ids of requests and
// traces, the client's remaining rate, the handler's time. A name that ends in * stands for all
// names with that prefix. The caller owns the slice.
//
// Retry-After is not among them: it describes the resource, and a stored 503 is true as long as it
// is fresh.
func DefaultDropFields() []string {
	return []string{
		// Ids of a request, by applications, frameworks and platforms.
		"X-Request-Id", "Request-Id", "X-Requestid", "X-Req-Id", "X-Correlation-Id", "Correlation-Id", "X-Correlationid",
		"X-Transaction-Id", "X-Operation-Id", "X-Activity-Id", "X-Conversation-Id", "X-Call-Id", "X-Unique-Id", "X-Log-Id", "X-Tt-Logid",
		"X-Amzn-Requestid", "X-Amzn-Request-Id", "X-Amz-Request-Id", "X-Amz-Id-2", "X-Amz-Apigw-Id", "X-Amz-Cf-Id", "X-Oss-Request-Id",
		"X-Ms-Request-Id", "X-Ms-Correlation-Request-Id", "X-Ms-Client-Request-Id", "X-Ms-Activity-Id", "X-Azure-Ref",
		"X-Goog-Request-Id", "X-Guploader-Uploadid", "X-Github-Request-Id", "X-Kong-Request-Id", "X-Vercel-Id", "X-Nf-Request-Id",
		"X-Railway-Request-Id", "X-Render-Request-Id", "Rndr-Id", "Fly-Request-Id", "Cf-Ray", "Eagleid",

		// Traces.
		"Traceparent", "Tracestate", "Traceresponse", "Baggage", "X-Trace-Id", "Trace-Id", "X-Traceid", "X-Trace", "X-Span-Id", "X-B3-*", "B3",
		"X-Amzn-Trace-Id", "X-Cloud-Trace-Context", "Uber-Trace-Id", "Uberctx-*", "X-Datadog-*", "X-Ot-Span-Context", "Ot-Tracer-*",
		"Sentry-Trace", "X-Newrelic-*", "Newrelic", "Sw8", "X-Instana-*", "X-Dynatrace*", "Elastic-Apm-Traceparent",

		// The client's remaining rate.
		"Ratelimit", "Ratelimit-*", "X-Ratelimit", "X-Ratelimit-*", "X-Rate-Limit", "X-Rate-Limit-*",

		// The handler's time.
		"Server-Timing", "X-Runtime", "X-Response-Time", "X-Process-Time", "X-Request-Time", "X-Elapsed-Time", "X-Execution-Time", "X-Render-Time",
		"X-Envoy-Upstream-Service-Time", "X-Kong-Upstream-Latency", "X-Kong-Proxy-Latency", "X-Kong-Response-Latency",
	}
}

// Needed reports whether a response cannot be stored without the field, because a cache or its
// client depends on it. name is canonical; a name that ends in * stands for all names with that
// prefix.
func Needed(name string) bool {
	for _, needed := range [...]string{
		"Age", "Cache-Control", "Cache-Groups", "Cache-Status", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Length",
		"Content-Location", "Content-Range", "Content-Security-Policy", "Content-Type", "Date", "Etag", "Expires", "Last-Modified", "Location",
		"Pragma", "Vary",
	} {
		if matches(name, needed) {
			return true
		}
	}
	return false
}

// matches reports whether name is the pattern, or has its prefix if the pattern ends in *.
func matches(pattern, name string) bool {
	beginning, isPrefix := strings.CutSuffix(pattern, "*")
	return pattern == name || isPrefix && strings.HasPrefix(name, beginning)
}

// dropIndex is DropFields, split into names and prefixes.
type dropIndex struct {
	names      map[string]struct{}
	beginnings []string
}

func newDropIndex(patterns []string) *dropIndex {
	index := &dropIndex{names: make(map[string]struct{}, len(patterns))}
	for _, pattern := range patterns {
		if beginning, ok := strings.CutSuffix(pattern, "*"); ok {
			index.beginnings = append(index.beginnings, beginning)
			continue
		}
		index.names[pattern] = struct{}{}
	}
	return index
}

// Drops reports whether a response is stored without the field. name is canonical.
func (o *Options) Drops(name string) bool {
	if o.drops == nil {
		for _, pattern := range o.DropFields {
			if matches(pattern, name) {
				return true
			}
		}
		return false
	}
	if _, dropped := o.drops.names[name]; dropped {
		return true
	}
	for _, beginning := range o.drops.beginnings {
		if strings.HasPrefix(name, beginning) {
			return true
		}
	}
	return false
}

// drop notes the fields that are not stored because they belong to this exchange.
func (o *Options) drop(m *Meta, h http.Header) {
	for name := range h {
		if o.Drops(name) {
			m.strip(h, name)
		}
	}
}
