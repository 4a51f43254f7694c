package l2

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/edgecache-go/edgecache/internal/object"
)

const (
	// lanes is how many writes run at once. Writes of one URL take the same lane, so they reach the
	// store in their order.
	lanes = 4

	// erasePart bounds the entries that erase: they may take one in erasePart. Clients purge what
	// they like, and must not keep responses from being written.
	erasePart = 4

	// jobOverhead is what a job is charged beside its object.
	jobOverhead = 256
)

// job is something to be done in the store.
type job struct {
	key            string         // the primary key
	put            *object.Record // nil to erase all that is stored under key
	representation Representation // of put
}

func (j *job) cost() int64 {
	n := int64(jobOverhead + len(j.key) + len(j.representation.What) + len(j.representation.For))
	if j.put != nil {
		n += j.put.Size()
		for _, tag := range j.put.Tags {
			n += int64(len(tag))
		}
	}
	return n
}

// queue is what waits to be done. A job that is being done still counts.
type queue struct {
	seed maphash.Seed

	mu      sync.Mutex
	lanes   [lanes]lane
	bytes   int64
	entries int
	erased  int // the entries that erase
	closed  bool
}

type lane struct {
	jobs   []job
	active bool // a goroutine is at work
}

func (q *queue) init() { q.seed = maphash.MakeSeed() }

func (q *queue) size() (entries int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.entries, q.bytes
}

// close refuses what comes afterwards, and reports whether it was open.
func (q *queue) close() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	wasOpen := !q.closed
	q.closed = true
	return wasOpen
}

// push queues a job, or drops it when there is no room.
func (t *Cache) push(j job) bool {
	q := &t.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	cost := j.cost()
	if q.closed || q.entries >= t.config.QueueEntries || q.bytes+cost > t.config.QueueBytes ||
		j.put == nil && q.erased >= max(t.config.QueueEntries/erasePart, 1) {
		t.dropped(&j)
		return false
	}
	l := &q.lanes[maphash.String(q.seed, j.key)%lanes]
	if !l.active {
		if !t.tasks.begin() {
			t.dropped(&j)
			return false
		}
		l.active = true
		go t.work(l)
	}
	l.jobs = append(l.jobs, j)
	q.count(&j, 1)
	return true
}

// count adds n jobs like j to what is queued.
func (q *queue) count(j *job, n int) {
	q.entries += n
	q.bytes += int64(n) * j.cost()
	if j.put == nil {
		q.erased += n
	}
}

func (t *Cache) dropped(j *job) {
	if j.put != nil {
		t.stats.dropped.Add(1)
	}
}

// work does the jobs of a lane until there are none.
func (t *Cache) work(l *lane) {
	defer t.tasks.end()
	q := &t.queue
	for {
		q.mu.Lock()
		if len(l.jobs) == 0 {
			l.jobs, l.active = nil, false
			q.mu.Unlock()
			return
		}
		j := l.jobs[0]
		l.jobs[0] = job{}
		l.jobs = l.jobs[1:]
		q.mu.Unlock()
		t.do(&j)
		q.mu.Lock()
		q.count(&j, -1)
		q.mu.Unlock()
	}
}

func (t *Cache) do(j *job) {
	if t.background.ctx.Err() != nil || !t.available() {
		t.dropped(j)
		return
	}
	if j.put == nil {
		t.settle(t.background.ctx, t.erase(j.key))
		return
	}
	written, err := t.write(j.put, j.representation)
	switch ok := t.settle(t.background.ctx, err); {
	case !ok:
		t.dropped(j)
	case written:
		t.stats.written.Add(1)
	}
}

// write stores a response and lists it in the index of its URL.
func (t *Cache) write(r *object.Record, representation Representation) (written bool, err error) {
	selector := r.Selector()
	if t.marks.purgedSince(t.naming.slots(namesOf(r.Key, selector.Scope != "", r.Tags)), r.Stamp.Local) {
		return false, nil // its stamp would keep it from being used
	}
	now := time.Now()
	k := []byte(r.Key)
	vary := selector.Vary.Append(nil)
	v := listed{id: t.variantID(k, []byte(selector.Scope), vary, []byte(selector.Variant), representation.What), vary: vary, representation: representation}
	value, keep := t.codec.Append(nil, variantKey(v.id), r, now)
	if keep <= 0 || int64(len(value)) > t.config.MaxBytes {
		return false, nil
	}
	v.expires = now.Add(keep)
	// The response before the index, so that the index never lists what is not there yet.
	if err := t.set(variantKey(v.id), value, keep); err != nil {
		return false, err
	}
	// Another process may change the index in between. Then one of the two responses is not listed,
	// and is made again.
	at := indexed(k, []byte(selector.Scope))
	x, err := t.index(at, now)
	if err != nil {
		return false, err
	}
	crowded := x.add(v, now)
	list := t.encodeIndex(x)
	if len(list) > maxIndex {
		return false, nil // no process would read it
	}
	if err := t.set(t.indexKey(at), list, x.keep(now)); err != nil {
		return false, err
	}
	t.settle(t.background.ctx, t.remove(crowded)) // what stays takes up room for a while
	return true, nil
}

// erase deletes the index of a URL and what it lists: those without a scope. Others are overwritten
// when they are made again, or end with their time.
func (t *Cache) erase(k string) error {
	x, err := t.index([]byte(k), time.Now())
	if err != nil || len(x.variants) == 0 {
		return err
	}
	keys := make([]string, 0, len(x.variants)+1)
	keys = append(keys, t.indexKey([]byte(k)))
	for _, v := range x.variants {
		keys = append(keys, variantKey(v.id))
	}
	return t.remove(keys)
}

// index returns the index of k, which comes from indexed; an empty one if there is none that can be
// read.
func (t *Cache) index(k []byte, now time.Time) (index, error) {
	ctx, cancel := context.WithTimeout(t.background.ctx, t.config.WriteTimeout)
	defer cancel()
	value, found, err := t.get(ctx, t.calls.writes, t.indexKey(k))
	if err != nil || !found {
		return index{key: string(k)}, err
	}
	x, ok := t.readIndex(value, k, now)
	if !ok {
		return index{key: string(k)}, nil
	}
	return x, nil
}

func (t *Cache) set(key string, value []byte, ttl time.Duration) error {
	ctx, cancel := context.WithTimeout(t.background.ctx, t.config.WriteTimeout)
	defer cancel()
	_, err := call(t, ctx, t.calls.writes, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, t.store.Set(ctx, key, value, ttl)
	})
	return err
}

func (t *Cache) remove(keys []string) error {
	for _, k := range keys {
		ctx, cancel := context.WithTimeout(t.background.ctx, t.config.WriteTimeout)
		_, err := call(t, ctx, t.calls.writes, func(ctx context.Context) (struct{}, error) { return struct{}{}, t.store.Delete(ctx, k) })
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}
