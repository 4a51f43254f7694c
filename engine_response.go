package edgecache

import (
	"net/http"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/object"
)

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
