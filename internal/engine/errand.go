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
	"github.com/edgecache-go/edgecache/internal/flight"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// A refresh must not use what middleware outside has put into the context of a client's request: routers take that back as
// soon as the request is answered, and it may tell who asks. So where something stands outside, a refresh is a request of its
// own, an errand: it goes through the server's handler, as clients' requests do, and carries a mark in its context, by which
// the cache knows it. Nothing that clients send can be such a mark.
//
// What stands outside may answer an errand itself, since it carries no session and comes from nowhere, or may make another
// request of it. Then the response goes on being served as it is, and for a while its refreshes are run in another way.

const (
	// wayPause is for how long no errand is sent from a handler whose errands have never reached the cache; doubled by each
	// further failure, up to wayMaxPause.
	wayPause    = time.Minute
	wayMaxPause = time.Hour

	// strayPause is for how long none is sent for a response whose errand did not reach the cache, although others do.
	strayPause = 10 * time.Minute
)

var errStray = errors.New("edgecache: a background refresh did not come from the server's handler to the cache: middleware outside answered it, or made another request of it; let requests through for which edgecache.Refreshing is true, or refreshes of this route run before the end of an answer")

// Refreshing reports whether r is not a client's request but a background refresh of a stored response, see
// [StaleWhileRevalidate]. Where middleware stands outside of the cache, a refresh goes through it like a request without
// cookies from the address 0.0.0.0: such as count or limit what clients do, log it or want to know who they are, leave it
// out, and such as ask the same [Edge] for something else first, do not ask for it. Nobody can make a client's request look
// like one.
func Refreshing(r *http.Request) bool {
	yes, _ := r.Context().Value(refreshing{}).(bool)
	return yes
}

// refreshing is the context key of Refreshing.
type refreshing struct{}

// errand is the mark of a refresh that goes through the server's handler.
type errand struct {
	edge   *Engine
	key    []byte
	vary   []string
	old    *cache.Variant // the response that it is about
	reason Reason
	began  time.Time
	flight *flight.Flight[result]
	way    *way
	state  atomic.Uint32
	done   chan struct{} // closed when the response has been made, if it arrived
}

const (
	underway uint32 = iota
	arrived
	lost // it was answered before it came to the cache, or came as something else
)

// errandContext is the context of an errand. It has no other values than the server's.
type errandContext struct {
	context.Context
	errand *errand
}

// Value is context.Context's. When the errand has arrived, Edges that lie further inside see a request like any other.
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

// limitedErrand is an errand that has come through policies.
type limitedErrand struct {
	*errand
	limits *rules.Limits
}

// way is what is known about whether errands come back.
type way struct {
	reached  atomic.Bool   // one did
	failures atomic.Uint32 // before one did
	closed   atomic.Int64  // until then, in nanoseconds since epoch; 0 if it never was
	base     atomic.Pointer[baseContext]
}

func (w *way) isOpen(now time.Time) bool {
	closed := w.closed.Load()
	return w.reached.Load() || closed == 0 || int64(now.Sub(cache.Epoch)) >= closed
}

func (w *way) failed(now time.Time) {
	if !w.reached.Load() {
		n := w.failures.Add(1)
		w.closed.Store(int64(now.Sub(cache.Epoch) + min(wayPause<<min(n-1, 10), wayMaxPause)))
	}
}

// way returns what is known about the ways of errands from h. Handlers that a framework makes for each request know it together.
func (h *handler) way() *way {
	if h.reused.Load() {
		return &h.out
	}
	return &h.engine.out
}

// baseContext is what a server's contexts begin with.
type baseContext struct {
	server *http.Server
	ctx    context.Context // nil if it cannot be had
}

// baseOf returns the context that requests of a server begin with, or nil if it cannot be had.
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

// listener stands for the one that a server has got its connections from.
type listener struct{ address net.Addr }

func (l listener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (l listener) Close() error              { return nil }
func (l listener) Addr() net.Addr            { return l.address }

// serverOf returns the server that r came from; nil if that is not known.
func serverOf(r *http.Request) *http.Server {
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	return server
}

// errandsFor returns the handler that errands are sent to, and the context that they begin with; nil if none is to be sent.
func (h *handler) errandsFor(r *http.Request, old *cache.Variant, now time.Time) (http.Handler, context.Context) {
	server, way := serverOf(r), h.way()
	// What ConnContext adds is of one client's connection, and a handler may need it.
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

// runErrand sends a refresh that has got a place, and has begun, through the server's handler, and leaves the place. It
// returns when all of it is over, also if somebody outside has answered before that.
func (f *fetch) runErrand(fl *flight.Flight[result], server http.Handler) {
	e := f.handler.engine
	defer e.background.Done()
	defer e.refreshes.leave()
	fl.Depart()
	t := &errand{
		edge: e, key: f.key, vary: f.old.Vary(), old: f.old, reason: f.reason, began: f.received,
		flight: fl, way: f.handler.way(), done: make(chan struct{}),
	}
	defer func() {
		if t.state.CompareAndSwap(underway, lost) || t.state.Load() == lost {
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

// strayed ends a refresh whose errand did not come to the cache.
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

// asReceived returns a request like r as the server gets it from a client, with nothing that routers have put into it; nil if
// there is none.
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

// receive serves a request with a mark: the refresh that it is, or nothing. Once it was something else, the errand is lost:
// either middleware outside has made another request of it, or it asks for something on the way, such as a part of the
// page or whether somebody is let in, and what it has got instead must not get into what is stored.
func (h *handler) receive(w http.ResponseWriter, r *http.Request, t *errand, limits *rules.Limits) {
	e := h.engine
	if t.edge != e {
		h.next.ServeHTTP(w, r) // what it is about lies further inside
		return
	}
	req := e.classify(r, limits)
	k, ok := key.Of(nil, r)
	selector := t.old.Selector()
	if !ok || string(k) != string(t.key) || req.Bypass != rules.None || req.Head || cache.ClassOf(&req) != cache.Anonymous || e.except.Contains(r) ||
		string(e.scope(nil, r, &req)) != selector.Scope || string(key.Values(nil, t.vary, r.Header, &req.Scope)) != selector.Variant {
		t.state.CompareAndSwap(underway, lost)
	}
	if !t.state.CompareAndSwap(underway, arrived) {
		w.WriteHeader(http.StatusNoContent) // nothing is to be had for another request than the one that was sent
		return
	}
	defer close(t.done)
	t.flight.Arrive()
	t.way.reached.Store(true)
	// What outer middleware has put on this answer counts for the new one, too. Its deadline is for clients.
	inner := r.WithContext(context.WithoutCancel(r.Context()))
	x := h.newExchange(&discardClient{header: w.Header().Clone()}, inner, &req, k, []byte(selector.Scope), t.reason, t.began)
	f := x.newFetch()
	f.old, f.plain, f.background = t.old, true, true
	if f.recheck(t.flight) != nil {
		return // a client has been quicker
	}
	defer handBack(r, inner)
	f.makeAnew(t.flight)
	if status := f.Status(); status >= 200 {
		w.WriteHeader(status) // for those who count
	}
}

// discardClient is the client of a background refresh. It can do what the server's writer can, so that middleware finds what it is
// used to, but for taking the connection.
type discardClient struct{ header http.Header }

func (n *discardClient) Header() http.Header                   { return n.header }
func (n *discardClient) WriteHeader(int)                       {}
func (n *discardClient) Write(p []byte) (int, error)           { return len(p), nil }
func (n *discardClient) WriteString(s string) (int, error)     { return len(s), nil }
func (n *discardClient) ReadFrom(src io.Reader) (int64, error) { return io.Copy(io.Discard, src) }
func (n *discardClient) Flush()                                {}             // handlers that stream insist on it
func (n *discardClient) CloseNotify() <-chan bool              { return nil } // and some on this, unasked
func (n *discardClient) SetReadDeadline(time.Time) error       { return nil }
func (n *discardClient) SetWriteDeadline(time.Time) error      { return nil }
func (n *discardClient) EnableFullDuplex() error               { return nil }

// Hijack is http.Hijacker's: there is no connection.
func (n *discardClient) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, http.ErrNotSupported
}
