// Package l2 is a second-level cache: it stands between an Edge and a store of bytes. The store may
// be slow, down, full, wrong or shared with other processes; none of that reaches a client.
//
// A Lookup has one deadline for all that it asks of the store. Calls that take longer are left to
// themselves, in a bounded number of goroutines. Writes go through a bounded queue in the
// background. After some failures in a row a breaker opens, and the store is left alone. What is
// read proves itself, by [object.Codec], and against generations: see generations.go.
package l2

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"math/rand/v2"
	"time"

	"github.com/edgecache-go/edgecache/internal/clock"
	"github.com/edgecache-go/edgecache/internal/frame"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// Store is edgecache.Store, which has the contract.
type Store interface {
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	Delete(ctx context.Context, key string) error
}

// Generations is edgecache.Generations.
type Generations interface {
	Bump(ctx context.Context, names ...string) (now uint64, err error)
	Load(ctx context.Context, names ...string) (generations []uint64, now uint64, err error)
}

// Defaults of Config's zero fields.
const (
	DefaultTimeout      = 50 * time.Millisecond
	DefaultWriteTimeout = 2 * time.Second
	DefaultQueueBytes   = 32 << 20
	DefaultQueueEntries = 1024
	DefaultMaxBytes     = 64 << 20
)

const (
	// maxLookups, maxWrites and maxBumps are how many calls of the store of each kind may be in
	// progress, including those that no one waits for any more.
	maxLookups = 128
	maxWrites  = 16
	maxBumps   = 16

	// positionFor is how long the position of the shared sequence is good for stamps. An old
	// position is not wrong: what is stamped with it counts as older than it is.
	positionFor = time.Second
)

// Config is what a Cache needs.
type Config struct {
	Store Store
	Rules *rules.Options // of the Edge; not changed afterwards

	Timeout      time.Duration // of a Lookup; 0 means DefaultTimeout
	WriteTimeout time.Duration // of all background calls, and of Purge; 0 means DefaultWriteTimeout
	QueueBytes   int64         // bytes that may wait to be written; 0 means DefaultQueueBytes
	QueueEntries int           // 0 means DefaultQueueEntries
	MaxBytes     int64         // the largest value that is written or used; 0 means DefaultMaxBytes

	// Key is edgecache.Config.StoreKey. Nothing of it is kept.
	Key []byte

	// OnBreaker is told when the store is left alone, and why, and when it is used again. It must
	// not block. It may be nil.
	OnBreaker func(open bool, cause error)
}

// Cache is a store of bytes as an Edge sees it: responses by URL and variant. It is safe for
// concurrent use. It runs goroutines only while there is something to write or to tell. Close ends
// them.
type Cache struct {
	config      Config
	store       Store
	generations Generations // nil if the store has none
	codec       *object.Codec
	sealer      frame.Sealer // of indexes
	instance    uint64       // tells what this Cache has stored from what others have
	naming      naming

	marks   marks
	shared  position // of the sequence of the store
	pending pending

	breaker    breaker
	calls      calls
	queue      queue
	tasks      tasks
	background background
	stats      counters
}

// calls are the calls of the store that are in progress: a channel for each kind, full at its
// limit.
type calls struct{ lookups, writes, bumps, probes chan struct{} }

// background is what runs while no client waits.
type background struct {
	ctx     context.Context // ends when Close gives up
	cancel  context.CancelFunc
	closing chan struct{} // closed when Close begins
}

// New returns a Cache over cfg.Store. Close ends what it starts.
func New(cfg Config) *Cache {
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.WriteTimeout <= 0 {
		cfg.WriteTimeout = DefaultWriteTimeout
	}
	if cfg.QueueBytes <= 0 {
		cfg.QueueBytes = DefaultQueueBytes
	}
	if cfg.QueueEntries <= 0 {
		cfg.QueueEntries = DefaultQueueEntries
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	sealer, names := frame.NewSealer(subkey(cfg.Key, "values")), subkey(cfg.Key, "names")
	cfg.Key = nil // what is derived from it is enough
	ctx, cancel := context.WithCancel(context.Background())
	t := &Cache{
		config: cfg, store: cfg.Store, codec: object.NewCodec(cfg.Rules, sealer), sealer: sealer,
		instance: rand.Uint64(), naming: newNaming(names), marks: newMarks(),
		calls: calls{
			lookups: make(chan struct{}, maxLookups), writes: make(chan struct{}, maxWrites),
			bumps: make(chan struct{}, maxBumps), probes: make(chan struct{}, 1),
		},
		background: background{ctx: ctx, cancel: cancel, closing: make(chan struct{})},
	}
	t.generations, _ = cfg.Store.(Generations)
	t.shared.heard.Store(int64(clock.Of(time.Now().Add(-positionFor)))) // outdated
	t.queue.init()
	t.pending.init(t.naming.slot(everything))
	return t
}

// subkey derives a key for one purpose from the configured one, by HKDF (RFC 5869): whoever learns
// one of them learns nothing of the other. It is nil if there is no key.
func subkey(key []byte, purpose string) []byte {
	if len(key) == 0 {
		return nil
	}
	sub, err := hkdf.Key(sha256.New, key, nil, "edgecache store "+purpose, sha256.Size)
	if err != nil {
		panic(err) // only for a length that HKDF cannot give
	}
	return sub
}

// Put stores o, which is the given representation, under the primary key k, in the background. It
// reports whether that will be tried. tags are the names under which o can be purged beside those
// of its URL. mark is where the purges stood when o, or the last confirmation of it, began to be
// made. Neither o nor tags may be changed afterwards. Put does not block.
func (t *Cache) Put(k []byte, o *object.Object, tags []string, representation Representation, mark Mark) bool {
	if !t.available() {
		t.stats.dropped.Add(1)
		return false
	}
	return t.push(job{
		key:            string(k),
		representation: representation,
		put:            &object.Record{Object: o, Key: string(k), Tags: tags, Stamp: object.Stamp{Instance: t.instance, Local: mark.local, Shared: mark.shared}},
	})
}

// Close waits until everything is written and told, and refuses what comes afterwards. When ctx
// ends first, Close ends the calls in progress, drops the rest, and returns the error of ctx. Then
// the only goroutines left are those whose call of the store ignores its context.
func (t *Cache) Close(ctx context.Context) error {
	if t.queue.close() {
		close(t.background.closing)
	}
	err := t.tasks.wait(ctx)
	t.background.cancel()
	return err
}
