package flight

import (
	"errors"
	"time"
)

// A body of unknown length whose writer flushes is often live: lines of a log, sound, the words of
// a language model. Later clients have no use for its beginning, and it may never end. At first, a
// response that is slow to make, or that comes through a proxy which flushes after each piece,
// looks the same. So such a body is shared while it is young.
const (
	liveAge     = time.Second // how long such a body takes new readers
	liveFlushes = 2           // how many make a body such a one
)

// liveness tells whether a body is live.
type liveness struct {
	flushes uint8       // up to liveFlushes
	timer   *time.Timer // until it may be live; nil if there is none
	found   bool        // see Live
}

// ErrLive is why a live body cannot be had as a whole.
var ErrLive = errors.New("edgecache: body may have no end")

// Live says that the body may have no end. It takes no new readers, ends with the last one that it
// has, and its flight takes no new followers. If its writer ends it before that, it is as complete
// as any other.
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

// IsLive reports whether the body was found to be live.
func (b *Body) IsLive() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.liveness.found
}

// countFlush counts a flush, after which the body may be live: now, or when it is old enough.
func (b *Body) countFlush() {
	if b.declared >= 0 || b.state.done || b.liveness.flushes == liveFlushes {
		return
	}
	if b.liveness.flushes++; b.liveness.flushes == liveFlushes {
		// If that age is over, Live is called at once.
		b.liveness.timer = time.AfterFunc(liveAge-time.Since(b.born), b.Live)
	}
}
