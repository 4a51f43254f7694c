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

// encodedRoom is how many values a coding adds to the stored header: Content-Encoding, ETag and Content-Length, and Vary with one line that is there already.
const encodedRoom = 5

// negotiation is which form of a page that may be coded suits a request (RFC 9110, 12.5.3). The zero value is that of a page that may not.
type negotiation struct {
	on      bool
	accepts coding.Weights
	chosen  coding.Coding // the best that is there; of a 304 the one that the client has
	wanted  coding.Coding // the best of all
}

// encodedOutside reports whether h, which is what middleware outside says about every answer, keeps v from being coded.
func (e *Engine) encodedOutside(h http.Header, v *cache.Variant) bool {
	return len(h) > 0 && (e.forbidsEncoding(h) || len(h["Etag"]) > 0 && v.Tag().Opaque == "")
}

// negotiate chooses a form of v, which may be coded.
func negotiate(r *http.Request, req *rules.Request, v *cache.Variant) negotiation {
	n := negotiation{on: true, accepts: accepted(r, req)}
	n.chosen, n.wanted = v.Encodings().Best(&n.accepts)
	return n
}

// reuses reports whether the answer is made of what an earlier request has left. Only then it is worth to code the page: those that are asked for once cost no more than without.
func (a *cacheStatus) reuses() bool { return a.status != Miss && a.status != Expired && !a.collapsed }

// accepted is what the client accepts. With no-transform it wants what the handler made (RFC 9111, 5.2.1.6). If it does not accept identity, and that is all there is, it gets identity:
// to disregard the field is allowed (RFC 9110, 12.4.1), and better than an error page.
func accepted(r *http.Request, req *rules.Request) coding.Weights {
	if req.CC.NoTransform {
		return coding.Accepted(nil)
	}
	return coding.Accepted(r.Header["Accept-Encoding"])
}

// outcomeOf evaluates the request's conditions and ranges against what is stored.
func outcomeOf(v *cache.Variant, h http.Header, req *rules.Request, n *negotiation, now time.Time) ([]field.Range, rules.Outcome) {
	if req.Conditional {
		if n.on {
			page := v.Validators()
			if held, ok := confirmed(&page, h, n, now); ok {
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

// confirmed evaluates If-None-Match and If-Modified-Since for a page that may be coded, and returns the form that the client has, so that the 304 carries the tag of that:
// a cache finds by it which of its responses is meant (RFC 9111, 4.3.4).
//
// A tag counts if it is that of a form that this request accepts, made here or not yet: that form is as good an answer as the one chosen, and the client has it. A tag of a form that it
// does not accept comes from a cache that asks on behalf of a client which cannot decode what the cache has; to confirm it would be to hand it out (RFC 9110, 13.1.2).
func confirmed(page *rules.Validators, h http.Header, n *negotiation, now time.Time) (held coding.Coding, ok bool) {
	lines := h["If-None-Match"]
	if len(lines) == 0 || len(lines) == 1 && field.TrimBlanks(lines[0]) == "*" {
		return n.chosen, page.Condition(h, http.StatusOK, now) == rules.Unmodified
	}
	for tag := range field.ETags(lines) {
		switch c, of := coding.Of(tag, page.ETag); {
		case !of || n.accepts[c] == 0:
		case c == n.chosen:
			return c, true
		case !ok:
			held, ok = c, true
		}
	}
	return held, ok
}

// wantsWhole reports whether Range does not count: parts are of identity. A client that refuses that gets none, and one that asks by date may hold the beginning of any form,
// since all have the same (RFC 9110, 13.1.5 asks for a validator that is strong).
func (n *negotiation) wantsWhole(h http.Header) bool {
	if n.accepts[coding.Identity] == 0 {
		return true
	}
	lines := h["If-Range"]
	return len(lines) > 0 && !strings.Contains(lines[0], `"`)
}

// describe puts into h what tells the form that is sent from the others. room is a slice to cut values from.
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
	f := v.Encodings().Get(n.chosen)
	switch {
	case outcome == rules.Unmodified && f == nil:
		put("Etag", coding.Tag(v.Tag(), n.chosen).String()) // only by its tag can it be the one that the client has
	case outcome == rules.Unmodified || outcome == rules.Full:
		if f.ETag != "" {
			put("Etag", f.ETag)
		}
		put("Content-Encoding", n.chosen.String()) // which a 304 drops
		put("Content-Length", f.Length)
	}
	return room
}

// describe does the same for a page that is being made, which is always identity: for a 304 it finds the tag of the form that the client has.
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

// confirmed is confirmed for a page that may be coded and is being made.
func (p *response) confirmed(r *http.Request, req *rules.Request, now time.Time) (coding.Coding, bool) {
	n := negotiation{on: true, accepts: accepted(r, req)}
	return confirmed(&p.meta.Validators, r.Header, &n, now)
}

func (p *response) wantsWhole(r *http.Request, req *rules.Request) bool {
	n := negotiation{accepts: accepted(r, req)}
	return p.encodable && n.wantsWhole(r.Header)
}
