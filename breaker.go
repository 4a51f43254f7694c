package edgecache

import (
	"sync/atomic"
	"time"
)

const (
	breakerFailures = 3                // in a row open the breaker
	breakerPause    = time.Second      // after that; doubled by each further failure
	breakerMaxPause = 30 * time.Second // at most
)

// epoch is what the breakers' times count from: they must fit an atomic, and keep to the monotonic clock.
var epoch = time.Now()

// breaker spares a handler that fails again and again: while it is open the stale page is served at once, and one request per pause tries.
// It belongs to one stored response and goes with it, so a success closes it.
type breaker struct {
	failures atomic.Uint32
	retryAt  atomic.Int64 // nanoseconds since epoch; 0 while closed
	broken   atomic.Bool  // the last failure was no answer at all
}

// failed counts a failure.
func (v *variant) failed(broken bool, now time.Time) {
	b := &v.breaker
	b.broken.Store(broken)
	n := b.failures.Add(1)
	if n < breakerFailures {
		return
	}
	pause := breakerPause << min(n-breakerFailures, 10)
	b.retryAt.Store(int64(now.Sub(epoch) + min(pause, breakerMaxPause)))
}

// spares reports whether this request should not bother the handler. It lets one request through each time that the pause is over.
func (v *variant) spares(now time.Time) (spares, broken bool) {
	b := &v.breaker
	retryAt := b.retryAt.Load()
	if retryAt == 0 {
		return false, false
	}
	broken = b.broken.Load()
	if int64(now.Sub(epoch)) < retryAt {
		return true, broken
	}
	// Whoever moves the time on is the one that tries; it fails or replaces the variant well before the others are due.
	return !b.retryAt.CompareAndSwap(retryAt, int64(now.Sub(epoch)+breakerMaxPause)), broken
}
