package cache

import (
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/clock"
)

const (
	breakerFailures = 3                // in a row open the breaker
	breakerPause    = time.Second      // after that; doubled by each further failure
	breakerMaxPause = 30 * time.Second // at most
)

// failures is what has happened to a stored response since. It goes with it.
//
// It has a breaker, which spares a handler that fails again and again: while it is open the
// stale response is served at once, and once per pause the handler is tried in the background, where no client can break that off. A success replaces the response, and so closes it.
type failures struct {
	softPurgedAt atomic.Int64 // of a soft purge, or of what made it invalid, in nanoseconds since epoch; 0 without
	invalid      atomic.Bool  // it is to be validated before any use, set before outdatedAt: see rules.Terms.Invalidated

	count   atomic.Uint32
	retryAt atomic.Int64 // nanoseconds since epoch; 0 while the breaker is closed
	broken  atomic.Bool  // the last failure was no answer at all

	also        atomic.Pointer[also] // usually nil
	straysUntil atomic.Int64         // no errand is sent before that, in nanoseconds since epoch, unless it is 0; see strayPause
}

// withFailures returns the trouble of v, which has some from now on.
func (v *Variant) withFailures() *failures {
	if t := v.failures.Load(); t != nil {
		return t
	}
	v.failures.CompareAndSwap(nil, new(failures))
	return v.failures.Load()
}

// Failed counts a failure.
func (v *Variant) Failed(broken bool, now time.Time) {
	t := v.withFailures()
	t.broken.Store(broken)
	n := t.count.Add(1)
	if n < breakerFailures {
		return
	}
	pause := breakerPause << min(n-breakerFailures, 10)
	t.retryAt.Store(int64(clock.Of(now.Add(min(pause, breakerMaxPause)))))
}

// Breaker reports whether the breaker is open, so that v is served without asking the handler, and whether the handler
// is due to be tried again. broken says that the last failure was no answer at all.
func (v *Variant) Breaker(now time.Time) (open, due, broken bool) {
	t := v.failures.Load()
	if t == nil {
		return false, false, false
	}
	retryAt := t.retryAt.Load()
	return retryAt != 0, int64(clock.Of(now)) >= retryAt, t.broken.Load()
}

// Try reports whether the caller may ask the handler: the breaker is closed, or the caller is the one that tries.
// Whoever moves the time on is that one; it fails or replaces the variant well before the others are due.
func (v *Variant) Try(now time.Time) bool {
	t := v.failures.Load()
	if t == nil {
		return true
	}
	retryAt := t.retryAt.Load()
	if retryAt == 0 {
		return true
	}
	return int64(clock.Of(now)) >= retryAt && t.retryAt.CompareAndSwap(retryAt, int64(clock.Of(now.Add(breakerMaxPause))))
}

// Untried takes back a try that did not get to the handler: the next one is due.
func (v *Variant) Untried(now time.Time) {
	if t := v.failures.Load(); t != nil && t.retryAt.Load() != 0 {
		t.retryAt.Store(int64(clock.Of(now)))
	}
}

// Recovered closes the breaker: the handler has answered, if only that there is nothing new to store.
func (v *Variant) Recovered() {
	if t := v.failures.Load(); t != nil {
		t.count.Store(0)
		t.retryAt.Store(0)
	}
}
