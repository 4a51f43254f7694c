package engine_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestBudget(t *testing.T) {
	t.Run("fetches that stand still keep to the budget", fetchesThatStandStillKeepToTheBudget)
	t.Run("the heap keeps to the budget at the peak of a churn", theHeapKeepsToTheBudgetAtThePeakOfAChurn)
	t.Run("declared lengths are not believed ahead", declaredLengthsAreNotBelievedAhead)
	t.Run("a page that finds no room is streamed to all clients", aPageThatFindsNoRoomIsStreamedToAllClients)
	t.Run("a page that runs out of room is streamed to its end", aPageThatRunsOutOfRoomIsStreamedToItsEnd)
	t.Run("stored pages give way to fetches and come back", storedPagesGiveWayToFetchesAndComeBack)
	t.Run("nothing stays reserved after a fetch", nothingStaysReservedAfterAFetch)
}

// Pages that are being fetched are a part of MaxBytes.

// inBudget holds what an Edge has at this moment to its budget.
func inBudget(t *testing.T, edge *edgecache.Edge) edgecache.Stats {
	t.Helper()
	st := edge.Stats()
	if st.Bytes+st.BytesInFlight > st.MaxBytes || st.BytesInFlight > st.MaxBytes/2 {
		t.Errorf("%d bytes are stored and %d under way, of %d", st.Bytes, st.BytesInFlight, st.MaxBytes)
	}
	return st
}

// text is a page of n bytes in which no two places are alike.
func text(n int) string {
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprint(&b, b.Len(), " ")
	}
	return b.String()[:n]
}

// liveHeap is what is live on the heap, in bytes.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// counter is a client that keeps nothing but how much it got, and what it should have got.
type counter struct {
	header http.Header
	n      atomic.Int64
	wrong  bool
	page   string
}

func (c *counter) Header() http.Header { return c.header }
func (c *counter) WriteHeader(int)     {}
func (c *counter) Write(p []byte) (int, error) {
	at := c.n.Load()
	if at+int64(len(p)) > int64(len(c.page)) || c.page[at:at+int64(len(p))] != string(p) {
		c.wrong = true
	}
	c.n.Add(int64(len(p)))
	return len(p), nil
}

func fetchesThatStandStillKeepToTheBudget(t *testing.T) {
	const (
		fills  = 32
		size   = 4 << 20
		budget = 64 << 20
	)
	page := text(size)
	before := liveHeap()
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			for p := page[:size-1]; len(p) > 0; p = p[min(32<<10, len(p)):] {
				if _, err := io.WriteString(w, p[:min(32<<10, len(p))]); err != nil {
					t.Error(err)
				}
			}
			<-goOn
			_, _ = io.WriteString(w, page[size-1:])
		})
		clients := make([]*counter, fills)
		var all sync.WaitGroup
		for i := range clients {
			clients[i] = &counter{header: http.Header{}, page: page}
			all.Go(func() { s.Handler.ServeHTTP(clients[i], harness.Request("GET", fmt.Sprint("/", i))) })
		}
		synctest.Wait()
		for i, c := range clients {
			if got := c.n.Load(); got != size-1 {
				t.Errorf("client %d has got %d bytes, want all %d that were written", i, got, size-1)
			}
		}
		st := inBudget(t, s.Edge)
		require.Greater(t, st.BytesInFlight, int64(8<<20), "there was room for some")
		heap := liveHeap() - before
		if bound := int64(budget + budget/10 + 8<<20); heap > bound {
			t.Errorf("%d MiB are live, want at most %d", heap>>20, bound>>20)
		}
		t.Logf("%d fills of %d MiB: %d MiB are live, %d MiB reserved", fills, size>>20, heap>>20, st.BytesInFlight>>20)
		close(goOn)
		all.Wait()
		for i, c := range clients {
			if c.wrong || c.n.Load() != size {
				t.Errorf("client %d has got %d bytes, right: %v", i, c.n.Load(), !c.wrong)
			}
		}
		st = inBudget(t, s.Edge)
		require.Zero(t, st.BytesInFlight)
		require.Positive(t, st.Entries)
		require.EqualValues(t, fills-st.Entries, st.Rejections+st.Evictions, "pages that are not stored")
	})
}

// At its worst moment: memory is full, and many bodies of all sizes, one byte to 8 MiB, stand still
// somewhere in the middle.
func theHeapKeepsToTheBudgetAtThePeakOfAChurn(t *testing.T) {
	const (
		fills   = 64
		largest = 8 << 20
		budget  = 64 << 20
	)
	page := text(largest)
	before := liveHeap()
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		var (
			stops atomic.Pointer[chan struct{}]
			peak  int64
			most  int64
		)
		s := harness.NewCountedSite(t, edgecache.Config{MaxBytes: budget}, func(w http.ResponseWriter, r *http.Request, call int) {
			size, _ := strconv.Atoi(r.URL.Query().Get("size"))
			for p := page[:size]; len(p) > 0; p = p[min(len(p), 32<<10):] {
				if _, err := io.WriteString(w, p[:min(len(p), 32<<10)]); err != nil {
					t.Error(err)
				}
			}
			if stop := stops.Load(); stop != nil {
				<-*stop
			}
		})
		for round := range harness.Scaled(6, 60) {
			for i := range 200 { // nothing stands still: these take all memory
				size := 1 + int(math.Pow(1<<20, random.Float64()))
				s.Handler.ServeHTTP(&counter{header: http.Header{}, page: page}, harness.Request("GET", fmt.Sprintf("/%d/%d?size=%d", round, i, size)))
			}
			stop := make(chan struct{})
			stops.Store(&stop)
			var all sync.WaitGroup
			for i := range fills {
				size := int(math.Pow(largest, random.Float64()))
				c := &counter{header: http.Header{}, page: page}
				all.Go(func() {
					s.Handler.ServeHTTP(c, harness.Request("GET", fmt.Sprintf("/slow/%d/%d?size=%d", round, i, size)))
					if c.wrong || c.n.Load() != int64(size) {
						t.Errorf("a client has got %d of %d bytes, right: %v", c.n.Load(), size, !c.wrong)
					}
				})
			}
			synctest.Wait()
			st := inBudget(t, s.Edge)
			peak, most = max(peak, liveHeap()-before), max(most, st.BytesInFlight)
			stops.Store(nil)
			close(stop)
			all.Wait()
			require.Zero(t, inBudget(t, s.Edge).BytesInFlight)
		}
		if bound := int64(budget + budget/10 + 8<<20); peak > bound {
			t.Errorf("%d MiB are live, want at most %d", peak>>20, bound>>20)
		}
		require.Greater(t, s.Edge.Stats().Bytes, int64(budget/2), "memory is not full")
		t.Logf("%d fills stood still at once: %.1f MiB were live at most, %.1f MiB of them reserved", fills, float64(peak)/(1<<20), float64(most)/(1<<20))
	})
}

func declaredLengthsAreNotBelievedAhead(t *testing.T) {
	const fills = 1000
	for _, tt := range []struct {
		name  string
		first string
		most  int64 // for each
	}{
		{"a header alone reserves nothing", "", 0},
		{"one byte reserves the smallest chunk", "x", 4 << 10},
		{"4 KiB reserve eight times as much", text(4 << 10), 64 << 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				goOn := make(chan struct{})
				s := harness.NewCountedSite(t, edgecache.Config{MaxBytes: 256 << 20}, func(w http.ResponseWriter, r *http.Request, call int) {
					w.Header().Set("Content-Length", fmt.Sprint(4<<20))
					w.WriteHeader(http.StatusOK)
					_, _ = io.WriteString(w, tt.first)
					w.(http.Flusher).Flush()
					<-goOn
				})
				var all []*harness.Client
				for i := range fills {
					all = append(all, s.Visit(fmt.Sprint("/", i)))
				}
				synctest.Wait()
				if got := inBudget(t, s.Edge).BytesInFlight; got > fills*tt.most {
					t.Errorf("%d bytes are reserved for each of %d fills, want at most %d", got/fills, fills, tt.most)
				}
				close(goOn)
				harness.Words(all)
				require.Zero(t, s.Edge.Stats().BytesInFlight)
			})
		})
	}
}

// crowded is a stage on which fetches have taken 64 KiB each of the 512 that they may in
// all, until over is closed.
func crowded(t *testing.T, cfg edgecache.Config, n int, handler func(w http.ResponseWriter, r *http.Request, call int)) (s *harness.Site, over chan struct{}, hogs []*harness.Client) {
	over = make(chan struct{})
	cfg.MaxBytes = 1 << 20
	s = harness.NewCountedSite(t, cfg, func(w http.ResponseWriter, r *http.Request, call int) {
		if strings.HasPrefix(r.URL.Path, "/hog") {
			_, _ = io.WriteString(w, text(64<<10))
			<-over
			return
		}
		handler(w, r, call)
	})
	for i := range n {
		hogs = append(hogs, s.Visit(fmt.Sprint("/hog/", i)))
	}
	synctest.Wait()
	require.EqualValues(t, n*64<<10, s.Edge.Stats().BytesInFlight)
	return s, over, hogs
}

// isStoredSoon checks that the page may be stored. Not at once if it is large: others may be worth
// as much.
func isStoredSoon(s *harness.Site, page string) {
	s.T.Helper()
	require.Equal(s.T, "uri-miss", s.Edge.Explain(harness.Request("GET", "/")).Reason.String())
	s.Visit("/").Wants(s.T, "MISS", 200, page)
	for range 20 {
		if s.Visit("/").Word() == "HIT" {
			return
		}
	}
	s.T.Error("the page is not stored when there is room again")
}

func aPageThatFindsNoRoomIsStreamedToAllClients(t *testing.T) {
	const etag = `"ec-000000000000000000000000"` // as this cache makes them
	for _, size := range []int{10, 1000, 3000, 20 << 10, 100 << 10} {
		page := text(size)
		for _, tt := range []struct {
			name   string
			header []string
		}{
			{"plain requests", nil},
			{"ranges of unknown length", []string{"Range", "bytes=3-5"}},
			{"a condition by a tag that this cache made", []string{"If-None-Match", etag}},
			{"a range outside", []string{"Range", "bytes=900000-"}},
		} {
			for _, flushes := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s of %d bytes, flushed: %v", tt.name, size, flushes), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						var told atomic.Int32
						cfg := edgecache.Config{Observer: func(ev edgecache.Event) {
							if ev.Kind == edgecache.Failed && ev.Reason.String() == "busy" && ev.Err != nil {
								told.Add(1)
							}
						}}
						s, over, hogs := crowded(t, cfg, 8, func(w http.ResponseWriter, r *http.Request, call int) {
							time.Sleep(time.Second)
							if flushes {
								w.(http.Flusher).Flush()
							}
							for p := page; len(p) > 0; p = p[min(len(p), 700):] {
								if _, err := io.WriteString(w, p[:min(len(p), 700)]); err != nil {
									t.Error(err)
								}
							}
						})
						leader := s.Visit("/", tt.header...)
						synctest.Wait()
						riders := append(s.Visits(5, "/", tt.header...), s.Visits(5, "/")...)
						leader.Wants(t, leader.Word(), 200, page)
						if !flushes {
							require.Contains(t, []string{"BYPASS", "MISS"}, leader.Word())
							if size <= 2000 || tt.header != nil {
								require.Equal(t, "busy", leader.Detail())
								require.NotContains(t, leader.Sent.Get("Cache-Status"), "stored")
							}
						}
						for _, v := range riders {
							v.Wants(t, "HIT", 200, page)
						}
						require.Equal(t, 9, s.Calls(), "one for all")
						require.EqualValues(t, 1, told.Load())
						st := inBudget(t, s.Edge)
						require.EqualValues(t, 512<<10, st.BytesInFlight)
						require.EqualValues(t, 1, st.Rejections)

						close(over)
						harness.Words(hogs)
						require.Zero(t, s.Edge.Stats().BytesInFlight)
						// It was not the page's fault.
						isStoredSoon(s, page)
					})
				})
			}
		}
	}
}

func aPageThatRunsOutOfRoomIsStreamedToItsEnd(t *testing.T) {
	const size = 100 << 10
	page := text(size)
	for _, declared := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, over, hogs := crowded(t, edgecache.Config{}, 5, func(w http.ResponseWriter, r *http.Request, call int) {
				if declared {
					w.Header().Set("Content-Length", fmt.Sprint(size))
				}
				time.Sleep(time.Second)
				for p := page; len(p) > 0; p = p[1<<10:] {
					if _, err := io.WriteString(w, p[:1<<10]); err != nil {
						t.Error(err)
					}
				}
			})
			slow := &harness.Client{}
			slow.Stall = make(chan struct{})
			slow.Send(t.Context(), s.Handler, harness.Request("GET", "/"))
			synctest.Wait()
			part, whole := s.Visit("/", "Range", "bytes=10-19"), s.Visit("/")
			time.Sleep(time.Second)
			synctest.Wait()
			require.Greater(t, inBudget(t, s.Edge).BytesInFlight, int64(5*64<<10), "a part of it had room")
			require.Less(t, slow.Body.Len(), size)
			close(slow.Stall)
			slow.Wants(t, "MISS", 200, page)
			whole.Wants(t, "HIT", 200, page)
			if declared {
				part.Wants(t, "HIT", 206, page[10:20])
			} else {
				part.Wants(t, "HIT", 200, page)
			}
			require.EqualValues(t, 5*64<<10, s.Edge.Stats().BytesInFlight)
			close(over)
			harness.Words(hogs)
			require.Zero(t, s.Edge.Stats().BytesInFlight)
			require.Equal(t, 6, s.Calls())
			isStoredSoon(s, page)
		})
	}
}

func storedPagesGiveWayToFetchesAndComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		s := harness.NewCountedSite(t, edgecache.Config{MaxBytes: 1 << 20}, func(w http.ResponseWriter, r *http.Request, call int) {
			_, _ = io.WriteString(w, text(2000))
			if strings.HasPrefix(r.URL.Path, "/slow") {
				_, _ = io.WriteString(w, text(60_000))
				<-goOn
			}
		})
		fill := func() int64 {
			for i := range 500 {
				<-s.Visit(fmt.Sprint("/", i)).Done
			}
			return inBudget(t, s.Edge).Bytes
		}
		full := fill()
		require.Greater(t, full, int64(900<<10))
		var slow []*harness.Client
		for i := range 8 {
			slow = append(slow, s.Visit(fmt.Sprint("/slow/", i)))
		}
		synctest.Wait()
		st := inBudget(t, s.Edge)
		require.Greater(t, st.BytesInFlight, int64(400<<10))
		require.Less(t, st.Bytes, full-st.BytesInFlight/2)
		require.Positive(t, st.Evictions)
		close(goOn)
		harness.Words(slow)
		require.Zero(t, s.Edge.Stats().BytesInFlight)
		fill()
		require.Greater(t, fill(), full*9/10)
	})
}

// However a fetch ends, what was reserved for it goes back.
func nothingStaysReservedAfterAFetch(t *testing.T) {
	runs := harness.Scaled(20, 300)
	for run := range runs {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(run), 7))
			budget := int64(1 << (17 + random.IntN(6)))
			var mu sync.Mutex
			draw := func(n int) int {
				mu.Lock()
				defer mu.Unlock()
				return random.IntN(n)
			}
			var s *harness.Site
			s = harness.NewCountedSite(t, edgecache.Config{MaxBytes: budget, Logger: harness.Silent(), DefaultTTL: time.Second, StaleIfError: time.Minute}, func(w http.ResponseWriter, r *http.Request, call int) {
				size, kind := draw(int(budget)/4), draw(12)
				if draw(3) > 0 {
					size = draw(9000)
				}
				switch kind {
				case 0:
					edgecache.NoStore(w)
				case 1:
					w.Header().Set("Content-Length", fmt.Sprint(size+draw(2)))
				case 2:
					if r.Header.Get("If-None-Match") != "" {
						w.WriteHeader(http.StatusNotModified)
						return
					}
				case 3:
					w.WriteHeader(http.StatusInternalServerError)
				}
				w.Header().Set("Etag", `"1"`)
				for rest := size; rest > 0; {
					n := min(rest, 1+draw(40_000))
					if _, err := w.Write(make([]byte, n)); err != nil {
						break
					}
					rest -= n
					if draw(4) == 0 {
						w.(http.Flusher).Flush()
					}
					time.Sleep(time.Duration(draw(50)) * time.Millisecond)
				}
				switch kind {
				case 4:
					panic("boom")
				case 5:
					panic(http.ErrAbortHandler)
				case 6:
					runtime.Goexit()
				case 7:
					_, _ = s.Edge.Purge(context.Background(), "http://example.com"+r.URL.Path)
				}
			})
			var all []*harness.Client
			for range 150 {
				v := &harness.Client{}
				if draw(5) == 0 {
					v.Stall = make(chan struct{})
				}
				var header []string
				switch draw(5) {
				case 0:
					header = []string{"Range", "bytes=5-9"}
				case 1:
					header = []string{"If-None-Match", `"ec-000000000000000000000000"`}
				case 2:
					header = []string{"Cookie", "session=1"}
				}
				v.Send(t.Context(), s.Handler, harness.Request("GET", fmt.Sprint("/", draw(12)), header...))
				all = append(all, v)
				time.Sleep(time.Duration(draw(20)) * time.Millisecond)
				if draw(4) == 0 {
					all[draw(len(all))].Leave()
				}
				inBudget(t, s.Edge)
			}
			for _, v := range all {
				if v.Stall != nil {
					close(v.Stall)
				}
			}
			harness.Words(all)
			require.NoError(t, s.Edge.Close(t.Context()))
			synctest.Wait()
			if got := inBudget(t, s.Edge).BytesInFlight; got != 0 {
				t.Errorf("run %d: %d bytes are still reserved when all is over", run, got)
			}
		})
	}
}
