package rules

import (
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/key"
)

// Options are the choices that the RFCs leave open. The zero value is the strictest: no lifetime is
// inferred, cookies are credentials, Set-Cookie is never stored. The slices are read, never kept or
// changed. Many goroutines may use an Options value that is no longer written.
type Options struct {
	DefaultTTL   time.Duration // lifetime of a response that says nothing about it; 0 stores none of these
	HeuristicMax time.Duration // upper bound of the 10 % that Last-Modified gives (RFC 9111, 4.2.2); 0 means never
	ExplicitOnly bool          // DefaultTTL does not apply; Last-Modified still does

	InsecureShareCookies   bool // request cookies are no credentials, and must-revalidate shares (RFC 9111, 3.5)
	InsecureStoreSetCookie bool // Set-Cookie is stored and replayed like any other field (RFC 9111, 7.3)
	StripSetCookie         bool // a response with Set-Cookie is stored without it; wins over InsecureStoreSetCookie
	HonorRequestDirectives bool // Cache-Control and Pragma of requests count

	OnlyCredentialFields bool // no other field identifies its sender, whatever its name says
	Personal             bool // the application names more requests that are personal: see Request.Personal

	// Names. A trailing * matches any rest, except in TargetedFields.

	IgnoreCookies    []string // cookies that are no credentials
	IgnoreFields     []string // request fields that the application never reads, canonical: see Ignorable
	CredentialFields []string // request fields that identify their sender, as key.Canonical spells them
	TargetedFields   []string // fields of RFC 9213, canonical, most specific first
	DropFields       []string // response fields that are not stored, canonical: see DefaultDropFields

	MaxStaleUnreachable time.Duration // how stale a response may be when the origin is unreachable (RFC 9111, 4.2.4)

	// Windows of RFC 5861, each for responses that do not name it.
	StaleWhileRevalidate, StaleIfError time.Duration

	unread *key.Cookies // of IgnoreCookies; nil before Indexed
	known  *knownFields // nil before Indexed
	drops  *dropIndex   // of DropFields; nil before Indexed
}

// Indexed returns a copy of o with an index of the fields that most requests carry: a browser's
// request is classified four times as fast. The lists must not be changed afterwards.
func (o Options) Indexed() Options {
	known := new(knownFields)
	o.known = nil
	for _, names := range [...][]string{commonFields[:], o.CredentialFields} {
		for _, name := range names {
			if strings.HasSuffix(name, "*") {
				known.wildcards = append(known.wildcards, name)
				continue
			}
			known.add(name, o.kindOf(name))
		}
	}
	o.known = known
	o.unread = key.NewCookies(o.IgnoreCookies)
	o.drops = newDropIndex(o.DropFields)
	return o
}
