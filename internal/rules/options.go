package rules

import (
	"time"
)

// Options are the choices that the RFCs leave open. The zero value is the strictest: nothing inferred from nothing,
// cookies are credentials, Set-Cookie is never stored. The slices are read, never kept or changed. An Options value
// that nobody writes to any more may be used by many goroutines.
type Options struct {
	DefaultTTL   time.Duration // lifetime of a response that says nothing at all; 0 stores none of these
	HeuristicMax time.Duration // upper bound of the 10 % that Last-Modified gives (RFC 9111, 4.2.2); 0 switches the heuristic off
	ExplicitOnly bool          // DefaultTTL does not apply; Last-Modified still does, since it is a header that says something

	InsecureShareCookies    bool // request cookies are no credentials, and must-revalidate shares (RFC 9111, 3.5)
	InsecureStoreSetCookie  bool // Set-Cookie is stored and replayed like any other field, as RFC 9111 7.3 has it
	StripSetCookie          bool // a response with Set-Cookie is stored without it; wins over InsecureStoreSetCookie
	IgnoreRequestDirectives bool // Cache-Control and Pragma of requests do not count

	IgnoreCookies    []string // names of cookies that are no credentials; a trailing * matches any rest
	CredentialFields []string // canonical names of request fields that identify somebody; see DefaultCredentialFields
	TargetedFields   []string // canonical names of RFC 9213 fields, most specific first

	MaxStaleUnreachable time.Duration // how long past its lifetime a response may stand in for an unreachable origin (RFC 9111, 4.2.4)

	// Windows of RFC 5861 for responses whose lifetime is inferred. Explicit ones say their own.
	StaleWhileRevalidate, StaleIfError time.Duration

	credentials *nameIndex // of CredentialFields; nil before Indexed
}

// Indexed returns a copy of o that recognises CredentialFields without walking the list for each field of a request: a
// browser's request is classified four times as fast. The list must not be changed afterwards.
func (o Options) Indexed() Options {
	o.credentials = new(nameIndex)
	for _, name := range o.CredentialFields {
		bucket := &o.credentials[bucketOf(name)]
		*bucket = append(*bucket, name)
	}
	return o
}

// isCredential says whether name, canonical, is one of CredentialFields.
func (o *Options) isCredential(name string) bool {
	names := o.CredentialFields
	if o.credentials != nil {
		names = o.credentials[bucketOf(name)]
	}
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// nameIndex parts names by length and last byte, which costs nothing to compute and keeps most buckets empty.
type nameIndex [256][]string

func bucketOf(name string) byte {
	if name == "" {
		return 0
	}
	return byte(len(name))*7 + name[len(name)-1]
}
