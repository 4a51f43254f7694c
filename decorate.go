package edgecache

import (
	"context"
	"net/http"
	"slices"

	"github.com/edgecache-go/edgecache/internal/record"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// A decorator is a handler that changes the header of responses when their status is known.
type decorator struct {
	next   http.Handler
	choose func(r *http.Request) *decoration // nil if r passes unchanged
}

// decoration is what a decorator does to a response.
type decoration struct {
	hook   func(r *http.Request, status int, header http.Header)
	policy bool          // hook is that of a policy, which knows what a status of 0 means
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
		serveLimited(hw, r, d.next, chosen.limits)
	}
	if !a.Committed() {
		a.unwritten(d)
	}
}

// decorated is one response of a decorator.
type decorated struct {
	record.Hooked
	*decoration
	w      http.ResponseWriter
	r      *http.Request
	undone []change // what hook has done for a handler that returned without writing
}

// change is what became of a field.
type change struct {
	name       string
	was, is    []string
	had, there bool
}

// Commit is record.Committer's.
func (a *decorated) Commit(status int) {
	h := a.w.Header()
	for _, c := range a.undone {
		if is, there := h[c.name]; there != c.there || !slices.Equal(is, c.is) {
			continue // somebody else has changed it since
		}
		if delete(h, c.name); c.had {
			h[c.name] = c.was
		}
	}
	a.undone = nil
	a.hook(a.r, status, h)
}

// Context is record.Committer's.
func (a *decorated) Context() context.Context { return a.r.Context() }

// unwritten is called when the handler has returned without writing. If nobody else writes, net/http makes that an empty 200, and hook is to
// have been called. But a framework outside may still write an error, through our writer or its own. So a policy gives no lifetime then, if something is known to stand
// outside; and if another status comes through our writer after all, what hook has done is put back and it is called again.
func (a *decorated) unwritten(d *decorator) {
	status := http.StatusOK
	if server, ok := a.r.Context().Value(http.ServerContextKey).(*http.Server); ok && a.policy && server.Handler != http.Handler(d) {
		status = statusOpen
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
