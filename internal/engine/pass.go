package engine

import (
	"context"
	"maps"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/directive"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/record"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// pass is a request that is passed on. Its response goes to the client as it is, with the status
// fields added.
type pass struct {
	record.Hooked
	handler *handler
	w       http.ResponseWriter
	r       *http.Request // as it came
	in      *innerContext // what goes in with the request
	inner   *http.Request // as the handler gets it
	status  cacheStatus
	req     rules.Request
	code    int
	units   *unitCheck     // nil unless the request has a Range in another unit than bytes
	silent  bool           // the handler returned without writing: see unwritten
	hidden  []string       // what Config.HideTags has removed from the header, and still counts
	get     *rules.Request // what a HEAD would be as a GET; nil if that is not needed
	room    [2]string      // for the status fields
}

// newPass returns the pass of r, which is not started yet.
func (h *handler) newPass(w http.ResponseWriter, r *http.Request, req *rules.Request, a *cacheStatus) *pass {
	p := &pass{handler: h, w: w, r: r, in: newInnerContext(r), status: *a, req: *req, code: http.StatusOK}
	p.in.Context = r.Context()
	p.inner = p.in.request(r, p.in)
	return p
}

// pass lets a request through that the cache has no part in. It adds the status fields, and unsafe
// methods invalidate (RFC 9111, 4.4).
func (h *handler) pass(w http.ResponseWriter, r *http.Request, req *rules.Request, reason Reason) {
	p := h.newPass(w, r, req, &cacheStatus{status: Dynamic, forward: reason, reason: reason, received: time.Now()})
	if reason == rules.Excepted {
		p.in.edge = h.engine // a handler of the same Edge further inside may see another path
	}
	// Once more when the handler is done, however it ends: it may write before it commits.
	defer func() {
		if !p.silent {
			p.invalidate()
		}
	}()
	p.run()
}

func (p *pass) run() {
	defer handBack(p.r, p.inner)
	p.handler.next.ServeHTTP(p.Init(p.w, p), p.inner)
	handBack(p.r, p.inner)
	if p.Committed() || p.handler.isOutermost(p.r) {
		p.Finish()
	} else {
		p.unwritten()
	}
}

// Commit looks at the response when its header is complete.
func (p *pass) Commit(status int) {
	p.code = status
	h := p.w.Header()
	delete(h, OriginErrorField)
	if p.silent {
		p.handler.engine.markPersonal(h, &p.req, status)
		p.invalidate()
		p.handler.engine.hideTags(h)
		return
	}
	p.r.Pattern = p.inner.Pattern
	if p.in.slot.claimed(h, p.r) {
		received := p.status.received
		p.status = p.in.slot.served
		p.status.received = received
	} else {
		// A handler whose client has left may say anything.
		if p.units != nil && p.r.Context().Err() == nil {
			p.units.note(p.handler.engine, &p.req, status, h)
		}
		if p.get != nil {
			p.handler.engine.describeHead(h, p.get, status, p.status.received)
		}
		p.handler.engine.markPersonal(h, &p.req, status)
	}
	if field.IsIncremental(h["Incremental"]) {
		p.PushOut()
	}
	// First, so that a client that knows of its own write cannot read what was there before.
	p.invalidate()
	p.handler.engine.report(h, p.r, &p.status, p.room[:0])
}

// Context is that of the client's request; see record.Committer.
func (p *pass) Context() context.Context { return p.r.Context() }

// invalidate invalidates what an unsafe request has changed.
func (p *pass) invalidate() {
	if !p.req.Unsafe {
		return
	}
	h := p.w.Header()
	if groups := h[directive.GroupInvalidation]; len(groups) > 0 {
		p.hidden = groups
	} else if p.hidden != nil {
		h = maps.Clone(h)
		h[directive.GroupInvalidation] = p.hidden
	}
	p.handler.engine.invalidate(p.r, &p.in.slot, p.code, h)
}
