package engine

import (
	"errors"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/record"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// For some routers GET and HEAD have different handlers, and the cache may stand inside of the router. So a HEAD fetches, by a GET, only where
// nothing stands outside of the cache. Elsewhere it is answered from what a GET has stored, or passed on as it is; neither it nor
// a refresh that it could start changes anything that is stored.

// fetches reports whether a request may have the handler run for the store: a HEAD only if a GET would reach the same handler.
func (h *handler) fetches(r *http.Request, req *rules.Request) bool {
	return !req.Head || h.isOutermost(r)
}

// passHead passes a HEAD on, to a handler that may be another than that of GET. Its answer is not stored, and says nothing about what is.
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

// asGet makes inner, for a client that has sent HEAD, the GET that its handler gets. Ranges are of GET only (RFC 9110, 14.2).
func (f *fetch) asGet(inner *http.Request) {
	inner.Method = http.MethodGet
	if seat := &f.in.slot; len(seat.header["Range"]) > 0 {
		seat.header = seat.header.Clone()
		f.req.Scope.Remove(seat.header, "Range", "If-Range")
	}
}

// headOnly gives the client all that it wants.
func (f *fetch) headOnly() {
	f.length = -1
	f.writeHeader()
	f.clientState = answered
}

// endHead ends the run for a HEAD whose response is not going to be stored. Nobody wants the rest of it.
func (f *fetch) endHead(reason Reason) {
	if f.clientState == pending || f.clientState == waiting {
		f.unkept = reason
		f.headOnly()
		_ = http.NewResponseController(f.w).Flush()
	}
	f.Stop()
	f.halt()
}

// sendDirect sends the header of a response that is passed on. A HEAD ends the run then.
func (f *fetch) sendDirect() {
	if f.req.Head && !f.asHead {
		f.Bodiless()
	}
	f.Send()
	f.halt()
}

// takesNoGet reports whether an answer to a GET says that the URL may be for other methods only, such as HEAD.
func takesNoGet(status int) bool {
	return status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented
}

// withoutGet has the handler asked by HEAD when it takes no GET, and passes on what it says to that.
func (f *fetch) withoutGet(status int, header http.Header) {
	if !f.asHead {
		f.asHead, f.next = true, askAgain
		f.Discard()
		return
	}
	f.passOn(status, field.Canonical(header), rules.Head)
}

// halt tells the handler of a HEAD, by its context, that nobody waits for the rest.
func (f *fetch) halt() {
	if f.req.Head && !f.asHead {
		f.cut = true
		f.stop(record.ErrEnough)
	}
}

// forgo ends the flight of such a run.
func (f *fetch) forgo() {
	f.place.leave()
	f.flight.Finish()
	f.response.body.Close(errEnded)
	if f.response.body.Outgrown() {
		f.outgrown()
	}
}

// afterCut keeps a panic of a handler whose run was cut from the client, who has got all that it wants: ReverseProxy panics when it cannot go
// on. It reports whether the handler is to run again.
func (f *fetch) afterCut(p any) (again bool) {
	if err, _ := p.(error); !errors.Is(err, http.ErrAbortHandler) && !errors.Is(err, record.ErrEnough) {
		f.handler.engine.logPanic(f.r, p, "edgecache: handler panicked after its client had got all that it wanted")
	}
	if f.next == keep {
		f.forgo()
	}
	return f.next == askAgain
}
