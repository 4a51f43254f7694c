package engine

import (
	"net/http"

	"github.com/edgecache-go/edgecache/internal/rules"
)

// A handler that has written nothing when it returns decides nothing. Frameworks whose handlers
// return errors (echo, PocketBase) write the response after that, to the writer that the handler
// got or to their own, before ServeHTTP of their own handler ends. So nothing is sent or stored
// here, and later writes go through. If the cache is the handler of the server itself, nothing else
// could write, and the response is an empty 200.

// isOutermost reports whether h is the handler of the server that r came from, so that nothing
// stands outside of the cache.
func (h *handler) isOutermost(r *http.Request) bool {
	server := serverOf(r)
	return server != nil && server.Handler == http.Handler(h)
}

// isOutermost is the same for one of the handlers of e.
func (e *Engine) isOutermost(r *http.Request) bool {
	if server := serverOf(r); server != nil {
		h, ok := server.Handler.(*handler)
		return ok && h.engine == e
	}
	return false
}

// unwritten reports whether the handler has returned without writing. If so, it ends the fetch.
func (f *fetch) unwritten() bool {
	if f.Committed() || f.handler.isOutermost(f.r) {
		return false
	}
	f.silent = true
	f.place.leave()
	if f.ended() {
		f.flight.Share(result{again: true}) // that it gave up says nothing about the response
	}
	f.flight.Finish()
	f.Yield()
	reason := rules.Unwritten
	if f.posts {
		reason = rules.Method // a POST is usually not stored
	}
	a := f.cacheStatus(reason)
	h := f.w.Header()
	f.handler.engine.markPersonal(h, &f.req, http.StatusOK)
	f.handler.engine.report(h, f.r, &a, f.room[:0])
	return true
}

// passLate lets through what is written after the handler returned.
func (f *fetch) passLate() {
	h := f.Direct()
	delete(h, OriginErrorField)
	f.handler.engine.markPersonal(h, &f.req, f.Status())
	f.handler.engine.hideTags(h)
	f.Send()
}

// unwritten ends a request that was passed on and whose handler has returned without writing.
func (p *pass) unwritten() {
	p.silent = true
	h := p.w.Header()
	delete(h, OriginErrorField)
	if p.req.Unsafe {
		p.handler.engine.invalidateUnsure(p.r, &p.in.slot, h)
	}
	p.handler.engine.markPersonal(h, &p.req, http.StatusOK)
	p.handler.engine.report(h, p.r, &p.status, p.room[:0])
}
