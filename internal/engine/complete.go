package engine

import (
	"errors"
	"fmt"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/rules"
)

var (
	errEnded      = errors.New("edgecache: the handler's context ended before it returned, so its response may be truncated and was not stored")
	errIncomplete = errors.New("edgecache: the body is not as long as its Content-Length, or a write of it panicked, so the response was not stored: write as many bytes as it says")
	errAborted    = errors.New("edgecache: the handler panicked or ended its goroutine, so its response was not stored")
	errOriginLate = errors.New("edgecache: OriginError was called after the first byte of the body, so the response was not stored: call it before the first write")
)

// lateError is an error status that the handler set after the header.
type lateError int

func (s lateError) Error() string {
	return fmt.Sprintf("edgecache: status %d was set after the header had gone out with another one, so the response was not stored: find out what can fail before the first byte, for instance by rendering into a buffer", int(s))
}

// complete ends a fetch whose handler returned normally. again says that the handler must run
// again.
func (f *fetch) complete() (again bool) {
	switch f.next {
	case askAgain:
		return true
	case useStale:
		f.serveStale(f.broken)
	case refresh:
		f.freshen()
	case keep:
		if f.cut {
			f.forgo()
		} else {
			f.completeKept()
		}
	case passOn:
	}
	return false
}

// completeKept stores a response that its handler has written to the end, and gives the client the
// rest.
func (f *fetch) completeKept() {
	e := f.handler.engine
	err := f.end()
	if err != nil {
		// Before waiters learn that the response is lost: they must not join this flight again.
		f.flight.Finish()
	}
	f.response.body.Close(err)
	if failed, broken := f.failed(err); failed && f.mayServeStale(broken) {
		f.serveStale(broken)
		return
	}
	late := e.tooLate(f.inner, f.Said("Cache-Control"), f.Header()["Cache-Control"])
	var v *cache.Variant
	lost := rules.None // why v is not kept
	body, whole := f.response.body.Object()
	switch {
	case whole && !late:
		v, lost = f.publish(body)
	case errors.Is(err, errEnded): // what the handler made says nothing about the next response
	case late:
		f.noteHitForMiss(rules.NoStore)
	case f.response.body.Outgrown():
		f.outgrown()
	}
	f.place.leave()
	f.flight.Finish() // later requests do not wait for a slow client of this one
	f.finish(v)
	if v == nil {
		lost = f.lostFor(err, late)
	}
	f.tellUnkept(lost, err)
}

// lostFor returns why a response is not kept: because it is not whole, as err says, or because the
// handler restricted it in Cache-Control when the header had gone out (late).
func (f *fetch) lostFor(err error, late bool) Reason {
	switch {
	case late:
		return rules.NoStore
	case errors.Is(err, errIncomplete):
		return rules.Incomplete
	case f.unkept != rules.None:
		return f.unkept
	}
	return rules.Aborted
}

// publish stores the response with this body in memory and in the second level. lost says why it is
// not in memory.
func (f *fetch) publish(body object.Body) (v *cache.Variant, lost Reason) {
	e := f.handler.engine
	v = e.cache.NewVariant(f.response.sealed(body, f.old), tagNames(f.response.groups, f.key), f.flight.Gen, f.r.Pattern)
	v.SetMadeFor(&f.prefers, f.reason == rules.Accept)
	e.cache.Inherit(v, f.old, f.key)
	if f.reason == rules.Accept && e.cache.Repeats(f.key, v, &f.req, f.now) {
		return v, rules.None // a stored response answers the next such request already
	}
	if e.cache.AskedAgain(f.key, v, f.flight.Joined()) {
		v.Touch()
	}
	if e.cache.Publish(f.key, v, f.old, f.class) {
		f.response.body.Stored(v.Body)
	} else if lost = rules.Busy; f.purged(v) {
		lost = rules.Purged
	}
	f.putL2(v)
	return v, lost
}

// tellUnkept reports that a response is not kept although it was announced as stored. err is what
// was wrong with it.
func (f *fetch) tellUnkept(reason Reason, err error) {
	if f.stored && reason != rules.None {
		f.handler.engine.tell(Event{Kind: Unkept, Request: f.r, Pattern: f.pattern(), Reason: reason, Err: err})
	}
}

// end returns nil if the handler wrote the whole response, and otherwise what is wrong with it.
func (f *fetch) end() error {
	if f.ended() {
		// Whatever length it declared: a handler that gives up may well send a shorter response.
		return errEnded
	}
	if late := f.Late(); late != 0 {
		return lateError(late)
	}
	if _, broken := f.Header()[OriginErrorField]; broken {
		return errOriginLate
	}
	if !f.Complete() {
		return errIncomplete
	}
	return nil
}

// failed reports err, which says why a response is not whole, and whether the handler failed. Then
// a stale response may be served instead. broken says that there was no answer at all, or only a
// part of one.
func (f *fetch) failed(err error) (failed, broken bool) {
	if err == nil || f.abandoned() {
		return false, false
	}
	ev := Event{Kind: Failed, Request: f.r, Pattern: f.pattern(), Reason: rules.Incomplete, Err: err}
	failed, broken = true, true
	late := lateError(0)
	switch {
	case errors.As(err, &late):
		ev.Kind, ev.Reason = Warned, rules.Aborted
		failed, broken = isFailure(int(late)), false
	case errors.Is(err, errOriginLate):
		ev.Kind, ev.Reason = Warned, rules.Aborted
	case !errors.Is(err, errIncomplete):
		return failed, broken // a deadline has passed: that is no news
	}
	if ev.Kind == Warned {
		f.handler.engine.warnedOf(ev)
	} else {
		f.handler.engine.tell(ev)
	}
	return failed, broken
}
