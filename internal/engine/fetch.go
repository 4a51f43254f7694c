package engine

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/flight"
	"github.com/edgecache-go/edgecache/internal/l2"
	"github.com/edgecache-go/edgecache/internal/record"
)

// result is what a flight tells its waiters: one of these.
type result struct {
	response  *response      // in progress
	stored    *cache.Variant // is in memory, and may be used
	confirmed bool           // by a 304
	failed    bool           // the handler failed: waiters that may use a stale response should
	broken    bool           // and gave no answer at all
	again     bool           // the handler's context ended early: one of the waiters leads
}

// fetch runs the handler for one client, for the waiters and for the cache.
//
// The handler gets a plain GET: the client's conditions and ranges are taken off the request, so
// that the response is whole, and are then answered from it. The handler runs in the goroutine of
// its client's request, so its panic reaches that client's server loop and no other. A response
// that may be stored goes into a growing body, from which a second goroutine serves the client as
// soon as that is worth it: a slow client holds up neither the handler nor the waiters.
//
// Its parts lie in one struct, so that they are one allocation (BenchmarkMiss).
type fetch struct {
	record.Fill
	exchange
	handlerRun
	verdict
	delivery
	key    []byte // in name
	own    flight.Flight[result]
	flight *flight.Flight[result] // own, or that of a refresh
	place  place                  // while the handler runs for the cache
	posts  bool                   // the request is a POST
	asHead bool                   // the handler gets the HEAD as it is, since it takes no GET
}

// handlerRun is one run of the handler. A fetch has a second one if the first did not answer it.
type handlerRun struct {
	in       *innerContext           // what is passed on with the request
	ctx      context.Context         // the handler's
	stop     context.CancelCauseFunc // ends ctx; nil unless the client wants a part, or is a HEAD
	inner    *http.Request           // as the handler gets it
	snapshot requestSnapshot
	start    time.Time
	mark     l2.Mark // where the purges of the second level stood
	silent   bool    // the handler returned without writing: see unwritten
	cut      bool    // the run was ended because its client, a HEAD, wants no more: see endHead
}

// verdict is what happens to the handler's response.
type verdict struct {
	now          time.Time // when the header came
	next         plan
	broken       bool        // if next is useStale: there was no answer at all
	unkeyed      bool        // it could be stored, but for what the handler saw: see passesUnkeyed
	response     *response   // if next is keep
	responseRoom response    // for response
	grown        flight.Body // for its body
	unkept       Reason      // why the response is not kept after all
	stored       bool        // it was announced as stored
	fields       http.Header // what the handler itself put on a 304
	edits        field.Edits // what it did there to the fields of middleware outside
}

// plan is where the handler's response goes.
type plan uint8

const (
	passOn   plan = iota // to the client only
	keep                 // to the client, to the waiters and to the store
	refresh              // a 304: the stored response still holds
	useStale             // an error: the stored response is better
	askAgain             // nowhere: the handler runs again, with another request
)

// lead runs the handler, answers the client and tells the waiters.
func (f *fetch) lead(fl *flight.Flight[result]) {
	f.flight = fl
	defer fl.Finish()
	defer f.leaveBody()
	if f.restore() {
		return
	}
	e := f.handler.engine
	if !f.background && !f.alone { // refreshes have a limit of their own
		var ok bool
		if f.place, ok = e.places.enter(f.handler.next, f.r); !ok {
			f.alone = true
		}
	}
	defer f.place.leave()
	f.in = newInnerContext(f.r)
	f.in.edge, f.in.Context, f.in.refreshes = e, &f.in.own, f.background
	fl.Begin(&f.in.own, f.r.Context())
	defer fl.End()
	ctx := context.Context(f.in)
	if at, ok := f.r.Context().Deadline(); ok && f.background {
		// A flight has only the values of its leader's context. The deadline of a refresh is for all that
		// join it.
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, at)
		defer cancel()
	}
	if f.req.Head {
		ctx, f.stop = context.WithCancelCause(ctx)
		defer f.stop(nil)
	}
	f.ctx = ctx
	for f.run() {
		// The handler confirmed another response than the stored one (RFC 9111, 4.3.4), takes no GET, or
		// must answer a range itself. Nothing has been sent. It runs again without our condition.
		f.old, f.ctx = nil, ctx
	}
}

// ended reports whether the handler's context has ended: every client left before the header, a
// deadline of middleware outside passed, or the response took too long to finish for the store
// alone. What the handler says after that may only be that it gives up, so it is for the handler's
// own client at most.
func (f *fetch) ended() bool { return f.ctx.Err() != nil }

// abandoned reports whether the context has ended because the clients left. A failure of the
// handler is then not one of the origin. After a deadline it is: the handler was too slow.
func (f *fetch) abandoned() bool {
	err := f.ctx.Err() // in a refresh it may report the deadline before the client's context does
	return err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(f.r.Context().Err(), context.DeadlineExceeded)
}

// run calls the handler once and handles its response. again says that the handler must run again.
func (f *fetch) run() (again bool) {
	f.start = time.Now()
	f.next = passOn
	f.markL2()
	if f.plainGET && f.req.Range {
		f.ctx, f.stop = context.WithCancelCause(f.ctx) // it ends with its parent
	}
	inner := f.passedOn()
	f.inner = inner
	writer := f.Init(f.w, f)
	returned := false
	defer func() {
		if returned {
			return
		}
		if f.cut || f.Stopped() {
			if p := recover(); p != nil {
				again = f.afterCut(p)
				return
			}
		}
		if f.old != nil && f.unsent() {
			if p := recover(); p != nil {
				again = false
				f.afterPanic(p)
				return
			}
		}
		f.abort()
	}()
	defer handBack(f.r, inner)
	f.handler.next.ServeHTTP(writer, inner)
	if f.unwritten() {
		returned = true
		f.r.Pattern = inner.Pattern
		return false
	}
	f.Finish()
	returned = true
	handBack(f.r, inner) // before events, which carry the pattern
	return f.complete()
}

// passedOn returns the request for the handler. The header is the client's own where that is safe:
// see requestSnapshot.
func (f *fetch) passedOn() *http.Request {
	inner := f.in.request(f.r, f.ctx)
	if f.inner != nil {
		own := *f.r.URL // the handler had the other one in its first run
		inner.URL = &own
	}
	if f.req.Head && !f.asHead {
		f.asGet(inner)
	}
	if !f.asks() && !f.req.Conditional && !f.req.Range && !f.removesDirectives() && f.handler.engine.config.Observer == nil && writerIgnoresRequest(f.w) && !f.req.Scope.Respelled() && f.snapshot.take(f.r.Header) {
		if f.removesUnkeyed() {
			inner.Header = f.handler.engine.rules.WithoutUnkeyed(&f.req, f.r.Header)
		}
		return inner
	}
	f.snapshot.taken = false
	inner.Header = f.r.Header.Clone()
	if f.removesDirectives() {
		f.req.RemoveDirectives(inner.Header)
	}
	if f.removesUnkeyed() {
		f.handler.engine.rules.RemoveUnkeyed(&f.req, inner.Header)
	}
	if f.plainGET {
		f.req.Plain(inner.Header)
	}
	if f.asks() {
		f.ask(inner.Header)
	}
	return inner
}

// removesDirectives reports whether directives that do not count are taken off the request. A POST
// keeps them: its response may be stored, too, but nothing else of that request is in its key
// either.
func (f *fetch) removesDirectives() bool { return f.req.Steering && !f.posts }

// removesUnkeyed reports whether cookies and fields that the application does not read are taken
// off the request. A request that is passed on keeps them: a POST, and a request for a response
// that could not be stored lately, see passesUnkeyed.
func (f *fetch) removesUnkeyed() bool { return f.req.Unkeyed() && f.plainGET && !f.posts }

// passesUnkeyed reports whether the handler sees fields that are not in the key, so that its
// response must not be stored.
func (f *fetch) passesUnkeyed() bool { return f.req.Unkeyed() && !f.plainGET && !f.posts }

// asks reports whether the handler is asked whether the stored response still holds.
func (f *fetch) asks() bool { return f.plainGET && f.old != nil && f.old.Asks() }

// ask adds the conditions for that to h.
func (f *fetch) ask(h http.Header) {
	v := f.old.Validators()
	v.Ask(h)
}
