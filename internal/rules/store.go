package rules

import (
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
)

// Validators are what conditions and ranges are compared with, parsed once.
type Validators struct {
	ETag         field.ETag // zero if there is none, or none that is well-formed
	LastModified time.Time  // zero if there is none
	Date         time.Time  // of the response; when it came, if it has none

	lastModified string // as it was spelled, to be sent back byte for byte
}

// Meta is all that reuse needs, computed once at storing, so that a hit parses nothing. It is immutable, except that
// its owner may mark it with Invalidate before sharing it. A Meta can be made again from what was stored:
// the same Request, status, header and times give the same Meta.
type Meta struct {
	Validators

	Vary  []string // canonical names that select the variant, sorted, no duplicates; also those that the response only implies
	Strip []string // canonical names that must be removed from the header before it is stored

	responseTime             time.Time     // with its monotonic reading
	initialAge               time.Duration // corrected_initial_age of RFC 9111, 4.2.3
	lifetime                 time.Duration
	whileRevalidate, ifError time.Duration

	explicit, noCache, noStale bool
	cookies, authorization     bool // requests with such credentials may share it
}

// Store decides whether the response may be stored (None), or why not. h is the response header with canonical names;
// requestTime and now are when the request was sent and the response came.
func (o *Options) Store(req *Request, status int, h http.Header, requestTime, now time.Time) (Meta, Reason) {
	return Meta{}, NoStore
}

// StorePost decides whether the response to the POST request r may be stored for later GET and HEAD requests of the same
// URL (RFC 9110, 9.3.3): only if its Content-Location is that very URL and its lifetime is explicit.
func (o *Options) StorePost(r *http.Request, req *Request, status int, h http.Header, requestTime, now time.Time) (Meta, Reason) {
	return Meta{}, ContentLocation
}
