package key

import (
	"net/http"
	"slices"
	"strings"
)

// Fields are what a pass over the header of one request, made for other reasons as well, finds for
// Scope, Variant and Values, so that these need none of their own: the names that are part of the
// scope, and those that are not spelled canonically. The zero value is for a header without any.
// After the pass it is not changed any more, and copies may be used at once.
type Fields struct {
	names [6]string // in scope, as they stand in the header; as many as proxies set
	count int       // of all in scope
	size  int       // of their names and values, in bytes

	cookies *Cookies // nil, or those that do not count, if the request has any of them
	ignored ignored  // fields that do not count

	rare *rareFields
}

// rareFields are what hardly any request has.
type rareFields struct {
	names     []string // in scope, beyond those in Fields.names
	respelled []respelled
}

// respelled is a field whose name is not canonical, such as X_Forwarded_Host.
type respelled struct{ canonical, name string }

// Note adds a field: name as it stands in the header, Canonical(name), whether that is InScope, and
// its lines. It reports false when the request has more of these than Scope and Values look at: the
// request must not be looked up or stored then.
func (f *Fields) Note(name, canonical string, inScope bool, lines []string) bool {
	if inScope {
		if f.count == MaxFields {
			return false
		}
		f.size += len(name)
		for _, line := range lines {
			f.size += 1 + len(line)
		}
		if f.size > MaxFieldsSize {
			return false
		}
		if f.count < len(f.names) {
			f.names[f.count] = name
		} else {
			f.more().names = append(f.more().names, name)
		}
		f.count++
	}
	if canonical == name {
		return true
	}
	more := f.more()
	if len(more.respelled) == MaxFields {
		return false
	}
	// In order, since a map has none.
	at, _ := slices.BinarySearchFunc(more.respelled, name, func(r respelled, name string) int { return strings.Compare(r.name, name) })
	more.respelled = slices.Insert(more.respelled, at, respelled{canonical, name})
	return true
}

func (f *Fields) more() *rareFields {
	if f.rare == nil {
		f.rare = new(rareFields)
	}
	return f.rare
}

// Respelled reports whether the name of a field is not canonical.
func (f *Fields) Respelled() bool { return f.rare != nil && len(f.rare.respelled) > 0 }

// Remove deletes the fields with these canonical names from h, a header of the same request,
// however the request spelled them.
func (f *Fields) Remove(h http.Header, names ...string) {
	for _, name := range names {
		delete(h, name)
	}
	if f.rare == nil {
		return
	}
	for _, r := range f.rare.respelled {
		if slices.Contains(names, r.canonical) {
			delete(h, r.name)
		}
	}
}

// appendRespelled appends those of the fields names that are spelled in another way. What a handler
// sees in X-Custom and what it sees in X_Custom are two things to one that reads header fields, and
// one thing to one that reads CGI variables: so both count, and each by its own name.
func (f *Fields) appendRespelled(dst []byte, names []string, h http.Header) []byte {
	if f == nil || f.rare == nil {
		return dst
	}
	for _, r := range f.rare.respelled {
		if slices.Contains(names, r.canonical) {
			dst = appendLines(dst, kindRespelled, r.name, f.lines(r.canonical, h[r.name]))
		}
	}
	return dst
}
