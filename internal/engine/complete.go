package engine

import (
	"errors"
	"fmt"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/rules"
)

var (
	errEnded      = errors.New("edgecache: the handler's context had ended, so what it made may be less than the response")
	errIncomplete = errors.New("edgecache: body is not as long as its Content-Length, or a write of it panicked")
	errAborted    = errors.New("edgecache: handler did not return normally")
	errOriginLate = errors.New("edgecache: OriginError was called after the first byte of the body, so the page was not stored")
)

// lateError is an error status that came after the header.
type lateError int

func (s lateError) Error() string {
	return fmt.Sprintf("edgecache: status %d was said after the header, which said another, so the page was not stored: find out what can fail before the first byte, for instance by rendering into a buffer", int(s))
}

// complete ends a fetch whose handler returned normally.
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

// completeKept stores a response whose handler has written all of it, and gives the client the rest.
func (f *fetch) completeKept() {
	e := f.handler.engine
	err := f.end()
	if err != nil {
		f.flight.Finish() // before waiters learn that this response is lost: they must not find it again
	}
	f.response.body.Close(err)
	if failed, broken := f.failed(err); failed && f.mayServeStale(broken) {
		f.serveStale(broken)
		return
	}
	late := e.tooLate(f.inner, f.Said("Cache-Control"), f.Header()["Cache-Control"])
	var v *cache.Variant
	lost := rules.None // why it is not kept
	body, whole := f.response.body.Object()
	switch {
	case whole && !late:
		v, lost = f.publish(body)
	case errors.Is(err, errEnded): // what the handler made says nothing about the next response
	case late:
		f.refuse(rules.NoStore)
	case f.response.body.Outgrown():
		f.outgrown()
	}
	f.place.leave()
	f.flight.Finish() // its client may be slow; that is no reason for others to wait for what is past
	f.finish(v)
	if v == nil {
		lost = f.lostFor(err, late)
	}
	f.tellUnkept(lost, err)
}

// lostFor says why a response that is not whole, for the reason err, or late, is not kept.
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

// publish stores the response, whose body this is, in both levels. lost says why it is not in memory.
func (f *fetch) publish(body object.Body) (v *cache.Variant, lost Reason) {
	e := f.handler.engine
	v = e.cache.NewVariant(f.response.sealed(body, f.old), tagNames(f.response.groups, f.key), f.flight.Began, f.r.Pattern)
	v.SetMadeFor(&f.prefers, f.reason == rules.Accept)
	e.cache.Inherit(v, f.old, f.key)
	if f.reason == rules.Accept && e.cache.Repeats(f.key, v, &f.req, f.now) {
		return v, rules.None // what is stored already answers the next request of this kind
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

// tellUnkept tells that a response is not kept, for the given reason, if it was announced as stored. err is what was wrong with it.
func (f *fetch) tellUnkept(reason Reason, err error) {
	if f.stored && reason != rules.None {
		f.handler.engine.tell(Event{Kind: Unkept, Request: f.r, Pattern: f.pattern(), Reason: reason, Err: err})
	}
}

// end says whether the body that the handler wrote is the whole response.
func (f *fetch) end() error {
	if f.ended() {
		return errEnded // whatever length it declared: a handler that gives up may well give a shorter response
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

// failed tells of a page that is not whole, for the reason err, and reports whether the handler failed: then a stale page may stand in for it, as for no answer at all if broken.
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
		return failed, broken // a deadline had passed: that is no news
	}
	if ev.Kind == Warned {
		f.handler.engine.warnedOf(ev)
	} else {
		f.handler.engine.tell(ev)
	}
	return failed, broken
}
