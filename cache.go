package edgecache

import (
	"context"
	"net/http"

	"github.com/edgecache-go/edgecache/internal/engine"
	"github.com/edgecache-go/edgecache/internal/settings"
)

// Cache returns next behind a cache with the defaults of [Config]: it caches in memory, and is safe
// for applications with users. It is [New] with the zero Config and [Edge.Handler] in one, so each
// call makes a cache of its own. It panics if next is nil.
func Cache(next http.Handler) http.Handler {
	e, err := New(Config{})
	if err != nil {
		panic(err) // the zero Config is valid; a test holds that
	}
	return e.Handler(next)
}

// An Edge is a shared HTTP cache (RFC 9111) in front of handlers. Make one with [New]; the zero
// value does not work. All methods are safe for concurrent use.
type Edge struct{ engine *engine.Engine }

// New returns an Edge that is configured by cfg. It reports all mistakes in cfg at once: the error
// joins one [*ConfigError] for each.
func New(cfg Config) (*Edge, error) {
	resolved, mistakes := settings.Config[Store, Event](cfg).Resolve()
	if err := configErrors(mistakes); err != nil {
		return nil, err
	}
	below := engine.Config{
		MaxBytes:       resolved.MaxBytes,
		MaxObjectBytes: resolved.MaxObjectBytes,
		MaxWait:        resolved.MaxWait,
		MaxRefreshes:   resolved.MaxRefreshes,
		StatusHeader:   sent(resolved.StatusHeader),
		StatusName:     sent(resolved.StatusName),
		Except:         resolved.Except,
		Personal:       resolved.Personal,
		Version:        resolved.Version,
		HideTags:       resolved.HideTags,
		Compress:       resolved.Compress,
		Rules:          resolved.Rules(),
		Store:          resolved.Store,
		StoreKey:       resolved.StoreKey,
		Logger:         resolved.Logger,
	}
	if observer := cfg.Observer; observer != nil {
		below.Observer = func(ev engine.Event) { observer(eventOf(ev)) }
	}
	return &Edge{engine.New(below)}, nil
}

// sent returns the name that a setting gives; "" for "-", which sends none.
func sent(name string) string {
	if name == "-" {
		return ""
	}
	return name
}

// Handler returns next behind the cache. It is middleware, so it fits everything that takes a
// func(http.Handler) http.Handler, such as chi's Use. It panics if next is nil.
//
// All handlers of one Edge share what is stored, so a URL must mean the same behind each of them.
// If one handler of an Edge wraps another of the same Edge, the outer one caches.
func (e *Edge) Handler(next http.Handler) http.Handler { return e.engine.Handler(next) }

// Close waits for background work to end: refreshes, encodings, and writes to Config.Store. No more
// of it is started. If ctx ends first, Close cancels what still runs and returns the cause of ctx.
//
// After Close, handlers keep working and still serve from memory; only background work stops. An
// Edge that is not closed leaks nothing, as its background work ends by itself. Close may be called
// more than once.
func (e *Edge) Close(ctx context.Context) error { return e.engine.Close(ctx) }

// Stats returns counters of what the cache has done, and what it holds now. Each number is exact,
// but they are read one after the other, while requests go on.
func (e *Edge) Stats() Stats { return statsOf(e.engine.Stats()) }

// Explain returns what the cache would do with r, without doing it: it counts nothing and runs no
// handler. It does not know what only a new response would tell, such as no-store.
//
// r is a request as a handler gets it, or one made with
// http.NewRequest("GET", "https://example.com/page", nil).
func (e *Edge) Explain(r *http.Request) Explanation { return explanationOf(e.engine.Explain(r)) }

// Refreshing reports whether r is a background refresh of a stored response instead of a client's
// request: see [StaleWhileRevalidate]. No client can make its request look like one.
//
// A refresh passes through the middleware outside of the cache, too, as a request without cookies
// from the address 0.0.0.0. Middleware that counts, limits, logs or identifies clients should skip
// it. Middleware that first requests something else from the same [Edge] should not do so for a
// refresh.
func Refreshing(r *http.Request) bool { return engine.Refreshing(r) }
