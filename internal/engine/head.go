package engine

import (
	"errors"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/record"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// Some routers have different handlers for GET and HEAD, and the cache may stand inside of the
// router. So a HEAD makes the handler run with a GET only if nothing stands outside of the cache.
// Otherwise it is answered from the stored response to a GET, or passed on as it is; it changes
// nothing that is stored, and starts no refresh that could.

// fetches reports whether a request may run the handler for the store. A HEAD may only if a GET
// would reach the same handler.
func (h *handler) fetches(r *http.Request, req *rules.Request) bool {
	return !req.Head || h.isOutermost(r)
}

// passHead passes a HEAD on to a handler that may not be that of GET. The response is not stored,
// and says nothing about what is.
func (h *handler) passHead(w http.ResponseWriter, r *http.Request, req *rules.Request, stale bool, forward Reason) {
	a := cacheStatus{status: Miss, forward: forward, reason: rules.Head, received: time.Now()}
	if stale {
		a.status = Expired
	}
	p := h.newPass(w, r, req, &a)
	p.in.edge = h.engine
	if h.engine.config.Compress {
		get := *req
		get.Head = false
		p.get = &get
	}
	p.run()
}

// asGet makes inner a GET, for a client that sent HEAD. Ranges are for GET only (RFC 9110, 14.2).
func (f *fetch) asGet(inner *http.Request) {
	inner.Method = http.MethodGet
	if slot := &f.in.slot; len(slot.header["Range"]) > 0 {
		slot.header = slot.header.Clone()
		f.req.Scope.Remove(slot.header, "Range", "If-Range")
	}
}

// headOnly sends the header, which is all that the client of a HEAD wants.
func (f *fetch) headOnly() {
	f.length = -1
	f.writeHeader()
	f.clientState = answered
}

// endHead ends the run for a HEAD whose response will not be stored. The rest of it is not needed.
func (f *fetch) endHead(reason Reason) {
	if f.clientState == pending || f.clientState == waiting {
		f.unkept = reason
		f.headOnly()
		_ = http.NewResponseController(f.w).Flush()
	}
	f.Stop()
	f.halt()
}

// sendDirect sends the header of a response that is passed on. For a HEAD it ends the run.
func (f *fetch) sendDirect() {
	if f.req.Head && !f.asHead {
		f.Bodiless()
	}
	f.Send()
	f.halt()
}

// takesNoGet reports whether this status of a response to a GET says that the URL may have other
// methods only, such as HEAD.
func takesNoGet(status int) bool {
	return status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented
}

// withoutGet runs the handler again with the HEAD itself if it takes no GET, and passes on its
// response to that.
func (f *fetch) withoutGet(status int, header http.Header) {
	if !f.asHead {
		f.asHead, f.next = true, askAgain
		f.Discard()
		return
	}
	f.passOn(status, field.Canonical(header), rules.Head)
}

// halt tells the handler of a HEAD, by its context, that the rest of the response is not needed.
func (f *fetch) halt() {
	if f.req.Head && !f.asHead {
		f.cut = true
		f.stop(record.ErrEnough)
	}
}

// forgo ends the flight of a run that was cut.
func (f *fetch) forgo() {
	f.place.leave()
	f.flight.Finish()
	f.response.body.Close(errEnded)
	if f.response.body.Outgrown() {
		f.outgrown()
	}
}

// afterCut keeps a panic of a handler whose run was cut from the client, which has got all that it
// wants: ReverseProxy panics when it cannot go on. again says that the handler must run again.
func (f *fetch) afterCut(p any) (again bool) {
	if err, _ := p.(error); !errors.Is(err, http.ErrAbortHandler) && !errors.Is(err, record.ErrEnough) {
		f.handler.engine.logPanic(f.r, p, "edgecache: handler panicked after its client had got all that it wanted")
	}
	if f.next == keep {
		f.forgo()
	}
	return f.next == askAgain
}
