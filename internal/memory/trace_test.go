package memory

import (
	"container/list"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
)

// trace is a sequence of requests, and the cost of each object.
type trace struct {
	requests []int32
	sizes    []int64
}

var (
	traceObjects  = size(5000, 2000)
	traceRequests = size(50_000, 20_000)
)

// traceKinds are in the order of the table.
var traceKinds = []string{"zipf .7", "zipf .9", "zipf 1.1", "scan", "loop", "drift", "bursts"}

// makeTrace generates a trace of a kind. If it is correlated, popular objects are small. Otherwise
// size and popularity are independent.
func makeTrace(kind string, correlated bool, seed uint64) trace {
	r := rand.New(rand.NewPCG(seed, 1))
	skew := map[string]float64{"zipf .7": .7, "zipf 1.1": 1.1}[kind]
	if skew == 0 {
		skew = .9
	}
	rank := zipf(r, skew, traceObjects)
	requests := make([]int32, traceRequests)
	next := int32(traceObjects) // the first id that is new
	burst, left := int32(0), 0
	for i := range requests {
		id := rank()
		switch kind {
		case "scan": // every other 1 000 requests, half are for something never seen again
			if i/1000%2 == 1 && r.IntN(2) == 0 {
				id, next = next, next+1
			}
		case "loop": // half of the requests go round a quarter of the objects
			if r.IntN(2) == 0 {
				id = int32(i / 2 % (traceObjects / 4))
			}
		case "drift": // the popular ones become unpopular, forty times
			id = (id + int32(i/(traceRequests/40)*(traceObjects/80))) % int32(traceObjects)
		case "bursts": // something new has a third of the requests for a while
			if left == 0 {
				burst, next, left = next, next+1, 200+r.IntN(800)
			}
			left--
			if r.IntN(3) == 0 {
				id = burst
			}
		}
		requests[i] = id
	}
	sizes := make([]int64, next)
	for i := range sizes {
		sizes[i] = int64(math.Exp(math.Log(8<<10)+1.5*r.NormFloat64())) + 100
	}
	if correlated {
		slices.Sort(sizes[:traceObjects])
	}
	return trace{requests, sizes}
}

// zipf returns a generator of ranks in [0, n); math/rand has none for skews
// below 1.
func zipf(r *rand.Rand, skew float64, n int) func() int32 {
	sums := make([]float64, n)
	sum := 0.0
	for i := range sums {
		sum += math.Pow(float64(i+1), -skew)
		sums[i] = sum
	}
	return func() int32 { return int32(sort.SearchFloat64s(sums, r.Float64()*sum)) }
}

// footprint is the room that all objects of the trace take together.
func (tr trace) footprint() (sum int64) {
	seen := make([]bool, len(tr.sizes))
	for _, id := range tr.requests {
		if !seen[id] {
			seen[id] = true
			sum += tr.charge(id)
		}
	}
	return sum
}

const traceKey = 4 // bytes of a key

func (tr trace) charge(id int32) int64 { return tr.sizes[id] + EntryOverhead + traceKey }

// cacheHits runs the trace through a Cache.
func (tr trace) cacheHits(budget int64, seed uint64) (hits int) {
	t := New[struct{}](Config{MaxBytes: budget, seed: seed})
	key := make([]byte, traceKey)
	for _, id := range tr.requests {
		binary.LittleEndian.PutUint32(key, uint32(id))
		if _, ok := t.Get(key); ok {
			hits++
			continue
		}
		t.Update(key, func(struct{}, bool) (struct{}, int64, bool) { return struct{}{}, tr.sizes[id], true })
	}
	return hits
}

// lruHits runs the trace through a plain LRU with the same budget, the same charges and the same
// limit for one entry.
func (tr trace) lruHits(budget int64) (hits int) {
	var (
		order = list.New()
		where = make(map[int32]*list.Element)
		used  int64
	)
	for _, id := range tr.requests {
		if e := where[id]; e != nil {
			hits++
			order.MoveToFront(e)
			continue
		}
		cost := tr.charge(id)
		if cost > budget/8 {
			continue
		}
		for used+cost > budget {
			last := order.Remove(order.Back()).(int32)
			delete(where, last)
			used -= tr.charge(last)
		}
		where[id] = order.PushFront(id)
		used += cost
	}
	return hits
}
