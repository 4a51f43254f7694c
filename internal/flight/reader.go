package flight

import (
	"context"
	"io"
	"time"

	"github.com/edgecache-go/edgecache/internal/readers"
)

// Reader reads a body from its beginning while it grows. It belongs to one goroutine, which must
// Close it.
type Reader struct {
	readers.Reader // of the object that the body became, if it is in memory
	body           *Body
	chunk          int   // the chunk that it reads, dropped ones counted
	at             int   // the offset in it
	total          int64 // bytes returned so far
	flushed        int64 // the last Flush it has reported
	err            error // why it was let go

	// Its progress while the writer of an outgrown body waited.
	hungry bool  // it waits for bytes
	inHand int   // the bytes returned last
	mark   int64 // total when the writer began to wait
	// behind is how long the writer waited while others wanted to go on and this one had bytes to
	// read.
	behind time.Duration
	took   int64 // bytes that it took meanwhile
}

// Reader returns a reader at the beginning of the body. It returns nil when the beginning is gone,
// because the body has outgrown its limit or no one wanted it any more. A live body that has not
// ended takes no new readers.
func (b *Body) Reader() *Reader {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buf.base > 0 || b.state.gone || b.liveness.found && !b.state.done {
		return nil
	}
	return b.newReader()
}

// LeaderReader is Reader for the leader, which may read a live body.
func (b *Body) LeaderReader() *Reader {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.newReader()
}

func (b *Body) newReader() *Reader {
	r := &Reader{body: b, flushed: -1}
	r.In(b.pinned)
	if b.readers.open == nil {
		b.readers.open = make(map[*Reader]struct{})
	}
	b.readers.open[r] = struct{}{}
	if set := b.object.body.Readers(); set != nil && b.object.stored {
		r.Join(set)
	}
	return r
}

// Close says that the reader is done. The writer no longer waits for it. When Close has returned,
// the client's writer is no longer used.
func (r *Reader) Close() {
	r.leave()
	r.Stop()
}

func (r *Reader) leave() {
	r.body.mu.Lock()
	defer r.body.mu.Unlock()
	delete(r.body.readers.open, r)
	r.body.tellWriter()
	r.body.forget()
}

// Next returns the bytes after those returned before, read only. It waits until there are some.
// flush says that the writer has flushed all bytes returned so far; it may come without bytes.
//
// At the end Next returns io.EOF, or the reason why the body ended early. When ctx ends first, it
// returns its cause.
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

// poll is Next without waiting: when there is no news it returns a channel to wait on.
func (r *Reader) poll() (p []byte, flush bool, wake <-chan struct{}, err error) {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.err != nil {
		return nil, false, nil, r.err
	}
	for ; r.chunk-b.buf.dropped < len(b.buf.chunks); r.chunk, r.at = r.chunk+1, 0 {
		c := b.buf.chunks[r.chunk-b.buf.dropped]
		if r.at < len(c) {
			end := min(len(c), r.at+b.piece())
			p = c[r.at:end:end]
			r.at = end
			r.total += int64(len(p))
			break
		}
		if len(c) < cap(c) {
			break // the writer still fills this chunk
		}
	}
	r.hungry, r.inHand = p == nil, len(p)
	if b.state.outgrown {
		b.tellWriter()
	}
	if b.flushed > r.flushed && b.flushed <= r.total {
		r.flushed, flush = b.flushed, true
	}
	switch {
	case p != nil || flush:
		return p, flush, nil, nil
	case b.state.done && b.state.err != nil:
		return nil, false, nil, b.state.err
	case b.state.done:
		return nil, false, nil, io.EOF
	}
	return nil, false, b.waker(), nil
}

// piece is the most that a reader gets at once.
func (b *Body) piece() int {
	if b.state.outgrown || b.declared < 0 {
		return smallPiece
	}
	return piece
}
