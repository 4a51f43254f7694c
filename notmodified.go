package edgecache

import (
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/validator"
)

// A Validator is something that changes whenever the response changes: see [ETag], [WeakETag],
// [Revision] and [LastModified]. The zero value says nothing.
type Validator struct{ is validator.Validator }

// ETag is an entity tag that stands for the exact bytes of the response (RFC 9110, 8.8.3). text is
// the tag without quotes; a whole tag such as `"v1"` or `W/"v1"` is taken as it is. Text with bytes
// that a tag cannot hold, such as a blank, is hashed. An empty text says nothing.
func ETag(text string) Validator { return Validator{validator.ETag(text)} }

// WeakETag is like [ETag] for a response whose bytes may differ while it means the same
// (RFC 9110, 8.8.1).
func WeakETag(text string) Validator { return Validator{validator.WeakETag(text)} }

// Revision is a weak entity tag made by hashing everything that the response depends on: the
// identifier and the time of change of a row, the revision of a template, who is looking.
//
// Parts may be strings, numbers, booleans, byte slices and arrays, time.Time, values with
// MarshalText, types made from these, pointers to these, and nil. A part of any other kind, such as
// a struct, could change without our seeing it: with such a part, or one whose MarshalText fails,
// [NotModified] always returns false. Revision() says nothing.
func Revision(parts ...any) Validator { return Validator{validator.Revision(parts)} }

// LastModified is the time of the last change (RFC 9110, 8.8.2). HTTP knows only whole seconds, so
// a change in the current second is not sent: another one could follow with the same date. The zero
// time and the Unix epoch, which file systems without times report, say nothing.
func LastModified(t time.Time) Validator { return Validator{validator.LastModified(t)} }

// NotModified reports whether the client's copy is still the current response, and answers
// 304 Not Modified if it is. The handler then returns at once and saves the work:
//
//	edgecache.MaxAge(w, time.Minute)
//	if edgecache.NotModified(w, r, edgecache.Revision(post.ID, post.UpdatedAt)) {
//		return
//	}
//	render(w, post)
//
// In either case ETag and Last-Modified are set from the validators: of several tags they all
// count, of several times the latest. Without validators, those that w.Header() has count. Say what
// else concerns caches before NotModified, as a 304 carries the same fields as the page.
//
// If-None-Match decides when it is there, by weak comparison, else If-Modified-Since (RFC 9110,
// 13.2.2). For other methods than GET and HEAD, and with If-Match or If-Unmodified-Since, whose
// answer is not a 304, NotModified returns false.
func NotModified(w http.ResponseWriter, r *http.Request, validators ...Validator) bool {
	var all validator.Sum
	for _, v := range validators {
		all.Add(v.is)
	}
	return all.Confirm(w, r, time.Now())
}
