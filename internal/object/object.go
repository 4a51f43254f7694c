// Package object holds the stored response: a fetch makes it, and hits are served from it.
package object

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/frame"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// Draft is a response that is about to be stored.
type Draft struct {
	Status int
	// Header has canonical names, and only what the wrapped handler set, without hop-by-hop fields.
	// An empty list means that the handler forbade net/http to add the field.
	Header http.Header
	Edits  field.Edits // what the handler did to the fields of outer middleware
	Body   Body
	Meta   rules.Meta

	Scope   string // what separates variants of one URL besides Vary: see internal/key
	Variant string // the normalised values of Meta.Vary's fields in the request of the fetch

	MadeETag bool // Seal made the entity tag in Header before

	// The media type and language, if Header lacks them because outer middleware set them.
	Type, Language string
}

// Object is one stored response. It is immutable once published: many goroutines read every field
// concurrently, and no part of it is returned for writing.
type Object struct {
	Terms rules.Terms
	Body  Body

	// All text in one string: scope and variant, each after its length; the names of Vary, after
	// their length; type and language, if the header lacks them; the header.
	text string

	header uint32 // where in text the header begins
	status uint16
	made   bool // see MadeETag
	choice Choice
}

// overhead is what an Object takes in bytes, besides what its fields point to.
const overhead = 136

// Seal makes the object that is published. The length becomes explicit, a response without a
// validator gets an entity tag made of its bytes, and a response without a type gets the one that
// its bytes look like. Seal keeps nothing of d.Header and d.Edits, and does not change them.
func (d *Draft) Seal() Object {
	o := Object{Terms: d.Meta.Terms, Body: d.Body, status: uint16(d.Status), made: d.MadeETag}
	var (
		buf    [1 << 10]byte
		length [20]byte
		tag    [etagLength]byte
		own    own
	)
	if BodyAllowed(d.Status) {
		own.length = string(strconv.AppendInt(length[:0], d.Body.Size(), 10))
		if d.Status == http.StatusOK && len(d.Header["Etag"]) == 0 && len(d.Header["Last-Modified"]) == 0 && d.Edits["Etag"] != field.Left {
			// A response with Last-Modified gets no tag: its handler evaluates conditions by the
			// date, and would ignore a tag that it never sent.
			o.made = true
			own.tag = string(appendETag(tag[:0], d.Header["Content-Encoding"], d.Body))
		}
		if _, ok := d.Header["Content-Type"]; !ok && d.Body.Size() > 0 && len(d.Header["Content-Encoding"]) == 0 && d.Edits["Content-Type"] != field.Left {
			own.contentType = http.DetectContentType(d.Body.Prefix(512)) // as net/http does, but only once
		}
	}
	text := frame.AppendText(buf[:0], d.Scope)
	text = frame.AppendText(text, d.Variant)
	text = appendNames(text, d.Meta.Vary)
	mediaType, language := d.Type, d.Language
	if mediaType != "" || language != "" {
		o.choice = told
		text = frame.AppendText(frame.AppendText(text, mediaType), language)
	}
	if own.contentType != "" {
		mediaType = own.contentType
	} else if lines := d.Header["Content-Type"]; len(lines) > 0 {
		mediaType = lines[0]
	}
	if lines := d.Header["Content-Language"]; len(lines) > 0 {
		language = lines[0]
	}
	o.choice |= ChoiceOf(d.Status, mediaType, language, d.Meta.Vary)
	o.header = uint32(len(text))
	o.text = string(appendHeader(text, d.Header, d.Edits, &own))
	return o
}

// Status is the status code.
func (o *Object) Status() int { return int(o.status) }

// MadeETag reports whether Seal made the entity tag of the bytes. The handler does not know it, so
// it never gets a condition with it.
func (o *Object) MadeETag() bool { return o.made }

// Selector tells the object from others of its URL.
func (o *Object) Selector() Selector {
	r := reader{o.text}
	return Selector{Scope: r.text(), Variant: r.text(), Vary: Names{r.text()}}
}

// Header is the header.
func (o *Object) Header() Header { return Header{o.text[o.header:]} }

// CopyHeader is Header().CopyTo.
func (o *Object) CopyHeader(dst http.Header, extra int) []string {
	return o.Header().CopyTo(dst, extra)
}

// Edit is Header().Edit.
func (o *Object) Edit(name string) field.Edit { return o.Header().Edit(name) }

// Validators are those of the header.
func (o *Object) Validators() rules.Validators { return o.validators(true) }

// validators leaves out all but the entity tag if dates is false.
func (o *Object) validators(dates bool) rules.Validators {
	var etag, modified, date []string
	var room [3]string
	for r := o.Header().reader(); r.rest != ""; {
		name, n := r.name(), r.number()
		switch {
		case name == "Etag":
			etag = r.texts(room[1:1:2], n)
		case name == "Date" && dates:
			date = r.texts(room[:0:1], n)
		case name == "Last-Modified" && dates:
			modified = r.texts(room[2:2:3], n)
		default:
			r.skip(n)
		}
	}
	return rules.NewValidators(etag, modified, date, o.Terms.Came())
}

// Condition evaluates the conditions of the request header h: see [rules.Validators].
func (o *Object) Condition(h http.Header, now time.Time) rules.Outcome {
	// Beside If-None-Match, dates do not count (RFC 9110, 13.2.2), and they take the longest to
	// read.
	v := o.validators(len(h["If-None-Match"]) == 0)
	return v.Condition(h, o.Status(), now)
}

// Ranges evaluates the ranges of the request header h: see [rules.Validators].
func (o *Object) Ranges(h http.Header, now time.Time) ([]field.Range, rules.Outcome) {
	v := o.Validators()
	return v.Ranges(h, o.Status(), o.Body.Size(), now)
}

// Asks reports whether the handler can be asked whether the object is still current.
func (o *Object) Asks() bool {
	if o.made {
		return false
	}
	v := o.Validators()
	return v.Has()
}

// Size is all that the object keeps in memory, in bytes.
func (o *Object) Size() int64 {
	return overhead + o.Body.Footprint() + int64(len(o.text)+len(o.text)/8+16) // rounded up as the allocator does
}

// Selector tells apart the objects of one URL.
type Selector struct {
	Scope   string // what separates them besides Vary: see internal/key
	Variant string // the normalised values of the fields that Vary names, in the request of the fetch
	Vary    Names  // sorted, no duplicates
}

// Names is a list of field names in one string. Equal strings are equal lists.
type Names struct{ packed string }

// Append appends the names to dst.
func (n Names) Append(dst []string) []string {
	for r := (reader{n.packed}); r.rest != ""; {
		dst = append(dst, r.name())
	}
	return dst
}

// appendNames appends the text of Names.
func appendNames(dst []byte, names []string) []byte {
	var buf [64]byte
	list := buf[:0]
	for _, name := range names {
		list = appendName(list, name)
	}
	return frame.AppendText(dst, list)
}

const (
	etagPrefix = "ec-"
	etagBytes  = 12 // of SHA-256: 96 bits are far beyond accident and short on the wire
	etagLength = len(etagPrefix) + 2*etagBytes + 2
)

// appendETag appends the strong entity tag (RFC 9110, 8.8.3) that Seal gives to a body in these
// codings.
func appendETag(dst []byte, codings []string, b Body) []byte {
	digest := digestOf(codings, b)
	dst = append(dst, '"')
	dst = append(dst, etagPrefix...)
	dst = hex.AppendEncode(dst, digest[:etagBytes])
	return append(dst, '"')
}

func digestOf(codings []string, b Body) [sha256.Size]byte {
	if len(codings) == 0 && b.len() == 1 {
		return sha256.Sum256(b.first)
	}
	sum := sha256.New()
	// Two codings of the same body are different representations and must not share a strong tag
	// (RFC 9110, 8.8.3.3).
	for _, v := range codings {
		sum.Write([]byte(v))
		sum.Write([]byte{0})
	}
	_, _ = b.WriteTo(sum) // a hash never fails
	return [sha256.Size]byte(sum.Sum(nil))
}

// IsMade reports whether tag has the form of those that Seal makes.
func IsMade(tag field.ETag) bool {
	return len(tag.Opaque) == etagLength && tag.Opaque[1:1+len(etagPrefix)] == etagPrefix
}

// BodyAllowed reports whether a response with this status may have a body (RFC 9110, 6.4.1).
func BodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}
