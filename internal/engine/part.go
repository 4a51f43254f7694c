package engine

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/partial"
	"github.com/edgecache-go/edgecache/internal/record"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// A fetch is a plain GET, so that the whole response can be stored, and only its header tells whether
// that may be. Of what may not be stored the client gets its range all the same: here it is cut from
// what the handler writes, and from the next request on, for as long as the refusal is remembered, the
// handler sees Range itself.

// passPart answers the client's Range from a response with the given header that is passed on, for
// that reason (RFC 9110, 13.1.5 and 14.2). It reports false where all of the response is the answer,
// which is always right.
func (f *fetch) passPart(status int, header http.Header, reason Reason) bool {
	size := f.Declared()
	if status != http.StatusOK || size < 0 || !divisible(header) || reason == rules.Unreachable || reason == rules.Aborted {
		return false
	}
	v := rules.ValidatorsOf(header, f.now)
	if !v.Has() {
		return false // the client could not tell whether parts belong together
	}
	e := f.handler.engine
	ranges, outcome := v.Ranges(f.r.Header, status, size, f.now)
	switch {
	case outcome == rules.Unsatisfiable:
		f.partHeader(reason)
		f.End()
		f.stop(record.ErrEnough)
		unsatisfiable(f.w, size)
	case outcome != rules.Partial || len(ranges) > 1:
		return false
	case ranges[0].Start >= e.cache.MaxBody() && e.cache.Refused(f.key, f.scope, f.class, f.now) != rules.None:
		// What comes before would be made for nothing. The handler knows a quicker way, if there is one, and
		// is asked at once from the next request on.
		f.next, f.plain = askAgain, false
		f.End()
		f.stop(record.ErrEnough)
	default:
		part := ranges[0]
		h := f.partHeader(reason)
		e.markPersonal(h, &f.req, http.StatusPartialContent)
		h["Content-Range"] = []string{partial.ContentRange(part, size)}
		h["Content-Length"] = []string{strconv.FormatInt(part.Length, 10)}
		f.Cut(part.Start, part.Length, f.enough)
		f.w.WriteHeader(http.StatusPartialContent)
	}
	return true
}

// partHeader makes the client's header that of the handler, with the status fields.
func (f *fetch) partHeader(reason Reason) http.Header {
	a := f.cacheStatus(reason)
	a.fwdStatus = http.StatusOK
	h := f.w.Header()
	f.ReplaceHeader(h)
	f.handler.engine.report(h, f.r, &a, f.room[:0])
	return h
}

// divisible reports whether the handler says that its response has ranges of bytes, and nothing in the
// header would be wrong about a part. net/http looks for a type that is missing in the first bytes.
func divisible(header http.Header) bool {
	_, typed := header["Content-Type"]
	return typed && field.HasToken(header["Accept-Ranges"], "bytes") &&
		len(header["Content-Range"]) == 0 && len(header["Content-Digest"]) == 0 && len(header["Content-Md5"]) == 0 && len(header["Trailer"]) == 0
}

// knownReason is why a response is not stored. That the handler has answered a condition or a range itself is no news: it was
// to, because the URL has been refused for another reason.
func (f *fetch) knownReason(status int, reason Reason) Reason {
	if f.plain || f.posts {
		return reason
	}
	switch status {
	case http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		if !f.req.Range {
			return reason
		}
	case http.StatusNotModified:
		if !f.req.Conditional {
			return reason
		}
	default:
		return reason
	}
	if known := f.handler.engine.cache.Refused(f.key, f.scope, f.class, f.now); known != rules.None {
		return known
	}
	return reason
}

// enough is called when the client has got its part.
func (f *fetch) enough() {
	_ = http.NewResponseController(f.w).Flush() // the handler may take its time to end
	f.stop(record.ErrEnough)
}

// Requests with a Range in another unit than bytes. Whoever knows no such unit ignores the field (RFC
// 9110, 14.2), so what is stored answers them, and the handler that makes what is to be stored does not
// see it. But a handler may know it. It is asked, for its client alone, and what it says is remembered:
// a stranger makes it run once for each URL and refusalFor.

// The classes of refusals that remember what is known of a URL, beside those of class.
const (
	knowsUnits   = 2 // a handler that has answered with a part in another unit
	ignoresUnits = 4 // or with something else
)

// passesUnit reports whether req, with a Range in another unit, goes to the handler; v is the response
// that would answer it otherwise, or nil.
func (e *Engine) passesUnit(r *http.Request, req *rules.Request, k, scope []byte, v *cache.Variant, now time.Time) bool {
	if !req.OtherUnit || req.CC.OnlyIfCached {
		return false
	}
	if e.cache.Refused(k, string(scope), cache.ClassOf(req)+knowsUnits, now) != rules.None {
		return true
	}
	if v != nil {
		return field.HasToken([]string{v.Header().Get("Accept-Ranges")}, rules.RangeUnitOf(r.Header["Range"][0]))
	}
	return e.cache.Refused(k, string(scope), cache.ClassOf(req)+ignoresUnits, now) == rules.None
}

// passUnit passes such a request on.
func (h *handler) passUnit(w http.ResponseWriter, r *http.Request, req *rules.Request, k, scope []byte, came time.Time) {
	p := h.newPass(w, r, req, &cacheStatus{status: Dynamic, forward: rules.RangeUnit, reason: rules.RangeUnit, received: came})
	p.in.edge = h.engine
	p.units = &unitCheck{slices.Clone(k), string(scope), rules.RangeUnitOf(r.Header["Range"][0])}
	p.run()
}

// unitCheck is for what a passed request tells of.
type unitCheck struct {
	key   []byte
	scope string
	unit  string
}

// note remembers what the answer to req tells.
func (c *unitCheck) note(e *Engine, req *rules.Request, status int, header http.Header) {
	knows := cache.ClassOf(req) + ignoresUnits
	header = field.Canonical(header)
	other := slices.ContainsFunc(header["Content-Range"], func(line string) bool { return !strings.HasPrefix(line, "bytes ") })
	switch {
	case other || field.HasToken(header["Accept-Ranges"], c.unit):
		knows = cache.ClassOf(req) + knowsUnits
	case !tellsOfURL(status) && status != http.StatusRequestedRangeNotSatisfiable: // which net/http says of units that it does not know
		return
	}
	e.cache.Refuse(c.key, c.scope, knows, rules.RangeUnit, time.Now())
}
