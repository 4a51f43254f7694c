package edgecache

import (
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

// refresh makes a stored page anew, unless that is being done already. ok reports whether that can be done without knowing who asks.
//
// Where nothing stands outside, a goroutine of its own does it. Elsewhere it is to be done after the answer, by calling after, before ServeHTTP returns: routers and frameworks keep
// in the context of a request, or in the handler that they make for it, what they use again for another request as soon as ServeHTTP has returned.
func (h *handler) refresh(w http.ResponseWriter, r *http.Request, req *rules.Request, k, scope []byte, old *variant, reason Reason) (after func(), ok bool) {
	e := h.edge
	if class(req) != 0 {
		return nil, false // middleware outside may have put into the context who asks
	}
	// The values stay: they tell the handler which page it is.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), refreshTimeout)
	anonymous := anonymize(ctx, r, old.vary())
	plain := e.classify(anonymous)
	if plain.Bypass != rules.None || class(&plain) != 0 || string(e.scope(nil, anonymous, &plain)) != old.Selector().Scope {
		cancel()
		return nil, false // the page depends on something that a refresh must not carry
	}
	if open, due, _ := old.breaker(time.Now()); open && !due {
		cancel()
		return nil, true // the handler has failed again and again
	}
	// What outer middleware has put on this answer counts for the new one, too.
	f := h.newFill(&nobody{header: w.Header().Clone()}, anonymous, &plain, k, scope, reason, time.Now())
	f.old, f.plain, f.background = old, true, true
	if !h.reused.Load() || !isBare(r.Context()) {
		return func() {
			defer cancel()
			_ = http.NewResponseController(w).Flush() // the client has all of its answer
			if fl := f.board(); fl != nil && e.begin() {
				f.refresh(fl, cancel)
			} else if fl != nil {
				fl.Land()
			}
		}, true
	}
	fl := f.board()
	if fl == nil {
		cancel()
		return nil, true // it is being made already
	}
	if !e.begin() {
		fl.Land()
		cancel()
		return nil, false
	}
	go f.refresh(fl, cancel)
	return nil, true
}

// board begins the flight of a refresh, or returns nil when somebody else makes the page already.
func (f *fill) board() *flight.Flight[landing] {
	e := f.handler.edge
	fl, role := e.flights.Enter(&f.own, f.flightID(f.old.vary()), e.fence.now(), time.Now(), func(fl *flight.Flight[landing]) bool {
		return !e.fence.stops(f.key, fl.Began) && !e.fence.stopsTags(f.old.tagNames(), fl.Began)
	})
	switch role {
	case flight.Lead:
		if f.overtaken(fl) != nil {
			return nil
		}
		if f.old.try(time.Now()) {
			return fl
		}
		fl.Land()
	case flight.Follow:
		fl.Leave()
	}
	return nil
}

// refresh carries a refresh out. No panic of the handler leaves it: no server loop may stand below.
func (f *fill) refresh(fl *flight.Flight[landing], cancel context.CancelFunc) {
	e := f.handler.edge
	unhook := context.AfterFunc(e.lifetime, cancel)
	defer e.background.Done()
	defer cancel()
	defer unhook()
	defer f.contain()
	f.lead(fl)
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
	ttl := v.Terms.TTL(now)
	return ttl < endingMost && ttl < v.Terms.Lifetime()/endingShare && v.used.Load() >= endingHits && v.refreshed.CompareAndSwap(false, true)
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
		if canonical := key.Canonical(name); slices.Contains(vary, canonical) || key.InScope(canonical) {
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
func (n *nobody) Flush()                      {} // handlers that stream insist on it
