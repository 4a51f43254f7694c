package scale

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/key"
)

// Entries is what many stored pages take.
type Entries struct {
	Stored   int
	Body     int // bytes each
	Text     int // bytes of key and header each
	Names    int // bytes of header names in that; well-known ones are kept as one byte
	Heap     int64
	Charged  int64   // by Stats
	Overhead float64 // bytes of heap beyond body and text, each

	StartHeap int64 // of an Edge that has seen nothing
	StartRSS  int64 // of the process then
	Collect   time.Duration
	CPU       time.Duration // of one collection
	Pause     time.Duration // the longest of it
	FillEach  time.Duration
}

// MeasureEntries stores n pages of size bytes through an Edge and looks at the heap. profile, if not nil, gets the heap's profile.
func MeasureEntries(n, size int, profile func(*pprof.Profile)) (Entries, error) {
	page := typical(size)
	c := newClient()
	c.ask(page, "/warm", "", "")
	before := liveHeap()
	edge, err := edgecache.New(edgecache.Config{MaxBytes: int64(n)*int64(size+4096) + 1<<30})
	if err != nil {
		return Entries{}, err
	}
	h := edge.Handler(page)
	m := Entries{Stored: n, Body: size, StartHeap: liveHeap() - before, StartRSS: residentPeak()}

	began := time.Now()
	for i := range n {
		c.ask(h, fmt.Sprintf("/articles/%08d?page=1", i), "", "")
	}
	m.FillEach = time.Since(began) / time.Duration(n)
	c.ask(h, fmt.Sprintf("/articles/%08d?page=1", n-1), "", "")
	if c.status != "HIT" {
		return m, fmt.Errorf("the last of %d pages is a %q, want a HIT", n, c.status)
	}
	for name, values := range c.header {
		if name == "Age" || name == "X-Cache" || name == "Cache-Status" {
			continue
		}
		m.Names += len(name)
		for _, v := range values {
			m.Text += len(v)
		}
	}
	m.Text += m.Names + len(key.OfURL(nil, "http", "bench.example", "/articles/00000000?page=1"))
	clear(c.header)

	m.Heap = liveHeap() - before
	st := edge.Stats()
	m.Charged = st.Bytes
	if st.Entries != n {
		return m, fmt.Errorf("%d pages are stored, want %d", st.Entries, n)
	}
	m.Overhead = float64(m.Heap)/float64(n) - float64(m.Body+m.Text)
	if profile != nil {
		profile(pprof.Lookup("heap"))
	}

	const rounds = 5
	histogram, cpu, at := pauses(), readMetric("/cpu/classes/gc/total:cpu-seconds"), time.Now()
	for range rounds {
		runtime.GC()
	}
	m.Collect = time.Since(at) / rounds
	m.CPU = time.Duration(readMetric("/cpu/classes/gc/total:cpu-seconds")-cpu) / rounds
	m.Pause = time.Duration(longest(histogram, pauses()) * 1e9)
	runtime.KeepAlive(h)
	return m, edge.Close(context.Background())
}

var _ http.ResponseWriter = (*client)(nil)
