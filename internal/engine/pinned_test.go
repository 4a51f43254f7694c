package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
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

func TestPinned(t *testing.T) {
	t.Run("readers that stand still on evicted responses are bounded", readersThatStandStillOnEvictedResponsesAreBounded)
	t.Run("slow readers of evicted responses are let go when there is no room", slowReadersOfEvictedResponsesAreLetGoWhenThereIsNoRoom)
	t.Run("large responses are not stored while pinned ones take their room", largeResponsesAreNotStoredWhilePinnedOnesTakeTheirRoom)
	t.Run("a reader without deadlines ends when it moves", aReaderWithoutDeadlinesEndsWhenItMoves)
	t.Run("what is read is pinned however it leaves memory", whatIsReadIsPinnedHoweverItLeavesMemory)
	t.Run("encodings that are read are pinned", encodingsThatAreReadArePinned)
	t.Run("a confirmed response is not pinned", aConfirmedResponseIsNotPinned)
}

// Responses that leave memory while clients read them are bounded, too.

// socket is a client's writer that takes bytes at a rate, or stands still, and knows deadlines.
type socket struct {
	header http.Header
	status int
	takes  int           // bytes that it takes at once before it stands still; -1 is all
	pause  time.Duration // after each write
	n      atomic.Int64
	past   chan struct{} // closed when a deadline has passed
	once   sync.Once
	goOn   chan struct{} // closed when it goes on
	going  sync.Once
	over   atomic.Bool // ServeHTTP has returned
	used   atomic.Bool // a deadline was set after that

	done     chan struct{}
	leave    context.CancelFunc
	panicked any
}

func (c *socket) Header() http.Header { return c.header }
func (c *socket) WriteHeader(code int) {
	if c.status == 0 {
		c.status = code
	}
}
func (c *socket) Flush() {}

func (c *socket) Write(p []byte) (int, error) {
	c.WriteHeader(http.StatusOK)
	if c.pause > 0 {
		time.Sleep(c.pause)
	}
	if c.takes >= 0 && c.n.Load()+int64(len(p)) > int64(c.takes) {
		select {
		case <-c.past:
			return 0, os.ErrDeadlineExceeded
		case <-c.goOn:
		}
	}
	c.n.Add(int64(len(p)))
	return len(p), nil
}

func (c *socket) SetWriteDeadline(at time.Time) error {
	if c.over.Load() {
		c.used.Store(true)
	}
	if !at.After(time.Now()) {
		c.once.Do(func() { close(c.past) })
	}
	return nil
}

// dumb hides that a socket knows deadlines.
type dumb struct{ s *socket }

func (d dumb) Header() http.Header         { return d.s.Header() }
func (d dumb) WriteHeader(code int)        { d.s.WriteHeader(code) }
func (d dumb) Write(p []byte) (int, error) { return d.s.Write(p) }
func (d dumb) Flush()                      {}

// read sends a request whose client takes so many bytes before it stands still, and returns when it
// does.
func readSocket(s *harness.Site, takes int, deadlines bool, target string, header ...string) *socket {
	return startSocket(s, &socket{takes: takes}, deadlines, target, header...)
}

func startSocket(s *harness.Site, c *socket, deadlines bool, target string, header ...string) *socket {
	c.header, c.past, c.goOn, c.done = http.Header{}, make(chan struct{}), make(chan struct{}), make(chan struct{})
	ctx, leave := context.WithCancel(context.Background())
	c.leave = leave
	s.T.Cleanup(func() { c.release(); <-c.done })
	var w http.ResponseWriter = c
	if !deadlines {
		w = dumb{c}
	}
	go func() {
		defer close(c.done)
		defer leave()
		defer func() {
			c.panicked = recover()
			c.over.Store(true)
		}()
		s.Handler.ServeHTTP(w, harness.Request("GET", target, header...).WithContext(ctx))
	}()
	return c
}

// release makes the client go on.
func (c *socket) release() { c.going.Do(func() { close(c.goOn) }) }

// cut reports whether the client was let go.
func (c *socket) cut() bool {
	select {
	case <-c.done:
		return errors.Is(asError(c.panicked), http.ErrAbortHandler)
	default:
		return false
	}
}

func asError(v any) error {
	err, _ := v.(error)
	return err
}

// forget takes a page out of memory.
func forget(s *harness.Site, target string) {
	s.T.Helper()
	_, err := s.Edge.Purge(s.T.Context(), "http://example.com"+target)
	require.NoError(s.T, err)
}

// eightMiB is a page of which others are the beginning.
var eightMiB = sync.OnceValue(func() []byte { return []byte(strings.Repeat(text(1<<10), 8<<10)) })

// largePages is a stage whose pages have as many KiB as the query says.
func largePages(t *testing.T, cfg edgecache.Config) *harness.Site {
	page := eightMiB()
	return harness.NewCountedSite(t, cfg, func(w http.ResponseWriter, r *http.Request, _ int) {
		kib, _ := strconv.Atoi(r.URL.RawQuery)
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Set("Content-Type", "text/plain")
		for p := page[:kib<<10]; len(p) > 0; {
			n := min(len(p), 100_000)
			if _, err := w.Write(p[:n]); err != nil {
				return
			}
			p = p[n:]
		}
	})
}

// 500 clients that stand still on responses that are taken out of memory under them, one after the
// other, keep the live heap in bounds, however they read, and whether or not they can be let go.
func readersThatStandStillOnEvictedResponsesAreBounded(t *testing.T) {
	const budget, clients = 64 << 20, 500
	for _, row := range []struct {
		name  string
		sizes []int // KiB
		cfg   edgecache.Config
		ask   func(s *harness.Site, deadlines bool, target string) []*socket
	}{
		{"the client of the handler", []int{300, 7 << 10}, edgecache.Config{}, func(s *harness.Site, deadlines bool, target string) []*socket {
			return []*socket{readSocket(s, 64<<10, deadlines, target)}
		}},
		{"a hit", []int{300, 1500}, edgecache.Config{}, func(s *harness.Site, deadlines bool, target string) []*socket {
			askTimes(s, 1, target)
			return []*socket{readSocket(s, 0, deadlines, target)}
		}},
		{"bodies that are small enough to be stored always", []int{40, 250}, edgecache.Config{}, func(s *harness.Site, deadlines bool, target string) []*socket {
			return []*socket{readSocket(s, 0, deadlines, target)}
		}},
		{"who reads along", []int{1 << 10}, edgecache.Config{}, func(s *harness.Site, deadlines bool, target string) []*socket {
			return []*socket{readSocket(s, -1, deadlines, target), readSocket(s, 100<<10, deadlines, target), readSocket(s, 0, deadlines, target, "Range", "bytes=1-")}
		}},
		{"several ranges", []int{300, 1500}, edgecache.Config{}, func(s *harness.Site, deadlines bool, target string) []*socket {
			askTimes(s, 1, target)
			return []*socket{readSocket(s, 50<<10, deadlines, target, "Range", "bytes=0-99999,150000-280000")}
		}},
		{"a range of what is being made", []int{300, 1500}, edgecache.Config{}, func(s *harness.Site, deadlines bool, target string) []*socket {
			return []*socket{readSocket(s, 50<<10, deadlines, target, "Range", "bytes=0-99999,150000-280000"), readSocket(s, 50<<10, deadlines, target, "Range", "bytes=1000-")}
		}},
	} {
		for _, deadlines := range []bool{true, false} {
			t.Run(fmt.Sprint(row.name, ", deadlines: ", deadlines), func(t *testing.T) {
				before := liveHeap()
				synctest.Test(t, func(t *testing.T) {
					s := largePages(t, row.cfg)
					var all []*socket
					most := int64(0)
					for i := range harness.Scaled(clients/10, clients) {
						target := fmt.Sprintf("/%d?%d", i, row.sizes[i%len(row.sizes)])
						all = append(all, row.ask(s, deadlines, target)...)
						synctest.Wait()
						forget(s, target)
						most = max(most, s.Edge.Stats().BytesPinned)
					}
					st := inBudget(t, s.Edge)
					heap := liveHeap() - before
					t.Logf("%d MiB are live, %d stored, %d pinned (%d at most), %d in progress", heap>>20, st.Bytes>>20, st.BytesPinned>>20, most>>20, st.BytesInFlight>>20)
					if heap > 120<<20 {
						t.Errorf("%d MiB are live, want at most 120", heap>>20)
					}
					require.Positive(t, most)
					if bound := int64(budget/4 + budget/8 + 8<<20); most > bound {
						t.Errorf("%d MiB were pinned, want at most %d", most>>20, bound>>20)
					}
					for _, c := range all {
						c.release()
						c.leave()
						<-c.done
						if c.used.Load() {
							t.Error("a deadline was set after ServeHTTP had returned")
						}
					}
					synctest.Wait()
					st = s.Edge.Stats()
					require.Zero(t, st.BytesPinned)
					require.Zero(t, st.BytesInFlight)
					runtime.KeepAlive(s)
				})
			})
		}
	}
}

// full returns a stage on which two clients stand still on pages that were purged, and that fill
// the room for that. They have taken so many bytes.
func full(t *testing.T, takes int, deadlines bool) (s *harness.Site, pinned []*socket) {
	s = largePages(t, edgecache.Config{MaxBytes: 8 << 20}) // a room of 2 MiB
	for i := range 2 {
		target := fmt.Sprintf("/pinned%d?1000", i)
		askTimes(s, 1, target)
		pinned = append(pinned, readSocket(s, takes, deadlines, target))
		synctest.Wait()
		forget(s, target)
	}
	require.Greater(t, s.Edge.Stats().BytesPinned, int64(19<<20/10))
	return s, pinned
}

// evict has one more page leave memory under a reader, which fills the room.
func evict(s *harness.Site, c *socket, deadlines bool, kib int) *socket {
	s.T.Helper()
	target := fmt.Sprintf("/evicted%p?%d", c, kib)
	askTimes(s, 1, target)
	startSocket(s, c, deadlines, target)
	synctest.Wait()
	forget(s, target)
	synctest.Wait()
	return c
}

func slowReadersOfEvictedResponsesAreLetGoWhenThereIsNoRoom(t *testing.T) {
	for _, row := range []struct {
		name  string
		takes int
		age   time.Duration
		want  bool
	}{
		{"who takes nothing", 0, 3 * time.Second, true},
		{"who has just begun is not", 0, 100 * time.Millisecond, false},
		{"who took less than 8 KiB/s since it began", 100 << 10, 14 * time.Second, true},
		{"who took more is not", 400 << 10, 5 * time.Second, false},
		{"who took more, but has stood still for long", 400 << 10, 33 * time.Second, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, pinned := full(t, row.takes, true)
				time.Sleep(row.age)
				fast := evict(s, &socket{takes: -1, pause: 200 * time.Millisecond}, true, 250) // 320 KiB/s
				for _, c := range pinned {
					if got := c.cut(); got != row.want {
						t.Errorf("let go: %v (%v), want %v", got, c.panicked, row.want)
					}
				}
				<-fast.done
				if fast.panicked != nil || fast.n.Load() != 250<<10 {
					t.Errorf("who reads at an ordinary rate got %d bytes and %v", fast.n.Load(), fast.panicked)
				}
				for _, c := range pinned {
					c.release()
					<-c.done
				}
				require.Zero(t, s.Edge.Stats().BytesPinned)
			})
		})
	}
}

// While there is no room, what could pin much is passed on and not stored; what is small is stored
// as always; and when there is room again, all is.
func largeResponsesAreNotStoredWhilePinnedOnesTakeTheirRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, pinned := full(t, 0, false)
		more := evict(s, &socket{}, false, 250)
		require.Greater(t, s.Edge.Stats().BytesPinned, int64(2<<20))
		for _, kib := range []int{257, 1000} {
			v := s.Visit(fmt.Sprint("/large?", kib))
			require.False(t, v.Cut())
			require.Equal(t, kib<<10, v.Body.Len(), "all of it")
			require.False(t, hasStored(s, fmt.Sprint("/large?", kib)), "%d KiB", kib)
		}
		for _, kib := range []int{10, 200} {
			askTimes(s, 1, fmt.Sprint("/small?", kib))
			require.True(t, hasStored(s, fmt.Sprint("/small?", kib)), "%d KiB", kib)
		}
		other := []*socket{more}
		for s.Edge.Stats().BytesPinned < 3<<20 {
			other = append(other, evict(s, &socket{}, false, 250))
		}
		askTimes(s, 1, "/small?250")
		require.False(t, hasStored(s, "/small?250"))
		askTimes(s, 1, "/small?30")
		require.True(t, hasStored(s, "/small?30"))
		for _, c := range append(other, pinned...) {
			c.release()
			<-c.done
		}
		require.Zero(t, s.Edge.Stats().BytesPinned)
		askTimes(s, 1, "/large?1000")
		require.True(t, hasStored(s, "/large?1000"))
	})
}

// A client whose writer knows no deadlines is counted, and ends when it has taken what it has in
// hand.
func aReaderWithoutDeadlinesEndsWhenItMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, pinned := full(t, 0, false)
		time.Sleep(time.Minute)
		fast := evict(s, &socket{takes: -1, pause: 200 * time.Millisecond}, true, 250)
		require.Greater(t, s.Edge.Stats().BytesPinned, int64(19<<20/10))
		for _, c := range pinned {
			c.release()
			<-c.done
			require.True(t, c.cut(), "its client must not take %d bytes for the page", c.n.Load())
			require.Less(t, c.n.Load(), int64(1000<<10))
		}
		<-fast.done
		require.Zero(t, s.Edge.Stats().BytesPinned)
	})
}

// However a response leaves memory, its bytes count as long as a client reads them, and once.
func whatIsReadIsPinnedHoweverItLeavesMemory(t *testing.T) {
	for name, leave := range map[string]func(s *harness.Site){
		"purged":           func(s *harness.Site) { forget(s, "/page?500") },
		"purged with all":  func(s *harness.Site) { _, _ = s.Edge.PurgeAll(s.T.Context()) },
		"purged by prefix": func(s *harness.Site) { _, _ = s.Edge.PurgePrefix(s.T.Context(), "http://example.com/p") },
		"evicted": func(s *harness.Site) {
			for i := 0; hasStored(s, "/page?500"); i++ {
				askTimes(s, 3, fmt.Sprintf("/other%d?20", i))
				require.Less(s.T, i, 2000)
			}
		},
		"replaced": func(s *harness.Site) {
			time.Sleep(20 * time.Minute)
			askTimes(s, 1, "/page?500&again")
		},
	} {
		for who, header := range map[string][]string{"a hit": nil, "a range": {"Range", "bytes=5-"}, "ranges": {"Range", "bytes=5-99999,200000-"}} {
			t.Run(name+", "+who, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					again := false
					s := harness.NewCountedSite(t, edgecache.Config{MaxBytes: 4 << 20}, func(w http.ResponseWriter, r *http.Request, _ int) {
						query, _, _ := strings.Cut(r.URL.RawQuery, "&")
						kib, _ := strconv.Atoi(query)
						w.Header().Set("Cache-Control", "max-age=600")
						if again {
							_, _ = io.WriteString(w, "again")
						}
						_, _ = w.Write(eightMiB()[:kib<<10])
					})
					if name == "replaced" {
						leave = func(s *harness.Site) {
							time.Sleep(20 * time.Minute)
							again = true
							askTimes(s, 1, "/page?500")
						}
					}
					askTimes(s, 1, "/page?500")
					first, second := readSocket(s, 40<<10, true, "/page?500", header...), readSocket(s, 40<<10, true, "/page?500", header...)
					synctest.Wait()
					require.Zero(t, s.Edge.Stats().BytesPinned, "it is in memory")
					leave(s)
					require.InDelta(t, 500<<10, s.Edge.Stats().BytesPinned, 16<<10)
					first.release()
					<-first.done
					require.InDelta(t, 500<<10, s.Edge.Stats().BytesPinned, 16<<10)
					second.release()
					<-second.done
					require.Zero(t, s.Edge.Stats().BytesPinned)
					require.Nil(t, first.panicked)
				})
			})
		}
	}
}

// A coding of a page is a body of its own.
func encodingsThatAreReadArePinned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := make([]byte, 300<<10)
		random := rand.New(rand.NewPCG(1, 2))
		for i := range page {
			page[i] = "0123456789abcdef"[random.IntN(16)]
		}
		s := harness.NewCountedSite(t, edgecache.Config{Compress: true}, func(w http.ResponseWriter, r *http.Request, _ int) {
			w.Header().Set("Cache-Control", "max-age=600")
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write(page)
		})
		gzip := []string{"Accept-Encoding", "gzip"}
		askTimes(s, 2, "/", gzip...)
		synctest.Wait()
		c := readSocket(s, 100<<10, true, "/", gzip...)
		synctest.Wait()
		require.Equal(t, "gzip", c.header.Get("Content-Encoding"))
		require.Zero(t, s.Edge.Stats().BytesPinned)
		forget(s, "/")
		pinned := s.Edge.Stats().BytesPinned
		require.Greater(t, pinned, int64(100<<10), "the coding")
		require.Less(t, pinned, int64(250<<10), "and not the page itself")
		c.release()
		<-c.done
		require.Zero(t, s.Edge.Stats().BytesPinned)
	})
}

// A 304 that makes an old page fresh again keeps its bytes, so nothing is pinned.
func aConfirmedResponseIsNotPinned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := eightMiB()[:500<<10]
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, _ int) {
			w.Header().Set("Cache-Control", "max-age=60")
			if edgecache.NotModified(w, r, edgecache.Revision("1")) {
				return
			}
			_, _ = w.Write(page)
		})
		askTimes(s, 1, "/")
		c := readSocket(s, 100<<10, true, "/")
		synctest.Wait()
		time.Sleep(time.Hour)
		require.Equal(t, "REVALIDATED", s.Visit("/").Word())
		require.Zero(t, s.Edge.Stats().BytesPinned)
		forget(s, "/")
		require.InDelta(t, 500<<10, s.Edge.Stats().BytesPinned, 16<<10)
		c.release()
		<-c.done
		require.Zero(t, s.Edge.Stats().BytesPinned)
	})
}
