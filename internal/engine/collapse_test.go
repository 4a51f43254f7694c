package engine_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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

func TestCollapse(t *testing.T) {
	t.Run("the handler runs once for a herd", theHandlerRunsOnceForAHerd)
	t.Run("waiters read the body while it grows", waitersReadTheBodyWhileItGrows)
	t.Run("a small page is sent when it is complete", aSmallPageIsSentWhenItIsComplete)
	t.Run("a waiter may leave and is freed at once", aWaiterMayLeaveAndIsFreedAtOnce)
	t.Run("the leader leaves and the others finish", theLeaderLeavesAndTheOthersFinish)
	t.Run("the handler's context ends when all clients have left", theHandlersContextEndsWhenAllClientsHaveLeft)
	t.Run("a request after all have left starts again", aRequestAfterAllHaveLeftStartsAgain)
	t.Run("a page that is being stored is finished without clients", aPageThatIsBeingStoredIsFinishedWithoutClients)
	t.Run("a body past the largest object streams to all its readers", aBodyPastTheLargestObjectStreamsToAllItsReaders)
	t.Run("a declared length past the largest object is not waited for", aDeclaredLengthPastTheLargestObjectIsNotWaitedFor)
	t.Run("a slow first client holds up no other", aSlowFirstClientHoldsUpNoOther)
	t.Run("a page that is stale before it ends is not joined", aPageThatIsStaleBeforeItEndsIsNotJoined)
	t.Run("deadlines of outer middleware count for one client", deadlinesOfOuterMiddlewareCountForOneClient)
	t.Run("one request after a tag purge fetches for all", oneRequestAfterATagPurgeFetchesForAll)
	t.Run("a page that a herd asked for was asked for twice", aPageThatAHerdAskedForWasAskedForTwice)
	t.Run("late request is served from the cache", lateRequestIsServedFromTheCache)
}

func theHandlerRunsOnceForAHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			time.Sleep(time.Second)
			fmt.Fprint(w, "page ", call)
		})
		all := s.Visits(1000, "/")
		require.Equal(t, map[string]int{"MISS": 1, "HIT": 999}, harness.Words(all))
		require.Equal(t, 1, s.Calls())
		for _, v := range all {
			v.Wants(t, v.Word(), 200, "page 1")
			require.Equal(t, time.Second, v.Took)
			if v.Word() == "HIT" {
				// RFC 9111, 4.2.3: the second that the handler took counts as age.
				require.Equal(t, "edgecache; fwd=uri-miss; collapsed; ttl=119; detail=collapsed", v.Sent.Get("Cache-Status"))
			}
		}
		s.Visit("/").Wants(t, "HIT", 200, "page 1")
	})
}

func waitersReadTheBodyWhileItGrows(t *testing.T) {
	first := strings.Repeat("f", 4096)
	for _, tt := range []struct {
		name  string
		first string
		flush bool
	}{
		{"a first byte that is flushed", "f", true},
		{"a first piece that is large", first, false},
		{"a flushed header alone", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				more := make(chan struct{})
				s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
					io.WriteString(w, tt.first)
					if tt.flush {
						w.(http.Flusher).Flush()
					}
					<-more
					io.WriteString(w, "last")
				})
				all := s.Visits(20, "/")
				synctest.Wait() // the handler is blocked
				all = append(all, s.Visits(20, "/")...)
				synctest.Wait()
				for i, v := range all {
					require.Equal(t, 200, v.SentStatus(), "client %d has no header", i)
					require.Equal(t, tt.first, v.Text(), "client %d", i)
				}
				close(more)
				for _, v := range all {
					v.Wants(t, v.Word(), 200, tt.first+"last")
				}
				require.Equal(t, 1, s.Calls())
			})
		})
	}
}

// What has not been sent to anybody can still be made again, so small pages wait for their end.
func aSmallPageIsSentWhenItIsComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			io.WriteString(w, "half ")
			time.Sleep(time.Second)
			io.WriteString(w, "page")
		})
		all := s.Visits(5, "/")
		synctest.Wait()
		for _, v := range all {
			require.Empty(t, v.Text())
		}
		for _, v := range all {
			v.Wants(t, v.Word(), 200, "half page")
		}
	})
}

func aWaiterMayLeaveAndIsFreedAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first string
	}{
		{"while waiting for the header", ""},
		{"while reading the body", strings.Repeat("f", 4096)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
					io.WriteString(w, tt.first)
					time.Sleep(5 * time.Second)
					require.NoError(t, r.Context().Err())
					io.WriteString(w, "last")
				})
				leader := s.Visit("/")
				synctest.Wait()
				leaves, stays := s.Visit("/"), s.Visit("/")
				time.Sleep(time.Second)
				leaves.Leave()
				require.True(t, leaves.Cut(), "nobody may take what there is for the page")
				require.Equal(t, time.Second, leaves.Took)
				require.Equal(t, http.ErrAbortHandler, leaves.Panicked)
				leader.Wants(t, "MISS", 200, tt.first+"last")
				stays.Wants(t, "HIT", 200, tt.first+"last")
				require.Equal(t, 5*time.Second, stays.Took)
				require.Equal(t, 1, s.Calls())
			})
		})
	}
}

func theLeaderLeavesAndTheOthersFinish(t *testing.T) {
	for _, first := range []string{"", strings.Repeat("f", 4096)} {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
				io.WriteString(w, first)
				time.Sleep(5 * time.Second)
				require.NoError(t, r.Context().Err(), "others wait")
				io.WriteString(w, "last")
			})
			leader := s.Visit("/")
			synctest.Wait()
			others := s.Visits(10, "/")
			time.Sleep(time.Second)
			leader.Leave()
			for _, v := range others {
				v.Wants(t, "HIT", 200, first+"last")
				require.Equal(t, 5*time.Second, v.Took)
			}
			require.Equal(t, 1, s.Calls())
			<-leader.Done
			s.Visit("/").Wants(t, "HIT", 200, first+"last")
		})
	}
}

func theHandlersContextEndsWhenAllClientsHaveLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended time.Duration
		start := time.Now()
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			if call == 1 {
				<-r.Context().Done()
				ended = time.Since(start)
			}
			fmt.Fprint(w, "page ", call) // as a handler does that ignores the error of its query
		})
		all := s.Visits(3, "/")
		for _, v := range all {
			time.Sleep(time.Second)
			v.Leave()
		}
		for _, v := range all {
			<-v.Done
		}
		require.Equal(t, 3*time.Second, ended, "with the last, not with the first")
		s.Visit("/").Wants(t, "MISS", 200, "page 2")
	})
}

// The one that comes after all the others have left must not be answered by a handler that was told
// to stop.
func aRequestAfterAllHaveLeftStartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			time.Sleep(10 * time.Second) // it does not listen
			fmt.Fprint(w, "page ", call)
		})
		first := s.Visit("/")
		time.Sleep(time.Second)
		first.Leave()
		synctest.Wait()
		second := s.Visit("/")
		second.Wants(t, "MISS", 200, "page 2")
		require.Equal(t, 10*time.Second, second.Took)
		<-first.Done
		s.Visit("/").Wants(t, "HIT", 200, "page 2")
	})
}

func aPageThatIsBeingStoredIsFinishedWithoutClients(t *testing.T) {
	const limit = 30 * time.Second
	large := strings.Repeat("x", 8192)
	for _, tt := range []struct {
		name  string
		takes time.Duration // after everybody has left
		next  string
	}{
		{"inside the limit", limit - time.Second, "HIT"},
		{"not past the limit", limit + time.Second, "MISS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
					io.WriteString(w, large)
					if call > 1 {
						return
					}
					select {
					case <-r.Context().Done():
						require.Greater(t, tt.takes, limit, "it was told to stop too early")
					case <-time.After(time.Second + tt.takes):
						require.Less(t, tt.takes, limit, "it was not told to stop")
					}
				})
				all := s.Visits(3, "/")
				time.Sleep(time.Second)
				for _, v := range all {
					v.Leave()
				}
				for _, v := range all {
					<-v.Done
				}
				s.Visit("/").Wants(t, tt.next, 200, large)
			})
		})
	}
}

func aBodyPastTheLargestObjectStreamsToAllItsReaders(t *testing.T) {
	const size = 3 << 20
	synctest.Test(t, func(t *testing.T) {
		page := strings.Repeat("0123456789abcdef", size/16)
		s := harness.NewCountedSite(t, edgecache.Config{MaxObjectBytes: 64 << 10}, func(w http.ResponseWriter, r *http.Request, call int) {
			time.Sleep(time.Second)
			for p := page; len(p) > 0; p = p[1<<10:] {
				if _, err := io.WriteString(w, p[:1<<10]); err != nil {
					t.Error(err)
					return
				}
			}
		})
		all := s.Visits(5, "/")
		for _, v := range all {
			v.Wants(t, v.Word(), 200, page)
		}
		require.Equal(t, 1, s.Calls())
		s.Visit("/").Wants(t, "BYPASS", 200, page) // which is known by now
	})
}

func aDeclaredLengthPastTheLargestObjectIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := strings.Repeat("x", 128<<10)
		s := harness.NewCountedSite(t, edgecache.Config{MaxObjectBytes: 64 << 10}, func(w http.ResponseWriter, r *http.Request, call int) {
			w.Header().Set("Content-Length", fmt.Sprint(len(page)))
			time.Sleep(time.Second)
			io.WriteString(w, page)
		})
		for _, v := range s.Visits(5, "/") {
			v.Wants(t, "BYPASS", 200, page)
			require.Equal(t, "too-large", v.Detail())
		}
		require.Equal(t, 5, s.Calls())
	})
}

func aSlowFirstClientHoldsUpNoOther(t *testing.T) {
	page := strings.Repeat("0123456789abcdef", 64<<10) // 1 MiB
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			edgecache.MaxAge(w, time.Minute)
			for p := page; len(p) > 0; p = p[32<<10:] {
				time.Sleep(10 * time.Millisecond)
				io.WriteString(w, p[:32<<10])
			}
			if call > 1 {
				fmt.Fprint(w, call)
			}
		})
		slow := &harness.Client{Stall: make(chan struct{})}
		slow.Send(t.Context(), s.Handler, harness.Request("GET", "/"))
		synctest.Wait()
		for _, v := range s.Visits(10, "/") {
			v.Wants(t, "HIT", 200, page)
			require.Equal(t, 320*time.Millisecond, v.Took)
		}
		s.Visit("/").Wants(t, "HIT", 200, page)

		// And it does not keep the next generation from being made once for all.
		time.Sleep(2 * time.Minute)
		for _, v := range s.Visits(10, "/") {
			v.Wants(t, v.Word(), 200, page+"2")
		}
		require.Equal(t, 2, s.Calls())
		close(slow.Stall)
		slow.Wants(t, "MISS", 200, page)
	})
}

// A page may still be growing when its own lifetime is over.
func aPageThatIsStaleBeforeItEndsIsNotJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := strings.Repeat("x", 4096)
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			edgecache.MaxAge(w, 10*time.Second)
			fmt.Fprint(w, first, call)
			w.(http.Flusher).Flush()
			time.Sleep(time.Minute)
		})
		slow := s.Visit("/")
		time.Sleep(20 * time.Second)
		all := s.Visits(10, "/")
		for _, v := range all {
			v.Wants(t, v.Word(), 200, first+"2")
		}
		slow.Wants(t, "MISS", 200, first+"1")
		require.Equal(t, 2, s.Calls())
	})
}

func deadlinesOfOuterMiddlewareCountForOneClient(t *testing.T) {
	// The handler says so itself when its time is over, as it does without a cache.
	answer := func(w http.ResponseWriter, r *http.Request, takes time.Duration) {
		select {
		case <-time.After(takes):
			io.WriteString(w, "page")
		case <-r.Context().Done():
			http.Error(w, "too late", http.StatusServiceUnavailable)
		}
	}
	within := func(s *harness.Site, d time.Duration) *harness.Client {
		return harness.Send(context.Background(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), d)
			defer cancel()
			s.Handler.ServeHTTP(w, r.WithContext(ctx))
		}), harness.Request("GET", "/"))
	}
	t.Run("end the handler of the only client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) { answer(w, r, time.Minute) })
			v := within(s, time.Second)
			v.Wants(t, "BYPASS", 503, "too late\n")
			require.Equal(t, time.Second, v.Took)
		})
	})
	t.Run("do not end the handler that others wait for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) { answer(w, r, 5*time.Second) })
			leader := within(s, time.Second)
			synctest.Wait()
			other := s.Visit("/")
			other.Wants(t, "HIT", 200, "page")
			leader.Wants(t, "MISS", 200, "page")
		})
	})
	t.Run("end the wait of who waits, and its handler says so", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) { answer(w, r, 5*time.Second) })
			leader := s.Visit("/")
			synctest.Wait()
			hasty := within(s, time.Second)
			hasty.Wants(t, "BYPASS", 503, "too late\n")
			require.Equal(t, time.Second, hasty.Took)
			leader.Wants(t, "MISS", 200, "page")
			s.Visit("/").Wants(t, "HIT", 200, "page")
		})
	})
}

func oneRequestAfterATagPurgeFetchesForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			time.Sleep(5 * time.Second)
			edgecache.Tag(w, "news")
			fmt.Fprint(w, "page ", call)
		})
		before := s.Visits(10, "/")
		time.Sleep(time.Second)
		_, err := s.Edge.PurgeTags(t.Context(), "news")
		require.NoError(t, err)
		after := s.Visits(10, "/")
		for _, v := range before {
			v.Wants(t, v.Word(), 200, "page 1")
		}
		for _, v := range after {
			v.Wants(t, v.Word(), 200, "page 2")
		}
		require.Equal(t, 2, s.Calls())
		s.Visit("/").Wants(t, "HIT", 200, "page 2")
	})
}

// A waiter has asked for a page like later clients: a flood of what is asked
// for once does not take its place.
func aPageThatAHerdAskedForWasAskedForTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pages = 200
		s := harness.NewCountedSite(t, edgecache.Config{MaxBytes: 1 << 20}, func(w http.ResponseWriter, r *http.Request, call int) {
			if r.URL.RawQuery == "" {
				time.Sleep(time.Second)
			}
			w.Header().Set("Cache-Control", "max-age=3600")
			io.WriteString(w, strings.Repeat("x", 1000))
		})
		for i := range pages {
			for _, v := range s.Visits(2, fmt.Sprint("/", i)) {
				v.Wants(t, v.Word(), 200, "*")
			}
		}
		for i := range 3000 {
			<-s.Visit(fmt.Sprint("/x?", i)).Done
		}
		for i := range pages {
			if v := s.Visit(fmt.Sprint("/", i)); v.Word() != "HIT" {
				t.Errorf("page %d: got %s", i, v.Word())
			}
		}
	})
}

// A request that finds nothing stored may get to the table of flights only after the flight that
// made the page has ended. The page is stored by then.
func lateRequestIsServedFromTheCache(t *testing.T) {
	const (
		urls    = 4000
		clients = 4
	)
	var runs [urls]atomic.Int32
	h := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n int
		_, err := fmt.Sscanf(r.URL.Path, "/%d", &n)
		if err != nil {
			panic(err)
		}
		runs[n].Add(1)
		w.Header().Set("Cache-Control", "max-age=3600")
		w.WriteHeader(http.StatusOK)
	}))
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for n := range urls {
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, fmt.Sprint("/", n), nil))
			}
		})
	}
	all.Wait()
	twice := 0
	for n := range runs {
		if runs[n].Load() != 1 {
			twice++
		}
	}
	require.Zero(t, twice, "pages of %d that were made more than once", urls)
}
