package engine

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/flight"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/record"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// refreshTimeout bounds a background refresh: the context of its request ends then.
const refreshTimeout = 30 * time.Second

// refresh renders a stored response again, unless that is in progress already, or too many
// refreshes are: see Config.MaxRefreshes. ok is false if the client would have to wait for it, or
// if the refresh would depend on who the client is.
//
// It runs in a goroutine of its own: by calling the handler if nothing stands outside, otherwise as
// an errand. If neither is possible, the caller must call after once the response is sent, before
// ServeHTTP returns. Routers and frameworks keep in the context of a request, or in the handler
// that they make for it, what they use for another request as soon as ServeHTTP has returned.
func (h *handler) refresh(w http.ResponseWriter, r *http.Request, req *rules.Request, k, scope []byte, old *cache.Variant, reason Reason) (after func(), ok bool) {
	e := h.engine
	if Refreshing(r) {
		return nil, false // what another Edge stores must be of now
	}
	now := time.Now()
	ctx := context.WithoutCancel(r.Context()) // its values tell the handler which response to render
	run := (*fetch).refresh
	within, sent := false, false
	if !h.standsAlone(r) {
		server, base := h.errandsFor(r, old, now)
		switch {
		case server != nil:
			sent, ctx, run = true, base, func(f *fetch, fl *flight.Flight[result]) { f.runErrand(fl, server) }
		case req.Head:
			return nil, false // what stands here may be for HEAD only
		case h.reused.Load() && isBare(r.Context()):
		case cache.ClassOf(req) == cache.Anonymous && record.CanFlush(w): // the context may say who the client is
			within = true
		default:
			return nil, false
		}
	}
	vary := old.Vary()
	if req.Limits != nil {
		vary = append(vary, req.Limits.Vary...)
	}
	plainRequest := anonymize(ctx, r, vary)
	e.rules.RemoveUnkeyed(req, plainRequest.Header)
	plain := e.rules.Request(plainRequest)
	plain.Limits = req.Limits
	if !sent { // an errand asks Config.Personal on arrival, with the context that middleware has made by then
		plain = e.classify(plainRequest, req.Limits)
	}
	if plain.Bypass != rules.None || cache.ClassOf(&plain) != cache.Anonymous || string(e.scope(nil, plainRequest, &plain)) != old.Selector().Scope {
		return nil, false // the response depends on something that a refresh must not carry
	}
	if open, due, _ := old.Breaker(now); open && !due {
		return nil, true // the handler has failed again and again
	}
	if e.isClosed() {
		return nil, false
	}
	// What outer middleware has put on this response counts for the new one, too.
	x := h.newExchange(&discardClient{header: w.Header().Clone()}, plainRequest, &plain, k, scope, reason, now)
	f := x.newFetch()
	f.old, f.plainGET, f.background = old, true, true
	if within {
		return func() {
			_ = http.NewResponseController(w).Flush() // the client has all of its response
			if fl := f.depart(nil); fl != nil {
				f.refresh(fl)
			}
		}, true
	}
	if fl := f.depart(run); fl != nil {
		go run(f, fl)
	}
	return nil, true
}

// standsAlone reports whether the cache is the server's own handler, and only the server has put
// anything into the context of r.
func (h *handler) standsAlone(r *http.Request) bool {
	return h.isOutermost(r) && serverOf(r).ConnContext == nil
}

// depart begins the flight of a refresh that has a place. It returns nil if there is no place; then
// run, if it is not nil, is called when there is one.
func (f *fetch) depart(run func(*fetch, *flight.Flight[result])) *flight.Flight[result] {
	e := f.handler.engine
	id := f.flightID(nil, f.old.Vary())
	fl := f.join(id)
	if fl == nil {
		return nil // it is in progress already
	}
	now := time.Now()
	var later func()
	if run != nil && f.waitingSize() <= maxWaitingBytes {
		later = f.later(run)
	}
	entered, queued := e.refreshes.enter(id, later, now)
	switch {
	case entered && !f.old.Try(now): // another request was quicker
	case entered && e.begin():
		return fl
	case !entered && !queued:
		f.old.GiveUpRefresh() // the next request may try again
	}
	if entered {
		e.refreshes.leave()
	}
	fl.Finish()
	return nil
}

// later returns a function that refreshes the response when a place is free. It keeps neither the
// client's request nor what is stored now: that may be another response by then.
func (f *fetch) later(run func(*fetch, *flight.Flight[result])) func() {
	h, w, r, req, key, scope, reason := f.handler, f.w, f.r, f.req, bytes.Clone(f.key), []byte(f.scope), f.reason
	return func() {
		e := h.engine
		resource := e.cache.Peek(key)
		now := time.Now()
		if v := resource.Find(scope, &req, r.Header); v != nil && v.WantsRefresh(&e.rules, &req, reason, now) {
			x := h.newExchange(w, r, &req, key, scope, reason, now)
			f := x.newFetch()
			f.old, f.plainGET, f.background = v, true, true
			if fl := f.join(f.flightID(nil, v.Vary())); fl != nil && v.Try(now) && e.begin() {
				run(f, fl)
				return
			} else if fl != nil {
				fl.Finish()
			}
		}
		e.refreshes.leave()
	}
}

// waitingSize is about how many bytes of a client's request later keeps.
func (f *fetch) waitingSize() int {
	n := 3*len(f.r.RequestURI) + len(f.key) + len(f.scope) // a URL has its path twice
	for name, values := range f.r.Header {
		n += len(name)
		for _, v := range values {
			n += len(v)
		}
	}
	return n
}

// join begins the flight of a refresh. It returns nil if another request renders the response
// already.
func (f *fetch) join(id []byte) *flight.Flight[result] {
	e := f.handler.engine
	fl, role := e.flights.Join(id, e.cache.Generation(), time.Now(), func(fl *flight.Flight[result]) bool {
		return !e.cache.PurgedSince(&f.marks, f.old.TagNames(), fl.Gen)
	}, func() (*flight.Flight[result], []byte) { return &f.own, id })
	switch role {
	case flight.Lead:
		if f.recheck(fl) == nil {
			return fl
		}
	case flight.Follow:
		fl.Leave()
	}
	return nil
}

// refresh carries out a refresh that has a place and has begun, and gives the place back.
func (f *fetch) refresh(fl *flight.Flight[result]) {
	e := f.handler.engine
	defer e.background.Done()
	defer e.refreshes.leave()
	f.render(fl)
}

// render runs the handler of a refresh, for a limited time. A panic of the handler stops here:
// there may be no server loop below.
func (f *fetch) render(fl *flight.Flight[result]) {
	ctx, cancel := context.WithTimeout(f.r.Context(), refreshTimeout)
	f.r = f.r.WithContext(ctx)
	defer cancel()
	defer context.AfterFunc(f.handler.engine.lifetime, cancel)()
	defer f.contain()
	f.lead(fl)
}

// bareContext matches the text of a context that has no values but those of net/http's server.
var bareContext = regexp.MustCompile(`^context\.Background(\.WithValue\(net/http context value (http-server|local-addr), [^()]*\))*(\.WithCancel)*$`)

// isBare reports whether nothing outside has put anything into a context. If unsure it returns
// false.
func isBare(ctx context.Context) bool { return bareContext.MatchString(fmt.Sprint(ctx)) }

// contain keeps a panic of the handler from ending the process, or the connection of a client that
// has its response.
func (f *fetch) contain() {
	if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a panic value
		f.handler.engine.logPanic(f.r, p, "edgecache: handler panicked in a background refresh")
	}
}

// negotiated are fields by which handlers choose their response, often without saying so in Vary.
var negotiated = [...]string{"Accept", "Accept-Language", "User-Agent"}

// anonymize returns a request for the same response. It carries nothing of the client but what the
// response may have been chosen by: the fields of its key, and negotiated.
func anonymize(ctx context.Context, r *http.Request, vary []string) *http.Request {
	a := r.Clone(ctx)
	a.Header = make(http.Header)
	for name, values := range r.Header {
		if canonical := key.Canonical(name); slices.Contains(vary, canonical) || key.InScope(canonical) || slices.Contains(negotiated[:], canonical) {
			a.Header[name] = slices.Clone(values)
		}
	}
	a.Method = http.MethodGet
	a.Body, a.ContentLength, a.TransferEncoding, a.Trailer = http.NoBody, 0, nil, nil
	a.Form, a.PostForm, a.MultipartForm = nil, nil, nil
	a.RemoteAddr = "0.0.0.0:0" // belongs to no client; 127.0.0.1 may have privileges
	if r.TLS != nil {
		a.TLS = &tls.ConnectionState{
			Version: r.TLS.Version, HandshakeComplete: true, CipherSuite: r.TLS.CipherSuite,
			NegotiatedProtocol: r.TLS.NegotiatedProtocol, ServerName: r.TLS.ServerName,
		}
	}
	return a
}
