package scale

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache"
)

// Limits of the churn's site.
const (
	largest     = 8 << 20 // bytes of a body
	usualURLs   = 20_000
	largeURLs   = 200
	varyValues  = 10_000
	manyTags    = 10_000
	churnPhases = 10
)

// Churn is what a long mixed load does to the heap of an Edge with a budget. Bytes are beyond what the heap held before the Edge was made.
type Churn struct {
	Ops      int
	Workers  int
	Budget   int64
	Elapsed  time.Duration
	HitRatio float64

	Exact     int64   // the most that was live while requests, and with them bodies that grow, stood still
	ExactEach []int64 // the same for each phase
	Charged   int64   // by Stats, when Exact was seen
	Marked    int64   // the most that a collection under load took for live: what is allocated while it marks counts, though it may be dead already
	Heap      int64   // the most that the heap held, garbage included
	RSS       int64   // the most that the process had
}

// Bound is what the heap may be at most: the budget, a tenth of it and 8 MiB.
func (c Churn) Bound() int64 { return c.Budget + c.Budget/10 + 8<<20 }

// MeasureChurn sends ops requests from several goroutines. peak, if not nil, is called when more was live than before and everything stands still.
func MeasureChurn(ops, workers int, budget int64, peak func(phase int, live int64)) (Churn, error) {
	m := Churn{Ops: ops, Workers: workers, Budget: budget}
	s := newSite()
	newClient().ask(s, "/u/1", "", "")
	before := liveHeap()
	edge, err := edgecache.New(edgecache.Config{MaxBytes: budget})
	if err != nil {
		return m, err
	}
	h := edge.Handler(s)

	watch := watchHeap(before)
	began := time.Now()
	for phase := range churnPhases {
		look := func() {
			live := liveHeap() - before
			m.ExactEach[phase] = max(m.ExactEach[phase], live)
			if live > m.Exact {
				m.Exact, m.Charged = live, edge.Stats().Bytes
				if peak != nil {
					peak(phase, live)
				}
			}
		}
		m.ExactEach = append(m.ExactEach, 0)
		var group sync.WaitGroup
		for w := range workers {
			group.Go(func() {
				u := &user{site: s, edge: edge, handler: h, client: newClient(), random: rand.New(rand.NewPCG(uint64(phase), uint64(w)))}
				for range ops / churnPhases / workers {
					s.gate.pass()
					u.act(weights[phase%len(weights)])
				}
			})
		}
		over := make(chan struct{})
		go func() { group.Wait(); close(over) }()
		tick := time.NewTicker(lookEvery)
		for running := true; running; {
			select {
			case <-over:
				running = false
			case <-tick.C:
				watch.paused.Store(true)
				s.gate.shut(workers, look)
				watch.paused.Store(false)
			}
		}
		tick.Stop()
		look()
	}
	m.Elapsed = time.Since(began)
	m.Marked, m.Heap = watch.stop()
	m.RSS = residentPeak()
	st := edge.Stats()
	m.HitRatio = float64(st.Hits) / float64(st.Requests)
	if st.Bytes > budget {
		return m, fmt.Errorf("%d bytes are charged, more than the budget of %d", st.Bytes, budget)
	}
	return m, edge.Close(context.Background())
}

// lookEvery is how often everything is made to stand still for an exact look at the heap.
const lookEvery = time.Second

// gate makes requests stand still between two writes of a body.
type gate struct {
	mu      sync.Mutex
	reopen  chan struct{} // closed when the gate opens again; nil while it is open
	waiting atomic.Int64
	closed  atomic.Bool
}

// pass waits while the gate is shut.
func (g *gate) pass() {
	if !g.closed.Load() {
		return
	}
	g.mu.Lock()
	reopen := g.reopen
	g.mu.Unlock()
	if reopen != nil {
		g.waiting.Add(1)
		<-reopen
		g.waiting.Add(-1)
	}
}

// shut calls f when all users wait, or after a moment: waiters do not come to the gate.
func (g *gate) shut(users int, f func()) {
	reopen := make(chan struct{})
	g.mu.Lock()
	g.reopen = reopen
	g.mu.Unlock()
	g.closed.Store(true)
	for began := time.Now(); g.waiting.Load() < int64(users) && time.Since(began) < 50*time.Millisecond; {
		runtime.Gosched()
	}
	f()
	g.closed.Store(false)
	g.mu.Lock()
	g.reopen = nil
	g.mu.Unlock()
	close(reopen)
}

// watcher samples the heap until it is stopped.
type watcher struct {
	before       int64
	paused       atomic.Bool
	end          chan struct{}
	done         chan struct{}
	marked, heap int64
}

func watchHeap(before int64) *watcher {
	w := &watcher{before: before, end: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-w.end:
				return
			case <-tick.C:
			}
			if w.paused.Load() {
				continue
			}
			w.marked = max(w.marked, readMetric("/gc/heap/live:bytes")-w.before)
			w.heap = max(w.heap, readMetric("/memory/classes/heap/objects:bytes")-w.before)
		}
	}()
	return w
}

func (w *watcher) stop() (marked, heap int64) {
	close(w.end)
	<-w.done
	return w.marked, w.heap
}

// weights of one phase: how often, of a thousand, each kind of request comes. The rest are usual pages.
type weight struct{ large, flood, vary, tagged, refused, purge int }

var weights = []weight{
	{large: 3, flood: 100, vary: 100, tagged: 50, refused: 20, purge: 2},
	{flood: 1000},                         // unique URLs only, small
	{large: 100, purge: 1},                // large ones by the hundred
	{vary: 900, tagged: 50},               // variants
	{refused: 900, flood: 50},             // unique URLs that may not be stored
	{tagged: 950, purge: 20},              // tags and purges
	{large: 20, flood: 500, vary: 100},    // everything at once
	{large: 3, flood: 100, vary: 100},     // as at first
	{flood: 500, refused: 400, tagged: 1}, // a scan
	{large: 3, flood: 100, vary: 100, tagged: 50, refused: 20, purge: 2},
}

// user is one goroutine of requests.
type user struct {
	site    *site
	edge    *edgecache.Edge
	handler http.Handler
	client  *client
	random  *rand.Rand
}

func (u *user) act(w weight) {
	n := u.random.IntN(1000)
	falls := func(share int) bool {
		n -= share
		return n < 0
	}
	switch {
	case falls(w.large):
		u.get("/large/"+strconv.Itoa(u.random.IntN(largeURLs)), "")
	case falls(w.flood):
		u.get("/flood/"+strconv.FormatUint(u.random.Uint64(), 36), "")
	case falls(w.vary):
		u.get("/vary/"+strconv.Itoa(u.random.IntN(20)), strconv.Itoa(u.random.IntN(varyValues)))
	case falls(w.tagged):
		u.get("/tagged/"+strconv.Itoa(u.random.IntN(usualURLs)), "")
	case falls(w.refused):
		u.get("/refused/"+strconv.FormatUint(u.random.Uint64(), 36), "")
	case falls(w.purge):
		u.purge()
	default:
		// Popular ones often: the square of an even distribution.
		f := u.random.Float64()
		u.get("/usual/"+strconv.Itoa(int(f*f*f*usualURLs)), "")
	}
}

func (u *user) get(target, version string) {
	if version != "" {
		u.client.ask(u.handler, target, "X-Version", version)
		return
	}
	u.client.ask(u.handler, target, "", "")
}

func (u *user) purge() {
	ctx := context.Background()
	var err error
	switch u.random.IntN(5) {
	case 0:
		_, err = u.edge.Purge(ctx, "http://bench.example/large/"+strconv.Itoa(u.random.IntN(largeURLs)))
	case 1:
		_, err = u.edge.PurgeTags(ctx, "t"+strconv.Itoa(u.random.IntN(manyTags)))
	case 2:
		_, err = u.edge.Soft().PurgeTags(ctx, "t"+strconv.Itoa(u.random.IntN(manyTags)))
	case 3:
		_, err = u.edge.Soft().Purge(ctx, "http://bench.example/usual/"+strconv.Itoa(u.random.IntN(usualURLs)))
	case 4:
		if u.random.IntN(100) == 0 { // it looks at all that is stored
			_, err = u.edge.PurgePrefix(ctx, "http://bench.example/vary/1")
		}
	}
	if err != nil {
		panic(err) // what is purged is named here
	}
}

// site makes pages whose size depends on nothing but the URL.
type site struct {
	bytes []byte
	gate  gate
}

func newSite() *site {
	s := &site{bytes: make([]byte, largest)}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range s.bytes {
		s.bytes[i] = byte(random.Uint32())
	}
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	runtime.Gosched() // others come in between, as they do where a handler waits for its database
	h := w.Header()
	h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	var size int
	declares := true
	part := hash(r.URL.Path)
	switch kind := r.URL.Path[1:2]; kind {
	case "l":
		size = logUniform(part, 64<<10, largest)
		declares = part%2 == 0
	case "f":
		size = logUniform(part, 1, 4<<10)
	case "v":
		h["Vary"] = []string{"X-Version"}
		size = logUniform(part+hash(r.Header.Get("X-Version")), 1, 16<<10)
	case "t":
		h["Cache-Groups"] = []string{fmt.Sprintf(`"t%d", "t%d", "t%d"`, part%manyTags, part>>16%manyTags, part>>32%manyTags)}
		size = logUniform(part, 1, 16<<10)
	case "r":
		h["Cache-Control"] = []string{"no-store"}
		size = logUniform(part, 1, 1<<10)
	default:
		size = logUniform(part, 1, 64<<10)
	}
	if _, refused := h["Cache-Control"]; !refused {
		h["Cache-Control"] = []string{"max-age=3600"}
	}
	if declares {
		h["Content-Length"] = []string{strconv.Itoa(size)}
	}
	for at := 0; at < size; { // in pieces, as templates do
		n := min(size-at, 32<<10)
		s.gate.pass()
		if _, err := w.Write(s.bytes[at : at+n]); err != nil {
			return
		}
		at += n
	}
}

// logUniform returns a number in [low, high] whose logarithm is as even as part is.
func logUniform(part uint64, low, high float64) int {
	f := float64(mix(part)>>11) / (1 << 53)
	return int(low * math.Exp(f*math.Log(high/low)))
}

func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// mix is the finish of SplitMix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
