package rules

import (
	"net/http"

	"github.com/edgecache-go/edgecache/internal/field"
)

// Request is what one pass over a request tells. It is cheap, lives on the stack and refers to nothing of the request
// once its directives are parsed.
type Request struct {
	Bypass Reason // None if the request may be looked up; else why the cache stands aside
	Unsafe bool   // the method is not known to be safe: a success invalidates (RFC 9111, 4.4)
	Head   bool

	// Credentials that count. A request may carry several.
	Authorization     bool // Authorization
	ClientCertificate bool // TLS client certificate; counts as Authorization
	Cookie            bool // a cookie that is not on the ignore list
	Credential        bool // one of Options.CredentialFields; follows the rule of Cookie

	Conditional bool // If-None-Match or If-Modified-Since
	Range       bool // Range in bytes

	CC field.CacheControl // directives; Pragma: no-cache counts if there is no Cache-Control (RFC 9111, 5.4)
}

// Request classifies r in one pass over its header.
func (o *Options) Request(r *http.Request) Request { return Request{Bypass: Method} }

// DefaultCredentialFields returns the request fields, beside Authorization and Cookie, by which applications and
// authenticating proxies commonly recognise somebody. The caller owns the slice.
func DefaultCredentialFields() []string { return nil }
