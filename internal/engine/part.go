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

// A fetch is a plain GET, so that the whole response can be stored, and only its header says
// whether it may be. If it may not, the client still gets its range: it is cut here from what the
// handler writes. From the next request on, while hit-for-miss lasts, the handler sees Range
// itself.

// passPart answers the Range of the client from a response with the given header that is passed on
// for that reason (RFC 9110, 13.1.5 and 14.2). It returns false if the client gets the whole
// response, which is always right.
func (f *fetch) passPart(status int, header http.Header, reason Reason) bool {
	size := f.Declared()
	if status != http.StatusOK || size < 0 || !divisible(header) || reason == rules.Unreachable || reason == rules.Aborted {
		return false
	}
	v := rules.ValidatorsOf(header, f.now)
	if !v.Has() {
		return false // the client could not tell whether two parts belong together
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
	case ranges[0].Start >= e.cache.MaxBody() && f.askAsItCame():
		// Rendering what comes before the range would be wasted. The handler may know a quicker way, so
		// it sees the Range itself, now and for the next requests.
		f.next = askAgain
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

// partHeader makes the header for the client: that of the handler, with the status fields.
func (f *fetch) partHeader(reason Reason) http.Header {
	a := f.cacheStatus(reason)
	a.fwdStatus = http.StatusOK
	h := f.w.Header()
	f.ReplaceHeader(h)
	f.handler.engine.report(h, f.r, &a, f.room[:0])
	return h
}

// divisible reports whether the handler announces byte ranges of its response, and no field of the
// header would be wrong about a part. Without a Content-Type, net/http would guess it from the
// first bytes of the part.
func divisible(header http.Header) bool {
	_, typed := header["Content-Type"]
	return typed && field.HasToken(header["Accept-Ranges"], "bytes") &&
		len(header["Content-Range"]) == 0 && len(header["Content-Digest"]) == 0 && len(header["Content-Md5"]) == 0 && len(header["Trailer"]) == 0
}

// knownReason returns why a response is not stored. If the handler has evaluated a condition or a
// range itself, that is no new reason: it saw them because hit-for-miss had another one.
func (f *fetch) knownReason(status int, reason Reason) Reason {
	if f.plainGET || f.posts {
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
	if known := f.handler.engine.cache.HitForMiss(f.key, f.scope, f.class, f.now); known != rules.None {
		return known
	}
	return reason
}

// enough is called when the client has its part.
func (f *fetch) enough() {
	_ = http.NewResponseController(f.w).Flush() // the handler may take its time to end
	f.stop(record.ErrEnough)
}

// Requests with a Range in another unit than bytes. A server that does not know the unit ignores
// the field (RFC 9110, 14.2), so stored responses answer them, and the handler does not see the
// field when its response may be stored. But a handler may know the unit. So it is asked once, for
// that client alone, and the answer is remembered: a stranger can make it run once per URL and
// hitForMissTTL.

// Bits of a [cache.Class] under which hit-for-miss remembers what is known about a URL.
const (
	knowsUnits   = 2 // the handler has responded with a part in another unit
	ignoresUnits = 4 // or with something else
)

// passesUnit reports whether req, with a Range in another unit, goes to the handler. v is the
// response that would answer it otherwise, or nil.
func (e *Engine) passesUnit(r *http.Request, req *rules.Request, k, scope []byte, v *cache.Variant, now time.Time) bool {
	if !req.OtherUnit || req.CC.OnlyIfCached {
		return false
	}
	if e.cache.HitForMiss(k, string(scope), cache.ClassOf(req)+knowsUnits, now) != rules.None {
		return true
	}
	if v != nil {
		return field.HasToken([]string{v.Header().Get("Accept-Ranges")}, rules.RangeUnitOf(r.Header["Range"][0]))
	}
	return e.cache.HitForMiss(k, string(scope), cache.ClassOf(req)+ignoresUnits, now) == rules.None
}

// passUnit passes such a request on.
func (h *handler) passUnit(w http.ResponseWriter, r *http.Request, req *rules.Request, k, scope []byte, received time.Time) {
	p := h.newPass(w, r, req, &cacheStatus{status: Dynamic, forward: rules.RangeUnit, reason: rules.RangeUnit, received: received})
	p.in.edge = h.engine
	p.units = &unitCheck{slices.Clone(k), string(scope), rules.RangeUnitOf(r.Header["Range"][0])}
	p.run()
}

// unitCheck learns from the response to such a request.
type unitCheck struct {
	key   []byte
	scope string
	unit  string
}

// note remembers what the response to req says.
func (c *unitCheck) note(e *Engine, req *rules.Request, status int, header http.Header) {
	knows := cache.ClassOf(req) + ignoresUnits
	header = field.Canonical(header)
	other := slices.ContainsFunc(header["Content-Range"], func(line string) bool { return !strings.HasPrefix(line, "bytes ") })
	switch {
	case other || field.HasToken(header["Accept-Ranges"], c.unit):
		knows = cache.ClassOf(req) + knowsUnits
	// net/http says 416 for units that it does not know.
	case !tellsOfURL(status) && status != http.StatusRequestedRangeNotSatisfiable:
		return
	}
	e.cache.SetHitForMiss(c.key, c.scope, knows, rules.RangeUnit, time.Now())
}
