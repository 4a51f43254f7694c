package assets

import (
	"bytes"
	"sync"

	"github.com/edgecache-go/edgecache/internal/coding"
)

// maxQueue is how many variants may wait to be made. A later request asks again for those that did
// not fit.
const maxQueue = 256

// encoded is one variant of an asset.
type encoded struct {
	from   *original // the sidecar, or nil
	data   []byte    // its bytes, if there is no sidecar
	size   int64
	etag   string
	length string // size, in digits
}

func (e *encoded) open() (content, error) {
	if e.from != nil {
		return e.from.open()
	}
	return content{data: e.data, size: e.size}, nil
}

// The states of a variant that has no sidecar.
const (
	untried  uint32 = iota
	queued          // being made
	finished        // made, or not worth it
)

// worker makes one variant after the other. Its goroutine runs while there is something to do.
type worker struct {
	mu      sync.Mutex
	queue   []job
	running bool
	idle    sync.Cond // on mu; signals that running became false

	making sync.Mutex // one variant at a time
	budget int64      // bytes that all variants together may still take; guarded by making
}

type job struct {
	asset  *Asset
	coding coding.Coding
}

func newWorker(budget int64) *worker {
	w := &worker{budget: budget}
	w.idle.L = &w.mu
	return w
}

// ask queues a variant.
func (w *worker) ask(a *Asset, c coding.Coding) {
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

// settle waits until no variant is being made.
func (w *worker) settle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.running {
		w.idle.Wait()
	}
}

// release gives back the memory of the variants of an asset that is no longer served.
func (w *worker) release(a *Asset) {
	w.making.Lock()
	defer w.making.Unlock()
	for c := coding.Brotli; c < coding.Count; c++ {
		a.state.tried[c].Store(finished) // later requests for them get none
		if e := a.state.made[c].Swap(nil); e != nil {
			w.budget += e.size
		}
	}
}

// make makes a variant now, unless that was tried before.
func (w *worker) make(a *Asset, c coding.Coding) *encoded {
	w.making.Lock()
	defer w.making.Unlock()
	if a.state.tried[c].Load() == finished {
		return a.state.made[c].Load()
	}
	data, err := a.bytes()
	if err != nil {
		// The file has changed. Another file with the same bytes may take its place and shares its
		// state, so the variant can be made then.
		a.state.tried[c].Store(untried)
		return nil
	}
	defer a.state.tried[c].Store(finished)
	packed, err := coding.Encode(c, bytes.NewReader(data), false)
	if err != nil || !coding.Worthwhile(int64(len(packed)), a.size) || int64(len(packed)) > w.budget {
		return nil
	}
	w.budget -= int64(len(packed))
	e := a.variant(c, int64(len(packed)))
	e.data = packed
	a.state.made[c].Store(e)
	return e
}
