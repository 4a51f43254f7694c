package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/edgecache-go/edgecache/internal/rules"
)

// isFailure reports whether a status is an error in the sense of stale-if-error (RFC 5861, 4).
func isFailure(status int) bool {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// abort ends a fetch whose handler panicked or called runtime.Goexit. The panic goes on.
func (f *fetch) abort() {
	f.closeBody()
	if f.clientState == sending {
		<-f.pumped
	}
	f.tellUnkept(rules.Aborted, errAborted)
}

func (f *fetch) closeBody() {
	if f.response != nil {
		f.response.body.Close(errAborted)
	}
}

// unsent reports whether the client has got nothing yet, so that it can still get another response.
func (f *fetch) unsent() bool {
	switch {
	case f.Hijacked() || f.Committed() && f.next == passOn:
		return false
	}
	return f.clientState == pending || f.clientState == waiting
}

// mayServeStale reports whether the client may get the stale response instead of a broken one.
// broken says that the handler gave no response at all.
func (f *fetch) mayServeStale(broken bool) bool {
	return f.unsent() && f.staleUsable(broken, time.Now())
}

// afterPanic serves the client a stale response after a panic of the handler, if it can.
func (f *fetch) afterPanic(p any) {
	// A proxy panics with http.ErrAbortHandler if its origin broke off. Any other panic is an error
	// like a 500.
	err, _ := p.(error)
	broken := errors.Is(err, http.ErrAbortHandler)
	switch {
	case f.abandoned():
		f.abort()
		panic(p)
	case f.mayServeStale(broken):
		if !broken {
			// net/http does not see this panic, and cannot log it.
			f.handler.engine.logPanic(f.r, p, "edgecache: handler panicked, served a stale page instead")
		}
		f.closeBody()
		f.shareFailure(broken)
		f.serveStale(broken)
	case broken && f.old.Terms.ForbidsStale():
		f.closeBody()
		f.handler.engine.gatewayTimeout(f.w, f.r, f.reason, "The origin gave no answer, and the stored page must not be used past its time.")
	default:
		f.abort()
		panic(p)
	}
}

// shareFailure tells the waiters that the handler has failed.
func (f *fetch) shareFailure(broken bool) {
	f.flight.Share(result{failed: true, broken: broken, again: f.ended()})
}

func (e *Engine) logPanic(r *http.Request, p any, what string) {
	e.tell(Event{Kind: Failed, Request: r, Reason: rules.Aborted, Err: fmt.Errorf("%s: %v", what, p)})
	e.config.Logger.LogAttrs(r.Context(), slog.LevelError, what,
		slog.Any("panic", p), slog.String("url", r.URL.String()), slog.String("stack", string(debug.Stack())))
}

// serveStale delivers the stale response because the handler failed.
func (f *fetch) serveStale(broken bool) {
	now := time.Now()
	f.old.Failed(broken, now)
	f.flight.Finish() // the client may be slow, and the next request may have better luck
	f.leaveBody()     // for the same reason
	a := f.newStatus(Stale, rules.StaleIfError)
	if broken {
		a.reason = rules.StaleUnreachable
	}
	if f.Committed() {
		a.fwdStatus = f.Status()
	}
	f.handler.engine.deliver(f.w, f.snapshot.request(f.r), &f.req, f.old, now, &a)
}

// OriginErrorField marks a response that stands for no response of the origin at all. It never
// leaves the cache.
const OriginErrorField = "Edgecache-Origin-Error"
