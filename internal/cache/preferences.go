package cache

import (
	"crypto/sha256"
	"hash/maphash"
	"math/bits"
	"net/http"
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/object"
)

// Handlers choose among representations by Accept and Accept-Language without saying Vary. A stored
// response answers a request whose Accept names its type, has no preference, or is the Accept that
// the response was made for. Any other request runs the handler, and its response becomes a variant
// of its own. The same goes for Accept-Language if the response has a language.
//
// Deviation: RFC 9111, 4.1 gives a response without Vary to every request.

// Preferences are what a request says about representations, by which a handler may choose.
type Preferences struct {
	accept, language     string // their lines, separated by line feeds
	acceptID, languageID uint32 // hashes of these; 0 if anything will do
	known                bool   // the header was read
}

// maxPreference is the longest Accept or Accept-Language that is parsed, in bytes over all lines.
// No browser sends a longer one. A longer one names nothing and is only compared as a whole:
// parsing it for each variant would cost too much time.
const maxPreference = 1 << 10

// preferenceSeed makes the hashes unknown to clients, who could otherwise aim at the hash of
// another client.
var preferenceSeed = maphash.MakeSeed()

// PreferencesOf returns the preferences of a request with the header h. f has seen every name in h.
func PreferencesOf(h http.Header, f *key.Fields) Preferences {
	p := Preferences{accept: lineOf(h, f, "Accept"), language: lineOf(h, f, "Accept-Language"), known: true}
	p.acceptID, p.languageID = preferenceID(p.accept), preferenceID(p.language)
	return p
}

// lineOf returns the lines of a field as one.
func lineOf(h http.Header, f *key.Fields, name string) string {
	lines, others := f.Preference(h, name)
	if len(others) > 0 {
		// CGI makes one variable of X-Custom and X_Custom. A request with the latter must not be taken
		// for one with the former.
		return strings.Join(lines, "\n") + "\n\n" + strings.Join(others, "\n")
	}
	switch len(lines) {
	case 0:
		return ""
	case 1:
		return lines[0]
	}
	return strings.Join(lines, "\n")
}

func preferenceID(line string) uint32 {
	if len(line) <= maxPreference && field.TakesAnything(line) {
		return 0
	}
	return max(uint32(madeOther), uint32(maphash.String(preferenceSeed, line)))
}

// Hash is a hash of the preferences that matter for a response chosen by c.
func (p *Preferences) Hash(c object.Choice) (id uint32) {
	if c&object.ByType != 0 {
		id = p.acceptID
	}
	if c&object.ByLanguage != 0 {
		id ^= bits.RotateLeft32(p.languageID, 16)
	}
	return id
}

// Wants returns how much a request with these preferences wants a representation, from 1 to 1000; 0
// if they do not name it.
func (p *Preferences) Wants(c object.Choice, mediaType, language string) int {
	byType, byLanguage := 1000, 1000
	if c&object.ByType != 0 && p.acceptID != 0 {
		if len(p.accept) > maxPreference {
			return 0
		}
		byType = field.TypeWeight(p.accept, mediaType)
	}
	if c&object.ByLanguage != 0 && p.languageID != 0 {
		if len(p.language) > maxPreference {
			return 0
		}
		byLanguage = field.LanguageWeight(p.language, language)
	}
	if byType == 0 || byLanguage == 0 {
		return 0
	}
	return max(1, byType*byLanguage/1000)
}

// madeFor says for which requests a response was made. Its highest bits are a hash of the
// preferences of its request.
type madeFor uint32

const (
	madeNamed madeFor = 1 << iota // the request named what it got, or accepted anything
	madeAlone                     // nothing shows that another request would get it, too
	madeOther                     // and up: the hash
)

func (p *Preferences) made(c object.Choice, mediaType, language string, alone bool) (m madeFor) {
	if alone {
		return madeAlone | hashOnly(p.Hash(object.Representations))
	}
	if p.Wants(c, mediaType, language) > 0 {
		m = madeNamed
	}
	return m | hashOnly(p.Hash(c))
}

func hashOnly(id uint32) madeFor { return madeFor(id) &^ (madeOther - 1) }

// hash returns the hash of the preferences.
func (m madeFor) hash() madeFor { return m &^ (madeOther - 1) }

// SetMadeFor notes for which requests v was made. It is called before other goroutines see v.
//
// negotiated says that other requests get another representation. Then a response without a
// representation, such as a plain 404, is only for requests with the same preferences. The same
// always holds for a 406.
func (v *Variant) SetMadeFor(p *Preferences, negotiated bool) {
	c := v.Choice() & object.Representations
	alone := negotiated && c == 0 || v.Status() == http.StatusNotAcceptable
	mediaType, language := "", ""
	if c != 0 {
		mediaType, language = v.Representation()
	}
	v.made = p.made(c, mediaType, language, alone)
}

// How well a response answers. A rank of 0 is not at all.
const (
	rankNamed = 1 << 10 // made for a request that named it, so it is no fallback
	rankEqual = 1 << 11 // made for the same preferences
	rankVary  = 1 << 12 // it says Vary, and not all variants do (RFC 9111, 4.1, last paragraph)
	rankBest  = rankVary | rankEqual
	// The bits below are how much the request wants the representation, at most 1000.
)

// equals reports whether a response that was chosen by c and made for m was made for these
// preferences, or for all.
func (p *Preferences) equals(c object.Choice, m madeFor) bool {
	if m&madeAlone != 0 {
		return m.hash() == hashOnly(p.Hash(object.Representations))
	}
	c &= object.Representations
	return c == 0 || m.hash() == hashOnly(p.Hash(c))
}

// Rank returns how well v answers a request with these preferences.
func (v *Variant) Rank(p *Preferences) (rank int) {
	c := v.Choice()
	switch {
	case p.equals(c, v.made):
		rank = rankEqual
	case v.made&madeAlone != 0:
		return 0
	case v.answersToo(hashOnly(p.Hash(c))):
		rank = rankEqual
	case p.Hash(c) == 0:
		rank = 1000
	default:
		mediaType, language := v.Representation()
		if rank = p.Wants(c, mediaType, language); rank == 0 {
			return 0
		}
	}
	if v.made&madeNamed != 0 {
		rank |= rankNamed
	}
	if c&object.ByVary != 0 {
		rank |= rankVary
	}
	return rank
}

// supersedes reports whether v takes the place of o, a variant with the same selector. old is the
// variant that v was made to replace.
func (v *Variant) supersedes(o, old *Variant) bool {
	c, d := v.Choice()&object.Representations, o.Choice()&object.Representations
	switch {
	case (v.made|o.made)&madeAlone != 0:
		return v.made == o.made
	case c == 0 || d == 0 || c == d && v.made.hash() == o.made.hash():
		return true
	case c != d || o != old && v.made&o.made&madeNamed == 0:
		return false
	}
	typeV, languageV := v.Representation()
	typeO, languageO := o.Representation()
	return typeV == typeO && languageV == languageO
}

// Representation says which representation v is, and for which preferences it was made, in a form
// for a store that other processes read. Both are "" for a response that was not chosen.
func (p *Preferences) Representation(v *Variant) (what, made string) {
	c := v.Choice() & object.Representations
	if c == 0 {
		return "", ""
	}
	mediaType, language := v.Representation()
	if c&object.ByType == 0 {
		mediaType = ""
	}
	if c&object.ByLanguage == 0 {
		language = ""
	}
	what = field.OneLine(mediaType) + "\n" + field.OneLine(language)
	return what, p.digest(c)
}

// Takes reports whether a response with such a representation, made for such preferences, may
// answer a request with p.
func (p *Preferences) Takes(what, made string) bool {
	if what == "" {
		return true
	}
	var c object.Choice
	mediaType, language, _ := strings.Cut(what, "\n")
	if mediaType != "" {
		c |= object.ByType
	}
	if language != "" {
		c |= object.ByLanguage
	}
	digest := p.digest(c)
	return digest == "" || p.Wants(c, mediaType, language) > 0 || digest == made
}

// digest is a hash of the preferences that matter for a response chosen by c. It has the same
// length and meaning in every process. It is "" if anything will do.
func (p *Preferences) digest(c object.Choice) string {
	text := ""
	if c&object.ByType != 0 && p.acceptID != 0 {
		text = p.accept
	}
	if c&object.ByLanguage != 0 && p.languageID != 0 {
		text += "\x00" + p.language
	}
	if text == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(text))
	return string(sum[:16])
}
