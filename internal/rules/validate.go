package rules

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
)

// Validators are what conditions and ranges are compared with. The zero value has none.
type Validators struct {
	ETag field.ETag // zero without a well-formed one

	modified string    // Last-Modified as it was spelled, to be sent back byte for byte; "" without a valid one
	date     string    // Date as it was spelled
	came     time.Time // when the response was received
}

// ValidatorsOf reads them from a response header with canonical names. now is when the response was
// received.
func ValidatorsOf(h http.Header, now time.Time) Validators {
	return NewValidators(h["Etag"], h["Last-Modified"], h["Date"], now)
}

// NewValidators is ValidatorsOf for the lines of the fields ETag, Last-Modified and Date.
func NewValidators(etag, modified, date []string, now time.Time) Validators {
	v := Validators{came: now}
	// They must come once: none of several lines can be told to be the right one (RFC 9110, 5.3).
	if len(etag) == 1 {
		if tag, ok := field.ParseETag(etag[0]); ok {
			v.ETag = tag
		}
	}
	if len(modified) == 1 {
		if at, ok := field.ParseDate(modified[0], now); ok && !at.IsZero() {
			v.modified = modified[0]
		}
	}
	if len(date) > 0 {
		v.date = date[0]
	}
	return v
}

// LastModified returns the time of the last change, zero without one.
func (v *Validators) LastModified() time.Time {
	at, _ := field.ParseDate(v.modified, v.came)
	return at
}

// Date returns the date of the response, or when it was received if it has no valid date.
func (v *Validators) Date() time.Time {
	if at, ok := field.ParseDate(v.date, v.came); ok {
		return at
	}
	return v.came
}

// Has reports whether there is anything to validate with.
func (v *Validators) Has() bool { return v.hasETag() || v.modified != "" }

func (v *Validators) hasETag() bool { return v.ETag.Opaque != "" }

// Ask puts conditions on the request header h that ask whether the stored response is still current
// (RFC 9111, 4.3.1).
func (v *Validators) Ask(h http.Header) {
	for _, name := range conditions {
		delete(h, name)
	}
	if v.hasETag() {
		h["If-None-Match"] = []string{v.ETag.String()}
	}
	if v.modified != "" {
		h["If-Modified-Since"] = []string{v.modified}
	}
}

// Confirmed reports whether a 304 with the header h, in response to the conditions of Ask, is about
// this stored response (RFC 9111, 4.3.4). One without validators is: the condition was ours.
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
		at, ok := field.ParseDate(lines[0], v.Date())
		return ok && len(lines) == 1 && v.modified != "" && at.Equal(v.LastModified())
	}
	return true
}

// Freshen returns the stored header, updated with that of a 304 (RFC 9111, 3.2 and 4.3.4). Both
// arguments stay as they are, and the result shares no slice with them. Store decides again whether
// the result may be stored.
//
// Age and Date come from the 304 or not at all: the 304 was made just now. Set-Cookie belongs to
// its client, and Content-Length, -Encoding and -Range to the stored bytes.
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
