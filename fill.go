package edgecache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
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

// page is an answer that may be stored, while its body still grows. It is immutable but for the body.
type page struct {
	status   int
	header   http.Header // what the handler set, hop-by-hop fields removed
	groups   []string    // the lines of Cache-Groups that count
	meta     rules.Meta
	body     *flight.Body
	declared int64 // its length, or -1
	scope    string
	variant  string
	came     time.Time // when the header came
}

// landing is what a flight tells those who wait for it: one of these.
type landing struct {
	page   *page    // being made
	stored *variant // what was stored still holds
	failed bool     // the handler failed: who may use a stale page should
	broken bool     // and gave no answer at all
}

// fill makes a page with the handler, for the client that asked, for those who wait for the same, and for the store.
//
// It is a plain GET: the client's conditions and ranges are taken off the request, so that the answer is the whole page, and are then answered from it.
// The handler runs in the goroutine of its client's request, so that its panic reaches that client's server loop and nobody else. What may be stored goes into a growing body, from which
// a second goroutine serves the client as soon as it is worth it: a client that reads slowly holds up neither the handler nor those who wait.
type fill struct {
	record.Fill
	handler    *handler
	w          http.ResponseWriter
	r          *http.Request // as the client sent it
	req        rules.Request
	class      int // see resource.refused
	key        []byte
	scope      string
	reason     Reason    // why nothing stored could be used
	old        *variant  // what is being validated or replaced; nil if there is nothing
	plain      bool      // the client's conditions and ranges are taken off
	posts      bool      // the request is a POST
	background bool      // nobody waits: a refresh
	came       time.Time // when the request came
	alone      bool      // too much is going on already: do not store
	flight     *flight.Flight[landing]
	start      time.Time
	inner      *http.Request // as the handler gets it

	now      time.Time // when the header came
	next     plan
	broken   bool        // if next is coverUp: there was no answer at all
	page     *page       // if next is keep
	fields   http.Header // what the handler itself put on a 304
	effect   http.Header // all that stands on it
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
	keep                 // to the client, to those who wait, and to the store
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

func (h *handler) newFill(w http.ResponseWriter, r *http.Request, req *rules.Request, k, scope []byte, reason Reason, came time.Time) *fill {
	return &fill{
		handler: h, w: w, r: r, req: *req, reason: reason, came: came,
		key: append([]byte(nil), k...), scope: string(scope),
		class: class(req), length: -1,
	}
}

// lead runs the handler, answers the client, and tells those who wait.
func (f *fill) lead(fl *flight.Flight[landing]) {
	f.flight = fl
	defer fl.Land()
	ctx, stop := fl.Context(context.WithValue(f.r.Context(), inside{f.handler.edge}, true))
	defer stop()
	for f.run(ctx) {
		// The handler confirmed something that is not what we asked about (RFC 9111, 4.3.4). Nothing has been sent; ask without a condition.
		f.old = nil
	}
}

func (f *fill) run(ctx context.Context) (again bool) {
	f.start = time.Now()
	f.next = passOn
	inner := f.r.WithContext(ctx)
	f.inner = inner
	inner.Header = f.r.Header.Clone() // Vary is about what the client sent, not about what the handler makes of it
	if f.plain {
		rules.Plain(inner.Header)
	}
	if f.asks() {
		f.old.Meta.Ask(inner.Header)
	}
	writer := f.Init(f.w, f)
	returned := false
	defer func() {
		if returned {
			return
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
	f.handler.next.ServeHTTP(writer, inner)
	f.Finish()
	returned = true
	f.r.Pattern = inner.Pattern
	return f.complete(ctx)
}

// asks reports whether the handler is asked if what is stored still holds.
func (f *fill) asks() bool { return f.plain && f.old != nil && !f.old.MadeETag && f.old.Meta.Has() }

// Commit decides what the answer is good for, when its status and header are known.
func (f *fill) Commit(status int) {
	f.now = time.Now()
	e := f.handler.edge
	header := f.Header()
	_, broken := header[originErrorField]
	delete(header, originErrorField)
	if status == http.StatusNotModified && f.asks() {
		f.next, f.fields, f.effect = refresh, f.Own(), field.Canonical(header).Clone()
		if !f.old.Meta.Confirmed(f.effect) {
			f.next = askAgain
		}
		f.Discard()
		return
	}
	if f.old != nil && (broken || isFailure(status)) && f.old.Meta.StaleOnError(&e.rules, &f.req, broken, f.now) {
		f.next, f.broken = coverUp, broken
		f.flight.Share(landing{failed: true, broken: broken})
		f.Discard()
		return
	}
	canonical := field.Canonical(header)
	var meta rules.Meta
	reason := rules.StoreFailed
	switch {
	case f.alone:
		reason = rules.Busy
	case !broken:
		meta, reason = f.store(status, canonical)
	}
	if reason == rules.None && f.Declared() > e.maxObject {
		reason = rules.TooLarge
	}
	if reason != rules.None {
		f.passOn(status, canonical, reason)
		return
	}
	f.next = keep
	p := &page{
		status: status, header: f.Own(), groups: slices.Clone(canonical["Cache-Groups"]), meta: meta, declared: f.Declared(), came: f.now,
		body: flight.NewBody(e.maxObject, f.Declared()), scope: f.scope,
		variant: string(key.Variant(nil, meta.Vary, f.r.Header)),
	}
	field.RemoveHopByHop(p.header)
	for _, name := range meta.Strip {
		delete(p.header, name)
	}
	if _, ok := p.header["Date"]; !ok {
		p.header["Date"] = []string{f.now.UTC().Format(http.TimeFormat)} // net/http would add that of each hit
	}
	f.page = p
	f.Keep(p.body)
	e.warn(f.inner, canonical)
	f.flight.Worth()
	f.flight.Share(landing{page: p})
	if !f.posts { // a POST has no use for conditions on what a GET would show, nor for ranges of it
		f.plan()
	}
}

func (f *fill) store(status int, header http.Header) (rules.Meta, Reason) {
	e := f.handler.edge
	if f.posts {
		return e.rules.StorePost(f.r, &f.req, status, header, f.start, f.now)
	}
	return e.rules.Store(&f.req, status, header, f.start, f.now)
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
	if reason == rules.ContentLocation {
		reason = rules.Method // nobody expects a POST to be stored
	}
	if f.remembers(status, reason) {
		e.refuse(f.key, f.class, f.old, f.now)
	}
	f.flight.Release() // only now, so that who comes after the release does not wait for the next one
	if f.plain && f.req.Conditional {
		v := rules.ValidatorsOf(header, f.now)
		if v.Condition(f.r.Header, status, f.now) == rules.Unmodified {
			f.notModified(reason)
			f.Discard()
			return
		}
	}
	a := f.account(reason)
	f.Direct(func(h http.Header) { e.report(h, f.r, &a, nil) })
}

// remembers reports whether a refusal says something about the next answer for this URL, too.
func (f *fill) remembers(status int, reason Reason) bool {
	switch status {
	case http.StatusNotModified, http.StatusPartialContent, http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable:
		return false // about this request's conditions, not about the page
	}
	return !f.posts && status < 500 && reason != rules.RequestNoStore && reason != rules.StoreFailed && reason != rules.Busy
}

// plan decides how the client of a page that is being stored gets it.
func (f *fill) plan() {
	p := f.page
	switch want, part := p.wanted(f.r, &f.req, f.now); want {
	case wantsNothing:
		f.notModified(rules.None)
		f.client = answered
	case wantsPart:
		f.offset, f.length = part.Start, part.Length
	case wantsWhole:
		f.client = waiting
	}
}

// want is what of a page a client is to get.
type want uint8

const (
	wantsAll     want = iota // as it comes
	wantsNothing             // 304
	wantsPart                // one range of a body of known length, as it comes
	wantsWhole               // what the whole body will tell: a range of it, or whether it is the one that the client has
)

// wanted evaluates the client's conditions and ranges as far as the header allows.
func (p *page) wanted(r *http.Request, req *rules.Request, now time.Time) (want, field.Range) {
	if req.Conditional {
		if p.meta.Condition(r.Header, p.status, now) == rules.Unmodified {
			return wantsNothing, field.Range{}
		}
		if p.status == http.StatusOK && !p.meta.Has() && asksForMade(r.Header) {
			return wantsWhole, field.Range{}
		}
	}
	if req.Range && p.status == http.StatusOK {
		ranges, outcome := p.meta.Ranges(r.Header, p.status, max(p.declared, 0), now)
		switch {
		case outcome == rules.Full:
		case outcome == rules.Partial && p.declared >= 0 && len(ranges) == 1:
			return wantsPart, ranges[0]
		default:
			return wantsWhole, field.Range{}
		}
	}
	return wantsAll, field.Range{}
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

// answers begins an account of how this request was answered.
func (f *fill) answers(s Status, reason Reason) account {
	return account{status: s, forward: f.reason, reason: reason, came: f.came, background: f.background, pattern: f.pattern()}
}

// pattern is that of the route that made the page, as far as it is known.
func (f *fill) pattern() string {
	switch {
	case f.inner != nil && f.inner.Pattern != "":
		return f.inner.Pattern
	case f.old != nil:
		return f.old.pattern
	}
	return f.r.Pattern
}

// account says how this request was answered from what the handler made.
func (f *fill) account(reason Reason) account {
	a := f.answers(Miss, reason)
	a.stored = f.next == keep
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
		a.ttl, a.hasTTL = f.page.meta.TTL(f.now), true
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
	f.handler.edge.report(h, f.r, &a, nil)
	f.w.WriteHeader(http.StatusNotModified)
}

// Grow starts to send when the page has become longer than net/http would hold back, or than can be stored.
func (f *fill) Grow(n int) {
	size := f.page.body.Size() + int64(n)
	if outgrows := size > f.handler.edge.maxObject; f.client == pending && (size > sendAt || outgrows) || f.client == waiting && outgrows {
		f.send()
	}
}

// Flush sends what there is.
func (f *fill) Flush() {
	if f.client == pending {
		f.send()
	}
	f.page.body.Flush()
}

// send writes the client's header and starts the pump.
func (f *fill) send() {
	reader := f.page.body.Reader()
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
	f.handler.edge.report(h, f.r, &a, nil)
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
		f.serveOld(f.broken)
	case refresh:
		f.freshen()
	case keep:
		err := f.end(ctx)
		f.page.body.Close(err)
		if err != nil && f.mayCoverUp(true) {
			f.serveOld(true)
			return false
		}
		var v *variant
		if body, ok := f.page.body.Object(); ok {
			v = e.newVariant(f.page.sealed(body, f.old), f.key, f.page.groups, f.flight.Began, f.r.Pattern)
			e.publish(f.key, v, f.old, f.class)
		}
		f.finish(v)
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

// sealed returns the stored form of a page whose body has ended. If old has the same bytes they are kept, so that they are not in memory twice.
func (p *page) sealed(body object.Body, old *variant) *object.Object {
	if old != nil && old.Body.Equal(body) {
		body = old.Body
	}
	o := &object.Object{Status: p.status, Header: maps.Clone(p.header), Body: body, Meta: p.meta, Scope: p.scope, Variant: p.variant}
	if _, ok := o.Header["Content-Type"]; !ok && body.Size() > 0 && len(o.Header["Content-Encoding"]) == 0 {
		o.Header["Content-Type"] = []string{http.DetectContentType(body.Prefix(512))} // as net/http does, but once
	}
	o.Seal()
	return o
}

// finish gives the client the rest. o is what was stored, or nil.
func (f *fill) finish(o *variant) {
	e := f.handler.edge
	switch f.client {
	case answered:
	case sending:
		f.wait()
		f.Trailers()
	case waiting, pending:
		if o != nil && (f.client == waiting || f.req.Conditional || f.req.Range) {
			a := f.account(rules.None)
			e.answer(f.w, f.r, &f.req, o.Object, f.now, &a)
			return
		}
		f.length = -1
		f.writeHeader()
		f.client = answered
		reader := f.page.body.Reader()
		defer reader.Close()
		_ = copyBody(context.Background(), f.w, reader, 0, -1) // it has ended, so this does not wait
		f.Trailers()
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
	f.closeBody()
	if f.client == sending {
		<-f.pumped
	}
}

func (f *fill) closeBody() {
	if f.page != nil {
		f.page.body.Close(errAborted)
	}
}

// unsent reports whether the client has got nothing yet, so that it can still get something else.
func (f *fill) unsent() bool {
	switch {
	case f.Hijacked() || f.Committed() && f.next == passOn:
		return false
	}
	return f.client == pending || f.client == waiting
}

// mayCoverUp reports whether the client may get the stale page instead of a broken one. broken says that there was no answer at all.
func (f *fill) mayCoverUp(broken bool) bool {
	return f.old != nil && f.unsent() && f.old.Meta.StaleOnError(&f.handler.edge.rules, &f.req, broken, time.Now())
}

// afterPanic saves the client's answer if it can.
func (f *fill) afterPanic(p any) {
	// http.ErrAbortHandler is how a proxy says that its origin broke off; another panic is an error like a 500.
	err, _ := p.(error)
	broken := errors.Is(err, http.ErrAbortHandler)
	switch {
	case f.mayCoverUp(broken):
		if !broken {
			f.logPanic(p, "edgecache: handler panicked, served a stale page instead") // net/http does not get to see it
		}
		f.closeBody()
		f.flight.Share(landing{failed: true, broken: broken})
		f.serveOld(broken)
	case broken && f.old.Meta.ForbidsStale():
		f.closeBody()
		f.handler.edge.gatewayTimeout(f.w, f.r, f.reason, "The origin gave no answer, and the stored page must not be used past its time.")
	default:
		f.abort()
		panic(p)
	}
}

func (f *fill) logPanic(p any, what string) {
	f.handler.edge.tell(Event{Kind: Failed, Request: f.r, Reason: rules.Aborted, Err: fmt.Errorf("%s: %v", what, p)})
	f.handler.edge.config.Logger.LogAttrs(f.r.Context(), slog.LevelError, what,
		slog.Any("panic", p), slog.String("url", f.r.URL.String()), slog.String("stack", string(debug.Stack())))
}

// serveOld answers with the stale page because the handler failed.
func (f *fill) serveOld(broken bool) {
	now := time.Now()
	f.old.failed(broken, now)
	a := f.answers(Stale, rules.StaleIfError)
	if broken {
		a.reason = rules.StaleUnreachable
	}
	if f.Committed() {
		a.fwdStatus = f.Status()
	}
	f.handler.edge.answer(f.w, f.r, &f.req, f.old.Object, now, &a)
}

// freshen takes a 304 into what is stored and answers with that (RFC 9111, 4.3.4).
func (f *fill) freshen() {
	e := f.handler.edge
	v, reason := e.freshened(f.key, f.old, f.fields, f.effect, &f.req, f.r, f.flight.Began, f.start, f.now)
	a := f.answers(Revalidated, rules.Revalidated)
	a.fwdStatus, a.pattern = http.StatusNotModified, v.pattern
	if reason == rules.None {
		a.stored = e.replace(f.key, v, f.old, f.class)
		f.flight.Share(landing{stored: v})
		a.ttl, a.hasTTL = v.Meta.TTL(f.now), true
	} else {
		e.discard(f.key, f.old, f.now)
		a.reason = reason
	}
	// A cookie on a 304 is no part of the page, but it is for this client.
	if cookies := f.fields["Set-Cookie"]; len(cookies) > 0 {
		f.w.Header()["Set-Cookie"] = cookies
	}
	e.answer(f.w, f.r, &f.req, v.Object, f.now, &a)
}
