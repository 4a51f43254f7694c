package engine

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/edgecache-go/edgecache/internal/flight"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// staticSlot is where an Edge in front of static files learns how they were served. It lies in the
// context of the request that the Edge passes on.
//
// Static files are not stored: they are in the program, in memory or in the system's page cache
// already. They evaluate conditions and ranges themselves, so they must see those that a fetch
// takes off the request.
type staticSlot struct {
	header http.Header // of the client's request
	served cacheStatus // how the file was served; zero if none was
	exact  bool        // a Policy says InvalidateExact about the response
}

type staticSlotKey struct{}

// StaticField marks a response of static files on its way to the outermost Edge, which removes it.
// It counts only together with a static slot that was filled, so no origin can forge it.
const StaticField = "Edgecache-Static"

// insideKey is the context key under which an Edge finds what stands outside of it: see Outside.
type insideKey struct{ *Engine }

// innerContext is the context of a request that an Edge passes on, and everything else that is made
// for each of those, in one allocation (BenchmarkMiss, BenchmarkPass). The handler may keep it, so
// it refers to nothing large.
type innerContext struct {
	context.Context                // of the request that came in, or own
	own             flight.Context // of a fetch, which others may wait for
	edge            *Engine        // must not handle the request again; nil if it may
	refreshes       bool           // see Refreshing
	slot            staticSlot
	url             url.URL
	inner           http.Request
	passed          bool // inner has been passed on
}

// newInnerContext returns the context for passing r on. The caller sets its Context.
func newInnerContext(r *http.Request) *innerContext {
	c := &innerContext{slot: staticSlot{header: ConditionsOf(r)}}
	if r.URL != nil {
		c.url = *r.URL
	}
	return c
}

// request returns the request to pass on with ctx, which is c or a child of it. The request has a
// URL of its own, since handlers may rewrite it in place.
func (c *innerContext) request(r *http.Request, ctx context.Context) *http.Request {
	if c.passed {
		return r.WithContext(ctx) // the handler may have kept the other one
	}
	c.passed = true
	c.inner = *r.WithContext(ctx) // a copy inside c, without an allocation of its own
	if r.URL != nil {
		c.inner.URL = &c.url
	}
	return &c.inner
}

// handBack gives r what the handler did to inner, as if r had been passed on itself: the pattern,
// by which middleware outside labels its metrics, and the parsed forms. net/http removes the
// temporary files of an upload when a request ends, but only of the request that it made. Callers
// must call handBack even if the handler panics.
func handBack(r, inner *http.Request) {
	r.Pattern = inner.Pattern
	r.Form, r.PostForm, r.MultipartForm = inner.Form, inner.PostForm, inner.MultipartForm
}

// Value implements context.Context.
func (c *innerContext) Value(key any) any {
	switch k := key.(type) {
	case staticSlotKey:
		return &c.slot
	case refreshing:
		if c.refreshes {
			return true
		}
	case insideKey:
		if k.Engine == c.edge && c.edge != nil {
			return true
		}
	}
	return c.Context.Value(key)
}

// String keeps code that prints contexts from reading values while other goroutines write them.
func (c *innerContext) String() string { return "edgecache.innerContext" }

func staticSlotOf(r *http.Request) *staticSlot {
	s, _ := r.Context().Value(staticSlotKey{}).(*staticSlot)
	return s
}

// ConditionsOf returns the header with the client's conditions and ranges.
func ConditionsOf(r *http.Request) http.Header {
	if s := staticSlotOf(r); s != nil {
		return s.header
	}
	return r.Header
}

// claimed reports whether the response with the header h is a static file. r is the request as the
// Edge got it: if another Edge is in front of this one, that Edge learns the same.
func (s *staticSlot) claimed(h http.Header, r *http.Request) bool {
	_, marked := h[StaticField]
	if !marked || s.served.status == StatusNone {
		delete(h, StaticField)
		return false
	}
	if outer := staticSlotOf(r); outer != nil {
		outer.served = s.served
	} else {
		delete(h, StaticField)
	}
	return true
}

// passExact tells an Edge in front of this one that a Policy says InvalidateExact about the
// response to r.
func (s *staticSlot) passExact(r *http.Request) {
	if outer := staticSlotOf(r); outer != nil && s.exact {
		outer.exact = true
	}
}

// Static writes the status fields of a static file, or leaves that to the cache in front of it.
// reason says why the file was not a hit.
func (s *StatusWriter) Static(h http.Header, r *http.Request, hit, failed bool, reason rules.Reason) {
	n := cacheStatus{status: Hit}
	switch {
	case failed && reason == rules.Method:
		n = cacheStatus{status: Dynamic, forward: reason, reason: reason}
	case failed:
		n = cacheStatus{status: Bypass, forward: rules.URIMiss, reason: reason}
	case !hit:
		n = cacheStatus{status: Miss, forward: reason, reason: reason}
	}
	if slot := staticSlotOf(r); slot != nil {
		slot.served = n
		h[StaticField] = []string{"1"}
		return
	}
	s.write(h, &n, nil)
}

// InvalidateExact lets the response to r invalidate its URL alone, and not those with other
// queries.
func InvalidateExact(r *http.Request) {
	if s := staticSlotOf(r); s != nil {
		s.exact = true
	}
}

// limited is the context of a request that came through a policy. Edges inside obey what the policy
// restricts.
type limited struct {
	context.Context
	limits *rules.Limits // of all policies outside
}

// Value implements context.Context.
func (l *limited) Value(key any) any {
	k, ok := key.(insideKey)
	if !ok {
		return l.Context.Value(key)
	}
	switch outer := l.Context.Value(k).(type) {
	case bool:
		if outer {
			return true // the Edge stands outside of the policy, too
		}
	case *errand:
		return limitedErrand{outer, l.limits}
	case limitedErrand:
		return limitedErrand{outer.errand, l.limits}
	}
	return l.limits
}

// String is that of the context outside: a policy adds nothing that belongs to a client, see
// isBare.
func (l *limited) String() string { return fmt.Sprint(l.Context) }

// anyEdge asks a context for limits only.
var anyEdge = insideKey{}

// ServeLimited runs next for r within limits, which caches inside obey.
func ServeLimited(w http.ResponseWriter, r *http.Request, next http.Handler, limits *rules.Limits) {
	switch outer := r.Context().Value(anyEdge).(type) {
	case *rules.Limits:
		limits = limits.With(outer)
	case limitedErrand:
		limits = limits.With(outer.limits)
	}
	inner := r.WithContext(&limited{r.Context(), limits})
	defer handBack(r, inner)
	next.ServeHTTP(w, inner)
}

// Outside returns what stands outside of this Edge. limits are what policies restrict, usually nil.
// entered reports that another handler of this Edge stands outside, and caches the request. t is
// the errand that r carries, which may be that of another Edge.
func (e *Engine) Outside(r *http.Request) (limits *rules.Limits, entered bool, t *errand) {
	switch found := r.Context().Value(insideKey{e}).(type) {
	case bool:
		return nil, true, nil
	case *rules.Limits:
		return found, false, nil
	case *errand:
		return nil, false, found
	case limitedErrand:
		return found.limits, false, found.errand
	}
	return nil, false, nil
}
