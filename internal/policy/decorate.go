package policy

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/edgecache-go/edgecache/internal/engine"
	"github.com/edgecache-go/edgecache/internal/mistake"
	"github.com/edgecache-go/edgecache/internal/pattern"
	"github.com/edgecache-go/edgecache/internal/record"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// Handler returns next with p, which is valid, applied to its responses.
func (p Policy) Handler(next http.Handler) http.Handler {
	return p.decoration().decorate(next)
}

// Routes returns middleware that applies the policy whose pattern matches the request. It adds the
// mistakes in patterns and policies to wrong; if there are any, the middleware must not be used.
func Routes(routes map[string]Policy, wrong *mistake.List) func(http.Handler) http.Handler {
	mux := new(pattern.Mux)
	applies := make(map[string]*decoration, len(routes))
	for _, one := range slices.Sorted(maps.Keys(routes)) {
		p := routes[one]
		p.Check(fmt.Sprintf("Routes[%q]", one), wrong)
		plain, refused := mux.Add(one)
		if refused != "" {
			wrong.Add("Routes", one, "want a pattern for http.ServeMux: "+refused)
		}
		applies[plain] = p.decoration()
	}
	return func(next http.Handler) http.Handler {
		return &decorator{next, func(r *http.Request) *decoration { return applies[mux.Match(r)] }}
	}
}

// After returns middleware that calls hook for each response, when its status is known.
func After(hook func(r *http.Request, status int, h http.Header)) func(http.Handler) http.Handler {
	return (&decoration{hook: hook}).decorate
}

func (p Policy) decoration() *decoration {
	own := p.clone()
	hook := func(r *http.Request, status int, h http.Header) {
		if own.InvalidateExact && status != http.StatusSwitchingProtocols {
			engine.InvalidateExact(r)
		}
		own.Apply(r.Method, status, h, time.Now())
	}
	return &decoration{hook: hook, policy: true, limits: own.Limits()}
}

// A decorator is a handler that changes the header of responses when their status is known.
type decorator struct {
	next   http.Handler
	choose func(r *http.Request) *decoration // nil if r passes unchanged
}

// decoration is what a decorator does to a response.
type decoration struct {
	hook   func(r *http.Request, status int, h http.Header)
	policy bool          // hook is that of a policy, which knows what StatusOpen means
	limits *rules.Limits // for caches inside; usually nil
}

func (d *decoration) decorate(next http.Handler) http.Handler {
	return &decorator{next, func(*http.Request) *decoration { return d }}
}

func (d *decorator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	chosen := d.choose(r)
	if chosen == nil {
		d.next.ServeHTTP(w, r)
		return
	}
	a := &decorated{decoration: chosen, w: w, r: r}
	hw := a.Init(w, a)
	if chosen.limits == nil {
		d.next.ServeHTTP(hw, r)
	} else {
		engine.ServeLimited(hw, r, d.next, chosen.limits)
	}
	if !a.Committed() {
		a.unwritten(d)
	}
}

// decorated is the writer of one response of a decorator.
type decorated struct {
	record.Hooked
	*decoration
	w      http.ResponseWriter
	r      *http.Request
	undone []change // by hook, for a handler that returned without writing; to be undone
}

// change is what hook has changed in one header field.
type change struct {
	name       string
	was, is    []string
	had, there bool
}

// Commit implements record.Committer: it undoes earlier changes of the hook, and calls it.
func (a *decorated) Commit(status int) {
	h := a.w.Header()
	for _, c := range a.undone {
		if is, there := h[c.name]; there != c.there || !slices.Equal(is, c.is) {
			continue // other code has changed it since
		}
		if delete(h, c.name); c.had {
			h[c.name] = c.was
		}
	}
	a.undone = nil
	a.hook(a.r, status, h)
}

// Context implements record.Committer.
func (a *decorated) Context() context.Context { return a.r.Context() }

// unwritten is called when the handler has returned without writing. Usually net/http then sends an
// empty 200, so hook must be called now. But a framework outside may still write an error, through
// our writer or its own. So a policy gives no lifetime if it knows that a handler stands outside.
// If another status comes through our writer after all, Commit undoes what hook has changed, and
// calls it again.
func (a *decorated) unwritten(d *decorator) {
	status := http.StatusOK
	server, ok := a.r.Context().Value(http.ServerContextKey).(*http.Server)
	if ok && a.policy && server.Handler != http.Handler(d) {
		status = StatusOpen
	}
	h := a.w.Header()
	before := h.Clone()
	a.hook(a.r, status, h)
	for name, was := range before {
		if is, there := h[name]; !there || !slices.Equal(was, is) {
			a.undone = append(a.undone, change{name, was, slices.Clone(is), true, there})
		}
	}
	for name, is := range h {
		if _, had := before[name]; !had {
			a.undone = append(a.undone, change{name, nil, slices.Clone(is), false, true})
		}
	}
}
