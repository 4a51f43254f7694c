// Package flight runs one fetch for many clients: a body that is read while it grows, and the table
// of fetches that others may join.
package flight

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/readers"
)

const (
	minChunk = 4 << 10
	// oneChunk is the least size, in bytes, of a handler's first write that is taken for the whole
	// response: a handler that renders into a buffer writes once.
	oneChunk = 512
	maxChunk = 256 << 10

	// trust bounds how far ahead a declared length may size a chunk: to this many times what has
	// come. A handler that declares much and sends little takes little.
	trust = 8
)

var (
	// ErrStalled is why a reader was let go: it was too slow while others waited behind it.
	ErrStalled = errors.New("edgecache: reader was too slow while others waited for it")
	// ErrClosed is the error of a write after the end.
	ErrClosed = errors.New("edgecache: write after the handler returned")
	// ErrOutgrown is why a body that passed its limit cannot be had as a whole.
	ErrOutgrown = errors.New("edgecache: body is larger than what is kept")
	// ErrNoReaders is the error of a write to an outgrown body whose last reader has left.
	ErrNoReaders = errors.New("edgecache: every reader of the body has left")
)

// Body is a response body that one goroutine writes while any number of others read it, each at its
// own pace. Written bytes never move or change, so readers look at them without copying.
//
// Up to its limit the body keeps every byte. Once it outgrows the limit, or the room that it draws
// from is empty, it can no longer be stored. Then it takes no new readers, and serves those that it
// has from a bounded window.
//
// The body gives back what it has drawn when no one can want the bytes any more, or when they are
// those of an object that is accounted for.
type Body struct {
	born     time.Time
	limit    int64 // in bytes
	declared int64 // the length that the handler announced, or -1
	room     Room  // nil is unbounded
	pinned   *readers.Room
	leader   Leader

	mu       sync.Mutex
	buf      buffer
	size     int64 // bytes written so far
	flushed  int64 // size at the writer's last Flush; -1 before the first
	state    state
	liveness liveness
	object   stored
	readers  reading
	queue    queues
	writer   writer
}

// buffer is the bytes of a body that are in memory.
type buffer struct {
	chunks   [][]byte  // all but the last are full
	one      [1][]byte // for chunks: usually there is one
	dropped  int       // chunks that are gone from the front of an outgrown body
	base     int64     // bytes in them
	held     int64     // the size of the chunks
	reserved int64     // the part of held that is drawn from room; the rest is at most looseWindow
}

// state is what has become of a body.
type state struct {
	outgrown bool  // it cannot be stored: see Body
	done     bool  // it has ended
	left     bool  // the leader wants nothing of it any more
	gone     bool  // the bytes were dropped: no one can want them
	err      error // why it ended early
}

// stored is the object that a body became.
type stored struct {
	body   object.Body // set once the object was asked for
	made   bool        // body is set
	stored bool        // the bytes are those of an object that was in memory
}

// reading is who reads a body.
type reading struct {
	open map[*Reader]struct{} // those that have not closed
	wake chan struct{}        // closed when there is news for them; nil while none waits
}

// queues is who will soon read a body.
type queues struct {
	joined Queue // nil if no one will
	held   Queue // the same, while the beginning is kept for them
}

// writer is how the writer of an outgrown body waits for readers.
type writer struct {
	moved  chan struct{} // closed when there may be news for it; nil while it does not wait
	waited time.Duration // for readers while others wanted to go on
}

// NewBody returns an empty body that keeps up to limit bytes. declared is the length that the
// handler announced, or -1.
func NewBody(limit, declared int64) *Body { return new(Body).Init(limit, declared) }

// Init makes b, which must be the zero Body, what NewBody returns, and returns it.
func (b *Body) Init(limit, declared int64) *Body {
	b.born, b.limit, b.declared, b.flushed = time.Now(), limit, declared, -1
	return b
}

// Write appends a copy of p. It waits only when the body has outgrown its limit, for readers that
// lag behind.
func (b *Body) Write(p []byte) (int, error) { return write(b, p) }

// WriteString appends s, like Write.
func (b *Body) WriteString(s string) (int, error) { return write(b, s) }

func write[T []byte | string](b *Body, p T) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n < len(p) {
		if err := b.makeRoom(int64(len(p) - n)); err != nil {
			return n, err
		}
		last := len(b.buf.chunks) - 1
		c := b.buf.chunks[last]
		m := copy(c[len(c):cap(c)], p[n:])
		b.buf.chunks[last] = c[:len(c)+m]
		b.size += int64(m)
		n += m
		b.tellReaders()
	}
	return n, nil
}

// Queue is the clients that have not begun to read a body.
type Queue interface {
	// WaitingToRead reports whether there are any. It is called under the body's lock.
	WaitingToRead() bool
	// Shut says that no one may join any more. It is called under the body's lock, once.
	Shut()
}

// Hold keeps the beginning of a body that has outgrown its limit while a client in the queue is
// about to read it. The queue must call Wake when that may have changed. Those clients are waited
// for as long as readers are, see StallLimit.
func (b *Body) Hold(queue Queue) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue.joined, b.queue.held = queue, queue
}

// Wake makes a writer that waits check again.
func (b *Body) Wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tellWriter()
	b.forget()
}

// Flush says that clients want now what has been written so far.
func (b *Body) Flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flushed = b.size
	b.tellReaders()
	b.countFlush()
}

// Close ends the body: completely when err is nil. Only the first call counts.
func (b *Body) Close(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.state.done {
		b.end(err)
	}
}

func (b *Body) end(err error) {
	b.state.done, b.state.err = true, err
	if b.liveness.timer != nil {
		b.liveness.timer.Stop()
	}
	b.tellReaders()
}

func (b *Body) tellReaders() {
	if b.readers.wake != nil {
		close(b.readers.wake)
		b.readers.wake = nil
	}
}

func (b *Body) tellWriter() {
	if b.writer.moved != nil {
		close(b.writer.moved)
		b.writer.moved = nil
	}
}

// Ready waits until the body has more than n bytes, was flushed, or has ended. It returns why the
// body ended early, if it did. When ctx ends first, Ready returns its cause.
func (b *Body) Ready(ctx context.Context, n int64) error {
	for {
		b.mu.Lock()
		if b.state.done || b.size > n || b.flushed >= 0 || b.state.outgrown {
			err := b.state.err
			b.mu.Unlock()
			return err
		}
		wake := b.waker()
		b.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Done waits until the body has ended, like Ready. A body that outgrows what can be kept, or turns
// out to be live, counts as one that ended early.
func (b *Body) Done(ctx context.Context) error {
	for {
		b.mu.Lock()
		switch {
		case b.state.outgrown:
			b.mu.Unlock()
			return ErrOutgrown
		case b.state.done:
			err := b.state.err
			b.mu.Unlock()
			return err
		case b.liveness.found:
			b.mu.Unlock()
			return ErrLive
		}
		wake := b.waker()
		b.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (b *Body) waker() <-chan struct{} {
	if b.readers.wake == nil {
		b.readers.wake = make(chan struct{})
	}
	return b.readers.wake
}

// Size is the number of bytes written so far.
func (b *Body) Size() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.size
}

// Outgrown reports whether the body outgrew its limit, or its room, so that it cannot be stored.
func (b *Body) Outgrown() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state.outgrown
}
