package engine

import (
	"context"
	"errors"
)

var errClosed = errors.New("edgecache: the Edge was closed")

// Close ends the background work of e, what is on its way to Config.Store included, and waits for it, until ctx ends at the latest; then it cancels what still runs and returns ctx's cause.
// Handlers go on working, and still answer from memory; only nothing is refreshed in the background any more. An Edge that is not closed is no leak: background work ends by itself.
// Close may be called more than once.
func (e *Engine) Close(ctx context.Context) error {
	e.closing.Lock()
	e.closed = true
	e.closing.Unlock()
	done := make(chan struct{})
	go func() {
		e.background.Wait()
		close(done)
	}()
	select {
	case <-done:
		if e.l2 != nil {
			return e.l2.Close(ctx)
		}
		return nil
	case <-ctx.Done():
		e.cancel(errClosed)
		if e.l2 != nil {
			_ = e.l2.Close(ctx) // ends what is under way, for the same reason
		}
		return context.Cause(ctx)
	}
}

func (e *Engine) isClosed() bool {
	e.closing.Lock()
	defer e.closing.Unlock()
	return e.closed
}

// begin reserves a place for background work, unless the Edge is closed. The work must call e.background.Done.
func (e *Engine) begin() bool {
	e.closing.Lock()
	defer e.closing.Unlock()
	if e.closed {
		return false
	}
	e.background.Add(1)
	return true
}
