package engine

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/clock"
	"github.com/edgecache-go/edgecache/internal/flight"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// A refresh must not use what middleware outside has put into the context of a client's request:
// routers reuse that as soon as the request is answered, and it may tell who the client is. So if
// anything stands outside, a refresh is a request of its own, an errand. It goes through the
// server's handler like a client's request, and carries a mark in its context by which the cache
// knows it. Clients cannot send such a mark.
//
// Middleware outside may answer an errand itself, since it carries no session and has no real
// address, or may turn it into another request. The response is then served as it is, and is
// refreshed in another way for a while.

const (
	// wayPause is how long no errand is sent from a handler whose errands have never reached the
	// cache. Each further failure doubles it, up to wayMaxPause.
	wayPause    = time.Minute
	wayMaxPause = time.Hour

	// strayPause is how long none is sent for a response whose errand did not reach the cache,
	// although others do.
	strayPause = 10 * time.Minute
)

var errStray = errors.New("edgecache: a background refresh did not reach the cache: middleware outside answered it, or made another request of it; let requests through for which edgecache.Refreshing is true, otherwise clients' requests of this route end only after its refreshes")

// Refreshing reports whether r is a background refresh of a stored response, not a client's
// request. The public Refreshing says what middleware outside should do about one.
func Refreshing(r *http.Request) bool {
	yes, _ := r.Context().Value(refreshing{}).(bool)
	return yes
}

// refreshing is the context key of Refreshing.
type refreshing struct{}

// errand is the mark of a refresh that goes through the server's handler.
type errand struct {
	edge     *Engine
	key      []byte
	vary     []string
	old      *cache.Variant // the response to refresh
	reason   Reason
	received time.Time
	flight   *flight.Flight[result]
	way      *way
	state    atomic.Uint32
	done     chan struct{} // closed when the response has been made, if the errand arrived
}

const (
	inTransit uint32 = iota
	arrived
	lost // it was answered before it reached the cache, or reached it as another request
)

// errandContext is the context of an errand. Its only other values are the server's.
type errandContext struct {
	context.Context
	errand *errand
}

// Value implements context.Context. Once the errand has arrived, Edges further inside see a request
// like any other.
func (c *errandContext) Value(key any) any {
	switch key.(type) {
	case refreshing:
		return true
	case insideKey:
		if c.errand.state.Load() != arrived {
			return c.errand
		}
	}
	return c.Context.Value(key)
}

// limitedErrand is an errand that came through policies.
type limitedErrand struct {
	*errand
	limits *rules.Limits
}

// way is what is known about whether errands reach the cache.
type way struct {
	reached  atomic.Bool   // at least one did
	failures atomic.Uint32 // before the first one did
	closed   atomic.Int64  // until then, a clock.Instant; 0 if it never was
	base     atomic.Pointer[baseContext]
}

func (w *way) isOpen(now time.Time) bool {
	closed := w.closed.Load()
	return w.reached.Load() || closed == 0 || int64(clock.Of(now)) >= closed
}

func (w *way) failed(now time.Time) {
	if !w.reached.Load() {
		n := w.failures.Add(1)
		w.closed.Store(int64(clock.Of(now.Add(min(wayPause<<min(n-1, 10), wayMaxPause)))))
	}
}

// way returns what is known about errands from h. Handlers that a framework makes for each request
// share it.
func (h *handler) way() *way {
	if h.reused.Load() {
		return &h.out
	}
	return &h.engine.out
}

// baseContext is the context that a server's requests begin with.
type baseContext struct {
	server *http.Server
	ctx    context.Context // nil if server.BaseContext panicked
}

// baseOf returns the context that requests of a server begin with, or nil if server.BaseContext
// panicked.
func (w *way) baseOf(server *http.Server, local net.Addr) context.Context {
	b := w.base.Load()
	if b == nil || b.server != server {
		b = &baseContext{server, makeBase(server, local)}
		w.base.Store(b)
	}
	return b.ctx
}

func makeBase(server *http.Server, local net.Addr) (ctx context.Context) {
	if server.BaseContext == nil {
		return context.Background()
	}
	defer func() {
		if recover() != nil {
			ctx = nil
		}
	}()
	return server.BaseContext(listener{local})
}

// listener stands for the one that a server gets its connections from, which BaseContext may ask
// for its address.
type listener struct{ address net.Addr }

func (l listener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (l listener) Close() error              { return nil }
func (l listener) Addr() net.Addr            { return l.address }

// serverOf returns the server that r came from; nil if that is unknown.
func serverOf(r *http.Request) *http.Server {
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	return server
}

// errandsFor returns the handler that errands are sent to, and the context that they begin with.
// Both are nil if no errand can be sent now.
func (h *handler) errandsFor(r *http.Request, old *cache.Variant, now time.Time) (http.Handler, context.Context) {
	server, way := serverOf(r), h.way()
	// ConnContext adds values of one client's connection, and a handler may need them.
	if server == nil || server.ConnContext != nil || r.RequestURI == "" || !way.isOpen(now) || old.Strays(now) {
		return nil, nil
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	base := way.baseOf(server, local)
	if base == nil {
		return nil, nil
	}
	ctx := context.WithValue(base, http.ServerContextKey, server)
	if local != nil {
		ctx = context.WithValue(ctx, http.LocalAddrContextKey, local)
	}
	if server.Handler == nil {
		return http.DefaultServeMux, ctx
	}
	return server.Handler, ctx
}

// runErrand sends a refresh, which has a place and has begun, through the server's handler, and
// leaves the place. It returns when the refresh is over, even if middleware outside answered before
// that.
func (f *fetch) runErrand(fl *flight.Flight[result], server http.Handler) {
	e := f.handler.engine
	defer e.background.Done()
	defer e.refreshes.leave()
	fl.Depart()
	t := &errand{
		edge: e, key: f.key, vary: f.old.Vary(), old: f.old, reason: f.reason, received: f.received,
		flight: fl, way: f.handler.way(), done: make(chan struct{}),
	}
	defer func() {
		if t.state.CompareAndSwap(inTransit, lost) || t.state.Load() == lost {
			f.strayed(fl, t.way)
			return
		}
		<-t.done
	}()
	ctx, cancel := context.WithTimeout(f.r.Context(), refreshTimeout)
	defer cancel()
	defer context.AfterFunc(e.lifetime, cancel)()
	defer f.contain()
	if r := asReceived(f.r); r != nil {
		server.ServeHTTP(&discardClient{header: make(http.Header)}, r.WithContext(&errandContext{ctx, t}))
	}
}

// strayed ends a refresh whose errand did not reach the cache.
func (f *fetch) strayed(fl *flight.Flight[result], w *way) {
	e := f.handler.engine
	now := time.Now()
	f.old.Untried(now)
	f.old.GiveUpRefresh()
	if e.lifetime.Err() == nil {
		w.failed(now)
		f.old.Stray(now.Add(strayPause))
		e.warnedOnce(f.r, f.pattern(), errStray)
	}
	fl.Finish()
}

// asReceived returns a request like r as a server gets it from a client, without what routers have
// put into it. It is nil if the request target of r is not a URL.
func asReceived(r *http.Request) *http.Request {
	u, err := url.ParseRequestURI(r.RequestURI)
	if err != nil {
		return nil
	}
	return &http.Request{
		Method: http.MethodGet, URL: u, RequestURI: r.RequestURI, Host: r.Host, Header: r.Header.Clone(), Body: http.NoBody,
		Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor, TLS: r.TLS, RemoteAddr: r.RemoteAddr,
	}
}

// receive serves a request with the mark of an errand: as that refresh, or not at all. If the
// request is not the one that was sent, the errand is lost. Middleware outside has then turned it
// into another request, or asks for something in between, such as a part of the response or whether
// a client may come in. What it gets instead must not be stored.
func (h *handler) receive(w http.ResponseWriter, r *http.Request, t *errand, limits *rules.Limits) {
	e := h.engine
	if t.edge != e {
		h.next.ServeHTTP(w, r) // the Edge that sent it lies further inside
		return
	}
	req := e.classify(r, limits)
	k, ok := keyOf(nil, r)
	selector := t.old.Selector()
	if !ok || string(k) != string(t.key) || req.Bypass != rules.None || req.Head || cache.ClassOf(&req) != cache.Anonymous || e.except.Contains(r) ||
		string(e.scope(nil, r, &req)) != selector.Scope || string(key.Values(nil, t.vary, r.Header, &req.Scope)) != selector.Variant {
		t.state.CompareAndSwap(inTransit, lost)
	}
	if !t.state.CompareAndSwap(inTransit, arrived) {
		w.WriteHeader(http.StatusNoContent) // this is not the request that was sent
		return
	}
	defer close(t.done)
	t.flight.Arrive()
	t.way.reached.Store(true)
	// Fields that middleware outside has set count for the new response, too. Its deadline is for
	// clients.
	inner := r.WithContext(context.WithoutCancel(r.Context()))
	x := h.newExchange(&discardClient{header: w.Header().Clone()}, inner, &req, k, []byte(selector.Scope), t.reason, t.received)
	f := x.newFetch()
	f.old, f.plainGET, f.background = t.old, true, true
	if f.recheck(t.flight) != nil {
		return // a client was quicker
	}
	defer handBack(r, inner)
	f.render(t.flight)
	if status := f.Status(); status >= 200 {
		w.WriteHeader(status) // for middleware that counts responses
	}
}

// discardClient is the client of a background refresh. It has all methods of the server's writer,
// so that middleware finds what it is used to, but cannot hijack the connection.
type discardClient struct{ header http.Header }

func (n *discardClient) Header() http.Header                   { return n.header }
func (n *discardClient) WriteHeader(int)                       {}
func (n *discardClient) Write(p []byte) (int, error)           { return len(p), nil }
func (n *discardClient) WriteString(s string) (int, error)     { return len(s), nil }
func (n *discardClient) ReadFrom(src io.Reader) (int64, error) { return io.Copy(io.Discard, src) }
func (n *discardClient) Flush()                                {}             // streaming handlers need it
func (n *discardClient) CloseNotify() <-chan bool              { return nil } // used by some without a check
func (n *discardClient) SetReadDeadline(time.Time) error       { return nil }
func (n *discardClient) SetWriteDeadline(time.Time) error      { return nil }
func (n *discardClient) EnableFullDuplex() error               { return nil }

// Hijack implements http.Hijacker. There is no connection.
func (n *discardClient) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, http.ErrNotSupported
}
