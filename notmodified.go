package edgecache

import (
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/validator"
)

// A Validator is a value that changes whenever the response changes, for [NotModified]. Make one
// with [ETag], [WeakETag], [Revision] or [LastModified]. The zero value says nothing. Validators
// are immutable.
type Validator struct{ is validator.Validator }

// ETag returns an entity tag that stands for the exact bytes of the response (RFC 9110, 8.8.3).
// text is the tag without quotes; a whole tag such as `"v1"` or `W/"v1"` is taken as it is. Text
// with bytes that a tag cannot hold, such as a blank, is hashed. An empty text says nothing.
func ETag(text string) Validator { return Validator{validator.ETag(text)} }

// WeakETag is like [ETag], for a response whose bytes may differ while it means the same (RFC 9110,
// 8.8.1).
func WeakETag(text string) Validator { return Validator{validator.WeakETag(text)} }

// Revision returns a weak entity tag that is a hash of everything the response depends on: the
// identifier of a row and when it changed, the version of a template, the user who looks at it.
//
// Parts may be strings, numbers, booleans, byte slices, byte arrays, time.Time, values with
// MarshalText, types made from these, pointers to these, and nil. A part of any other kind, such as
// a struct, could change without changing the hash. With such a part, or one whose MarshalText
// fails, [NotModified] always returns false. Revision() without parts says nothing.
func Revision(parts ...any) Validator { return Validator{validator.Revision(parts)} }

// LastModified returns the time of the last change as a validator (RFC 9110, 8.8.2). HTTP dates are
// in whole seconds, so a change in the current second is not sent: another one could follow with
// the same date. The zero time and the Unix epoch say nothing, as file systems without times report
// the latter.
func LastModified(t time.Time) Validator { return Validator{validator.LastModified(t)} }

// NotModified reports whether the client's copy of the response is still current. If it is,
// NotModified has sent 304 Not Modified, and the handler returns without rendering:
//
//	edgecache.MaxAge(w, time.Minute)
//	if edgecache.NotModified(w, r, edgecache.Revision(post.ID, post.UpdatedAt)) {
//		return
//	}
//	render(w, post)
//
// In either case it sets ETag and Last-Modified from the validators: all tags count together, and
// the latest time. Without validators, those that are already in w.Header() count. Set other fields
// that concern caches before the call, as a 304 carries the same ones as the full response.
//
// If-None-Match decides if the request has it, by weak comparison; else If-Modified-Since does (RFC
// 9110, 13.2.2). NotModified returns false for methods other than GET and HEAD, and for requests
// with If-Match or If-Unmodified-Since, which are never answered with a 304.
func NotModified(w http.ResponseWriter, r *http.Request, validators ...Validator) bool {
	var all validator.Sum
	for _, v := range validators {
		all.Add(v.is)
	}
	return all.Confirm(w, r, time.Now())
}
