// Package validator makes the validators of a response, ETag and Last-Modified, and decides whether
// a client's copy is still current.
package validator

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// A Validator changes whenever the response changes. The zero value says nothing.
type Validator struct {
	Tag      field.ETag // zero if there is none
	Modified time.Time  // zero if it is not known
	Unknown  bool       // a revision that cannot be distinguished from others
}

// ETag returns the entity tag for text: text itself if it is a whole tag, else a strong tag of
// text, or of its hash if a tag cannot contain it. An empty text says nothing.
func ETag(text string) Validator {
	if text == "" {
		return Validator{}
	}
	if tag, ok := field.ParseETag(text); ok {
		return Validator{Tag: tag}
	}
	if tag, ok := field.ParseETag(`"` + text + `"`); ok {
		return Validator{Tag: tag}
	}
	return Validator{Tag: field.ETag{Opaque: hashed([]byte(text))}}
}

// WeakETag is like [ETag], but the tag is weak.
func WeakETag(text string) Validator {
	v := ETag(text)
	v.Tag.Weak = v.Tag.Opaque != ""
	return v
}

// LastModified returns the validator for the time of the last change. The zero time and the Unix
// epoch say nothing.
func LastModified(t time.Time) Validator {
	if t.Unix() <= 0 {
		return Validator{}
	}
	return Validator{Modified: t}
}

// Revision returns a weak entity tag that is a hash of parts. It is Unknown if a part cannot be
// hashed.
func Revision(parts []any) Validator {
	if len(parts) == 0 {
		return Validator{}
	}
	sum := sha256.New()
	for _, part := range parts {
		if !hashPart(sum, part) {
			return Validator{Unknown: true}
		}
	}
	return Validator{Tag: field.ETag{Opaque: opaque(sum.Sum(nil)), Weak: true}}
}

// A Sum is what several validators say together: one tag made of all tags, and the latest time. The
// zero value says nothing.
type Sum struct {
	Validator
	tags []byte // as in the header, separated by blanks; nil with fewer than two
}

// Add adds v to the sum.
func (s *Sum) Add(v Validator) {
	s.Unknown = s.Unknown || v.Unknown
	if v.Modified.After(s.Modified) {
		s.Modified = v.Modified
	}
	switch {
	case v.Tag.Opaque == "":
	case s.Tag.Opaque == "":
		s.Tag = v.Tag
	default:
		if s.tags == nil {
			s.tags = []byte(s.Tag.String())
		}
		// No tag contains a blank, so different lists of tags are different texts.
		s.tags = append(append(s.tags, ' '), v.Tag.String()...)
		s.Tag = field.ETag{Opaque: hashed(s.tags), Weak: s.Tag.Weak || v.Tag.Weak}
	}
}

// Confirm sets ETag and Last-Modified in the header of w from v, and sends 304 Not Modified if the
// client's copy is still current. It reports whether it has sent that.
func (v *Validator) Confirm(w http.ResponseWriter, r *http.Request, now time.Time) bool {
	if v.Unknown || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	h := w.Header()
	if v.Tag.Opaque != "" {
		h.Set("ETag", v.Tag.String())
	}
	if !v.Modified.IsZero() {
		h.Del("Last-Modified")
		if v.Modified.Unix() < now.Unix() {
			h.Set("Last-Modified", v.Modified.UTC().Format(http.TimeFormat))
		}
	}
	if !isCurrent(h, r.Header, now) {
		return false
	}
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Encoding", "Content-Range"} {
		h.Del(name)
	}
	if h.Get("ETag") != "" {
		h.Del("Last-Modified") // RFC 9110, 15.4.5: no more than the client needs
	}
	w.WriteHeader(http.StatusNotModified)
	return true
}

// isCurrent evaluates the conditions of a GET against the validators of the response header h.
func isCurrent(h, request http.Header, now time.Time) bool {
	if len(request["If-Match"]) > 0 || len(request["If-Unmodified-Since"]) > 0 {
		return false
	}
	own := rules.NewValidators(first(h["Etag"]), first(h["Last-Modified"]), nil, now)
	if !own.Has() || len(request["If-None-Match"]) == 0 && own.LastModified().IsZero() {
		return false // a cache may compare with Date instead, but a handler has no Date
	}
	return own.Condition(request, http.StatusOK, now) == rules.Unmodified
}

// first returns only the first line, the one that http.Header.Get returns.
func first(lines []string) []string { return lines[:min(len(lines), 1)] }

func hashed(text []byte) string {
	sum := sha256.Sum256(text)
	return opaque(sum[:])
}

// opaque returns a tag of 128 bits of a hash. That is enough: no two contents have the same tag by
// accident.
func opaque(sum []byte) string {
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}
