package engine

import (
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// poster is the judge of a POST: it invalidates before the client learns of the success, and before the answer itself may be stored.
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
	// What is stored now is newer than this invalidation; but if anything else has been purged since the handler began, it may be older than that, and its own invalidation keeps it out.
	if now := p.handler.engine.cache.Generation(); now == p.flight.Began+own {
		p.flight.Began = now
	}
	p.fetch.Commit(status)
}

func (p *poster) invalidate() (purges uint64) {
	return p.handler.engine.invalidate(p.r, &p.in.slot, p.status, p.Header())
}

// post passes a POST on. Its answer is stored for GET when it says, with Content-Location and an explicit lifetime, that it is the page of that URL (RFC 9110, 9.3.3).
// It reports false when the URL has no key.
func (h *handler) post(w http.ResponseWriter, r *http.Request, req *rules.Request) bool {
	e := h.engine
	var (
		keyBuf   [256]byte
		scopeBuf [128]byte
	)
	k, ok := key.Of(keyBuf[:0], r)
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
	f.inner.Header = r.Header.Clone() // the variant is that of what came in
	p := &poster{fetch: f, status: http.StatusOK}
	writer := f.Init(w, p)
	returned := false
	defer f.leaveBody()
	defer func() {
		if !returned {
			f.abort()
			p.invalidate() // it may have done what it was asked before it broke off
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
	handBack(r, f.inner) // before the page is told about
	if f.next != keep {
		p.invalidate() // once more: it may write before it commits
	}
	f.complete()
	return true
}
