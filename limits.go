package edgecache

import (
	"context"
	"fmt"
	"net/http"

	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// limited is the context of a request that has come through a policy: an Edge inside obeys what the policy restricts.
type limited struct {
	context.Context
	limits *rules.Limits // of all policies outside
}

// Value is context.Context's.
func (l *limited) Value(key any) any {
	k, ok := key.(inside)
	if !ok {
		return l.Context.Value(key)
	}
	if entered, _ := l.Context.Value(k).(bool); entered {
		return true // the Edge stands outside of the policy
	}
	return l.limits
}

// String is that of the context outside: this one has nothing of anybody else.
func (l *limited) String() string { return fmt.Sprint(l.Context) }

// anyEdge asks a context for limits only.
var anyEdge = inside{}

// serveLimited runs next for r, with limits for caches inside.
func serveLimited(w http.ResponseWriter, r *http.Request, next http.Handler, limits *rules.Limits) {
	if outer, ok := r.Context().Value(anyEdge).(*rules.Limits); ok {
		limits = limits.With(outer)
	}
	inner := r.WithContext(&limited{r.Context(), limits})
	defer handBack(r, inner)
	next.ServeHTTP(w, inner)
}

// limits returns what p restricts for caches inside; nil if that is nothing.
func (p *Policy) limits() *rules.Limits {
	vary, star, ok := key.VaryNames(p.Vary)
	l := rules.Limits{
		Pass:     p.NoStore || p.Private || star || !ok,
		NoCache:  p.NoCache,
		NoStale:  p.MustRevalidate || p.SharedMaxAge > 0, // which implies proxy-revalidate (RFC 9111, 5.2.2.10)
		Lifetime: p.MaxAge, WhileRevalidate: p.StaleWhileRevalidate, IfError: p.StaleIfError,
		Vary: vary,
	}
	if p.SharedMaxAge > 0 {
		l.Lifetime = p.SharedMaxAge
	}
	if !l.Pass && !l.NoCache && !l.NoStale && l.Lifetime == 0 && l.WhileRevalidate == 0 && l.IfError == 0 && len(l.Vary) == 0 {
		return nil
	}
	return &l
}

// outside returns what policies outside of this Edge restrict, usually nil. entered reports that another handler of this Edge
// stands outside, which caches the request.
func (e *Edge) outside(r *http.Request) (limits *rules.Limits, entered bool) {
	switch found := r.Context().Value(inside{e}).(type) {
	case bool:
		return nil, true
	case *rules.Limits:
		return found, false
	}
	return nil, false
}
