package rules

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
)

// Validators are what conditions and ranges are compared with, parsed once.
type Validators struct {
	ETag         field.ETag // zero if there is none, or none that is well-formed
	LastModified time.Time  // zero if there is none
	Date         time.Time  // of the response; when it came, if it has no valid one

	lastModified string // as it was spelled, to be sent back byte for byte
}

// ValidatorsOf reads them from a response header with canonical names; now is when the response came.
func ValidatorsOf(h http.Header, now time.Time) Validators {
	var v Validators
	v.setValidators(h, now)
	return v
}

func (v *Validators) setValidators(h http.Header, now time.Time) {
	// Singletons: of several lines none can be told to be the right one (RFC 9110, 5.3).
	if lines := h["Etag"]; len(lines) == 1 {
		if tag, ok := field.ParseETag(lines[0]); ok {
			v.ETag = tag
		}
	}
	if lines := h["Last-Modified"]; len(lines) == 1 {
		if at, ok := field.ParseDate(lines[0], now); ok {
			v.LastModified, v.lastModified = at, lines[0]
		}
	}
	v.Date = now
	if lines := h["Date"]; len(lines) > 0 {
		if at, ok := field.ParseDate(lines[0], now); ok {
			v.Date = at
		}
	}
}

// Has says whether there is anything to validate with.
func (v *Validators) Has() bool { return v.hasETag() || !v.LastModified.IsZero() }

func (v *Validators) hasETag() bool { return v.ETag.Opaque != "" }

// Plain removes conditions and ranges from the request header h, so that the handler makes a full answer.
func Plain(h http.Header) {
	for _, name := range [...]string{"If-None-Match", "If-Modified-Since", "If-Range", "Range"} {
		delete(h, name)
	}
}

// Ask puts the conditions on the request header h that ask whether the stored response still holds (RFC 9111, 4.3.1).
func (v *Validators) Ask(h http.Header) {
	Plain(h)
	if v.hasETag() {
		h["If-None-Match"] = []string{v.ETag.String()}
	}
	if v.lastModified != "" {
		h["If-Modified-Since"] = []string{v.lastModified}
	}
}

// Confirmed says whether a 304 with the header h, answering the conditions of Ask, is about this stored response
// (RFC 9111, 4.3.4). One without validators is: the condition was ours.
func (v *Validators) Confirmed(h http.Header) bool {
	h = field.Canonical(h)
	if !v.Has() {
		return false // nothing was asked
	}
	if lines := h["Etag"]; len(lines) > 0 {
		tag, ok := field.ParseETag(lines[0])
		switch {
		case !ok || len(lines) > 1 || !v.hasETag():
			return false
		case tag.Weak:
			return tag.WeakMatch(v.ETag)
		default:
			return tag.StrongMatch(v.ETag)
		}
	}
	if lines := h["Last-Modified"]; len(lines) > 0 {
		at, ok := field.ParseDate(lines[0], v.Date)
		return ok && len(lines) == 1 && at.Equal(v.LastModified)
	}
	return true
}

// Freshen returns the stored header updated with that of a 304 (RFC 9111, 3.2 and 4.3.4). Both stay as they are; the
// result shares no slice with them. Whether it may still be stored is for Store to say again.
//
// Age and Date are those of the 304 or none at all: it is the 304 that was made just now. Set-Cookie belongs to whoever
// asked, and Content-Length, -Encoding and -Range to the stored bytes.
func Freshen(stored, update http.Header) http.Header {
	update = maps.Clone(field.Canonical(update))
	field.RemoveHopByHop(update)
	for _, name := range [...]string{"Content-Length", "Content-Encoding", "Content-Range", "Set-Cookie", "Set-Cookie2"} {
		delete(update, name)
	}
	fresh := make(http.Header, len(stored)+len(update))
	for name, lines := range stored {
		if _, replaced := update[name]; !replaced && name != "Age" && name != "Date" {
			fresh[name] = slices.Clone(lines)
		}
	}
	for name, lines := range update {
		fresh[name] = slices.Clone(lines)
	}
	return fresh
}
