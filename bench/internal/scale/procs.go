package scale

import (
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache"
)

// Procs is the hit path on so many processors at once.
type Procs struct {
	Procs  int
	Same   float64 // hits per second when all ask for one page
	Spread float64 // when they ask for a thousand
	Wait   time.Duration
	Hits   uint64 // during Wait, so that it can be told for each
}

const spread = 1000 // pages

// MeasureProcs runs GOMAXPROCS goroutines of hits for each of procs. profile, if not nil, gets the mutex profile at the end.
func MeasureProcs(procs []int, each time.Duration, profile func(*pprof.Profile)) ([]Procs, error) {
	edge, err := edgecache.New(edgecache.Config{})
	if err != nil {
		return nil, err
	}
	h := edge.Handler(typical(1 << 10))
	targets := make([]string, spread)
	for i := range targets {
		targets[i] = fmt.Sprintf("/page/%03d", i)
		newClient().ask(h, targets[i], "", "")
	}
	run := func(targets []string) (uint64, time.Duration) {
		var (
			group sync.WaitGroup
			hits  atomic.Uint64
			end   atomic.Bool
		)
		timer := time.AfterFunc(each, func() { end.Store(true) })
		defer timer.Stop()
		began := time.Now()
		for g := range runtime.GOMAXPROCS(0) {
			group.Go(func() {
				c, r, n := newClient(), newRequest(targets[0]), uint64(0)
				for i := g * 37; !end.Load(); i++ {
					r.RequestURI = targets[i%len(targets)]
					r.URL.Path = r.RequestURI
					clear(c.header)
					h.ServeHTTP(c, r)
					if c.status == "HIT" {
						n++
					}
				}
				hits.Add(n)
			})
		}
		group.Wait()
		return hits.Load(), time.Since(began)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	runtime.SetMutexProfileFraction(1)
	defer runtime.SetMutexProfileFraction(0)
	var all []Procs
	for _, p := range procs {
		runtime.GOMAXPROCS(p)
		waited := readMetric("/sync/mutex/wait/total:seconds")
		same, took := run(targets[:1])
		m := Procs{Procs: p, Same: float64(same) / took.Seconds()}
		other, took := run(targets)
		m.Spread = float64(other) / took.Seconds()
		m.Wait = time.Duration(readMetric("/sync/mutex/wait/total:seconds") - waited)
		m.Hits = same + other
		all = append(all, m)
	}
	if profile != nil {
		profile(pprof.Lookup("mutex"))
	}
	return all, edge.Close(context.Background())
}
