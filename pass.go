package edgecache

import (
	"bytes"
	"maps"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/record"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// passage is a request that is passed on, and whose answer goes to its client as it is, but for the status fields.
type passage struct {
	record.Hooked
	handler *handler
	w       http.ResponseWriter
	r       *http.Request // as it came
	in      *inward       // what goes in with the request
	inner   *http.Request // as the handler gets it
	account account
	req     rules.Request
	status  int
	check   *headCheck     // nil unless the answer tells about what is stored
	silent  bool           // the handler returned without writing: see unwritten
	hidden  []string       // what Config.HideTags has taken off the header, and counts all the same
	get     *rules.Request // what a HEAD would be as a GET; nil if nobody asks
	room    [2]string      // for the status fields
}

// headCheck is what the answer to a HEAD is compared with.
type headCheck struct {
	key   []byte
	old   *variant
	outer http.Header // what middleware outside has put on the answer
	given record.Given
	began uint64
}

func (h *handler) newPassage(w http.ResponseWriter, r *http.Request, req *rules.Request, a *account) *passage {
	p := &passage{handler: h, w: w, r: r, in: enter(r), account: *a, req: *req, status: http.StatusOK}
	p.in.Context = r.Context()
	p.inner = p.in.request(r, p.in)
	return p
}

// pass lets a request through that the cache has no part in, except that it says so, and that unsafe methods invalidate (RFC 9111, 4.4).
func (h *handler) pass(w http.ResponseWriter, r *http.Request, req *rules.Request, reason Reason) {
	p := h.newPassage(w, r, req, &account{status: Dynamic, forward: reason, reason: reason, came: time.Now()})
	if reason == rules.Excepted {
		p.in.edge = h.edge // another handler of this Edge behind this one may see another path
	}
	// Once more when the handler is done, however it ends: it may write before it commits.
	defer func() {
		if !p.silent {
			p.invalidate()
		}
	}()
	p.run()
}

// head passes a HEAD request on that could not be answered from what is stored. Its answer is never stored, but tells whether what is stored for GET still holds (RFC 9111, 4.3.5).
func (h *handler) head(w http.ResponseWriter, r *http.Request, req *rules.Request, k []byte, old *variant, reason Reason) {
	p := h.newPassage(w, r, req, &account{status: Miss, forward: reason, reason: reason, came: time.Now()})
	p.in.edge = h.edge
	if h.edge.config.Compress {
		get := *req
		get.Head = false
		p.get = &get
	}
	if old != nil {
		p.account.status = Expired
		p.check = &headCheck{key: bytes.Clone(k), old: old, outer: w.Header().Clone(), given: record.Note(w.Header()), began: h.edge.fence.now()}
		p.inner.Header = r.Header.Clone() // the handler may change it; the variant is that of what came in
		if req.Steering {
			req.RemoveDirectives(p.inner.Header)
		}
	}
	p.run()
}

func (p *passage) run() {
	defer handBack(p.r, p.inner)
	p.handler.next.ServeHTTP(p.Init(p.w, p), p.inner)
	handBack(p.r, p.inner)
	if p.Committed() || p.handler.isOutermost(p.r) {
		p.Finish()
	} else {
		p.unwritten()
	}
}

// Commit looks at the answer when its header is complete.
func (p *passage) Commit(status int) {
	p.status = status
	h := p.w.Header()
	delete(h, originErrorField)
	if p.silent {
		p.handler.edge.markPersonal(h, &p.req, status)
		p.invalidate()
		p.handler.edge.hideTags(h)
		return
	}
	p.r.Pattern = p.inner.Pattern
	if p.in.seat.claimed(h, p.r) {
		came := p.account.came
		p.account = p.in.seat.account
		p.account.came = came
	} else {
		// A handler whose client has left may say anything.
		if c := p.check; c != nil && status == http.StatusOK && p.r.Context().Err() == nil {
			u := update{outer: c.outer}
			u.fields, u.edits = c.given.Own(h)
			p.handler.edge.updateByHead(c.key, c.old, field.Canonical(h), &u, &p.req, p.r, c.began, p.account.came)
		}
		if p.get != nil {
			p.handler.edge.describeHead(h, p.get, status, p.account.came)
		}
		p.handler.edge.markPersonal(h, &p.req, status)
	}
	if field.IsIncremental(h["Incremental"]) {
		p.PushOut()
	}
	p.invalidate() // before the client learns that its write succeeded, so that it cannot read what was there before
	p.handler.edge.report(h, p.r, &p.account, p.room[:0])
}

func (p *passage) invalidate() {
	if !p.req.Unsafe {
		return
	}
	h := p.w.Header()
	if groups := h[groupInvalidation]; len(groups) > 0 {
		p.hidden = groups
	} else if p.hidden != nil {
		h = maps.Clone(h)
		h[groupInvalidation] = p.hidden
	}
	p.handler.edge.invalidate(p.r, &p.in.seat, p.status, h)
}
