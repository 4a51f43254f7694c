package trace

import (
	"container/heap"
	"container/list"
	"encoding/binary"
	"math"

	"github.com/maypok86/otter/v2"

	"github.com/edgecache-go/edgecache/internal/memory"
)

// keyBytes is the length of a key.
const keyBytes = 4

// cost is what edgecache's tier charges for an object. All caches are given the same costs, budgets, and largest object.
func (t Trace) cost(id int32) int64 { return t.Sizes[id] + memory.EntryOverhead + keyBytes }

// largest is the most that an object may cost: an eighth of the budget.
func largest(budget int64) int64 { return budget / 8 }

type tier struct {
	trace Trace
	tier  *memory.Cache[struct{}]
}

// newTier makes one with a single shard: the budgets of the traces are small, and a shard is a cache of its own.
func newTier(t Trace, budget int64) (Cache, error) {
	return &tier{trace: t, tier: memory.New[struct{}](memory.Config{MaxBytes: budget, Shards: 1})}, nil
}

func (c *tier) Ask(id int32) bool {
	var key [keyBytes]byte
	binary.LittleEndian.PutUint32(key[:], uint32(id))
	if _, ok := c.tier.Get(key[:]); ok {
		return true
	}
	c.tier.Update(key[:], func(struct{}, bool) (struct{}, int64, bool) { return struct{}{}, c.trace.Sizes[id], true })
	return false
}

type otterCache struct {
	trace  Trace
	budget int64
	cache  *otter.Cache[int32, struct{}]
}

// newOtter makes otter with its work done in the goroutine that asks: else it exceeds its budget for a while, and would be compared with more room than the others have.
func newOtter(t Trace, budget int64) (Cache, error) {
	cache, err := otter.New(&otter.Options[int32, struct{}]{
		MaximumWeight: uint64(budget),
		Weigher:       func(id int32, _ struct{}) uint32 { return uint32(t.cost(id)) },
		Executor:      func(f func()) { f() },
	})
	return &otterCache{trace: t, budget: budget, cache: cache}, err
}

func (c *otterCache) Ask(id int32) bool {
	if _, ok := c.cache.GetIfPresent(id); ok {
		return true
	}
	if c.trace.cost(id) <= largest(c.budget) {
		c.cache.Set(id, struct{}{})
	}
	return false
}

type lru struct {
	trace        Trace
	budget, used int64
	order        *list.List
	where        map[int32]*list.Element
}

func newLRU(t Trace, budget int64) (Cache, error) {
	return &lru{trace: t, budget: budget, order: list.New(), where: map[int32]*list.Element{}}, nil
}

func (c *lru) Ask(id int32) bool {
	if e := c.where[id]; e != nil {
		c.order.MoveToFront(e)
		return true
	}
	cost := c.trace.cost(id)
	if cost > largest(c.budget) {
		return false
	}
	for c.used+cost > c.budget {
		last := c.order.Remove(c.order.Back()).(int32)
		delete(c.where, last)
		c.used -= c.trace.cost(last)
	}
	c.where[id] = c.order.PushFront(id)
	c.used += cost
	return false
}

// belady knows what comes, and gives up what is asked for last (Belady's MIN). It does not look at sizes, so it is no upper bound for a cache that does.
type belady struct {
	trace        Trace
	budget, used int64
	at           int
	next         []int // the request after this one for the same object; math.MaxInt if there is none
	resident     map[int32]*future
	queue        futures
}

type future struct {
	id    int32
	next  int
	index int // in the queue
}

func newBelady(t Trace, budget int64) (Cache, error) {
	c := &belady{trace: t, budget: budget, next: make([]int, len(t.Requests)), resident: map[int32]*future{}}
	last := make(map[int32]int, len(t.Sizes))
	for i := len(t.Requests) - 1; i >= 0; i-- {
		c.next[i] = math.MaxInt
		if n, ok := last[t.Requests[i]]; ok {
			c.next[i] = n
		}
		last[t.Requests[i]] = i
	}
	return c, nil
}

func (c *belady) Ask(id int32) bool {
	next := c.next[c.at]
	c.at++
	f, hit := c.resident[id]
	if hit {
		f.next = next
		heap.Fix(&c.queue, f.index)
	} else if cost := c.trace.cost(id); cost <= largest(c.budget) {
		f = &future{id: id, next: next}
		heap.Push(&c.queue, f)
		c.resident[id] = f
		c.used += cost
	}
	for c.used > c.budget {
		gone := heap.Pop(&c.queue).(*future)
		delete(c.resident, gone.id)
		c.used -= c.trace.cost(gone.id)
	}
	return hit
}

// futures is a heap with what is asked for last on top.
type futures []*future

func (q futures) Len() int           { return len(q) }
func (q futures) Less(i, j int) bool { return q[i].next > q[j].next }
func (q futures) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}
func (q *futures) Push(x any) {
	f := x.(*future)
	f.index = len(*q)
	*q = append(*q, f)
}
func (q *futures) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
