package edgecache_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

// What edgecache promises, with figures. docs/guarantees.md has the table; EDGECACHE_LONG=1 plays the runs of their full length.

// raced reports whether the race detector is on. It cannot watch more than 8128 goroutines.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func TestGuaranteeOneCallForAHerd(t *testing.T) {
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

func TestGuaranteeAHerdOnAPrivatePageWaitsOnce(t *testing.T) {
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
			t.Errorf("the next herd was done after %v, want %v: nobody waits", second, takes)
		}
		t.Logf("200 clients of a private page behind %v: all done after %v, the next herd after %v", takes, first, second)
	})
}

func TestGuaranteeFailingOrigin(t *testing.T) {
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

func TestGuaranteeSlowFirstClient(t *testing.T) {
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
