package object

import (
	"slices"
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
)

// Choice says by what a handler may have chosen a response among representations of the same
// resource, beyond what its Vary says (RFC 9110, 12.1). The zero value is that of a response which
// is for every Accept and Accept-Language.
type Choice uint8

const (
	ByType     Choice = 1 << iota // by Accept: it has a media type
	ByLanguage                    // by Accept-Language: it has a language
	ByVary                        // it has a Vary, which says so
	told                          // type or language stand beside the header
)

// Representations are what a response is one of: by these it is told apart from others of the same
// selector.
const Representations = ByType | ByLanguage

// ChoiceOf returns by what a response was chosen that has this status, media type, language and
// Vary. What Vary names is told apart by that. The text of a redirect is read by nobody; and what
// http.Error and http.NotFound say, in plain text, is no representation.
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

// IsTold reports whether middleware outside has said the type or the language, so that the header
// lacks it.
func (o *Object) IsTold() bool { return o.choice&told != 0 }

// Representation returns the media type and the language of the object; "" for one that it does not
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

// Same reports whether two objects are the same response but for when it was made: status, header
// and body.
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

// timeless returns an iterator over the fields without those that say when the response was made,
// edits first.
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
