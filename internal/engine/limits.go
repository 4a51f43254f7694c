package engine

import (
	"context"
	"fmt"
	"net/http"

	"github.com/edgecache-go/edgecache/internal/rules"
)

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
