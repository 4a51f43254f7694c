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

// response is an answer that may be stored, while its body still grows. It is immutable but for the body.
type response struct {
	status    int
	header    http.Header // what the handler set, hop-by-hop fields removed
	edits     field.Edits // what it did to the fields of middleware outside
	groups    []string    // the lines of Cache-Groups that count
	meta      rules.Meta
	body      *flight.Body
	limit     int64 // what of it can be stored, in bytes
	declared  int64 // its length, or -1
	scope     string
	variant   string
	prefers   *cache.Preferences // of the request that it is made for
	choice    object.Choice
	typeOf    string // media type, "" if it is not known yet
	language  string
	told      bool // middleware outside has said one of these
	encodable bool // the stored page may be coded, so the answer varies on Accept-Encoding
}

// want is what of a page a client is to get.
type want uint8

const (
	wantsAll     want = iota // as it comes
	wantsNothing             // 304
	wantsPart                // one range of a body of known length, as it comes
	wantsWhole               // what the whole body will tell: a range of it, or whether it is the one that the client has
)

// wanted evaluates the client's conditions and ranges as far as the header allows.
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
			size = math.MaxInt64 // every range may turn out to lie inside
		}
		ranges, outcome := p.meta.Ranges(r.Header, p.status, size, now)
		switch {
		case outcome == rules.Full:
		case p.declared < 0 && len(ranges) == 1 && ranges[0] == (field.Range{Length: math.MaxInt64}):
			// All of it, which browsers ask of media, as it comes: nobody knows how much that is.
		case outcome == rules.Partial && p.declared >= 0 && len(ranges) == 1:
			return wantsPart, ranges[0]
		default:
			return wantsWhole, field.Range{}
		}
	}
	return wantsAll, field.Range{}
}

// asksForMade reports whether If-None-Match names a tag that this cache may have made.
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

// sealed returns the stored form of a page whose body has ended. If old has the same bytes they are kept, so that they are not in memory twice.
func (p *response) sealed(body object.Body, old *cache.Variant) object.Object {
	if old != nil && old.Body.Equal(body) {
		body = old.Body
	}
	d := object.Draft{Status: p.status, Header: p.header, Edits: p.edits, Body: body, Meta: p.meta, Scope: p.scope, Variant: p.variant}
	if p.told {
		d.Type, d.Language = p.typeOf, p.language
	}
	return d.Seal()
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
