package engine

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/flight"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/partial"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// collapse answers the client with the result of a flight that it waited for. gen is where the
// purge sequence stood when the request came. If done is false, the request must go on by itself.
// If next is not nil, another wait is worth it: for a flight with the same values of the fields
// that next names.
func (x *exchange) collapse(fl *flight.Flight[result], res result, outcome flight.Outcome, gen uint64) (done bool, next []string) {
	reading := false
	defer func() {
		if reading {
			fl.DoneReading()
		} else {
			fl.Leave()
		}
	}()
	switch {
	case outcome == flight.Left:
		x.gone = true
		return true, nil
	case outcome != flight.Shared:
		return false, nil
	case res.failed && x.serveStaleCollapsed(res.broken):
		return true, nil
	case res.again:
		return false, waitAgain(x.expected.vary)
	case res.failed:
		return false, nil
	case res.stored != nil:
		return x.collapseStored(fl, &res, gen)
	}
	return x.collapseGrowing(fl, res.response, gen, func() { reading = true; fl.StartedReading() })
}

// waitAgain returns vary for another wait with the same fields. It is never nil.
func waitAgain(vary []string) []string { return append([]string{}, vary...) }

// serveStaleCollapsed answers with the stored response because the handler of the flight failed.
func (x *exchange) serveStaleCollapsed(broken bool) bool {
	now := time.Now()
	if x.old == nil || !x.old.UsableOnError(&x.handler.engine.rules, &x.req, broken, now) {
		return false
	}
	a := x.newStatus(Stale, rules.StaleIfError)
	a.collapsed = true
	if broken {
		a.reason = rules.StaleUnreachable
	}
	x.handler.engine.deliver(x.w, x.r, &x.req, x.old, now, &a)
	return true
}

// collapseStored is collapse for a flight with a stored response.
func (x *exchange) collapseStored(fl *flight.Flight[result], res *result, gen uint64) (done bool, next []string) {
	v, now := res.stored, time.Now()
	switch {
	case x.late(fl, v.TagNames(), gen) || v.Gen < fl.Gen && x.purged(v):
		return false, waitAgain(v.Vary())
	case v.Rank(&x.prefers) == 0:
		return false, byPreference(v.Vary())
	case nonceOutside(x.w.Header(), v) || !x.fits(&v.Terms, v.Vary(), v.Selector().Variant, now):
		return false, nil
	}
	a := x.collapsedStatus(v.Terms.TTL(now))
	if res.confirmed {
		a.fwdStatus = http.StatusNotModified
	}
	x.handler.engine.deliver(x.w, x.r, &x.req, v, now, &a)
	return true, nil
}

// collapseGrowing is collapse for a response in progress. It calls started when the client begins
// to read.
func (x *exchange) collapseGrowing(fl *flight.Flight[result], resp *response, gen uint64, started func()) (done bool, next []string) {
	now := time.Now()
	switch {
	case string(key.Values(nil, resp.meta.Vary, x.r.Header, &x.req.Scope)) != resp.variant:
		return false, resp.meta.Vary
	case !resp.answers(&x.prefers):
		return false, byPreference(resp.meta.Vary)
	case x.late(fl, tagNames(resp.groups, x.name.bytes()), gen):
		return false, waitAgain(resp.meta.Vary) // a request from after the purge renders it for all of them
	case nonceOutside(x.w.Header(), resp.edits) || !x.fits(&resp.meta.Terms, resp.meta.Vary, resp.variant, now):
		return false, nil
	}
	done, retry := x.readAlong(resp, now, started)
	if !done && retry {
		return false, waitAgain(resp.meta.Vary)
	}
	return done, nil
}

// fits reports whether a response that was made for another request may answer this one: it matches
// by Vary and by the client's credentials, and is fresh.
func (x *exchange) fits(t *rules.Terms, vary []string, variant string, now time.Time) bool {
	if string(key.Values(nil, vary, x.r.Header, &x.req.Scope)) != variant {
		return false
	}
	action, reason := t.Reuse(&x.handler.engine.rules, &x.req, now)
	// A stale response that max-stale admits is not a hit.
	return action == rules.Serve && reason == rules.Fresh
}

// readAlong answers the client from a response that is being made for another request. It calls
// started when the client begins to read. done is false if the response is lost before the client
// got any of it; again then says that one of the waiters should lead.
func (x *exchange) readAlong(resp *response, now time.Time, started func()) (done, again bool) {
	ctx := x.r.Context()
	want, part := resp.wanted(x.r, &x.req, now)
	if x.req.Head && want == wantsAll && resp.declared < 0 {
		want = wantsWhole // the whole body tells the length
	}
	var reader *flight.Reader
	switch want {
	case wantsWhole:
		if reader = resp.body.Reader(); reader == nil {
			return false, false
		}
		defer reader.Close()
		err := resp.body.Done(ctx)
		switch {
		case err == nil:
			x.deliverWhole(resp, now)
			return true, false
		case errors.Is(err, flight.ErrLive):
			return false, false
		case !errors.Is(err, flight.ErrOutgrown):
			return x.lost(err)
		}
		// It is never there as a whole. All of it, as it comes, answers any request (RFC 9110, 14.2).
	case wantsPart, wantsAll:
		// Until there is enough to send, a response that breaks off can still be fetched again.
		if err := resp.body.Ready(ctx, sendAt); err != nil {
			return x.lost(err)
		}
	case wantsNothing:
	}
	if reader == nil {
		if reader = resp.body.Reader(); reader == nil {
			return false, false // it has outgrown what is kept: too late to join
		}
		defer reader.Close()
	}
	started()
	x.copyAlong(resp, reader, want, part, now)
	return true, false
}

// deliverWhole answers from a response whose body has just ended.
func (x *exchange) deliverWhole(resp *response, now time.Time) {
	e := x.handler.engine
	body, _ := resp.body.Object()
	a := x.collapsedStatus(resp.meta.TTL(now))
	e.deliver(x.w, x.r, &x.req, e.cache.NewVariant(resp.sealed(body, nil), nil, 0, ""), now, &a)
}

// copyAlong sends the client the part that it wants of a response in progress, as it comes.
func (x *exchange) copyAlong(resp *response, reader *flight.Reader, want want, part field.Range, now time.Time) {
	e, h := x.handler.engine, x.w.Header()
	status, length := resp.status, int64(-1)
	e.applyHeader(h, resp.header, resp.edits)
	h["Age"] = []string{strconv.FormatInt(int64(resp.meta.Age(now)/time.Second), 10)}
	switch want {
	case wantsNothing:
		status = http.StatusNotModified
		dropRepresentationHeaders(h)
	case wantsPart:
		status, length = http.StatusPartialContent, part.Length
		h["Content-Range"] = []string{partial.ContentRange(part, resp.declared)}
		h["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	case wantsAll, wantsWhole:
		part = field.Range{}
	}
	resp.describe(h, x.r, &x.req, want == wantsNothing, now)
	a := x.collapsedStatus(resp.meta.TTL(now))
	e.report(h, x.r, &a, nil)
	x.w.WriteHeader(status)
	if want == wantsNothing || x.req.Head || !object.BodyAllowed(status) {
		return
	}
	err := copyBody(x.r.Context(), x.w, reader, part.Start, length)
	reader.Close()
	if err != nil || reader.LetGo() {
		panic(http.ErrAbortHandler) // the client must not take a truncated response for a whole one
	}
}

// lost handles a response that broke off before the client got any of it. A stale response is
// served where that is allowed: otherwise every waiter would run into the same failure. again says
// that the handler's context had ended, so that one of the waiters should lead.
func (x *exchange) lost(err error) (done, again bool) {
	if x.r.Context().Err() != nil && errors.Is(err, context.Cause(x.r.Context())) {
		x.gone = true
		return true, false
	}
	now := time.Now()
	if !x.staleUsable(true, now) {
		return false, errors.Is(err, errEnded)
	}
	a := x.newStatus(Stale, rules.StaleUnreachable)
	a.collapsed = true
	x.handler.engine.deliver(x.w, x.r, &x.req, x.old, now, &a)
	return true, false
}

// giveUp ends a request whose context ended while it waited. A client that has left gets no answer.
// A deadline is for the handler to report, which would have seen it, too.
func (x *exchange) giveUp() {
	if errors.Is(x.r.Context().Err(), context.DeadlineExceeded) {
		x.alone = true
		x.leadAlone()
		return
	}
	panic(http.ErrAbortHandler)
}

// collapsedStatus is the status of a request that another one's response answers. The handler did
// not run for it, so to its client that is a hit.
func (x *exchange) collapsedStatus(ttl time.Duration) cacheStatus {
	a := x.newStatus(Hit, rules.Collapsed)
	a.collapsed, a.ttl, a.hasTTL = true, ttl, true
	return a
}
