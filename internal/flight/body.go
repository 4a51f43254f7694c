// Package flight runs one fill for many clients: a body that is read while it grows, and the table of fills that others may join.
package flight

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/edgecache-go/edgecache/internal/object"
)

const (
	minChunk = 4 << 10
	maxChunk = 256 << 10

	// window is how much of a body that has outgrown its limit stays in memory for readers that lag behind, in bytes. The writer waits for them beyond it.
	window = 1 << 20

	// StallLimit is how long the writer of such a body waits for its slowest readers while others want to go on. Then the slow ones are let go.
	StallLimit = 10 * time.Second
)

var (
	// ErrStalled is why a reader was let go: it stood still for StallLimit while others waited behind it.
	ErrStalled = errors.New("edgecache: reader stood still while others waited for it")
	// ErrClosed is what a write gets after the end.
	ErrClosed = errors.New("edgecache: write after the handler returned")
	// ErrOutgrown is why a body that passed its limit cannot be had as a whole.
	ErrOutgrown = errors.New("edgecache: body is larger than what is kept")
	// ErrNobody is what the writer of an outgrown body gets when its last reader has left.
	ErrNobody = errors.New("edgecache: every reader of the body has left")
)

// Body is a response body that one goroutine writes while any number of others read it, each at its own pace.
// Written bytes never move or change, so readers look at them without copying.
//
// Up to its limit the body keeps every byte. Once it outgrows the limit it can no longer be stored: it takes no new readers, and goes on for those that it has with a bounded window.
type Body struct {
	limit int64 // in bytes

	mu       sync.Mutex
	chunks   [][]byte // all but the last are full
	dropped  int      // chunks that are gone from the front of an outgrown body
	base     int64    // bytes in them
	size     int64    // bytes written so far
	flushed  int64    // size at the writer's last Flush; -1 before the first
	outgrown bool
	done     bool
	err      error                // why it ended early
	readers  map[*Reader]struct{} // those that have not closed
	wake     chan struct{}        // closed when there is news for readers; nil while nobody waits
	hold     func() bool          // says that somebody is still about to read from the beginning
	room     chan struct{}        // closed when there may be news for the writer; nil while it does not wait
}

// NewBody returns an empty body that keeps up to limit bytes. declared is the length that the handler announced, or -1.
func NewBody(limit, declared int64) *Body {
	b := &Body{limit: limit, flushed: -1}
	if declared > 0 && limit > 0 {
		// The announcement sizes the first chunk only: memory follows what really comes.
		b.chunks = [][]byte{make([]byte, 0, min(declared, limit, maxChunk))}
	}
	return b
}

// Write appends a copy of p. It waits only when the body has outgrown its limit, for readers that lag behind.
func (b *Body) Write(p []byte) (int, error) { return write(b, p) }

// WriteString appends s, like Write.
func (b *Body) WriteString(s string) (int, error) { return write(b, s) }

func write[T []byte | string](b *Body, p T) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n < len(p) {
		if b.done {
			return n, ErrClosed // a goroutine that the handler left behind must not add to a page that is complete
		}
		if b.size >= b.limit && !b.outgrown {
			b.outgrown = true
			b.tellReaders()
		}
		if b.outgrown {
			if err := b.waitForRoom(); err != nil {
				return n, err
			}
		}
		last := b.lastChunk(len(p) - n)
		c := b.chunks[last]
		m := copy(c[len(c):cap(c)], p[n:])
		b.chunks[last] = c[:len(c)+m]
		b.size += int64(m)
		n += m
		b.tellReaders()
	}
	return n, nil
}

// lastChunk returns the index of a last chunk with room; want is how many bytes are to come at least.
func (b *Body) lastChunk(want int) int {
	last := len(b.chunks) - 1
	if last >= 0 && len(b.chunks[last]) < cap(b.chunks[last]) {
		return last
	}
	size := min(max(minChunk, b.size, int64(want)), maxChunk)
	if !b.outgrown {
		size = min(size, b.limit-b.size)
	}
	b.chunks = append(b.chunks, make([]byte, 0, size))
	return last + 1
}

// waitForRoom returns when less than a window lies between the writer and its slowest reader. It is called, and returns, with the lock held, but does not hold it while it waits.
func (b *Body) waitForRoom() error {
	var stalled *time.Timer
	for {
		b.drop()
		if len(b.readers) == 0 {
			return ErrNobody
		}
		if b.size-b.base < window {
			return nil
		}
		if stalled == nil {
			stalled = time.NewTimer(StallLimit)
			defer stalled.Stop()
			b.mark()
		}
		room := make(chan struct{})
		b.room = room
		b.mu.Unlock()
		expired := false
		select {
		case <-room:
		case <-stalled.C:
			expired = true
		}
		b.mu.Lock()
		if expired {
			b.hold = nil
			b.letStalledGo()
			b.mark()
			stalled.Reset(StallLimit)
		}
	}
}

// drop forgets the chunks that every reader has passed.
func (b *Body) drop() {
	if b.base == 0 && b.hold != nil && b.hold() {
		return
	}
	first := b.dropped + len(b.chunks)
	for r := range b.readers {
		first = min(first, r.chunk)
	}
	for ; b.dropped < first && len(b.chunks) > 1; b.dropped++ {
		b.base += int64(len(b.chunks[0]))
		b.chunks[0] = nil
		b.chunks = b.chunks[1:]
	}
}

// mark remembers where each reader stands.
func (b *Body) mark() {
	for r := range b.readers {
		r.mark = r.total
	}
}

// letStalledGo ends the readers that have not moved since mark, all at once, so that many of them at different places cost the others no more than one.
// If nobody else is there they stay: a client that nobody waits behind may be as slow as it likes.
func (b *Body) letStalledGo() {
	others := false
	for r := range b.readers {
		others = others || !r.stalled()
	}
	if !others {
		return
	}
	for r := range b.readers {
		if r.stalled() {
			r.err = ErrStalled
			delete(b.readers, r)
		}
	}
	b.tellReaders()
}

// stalled reports whether the reader has not moved since mark though there was something to read.
func (r *Reader) stalled() bool { return r.total == r.mark && r.total < r.body.size }

// Hold keeps the beginning of a body that has outgrown its limit while there says that somebody is on the way to read it; Wake is to be called when that may have changed.
// there is called under the body's lock. Like readers, those on the way are waited for no longer than StallLimit.
func (b *Body) Hold(there func() bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hold = there
}

// Wake makes a writer that waits look again.
func (b *Body) Wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tellWriter()
}

// Flush marks what has been written so far as wanted by the clients now.
func (b *Body) Flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flushed = b.size
	b.tellReaders()
}

// Close ends the body: completely when err is nil. Only the first call counts.
func (b *Body) Close(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.done {
		b.done, b.err = true, err
		b.tellReaders()
	}
}

func (b *Body) tellReaders() {
	if b.wake != nil {
		close(b.wake)
		b.wake = nil
	}
}

func (b *Body) tellWriter() {
	if b.room != nil {
		close(b.room)
		b.room = nil
	}
}

// Ready waits until the body has more than n bytes, was flushed, or has ended, and returns why it ended early, if it did. When ctx ends first, it returns its cause.
func (b *Body) Ready(ctx context.Context, n int64) error {
	for {
		b.mu.Lock()
		if b.done || b.size > n || b.flushed >= 0 || b.outgrown {
			err := b.err
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

// Done waits until the body has ended, like Ready. A body that outgrows its limit counts as one that ended early.
func (b *Body) Done(ctx context.Context) error {
	for {
		b.mu.Lock()
		switch {
		case b.outgrown:
			b.mu.Unlock()
			return ErrOutgrown
		case b.done:
			err := b.err
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

func (b *Body) waker() <-chan struct{} {
	if b.wake == nil {
		b.wake = make(chan struct{})
	}
	return b.wake
}

// Size is the number of bytes written so far.
func (b *Body) Size() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.size
}

// Outgrown reports whether the body passed its limit, so that it cannot be stored.
func (b *Body) Outgrown() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.outgrown
}

// Object returns the body for storing; ok is false when it ended early, has not ended, or outgrew its limit.
func (b *Body) Object() (body object.Body, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.done || b.err != nil || b.outgrown {
		return object.Body{}, false
	}
	chunks := make([][]byte, len(b.chunks)) // readers may still walk b.chunks
	copy(chunks, b.chunks)
	if last := len(chunks) - 1; last >= 0 {
		if c := chunks[last]; len(c) == 0 {
			chunks = chunks[:last]
		} else if cap(c)-len(c) > len(c)/8 {
			chunks[last] = append(make([]byte, 0, len(c)), c...) // slack would be charged to the budget for as long as the object lives
		}
	}
	return object.NewBody(chunks...), true
}

// Reader reads a body from its beginning while it grows. It belongs to one goroutine, which must Close it.
type Reader struct {
	body    *Body
	chunk   int   // the chunk it stands in, dropped ones counted
	at      int   // where in it
	total   int64 // bytes returned so far
	mark    int64 // total when the writer began to wait
	flushed int64 // the last Flush it has reported
	err     error // why it was let go
}

// Reader returns a reader that stands at the beginning, or nil when the beginning is gone because the body has outgrown its limit.
func (b *Body) Reader() *Reader {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.base > 0 {
		return nil
	}
	r := &Reader{body: b, flushed: -1}
	if b.readers == nil {
		b.readers = make(map[*Reader]struct{})
	}
	b.readers[r] = struct{}{}
	return r
}

// Close says that the reader is done; the writer no longer waits for it.
func (r *Reader) Close() {
	r.body.mu.Lock()
	defer r.body.mu.Unlock()
	delete(r.body.readers, r)
	r.body.tellWriter()
}

// Next returns the bytes after those returned before, read only, waiting until there are some. flush says that the writer asked for all bytes returned so far to be on their way; it may come without bytes.
// At the end Next returns io.EOF, or the reason why the body ended early; when ctx ends first, its cause.
func (r *Reader) Next(ctx context.Context) (p []byte, flush bool, err error) {
	for {
		p, flush, wake, err := r.poll()
		if wake == nil {
			return p, flush, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
	}
}

// poll is Next without waiting: when there is nothing to tell it returns a channel to wait on.
func (r *Reader) poll() (p []byte, flush bool, wake <-chan struct{}, err error) {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.err != nil {
		return nil, false, nil, r.err
	}
	for ; r.chunk-b.dropped < len(b.chunks); r.chunk, r.at = r.chunk+1, 0 {
		c := b.chunks[r.chunk-b.dropped]
		if r.at < len(c) {
			p = c[r.at:len(c):len(c)]
			r.at = len(c)
			r.total += int64(len(p))
			break
		}
		if len(c) < cap(c) {
			break // the writer is not done with this chunk
		}
	}
	if b.outgrown {
		b.tellWriter()
	}
	if b.flushed > r.flushed && b.flushed <= r.total {
		r.flushed, flush = b.flushed, true
	}
	switch {
	case p != nil || flush:
		return p, flush, nil, nil
	case b.done && b.err != nil:
		return nil, false, nil, b.err
	case b.done:
		return nil, false, nil, io.EOF
	}
	return nil, false, b.waker(), nil
}
