package key

import (
	"net/http"
	"slices"
	"strings"
)

// Fields are the names that Scope, Variant and Values need: those in the scope, and those that are
// not spelled canonically. One pass over a request's header, which is made for other reasons as
// well, finds them. The zero value is for a header without any. Fields do not change after the
// pass, and copies may be used concurrently.
type Fields struct {
	names [6]string // in scope, as spelled in the header; as many as proxies set
	count int       // of all fields in scope
	size  int       // of their names and values, in bytes

	cookies *Cookies // the cookies that do not count, if the request has any; usually nil
	ignored ignored  // fields that do not count

	rare *rareFields
}

// rareFields are those that hardly any request has.
type rareFields struct {
	names     []string // in scope, beyond those in Fields.names
	respelled []respelled
}

// respelled is a field whose name is not canonical, such as X_Forwarded_Host.
type respelled struct{ canonical, name string }

// Note adds a field: its name in the header, Canonical(name), whether that is InScope, and its
// lines. It returns false when the request has more of these than Scope and Values look at. Such a
// request must not be looked up or stored.
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

// Remove deletes the fields with these canonical names from h, a header of the same request, in any
// spelling.
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

// appendRespelled appends the fields of names that are spelled in another way. X-Custom and
// X_Custom are two fields to a handler that reads header fields, and one to a handler that reads
// CGI variables. So both count, each by its own name.
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
