package object

import (
	"slices"
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
)

// Choice says by what a handler may have chosen a response among the representations of a resource,
// beyond its Vary (RFC 9110, 12.1). The zero value is for a response that serves every Accept and
// Accept-Language.
type Choice uint8

const (
	ByType     Choice = 1 << iota // by Accept: it has a media type
	ByLanguage                    // by Accept-Language: it has a language
	ByVary                        // it has a Vary, which says so
	told                          // type or language are kept beside the header
)

// Representations are the representations of one resource. They tell apart responses with the same
// selector.
const Representations = ByType | ByLanguage

// ChoiceOf returns by what a response with this status, media type, language and Vary was chosen.
// The fields in Vary tell it apart already. The text of a redirect does not count, since it is not
// read, nor does the plain text of http.Error and http.NotFound.
func ChoiceOf(status int, mediaType, language string, vary []string) (c Choice) {
	if len(vary) > 0 {
		c |= ByVary
	}
	if status >= 300 && status <= 399 {
		return c
	}
	name, _, _ := strings.Cut(mediaType, ";")
	name = field.TrimBlanks(name)
	if status >= 400 && (name == "" || strings.EqualFold(name, "text/plain")) {
		return c
	}
	if strings.IndexByte(name, '/') > 0 && !slices.Contains(vary, "Accept") {
		c |= ByType
	}
	if language != "" && !slices.Contains(vary, "Accept-Language") {
		c |= ByLanguage
	}
	return c
}

// Choice says by what the handler may have chosen the object.
func (o *Object) Choice() Choice { return o.choice &^ told }

// IsTold reports whether outer middleware set the type or the language, so that the header lacks
// it.
func (o *Object) IsTold() bool { return o.choice&told != 0 }

// Representation returns the media type and the language of the object, "" for one that it does not
// have.
func (o *Object) Representation() (mediaType, language string) {
	if o.choice&told != 0 {
		r := reader{o.text}
		for range 3 {
			_ = r.text() // scope, variant, names of Vary
		}
		mediaType, language = r.text(), r.text()
	}
	for r := o.Header().reader(); r.rest != ""; {
		name, n := r.name(), r.number()
		if n > 0 && name == "Content-Language" {
			language = r.text()
			n--
		} else if n > 0 && name == "Content-Type" {
			mediaType = r.text()
			n--
		}
		if name >= "Content-Type" {
			break // fields come in order
		}
		r.skip(n)
	}
	return mediaType, language
}

// Same reports whether two objects are the same response, except for when it was made: status,
// header and body.
func (o *Object) Same(other *Object) bool {
	if o.status != other.status || o.choice != other.choice || !o.Body.Equal(other.Body) {
		return false
	}
	a, b := o.timeless(), other.timeless()
	for {
		nameA, linesA, okA := a()
		nameB, linesB, okB := b()
		if !okA || !okB || nameA != nameB || !slices.Equal(linesA, linesB) {
			return !okA && !okB
		}
	}
}

// timeless returns an iterator over the fields that do not say when the response was made, edits
// first.
func (o *Object) timeless() func() (name string, lines []string, ok bool) {
	h := o.Header()
	edits := h.Edits().Texts()
	r := h.reader()
	return func() (string, []string, bool) {
		if edits != nil {
			lines := edits
			edits = nil
			return "", lines, true
		}
		for r.rest != "" {
			name, n := r.name(), r.number()
			if name == "Date" || name == "Age" || name == "Expires" {
				r.skip(n)
				continue
			}
			return name, r.texts(nil, n), true
		}
		return "", nil, false
	}
}
