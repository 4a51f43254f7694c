package edgecache

import (
	"context"
	"hash/maphash"
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
	// leaderAge is how long a handler that has not said its status yet is waited for by newcomers. After that one more may run.
	leaderAge = 30 * time.Second
	// finishTimeout is how long a page that is being stored is finished after every client has left.
	finishTimeout = 30 * time.Second
	// maxWaiters is how many requests wait for one handler; more run alone.
	maxWaiters = 1 << 16
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

// An Edge is a shared HTTP cache (RFC 9111) in front of handlers. Make one with [New]. All its methods are safe for concurrent use.
type Edge struct {
	config   Config // resolved
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

	refreshes    refreshes
	out          way // from handlers that are made for each request
	places       places
	encoders     encoders
	warnings     warnings
	statusHeader string // canonical; "" sends none
	statusName   string // our name in Cache-Status; "" sends none
	statusTexts  statusTexts
	dates        dateLines
	hitTexts     hitTexts // of this name
}

// New returns an edge cache for cfg. Mistakes in cfg are reported all at once: the error joins a [*ConfigError] for each.
func New(cfg Config) (*Edge, error) {
	cfg, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	e := &Edge{
		config: cfg,
		rules:  cfg.rules(),
	}
	e.except = pattern.NewSet(cfg.Except, nil) // resolve has reported the mistakes
	storing := cache.Config{MaxBytes: cfg.MaxBytes, MaxObjectBytes: cfg.MaxObjectBytes}
	if cfg.Compress {
		storing.Encodable = e.encodableObject
	}
	e.cache = cache.New(storing)
	if cfg.StatusHeader != "-" {
		e.statusHeader = cfg.StatusHeader
	}
	if cfg.StatusName != "-" {
		e.statusName = cfg.StatusName
	}
	e.encoders.encode = coding.Encode
	e.flights = flight.NewGroup[result](flight.Limits{Wait: cfg.MaxWait, Leader: leaderAge, Finish: finishTimeout, Waiters: maxWaiters})
	e.places.seed = maphash.MakeSeed()
	e.refreshes.max = cfg.MaxRefreshes
	if cfg.Store != nil {
		e.openStore(cfg.Store, cfg.StoreKey)
		e.config.StoreKey = nil // the caller may change it, and what is derived from it is enough
	}
	e.lifetime, e.cancel = context.WithCancelCause(context.Background())
	return e, nil
}

// Handler returns next behind the cache. It fits everything that takes a func(http.Handler) http.Handler, such as chi's Use.
//
// One Edge is one space of URLs: a URL must mean the same page behind each of its handlers. Where one handler lies inside another of the same Edge, the outer one caches.
func (e *Edge) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("edgecache: Handler needs a handler to wrap, got nil")
	}
	return &handler{edge: e, next: next}
}
