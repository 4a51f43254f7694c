package l2

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

var (
	errBusy   = errors.New("edgecache: too many calls of the store are in progress")
	errClosed = errors.New("edgecache: the store is closed")
	errGoexit = errors.New("edgecache: the store ended its goroutine")
	errPanic  = errors.New("edgecache: the store panicked")
)

// call runs fn, one call of the store, in a goroutine of its own, and waits for it until ctx ends.
// Then the call is left to itself. It keeps its slot until it returns, so that there are never more
// goroutines than slots. A panic is an error. What fn refers to must be safe to use after call has
// returned.
func call[T any](t *Cache, ctx context.Context, slots chan struct{}, fn func(context.Context) (T, error)) (value T, err error) {
	select {
	case slots <- struct{}{}:
	default:
		return value, errBusy
	}
	if !t.tasks.begin() {
		<-slots
		return value, errClosed
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		defer t.tasks.end()
		r := result{err: errGoexit}
		defer func() {
			if p := recover(); p != nil {
				r = result{err: fmt.Errorf("%w: %v", errPanic, p)}
			}
			<-slots
			done <- r
		}()
		r.value, r.err = fn(ctx)
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return value, ctx.Err()
	}
}

// settle counts how calls of the store for ctx went, and reports whether they went well.
func (t *Cache) settle(ctx context.Context, err error) bool {
	switch {
	case err == nil:
		t.breaker.failures.Store(0)
		return true
	case errors.Is(err, errClosed):
		return false
	case errors.Is(err, errBusy):
		t.stats.busy.Add(1) // the calls in progress will tell what is wrong
		return false
	case ctx.Err() != nil:
		return false // the caller has left: the store may be innocent
	case errors.Is(err, context.DeadlineExceeded):
		t.stats.timeouts.Add(1)
	case errors.Is(err, errPanic), errors.Is(err, errGoexit):
		t.stats.panics.Add(1)
	default:
		t.stats.errors.Add(1)
	}
	if t.breaker.failed(time.Now()) {
		t.stats.opened.Add(1)
		if t.config.OnBreaker != nil {
			t.config.OnBreaker(true, err)
		}
	}
	return false
}

const (
	breakerFailures = 5                // failures in a row that open the breaker
	breakerPause    = time.Second      // after that; doubled each time that the store fails again
	breakerMaxPause = 30 * time.Second // at most
)

// breaker keeps requests from a store that fails again and again. While it is open no request asks:
// the store is tried in the background.
type breaker struct {
	failures atomic.Int32
	open     atomic.Bool

	mu      sync.Mutex
	retryAt time.Time
	pause   time.Duration
	probing bool
}

// failed counts a failure, and reports whether it has opened the breaker.
func (b *breaker) failed(now time.Time) bool {
	if b.failures.Add(1) < breakerFailures || b.open.Load() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open.Load() {
		return false
	}
	b.pause = breakerPause
	b.retryAt = now.Add(b.pause)
	b.open.Store(true)
	return true
}

// due reports whether the store should be tried again. It does so to one caller.
func (b *breaker) due(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.probing || !b.open.Load() || now.Before(b.retryAt) {
		return false
	}
	b.probing = true
	return true
}

// probed says how the trial went.
func (b *breaker) probed(ok bool, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
	if ok {
		b.failures.Store(0)
		b.open.Store(false)
		return
	}
	b.pause = min(2*b.pause, breakerMaxPause)
	b.retryAt = now.Add(b.pause)
}

// available reports whether the store may be asked.
func (t *Cache) available() bool {
	if !t.breaker.open.Load() {
		return true
	}
	if t.breaker.due(time.Now()) {
		if !t.tasks.begin() {
			return false
		}
		go func() {
			defer t.tasks.end()
			ctx, cancel := context.WithTimeout(t.background.ctx, t.config.Timeout)
			defer cancel()
			// Any key will do: a store that says that there is nothing is well.
			_, _, err := t.get(ctx, t.calls.probes, probeKey)
			t.breaker.probed(err == nil, time.Now())
			if err == nil && t.config.OnBreaker != nil {
				t.config.OnBreaker(false, nil)
			}
		}()
	}
	return false
}

// tasks counts the goroutines of a Cache.
type tasks struct {
	mu     sync.Mutex
	n      int
	closed bool
	idle   chan struct{} // closed when n is 0; nil while none waits
}

// begin counts one more. It returns false when all have ended for good.
func (k *tasks) begin() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed && k.n == 0 {
		return false
	}
	k.n++
	return true
}

func (k *tasks) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.n--; k.n == 0 && k.idle != nil {
		close(k.idle)
		k.idle = nil
	}
}

// wait returns when none is left. None begins afterwards.
func (k *tasks) wait(ctx context.Context) error {
	k.mu.Lock()
	k.closed = true
	if k.n == 0 {
		k.mu.Unlock()
		return nil
	}
	if k.idle == nil {
		k.idle = make(chan struct{})
	}
	idle := k.idle
	k.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
