package conformance

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// Arrangement says how the cache and the origin meet.
type Arrangement string

const (
	Direct Arrangement = "direct" // the middleware in front of the origin's handler, one process
	Proxy  Arrangement = "proxy"  // the middleware in front of httputil.ReverseProxy, the origin behind a connection
)

// Bench is a middleware under test: a net/http server on a listener in memory, with the middleware
// in front of the origin.
type Bench struct {
	Origin *Origin
	Client *Client
	close  []func()
}

// Options are the choices that an arrangement leaves open. The zero value works.
type Options struct {
	ProxyError func(http.ResponseWriter, *http.Request, error) // ReverseProxy.ErrorHandler; default: panic(http.ErrAbortHandler)
	ErrorLog   *log.Logger                                     // what net/http complains about; default: discarded
}

// NewBench starts the servers of an arrangement. Close ends them and all of their goroutines.
func NewBench(a Arrangement, middleware func(http.Handler) http.Handler, opts Options) *Bench {
	b := &Bench{Origin: NewOrigin()}
	if opts.ErrorLog == nil {
		opts.ErrorLog = log.New(io.Discard, "", 0)
	}
	handler := http.Handler(b.Origin)
	if a == Proxy {
		handler = b.reverseProxy(opts)
	}
	front := NewPipe()
	server := &http.Server{Handler: middleware(handler), ErrorLog: opts.ErrorLog}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(front) // always http.ErrServerClosed: a Pipe has no other error
	}()
	b.close = append(b.close, func() { _ = server.Close(); <-done })
	b.Client = &Client{Dial: front.Dial, Host: "cache.example"}
	return b
}

func (b *Bench) reverseProxy(opts Options) http.Handler {
	back := NewPipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Origin.Serve(back)
	}()
	transport := &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return back.Dial(ctx) },
		DisableCompression: true,
		// A broken reused connection makes Transport repeat the request, and the suite counts
		// requests.
		MaxIdleConnsPerHost: -1,
	}
	b.close = append(b.close, func() { transport.CloseIdleConnections(); _ = back.Close(); <-done })
	target := &url.URL{Scheme: "http", Host: "origin.example"}
	onError := opts.ProxyError
	if onError == nil {
		onError = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	}
	return &httputil.ReverseProxy{
		Rewrite:      func(p *httputil.ProxyRequest) { p.SetURL(target) },
		Transport:    transport,
		ErrorLog:     opts.ErrorLog,
		ErrorHandler: onError,
	}
}

// Close ends the servers, front first.
func (b *Bench) Close() {
	for i := len(b.close) - 1; i >= 0; i-- {
		b.close[i]()
	}
}
