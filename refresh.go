package edgecache

import (
	"context"
	"crypto/tls"
	"net/http"
	"slices"
	"time"

	"github.com/edgecache-go/edgecache/internal/flight"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// refreshTimeout bounds a background refresh: the context of its request ends then.
const refreshTimeout = 30 * time.Second

// refresh makes a stored page anew in the background, unless that is being done already. It reports whether that can be done without knowing who asks.
func (h *handler) refresh(w http.ResponseWriter, r *http.Request, k, scope []byte, old *variant, reason Reason) bool {
	e := h.edge
	// The values stay: routers and other middleware outside keep in them what the handler needs to know which page it is.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), refreshTimeout)
	anonymous := anonymize(ctx, r, old.Meta.Vary)
	req := e.rules.Request(anonymous)
	if req.Bypass != rules.None || class(&req) != 0 || string(key.Scope(nil, anonymous)) != old.Scope {
		cancel()
		return false // the page depends on something that a refresh must not carry
	}
	if spares, _ := old.spares(time.Now()); spares {
		cancel()
		return true // the handler has failed again and again
	}
	// What outer middleware has put on this answer counts for the new one, too.
	f := h.newFill(&nobody{header: w.Header().Clone()}, anonymous, &req, k, scope, reason, time.Now())
	f.old, f.plain, f.background = old, true, true
	fl, role := e.flights.Enter(f.flightID(nil, old.Meta.Vary), e.fence.now(), time.Now(), func(fl *flight.Flight[landing]) bool {
		return !e.fence.stops(k, fl.Began) && !e.fence.stopsTags(old.tagNames, fl.Began)
	})
	if role != flight.Lead {
		if role == flight.Follow {
			fl.Leave()
		}
		cancel()
		return true // it is being made already
	}
	if !e.begin() {
		fl.Land()
		cancel()
		return false
	}
	unhook := context.AfterFunc(e.lifetime, cancel)
	go func() {
		defer e.background.Done()
		defer cancel()
		defer unhook()
		defer f.contain()
		f.lead(fl)
	}()
	return true
}

const (
	endingHits  = 16              // in its lifetime make a page worth being made anew before it ends
	endingShare = 10              // of its lifetime: the last tenth is its end
	endingMost  = 5 * time.Second // but no more than this
)

// ending reports, once, that v is in demand and about to end.
func (v *variant) ending(now time.Time) bool {
	ttl := v.Meta.TTL(now)
	return ttl < endingMost && ttl < v.Meta.Lifetime()/endingShare && v.used.Load() >= endingHits && v.refreshed.CompareAndSwap(false, true)
}

// contain keeps a panic of the handler from ending the process: no server loop stands below a refresh.
func (f *fill) contain() {
	if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a panic value
		f.logPanic(p, "edgecache: handler panicked in a background refresh")
	}
}

// anonymize returns a request for the same page that carries nothing of the client but what the key of the page names.
func anonymize(ctx context.Context, r *http.Request, vary []string) *http.Request {
	a := r.Clone(ctx)
	a.Header = make(http.Header)
	for name, values := range r.Header {
		if slices.Contains(vary, name) || key.InScope(name) {
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
