package engine

import (
	"math"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/flight"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// response is a response that may be stored, while its body still grows. It is immutable apart from
// the body.
type response struct {
	status     int
	header     http.Header // what the handler set, hop-by-hop fields removed
	edits      field.Edits // what it did to the fields of middleware outside
	groups     []string    // the lines of Cache-Groups that count
	meta       rules.Meta
	body       *flight.Body
	limit      int64 // how much of it can be stored, in bytes
	declared   int64 // its length, or -1
	scope      string
	variant    string
	prefers    *cache.Preferences // of the request that it is rendered for
	choice     object.Choice
	typeOf     string // media type; "" if not known yet
	language   string
	setOutside bool // middleware outside has set the type or the language
	encodable  bool // the stored response may be encoded, so it varies on Accept-Encoding
}

// want is what of a response a client gets.
type want uint8

const (
	wantsAll     want = iota // as it comes
	wantsNothing             // 304
	wantsPart                // one range of a body of known length, as it comes
	wantsWhole               // it depends on the whole body: a range of it, or whether the client has it already
)

// wanted evaluates the conditions and ranges of the client as far as the header allows.
func (p *response) wanted(r *http.Request, req *rules.Request, now time.Time) (want, field.Range) {
	if req.Conditional {
		unmodified := p.meta.Condition(r.Header, p.status, now) == rules.Unmodified
		if p.encodable {
			_, unmodified = p.confirmed(r, req, now)
		}
		if unmodified {
			return wantsNothing, field.Range{}
		}
		if p.status == http.StatusOK && !p.meta.Has() && p.asksForMade(r.Header) {
			return wantsWhole, field.Range{}
		}
	}
	if req.Range && p.status == http.StatusOK && !p.wantsWhole(r, req) {
		size := p.declared
		if size < 0 {
			size = math.MaxInt64 // any range may turn out to lie inside
		}
		ranges, outcome := p.meta.Ranges(r.Header, p.status, size, now)
		switch {
		case outcome == rules.Full:
		case p.declared < 0 && len(ranges) == 1 && ranges[0] == (field.Range{Length: math.MaxInt64}):
			// Browsers ask for all of a media file in this way. They get it as it comes, since its size is
			// not known.
		case outcome == rules.Partial && p.declared >= 0 && len(ranges) == 1:
			return wantsPart, ranges[0]
		default:
			return wantsWhole, field.Range{}
		}
	}
	return wantsAll, field.Range{}
}

// asksForMade reports whether If-None-Match has an entity tag that this cache may have made.
func (p *response) asksForMade(h http.Header) bool {
	for tag := range field.ETags(h["If-None-Match"]) {
		if p.encodable {
			tag = coding.Plain(tag)
		}
		if object.IsMade(tag) {
			return true
		}
	}
	return false
}

// sealed returns the stored form of a response whose body has ended. If old has the same bytes,
// they are kept, so that they are not in memory twice.
func (p *response) sealed(body object.Body, old *cache.Variant) object.Object {
	if old != nil && old.Body.Equal(body) {
		body = old.Body
	}
	d := object.Draft{Status: p.status, Header: p.header, Edits: p.edits, Body: body, Meta: p.meta, Scope: p.scope, Variant: p.variant}
	if p.setOutside {
		d.Type, d.Language = p.typeOf, p.language
	}
	return d.Seal()
}

// choose notes by what p was chosen. h is the whole header of the response, with what middleware
// outside has set.
func (p *response) choose(h http.Header) {
	first := func(name string) string {
		if lines := h[name]; len(lines) > 0 {
			p.setOutside = p.setOutside || len(p.header[name]) == 0
			return lines[0]
		}
		return ""
	}
	p.typeOf, p.language = first("Content-Type"), first("Content-Language")
	p.choice = object.ChoiceOf(p.status, p.typeOf, p.language, p.meta.Vary)
	if p.typeOf == "" && len(h["Content-Encoding"]) == 0 {
		// net/http will guess the type from the body.
		p.choice = object.ChoiceOf(p.status, "unknown/unknown", p.language, p.meta.Vary)
	}
}

// answers reports whether p, which is in progress, also answers a request with other preferences.
func (p *response) answers(q *cache.Preferences) bool {
	if p.status == http.StatusNotAcceptable {
		return q.Hash(object.Representations) == p.prefers.Hash(object.Representations)
	}
	return q.Hash(p.choice) == p.prefers.Hash(p.choice) || q.Wants(p.choice, p.typeOf, p.language) > 0
}

// byPreference returns vary and the fields by which a handler may choose, for the name of a flight.
func byPreference(vary []string) []string {
	return append(vary[:len(vary):len(vary)], "Accept", "Accept-Language")
}
