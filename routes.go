package edgecache

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// routeRefusals is how many pages of a route in a row must have been refused for the route to count as uncacheable.
	routeRefusals = 8

	// maxRoutes bounds how many routes are remembered. A program has few; a router that makes up patterns gets no memory.
	maxRoutes = 1024
)

// routes remembers routes whose pages cannot be stored, so that requests for pages of such a route that nobody has asked for yet do not wait for each other.
type routes struct {
	known sync.Map // of *route, by pattern and class
	count atomic.Int32
}

type routeID struct {
	pattern string
	class   int
}

type route struct {
	refusals atomic.Int32
	until    atomic.Int64 // nanoseconds since epoch
}

// of returns what is known of a route; nil if it is not worth knowing.
func (rs *routes) of(pattern string, class int) *route {
	if pattern == "" {
		return nil
	}
	id := routeID{pattern, class}
	if found, ok := rs.known.Load(id); ok {
		return found.(*route)
	}
	if rs.count.Load() >= maxRoutes {
		return nil
	}
	found, loaded := rs.known.LoadOrStore(id, new(route))
	if !loaded {
		rs.count.Add(1)
	}
	return found.(*route)
}

// refused counts a page that could not be stored.
func (r *route) refused(now time.Time) {
	if r != nil && r.refusals.Add(1) >= routeRefusals {
		r.until.Store(int64(now.Sub(epoch) + uncacheableFor))
	}
}

// stored says that a page of the route can be stored after all.
func (r *route) stored() {
	if r != nil && r.refusals.Load() != 0 {
		r.refusals.Store(0)
		r.until.Store(0)
	}
}

func (r *route) expectsRefusal(now time.Time) bool {
	if r == nil {
		return false
	}
	until := r.until.Load()
	return until != 0 && int64(now.Sub(epoch)) < until
}

// muxer is what tells the pattern of a request before it runs: http.ServeMux.
type muxer interface {
	Handler(r *http.Request) (http.Handler, string)
}

// route returns what is known of the route that r will take, as far as that can be told.
func (h *handler) route(r *http.Request, class int) *route {
	pattern := r.Pattern // of a router outside
	if mux, ok := h.next.(muxer); ok {
		_, pattern = mux.Handler(r)
	}
	return h.edge.routes.of(pattern, class)
}
