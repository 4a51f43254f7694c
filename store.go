package edgecache

import (
	"context"
	"io"
	"time"
)

// Limits of what an [Edge] asks of a [Store].
const (
	// MaxStoreKey is the longest key in bytes.
	MaxStoreKey = 64
	// MaxStoreTTL is the longest time to live.
	MaxStoreTTL = 30 * 24 * time.Hour
	// MaxStoreNames is the most names that [Generations] must keep, beside those that the application
	// makes itself: one for each prefix that it purges, and one for everything. With [Config].StoreKey
	// it is for each key.
	MaxStoreNames = 1 << 16
	// MaxStoreCallNames is the most names in one call of Bump or Load.
	MaxStoreCallNames = 8192
)

// Store is a second tier behind memory: bytes by key, on a disk or in another process. It is a cache itself, so it may lose any value at any time.
// [github.com/edgecache-go/edgecache/storetest] holds an implementation to this contract.
//
// Keys have 1 to MaxStoreKey bytes, all of them lower-case ASCII letters and digits, so they can be names of files or of Redis keys as they are. They are hashes: the full name of a page is
// inside its value and compared when it is read. Values prove themselves with a checksum, too. So a store that mixes up, cuts or garbles values costs renders, never a wrong page.
// That is about accidents: only with [Config].StoreKey it also holds for somebody who can write to the store.
//
// All methods are called from many goroutines at once, also for the same key. They should give up when ctx ends, which is soon: a call that does not is left to itself, and counts against a
// limit until it returns. An error, or a panic, is never shown to a client; many in a row make the Edge leave the store alone for a while.
// A call whose ctx has ended before it begins returns an error.
type Store interface {
	// Get returns the last value that Set has stored under key, whole. If there is none, or its time is over, found is false and err is nil: that is no error.
	// The caller owns the slice: the store keeps no reference to it that it reads or writes. A value may be empty, and then nil.
	Get(ctx context.Context, key string) (value []byte, found bool, err error)

	// Set stores value under key in place of what was there, and returns when Get finds it. The value stays the caller's: the store neither changes it nor keeps a reference to it.
	// The store forgets it after ttl, which is at most MaxStoreTTL; a little later, by up to a second, does no harm. 0 sets no time: the value stays until it is deleted or has to make room. ttl is never negative.
	// Of several calls at once for one key any may be the last, but a value is one of theirs, never a mixture. After an error either the old value is there, or the new one, or none.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error

	// Delete removes what is stored under key. It returns nil when Get no longer finds it; that there was nothing is no error. A later Set stores again.
	Delete(ctx context.Context, key string) error
}

// Generations is what a [Store] also implements when several processes share it, or when it outlives the process. It tells of purges: by it an Edge knows of what it reads whether any process has purged it since it was made.
// Of a store without Generations an Edge uses only what it has stored itself since it was made by [New].
//
// There is one sequence of numbers. Names are like the keys of a Store, but apart from them: a name and a key with the same bytes have nothing to do with each other.
// Numbers must not be lost before the values: a store that loses the sequence, or the generation of a name, within twice MaxStoreTTL of its Bump, must lose all values with it. It must not evict them to make room.
//
// Clients can make a purge of any URL and, where the application makes tags of what they send, of any
// tag. So an Edge hashes these into MaxStoreNames names, and there are never more of them. Two URLs in
// the same slots cost a render now and then, and never show a wrong response. An Edge calls Bump at most
// about ten times a second for one name, and a hundred times for purges that nobody waits for.
type Generations interface {
	// Bump takes the next number of the sequence, greater than each one before, and makes it the generation of every name in names. It returns the number when every later Load, of any process, sees it.
	Bump(ctx context.Context, names ...string) (now uint64, err error)

	// Load returns the generation of each name, in the order of names and 0 for one that was never bumped, and the number at which the sequence stands: 0 before the first Bump. Without names it returns that number alone.
	// now is never less than a generation returned with it.
	Load(ctx context.Context, names ...string) (generations []uint64, now uint64, err error)
}

// StreamStore is what a [Store] may implement beside it to take and give values in pieces: those that are too large to be held in memory as often as they are used. It sees the same values as the Store's own methods.
// An Edge uses whole values today; the contract stands here so that stores can be made for it.
type StreamStore interface {
	// SetFrom is like Set for the size bytes that r gives. It returns an error, and stores nothing of them, if r fails or has fewer bytes or more. It does not read from r after it has returned.
	SetFrom(ctx context.Context, key string, size int64, r io.Reader, ttl time.Duration) error

	// Open is like Get, but returns a reader of the value and its size. The caller closes the reader if found is true. What is read is the value as it was at Open: if that can no longer be
	// had, because it was overwritten or deleted, Read returns an error, and never bytes of another one. ctx bounds the reading, too.
	Open(ctx context.Context, key string) (r io.ReadCloser, size int64, found bool, err error)
}
