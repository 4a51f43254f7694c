package edgecache

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/flight"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/record"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// sendAt is how much of a body may wait for the handler to return, in bytes. It is what net/http holds back itself before it sends the first byte, so no client waits longer than without a cache.
const sendAt = 2048

var (
	errIncomplete = errors.New("edgecache: body is not as long as its Content-Length")
	errAborted    = errors.New("edgecache: handler did not return normally")
)

// fill makes a page with the handler, for the client that asked and for the store.
//
// It is a plain GET: the client's conditions and ranges are taken off the request, so that the answer is the whole page, and are then answered from it.
// The handler runs in the goroutine of its client's request, so that its panic reaches that client's server loop and nobody else. What may be stored goes into a growing body, from which
// a second goroutine serves the client as soon as it is worth it: a client that reads slowly does not slow the handler down.
type fill struct {
	record.Fill
	handler *handler
	w       http.ResponseWriter
	r       *http.Request // as the client sent it
	req     rules.Request
	class   int // see resource.refused
	key     []byte
	scope   string
	reason  Reason   // why nothing stored could be used
	old     *variant // what is being validated or replaced; nil if there is nothing
	plain   bool     // the client's conditions and ranges are taken off
	began   uint64   // where the purge sequence stood
	start   time.Time

	next     plan
	now      time.Time // when the header came
	meta     rules.Meta
	header   http.Header // to be stored
	fields   http.Header // what a 304 brought
	body     *flight.Body
	client   reply
	offset   int64         // of the part that the client gets
	length   int64         // of it; -1 is all there is
	pumped   chan struct{} // closed when the client has got what there was; nil until the pump runs
	pumpLost any           // what the client's writer panicked with
}

// plan is what the handler's answer turned out to be good for.
type plan uint8

const (
	passOn   plan = iota // to the client only
	keep                 // to the client and the store
	refresh              // a 304: what is stored still holds
	coverUp              // an error: what is stored is better
	askAgain             // a 304 that is not about what is stored
)

// reply is how far the client's answer has come.
type reply uint8

const (
	pending  reply = iota // nothing sent, to be sent when the body grows or ends
	waiting               // nothing sent, the whole body is needed to answer
	sending               // the pump runs
	answered              // all sent
)

func (h *handler) newFill(w http.ResponseWriter, r *http.Request, req *rules.Request, k, scope []byte, reason Reason) *fill {
	return &fill{
		handler: h, w: w, r: r, req: *req, reason: reason,
		key: append([]byte(nil), k...), scope: string(scope),
		class: class(req), length: -1,
	}
}

// serve runs the handler and answers the client.
func (f *fill) serve() {
	for f.run() {
		// The handler confirmed something that is not what we asked about (RFC 9111, 4.3.4). Nothing has been sent; ask without a condition.
		f.old = nil
	}
}

func (f *fill) run() (again bool) {
	e := f.handler.edge
	f.began, f.start = e.fence.now(), time.Now()
	f.next = passOn
	inner := f.r.WithContext(context.WithValue(f.r.Context(), inside{e}, true))
	inner.Header = f.r.Header.Clone() // Vary is about what the client sent, not about what the handler made of it
	if f.plain {
		rules.Plain(inner.Header)
	}
	if f.old != nil && !f.old.MadeETag {
		f.old.Meta.Ask(inner.Header)
	}
	writer := f.Init(f.w, f)
	returned := false
	defer func() {
		if returned {
			return
		}
		if f.mayCoverUp() {
			if p := recover(); p != nil {
				f.coverPanic(p)
				again = false
				return
			}
		}
		f.abort()
	}()
	f.handler.next.ServeHTTP(writer, inner)
	f.Finish()
	returned = true
	f.r.Pattern = inner.Pattern
	return f.complete(inner.Context())
}

// Commit decides what the answer is good for, when its status and header are known.
func (f *fill) Commit(status int) {
	f.now = time.Now()
	e := f.handler.edge
	header := f.Header()
	_, broken := header[originErrorField]
	delete(header, originErrorField)
	if f.old != nil {
		if status == http.StatusNotModified && f.plain && !f.old.MadeETag && f.old.Meta.Has() {
			f.next, f.fields = refresh, f.Own()
			if !f.old.Meta.Confirmed(f.fields) {
				f.next = askAgain
			}
			f.Discard()
			return
		}
		if (broken || isFailure(status)) && f.old.Meta.StaleOnError(&e.rules, &f.req, broken, f.now) {
			f.next = coverUp
			f.Discard()
			return
		}
	}
	canonical := field.Canonical(header)
	reason := rules.StoreFailed
	if !broken {
		f.meta, reason = e.rules.Store(&f.req, status, canonical, f.start, f.now)
	}
	if reason == rules.None && f.Declared() > e.maxObject {
		reason = rules.TooLarge
	}
	if reason != rules.None {
		f.passOn(status, canonical, reason)
		return
	}
	f.next = keep
	f.header = f.Own()
	field.RemoveHopByHop(f.header)
	for _, name := range f.meta.Strip {
		delete(f.header, name)
	}
	f.body = flight.NewBody(e.maxObject, f.Declared())
	f.Keep(f.body)
	f.plan(status)
}

// isFailure reports whether a status is an error in the sense of stale-if-error (RFC 5861, 4).
func isFailure(status int) bool {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// passOn gives an answer that is not stored to the client alone. Its conditions and ranges, which the handler did not see, are answered here where the header suffices.
func (f *fill) passOn(status int, header http.Header, reason Reason) {
	e := f.handler.edge
	if f.remembers(status, reason) {
		e.refuse(f.key, f.class, f.old, f.now)
	}
	if f.plain && f.req.Conditional {
		v := rules.ValidatorsOf(header, f.now)
		if v.Condition(f.r.Header, status, f.now) == rules.Unmodified {
			f.notModified(reason)
			f.Discard()
			return
		}
	}
	a := f.account(reason)
	f.Direct(func(h http.Header) { e.writeStatus(h, &a, nil) })
}

// remembers reports whether a refusal says something about the next answer for this URL, too.
func (f *fill) remembers(status int, reason Reason) bool {
	return status < 500 && reason != rules.RequestNoStore && reason != rules.StoreFailed
}

// plan decides how the client of a page that is being stored gets it.
func (f *fill) plan(status int) {
	if f.req.Conditional {
		if f.meta.Condition(f.r.Header, status, f.now) == rules.Unmodified {
			f.notModified(rules.None)
			f.client = answered
			return
		}
		if status == http.StatusOK && !f.meta.Has() && asksForMade(f.r.Header) {
			f.client = waiting // the tag is made of the bytes
		}
	}
	if f.req.Range && status == http.StatusOK {
		ranges, outcome := f.meta.Ranges(f.r.Header, status, max(f.Declared(), 0), f.now)
		if outcome == rules.Partial && f.Declared() >= 0 && len(ranges) == 1 {
			f.offset, f.length = ranges[0].Start, ranges[0].Length
		} else if outcome != rules.Full {
			f.client = waiting
		}
	}
}

// asksForMade reports whether If-None-Match names a tag that this cache may have made.
func asksForMade(h http.Header) bool {
	for tag := range field.ETags(h["If-None-Match"]) {
		if object.IsMade(tag) {
			return true
		}
	}
	return false
}

// account says how this request was answered.
func (f *fill) account(reason Reason) account {
	a := account{status: Miss, forward: f.reason, reason: reason, stored: f.next == keep}
	switch {
	case reason != rules.None && reason.Forward() != "miss":
		a.status = Dynamic // the request itself is why
	case reason != rules.None:
		a.status = Bypass
	case f.old != nil:
		a.status = Expired
	}
	if reason == rules.None {
		a.reason = f.reason
		a.ttl, a.hasTTL = f.meta.TTL(f.now), true
	}
	return a
}

// notModified answers the client's own condition from the header of the handler's answer.
func (f *fill) notModified(reason Reason) {
	h := f.w.Header()
	f.ReplaceHeader(h)
	dropContent(h)
	a := f.account(reason)
	a.fwdStatus = http.StatusOK
	f.handler.edge.writeStatus(h, &a, nil)
	f.w.WriteHeader(http.StatusNotModified)
}

// Grow starts to send when the page has become longer than net/http would hold back, or than can be stored.
func (f *fill) Grow(n int) {
	size := f.body.Size() + int64(n)
	if f.client == pending && size > sendAt || f.client == waiting && size > f.handler.edge.maxObject {
		f.send()
	}
}

// Flush sends what there is.
func (f *fill) Flush() {
	if f.client == pending {
		f.send()
	}
	f.body.Flush()
}

// send writes the client's header and starts the pump.
func (f *fill) send() {
	reader := f.body.Reader()
	f.client = sending
	f.writeHeader()
	f.pumped = make(chan struct{})
	go f.pump(reader)
}

// writeHeader writes the header of a page that goes to the client as it comes.
func (f *fill) writeHeader() {
	h := f.w.Header()
	f.ReplaceHeader(h)
	status := f.Status()
	a := f.account(rules.None)
	if f.length >= 0 {
		a.fwdStatus = status
		status = http.StatusPartialContent
		h["Content-Range"] = []string{contentRange(f.offset, f.length, f.Declared())}
		h["Content-Length"] = []string{strconv.FormatInt(f.length, 10)}
	}
	f.handler.edge.writeStatus(h, &a, nil)
	f.w.WriteHeader(status)
}

// pump carries the body to the client until it ends, or the client has gone. It ends before ServeHTTP returns.
func (f *fill) pump(reader *flight.Reader) {
	defer close(f.pumped)
	defer reader.Close()
	defer func() { f.pumpLost = recover() }() // raised again in the client's own goroutine
	// Not until the request's context ends: somebody may have given it a deadline, and what the handler says then is for the client, too.
	_ = copyBody(context.Background(), f.w, reader, f.offset, f.length)
}

// copyBody writes length bytes from offset of a growing body, or all if length is -1, and passes flushes on. It returns nil when the body came whole, and the client took it.
func copyBody(ctx context.Context, w http.ResponseWriter, reader *flight.Reader, offset, length int64) error {
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
			if _, err := w.Write(p); err != nil {
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

// complete ends a fill whose handler returned normally.
func (f *fill) complete(ctx context.Context) (again bool) {
	e := f.handler.edge
	switch f.next {
	case askAgain:
		return true
	case coverUp:
		f.serveOld()
	case refresh:
		f.freshen()
	case keep:
		err := f.end(ctx)
		f.body.Close(err)
		if err != nil && f.client != sending && f.client != answered && f.mayCoverUp() {
			f.serveOld()
			return false
		}
		var o *variant
		if body, ok := f.body.Object(); ok {
			o = f.object(body)
			e.publish(f.key, o, f.old, f.class, f.began)
		}
		f.finish(o)
	}
	return false
}

// end says whether the body that the handler wrote is the whole page.
func (f *fill) end(ctx context.Context) error {
	if !f.Complete() {
		return errIncomplete
	}
	// Without a declared length, a handler that gave up because its client left looks like one that was done.
	if ctx.Err() != nil && f.Declared() < 0 {
		return context.Cause(ctx)
	}
	return nil
}

// object returns what is to be stored.
func (f *fill) object(body object.Body) *variant {
	o := &object.Object{Status: f.Status(), Header: f.header, Body: body, Meta: f.meta, Scope: f.scope}
	o.Variant = string(key.Variant(nil, o.Meta.Vary, f.r.Header))
	if _, ok := o.Header["Date"]; !ok {
		o.Header["Date"] = []string{f.now.UTC().Format(http.TimeFormat)} // net/http would add that of each hit
	}
	if _, ok := o.Header["Content-Type"]; !ok && body.Size() > 0 && len(o.Header["Content-Encoding"]) == 0 {
		o.Header["Content-Type"] = []string{http.DetectContentType(body.Prefix(512))} // as net/http does, once
	}
	o.Seal()
	return &variant{Object: o}
}

// finish gives the client the rest. o is what was stored, or nil.
func (f *fill) finish(o *variant) {
	e := f.handler.edge
	switch f.client {
	case answered:
	case sending:
		f.wait()
	case waiting, pending:
		if o != nil && (f.client == waiting || f.req.Conditional || f.req.Range) {
			a := f.account(rules.None)
			e.answer(f.w, f.r, &f.req, o.Object, f.now, &a)
			return
		}
		f.length = -1
		f.writeHeader()
		f.client = answered
		reader := f.body.Reader()
		defer reader.Close()
		_ = copyBody(context.Background(), f.w, reader, 0, -1) // it has ended, so this does not wait
	}
}

// wait returns when the pump has ended.
func (f *fill) wait() {
	<-f.pumped
	f.client = answered
	if f.pumpLost != nil {
		panic(f.pumpLost)
	}
}

// abort ends a fill whose handler panicked or called runtime.Goexit. The panic goes on.
func (f *fill) abort() {
	if f.body != nil {
		f.body.Close(errAborted)
	}
	if f.client == sending {
		<-f.pumped
	}
}

// mayCoverUp reports whether the client, who has got nothing yet, may get the stale page instead of a broken one.
func (f *fill) mayCoverUp() bool {
	if f.old == nil || f.Hijacked() || f.Committed() && f.next == passOn || f.client == sending || f.client == answered {
		return false
	}
	return f.old.Meta.StaleOnError(&f.handler.edge.rules, &f.req, true, time.Now())
}

// coverPanic serves the stale page in place of a panic. net/http does not get to see it, so it is logged here.
func (f *fill) coverPanic(p any) {
	if f.body != nil {
		f.body.Close(errAborted)
	}
	f.logPanic(p, "edgecache: handler panicked, served a stale page instead")
	f.serveOld()
}

func (f *fill) logPanic(p any, what string) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return // the quiet way to give up
	}
	f.handler.edge.config.Logger.LogAttrs(f.r.Context(), slog.LevelError, what,
		slog.Any("panic", p), slog.String("url", f.r.URL.String()), slog.String("stack", string(debug.Stack())))
}

// serveOld answers with the stale page because the handler failed.
func (f *fill) serveOld() {
	reason := rules.StaleIfError
	if !f.Committed() {
		reason = rules.StaleUnreachable
	}
	a := account{status: Stale, forward: f.reason, reason: reason}
	if f.next == coverUp {
		a.fwdStatus = f.Status()
	}
	f.handler.edge.answer(f.w, f.r, &f.req, f.old.Object, time.Now(), &a)
}

// freshen takes a 304 into what is stored and answers with that (RFC 9111, 4.3.4).
func (f *fill) freshen() {
	e := f.handler.edge
	v, reason := e.freshened(f.old, f.fields, &f.req, f.r, f.start, f.now)
	a := account{status: Revalidated, forward: f.reason, fwdStatus: http.StatusNotModified, reason: rules.Revalidated}
	if reason == rules.None {
		a.stored = e.replace(f.key, v, f.old, f.class, f.began)
		a.ttl, a.hasTTL = v.Meta.TTL(f.now), true
	} else {
		e.discard(f.key, f.old, f.now)
		a.reason = reason
	}
	e.answer(f.w, f.r, &f.req, v.Object, f.now, &a)
}
