package field

import (
	"net/http"
	"slices"
	"strings"
)

// Edit is what a handler did to a field that outer middleware had set before the handler ran. The
// zero value is no edit: the field was not there, or the handler replaced it.
type Edit byte

// The edits.
const (
	Added    Edit = '+' // the handler kept the lines that were there, and added its own behind them
	Before   Edit = '<' // the handler kept the lines that were there, and added its own before them
	Removed  Edit = '-' // the handler removed the field
	Overrode Edit = '!' // the handler replaced or removed a stricter Cache-Control, or a Content-Security-Policy
	Left     Edit = '=' // the handler left a Content-Type or ETag alone, and the cache must not make one up
)

// Removes reports whether the lines of outer middleware are removed.
func (e Edit) Removes() bool { return e == Removed || e == Overrode }

// Adds reports whether the lines of outer middleware stay beside those of the response.
func (e Edit) Adds() bool { return e == Added || e == Before }

// Edits are the edits of one response, by field name. Usually nil.
type Edits map[string]Edit

// Edit returns what was done to the field.
func (e Edits) Edit(name string) Edit { return e[name] }

// Apply changes dst, which has the fields of outer middleware, as the response with the stored
// fields did: it removes the fields that the response removed, and puts the fields of the response
// in place of those of dst, behind or before them. dst then shares values with fields.
func (e Edits) Apply(dst, fields http.Header) {
	for name, edit := range e {
		if edit.Removes() {
			delete(dst, name)
		}
	}
	for name, lines := range fields {
		switch e[name] {
		case Added:
			lines = slices.Concat(dst[name], lines)
		case Before:
			lines = slices.Concat(lines, dst[name])
		}
		dst[name] = lines
	}
}

// Prune forgets the edits of fields that the response does not have, and of those that belong to
// the connection.
func (e Edits) Prune(fields http.Header) {
	for name, edit := range e {
		if _, there := fields[name]; edit.Adds() && !there || isHopByHop(name) {
			delete(e, name)
		}
	}
}

// Texts returns e as texts in ascending order of names, each an edit and a name. It is nil if there
// are none.
func (e Edits) Texts() []string {
	if len(e) == 0 {
		return nil
	}
	texts := make([]string, 0, len(e))
	for name, edit := range e {
		texts = append(texts, string(rune(edit))+name)
	}
	slices.SortFunc(texts, func(a, b string) int { return strings.Compare(a[1:], b[1:]) })
	return texts
}

// ParseEdits is the reverse of Texts. ok is false for texts that Texts never returns.
func ParseEdits(texts []string) (e Edits, ok bool) {
	if len(texts) == 0 {
		return nil, true
	}
	e = make(Edits, len(texts))
	last := ""
	for _, text := range texts {
		if len(text) < 2 || text[1:] <= last {
			return nil, false
		}
		last = text[1:]
		switch edit := Edit(text[0]); edit {
		case Added, Before, Removed, Overrode, Left:
			e[last] = edit
		default:
			return nil, false
		}
	}
	return e, true
}

// UniteVary returns the lines of a Vary that names what outer and own name (RFC 9110, 12.5.5): the
// lines of outer that name a field which own does not, then own. The result may be own or outer
// itself. Neither is changed.
func UniteVary(outer, own []string) []string {
	if len(own) == 0 {
		return outer
	}
	missing := func(line string) bool {
		for member := range Members([]string{line}) {
			if !HasToken(own, member) {
				return true
			}
		}
		return false
	}
	var united []string
	for _, line := range outer {
		if missing(line) {
			united = append(united, line)
		}
	}
	if united == nil {
		return own
	}
	return append(united, own...)
}

// Restrictions are the directives of a response that keep it from being stored, shared or used
// without validation (RFC 9111, 5.2.2), in the forms that concern the whole response.
type Restrictions uint8

// The restrictions.
const (
	RestrictsStoring Restrictions = 1 << iota // no-store
	RestrictsSharing                          // private
	RestrictsReuse                            // no-cache
)

// RestrictionsOf returns the restrictions in the lines of a Cache-Control, or of a field in its
// form.
func RestrictionsOf(lines []string) (r Restrictions) {
	if len(lines) == 0 {
		return 0
	}
	cc := ParseCacheControl(lines)
	if cc.NoStore {
		r |= RestrictsStoring
	}
	if cc.Private && len(cc.PrivateFields) == 0 {
		r |= RestrictsSharing
	}
	if cc.NoCache && len(cc.NoCacheFields) == 0 {
		r |= RestrictsReuse
	}
	return r
}

// IsCacheControl reports whether the field has the form of Cache-Control (RFC 9213, 2.2).
func IsCacheControl(name string) bool {
	return name == "Cache-Control" || strings.HasSuffix(name, "-Cache-Control")
}
