package object

import (
	"encoding/binary"
	"iter"
	"net/http"
	"slices"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/frame"
)

// Header is a response header in one string, which takes little more than its text. The zero value
// is empty. It is immutable, and the strings that it returns are parts of it. Besides the fields it
// keeps what the response does to the fields of outer middleware: see [field.Edits].
//
// The layout: how many values there are; then, if there are edits, the empty name, how many edits
// there are, and their texts; then, in ascending order of names, for each field its name, how many
// values it has, and these.
type Header struct{ packed string }

// editsMark is what appendName makes of the empty name, which no field has.
const editsMark = byte(len(wellKnown))

// Pack returns h as a Header. It keeps nothing of h.
func Pack(h http.Header) Header { return Header{string(appendHeader(nil, h, nil, &own{}))} }

// own are the values of the fields that sealing adds or replaces. "" leaves a field as it is.
type own struct{ length, tag, contentType string }

func (o *own) value(name string) string {
	switch name {
	case "Content-Length":
		return o.length
	case "Content-Type":
		return o.contentType
	case "Etag":
		return o.tag
	}
	return ""
}

// appendHeader appends h, with own in place of its fields, and edits. It skips a field without a
// name.
func appendHeader(dst []byte, h http.Header, edits field.Edits, own *own) []byte {
	var buf [32]string
	names, values := buf[:0], 0
	for name, lines := range h {
		if own.value(name) == "" && name != "" {
			names = append(names, name)
			values += len(lines)
		}
	}
	for _, name := range [...]string{"Content-Length", "Content-Type", "Etag"} {
		if own.value(name) != "" {
			names = append(names, name)
			values++
		}
	}
	slices.Sort(names)
	dst = appendNumber(dst, values)
	if texts := edits.Texts(); texts != nil {
		dst = appendNumber(append(dst, editsMark), len(texts))
		for _, text := range texts {
			dst = frame.AppendText(dst, text)
		}
	}
	for _, name := range names {
		dst = appendName(dst, name)
		if value := own.value(name); value != "" {
			dst = appendNumber(dst, 1)
			dst = frame.AppendText(dst, value)
			continue
		}
		lines := h[name]
		dst = appendNumber(dst, len(lines))
		for _, value := range lines {
			dst = frame.AppendText(dst, value)
		}
	}
	return dst
}

// Get returns the first value of the field, "" if there is none. The name must be canonical.
func (h Header) Get(name string) string {
	var buf [1]string
	if values := h.append(buf[:0], name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// append appends the values of the field to dst.
func (h Header) append(dst []string, name string) []string {
	for r := h.reader(); r.rest != ""; {
		if found, n := r.name() == name, r.number(); found {
			return r.texts(dst, n)
		} else {
			r.skip(n)
		}
	}
	return dst
}

// All yields names, in ascending order, and values. A list of values is valid until the next one.
func (h Header) All() iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		var values []string
		for r := h.reader(); r.rest != ""; {
			name := r.name()
			values = r.texts(values[:0], r.number())
			if !yield(name, values) {
				return
			}
		}
	}
}

// Len is the number of fields.
func (h Header) Len() (n int) {
	for range h.All() {
		n++
	}
	return n
}

// Unpack returns a header that the caller may change. A field without values has an empty list, not
// nil: that keeps net/http from adding the field.
func (h Header) Unpack() http.Header {
	unpacked := make(http.Header)
	h.CopyTo(unpacked, 0)
	return unpacked
}

// CopyTo puts the fields into dst, in place of those with the same name, behind or before them, and
// removes those that the response removes: see [field.Edits.Apply]. The value lists are cut from
// one fresh array, so later changes of dst do not reach h. The array has room for extra more
// values, and that room is returned as an empty slice.
func (h Header) CopyTo(dst http.Header, extra int) []string {
	if h.packed == "" {
		return make([]string, 0, extra)
	}
	r := reader{h.packed}
	size := r.number() + extra
	edits := r.edits()
	stay := 0 // lines that stay beside those of the response
	if len(dst) > 0 {
		for e := edits; e.next(); {
			switch {
			case e.edit.Adds():
				stay += len(dst[e.name])
			case e.edit.Removes():
				delete(dst, e.name)
			}
		}
	}
	array := make([]string, size+stay)
	for r.rest != "" {
		name := r.name()
		n, m, behind := r.number(), 0, 0
		if stay > 0 {
			for edits.name < name && edits.next() { //nolint:revive // edits and fields come in the same order
			}
			if edits.name == name {
				switch edits.edit {
				case field.Added:
					m = copy(array, dst[name])
				case field.Before:
					behind = copy(array[n:], dst[name])
				}
			}
		}
		for i := range n {
			array[m+i] = r.text()
		}
		n += m + behind
		dst[name] = array[:n:n]
		array = array[n:]
	}
	return array[:0]
}

// Edits returns what the response does to the fields of outer middleware. The caller owns the map.
func (h Header) Edits() field.Edits {
	var edits field.Edits
	for e := h.editReader(); e.next(); {
		if edits == nil {
			edits = make(field.Edits)
		}
		edits[e.name] = e.edit
	}
	return edits
}

// Edit returns what the response does to one of these fields.
func (h Header) Edit(name string) field.Edit {
	for e := h.editReader(); e.next(); {
		if e.name == name {
			return e.edit
		}
	}
	return 0
}

func (h Header) editReader() edits {
	if h.packed == "" {
		return edits{}
	}
	r := reader{h.packed}
	r.number()
	return r.edits()
}

// edits reads edits one by one.
type edits struct {
	texts reader
	count int // of those that follow
	name  string
	edit  field.Edit
}

// next goes to the next edit. It returns false if there is none, and then stays at the last one.
func (e *edits) next() bool {
	if e.count == 0 {
		return false
	}
	e.count--
	text := e.texts.text()
	e.edit, e.name = field.Edit(text[0]), text[1:]
	return true
}

// reader starts at the first field.
func (h Header) reader() reader {
	r := reader{h.packed}
	if h.packed != "" {
		r.number()
		r.edits()
	}
	return r
}

// edits reads the edits, if there are any.
func (r *reader) edits() (e edits) {
	if r.rest == "" || r.rest[0] != editsMark {
		return e
	}
	r.rest = r.rest[1:]
	e.count = r.number()
	e.texts = *r
	r.skip(e.count)
	return e
}

// appendNumber appends what reader.number reads: a varint.
func appendNumber(dst []byte, n int) []byte { return binary.AppendUvarint(dst, uint64(n)) }

// appendName appends what reader.name reads. A number below len(wellKnown) is the index of a
// well-known name; any other is that much more than the length of the name, which follows.
func appendName(dst []byte, name string) []byte {
	if i, ok := slices.BinarySearch(wellKnown[:], name); ok {
		return append(dst, byte(i))
	}
	return append(appendNumber(dst, len(wellKnown)+len(name)), name...)
}

// reader reads what the functions above appended. It does no checks.
type reader struct{ rest string }

func (r *reader) number() int {
	if n := r.rest[0]; n < 0x80 {
		r.rest = r.rest[1:]
		return int(n)
	}
	return r.large()
}

func (r *reader) large() (n int) {
	for i := 0; ; i++ {
		c := r.rest[i]
		n |= int(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.rest = r.rest[i+1:]
			return n
		}
	}
}

func (r *reader) text() string { return r.take(r.number()) }

// texts appends n texts to dst.
func (r *reader) texts(dst []string, n int) []string {
	for range n {
		dst = append(dst, r.text())
	}
	return dst
}

// skip reads n texts.
func (r *reader) skip(n int) {
	for range n {
		r.take(r.number())
	}
}

func (r *reader) name() string {
	if n := r.number(); n >= len(wellKnown) {
		return r.take(n - len(wellKnown))
	} else {
		return wellKnown[n]
	}
}

func (r *reader) take(n int) string {
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

// wellKnown are names that are common in responses and in Vary, in ascending order. Each takes one
// byte. Their indexes never leave this process.
var wellKnown = [...]string{
	"Accept",
	"Accept-Encoding",
	"Accept-Language",
	"Accept-Ranges",
	"Access-Control-Allow-Credentials",
	"Access-Control-Allow-Headers",
	"Access-Control-Allow-Methods",
	"Access-Control-Allow-Origin",
	"Access-Control-Expose-Headers",
	"Age",
	"Alt-Svc",
	"Authorization",
	"Cache-Control",
	"Cache-Groups",
	"Cdn-Cache-Control",
	"Content-Disposition",
	"Content-Encoding",
	"Content-Language",
	"Content-Length",
	"Content-Location",
	"Content-Security-Policy",
	"Content-Type",
	"Cookie",
	"Cross-Origin-Embedder-Policy",
	"Cross-Origin-Opener-Policy",
	"Cross-Origin-Resource-Policy",
	"Date",
	"Etag",
	"Expires",
	"Last-Modified",
	"Link",
	"Location",
	"Origin",
	"Permissions-Policy",
	"Pragma",
	"Referrer-Policy",
	"Retry-After",
	"Server",
	"Server-Timing",
	"Strict-Transport-Security",
	"Surrogate-Control",
	"Surrogate-Key",
	"Timing-Allow-Origin",
	"User-Agent",
	"Vary",
	"Via",
	"X-Content-Type-Options",
	"X-Dns-Prefetch-Control",
	"X-Frame-Options",
	"X-Permitted-Cross-Domain-Policies",
	"X-Powered-By",
	"X-Request-Id",
	"X-Robots-Tag",
	"X-Ua-Compatible",
	"X-Xss-Protection",
}
