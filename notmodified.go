package edgecache

import (
	"crypto/sha256"
	"encoding"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"math"
	"net/http"
	"reflect"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
)

// A Validator is something that changes whenever the response changes: see [ETag], [WeakETag], [Revision] and
// [LastModified]. The zero value says nothing.
type Validator struct {
	tag      field.ETag
	modified time.Time
	unknown  bool // a version that we cannot tell from others
}

// ETag is an entity tag that stands for the exact bytes of the response (RFC 9110, 8.8.3). text is the tag without quotes;
// a whole tag such as `"v1"` or `W/"v1"` is taken as it is. Text with bytes that a tag cannot hold, such as a blank,
// is hashed. An empty text says nothing.
func ETag(text string) Validator {
	if text == "" {
		return Validator{}
	}
	if tag, ok := field.ParseETag(text); ok {
		return Validator{tag: tag}
	}
	if tag, ok := field.ParseETag(`"` + text + `"`); ok {
		return Validator{tag: tag}
	}
	return Validator{tag: field.ETag{Opaque: hashed([]byte(text))}}
}

// WeakETag is like [ETag] for a response whose bytes may differ while it means the same (RFC 9110, 8.8.1).
func WeakETag(text string) Validator {
	v := ETag(text)
	v.tag.Weak = v.tag.Opaque != ""
	return v
}

// Revision is a weak entity tag made by hashing everything that the response depends on: the identifier and the time of
// change of a row, the revision of a template, who is looking.
//
// Parts may be strings, numbers, booleans, byte slices and arrays, time.Time, values with MarshalText, types made from
// these, pointers to these, and nil. A part of any other kind, such as a struct, could change without our seeing
// it: with such a part, or one whose MarshalText fails, [NotModified] always returns false. Revision() says nothing.
func Revision(parts ...any) Validator {
	if len(parts) == 0 {
		return Validator{}
	}
	sum := sha256.New()
	for _, part := range parts {
		if !hashPart(sum, part) {
			return Validator{unknown: true}
		}
	}
	return Validator{tag: field.ETag{Opaque: opaque(sum.Sum(nil)), Weak: true}}
}

// LastModified is the time of the last change (RFC 9110, 8.8.2). HTTP knows only whole seconds, so a change in the second
// that still runs is not sent: another one could follow with the same date. The zero time and the Unix epoch, which
// file systems without times report, say nothing.
func LastModified(t time.Time) Validator {
	if t.Unix() <= 0 {
		return Validator{}
	}
	return Validator{modified: t}
}

// NotModified reports whether the client's copy is still the current response, and answers 304 Not Modified if it is. The
// handler then returns at once and saves the work:
//
//	edgecache.MaxAge(w, time.Minute)
//	if edgecache.NotModified(w, r, edgecache.Revision(post.ID, post.UpdatedAt)) {
//		return
//	}
//	render(w, post)
//
// In either case ETag and Last-Modified are set from the validators: of several tags they all count, of several
// times the latest. Without validators, those that w.Header() has count. Say what else concerns caches before NotModified,
// as a 304 carries the same fields as the page.
//
// If-None-Match decides when it is there, by weak comparison, else If-Modified-Since (RFC 9110, 13.2.2). For other methods
// than GET and HEAD, and with If-Match or If-Unmodified-Since, whose answer is not a 304, NotModified returns false.
func NotModified(w http.ResponseWriter, r *http.Request, validators ...Validator) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	v := combine(validators)
	if v.unknown {
		return false
	}
	h, now := w.Header(), time.Now()
	if v.tag.Opaque != "" {
		h.Set("ETag", v.tag.String())
	}
	if !v.modified.IsZero() {
		h.Del("Last-Modified")
		if v.modified.Unix() < now.Unix() {
			h.Set("Last-Modified", v.modified.UTC().Format(http.TimeFormat))
		}
	}
	if !unmodified(r.Header, h, now) {
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

func combine(validators []Validator) (all Validator) {
	var text []byte
	for _, v := range validators {
		all.unknown = all.unknown || v.unknown
		if v.modified.After(all.modified) {
			all.modified = v.modified
		}
		if v.tag.Opaque == "" {
			continue
		}
		if text == nil {
			all.tag, text = v.tag, []byte(v.tag.String())
			continue
		}
		// No tag contains a blank, so the text says where one ends.
		text = append(append(text, ' '), v.tag.String()...)
		all.tag = field.ETag{Opaque: hashed(text), Weak: all.tag.Weak || v.tag.Weak}
	}
	return all
}

// unmodified evaluates the conditions of a GET against the validators of the response header h.
func unmodified(request, h http.Header, now time.Time) bool {
	if len(request["If-Match"]) > 0 || len(request["If-Unmodified-Since"]) > 0 {
		return false
	}
	tag, hasTag := field.ParseETag(h.Get("ETag"))
	modified, hasModified := field.ParseDate(h.Get("Last-Modified"), now)
	if conditions := request["If-None-Match"]; len(conditions) > 0 {
		if len(conditions) == 1 && field.TrimBlanks(conditions[0]) == "*" {
			return hasTag || hasModified
		}
		for t := range field.ETags(conditions) {
			if hasTag && t.WeakMatch(tag) {
				return true
			}
		}
		return false // RFC 9110, 13.1.3: If-Modified-Since is ignored then
	}
	since := request["If-Modified-Since"]
	if len(since) != 1 || !hasModified {
		return false
	}
	date, ok := field.ParseDate(since[0], now)
	return ok && !modified.After(date)
}

func hashed(text []byte) string {
	sum := sha256.Sum256(text)
	return opaque(sum[:])
}

// opaque keeps 128 bits of a hash, enough that nobody finds two contents with one tag by accident.
func opaque(sum []byte) string {
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// hashPart writes a part so that no two lists of parts have the same bytes: its kind, its length, its content.
func hashPart(sum hash.Hash, part any) bool {
	v := reflect.ValueOf(part)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		if _, ok := v.Interface().(encoding.TextMarshaler); ok {
			break
		}
		v = v.Elem()
	}
	if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return write(sum, 'n', nil)
	}
	switch t := v.Interface().(type) {
	case time.Time:
		return writeTime(sum, t)
	case *time.Time:
		return writeTime(sum, *t)
	case encoding.TextMarshaler:
		text, err := t.MarshalText()
		return err == nil && write(sum, 't', text)
	}
	switch {
	case v.Kind() == reflect.String:
		return write(sum, 's', []byte(v.String()))
	case v.Kind() == reflect.Bool && v.Bool():
		return write(sum, 'b', []byte{1})
	case v.Kind() == reflect.Bool:
		return write(sum, 'b', []byte{0})
	case v.CanInt():
		return write(sum, 'i', binary.BigEndian.AppendUint64(nil, uint64(v.Int())))
	case v.CanUint():
		return write(sum, 'u', binary.BigEndian.AppendUint64(nil, v.Uint()))
	case v.CanFloat():
		return write(sum, 'f', binary.BigEndian.AppendUint64(nil, math.Float64bits(v.Float())))
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return write(sum, 's', v.Bytes())
	case v.Kind() == reflect.Array && v.Type().Elem().Kind() == reflect.Uint8:
		content := make([]byte, v.Len())
		for i := range content {
			content[i] = byte(v.Index(i).Uint())
		}
		return write(sum, 's', content)
	}
	return false
}

func writeTime(sum hash.Hash, t time.Time) bool {
	content := binary.BigEndian.AppendUint64(nil, uint64(t.Unix()))
	return write(sum, 'T', binary.BigEndian.AppendUint32(content, uint32(t.Nanosecond())))
}

func write(sum hash.Hash, kind byte, content []byte) bool {
	sum.Write(binary.BigEndian.AppendUint64([]byte{kind}, uint64(len(content))))
	sum.Write(content)
	return true
}
