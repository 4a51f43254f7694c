package engine

import (
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/rules"
)

// poster decides about the response to a POST. It invalidates before the client learns of the
// success, and before the response itself may be stored.
type poster struct {
	*fetch
	status int
}

func (p *poster) Commit(status int) {
	if p.silent {
		p.status = status
		p.invalidate()
		p.passLate()
		return
	}
	p.status = status
	own := p.invalidate()
	// What is stored now is newer than this invalidation. But if anything else was purged since the
	// handler began, the response may be older than that purge; then its own invalidation keeps it
	// out.
	if now := p.handler.engine.cache.Generation(); now == p.flight.Gen+own {
		p.flight.Gen = now
	}
	p.fetch.Commit(status)
}

func (p *poster) invalidate() (purges uint64) {
	return p.handler.engine.invalidate(p.r, &p.in.slot, p.status, p.Header())
}

// post passes a POST on. Its response is stored for GET if it says, with Content-Location and an
// explicit lifetime, that it is the representation of that URL (RFC 9110, 9.3.3). post returns
// false if the URL has no key.
func (h *handler) post(w http.ResponseWriter, r *http.Request, req *rules.Request) bool {
	e := h.engine
	var (
		keyBuf   [256]byte
		scopeBuf [128]byte
	)
	k, ok := keyOf(keyBuf[:0], r)
	if !ok {
		return false
	}
	x := h.newExchange(w, r, req, k, e.scope(scopeBuf[:0], r, req), rules.Method, time.Now())
	f := x.newFetch()
	f.posts, f.start = true, time.Now()
	f.flight = e.flights.Single(&f.own, e.cache.Generation(), f.start)
	f.in = newInnerContext(r)
	f.in.Context, f.ctx = r.Context(), r.Context()
	f.inner = f.in.request(r, f.in)
	// The handler may change its header; the variant follows what the client sent.
	f.inner.Header = r.Header.Clone()
	p := &poster{fetch: f, status: http.StatusOK}
	writer := f.Init(w, p)
	returned := false
	defer f.leaveBody()
	defer func() {
		if !returned {
			f.abort()
			p.invalidate() // the handler may have done its work before it broke off
		}
	}()
	defer handBack(r, f.inner)
	h.next.ServeHTTP(writer, f.inner)
	if f.unwritten() {
		returned = true
		r.Pattern = f.inner.Pattern
		e.invalidateUnsure(r, &f.in.slot, w.Header())
		return true
	}
	f.Finish()
	returned = true
	handBack(r, f.inner) // before an event tells of the response
	if f.next != keep {
		p.invalidate() // once more: it may write before it commits
	}
	f.complete()
	return true
}
