package edgecache

import (
	"context"
	"net/http"
	"strings"

	"github.com/edgecache-go/edgecache/internal/engine"
)

// Cache wraps next in an edge cache of its own, with the defaults of [Config]: in memory, safe for applications with users.
// It is New(Config{}) and Handler in one.
func Cache(next http.Handler) http.Handler {
	e, err := New(Config{})
	if err != nil {
		panic(err) // the zero Config is valid; a test holds that
	}
	return e.Handler(next)
}

// An Edge is a shared HTTP cache (RFC 9111) in front of handlers. Make one with [New]. All its
// methods are safe for concurrent use.
type Edge struct{ engine *engine.Engine }

// New returns an edge cache for cfg. All mistakes in cfg are reported at once: the error joins a
// [*ConfigError] for each.
func New(cfg Config) (*Edge, error) {
	cfg, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	return &Edge{engine.New(cfg.settings())}, nil
}

// settings returns a resolved configuration as the engine reads it.
func (c *Config) settings() engine.Config {
	s := engine.Config{
		MaxBytes: c.MaxBytes, MaxObjectBytes: c.MaxObjectBytes, MaxWait: c.MaxWait, MaxRefreshes: c.MaxRefreshes,
		StatusHeader: strings.TrimPrefix(c.StatusHeader, "-"), StatusName: strings.TrimPrefix(c.StatusName, "-"),
		Except: c.Except, Personal: c.Personal, Version: c.Version, HideTags: c.HideTags, Compress: c.Compress,
		Rules: c.rules(), Store: c.Store, StoreKey: c.StoreKey, Logger: c.Logger,
	}
	if observer := c.Observer; observer != nil {
		s.Observer = func(ev engine.Event) { observer(eventOf(ev)) }
	}
	return s
}

// Handler returns next behind the cache. It has the form of middleware, so it fits everything that
// takes a func(http.Handler) http.Handler, such as chi's Use. It panics if next is nil.
//
// One Edge is one space of URLs: a URL must mean the same page behind each of its handlers. Where one
// handler lies inside another of the same Edge, the outer one caches.
func (e *Edge) Handler(next http.Handler) http.Handler { return e.engine.Handler(next) }

// Close ends the background work of e and waits for it until ctx ends: refreshes, encodings, and what
// is on its way to Config.Store. If ctx ends first, Close cancels what still runs and returns ctx's
// cause.
//
// Handlers go on working and still answer from memory; only background work stops. An Edge that is
// not closed is no leak: its background work ends by itself. Close may be called more than once.
func (e *Edge) Close(ctx context.Context) error { return e.engine.Close(ctx) }

// Stats returns the counts. Each is exact; together they are of slightly different moments.
func (e *Edge) Stats() Stats { return statsOf(e.engine.Stats()) }

// Explain returns what the cache would do with r, without doing it: nothing is counted, and no
// handler runs. What only a response can tell, such as no-store, does not show.
//
// r is a request as a handler gets it, or one made with
// http.NewRequest("GET", "https://example.com/page", nil).
func (e *Edge) Explain(r *http.Request) Explanation { return explanationOf(e.engine.Explain(r)) }

// Refreshing reports whether r is no client's request but a background refresh of a stored response:
// see [StaleWhileRevalidate]. Where middleware stands outside of the cache, a refresh goes through it
// like a request without cookies from the address 0.0.0.0. Middleware that counts or limits clients,
// logs them or wants to know who they are should leave it out, and middleware that asks the same
// [Edge] for something else first should not do so for a refresh. No client can make its request look
// like one.
func Refreshing(r *http.Request) bool { return engine.Refreshing(r) }
