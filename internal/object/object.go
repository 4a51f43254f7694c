// Package object holds the stored response: what a fill leaves behind and hits are answered from.
package object

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// Object is one stored response. It is immutable once published: many goroutines read every field at once, and nothing of it is handed out for writing.
type Object struct {
	Status int
	Header http.Header // canonical names; only what the wrapped handler set; no hop-by-hop fields; an empty list means that the handler forbade net/http to add the field
	Body   Body
	Meta   rules.Meta

	MadeETag bool // Meta.ETag is made of the bytes: the handler does not know it, so it is never asked about it

	Scope   string // what besides Vary separates variants of one URL, see internal/key
	Variant string // the normalised values of Meta.Vary's fields in the request that filled this object

	fields []headerField // Header, flattened and sorted: what a hit writes
	values int           // sum of the lengths of their value lists
	size   int64
}

type headerField struct {
	name   string
	values []string
}

// overhead is what an Object costs in bytes beside what its fields point to: the struct and the maps' and lists' own headers, rounded up.
const overhead = 640

// Seal completes an object before publication: the length becomes explicit, a response without validator gets an entity tag of its bytes, the header is flattened and the size summed up.
// It changes o.Header, which must not be shared yet.
func (o *Object) Seal() {
	if BodyAllowed(o.Status) {
		o.Header["Content-Length"] = []string{strconv.FormatInt(o.Body.Size(), 10)}
		o.makeETag()
	}
	names := make([]string, 0, len(o.Header))
	for name := range o.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	o.fields = make([]headerField, len(names))
	o.values = 0
	o.size = overhead + o.Body.Footprint() + int64(len(o.Scope)+len(o.Variant))
	for i, name := range names {
		values := o.Header[name]
		o.fields[i] = headerField{name, values}
		o.values += len(values)
		o.size += int64(2*len(name)) + 128 // in the map, which is up to half empty, and in the list
		for _, v := range values {
			o.size += int64(len(v)) + 16
		}
	}
	for _, v := range o.Meta.Vary {
		o.size += int64(len(v)) + 16
	}
}

// Size is what a sealed object keeps in memory, in bytes, everything counted.
func (o *Object) Size() int64 { return o.size }

const (
	etagPrefix = "ec-"
	etagBytes  = 12 // of SHA-256: 96 bits are far beyond accident and short on the wire
)

// makeETag gives a response without any validator a strong entity tag of its bytes (RFC 9110, 8.8.3).
// One with Last-Modified keeps to that: its handler answers conditions by it, and would ignore a tag that it never gave.
func (o *Object) makeETag() {
	if o.Status != http.StatusOK || len(o.Header["Etag"]) > 0 || len(o.Header["Last-Modified"]) > 0 {
		return
	}
	tag := MakeETag(o.Header, o.Body)
	o.Header["Etag"] = []string{tag.Opaque}
	o.Meta.ETag, o.MadeETag = tag, true
}

// MakeETag returns the tag that Seal gives to a response with this header and body.
func MakeETag(h http.Header, b Body) field.ETag {
	sum := sha256.New()
	// Two codings of the same page are different representations and must not share a strong tag (RFC 9110, 8.8.3.3).
	for _, v := range h["Content-Encoding"] {
		sum.Write([]byte(v))
		sum.Write([]byte{0})
	}
	_, _ = b.WriteTo(sum) // a hash never fails
	var digest [sha256.Size]byte
	text := make([]byte, 0, len(etagPrefix)+2*etagBytes+2)
	text = append(text, '"')
	text = append(text, etagPrefix...)
	text = hex.AppendEncode(text, sum.Sum(digest[:0])[:etagBytes])
	text = append(text, '"')
	return field.ETag{Opaque: string(text)}
}

// IsMade reports whether tag has the form of those that MakeETag returns.
func IsMade(tag field.ETag) bool {
	return len(tag.Opaque) == len(etagPrefix)+2*etagBytes+2 && tag.Opaque[1:1+len(etagPrefix)] == etagPrefix
}

// CopyHeader puts the stored fields into dst, replacing those of the same name. The value lists are cut from one fresh array, so whoever changes dst later changes nothing here.
// The array has room for extra more values; that room is returned as an empty slice.
func (o *Object) CopyHeader(dst http.Header, extra int) []string {
	array := make([]string, o.values+extra)
	for i := range o.fields {
		f := &o.fields[i]
		n := copy(array, f.values)
		dst[f.name] = array[:n:n]
		array = array[n:]
	}
	return array[:0]
}

// BodyAllowed reports whether a response with this status may have a body (RFC 9110, 6.4.1).
func BodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}
