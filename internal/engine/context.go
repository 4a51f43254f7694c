package engine

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/edgecache-go/edgecache/internal/flight"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// staticSlot is where an Edge in front of static files learns what they have to say. It lies in the context of the request that the Edge passes on.
//
// A static file is stored nowhere: it is in the program, in memory or in the system's page cache already. And it answers conditions and ranges
// itself, so it must see those that a fill takes off.
type staticSlot struct {
	header  http.Header // of the client's request
	account cacheStatus // how the file was served; none if none was
	exact   bool        // a Policy says InvalidateExact about the answer
}

type staticSlotKey struct{}

// StaticField marks an answer of static files on its way to the outermost Edge, and never leaves that. It counts only together with a seat
// that was taken, so that no origin can pretend.
const StaticField = "Edgecache-Static"

// insideKey is the context key under which a fill marks the requests that it passes on.
type insideKey struct{ *Engine }

// innerContext is the context of a request that an Edge passes on, with what else is made for each of those. The handler may keep it, so nothing hangs on it that is large.
type innerContext struct {
	context.Context                // of the request that came in, or own
	own             flight.Context // for those that others wait for
	edge            *Engine        // that is not to be entered again; nil if it may be
	refreshes       bool           // nobody waits: see Refreshing
	slot            staticSlot
	url             url.URL
	inner           http.Request
	passed          bool // inner has been passed on
}

// newInnerContext returns what a request is passed on with. Its Context is to be set.
func newInnerContext(r *http.Request) *innerContext {
	c := &innerContext{slot: staticSlot{header: ConditionsOf(r)}}
	if r.URL != nil {
		c.url = *r.URL
	}
	return c
}

// request returns the request to pass on, with the context ctx, which is c or a child of it. A handler may rewrite the URL of its request in place, so it gets one of its own.
func (c *innerContext) request(r *http.Request, ctx context.Context) *http.Request {
	if c.passed {
		return r.WithContext(ctx) // the handler may have kept the other one
	}
	c.passed = true
	c.inner = *r.WithContext(ctx) // which so needs no piece of memory of its own
	if r.URL != nil {
		c.inner.URL = &c.url
	}
	return &c.inner
}

// handBack gives r what its handler has made of inner, as if r had been passed on itself: the pattern, by which middleware outside labels its metrics, and the forms.
// net/http removes the temporary files of an upload when a request is done, but only of the request that it has made itself. It is to be called however the handler ends.
func handBack(r, inner *http.Request) {
	r.Pattern = inner.Pattern
	r.Form, r.PostForm, r.MultipartForm = inner.Form, inner.PostForm, inner.MultipartForm
}

// Value is context.Context's.
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

// String keeps what prints contexts from walking through what others write.
func (c *innerContext) String() string { return "edgecache.inward" }

func staticSlotOf(r *http.Request) *staticSlot {
	s, _ := r.Context().Value(staticSlotKey{}).(*staticSlot)
	return s
}

// ConditionsOf returns the header in which the client's conditions and ranges stand.
func ConditionsOf(r *http.Request) http.Header {
	if s := staticSlotOf(r); s != nil {
		return s.header
	}
	return r.Header
}

// claimed reports whether the answer with the header h is a static file. r is the request as the Edge has got it: where another Edge is in front of this
// one, it learns the same.
func (s *staticSlot) claimed(h http.Header, r *http.Request) bool {
	_, marked := h[StaticField]
	if !marked || s.account.status == StatusNone {
		delete(h, StaticField)
		return false
	}
	if outer := staticSlotOf(r); outer != nil {
		outer.account = s.account
	} else {
		delete(h, StaticField)
	}
	return true
}

// passExact tells another Edge in front of this one what a Policy has said about what the answer to r invalidates.
func (s *staticSlot) passExact(r *http.Request) {
	if outer := staticSlotOf(r); outer != nil && s.exact {
		outer.exact = true
	}
}

// Static writes the status fields of a static file, or leaves that to the cache in front of it.
// reason is why the file was not a hit.
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
		slot.account = n
		h[StaticField] = []string{"1"}
		return
	}
	s.write(h, &n, nil)
}

// InvalidateExact has the response to r invalidate its URL alone, and not those with other queries.
func InvalidateExact(r *http.Request) {
	if s := staticSlotOf(r); s != nil {
		s.exact = true
	}
}

// limited is the context of a request that has come through a policy: an Edge inside obeys what the policy restricts.
type limited struct {
	context.Context
	limits *rules.Limits // of all policies outside
}

// Value is context.Context's.
func (l *limited) Value(key any) any {
	k, ok := key.(insideKey)
	if !ok {
		return l.Context.Value(key)
	}
	switch outer := l.Context.Value(k).(type) {
	case bool:
		if outer {
			return true // the Edge stands outside of the policy
		}
	case *errand:
		return limitedErrand{outer, l.limits}
	case limitedErrand:
		return limitedErrand{outer.errand, l.limits}
	}
	return l.limits
}

// String is that of the context outside: this one has nothing of anybody else.
func (l *limited) String() string { return fmt.Sprint(l.Context) }

// anyEdge asks a context for limits only.
var anyEdge = insideKey{}

// ServeLimited runs next for r, with limits for caches inside.
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

// Outside returns what policies outside of this Edge restrict, usually nil. entered reports that another handler of this Edge
// stands outside, which caches the request. An errand may be that of another Edge.
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
