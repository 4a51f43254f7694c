package assets

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// coding is a content coding, or identity.
type coding uint8

const (
	identity coding = iota
	br
	zstandard
	gz
	codings // how many
)

var (
	codingNames = [codings]string{"identity", "br", "zstd", "gzip"} // RFC 9110, 8.4.1; RFC 7932; RFC 9659
	extensions  = [codings]string{"", ".br", ".zst", ".gz"}
)

const (
	minEncoded = 1 << 10 // smaller files fit into one packet anyway
	maxEncoded = 4 << 20 // larger ones take too long
	// worthwhile is the largest part of the size that may be left, in percent.
	worthwhile = 95
	// maxQueue is how many variants may wait to be made. What comes on top is asked for again by a later request.
	maxQueue = 256
	// window is what every browser's zstd decoder has to offer (RFC 9659, 3).
	window = 8 << 20
)

// compress encodes data; best takes the time that only a build has.
func compress(c coding, data []byte, best bool) ([]byte, error) {
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch c {
	case br:
		level := 5
		if best {
			level = brotli.BestCompression
		}
		w = brotli.NewWriterLevel(&b, level)
	case zstandard:
		level := zstd.SpeedDefault
		if best {
			level = zstd.SpeedBestCompression
		}
		w, err = zstd.NewWriter(&b, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window))
	default:
		level := 6
		if best {
			level = gzip.BestCompression
		}
		w, err = gzip.NewWriterLevel(&b, level)
	}
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return bytes.Clone(b.Bytes()), nil // without the spare capacity
}

// decodes reports whether encoded is a coding of size bytes that hash to sum.
func decodes(c coding, encoded io.Reader, size int64, sum [sha256.Size]byte) error {
	var r io.Reader
	switch c {
	case br:
		r = brotli.NewReader(encoded)
	case zstandard:
		d, err := zstd.NewReader(encoded, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window))
		if err != nil {
			return err
		}
		defer d.Close()
		r = d
	default:
		g, err := gzip.NewReader(encoded)
		if err != nil {
			return err
		}
		r = g
	}
	hash := sha256.New()
	n, err := io.Copy(hash, io.LimitReader(r, size+1)) // one more than there may be: no bomb gets further
	if err != nil {
		return fmt.Errorf("it does not decode: %w", err)
	}
	if n != size || [sha256.Size]byte(hash.Sum(nil)) != sum {
		return errors.New("it is made of other bytes")
	}
	return nil
}

// encoded is one variant of an asset.
type encoded struct {
	from   *original // the sidecar, or nil
	data   []byte    // else its bytes
	size   int64
	etag   string
	length string // size, as it is written
}

func (e *encoded) open() (content, error) {
	if e.from != nil {
		return e.from.open()
	}
	return content{data: e.data, size: e.size}, nil
}

// The states of a variant that nobody has put beside its file.
const (
	untried  uint32 = iota
	queued          // being made
	finished        // made, or not worth it
)

// worker makes variants one after the other. Its goroutine runs while there is something to do.
type worker struct {
	mu      sync.Mutex
	queue   []job
	running bool
	idle    sync.Cond // on mu; when running becomes false

	making sync.Mutex // one variant at a time
	budget int64      // what all variants together may still take; guarded by making
}

type job struct {
	asset  *Asset
	coding coding
}

func newWorker(budget int64) *worker {
	w := &worker{budget: budget}
	w.idle.L = &w.mu
	return w
}

// ask has a variant made later.
func (w *worker) ask(a *Asset, c coding) {
	if a.state.tried[c].Load() != untried || !a.state.tried[c].CompareAndSwap(untried, queued) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) >= maxQueue {
		a.state.tried[c].Store(untried)
		return
	}
	w.queue = append(w.queue, job{a, c})
	if !w.running {
		w.running = true
		go w.run()
	}
}

func (w *worker) run() {
	for {
		w.mu.Lock()
		if len(w.queue) == 0 {
			w.running = false
			w.queue = nil
			w.idle.Broadcast()
			w.mu.Unlock()
			return
		}
		next := w.queue[0]
		w.queue = w.queue[1:]
		w.mu.Unlock()
		w.make(next.asset, next.coding)
	}
}

// settle waits until nothing is being made.
func (w *worker) settle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.running {
		w.idle.Wait()
	}
}

// release gives back what the variants of an asset take that is no longer served.
func (w *worker) release(a *Asset) {
	w.making.Lock()
	defer w.making.Unlock()
	for c := br; c < codings; c++ {
		a.state.tried[c].Store(finished) // whoever still asks for one gets none
		if e := a.state.made[c].Swap(nil); e != nil {
			w.budget += e.size
		}
	}
}

// make makes a variant now, unless that was tried before.
func (w *worker) make(a *Asset, c coding) *encoded {
	w.making.Lock()
	defer w.making.Unlock()
	if a.state.tried[c].Load() == finished {
		return a.state.made[c].Load()
	}
	defer a.state.tried[c].Store(finished)
	data, err := a.bytes()
	if err != nil {
		return nil // changed meanwhile: that file is another asset
	}
	packed, err := compress(c, data, false)
	if err != nil || int64(len(packed))*100 > a.size*worthwhile || int64(len(packed)) > w.budget {
		return nil
	}
	w.budget -= int64(len(packed))
	e := a.variant(c, int64(len(packed)))
	e.data = packed
	a.state.made[c].Store(e)
	return e
}
