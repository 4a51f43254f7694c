package engine

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/flight"
	"github.com/edgecache-go/edgecache/internal/partial"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// sendAt is how much of a body may wait for the handler to return, in bytes. net/http holds back as
// much before it sends the first byte, so no client waits longer than without a cache.
const sendAt = 2048

var errCrowded = errors.New("edgecache: responses in progress have taken the memory that MaxBytes leaves them, so this one was not stored")

// clientState is how far the client's response has come.
type clientState uint8

const (
	pending  clientState = iota // nothing sent; it is sent when the body grows or ends
	waiting                     // nothing sent; the whole body is needed first
	sending                     // the pump runs
	answered                    // all sent
)

// delivery is the client of a fetch, and how far it has got its response.
type delivery struct {
	clientState clientState
	offset      int64         // of the part that the client gets
	length      int64         // of that part; -1 is all there is
	room        [2]string     // for the status fields
	pumped      chan struct{} // closed when the client has got all there was; nil before the pump runs
	pumpErr     error         // why the pump ended early
	pumpLost    any           // the panic of the client's writer
	letGo       bool          // the client was too slow
}

// plan decides how the client of a response that is being stored gets it.
func (f *fetch) plan() {
	p := f.response
	switch want, part := p.wanted(f.r, &f.req, f.now); want {
	case wantsNothing:
		f.notModified(rules.None)
		f.clientState = answered
	case wantsPart:
		f.offset, f.length = part.Start, part.Length
	case wantsWhole:
		f.clientState = waiting
	}
	if f.req.Head && f.clientState == pending {
		// Until it is stored: a client that sends a HEAD often sends the next one at once.
		f.clientState = waiting
	}
}

// newStatus begins to say how this request was answered.
func (f *fetch) newStatus(s Status, reason Reason) cacheStatus {
	a := f.exchange.newStatus(s, reason)
	a.pattern = f.pattern()
	return a
}

// pattern returns the pattern of the route that rendered the response, as far as it is known.
func (f *fetch) pattern() string {
	if f.inner != nil && f.inner.Pattern != "" {
		return f.inner.Pattern
	}
	return f.exchange.pattern()
}

// cacheStatus says how this request was answered from what the handler rendered.
func (f *fetch) cacheStatus(reason Reason) cacheStatus {
	a := f.newStatus(Miss, reason)
	a.stored = f.next == keep && reason == rules.None
	switch {
	case reason == rules.Head:
	case reason != rules.None && reason.Forward() != "miss":
		a.status = Dynamic // the request itself is why
	case reason != rules.None:
		a.status = Bypass
	case f.old != nil:
		a.status = Expired
	}
	if reason == rules.None {
		a.reason = f.reason
		a.ttl, a.hasTTL = f.response.meta.TTL(f.now), true
	}
	f.stored = f.stored || a.stored
	return a
}

// notModified answers the client's own condition from the header of the handler's response.
func (f *fetch) notModified(reason Reason) {
	h := f.w.Header()
	f.ReplaceHeader(h)
	dropRepresentationHeaders(h)
	if f.response != nil {
		f.response.describe(h, f.r, &f.req, true, f.now)
	}
	if f.next == passOn {
		f.handler.engine.markPersonal(h, &f.req, http.StatusNotModified)
	}
	a := f.cacheStatus(reason)
	a.fwdStatus = http.StatusOK
	f.handler.engine.report(h, f.r, &a, f.room[:0])
	f.w.WriteHeader(http.StatusNotModified)
}

// Grow starts to send when the response has become longer than net/http would hold back.
func (f *fetch) Grow(n int) {
	if f.clientState == pending && f.response.body.Size()+int64(n) > sendAt {
		f.send()
	}
	f.leaveIfLive()
}

// leaveIfLive stops waiting for the end of a body that may have none. A client that waits for the
// whole body then gets all of it, which answers any request (RFC 9110, 14.2). A client that has its
// response without the body is done.
func (f *fetch) leaveIfLive() {
	if f.clientState == sending && f.place.taken == nil || !f.response.body.IsLive() {
		return
	}
	f.place.leave() // the body may have no end
	switch f.clientState {
	case answered:
		f.flight.LeaderLeft()
	case pending, waiting:
		f.send()
	case sending:
	}
}

// Outgrow starts to send a response that will not be stored, because it is too large, or because
// bodies in progress have taken the memory that there is for them. A client that waits for the
// whole body gets it as it comes.
func (f *fetch) Outgrow() {
	f.unkept = rules.Busy
	if f.response.body.Size() >= f.response.limit {
		f.unkept = rules.TooLarge
	}
	if f.req.Head {
		f.endHead(f.unkept)
		return
	}
	if f.clientState == pending || f.clientState == waiting {
		f.send()
	}
}

// outgrown ends the fetch of such a response. If there was no memory, that says nothing about the
// next time.
func (f *fetch) outgrown() {
	e := f.handler.engine
	e.counters.outgrown.Add(1)
	if f.response.body.Size() > f.response.limit {
		f.noteHitForMiss(rules.TooLarge)
		return
	}
	e.tell(Event{Kind: Failed, Request: f.r, Pattern: f.pattern(), Reason: rules.Busy, Err: errCrowded})
}

// leaveBody gives the memory of the body back, as soon as those requests are done that read along.
func (f *fetch) leaveBody() {
	if f.response != nil {
		f.response.body.Close(errAborted)
		f.response.body.Leave()
	}
}

// Flush sends what there is.
func (f *fetch) Flush() {
	if f.req.Head && f.Declared() < 0 {
		f.endHead(rules.Head) // a stream, or as long as one
		return
	}
	if f.clientState == pending {
		f.send()
	}
	f.response.body.Flush()
	f.leaveIfLive()
}

// Context is the context of the handler's request.
func (f *fetch) Context() context.Context { return f.inner.Context() }

// send writes the client's header and starts the pump.
func (f *fetch) send() {
	reader := f.response.body.LeaderReader()
	f.clientState = sending
	f.pumped = make(chan struct{})
	begun := false
	defer func() {
		if begun {
			go f.pump(reader)
			return
		}
		// The client's writer has panicked, so the client gets no more. The handler may still go on.
		reader.Close()
		close(f.pumped)
	}()
	if f.unkept == rules.None && f.hitForMiss == rules.TooLarge && f.Declared() < 0 {
		f.unkept = rules.TooLarge // it does not say that it is smaller this time; if it is, it is stored
	}
	f.writeHeader()
	begun = true
}

// writeHeader writes the header of a response that goes to the client as it comes.
func (f *fetch) writeHeader() {
	h := f.w.Header()
	f.ReplaceHeader(h)
	status := f.Status()
	a := f.cacheStatus(f.unkept)
	if f.length >= 0 {
		a.fwdStatus = status
		status = http.StatusPartialContent
		h["Content-Range"] = []string{partial.ContentRange(field.Range{Start: f.offset, Length: f.length}, f.Declared())}
		h["Content-Length"] = []string{strconv.FormatInt(f.length, 10)}
	}
	f.response.describe(h, f.r, &f.req, false, f.now)
	f.handler.engine.report(h, f.r, &a, f.room[:0])
	f.w.WriteHeader(status)
}

// pump carries the body to the client until the body ends, or the client has gone. It ends before
// ServeHTTP returns.
func (f *fetch) pump(reader *flight.Reader) {
	defer close(f.pumped)
	defer func() {
		reader.Close()
		f.letGo = reader.LetGo()
	}()
	defer func() { f.pumpLost = recover() }() // raised again in the client's own goroutine
	// It does not stop when the request's context ends: middleware may have set a deadline, and what
	// the handler says after that is for the client, too.
	f.pumpErr = copyBody(context.Background(), f.w, reader, f.offset, f.length)
}

// copyBody writes length bytes from offset of a growing body, or all of it if length is -1, and
// passes flushes on. It returns nil if the body came whole and the client took it.
func copyBody(ctx context.Context, w http.ResponseWriter, reader *flight.Reader, offset, length int64) error {
	reader.Start(w)
	controller := http.NewResponseController(w)
	for length != 0 {
		p, flush, err := reader.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if skip := min(offset, int64(len(p))); skip > 0 {
			p, offset = p[skip:], offset-skip
		}
		if length >= 0 {
			p = p[:min(length, int64(len(p)))]
			length -= int64(len(p))
		}
		if len(p) > 0 {
			if _, err := reader.Write(p); err != nil {
				return err
			}
		}
		if flush {
			if err := controller.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
				return err
			}
		}
	}
	return nil
}

// finish gives the client the rest. v is what was stored, or nil.
func (f *fetch) finish(v *cache.Variant) {
	e := f.handler.engine
	switch f.clientState {
	case answered:
	case sending:
		f.wait()
		f.Trailers()
	case waiting, pending:
		if v != nil && (f.clientState == waiting || f.req.Conditional || f.req.Range) {
			a := f.cacheStatus(rules.None)
			e.deliver(f.w, f.snapshot.request(f.r), &f.req, v, f.now, &a)
			return
		}
		if f.req.Head {
			f.headOnly()
			return
		}
		f.length = -1
		f.writeHeader()
		f.clientState = answered
		if v != nil {
			e.send(f.w, v.Body, 0, v.Body.Size())
		} else if reader := f.response.body.Reader(); reader != nil {
			defer reader.Close()
			_ = copyBody(context.Background(), f.w, reader, 0, -1) // the body has ended, so this does not wait
		}
		f.Trailers()
	}
}

// wait returns when the pump has ended.
func (f *fetch) wait() {
	<-f.pumped
	f.clientState = answered
	if f.pumpLost != nil {
		panic(f.pumpLost)
	}
	if f.letGo || errors.Is(f.pumpErr, flight.ErrStalled) {
		panic(http.ErrAbortHandler) // the client must not take the part that it got for the whole
	}
}
