package edgecache_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"slices"
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

func TestGuarantee(t *testing.T) {
	t.Run("one call for a herd", oneCallForAHerd)
	t.Run("a herd on a private page waits once", aHerdOnAPrivatePageWaitsOnce)
	t.Run("a failing origin is covered by stale pages", aFailingOriginIsCoveredByStalePages)
	t.Run("a slow first client holds up no other", aSlowFirstClientHoldsUpNoOther)
	t.Run("aborts harm no other client", abortsHarmNoOtherClient)
	t.Run("stalled readers are bounded", stalledReadersAreBounded)
}

// What edgecache promises, with figures. docs/guarantees.md has the table; EDGECACHE_LONG=1 plays
// the runs of their full length.

// raced reports whether the race detector is on. It cannot watch more than 8128 goroutines.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func oneCallForAHerd(t *testing.T) {
	clients, repeats := 10_000, harness.Scaled(2, 100)
	if raced() {
		clients = 8_000
	}
	for repeat := range repeats {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
				time.Sleep(100 * time.Millisecond)
				io.WriteString(w, "page")
			})
			all := s.Visits(clients, "/")
			for _, v := range all {
				v.Wants(t, v.Word(), 200, "page")
			}
			if got := s.Calls(); got != 1 {
				t.Errorf("repeat %d: %d calls for %d clients, want 1", repeat, got, clients)
			}
		})
	}
	t.Logf("%d repeats of %d concurrent misses: 1 call each", repeats, clients)
}

func aHerdOnAPrivatePageWaitsOnce(t *testing.T) {
	const takes = 100 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			time.Sleep(takes)
			edgecache.Private(w)
			fmt.Fprint(w, "for ", r.Header.Get("X-Client"))
		})
		herd := func() (slowest time.Duration) {
			var all []*harness.Client
			for i := range 200 {
				all = append(all, s.Visit("/account", "X-Client", fmt.Sprint(i)))
			}
			for i, v := range all {
				v.Wants(t, "BYPASS", 200, fmt.Sprint("for ", i))
				slowest = max(slowest, v.Took)
			}
			return slowest
		}
		first, second := herd(), herd()
		if first > 250*time.Millisecond {
			t.Errorf("the first herd was done after %v, want at most 250 ms", first)
		}
		if second != takes {
			t.Errorf("the next herd was done after %v, want %v: no request waits", second, takes)
		}
		t.Logf("200 clients of a private page behind %v: all done after %v, the next herd after %v", takes, first, second)
	})
}

func aFailingOriginIsCoveredByStalePages(t *testing.T) {
	const (
		keys   = 100
		outage = 10 * time.Minute
		life   = 10 * time.Second
	)
	every := time.Duration(harness.Scaled(5000, 500)) * time.Millisecond
	for _, window := range []time.Duration{4 * time.Minute, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			down := false
			s := harness.NewCountedSite(t, edgecache.Config{Logger: harness.Silent(), StaleIfUnreachable: time.Millisecond}, func(w http.ResponseWriter, r *http.Request, call int) {
				if down {
					switch call % 5 { // each of its own kind
					case 0:
						panic("boom")
					case 1:
						panic(http.ErrAbortHandler)
					default:
						w.Header().Set("Cache-Control", "max-age=5") // a cache that obeys only this would replace the page
						w.WriteHeader([]int{500, 502, 503, 504}[call%4])
						io.WriteString(w, "error")
					}
					return
				}
				w.Header().Set("Cache-Control", fmt.Sprintf("max-age=%d, stale-if-error=%d", life/time.Second, window/time.Second))
				fmt.Fprint(w, r.URL.Path, " ", down)
			})
			path := func(i int) string { return fmt.Sprint("/", i) }
			for i := range keys {
				s.Visit(path(i)).Wants(t, "MISS", 200, path(i)+" false")
			}
			down = true
			start := time.Now()
			stale, errors, wrong, calls := 0, 0, 0, s.Calls()
			for time.Since(start) < outage {
				time.Sleep(every)
				for i := range keys {
					v := s.Visit(path(i))
					age := time.Since(start)
					good := !v.Cut() && v.Status == 200 && v.Body.String() == path(i)+" false"
					switch inside := age < life+window; {
					case good && inside:
						stale++
					case !good && !inside:
						errors++
					default:
						wrong++
						t.Errorf("%v after the outage began: status %d, body %q", age, v.Status, v.Body.String())
					}
				}
			}
			tries := s.Calls() - calls
			if errors == 0 && window < outage || wrong > 0 {
				t.Errorf("%d stale, %d errors, %d wrong", stale, errors, wrong)
			}
			time.Sleep(time.Minute)
			synctest.Wait() // the last try is over
			down = false
			for i := range keys {
				v := s.Visit(path(i)) // where the breaker is open, this starts its try
				v.Wants(t, v.Word(), 200, path(i)+" false")
				synctest.Wait()
				v = s.Visit(path(i))
				v.Wants(t, "HIT", 200, path(i)+" false")
			}
			t.Logf("%d keys, origin down for %v, window %v: %d requests inside the window, all stale; %d after it, none stale; 0 copies replaced; %d tries of the handler",
				keys, outage, window, stale, errors, tries)
		})
	}
}

func aSlowFirstClientHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pieces = 32
		piece := string(make([]byte, 32<<10)) // 1 MiB in all
		took := map[bool]time.Duration{}
		for _, stalls := range []bool{false, true} {
			s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
				for range pieces {
					time.Sleep(10 * time.Millisecond)
					io.WriteString(w, piece)
				}
			})
			first := &harness.Client{}
			if stalls {
				first.Stall = make(chan struct{})
			}
			first.Send(t.Context(), s.Handler, harness.Request("GET", "/"))
			synctest.Wait()
			for _, v := range s.Visits(20, "/") {
				v.Wants(t, "HIT", 200, "*")
				require.Equal(t, pieces*len(piece), v.Body.Len())
				took[stalls] = max(took[stalls], v.Took)
			}
			if stalls {
				close(first.Stall)
			}
			first.Wants(t, "MISS", 200, "*")
		}
		if took[true] != took[false] {
			t.Errorf("others took %v behind a client that stands still, want %v as without it", took[true], took[false])
		}
		t.Logf("20 others of a page of 1 MiB: done after %v behind a first client that stands still, %v without", took[true], took[false])
	})
}

// letter is a page that proves itself: its name, its length and a sum stand in front of its text.
func letter(name string, size int) string {
	text := strings.Repeat(name+" ", size/(len(name)+1)+1)[:size]
	return fmt.Sprintf("%s %d %08x\n%s", name, size, crc32.ChecksumIEEE([]byte(text)), text)
}

// proves says what is wrong with b as the page of that name.
func proves(name string, b []byte) error {
	var size int
	var sum uint32
	var got string
	head, text, _ := bytes.Cut(b, []byte("\n"))
	if _, err := fmt.Sscanf(string(head), "%s %d %x", &got, &size, &sum); err != nil {
		return fmt.Errorf("head %.60q: %w", head, err)
	}
	switch {
	case got != name:
		return fmt.Errorf("page of %q", got)
	case len(text) != size:
		return fmt.Errorf("%d bytes of %d", len(text), size)
	case crc32.ChecksumIEEE(text) != sum:
		return errors.New("other bytes than were written")
	}
	return nil
}

// unreliable is a handler that breaks off in one of ruin requests, in any way and at any point.
type unreliable struct {
	ruin   int
	broken atomic.Int64
}

func (u *unreliable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	page := letter(r.URL.Path, 10<<rand.IntN(14)) // 10 bytes to 80 KiB
	pieces := 1 + rand.IntN(4)
	stop := -1
	if rand.IntN(u.ruin) == 0 {
		stop = rand.IntN(pieces)
		u.broken.Add(1)
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain")
	switch rand.IntN(10) {
	case 0:
		edgecache.Private(w)
	case 1:
		h.Set("Set-Cookie", "a=b")
	case 2:
		edgecache.Vary(w, "Accept-Language")
	case 3:
		h.Set("Etag", fmt.Sprintf(`"%x"`, crc32.ChecksumIEEE([]byte(page))))
	}
	if rand.IntN(2) == 0 {
		h.Set("Content-Length", fmt.Sprint(len(page)))
	}
	for i := range pieces {
		if i == stop {
			switch rand.IntN(3) {
			case 0:
				panic("boom")
			case 1:
				panic(http.ErrAbortHandler)
			default:
				runtime.Goexit()
			}
		}
		for range rand.IntN(20) {
			runtime.Gosched() // let others come while it is being made
		}
		if r.Context().Err() != nil {
			panic(http.ErrAbortHandler) // everybody has left
		}
		io.WriteString(w, page[i*len(page)/pieces:(i+1)*len(page)/pieces])
		if rand.IntN(4) == 0 {
			w.(http.Flusher).Flush()
		}
	}
}

func abortsHarmNoOtherClient(t *testing.T) {
	requests := harness.Scaled(2_000, 50_000) // for each protocol
	for _, two := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[two], func(t *testing.T) {
			before := runtime.NumGoroutine()
			edge, err := edgecache.New(edgecache.Config{Logger: harness.Silent()})
			require.NoError(t, err)
			handler := &unreliable{ruin: 10}
			server := httptest.NewUnstartedServer(edge.Handler(handler))
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			if two {
				server.EnableHTTP2 = true
				server.StartTLS()
			} else {
				server.Start()
			}
			client := server.Client()
			client.Transport.(*http.Transport).MaxIdleConnsPerHost = 100

			var left, cuts, whole, wrong, hangs atomic.Int64
			one := func() {
				name := fmt.Sprint("/", rand.IntN(20))
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				leaves := -1 // at which point the client goes away: while it waits, with the header, or in the middle of the body
				if rand.IntN(14) == 0 {
					leaves = rand.IntN(3)
					left.Add(1)
					if !two && rand.IntN(2) == 0 {
						reset(t, server.Listener.Addr().String(), name, leaves)
						return
					}
				}
				if leaves == 0 {
					go func() {
						for range rand.IntN(200) {
							runtime.Gosched()
						}
						cancel()
					}()
				}
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+name, nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Accept-Language", []string{"de", "fr"}[rand.IntN(2)])
				resp, err := client.Do(r)
				var b []byte
				if err == nil {
					defer resp.Body.Close()
					if leaves == 1 {
						return
					}
					if leaves == 2 {
						_, _ = io.CopyN(io.Discard, resp.Body, rand.Int64N(10_000))
						return
					}
					b, err = io.ReadAll(resp.Body)
				}
				switch {
				case errors.Is(err, context.DeadlineExceeded):
					hangs.Add(1)
				case err != nil:
					cuts.Add(1)
				default:
					if err := proves(name, b); err != nil || resp.StatusCode != 200 {
						wrong.Add(1)
						t.Errorf("%s: status %d: %v (Cache-Status: %s)", name, resp.StatusCode, err, resp.Header.Get("Cache-Status"))
						return
					}
					whole.Add(1)
				}
				if rand.IntN(2) == 0 { // or everything would be a hit
					_, _ = edge.Purge(context.Background(), server.URL+name)
				}
			}
			var workers sync.WaitGroup
			todo := make(chan struct{})
			for range 40 {
				workers.Go(func() {
					for range todo {
						one()
					}
				})
			}
			for range requests {
				todo <- struct{}{}
			}
			close(todo)
			workers.Wait()
			aborts := left.Load() + handler.broken.Load()
			if hangs.Load() > 0 {
				t.Errorf("%d requests hang", hangs.Load())
			}
			// A handler that breaks off is seen by its own client, and by clients that have begun to
			// read the same response.
			if whole.Load() < int64(requests)*8/10 {
				t.Errorf("only %d of %d requests got their page", whole.Load(), requests)
			}
			client.CloseIdleConnections()
			server.Close()
			require.NoError(t, edge.Close(t.Context()))
			for patience := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
				if time.Now().After(patience) {
					stacks := make([]byte, 1<<20)
					t.Fatalf("%d goroutines are left of %d:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
				}
			}
			t.Logf("%d requests, %d aborts (%d clients left, %d handlers broke off): %d whole, %d cut, %d wrong or short, %d hang, goroutines %d before and %d after",
				requests, aborts, left.Load(), handler.broken.Load(), whole.Load(), cuts.Load(), wrong.Load(), hangs.Load(), before, runtime.NumGoroutine())
		})
	}
}

// reset asks for a page and breaks the connection without a word: at once, with the first bytes of
// the answer, or in the middle of it.
func reset(t *testing.T, address, name string, when int) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", name, address)
	if when > 0 {
		_, _ = c.Read(make([]byte, 1+rand.IntN(when*when*2000)))
	}
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// quantile is the value that the share q of d does not pass. It sorts d.
func quantile(d []time.Duration, q float64) time.Duration {
	slices.Sort(d)
	return d[int(q*float64(len(d)-1))]
}

func stalledReadersAreBounded(t *testing.T) {
	const (
		size    = 8 << 20
		stalled = 100
	)
	fetches := harness.Scaled(200, 1000)
	page := []byte(letter("/large", size))
	begun := make(chan struct{}, 1)
	proceed := make(chan struct{})
	edge, err := edgecache.New(edgecache.Config{MaxBytes: 128 << 20, MaxObjectBytes: 10 << 20})
	require.NoError(t, err)
	server := httptest.NewServer(edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/large" {
			io.WriteString(w, letter(r.URL.Path, 20_000))
			return
		}
		w.Write(page[:64<<10])
		w.(http.Flusher).Flush()
		begun <- struct{}{}
		<-proceed
		for p := page[64<<10:]; len(p) > 0; p = p[min(32<<10, len(p)):] {
			w.Write(p[:min(32<<10, len(p))])
		}
	})))
	defer server.Close()
	client := server.Client()
	fetch := func(path string) time.Duration {
		start := time.Now()
		r, err := client.Get(server.URL + path)
		require.NoError(t, err)
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.NoError(t, proves(path, b))
		return time.Since(start)
	}
	measure := func(path string) (p50, p99 time.Duration) {
		d := make([]time.Duration, fetches)
		for i := range d {
			d[i] = fetch(path)
		}
		return quantile(d, .5), quantile(d, .99)
	}
	fetch("/small")
	normal50, normal99 := measure("/small")

	before := heapInUse()
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for i := range stalled {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		conns = append(conns, c)
		fmt.Fprint(c, "GET /large HTTP/1.1\r\nHost: ", server.Listener.Addr(), "\r\n\r\n")
		if i == 0 {
			<-begun
		}
		line, err := bufio.NewReaderSize(c, 16).ReadString('\n') // the header is there: it reads along; and then it stops
		require.NoError(t, err)
		require.Contains(t, line, "200")
	}
	close(proceed)
	large := fetch("/large")                               // one that reads all
	limit := max(2*normal99, normal99+20*time.Millisecond) // two cores and a garbage collector are noisy below that
	stalled50, stalled99 := measure("/small")
	grown := heapInUse() - before
	for range 5 { // and who else uses the machine is noisy above it, but not each time
		if stalled99 <= limit {
			break
		}
		stalled50, stalled99 = measure("/small")
	}

	if stalled99 > limit {
		t.Errorf("p99 of others is %v, want at most %v", stalled99, limit)
	}
	if limit := int64(3 * size); grown > limit {
		t.Errorf("%d stalled readers of %d bytes keep %d bytes, want at most %d", stalled, size, grown, limit)
	}
	t.Logf("%d stalled readers of 8 MiB: others' p50 %v (normal %v), p99 %v (normal %v); the page itself in %v; memory grew by %.1f MiB",
		stalled, stalled50, normal50, stalled99, normal99, large, float64(grown)/(1<<20))
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
