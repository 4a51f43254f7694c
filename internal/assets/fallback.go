package assets

import (
	"context"
	"maps"
	"net/http"

	"github.com/edgecache-go/edgecache/internal/directive"
	"github.com/edgecache-go/edgecache/internal/record"
)

// Around returns a handler that serves requests below the prefix, and passes all others to next.
// With SPA, it serves that page instead of a 404 of next. conditions returns the header that has
// the client's conditions and ranges.
func (s *Set) Around(next http.Handler, conditions func(*http.Request) http.Header) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.Owns(r):
			s.Serve(w, r, conditions(r))
		case s.WantsPage(r):
			serveUnlessMissing(w, r, next, func() { s.Shell(w, r, conditions(r)) })
		case s.MayBePage(r):
			serveVaryingMissing(w, r, next)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// serveUnlessMissing runs next, and calls instead in place of its 404, which the client does not
// see.
//
// A framework whose handlers return errors writes its 404 after next has returned: instead is
// called then.
func serveUnlessMissing(w http.ResponseWriter, r *http.Request, next http.Handler, instead func()) {
	m := &missing{r: r, outer: w.Header(), instead: instead}
	next.ServeHTTP(m.fill.Init(w, m), r)
	switch {
	case m.missed:
		instead()
	case m.fill.Committed():
		m.fill.Finish()
	default:
		m.outer, m.late = m.outer.Clone(), true
		m.fill.Yield()
	}
}

// missing judges the response of next: it lets everything through except a 404.
type missing struct {
	fill    record.Fill
	r       *http.Request
	outer   http.Header // as it was before next
	instead func()
	missed  bool
	late    bool // next has returned without writing
}

func (m *missing) Grow(int)                 {}
func (m *missing) Flush()                   {}
func (m *missing) Context() context.Context { return m.r.Context() }

func (m *missing) Commit(status int) {
	if status != http.StatusNotFound {
		m.fill.Direct()
		m.fill.Send()
		return
	}
	m.fill.Discard()
	if m.missed = true; m.late {
		h := m.fill.Header()
		clear(h)
		maps.Copy(h, m.outer)
		m.instead()
	}
}

// serveVaryingMissing runs next for a request that would get a page instead of a 404 if it asked
// for HTML. A cache must know that: otherwise one stored 404 would hide the page from every client.
func serveVaryingMissing(w http.ResponseWriter, r *http.Request, next http.Handler) {
	writer, _ := record.Hook(r.Context(), w, func(status int) {
		if status == http.StatusNotFound {
			directive.AddVary(w.Header(), []string{"Accept"})
		}
	})
	next.ServeHTTP(writer, r) // a handler that writes nothing has not sent a 404 yet
}
