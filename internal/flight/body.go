// Package flight runs one fill for many clients: a body that is read while it grows, and the table of fills that others may join.
package flight

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/readers"
)

const (
	minChunk = 4 << 10
	// oneChunk is the least that a handler's first write brings, in bytes, to be taken for the whole page: one that renders into a buffer writes once.
	oneChunk = 512
	maxChunk = 256 << 10

	// trust is how many times what has come a declared length may size a chunk ahead: who declares much and sends little takes little.
	trust = 8
)

var (
	// ErrStalled is why a reader was let go: it was too slow while others waited behind it.
	ErrStalled = errors.New("edgecache: reader was too slow while others waited for it")
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
// Up to its limit the body keeps every byte. Once it outgrows the limit, or the room that it draws from has nothing left, it can no longer be stored: it takes no new readers, and goes on for those that it has with a bounded window.
// What it has drawn goes back when nobody can want the bytes any more, or when they are those of an object that is accounted for.
type Body struct {
	born     time.Time
	limit    int64 // in bytes
	declared int64 // what the handler announced, or -1
	room     Room  // nil is without bounds
	pinned   *readers.Room
	leader   Leader

	mu       sync.Mutex
	chunks   [][]byte    // all but the last are full
	one      [1][]byte   // for chunks, as a rule
	dropped  int         // chunks that are gone from the front of an outgrown body
	base     int64       // bytes in them
	size     int64       // bytes written so far
	held     int64       // what the chunks take
	reserved int64       // of that, what is drawn from room; the rest is at most looseWindow
	flushed  int64       // size at the writer's last Flush; -1 before the first
	flushes  int         // up to liveFlushes
	timer    *time.Timer // until it may be live; nil without
	live     bool        // see Live
	outgrown bool
	done     bool
	left     bool                 // the leader wants nothing of it any more
	stored   bool                 // the bytes are those of an object that was in memory
	whole    object.Body          // once somebody has asked for the object
	made     bool                 // whole is there
	gone     bool                 // nobody wanted them any more
	err      error                // why it ended early
	reading  map[*Reader]struct{} // those that have not closed
	wake     chan struct{}        // closed when there is news for readers; nil while nobody waits
	flight   Queue                // of those who read it; nil for nobody
	hold     Queue                // the same, while the beginning is kept for those who are still about to read it
	moved    chan struct{}        // closed when there may be news for the writer; nil while it does not wait
	waited   time.Duration        // by the writer, for readers of an outgrown body, while others wanted to go on
}

// NewBody returns an empty body that keeps up to limit bytes. declared is the length that the handler announced, or -1.
func NewBody(limit, declared int64) *Body { return new(Body).Init(limit, declared) }

// Init makes b, which is the zero Body, what NewBody returns, and returns it.
func (b *Body) Init(limit, declared int64) *Body {
	b.born, b.limit, b.declared, b.flushed = time.Now(), limit, declared, -1
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
		if err := b.makeRoom(int64(len(p) - n)); err != nil {
			return n, err
		}
		last := len(b.chunks) - 1
		c := b.chunks[last]
		m := copy(c[len(c):cap(c)], p[n:])
		b.chunks[last] = c[:len(c)+m]
		b.size += int64(m)
		n += m
		b.tellReaders()
	}
	return n, nil
}

// Queue is who has not begun to read a body.
type Queue interface {
	// WaitingToRead reports whether there is anybody. It is called under the body's lock.
	WaitingToRead() bool
	// Shut says that nobody may join it any more. It is called under the body's lock, once.
	Shut()
}

// Hold keeps the beginning of a body that has outgrown its limit while somebody in the queue is on the way to read it; Wake is to be called when that may have changed.
// Like readers, those on the way are waited for no longer than is right, see StallLimit.
func (b *Body) Hold(queue Queue) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flight, b.hold = queue, queue
}

// Wake makes a writer that waits look again.
func (b *Body) Wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tellWriter()
	b.forget()
}

// Flush marks what has been written so far as wanted by the clients now.
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
	if !b.done {
		b.end(err)
	}
}

func (b *Body) end(err error) {
	b.done, b.err = true, err
	if b.timer != nil {
		b.timer.Stop()
	}
	b.tellReaders()
}

func (b *Body) tellReaders() {
	if b.wake != nil {
		close(b.wake)
		b.wake = nil
	}
}

func (b *Body) tellWriter() {
	if b.moved != nil {
		close(b.moved)
		b.moved = nil
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

// Done waits until the body has ended, like Ready. A body that outgrows what can be kept, or turns out to be live, counts as
// one that ended early.
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
		case b.live:
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

// Outgrown reports whether the body outgrew its limit, or its room, so that it cannot be stored.
func (b *Body) Outgrown() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.outgrown
}

// Object returns the body for storing, the same each time; ok is false when it ended early, has not ended, or outgrew its limit.
// Until it is Stored, or nobody can want it any more, what the body has drawn pays for it.
func (b *Body) Object() (body object.Body, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.done || b.err != nil || b.outgrown || b.gone {
		return object.Body{}, false
	}
	if !b.made {
		b.trim()
		b.whole, b.made = object.NewBody(b.chunks...), true
		if set := b.whole.Readers(); set != nil {
			set.Pay()
		}
	}
	return b.whole, true
}

// trim copies the last chunk if it has much slack, which would be charged to the budget for as long as the object lives; but not a large one that a client is about to take, for then both
// would be there, and only one would be charged.
func (b *Body) trim() {
	last := len(b.chunks) - 1
	if last < 0 {
		return
	}
	c := b.chunks[last]
	if cap(c)-len(c) <= len(c)/8 {
		return
	}
	if cap(c) > readers.CountedAbove {
		for r := range b.reading {
			if r.chunk-b.dropped == last && r.at > 0 && !r.hungry {
				return
			}
		}
	}
	b.chunks[last] = append(make([]byte, 0, len(c)), c...)
	b.held -= int64(cap(c) - cap(b.chunks[last]))
	b.giveBack(b.held)
}

// Reader reads a body from its beginning while it grows. It belongs to one goroutine, which must Close it.
type Reader struct {
	readers.Reader // of the object that the body became, if it is in memory
	body           *Body
	chunk          int   // the chunk it stands in, dropped ones counted
	at             int   // where in it
	total          int64 // bytes returned so far
	flushed        int64 // the last Flush it has reported
	err            error // why it was let go

	// How it did while the writer of an outgrown body waited.
	hungry bool          // it waits for bytes
	inHand int           // the bytes returned last
	mark   int64         // total when the writer began to wait
	behind time.Duration // for how long the writer waited, others wanted to go on, and it had bytes to read
	took   int64         // bytes meanwhile
}

// Reader returns a reader that stands at the beginning, or nil when the beginning is gone because the body has outgrown its limit, or because nobody wanted it any more. A live body that has not
// ended takes no new readers.
func (b *Body) Reader() *Reader {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.base > 0 || b.gone || b.live && !b.done {
		return nil
	}
	return b.newReader()
}

// LeaderReader is Reader for the leader, who may read a live body.
func (b *Body) LeaderReader() *Reader {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.newReader()
}

func (b *Body) newReader() *Reader {
	r := &Reader{body: b, flushed: -1}
	r.In(b.pinned)
	if b.reading == nil {
		b.reading = make(map[*Reader]struct{})
	}
	b.reading[r] = struct{}{}
	if set := b.whole.Readers(); set != nil && b.stored {
		r.Join(set)
	}
	return r
}

// Close says that the reader is done; the writer no longer waits for it. Nobody uses the client's writer any more when it has returned.
func (r *Reader) Close() {
	r.leave()
	r.Stop()
}

func (r *Reader) leave() {
	r.body.mu.Lock()
	defer r.body.mu.Unlock()
	delete(r.body.reading, r)
	r.body.tellWriter()
	r.body.forget()
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
			end := min(len(c), r.at+b.piece())
			p = c[r.at:end:end]
			r.at = end
			r.total += int64(len(p))
			break
		}
		if len(c) < cap(c) {
			break // the writer is not done with this chunk
		}
	}
	r.hungry, r.inHand = p == nil, len(p)
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

// piece is the most that a reader is given at once.
func (b *Body) piece() int {
	if b.outgrown || b.declared < 0 {
		return smallPiece
	}
	return piece
}
