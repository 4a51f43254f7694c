package edgecache

import (
	"context"
	"io"
	"time"
)

// Limits of what an [Edge] asks of a [Store].
const (
	// MaxStoreKey is the longest key, in bytes.
	MaxStoreKey = 64
	// MaxStoreTTL is the longest time to live of a value.
	MaxStoreTTL = 30 * 24 * time.Hour
	// MaxStoreNames is how many names [Generations] must keep, besides one for everything and one
	// for each prefix that the application purges. With Config.StoreKey it is that many per key.
	MaxStoreNames = 1 << 16
	// MaxStoreCallNames is the most names in one call of Bump or Load.
	MaxStoreCallNames = 8192
)

// A Store is an optional second-level cache, consulted on a memory miss: values by key, on a disk
// or in another process. It is only a cache, so it may lose any value at any time. Set it as
// Config.Store. Package [github.com/edgecache-go/edgecache/storetest] tests that an implementation
// keeps this contract.
//
// A key has 1 to MaxStoreKey bytes, all of them lower-case ASCII letters and digits, so it can be
// the name of a file or a Redis key as it is. Keys are hashes. The full name of a response is
// inside its value, with a checksum, and both are verified after each read. So a store that swaps,
// truncates or garbles values costs a render, and never shows a wrong response. That is about
// accidents; only with Config.StoreKey does it also hold against an attacker who can write to the
// store.
//
// All methods are called by many goroutines at once, also for the same key. They should return soon
// after ctx ends: a memory miss allows 50 ms in all, and a call in the background or for a purge 2
// s. The Edge does not wait for a call that takes longer, but counts it against a limit until it
// returns. A call whose ctx has already ended returns an error. Clients never see an error or a
// panic of a store; after many in a row the Edge leaves the store alone for a while.
type Store interface {
	// Get returns the last value that Set has stored under key, complete. If there is none, or its
	// ttl has passed, found is false and err is nil. The caller owns the slice, so the store keeps
	// no reference to it that it reads or writes. A stored value may be empty; it may then be
	// returned as nil.
	Get(ctx context.Context, key string) (value []byte, found bool, err error)

	// Set stores value under key, replaces what was there, and returns when Get finds it. The caller
	// still owns value: the store neither changes it nor keeps a reference to it.
	//
	// The store removes the value after ttl, or up to a second later. ttl is at most MaxStoreTTL and
	// never negative. If it is 0, the value stays until it is deleted or makes room for others.
	//
	// If several calls for one key run at once, any of them may be the last, but the value is one of
	// theirs, never a mixture. After an error the key has the old value, the new one, or none.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error

	// Delete removes the value under key, and returns nil when Get no longer finds it. It is no error
	// if there is none. A later Set stores again.
	Delete(ctx context.Context, key string) error
}

// Generations is an optional interface of a [Store]. Implement it if several processes share the
// store, or if its values survive the process. It records purges, so that an Edge can tell whether
// any process has purged a value since it was stored. From a store without Generations an Edge uses
// only what it has stored itself since [New].
//
// There is one sequence of numbers, and each name has a generation: the number at its last Bump.
// Names have the same form as the keys of a Store, but are separate: a name and a key with the same
// bytes have nothing to do with each other.
//
// Numbers must survive the values. A store that loses the sequence, or the generation of a name,
// within twice MaxStoreTTL after its Bump, must lose all values with it. It must not evict numbers
// to make room.
//
// Clients can cause a purge of any URL, and of any tag if the application makes tags of what they
// send. So an Edge hashes URLs and tags into MaxStoreNames names, and there are never more. Two
// URLs with the same names cost a render now and then, and never show a wrong response. An Edge
// calls Bump at most about ten times a second for one name, and a hundred times a second for purges
// that no caller waits for.
type Generations interface {
	// Bump takes the next number of the sequence, greater than all before it, and makes it the
	// generation of each name. It returns the number when every later Load, by any process, sees
	// it.
	Bump(ctx context.Context, names ...string) (now uint64, err error)

	// Load returns the generation of each name, in the order of names; 0 for one that was never
	// bumped. now is the current number of the sequence: 0 before the first Bump, and never less
	// than a generation in the same result. Without names, Load returns only now.
	Load(ctx context.Context, names ...string) (generations []uint64, now uint64, err error)
}

// StreamStore is an optional interface of a [Store] that reads and writes values in pieces, for
// values that are too large to be held in memory as a whole. It sees the same values as the methods
// of Store. An Edge does not use it yet; the contract stands here so that stores can implement it.
type StreamStore interface {
	// SetFrom is like Set for the size bytes that r gives. If r fails, or has fewer bytes or more,
	// it returns an error and stores none of them. It does not read from r after it has returned.
	SetFrom(ctx context.Context, key string, size int64, r io.Reader, ttl time.Duration) error

	// Open is like Get, but returns a reader of the value and its size in bytes. The caller closes r
	// if found is true. r reads the value as it was at Open. If it can no longer do that, because
	// the value was replaced or deleted, Read returns an error, and never bytes of another value.
	// ctx also bounds the reading.
	Open(ctx context.Context, key string) (r io.ReadCloser, size int64, found bool, err error)
}
