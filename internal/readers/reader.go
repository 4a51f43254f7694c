// Package readers knows who reads a stored body, so that the memory of bodies that have left the
// cache is bounded while clients still read them.
package readers

import (
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/clock"
)

const (
	// CountedAbove is the size in bytes above which readers of a body are counted. A socket takes a
	// smaller body at once, so its reader pins nothing for long, and small hits pay nothing.
	CountedAbove = 32 << 10

	// minRate is the least that a client must take of a pinned body when there is no room for it,
	// in bytes a second of the time in which it had something to take. A slower client is let go.
	// patience is how long a client has to begin, and how long what it has in hand counts as taken.
	minRate  = 8 << 10
	patience = 2 * time.Second

	// Sizes of single writes, in bytes, so that the progress of a client is known: firstPiece at
	// first, then as much as the client has taken, up to a chunk of a body.
	firstPiece = 64 << 10
	lastPiece  = 256 << 10
)

// ErrLetGo is why a client did not get the rest of a body.
var ErrLetGo = errors.New("edgecache: reader of a response that is no longer stored was too slow")

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// Reader is one client that reads a body. It belongs to the goroutine that writes to the client,
// which must Stop it before ServeHTTP returns. The zero Reader reads nothing.
type Reader struct {
	room       *Room
	set        *Set // what it reads, if that is counted
	prev, next *Reader

	sent  atomic.Int64 // bytes that the client's writer has taken
	given atomic.Int64 // bytes that it was given, including those that it has not taken yet
	since atomic.Int64 // when it was last given something: a clock.Instant
	// took is how long it had something to take, without what it has in hand, in nanoseconds.
	took  atomic.Int64
	letGo atomic.Bool

	mu      sync.Mutex
	w       http.ResponseWriter
	serving bool // w may be used by others
}

// In says which room counts the bytes that r pins. It must be called before anything else.
func (r *Reader) In(room *Room) { r.room = room }

// Join says that r reads the body of set. Without a room that is not counted.
func (r *Reader) Join(set *Set) {
	if r.room != nil && r.set == nil {
		set.add(r)
	}
}

// Start says that what r reads goes to w.
func (r *Reader) Start(w http.ResponseWriter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.w, r.serving = w, true
}

// Write writes p to the client, in pieces. When the client is let go it returns ErrLetGo.
func (r *Reader) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		size := min(max(r.sent.Load(), firstPiece), lastPiece, int64(len(p)))
		m, err := r.write(p[:size])
		n += m
		if err != nil {
			return n, err
		}
		p = p[m:]
	}
	return n, nil
}

func (r *Reader) write(p []byte) (n int, err error) {
	if r.letGo.Load() {
		return 0, ErrLetGo
	}
	start := time.Now()
	r.since.Store(int64(clock.Of(start)))
	r.given.Add(int64(len(p)))
	n, err = r.w.Write(p)
	r.given.Add(int64(n - len(p)))
	r.sent.Add(int64(n))
	r.took.Add(int64(time.Since(start)))
	if err != nil && r.letGo.Load() {
		err = ErrLetGo
	}
	return n, err
}

// Stop says that r is done. When it has returned, the client's writer is no longer used.
func (r *Reader) Stop() {
	r.mu.Lock()
	r.serving = false
	r.mu.Unlock()
	if set := r.set; set != nil {
		set.remove(r)
	}
}

// LetGo reports whether r was let go. If it was, when it has stopped, its client must not take what
// it got for the whole body, and its connection is of no more use.
func (r *Reader) LetGo() bool { return r.letGo.Load() }

// slow reports whether r is slower than what may be pinned.
func (r *Reader) slow(now time.Time) bool {
	sent, took := r.sent.Load(), time.Duration(r.took.Load())
	if inHand := r.given.Load() - sent; inHand > 0 {
		waits := clock.Instant(r.since.Load()).Until(now)
		// A socket's buffer may have taken megabytes before: what is in hand tells how fast the
		// client is now.
		if inHand < bytesIn(waits) {
			return true
		}
		if took += waits; waits < patience {
			sent += inHand
		}
	}
	return took >= patience && sent < bytesIn(took)
}

// bytesIn is how many bytes minRate takes in d.
func bytesIn(d time.Duration) int64 { return int64(d.Seconds() * minRate) }

// cut lets r go, if it still serves. If the client's writer knows no deadlines, r ends when the
// writer has taken what it has in hand.
func (r *Reader) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.serving && !r.letGo.Swap(true) {
		_ = http.NewResponseController(r.w).SetWriteDeadline(longAgo)
	}
}
