package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestFetchWhoseClientLeaves(t *testing.T) {
	t.Run("a response is not stored if its client has left", aResponseIsNotStoredIfItsClientHasLeft)
	t.Run("a response is not stored if a deadline outside has passed", aResponseIsNotStoredIfADeadlineOutsideHasPassed)
	t.Run("a response is stored if its client leaves after the header", aResponseIsStoredIfItsClientLeavesAfterTheHeader)
	t.Run("a client that leaves takes nothing away", aClientThatLeavesTakesNothingAway)
	t.Run("a client that leaves is no failure of the origin (RFC 5861, 4)", aClientThatLeavesIsNoFailureOfTheOrigin)
	t.Run("a deadline outside is a failure", aDeadlineOutsideIsAFailure)
	t.Run("the breaker tries in the background", theBreakerTriesInTheBackground)
	t.Run("a request with credentials does not hold the breaker", aRequestWithCredentialsDoesNotHoldTheBreaker)
	t.Run("the breaker closes for any answer to its try", theBreakerClosesForAnyAnswerToItsTry)
	t.Run("one waiter leads again when a refresh was too slow", oneWaiterLeadsAgainWhenARefreshWasTooSlow)
	t.Run("one waiter leads again when a silent refresh was too slow", oneWaiterLeadsAgainWhenASilentRefreshWasTooSlow)
	t.Run("a client that leaves a proxy freezes nothing", aClientThatLeavesAProxyFreezesNothing)
}

// givingUp are the ways in which a handler makes a lesser response because its context has ended.
var givingUp = map[string]func(r *http.Request) (whole bool){
	"by Done": func(r *http.Request) bool {
		select {
		case <-time.After(time.Second):
			return true
		case <-r.Context().Done():
			return false
		}
	},
	"by Err, polled": func(r *http.Request) bool {
		for range 10 {
			if time.Sleep(100 * time.Millisecond); r.Context().Err() != nil {
				return false
			}
		}
		return true
	},
	"by a child of its context": func(r *http.Request) bool {
		ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), "k", "v"), time.Second) //nolint:staticcheck // any key will do
		defer cancel()
		<-ctx.Done()
		return context.Cause(r.Context()) == nil
	},
	"by AfterFunc": func(r *http.Request) bool {
		left := make(chan struct{})
		stop := context.AfterFunc(r.Context(), func() { close(left) })
		defer stop()
		select {
		case <-time.After(time.Second):
			return true
		case <-left:
			return false
		}
	},
	"a second later, without having asked before": func(r *http.Request) bool {
		time.Sleep(time.Second)
		return r.Context().Err() == nil
	},
}

// lesser are the forms that such a response takes.
var lesser = map[string]func(w http.ResponseWriter, text string){
	"without a length": func(w http.ResponseWriter, text string) { io.WriteString(w, text) },
	"with a length": func(w http.ResponseWriter, text string) {
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		io.WriteString(w, text)
	},
	"with a lifetime": func(w http.ResponseWriter, text string) {
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		io.WriteString(w, text)
	},
	"flushed": func(w http.ResponseWriter, text string) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		io.WriteString(w, text)
	},
}

func aResponseIsNotStoredIfItsClientHasLeft(t *testing.T) {
	for how, finishes := range givingUp {
		for form, write := range lesser {
			for _, method := range []string{"GET", "POST"} {
				t.Run(fmt.Sprint(method, ", ", how, ", ", form), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
							if method == "POST" {
								w.Header().Set("Content-Location", "/")
								w.Header().Set("Cache-Control", "max-age=600")
							}
							if finishes(r) {
								write(w, "whole")
							} else {
								write(w, "lesser")
							}
						})
						leaves := harness.Send(t.Context(), s.Handler, harness.Request(method, "/"))
						time.Sleep(500 * time.Millisecond)
						leaves.Leave()
						<-leaves.Done
						synctest.Wait()
						s.Visit("/").Wants(t, "MISS", 200, "whole")
						s.Visit("/").Wants(t, "HIT", 200, "whole")
					})
				})
			}
		}
	}
}

// A deadline that middleware outside sets ends the handler's context, too; but its client is still
// there.
func aResponseIsNotStoredIfADeadlineOutsideHasPassed(t *testing.T) {
	for name, outside := range map[string]func(http.Handler) http.Handler{
		"a context with a timeout": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithTimeout(r.Context(), 500*time.Millisecond)
				defer cancel()
				next.ServeHTTP(w, r.WithContext(ctx))
			})
		},
		"http.TimeoutHandler": func(next http.Handler) http.Handler {
			return http.TimeoutHandler(next, 500*time.Millisecond, "too late")
		},
	} {
		for how, finishes := range givingUp {
			t.Run(name+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
						if finishes(r) {
							lesser["with a lifetime"](w, "whole")
						} else {
							lesser["with a lifetime"](w, "lesser")
						}
					})
					late := harness.Send(t.Context(), outside(s.Handler), harness.Request("GET", "/"))
					<-late.Done
					if name != "http.TimeoutHandler" {
						late.Wants(t, "BYPASS", 200, "lesser")
						require.Equal(t, "aborted", late.Detail())
					}
					time.Sleep(2 * time.Second)
					s.Visit("/").Wants(t, "MISS", 200, "whole")
					s.Visit("/").Wants(t, "HIT", 200, "whole")
				})
			})
		}
	}
}

// From the moment when the header says that the response may be stored it is made for the store,
// too.
func aResponseIsStoredIfItsClientLeavesAfterTheHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			w.WriteHeader(http.StatusOK)
			if givingUp["by Done"](r) {
				io.WriteString(w, "whole")
			} else {
				io.WriteString(w, "lesser")
			}
		})
		leaves := s.Visit("/")
		time.Sleep(500 * time.Millisecond)
		leaves.Leave()
		<-leaves.Done
		s.Visit("/").Wants(t, "HIT", 200, "whole")
	})
}

// What a handler says when it gives up is no word on what is stored either.
func aClientThatLeavesTakesNothingAway(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request){
		"no-store": func(w http.ResponseWriter, r *http.Request) { edgecache.NoStore(w); io.WriteString(w, "lesser") },
		"a cookie": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Set-Cookie", "a=b")
			io.WriteString(w, "lesser")
		},
		"404":                  func(w http.ResponseWriter, r *http.Request) { edgecache.NoStore(w); w.WriteHeader(404) },
		"304 that is no-store": func(w http.ResponseWriter, r *http.Request) { edgecache.NoStore(w); w.WriteHeader(304) },
		"304":                  func(w http.ResponseWriter, r *http.Request) { edgecache.MaxAge(w, time.Hour); w.WriteHeader(304) },
		"nothing":              func(w http.ResponseWriter, r *http.Request) {},
		"no-store too late": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "lesser")
			edgecache.NoStore(w)
		},
		"more than can be stored": func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 1<<20)) },
	} {
		for _, method := range []string{"GET", "HEAD"} {
			t.Run(method+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					failing := false
					s := harness.NewCountedSite(t, edgecache.Config{MaxObjectBytes: 64 << 10}, func(w http.ResponseWriter, r *http.Request, call int) {
						if failing {
							w.WriteHeader(http.StatusServiceUnavailable)
							return
						}
						time.Sleep(time.Second)
						if r.Context().Err() != nil {
							answer(w, r)
							return
						}
						w.Header().Set("Etag", fmt.Sprintf(`"%d"`, call))
						w.Header().Set("Cache-Control", "max-age=10, stale-if-error=600")
						fmt.Fprint(w, "page ", call)
					})
					s.Visit("/").Wants(t, "MISS", 200, "page 1")
					time.Sleep(20 * time.Second)
					leaves := harness.Send(t.Context(), s.Handler, harness.Request(method, "/"))
					synctest.Wait()
					leaves.Leave()
					<-leaves.Done
					failing = true
					s.Visit("/").Wants(t, "STALE", 200, "page 1")
					failing = false
					all := s.Visits(20, "/") // nor is it remembered that the URL cannot be stored
					require.Equal(t, map[string]int{"EXPIRED": 1, "HIT": 19}, harness.Words(all))
				})
			})
		}
	}
}

// RFC 5861, 4 speaks of errors of the origin. That a client has left is none.
func aClientThatLeavesIsNoFailureOfTheOrigin(t *testing.T) {
	for name, fail := range failures {
		if name == "timeout" {
			continue // a deadline inside is the handler's own
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewCountedSite(t, edgecache.Config{Logger: harness.Silent()}, func(w http.ResponseWriter, r *http.Request, call int) {
					select {
					case <-time.After(100 * time.Millisecond):
						w.Header().Set("Cache-Control", "max-age=10, stale-if-error=3600")
						fmt.Fprint(w, "page ", call)
					case <-r.Context().Done():
						fail.fail(w, r)
					}
				})
				s.Visit("/").Wants(t, "MISS", 200, "page 1")
				time.Sleep(20 * time.Second)
				for range 2 * 3 { // three failures open the breaker
					leaves := s.Visit("/")
					time.Sleep(50 * time.Millisecond)
					leaves.Leave()
					<-leaves.Done
					require.NotEqual(t, "STALE", leaves.Word())
				}
				v := s.Visit("/")
				v.Wants(t, "EXPIRED", 200, "page 8")
				require.Equal(t, 100*time.Millisecond, v.Took)
			})
		})
	}
}

// A deadline that the operator has set is another matter: the client is there, and the handler was
// too slow.
func aDeadlineOutsideIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := false
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			if slow {
				<-r.Context().Done()
				http.Error(w, "too slow", http.StatusGatewayTimeout)
				return
			}
			w.Header().Set("Cache-Control", "max-age=10, stale-if-error=3600")
			fmt.Fprint(w, "page ", call)
		})
		outside := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), time.Second)
			defer cancel()
			s.Handler.ServeHTTP(w, r.WithContext(ctx))
		})
		s.Visit("/").Wants(t, "MISS", 200, "page 1")
		time.Sleep(20 * time.Second)
		slow = true
		for range 3 {
			v := harness.Send(t.Context(), outside, harness.Request("GET", "/"))
			v.Wants(t, "STALE", 200, "page 1")
			require.Equal(t, "stale-if-error", v.Detail())
		}
		v := harness.Send(t.Context(), outside, harness.Request("GET", "/"))
		v.Wants(t, "STALE", 200, "page 1")
		require.Equal(t, "breaker", v.Detail())
	})
}

// While the breaker is open its one try belongs to no client that could break it off.
func theBreakerTriesInTheBackground(t *testing.T) {
	for _, outside := range []bool{false, true} {
		t.Run(fmt.Sprint("middleware outside: ", outside), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failing := false
				s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
					select {
					case <-time.After(100 * time.Millisecond):
					case <-r.Context().Done():
						panic(http.ErrAbortHandler)
					}
					if failing {
						w.WriteHeader(http.StatusServiceUnavailable)
						return
					}
					w.Header().Set("Cache-Control", "max-age=10, stale-if-error=3600")
					fmt.Fprint(w, "page ", call)
				})
				h := s.Handler
				if outside {
					h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						s.Handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, 1)))
					})
				}
				s.Visit("/").Wants(t, "MISS", 200, "page 1")
				time.Sleep(20 * time.Second)
				failing = true
				for range 3 {
					s.Visit("/").Wants(t, "STALE", 200, "page 1")
				}
				failing = false
				time.Sleep(time.Second)
				tries := harness.Send(t.Context(), h, harness.Request("GET", "/"))
				time.Sleep(50 * time.Millisecond)
				require.Equal(t, "page 1", tries.Text(), "it does not wait for the try")
				tries.Leave()
				<-tries.Done
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				s.Visit("/").Wants(t, "HIT", 200, "page 5")
			})
		})
	}
}

// Where no refresh may be made for a request, because it carries credentials and the context may
// tell whose, it tries itself; but it takes the try from no other.
func aRequestWithCredentialsDoesNotHoldTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := false
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			select {
			case <-time.After(100 * time.Millisecond):
			case <-r.Context().Done():
				panic(http.ErrAbortHandler)
			}
			if failing {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			w.Header().Set("Cache-Control", "public, max-age=10, stale-if-error=3600")
			fmt.Fprint(w, "page ", call)
		})
		s.Visit("/").Wants(t, "MISS", 200, "page 1")
		time.Sleep(20 * time.Second)
		failing = true
		visit := func(cookie string) *harness.Client {
			return harness.Send(t.Context(), within(s.Handler, true), harness.Request("GET", "/", "Cookie", cookie))
		}
		for range 4 {
			visit("session=1").Wants(t, "STALE", 200, "page 1")
		}
		require.Equal(t, 4, s.Calls(), "the breaker is open for all")
		failing = false
		time.Sleep(time.Second)
		leaves := visit("session=1")
		time.Sleep(50 * time.Millisecond)
		leaves.Leave()
		<-leaves.Done
		visit("session=2").Wants(t, "EXPIRED", 200, "page 6")
	})
}

// The origin works again, and says that this page is none any more: the breaker must not hide that.
func theBreakerClosesForAnyAnswerToItsTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := 200
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			w.Header().Set("Cache-Control", "max-age=10, stale-if-error=3600")
			if status == http.StatusForbidden {
				w.Header().Set("Cache-Control", "no-store")
			}
			w.WriteHeader(status)
			fmt.Fprint(w, "page ", call)
		})
		s.Visit("/").Wants(t, "MISS", 200, "page 1")
		time.Sleep(20 * time.Second)
		status = http.StatusServiceUnavailable
		for range 3 {
			s.Visit("/").Wants(t, "STALE", 200, "page 1")
		}
		status = http.StatusForbidden
		time.Sleep(time.Second)
		s.Visit("/").Wants(t, "STALE", 200, "page 1")
		synctest.Wait()
		s.Visit("/").Wants(t, "BYPASS", 403, "page 6")
	})
}

// A refresh that runs into its deadline leaves its waiters. One of them makes the
// response for all.
func oneWaiterLeadsAgainWhenARefreshWasTooSlow(t *testing.T) {
	for name, give := range map[string]func(w http.ResponseWriter){
		"a lesser response": func(w http.ResponseWriter) { io.WriteString(w, "lesser") },
		"an error":          func(w http.ResponseWriter) { w.WriteHeader(http.StatusGatewayTimeout) },
		"a panic":           func(w http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewCountedSite(t, edgecache.Config{MaxWait: time.Hour, StaleIfUnreachable: time.Second, Logger: harness.Silent()}, func(w http.ResponseWriter, r *http.Request, call int) {
					if call == 2 {
						<-r.Context().Done()
						give(w)
						return
					}
					time.Sleep(100 * time.Millisecond)
					w.Header().Set("Cache-Control", "max-age=10, stale-while-revalidate=10")
					fmt.Fprint(w, "page ", call)
				})
				s.Visit("/").Wants(t, "MISS", 200, "page 1")
				time.Sleep(15 * time.Second)
				s.Visit("/").Wants(t, "UPDATING", 200, "page 1")
				time.Sleep(10 * time.Second) // past the window
				all := s.Visits(20, "/")
				for _, v := range all {
					v.Wants(t, v.Word(), 200, "page 3")
				}
				require.Equal(t, 3, s.Calls())
			})
		})
	}
}

// The same of a handler that returns without a word, and behind which a framework could still
// write.
func oneWaiterLeadsAgainWhenASilentRefreshWasTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		edge, err := edgecache.New(edgecache.Config{MaxWait: time.Hour, StaleIfUnreachable: time.Second})
		require.NoError(t, err)
		s := &harness.Site{T: t, Edge: edge, Handler: edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			call := calls.Add(1)
			if call == 2 {
				<-r.Context().Done()
				return
			}
			time.Sleep(100 * time.Millisecond)
			w.Header().Set("Cache-Control", "max-age=10, stale-while-revalidate=10")
			fmt.Fprint(w, "page ", call)
		}))}
		s.Visit("/").Wants(t, "MISS", 200, "page 1")
		time.Sleep(15 * time.Second)
		s.Visit("/").Wants(t, "UPDATING", 200, "page 1")
		time.Sleep(10 * time.Second) // past the window
		require.Equal(t, map[string]int{"EXPIRED": 1, "HIT": 19}, harness.Words(s.Visits(20, "/")))
		require.EqualValues(t, 3, calls.Load())
	})
}

// A proxy as in the guide, whose clients leave and come again.
func aClientThatLeavesAProxyFreezesNothing(t *testing.T) {
	var version atomic.Value
	var hangs atomic.Bool
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hangs.Load() {
			<-r.Context().Done()
			return
		}
		text := version.Load().(string)
		w.Header().Set("Cache-Control", "max-age=0, stale-if-error=3600")
		w.Header().Set("Etag", `"`+text+`"`)
		io.WriteString(w, text)
	}))
	defer origin.Close()
	target, err := url.Parse(origin.URL)
	require.NoError(t, err)
	for name, say := range map[string]func(w http.ResponseWriter, r *http.Request, err error){
		"as in the guide": func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, context.Canceled) {
				panic(http.ErrAbortHandler)
			}
			edgecache.OriginError(w)
			w.WriteHeader(http.StatusBadGateway)
		},
		"that says OriginError each time": func(w http.ResponseWriter, r *http.Request, err error) {
			edgecache.OriginError(w)
			w.WriteHeader(http.StatusBadGateway)
		},
		"that writes nothing": func(http.ResponseWriter, *http.Request, error) {},
	} {
		t.Run(name, func(t *testing.T) {
			version.Store("one")
			began := make(chan struct{}, 100)
			proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target); began <- struct{}{} }, ErrorHandler: say}
			h := edgecache.Cache(proxy)
			get := func(ctx context.Context) *httptest.ResponseRecorder {
				w := httptest.NewRecorder()
				func() {
					defer func() { _ = recover() }()
					h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil).WithContext(ctx))
				}()
				return w
			}
			require.Equal(t, "one", get(t.Context()).Body.String())
			<-began
			hangs.Store(true)
			for range 5 {
				ctx, leave := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { defer close(done); get(ctx) }()
				<-began
				leave()
				<-done
			}
			version.Store("two")
			hangs.Store(false)
			w := get(t.Context())
			<-began
			require.Equal(t, "two", w.Body.String(), "%q", w.Header()["Cache-Status"])
			require.True(t, strings.HasPrefix(w.Header().Get("X-Cache"), "EXPIRED"), w.Header().Get("X-Cache"))
		})
	}
}
