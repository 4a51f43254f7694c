// Package tier stands between an Edge and a store of bytes. The store may be slow, down, full, wrong or shared with other processes; none of that reaches a client.
//
// A Lookup has one deadline for all that it asks of the store, and calls that outlast it are left to themselves, in a bounded number of goroutines. Writes go through a bounded queue in the
// background. After some failures in a row the store is left alone: a breaker. What is read proves itself, by [object.Codec], and against a fence of generations: see generations.go.
package l2

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/frame"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// Store is edgecache.Store, which is where the contract stands.
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
	// maxLookups, maxWrites and maxBumps are how many calls of the store of each kind may be under way, those included that nobody waits for any more.
	maxLookups = 128
	maxWrites  = 16
	maxBumps   = 16

	// positionFor is how long the position of the shared sequence is good for stamps. An old one is not wrong: what is stamped with it counts as older than it is.
	positionFor = time.Second
)

// Config says what a Tier stands upon.
type Config struct {
	Store Store
	Rules *rules.Options // of the Edge; not changed afterwards

	Timeout      time.Duration // of a Lookup; 0 means DefaultTimeout
	WriteTimeout time.Duration // of everything in the background, and of Purge; 0 means DefaultWriteTimeout
	QueueBytes   int64         // what may wait to be written; 0 means DefaultQueueBytes
	QueueEntries int           // 0 means DefaultQueueEntries
	MaxBytes     int64         // the largest value that is written or used; 0 means DefaultMaxBytes

	// Key is edgecache.Config.StoreKey. Nothing of it is kept.
	Key []byte

	// OnBreaker is told when the store is left alone, and why, and when it is used again. It must not block. nil is nobody.
	OnBreaker func(open bool, cause error)
}

// Cache is a store of bytes as an Edge sees it: responses by URL and variant. It is safe for concurrent use. It runs goroutines only while there is something to write or to tell; Close ends them.
type Cache struct {
	config      Config
	store       Store
	generations Generations // nil if the store has none
	codec       *object.Codec
	sealer      frame.Sealer // of indexes
	instance    uint64       // tells what this Tier has stored from what others have
	naming      naming

	marks      marks
	position   atomic.Uint64 // of the shared sequence, as last heard of; an older one makes stamps older than they are, which is safe
	positioned atomic.Int64  // when that was, since epoch
	epoch      time.Time
	pending    pending

	breaker breaker
	lookups chan struct{}
	writes  chan struct{}
	bumps   chan struct{}
	probes  chan struct{}
	queue   queue
	tasks   tasks
	ctx     context.Context // of the background; ends when Close gives up
	cancel  context.CancelFunc
	closing chan struct{}
	stats   counters
}

// New returns a Tier over cfg.Store. Close ends what it starts.
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
	t := &Cache{
		config: cfg, store: cfg.Store, codec: object.NewCodec(cfg.Rules, sealer), sealer: sealer, naming: newNaming(names), instance: rand.Uint64(), epoch: time.Now(),
		lookups: make(chan struct{}, maxLookups), writes: make(chan struct{}, maxWrites),
		bumps: make(chan struct{}, maxBumps), probes: make(chan struct{}, 1), closing: make(chan struct{}),
	}
	t.generations, _ = cfg.Store.(Generations)
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.queue.init()
	t.pending.init(t.naming.slot(everything))
	return t
}

// subkey derives a key for one purpose from that of the configuration, by HKDF (RFC 5869): whoever learns
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

// Outcome is what became of a Lookup.
type Outcome uint8

const (
	Absent      Outcome = iota // nothing is stored for this URL that could be used
	Mismatch                   // something is, for other values of the fields in Vary
	Found                      // here it is
	Unavailable                // the store was not asked, or did not answer in time
)

// Result is what a Lookup has found.
type Result struct {
	Outcome Outcome
	Object  *object.Object // if Found: sealed, and nobody else has it
	Tags    []string       // as they were given to Put
}

// Lookup returns the stored response for the primary key k in the given scope, for a request with the given header and what is known of its fields: one that fits by Vary, that today's rules would store, and that has not been purged since it began to be made.
// takes says whether a Form will do; nil takes any. Whether the request may use it is for Reuse to say. Lookup takes no longer than Config.Timeout, and no time at all while the breaker is open. It keeps nothing of what it is given.
//
// A purge that comes while Lookup runs counts. One that comes afterwards is the caller's: where it keeps the object, its own fence must hold from a point before the call, and be raised after that of the Cache: see Purge.
func (t *Cache) Lookup(ctx context.Context, k, scope []byte, header http.Header, fields *key.Fields, takes func(Representation) bool) Result {
	if !t.available() {
		t.stats.skipped.Add(1)
		return Result{Outcome: Unavailable}
	}
	began := t.marks.now()
	asked := ctx
	ctx, cancel := context.WithTimeout(ctx, t.config.Timeout)
	defer cancel()
	result, err := t.lookup(ctx, k, scope, header, fields, takes, began)
	if !t.settle(asked, err) {
		return Result{Outcome: Unavailable}
	}
	if result.Outcome == Found {
		t.stats.hits.Add(1)
	} else {
		t.stats.misses.Add(1)
	}
	return result
}

// maxTries is how many values a Lookup reads. Lists of Vary that differ may fit the same request, and the newest of these may be outdated.
const maxTries = 2

func (t *Cache) lookup(ctx context.Context, k, scope []byte, header http.Header, fields *key.Fields, takes func(Representation) bool, began uint64) (Result, error) {
	at := indexed(k, scope)
	value, found, err := t.get(ctx, t.lookups, t.indexKey(at))
	if err != nil {
		return Result{}, err
	}
	now := time.Now()
	var x index
	if found {
		if x, found = t.readIndex(value, at, now); !found {
			t.stats.refused.Add(1)
		}
	}
	result := Result{}
	tries := 0
	var variant []byte
	for i, v := range x.variants {
		if i == 0 || !slices.Equal(v.vary, x.variants[i-1].vary) {
			variant = key.Values(variant[:0], v.vary, header, fields)
		}
		if v.id != t.variantID(k, scope, v.vary, variant, v.form.What) || takes != nil && !takes(v.form) {
			result.Outcome = Mismatch
			continue
		}
		if tries++; tries > maxTries {
			break
		}
		value, found, err := t.get(ctx, t.lookups, variantKey(v.id))
		if err != nil {
			return Result{}, err
		}
		if !found {
			continue // it had to make room
		}
		r, ok := t.decode(value, v.id, k, scope, v.vary, variant)
		if !ok {
			t.stats.refused.Add(1)
			continue
		}
		purged, err := t.purged(ctx, r, began)
		if err != nil {
			return Result{}, err
		}
		if purged {
			t.stats.purged.Add(1)
			continue
		}
		return Result{Outcome: Found, Object: r.Object, Tags: r.Tags}, nil
	}
	// A page is going to be made. Where the sequence stands is asked before that, so that its stamp need not be older than it is.
	return result, t.locate(ctx)
}

// decode returns the record in value, if it is what was asked for.
func (t *Cache) decode(value []byte, id identity, k, scope []byte, vary []string, variant []byte) (*object.Record, bool) {
	if int64(len(value)) > t.config.MaxBytes {
		return nil, false
	}
	r, err := t.codec.Decode(value, variantKey(id), time.Now())
	if err != nil || r.Key != string(k) {
		return nil, false
	}
	s := r.Selector()
	return r, s.Scope == string(scope) && s.Variant == string(variant) && slices.Equal(s.Vary.Append(nil), vary)
}

// get asks the store for a value.
func (t *Cache) get(ctx context.Context, slots chan struct{}, key string) (value []byte, found bool, err error) {
	type answer struct {
		value []byte
		found bool
	}
	a, err := call(t, ctx, slots, func(ctx context.Context) (answer, error) {
		value, found, err := t.store.Get(ctx, key)
		return answer{value, found}, err
	})
	return a.value, a.found, err
}

// Put stores o, which is what form says, under the primary key k, in the background, and reports whether it will be tried. tags are the names under which it can be purged beside those that its URL gives; mark is where the
// purges stood when o, or the last confirmation of it, began to be made. Neither o nor tags may be changed afterwards. Put does not block.
func (t *Cache) Put(k []byte, o *object.Object, tags []string, form Representation, mark Mark) bool {
	if !t.available() {
		t.stats.dropped.Add(1)
		return false
	}
	return t.push(job{
		key:  string(k),
		form: form,
		put:  &object.Record{Object: o, Key: string(k), Tags: tags, Stamp: object.Stamp{Instance: t.instance, Local: mark.local, Shared: mark.shared}},
	})
}

// Close waits until everything has been written and told, and refuses what comes afterwards. When ctx ends first it ends the calls that are under way, forgets the rest, and returns the error of ctx.
// No goroutine is left then but those whose call of the store ignores its context.
func (t *Cache) Close(ctx context.Context) error {
	if t.queue.close() {
		close(t.closing)
	}
	err := t.tasks.wait(ctx)
	t.cancel()
	return err
}

// Stats describes a Tier. Counts are since New.
type Stats struct {
	Hits, Misses uint64 // of Lookups that the store answered
	Refused      uint64 // values that were garbled, outdated, or not what was asked for
	Purged       uint64 // values that a purge had come after
	Skipped      uint64 // Lookups that did not ask the store, because of the breaker
	Busy         uint64 // calls that were not made because too many are under way

	Errors, Timeouts, Panics uint64 // of calls
	Opened                   uint64 // how often the breaker has opened

	Written uint64 // responses
	Dropped uint64 // responses that were not written: the queue was full, or the breaker open, or the call failed

	Open         bool // the breaker is open
	QueueEntries int
	QueueBytes   int64
	Pending      int // names, two for most purges, that the store does not know to be purged yet
}

type counters struct {
	hits, misses, refused, purged, skipped, busy, errors, timeouts, panics, opened, written, dropped atomic.Uint64
}

// Stats returns the counts. Each is seen at its own moment.
func (t *Cache) Stats() Stats {
	c := &t.stats
	s := Stats{
		Hits: c.hits.Load(), Misses: c.misses.Load(), Refused: c.refused.Load(), Purged: c.purged.Load(), Skipped: c.skipped.Load(), Busy: c.busy.Load(),
		Errors: c.errors.Load(), Timeouts: c.timeouts.Load(), Panics: c.panics.Load(), Opened: c.opened.Load(),
		Written: c.written.Load(), Dropped: c.dropped.Load(),
		Open: t.breaker.open.Load(), Pending: t.pending.size(),
	}
	s.QueueEntries, s.QueueBytes = t.queue.size()
	return s
}
