package edgecache

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/edgecache-go/edgecache/internal/flight"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// refreshTimeout bounds a background refresh: the context of its request ends then.
const refreshTimeout = 30 * time.Second

// refresh makes a stored page anew, unless that is being done already, or too many refreshes are: see Config.MaxRefreshes. ok reports whether that can be done without knowing who asks.
//
// Where nothing stands outside, a goroutine of its own does it. Elsewhere it is to be done after the answer, by calling after, before ServeHTTP returns: routers and frameworks keep
// in the context of a request, or in the handler that they make for it, what they use again for another request as soon as ServeHTTP has returned.
func (h *handler) refresh(w http.ResponseWriter, r *http.Request, req *rules.Request, k, scope []byte, old *variant, reason Reason) (after func(), ok bool) {
	e := h.edge
	if class(req) != 0 {
		return nil, false // middleware outside may have put into the context who asks
	}
	bare := h.reused.Load() && isBare(r.Context())
	ctx := context.WithoutCancel(r.Context()) // its values tell the handler which page it is
	if bare {
		if ctx = serverContext(ctx); req.Limits != nil {
			ctx = &limited{ctx, req.Limits} // for another Edge inside
		}
	}
	vary := old.vary()
	if req.Limits != nil {
		vary = append(vary, req.Limits.Vary...)
	}
	anonymous := anonymize(ctx, r, vary)
	plain := e.classify(anonymous, req.Limits)
	if plain.Bypass != rules.None || class(&plain) != 0 || string(e.scope(nil, anonymous, &plain)) != old.Selector().Scope {
		return nil, false // the page depends on something that a refresh must not carry
	}
	if open, due, _ := old.breaker(time.Now()); open && !due {
		return nil, true // the handler has failed again and again
	}
	if e.isClosed() {
		return nil, false
	}
	// What outer middleware has put on this answer counts for the new one, too.
	f := h.newFill(&nobody{header: w.Header().Clone()}, anonymous, &plain, k, scope, reason, time.Now())
	f.old, f.plain, f.background = old, true, true
	if !bare {
		return func() {
			_ = http.NewResponseController(w).Flush() // the client has all of its answer
			if fl := f.depart(nil); fl != nil {
				f.refresh(fl)
			}
		}, true
	}
	if fl := f.depart(f.later); fl != nil {
		go f.refresh(fl)
	}
	return nil, true
}

// depart begins the flight of a refresh that has got a place, and returns nil if there is none. Then later makes, where it is not nil, what is to be called when there is.
func (f *fill) depart(later func() func()) *flight.Flight[landing] {
	e := f.handler.edge
	id := f.flightID(f.old.vary())
	fl := f.board(id)
	if fl == nil {
		return nil // it is being made already
	}
	now := time.Now()
	var run func()
	if later != nil && f.waitingSize() <= maxWaitingBytes {
		run = later()
	}
	entered, queued := e.refreshes.enter(id, run, now)
	switch {
	case entered && !f.old.try(now): // another request has been quicker
	case entered && e.begin():
		return fl
	case !entered && !queued:
		f.old.giveUpRefresh() // the next request may try again
	}
	if entered {
		e.refreshes.leave()
	}
	fl.Land()
	return nil
}

// later returns what refreshes the response when a place is free. It holds nothing of the client's request, nor of what is stored now: that may be another response by then.
func (f *fill) later() func() {
	h, w, r, req, key, scope, reason := f.handler, f.w, f.r, f.req, bytes.Clone(f.key), []byte(f.scope), f.reason
	return func() {
		e := h.edge
		res, _ := e.memory.Peek(key)
		now := time.Now()
		if v := res.find(scope, &req, r.Header); v != nil && v.wantsRefresh(&e.rules, &req, reason, now) {
			f := h.newFill(w, r, &req, key, scope, reason, now)
			f.old, f.plain, f.background = v, true, true
			if fl := f.board(f.flightID(v.vary())); fl != nil && v.try(now) && e.begin() {
				f.refresh(fl)
				return
			} else if fl != nil {
				fl.Land()
			}
		}
		e.refreshes.leave()
	}
}

// waitingSize is about what later keeps of a client's request, in bytes.
func (f *fill) waitingSize() int {
	n := 3*len(f.r.RequestURI) + len(f.key) + len(f.scope) // a URL has its path twice
	for name, values := range f.r.Header {
		n += len(name)
		for _, v := range values {
			n += len(v)
		}
	}
	return n
}

// wantsRefresh reports whether a refresh that had to wait is still wanted, for the reason that it had.
func (v *variant) wantsRefresh(o *rules.Options, req *rules.Request, reason Reason, now time.Time) bool {
	if v.purged() {
		return false
	}
	switch action, _ := v.reuse(o, req, now); action {
	case rules.ServeAndRefresh:
		open, due, _ := v.breaker(now)
		return !open || due
	case rules.Serve:
		return reason == rules.Fresh && v.nearEnd(now)
	case rules.Validate:
		open, due, broken := v.breaker(now)
		return open && due && v.standsIn(o, req, broken, now)
	}
	return false
}

// board begins the flight of a refresh, or returns nil when somebody else makes the page already.
func (f *fill) board(id []byte) *flight.Flight[landing] {
	e := f.handler.edge
	fl, role := e.flights.Enter(&f.own, id, e.fence.now(), time.Now(), func(fl *flight.Flight[landing]) bool {
		return !e.fence.stops(&f.marks, fl.Began) && !e.fence.stopsTags(f.old.tagNames(), fl.Began)
	})
	switch role {
	case flight.Lead:
		if f.overtaken(fl) == nil {
			return fl
		}
	case flight.Follow:
		fl.Leave()
	}
	return nil
}

// refresh carries out a refresh that has got a place and has begun, and leaves the place. No panic of the handler leaves it: no server loop may stand below.
func (f *fill) refresh(fl *flight.Flight[landing]) {
	e := f.handler.edge
	ctx, cancel := context.WithTimeout(f.r.Context(), refreshTimeout)
	f.r = f.r.WithContext(ctx)
	unhook := context.AfterFunc(e.lifetime, cancel)
	defer e.background.Done()
	defer e.refreshes.leave()
	defer cancel()
	defer unhook()
	defer f.contain()
	f.lead(fl)
}

// serverContext returns a context with the values of net/http's server only.
func serverContext(ctx context.Context) context.Context {
	server, address := ctx.Value(http.ServerContextKey), ctx.Value(http.LocalAddrContextKey)
	return context.WithValue(context.WithValue(context.Background(), http.ServerContextKey, server), http.LocalAddrContextKey, address)
}

// bareContext is how a context reads that has no values but those of net/http's server.
var bareContext = regexp.MustCompile(`^context\.Background(\.WithValue\(net/http context value (http-server|local-addr), [^()]*\))*(\.WithCancel)*$`)

// isBare reports whether nothing outside has put anything into a context. When in doubt it has.
func isBare(ctx context.Context) bool { return bareContext.MatchString(fmt.Sprint(ctx)) }

const (
	endingHits  = 16              // in its lifetime make a page worth being made anew before it ends
	endingShare = 10              // of its lifetime: the last tenth is its end
	endingMost  = 5 * time.Second // but no more than this
)

// ending reports, once, that v is in demand and about to end.
func (v *variant) ending(now time.Time) bool {
	return v.nearEnd(now) && v.uses() >= endingHits && v.beginRefresh()
}

func (v *variant) nearEnd(now time.Time) bool {
	ttl := v.Terms.TTL(now)
	return ttl < endingMost && ttl < v.Terms.Lifetime()/endingShare
}

// contain keeps a panic of the handler from ending the process, or the connection of a client that has got its answer.
func (f *fill) contain() {
	if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a panic value
		f.handler.edge.logPanic(f.r, p, "edgecache: handler panicked in a background refresh")
	}
}

// anonymize returns a request for the same page that carries nothing of the client but what the key of the page names.
func anonymize(ctx context.Context, r *http.Request, vary []string) *http.Request {
	a := r.Clone(ctx)
	a.Header = make(http.Header)
	for name, values := range r.Header {
		if canonical := key.Canonical(name); slices.Contains(vary, canonical) || key.InScope(canonical) || canonical == "Accept" || canonical == "Accept-Language" {
			a.Header[name] = slices.Clone(values)
		}
	}
	a.Method = http.MethodGet
	a.Body, a.ContentLength, a.TransferEncoding, a.Trailer = http.NoBody, 0, nil, nil
	a.Form, a.PostForm, a.MultipartForm = nil, nil, nil
	a.RemoteAddr = "0.0.0.0:0" // nobody's; 127.0.0.1 may have privileges
	if r.TLS != nil {
		a.TLS = &tls.ConnectionState{
			Version: r.TLS.Version, HandshakeComplete: true, CipherSuite: r.TLS.CipherSuite,
			NegotiatedProtocol: r.TLS.NegotiatedProtocol, ServerName: r.TLS.ServerName,
		}
	}
	return a
}

// nobody is the client of a background refresh.
type nobody struct{ header http.Header }

func (n *nobody) Header() http.Header         { return n.header }
func (n *nobody) WriteHeader(int)             {}
func (n *nobody) Write(p []byte) (int, error) { return len(p), nil }
func (n *nobody) Flush()                      {}             // handlers that stream insist on it
func (n *nobody) CloseNotify() <-chan bool    { return nil } // and some on this, unasked
