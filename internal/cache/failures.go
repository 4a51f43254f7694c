package cache

import (
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/clock"
)

const (
	breakerFailures = 3                // failures in a row that open the breaker
	breakerPause    = time.Second      // the first pause; each further failure doubles it
	breakerMaxPause = 30 * time.Second // the longest pause
)

// failures is what happened to a stored response since it was stored. It is dropped with the
// response.
//
// It has a breaker, which protects a handler that fails again and again. While the breaker is open,
// requests get the stale response at once, and the handler is tried once per pause, in the
// background, where no client can cancel the try. A success replaces the response, and closes the
// breaker by that.
//
// Times are a [clock.Instant] each; 0 is none.
type failures struct {
	softPurgedAt atomic.Int64 // when a soft purge, or an invalidation, came
	invalid      atomic.Bool  // validate before any use; set before softPurgedAt: see rules.Terms.Invalidated

	count   atomic.Uint32
	retryAt atomic.Int64 // 0 while the breaker is closed
	broken  atomic.Bool  // at the last failure the handler gave no response at all

	also        atomic.Pointer[also] // usually nil
	straysUntil atomic.Int64         // no errand is sent before that; see strayPause in internal/engine
}

// withFailures returns the failures of v, and makes them if there are none.
func (v *Variant) withFailures() *failures {
	if t := v.failures.Load(); t != nil {
		return t
	}
	v.failures.CompareAndSwap(nil, new(failures))
	return v.failures.Load()
}

// Failed counts a failure. broken says that the handler gave no response at all.
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

// Breaker reports whether the breaker is open, so that v is served without asking the handler, and
// whether a try of the handler is due. broken says that at the last failure it gave no response at
// all.
func (v *Variant) Breaker(now time.Time) (open, due, broken bool) {
	t := v.failures.Load()
	if t == nil {
		return false, false, false
	}
	retryAt := t.retryAt.Load()
	return retryAt != 0, int64(clock.Of(now)) >= retryAt, t.broken.Load()
}

// Try reports whether the caller may ask the handler: the breaker is closed, or the caller is the
// one that tries. It moves the next try away, so one caller gets true; that one fails or replaces
// the variant well before the next try is due.
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

// Untried undoes a Try that did not reach the handler: the next try is due at once.
func (v *Variant) Untried(now time.Time) {
	if t := v.failures.Load(); t != nil && t.retryAt.Load() != 0 {
		t.retryAt.Store(int64(clock.Of(now)))
	}
}

// Recovered closes the breaker: the handler has responded, even if there is nothing new to store.
func (v *Variant) Recovered() {
	if t := v.failures.Load(); t != nil {
		t.count.Store(0)
		t.retryAt.Store(0)
	}
}
