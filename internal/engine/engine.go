package engine

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/flight"
	"github.com/edgecache-go/edgecache/internal/l2"
	"github.com/edgecache-go/edgecache/internal/pattern"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// Limits of collapsing.
const (
	// leaderAge is how long requests join a handler that has not set its status yet. After that, one
	// more may run.
	leaderAge = 30 * time.Second
	// finishTimeout is how long a handler may go on for the store alone after every client has left.
	finishTimeout = 30 * time.Second
	// maxWaiters is how many requests wait for one handler; more run alone.
	maxWaiters = 1 << 16
)

// Config is a checked configuration with its defaults filled in. Its fields mean what those of the
// public Config mean.
type Config struct {
	MaxBytes       int64
	MaxObjectBytes int64
	MaxWait        time.Duration
	MaxRefreshes   int
	StatusHeader   string // "" sends none
	StatusName     string // "" sends none
	Except         []string
	Personal       func(*http.Request) bool
	Version        func() string
	HideTags       bool
	Compress       bool
	Rules          rules.Options
	Store          l2.Store
	StoreKey       []byte
	Observer       func(Event)
	Logger         *slog.Logger
}

// An Engine is a shared HTTP cache (RFC 9111) in front of handlers. Make one with [New]. All its
// methods are safe for concurrent use.
type Engine struct {
	config   Config
	rules    rules.Options
	except   pattern.Set // requests in which the cache has no part
	cache    *cache.Cache
	flights  *flight.Group[result]
	counters counters
	l2       *l2.Cache // nil without Config.Store

	lifetime   context.Context // of background work
	cancel     context.CancelCauseFunc
	background sync.WaitGroup
	closing    sync.Mutex
	closed     bool

	refreshes refreshes
	out       way // of errands from handlers that are made for each request
	places    places
	encoders  encoders
	warnings  warnings
	status    *StatusWriter
	dates     dateLines
}

// New returns an engine.
func New(cfg Config) *Engine {
	e := &Engine{config: cfg, rules: cfg.Rules, except: pattern.NewSet(cfg.Except, nil)}
	storing := cache.Config{MaxBytes: cfg.MaxBytes, MaxObjectBytes: cfg.MaxObjectBytes}
	if cfg.Compress {
		storing.Encodable = e.encodableObject
	}
	e.cache = cache.New(storing)
	e.status = NewStatusWriter(cfg.StatusHeader, cfg.StatusName)
	e.encoders.encode = coding.Encode
	e.flights = flight.NewGroup[result](flight.Limits{Wait: cfg.MaxWait, Leader: leaderAge, Finish: finishTimeout, Waiters: maxWaiters})
	e.places.seed = maphash.MakeSeed()
	e.refreshes.max = cfg.MaxRefreshes
	if cfg.Store != nil {
		e.openStore(cfg.Store, cfg.StoreKey)
		e.config.StoreKey = nil // the caller may change it, and what is derived from it is enough
	}
	e.lifetime, e.cancel = context.WithCancelCause(context.Background())
	return e
}

// Handler returns next behind the cache. It fits everything that takes a func(http.Handler)
// http.Handler, such as chi's Use.
//
// One Edge is one space of URLs: a URL must mean the same behind each of its handlers. If one
// handler lies inside another one of the same Edge, the outer one caches.
func (e *Engine) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("edgecache: Handler needs a handler to wrap, got nil")
	}
	return &handler{engine: e, next: next}
}

var errClosed = errors.New("edgecache: the Edge was closed")

// Close ends the background work of e, including writes to Config.Store, and waits for it. If ctx
// ends first, Close cancels the remaining work and returns ctx's cause. Handlers go on working and
// still answer from memory, but nothing is refreshed in the background any more. An Edge that is
// not closed does not leak: background work ends by itself. Close may be called more than once.
func (e *Engine) Close(ctx context.Context) error {
	e.closing.Lock()
	e.closed = true
	e.closing.Unlock()
	done := make(chan struct{})
	go func() {
		e.background.Wait()
		close(done)
	}()
	select {
	case <-done:
		if e.l2 != nil {
			return e.l2.Close(ctx)
		}
		return nil
	case <-ctx.Done():
		e.cancel(errClosed)
		if e.l2 != nil {
			_ = e.l2.Close(ctx) // ends what is in progress, for the same reason
		}
		return context.Cause(ctx)
	}
}

func (e *Engine) isClosed() bool {
	e.closing.Lock()
	defer e.closing.Unlock()
	return e.closed
}

// begin registers background work, unless the Edge is closed. The work must call e.background.Done.
func (e *Engine) begin() bool {
	e.closing.Lock()
	defer e.closing.Unlock()
	if e.closed {
		return false
	}
	e.background.Add(1)
	return true
}
