package flight

import (
	"context"
	"sync"
	"time"
)

// Context is the context of a handler that runs for a flight. It has the values of the leader's
// context, but neither its end nor its deadline: it ends when the flight says so. Give its zero
// value to Flight.Begin, and do not copy it after that.
//
// Most handlers never ask when their context ends. So what that takes is made only when one asks.
// Until then the leader's context is not watched, only looked at.
type Context struct {
	leader context.Context // for its values

	mu sync.Mutex
	// flight is nil when the handler has returned: whoever keeps the context must not keep the
	// response.
	flight watcher
	cause  error                   // of the end; nil before
	end    context.Context         // made for the first who asks for it
	cancel context.CancelCauseFunc // of end
	unhook func() bool             // undoes the hook on the leader's end
}

// watcher is a Flight.
type watcher interface {
	leaderLeft()
}

// causeKey is the key under which the context package asks a context who will end it, and why it
// has ended. The key is not exported, so a probe is asked for it. It saves a miss 6 allocations,
// which BenchmarkMiss of the root package shows.
var causeKey = func() any {
	var p probe
	_ = context.Cause(&p) // only the question matters, not the error
	return p.key
}()

// probe is a context that notes the key that it is asked for.
type probe struct{ key any }

func (*probe) Deadline() (deadline time.Time, ok bool) { return deadline, false }
func (*probe) Done() <-chan struct{}                   { return nil }
func (*probe) Err() error                              { return context.Canceled }
func (p *probe) Value(key any) any                     { p.key = key; return nil }

// Deadline returns none.
func (c *Context) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Done is closed when no request wants the response any more. When the handler has returned, it is
// closed with the leader's context.
func (c *Context) Done() <-chan struct{} { return c.ending().Done() }

// Err is nil before the end, and context.Canceled after it. context.Cause tells more.
func (c *Context) Err() error {
	c.look()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		return nil
	}
	return context.Canceled
}

// Value returns the value of the leader's context.
func (c *Context) Value(key any) any {
	if key == causeKey {
		return c.ending().Value(key)
	}
	return c.leader.Value(key)
}

// ending returns a context of the standard library that ends when this one does. Others can be its
// children at no cost, and it tells its cause.
func (c *Context) ending() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end == nil {
		c.end, c.cancel = context.WithCancelCause(context.Background())
		switch {
		case c.cause != nil:
			c.cancel(c.cause)
		case c.flight != nil:
			c.unhook = context.AfterFunc(c.leader, c.flight.leaderLeft)
		default:
			context.AfterFunc(c.leader, c.leaderEnded)
		}
	}
	return c.end
}

// look notices the leader's end, if nothing watches for it.
func (c *Context) look() {
	c.mu.Lock()
	flight, watched := c.flight, c.end != nil || c.cause != nil
	c.mu.Unlock()
	switch {
	case watched || c.leader.Err() == nil:
	case flight != nil:
		flight.leaderLeft()
	default:
		c.leaderEnded()
	}
}

// finish ends the context. Only the first cause counts.
func (c *Context) finish(cause error) {
	c.mu.Lock()
	cancel := c.cancel
	if c.cause == nil {
		c.cause = cause
	}
	c.mu.Unlock()
	if cancel != nil {
		cancel(cause)
	}
}

// release parts the context from its flight: the handler has returned. What the handler has left
// behind, and frameworks that go on with the request that it got, see the context end with the
// leader's, as they would without a flight.
func (c *Context) release() {
	c.mu.Lock()
	unhook := c.unhook
	c.flight, c.unhook = nil, nil
	watch := c.end != nil && c.cause == nil
	c.mu.Unlock()
	if unhook != nil {
		unhook()
	}
	if watch {
		context.AfterFunc(c.leader, c.leaderEnded)
	}
}

// leaderEnded ends the context with that of the leader.
func (c *Context) leaderEnded() { c.finish(context.Cause(c.leader)) }
