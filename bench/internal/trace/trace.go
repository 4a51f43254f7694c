// Package trace compares what caches keep: the share of requests, and of bytes, that they answer, over generated traces.
package trace

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
)

// Trace is a sequence of requests, and how large each of the objects is.
type Trace struct {
	Kind       string
	Correlated bool // popular objects are small; else size and popularity know nothing of each other
	Requests   []int32
	Sizes      []int64
}

// Kinds of traces, in the order of the table.
func Kinds() []string {
	return []string{"zipf .7", "zipf .9", "zipf 1.1", "scan", "loop", "drift", "bursts"}
}

// Make generates a trace of a kind over so many objects. The same seed gives the same trace.
func Make(kind string, correlated bool, objects, requests int, seed uint64) Trace {
	r := rand.New(rand.NewPCG(seed, 1))
	skew := map[string]float64{"zipf .7": .7, "zipf 1.1": 1.1}[kind]
	if skew == 0 {
		skew = .9
	}
	rank := zipf(r, skew, objects)
	asked := make([]int32, requests)
	next := int32(objects) // the first id that was not asked for
	burst, left := int32(0), 0
	for i := range asked {
		id := rank()
		switch kind {
		case "scan": // every other 1 000 requests, half are for something never seen again
			if i/1000%2 == 1 && r.IntN(2) == 0 {
				id, next = next, next+1
			}
		case "loop": // half of the requests go round a quarter of the objects
			if r.IntN(2) == 0 {
				id = int32(i / 2 % (objects / 4))
			}
		case "drift": // the popular ones become unpopular, forty times
			id = (id + int32(i/(requests/40)*(objects/80))) % int32(objects)
		case "bursts": // something new has a third of the requests for a while
			if left == 0 {
				burst, next, left = next, next+1, 200+r.IntN(800)
			}
			left--
			if r.IntN(3) == 0 {
				id = burst
			}
		}
		asked[i] = id
	}
	sizes := make([]int64, next)
	for i := range sizes {
		sizes[i] = int64(math.Exp(math.Log(8<<10)+1.5*r.NormFloat64())) + 100
	}
	if correlated {
		slices.Sort(sizes[:objects])
	}
	return Trace{Kind: kind, Correlated: correlated, Requests: asked, Sizes: sizes}
}

// zipf returns a generator of ranks in [0, n); math/rand has none for skews below 1.
func zipf(r *rand.Rand, skew float64, n int) func() int32 {
	sums, sum := make([]float64, n), 0.0
	for i := range sums {
		sum += math.Pow(float64(i+1), -skew)
		sums[i] = sum
	}
	return func() int32 { return int32(sort.SearchFloat64s(sums, r.Float64()*sum)) }
}

// Footprint is the room that all objects take together, by cost.
func (t Trace) Footprint(cost func(id int32) int64) (sum int64) {
	seen := make([]bool, len(t.Sizes))
	for _, id := range t.Requests {
		if !seen[id] {
			seen[id] = true
			sum += cost(id)
		}
	}
	return sum
}

// Ratio is what a cache answers of a trace.
type Ratio struct{ Objects, Bytes float64 }

// Cache answers one request: whether it has the object, which it may keep from then on.
type Cache interface{ Ask(id int32) (hit bool) }

// Play sends all requests of t to c.
func (t Trace) Play(c Cache) Ratio {
	var hits, bytes, all int64
	for _, id := range t.Requests {
		all += t.Sizes[id]
		if c.Ask(id) {
			hits++
			bytes += t.Sizes[id]
		}
	}
	return Ratio{Objects: float64(hits) / float64(len(t.Requests)), Bytes: float64(bytes) / float64(all)}
}

// Mean returns the mean of several ratios.
func Mean(all []Ratio) (mean Ratio) {
	for _, r := range all {
		mean.Objects += r.Objects / float64(len(all))
		mean.Bytes += r.Bytes / float64(len(all))
	}
	return mean
}

// Cell is one trace with room for a part of its footprint.
type Cell struct {
	Kind       string
	Correlated bool
	Percent    int64
	Ratios     []Ratio // as Names
}

// Names of the caches, in the order of Cell.Ratios.
func Names() []string { return []string{"LRU", "otter", "edgecache", "Belady"} }

// Percents of the footprint that caches get.
func Percents() []int64 { return []int64{1, 5, 20} }

// Compare plays every trace to every cache.
func Compare(objects, requests int, seed uint64) (cells []Cell, err error) {
	for _, kind := range Kinds() {
		for _, correlated := range []bool{true, false} {
			t := Make(kind, correlated, objects, requests, seed)
			footprint := t.Footprint(t.cost)
			for _, percent := range Percents() {
				budget := footprint * percent / 100
				c := Cell{Kind: kind, Correlated: correlated, Percent: percent}
				for _, build := range []func(Trace, int64) (Cache, error){newLRU, newOtter, newTier, newBelady} {
					cache, err := build(t, budget)
					if err != nil {
						return nil, err
					}
					c.Ratios = append(c.Ratios, t.Play(cache))
				}
				cells = append(cells, c)
			}
		}
	}
	slices.SortStableFunc(cells, func(a, b Cell) int { return cmp.Compare(order(a), order(b)) })
	return cells, nil
}

func order(c Cell) int {
	n := 2 * slices.Index(Kinds(), c.Kind)
	if !c.Correlated {
		n++
	}
	return n
}
