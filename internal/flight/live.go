package flight

import (
	"errors"
	"time"
)

// A body of unknown length whose writer flushes is often live: lines of a log, sound, what a model says word by word. Its
// beginning is of no use to whoever comes later, and it may never end. A page that is made slowly, or comes through a proxy
// that flushes after each piece, looks the same at first. So such a body is shared as long as it is young.
const (
	liveAge     = time.Second // that a body takes new readers
	liveFlushes = 2           // that make it one of these
)

// liveness is what is known of whether a body is live.
type liveness struct {
	flushes uint8       // up to liveFlushes
	timer   *time.Timer // until it may be live; nil without
	found   bool        // see Live
}

// ErrLive is why a live body cannot be had as a whole.
var ErrLive = errors.New("edgecache: body may have no end")

// Live says that the body may have no end: it takes no new readers, ends with the last that it has, and nobody joins its
// flight any more. If its writer ends it before that, it is as whole as any.
func (b *Body) Live() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state.done || b.liveness.found {
		return
	}
	b.liveness.found = true
	b.tellReaders()
	if b.queue.joined != nil {
		b.queue.joined.Shut()
	}
}

// IsLive reports whether it was found to be live.
func (b *Body) IsLive() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.liveness.found
}

// countFlush notes a flush, after which the body may be live, now or when it is old enough.
func (b *Body) countFlush() {
	if b.declared >= 0 || b.state.done || b.liveness.flushes == liveFlushes {
		return
	}
	if b.liveness.flushes++; b.liveness.flushes == liveFlushes {
		b.liveness.timer = time.AfterFunc(liveAge-time.Since(b.born), b.Live) // at once, if that is over
	}
}
