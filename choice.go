package edgecache

import (
	"crypto/sha256"
	"hash/maphash"
	"math/bits"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/l2"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// Handlers choose among representations by Accept and Accept-Language without saying Vary. A stored response answers a
// request whose Accept names its type, has no preference, or is the one that the response was made for. Any other runs
// the handler, whose answer is a variant of its own. The same goes for Accept-Language where the response has a language.
//
// Deviation: RFC 9111, 4.1 gives a response without Vary to every request.

// preferences are what a request says by which a handler may choose.
type preferences struct {
	accept, language     string // lines parted by line feeds
	acceptID, languageID uint32 // hashes of these; 0 if anything will do
	known                bool   // they have been read
}

// maxPreference is the longest Accept or Accept-Language that is read, in bytes over all lines. A longer one, which no
// browser sends, names nothing, and is compared as a whole: to read it once for each variant would be everybody's time.
const maxPreference = 1 << 10

// preferenceSeed makes the hashes unknown to clients, who could aim at another one's otherwise.
var preferenceSeed = maphash.MakeSeed()

// preferencesOf returns those of a request with the header h; f has had every name of it.
func preferencesOf(h http.Header, f *key.Fields) preferences {
	p := preferences{accept: lineOf(h, f, "Accept"), language: lineOf(h, f, "Accept-Language"), known: true}
	p.acceptID, p.languageID = preferenceID(p.accept), preferenceID(p.language)
	return p
}

// lineOf returns the lines of a field in one.
func lineOf(h http.Header, f *key.Fields, name string) string {
	lines, others := f.Preference(h, name)
	if len(others) > 0 {
		// CGI makes one of X-Custom and X_Custom. Whoever sends the latter is told apart from whoever sends the former.
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

// id is a hash of the preferences that count for a response which was chosen by c.
func (p *preferences) id(c object.Choice) (id uint32) {
	if c&object.ByType != 0 {
		id = p.acceptID
	}
	if c&object.ByLanguage != 0 {
		id ^= bits.RotateLeft32(p.languageID, 16)
	}
	return id
}

// wants returns how much these preferences want a representation; 0 if they do not name it.
func (p *preferences) wants(c object.Choice, mediaType, language string) int {
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

// madeFor is for whom a response was made: the highest bits are a hash of the preferences of its request.
type madeFor uint32

const (
	madeNamed madeFor = 1 << iota // the request named what it got, or took anything
	madeAlone                     // nothing shows that another request would get it, too
	madeOther                     // and up: the hash
)

func (p *preferences) made(c object.Choice, mediaType, language string, alone bool) (m madeFor) {
	if alone {
		return madeAlone | hashOnly(p.id(object.Representations))
	}
	if p.wants(c, mediaType, language) > 0 {
		m = madeNamed
	}
	return m | hashOnly(p.id(c))
}

func hashOnly(id uint32) madeFor { return madeFor(id) &^ (madeOther - 1) }

// hash is the hash of the preferences.
func (m madeFor) hash() madeFor { return m &^ (madeOther - 1) }

// isFor notes for whom v was made, before others see it. negotiated says that others are given something else: then a
// response that has no representation, such as a plain 404, is for the like of its own request only. So is always a 406.
func (v *variant) isFor(p *preferences, negotiated bool) {
	c := v.Choice() & object.Representations
	alone := negotiated && c == 0 || v.Status() == http.StatusNotAcceptable
	mediaType, language := "", ""
	if c != 0 {
		mediaType, language = v.Representation()
	}
	v.made = p.made(c, mediaType, language, alone)
}

// How well a response answers: not at all if its rank is 0.
const (
	rankNamed = 1 << 10 // it was made for a request that named it, which says more than what others fall back to
	rankEqual = 1 << 11 // it was made for the same preferences
	rankVary  = 1 << 12 // it says Vary, and not all do (RFC 9111, 4.1, last paragraph)
	rankBest  = rankVary | rankEqual
	// Below these is how much the request wants what it names, at most 1000.
)

// equals reports whether a response that was chosen by c and made for m was made for these preferences, or for all.
func (p *preferences) equals(c object.Choice, m madeFor) bool {
	if m&madeAlone != 0 {
		return m.hash() == hashOnly(p.id(object.Representations))
	}
	c &= object.Representations
	return c == 0 || m.hash() == hashOnly(p.id(c))
}

// rank tells how well v answers a request with these preferences.
func (v *variant) rank(p *preferences) (rank int) {
	c := v.Choice()
	switch {
	case p.equals(c, v.made):
		rank = rankEqual
	case v.made&madeAlone != 0:
		return 0
	case v.answersToo(hashOnly(p.id(c))):
		rank = rankEqual
	case p.id(c) == 0:
		rank = 1000
	default:
		mediaType, language := v.Representation()
		if rank = p.wants(c, mediaType, language); rank == 0 {
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

// supersedes reports whether v takes the place of o, a variant with the same selector; old is what v was made to replace.
func (v *variant) supersedes(o, old *variant) bool {
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

// A handler that takes no notice of Accept gives the same response to all. Such a response is kept once: what is stored
// remembers for which further preferences the handler has given the same.
const (
	maxAlso      = 16  // preferences that one response remembers; beyond them the least used goes
	alsoOverhead = 192 // of a response that remembers any, in bytes
	alsoShare    = 64  // all together take no more than this part of MaxBytes; it is not part of that
)

// also are further preferences that a response answers.
type also [maxAlso]struct {
	hash atomic.Uint32
	used atomic.Uint32
}

// answersToo reports whether the handler has given the same as v to a request with these preferences.
func (v *variant) answersToo(hash madeFor) bool {
	t := v.failures.Load()
	if t == nil {
		return false
	}
	list := t.also.Load()
	if list == nil || hash == 0 {
		return false
	}
	for i := range list {
		if entry := &list[i]; entry.hash.Load() == uint32(hash) {
			if n := entry.used.Load(); n < 1024 {
				entry.used.Store(n + 1)
			}
			return true
		}
	}
	return false
}

// repeats looks for a stored response that v, which answers a request that nothing stored did, only repeats, and has
// that remember it. It reports whether there is one; then v need not be stored.
func (e *Edge) repeats(k []byte, v *variant, req *rules.Request, now time.Time) (found bool) {
	hash := v.made.hash()
	if v.made&madeAlone != 0 || hash == 0 || v.Choice()&object.Representations == 0 {
		return false
	}
	e.update(k, v.proxiedHosts(), v.tagNames(), v.gen, func(r resource) (resource, resource) {
		selector := v.Selector()
		for o := range r.variants {
			if o.made&madeAlone != 0 || o.purged() || !o.Terms.Fits(req) || o.ttl(now) <= 0 || o.Selector() != selector || !o.Same(&v.Object) {
				continue
			}
			if found = e.remember(o, uint32(hash)); found {
				break
			}
		}
		return r, r
	})
	return found
}

// remember has o answer further preferences. It reports false if there is no room for that. It is called under a lock.
func (e *Edge) remember(o *variant, hash uint32) bool {
	t := o.withFailures()
	list := t.also.Load()
	if list == nil {
		if (e.remembering.Add(1))*alsoOverhead > e.config.MaxBytes/alsoShare {
			e.remembering.Add(-1)
			return false
		}
		list = new(also)
		t.also.Store(list)
	}
	least := 0
	for i := range list {
		switch entry := &list[i]; {
		case entry.hash.Load() == hash:
			return true
		case entry.hash.Load() == 0:
			entry.hash.Store(hash)
			return true
		case entry.used.Load() < list[least].used.Load():
			least = i
		}
	}
	list[least].hash.Store(0) // so that nobody takes the uses of one for those of the other
	list[least].used.Store(0)
	list[least].hash.Store(hash)
	return true
}

// remembers reports whether v has further preferences.
func (v *variant) remembers() bool {
	t := v.failures.Load()
	return t != nil && t.also.Load() != nil
}

// choose notes by what p was chosen. h is the whole header of the answer, with what middleware outside has said.
func (p *response) choose(h http.Header) {
	first := func(name string) string {
		if lines := h[name]; len(lines) > 0 {
			p.told = p.told || len(p.header[name]) == 0
			return lines[0]
		}
		return ""
	}
	p.typeOf, p.language = first("Content-Type"), first("Content-Language")
	p.choice = object.ChoiceOf(p.status, p.typeOf, p.language, p.meta.Vary)
	if p.typeOf == "" && len(h["Content-Encoding"]) == 0 {
		// The type will be what the body looks like.
		p.choice = object.ChoiceOf(p.status, "unknown/unknown", p.language, p.meta.Vary)
	}
}

// answers reports whether p, which is being made, is for a request with other preferences, too.
func (p *response) answers(q *preferences) bool {
	if p.status == http.StatusNotAcceptable {
		return q.id(object.Representations) == p.prefers.id(object.Representations)
	}
	return q.id(p.choice) == p.prefers.id(p.choice) || q.wants(p.choice, p.typeOf, p.language) > 0
}

// stored says, for a second tier, which representation v is, and for which preferences it was made.
func (p *preferences) stored(v *variant) (f l2.Representation) {
	c := v.Choice() & object.Representations
	if c == 0 {
		return f
	}
	mediaType, language := v.Representation()
	text := ""
	if c&object.ByType == 0 {
		mediaType = ""
	} else if p.acceptID != 0 {
		text = p.accept
	}
	if c&object.ByLanguage == 0 {
		language = ""
	} else if p.languageID != 0 {
		text += "\x00" + p.language
	}
	f.What = field.OneLine(mediaType) + "\n" + field.OneLine(language)
	if text != "" {
		sum := sha256.Sum256([]byte(text)) // of the same length and meaning in each process
		f.For = string(sum[:16])
	}
	return f
}

// takesStored reports whether a response of a second tier is for a request with these preferences.
func (p *preferences) takesStored(f l2.Representation) bool {
	if f.What == "" {
		return true
	}
	var c object.Choice
	text := ""
	mediaType, language, _ := strings.Cut(f.What, "\n")
	if mediaType != "" {
		c |= object.ByType
		if p.acceptID != 0 {
			text = p.accept
		}
	}
	if language != "" {
		c |= object.ByLanguage
		if p.languageID != 0 {
			text += "\x00" + p.language
		}
	}
	if text == "" || p.wants(c, mediaType, language) > 0 {
		return true
	}
	sum := sha256.Sum256([]byte(text))
	return string(sum[:16]) == f.For
}

// byPreference returns vary and the fields by which a handler may choose, for the name of a flight.
func byPreference(vary []string) []string {
	return append(vary[:len(vary):len(vary)], "Accept", "Accept-Language")
}
