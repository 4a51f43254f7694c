package engine

import (
	"net/http"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// encodedRoom is how many values an encoding adds to the stored header: Content-Encoding, ETag and
// Content-Length, and Vary with one line that is there already.
const encodedRoom = 5

// negotiation says which encoding of a response suits a request (RFC 9110, 12.5.3). The zero value
// is for a response that must not be encoded.
type negotiation struct {
	on      bool
	accepts coding.Weights
	chosen  coding.Coding // the best that is made; for a 304 the one that the client has
	wanted  coding.Coding // the best of all
}

// encodedOutside reports whether h, the header that middleware outside puts on every response,
// keeps v from being encoded.
func (e *Engine) encodedOutside(h http.Header, v *cache.Variant) bool {
	return len(h) > 0 && (e.forbidsEncoding(h) || len(h["Etag"]) > 0 && v.Tag().Opaque == "")
}

// negotiate chooses an encoding of v, which may be encoded.
func negotiate(r *http.Request, req *rules.Request, v *cache.Variant) negotiation {
	n := negotiation{on: true, accepts: accepted(r, req)}
	n.chosen, n.wanted = v.Encodings().Best(&n.accepts)
	return n
}

// reuses reports whether the response was rendered for an earlier request. Only then is it worth
// encoding: a response that is asked for once costs no more than without a cache.
func (a *cacheStatus) reuses() bool { return a.status != Miss && a.status != Expired && !a.collapsed }

// accepted returns what the client accepts. With no-transform it wants what the handler made (RFC
// 9111, 5.2.1.6). A client that does not accept identity gets it if there is nothing else: a server
// may disregard the field (RFC 9110, 12.4.1), and that is better than an error.
func accepted(r *http.Request, req *rules.Request) coding.Weights {
	if req.CC.NoTransform {
		return coding.Accepted(nil)
	}
	return coding.Accepted(r.Header["Accept-Encoding"])
}

// outcomeOf evaluates the conditions and ranges of the request against what is stored.
func outcomeOf(v *cache.Variant, h http.Header, req *rules.Request, n *negotiation, now time.Time) ([]field.Range, rules.Outcome) {
	if req.Conditional {
		if n.on {
			validators := v.Validators()
			if held, ok := confirmed(&validators, h, n, now); ok {
				n.chosen = held
				return nil, rules.Unmodified
			}
		} else if v.Condition(h, now) == rules.Unmodified {
			return nil, rules.Unmodified
		}
	}
	if req.Range && !req.Head && v.Status() == http.StatusOK && !(n.on && n.wantsWhole(h)) {
		return v.Ranges(h, now)
	}
	return nil, rules.Full
}

// confirmed evaluates If-None-Match and If-Modified-Since for a response that may be encoded. It
// returns the encoding that the client has, so that the 304 carries its tag: by that a cache knows
// which of its responses is meant (RFC 9111, 4.3.4).
//
// A tag counts if it names an encoding that this request accepts, made here or not: that encoding
// is as good a response as the chosen one, and the client has it. The tag of an encoding that the
// request does not accept comes from a cache whose client cannot decode what the cache has; to
// confirm it would be to hand it out (RFC 9110, 13.1.2).
func confirmed(validators *rules.Validators, h http.Header, n *negotiation, now time.Time) (held coding.Coding, ok bool) {
	lines := h["If-None-Match"]
	if len(lines) == 0 || len(lines) == 1 && field.TrimBlanks(lines[0]) == "*" {
		return n.chosen, validators.Condition(h, http.StatusOK, now) == rules.Unmodified
	}
	for tag := range field.ETags(lines) {
		switch c, of := coding.Of(tag, validators.ETag); {
		case !of || n.accepts[c] == 0:
		case c == n.chosen:
			return c, true
		case !ok:
			held, ok = c, true
		}
	}
	return held, ok
}

// wantsWhole reports whether Range is ignored, since parts are always of identity. A client that
// refuses identity gets no parts. One that asks with a date may hold the beginning of any encoding,
// since all have the same date (RFC 9110, 13.1.5 wants a strong validator).
func (n *negotiation) wantsWhole(h http.Header) bool {
	if n.accepts[coding.Identity] == 0 {
		return true
	}
	lines := h["If-Range"]
	return len(lines) > 0 && !strings.Contains(lines[0], `"`)
}

// describe puts into h what separates the encoding that is sent from the others. room is a slice to
// cut values from.
func (n *negotiation) describe(h http.Header, v *cache.Variant, outcome rules.Outcome, room []string) []string {
	put := func(name, value string) {
		room = append(room, value)
		h[name] = room[len(room)-1 : len(room) : len(room)]
	}
	if before := h["Vary"]; !coding.Varies(before) {
		start := len(room)
		room = append(append(room, before...), "Accept-Encoding")
		h["Vary"] = room[start:len(room):len(room)]
	}
	if n.chosen == coding.Identity {
		return room
	}
	encoded := v.Encodings().Get(n.chosen)
	switch {
	case outcome == rules.Unmodified && encoded == nil:
		// The encoding is not made, so the client can only have it by its tag.
		put("Etag", coding.Tag(v.Tag(), n.chosen).String())
	case outcome == rules.Unmodified || outcome == rules.Full:
		if encoded.ETag != "" {
			put("Etag", encoded.ETag)
		}
		put("Content-Encoding", n.chosen.String()) // which a 304 drops
		put("Content-Length", encoded.Length)
	}
	return room
}

// describe does the same for a response in progress, which is always identity. For a 304 it finds
// the tag of the encoding that the client has.
func (p *response) describe(h http.Header, r *http.Request, req *rules.Request, unmodified bool, now time.Time) {
	if !p.encodable {
		return
	}
	h["Vary"] = coding.AddVary(h["Vary"])
	if !unmodified {
		return
	}
	if c, ok := p.confirmed(r, req, now); ok && c != coding.Identity {
		h["Etag"] = []string{coding.Tag(p.meta.ETag, c).String()}
	}
}

// confirmed evaluates the conditions of a request for a response in progress that may be encoded.
func (p *response) confirmed(r *http.Request, req *rules.Request, now time.Time) (coding.Coding, bool) {
	n := negotiation{on: true, accepts: accepted(r, req)}
	return confirmed(&p.meta.Validators, r.Header, &n, now)
}

// wantsWhole reports whether Range is ignored for a response in progress.
func (p *response) wantsWhole(r *http.Request, req *rules.Request) bool {
	n := negotiation{accepts: accepted(r, req)}
	return p.encodable && n.wantsWhole(r.Header)
}
