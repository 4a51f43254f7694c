package engine_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestRefresh(t *testing.T) {
	t.Run("stale-while-revalidate answers at once and refreshes once", staleWhileRevalidateAnswersAtOnceAndRefreshesOnce)
	t.Run("requests with credentials start no refresh that could tell whose", requestsWithCredentialsStartNoRefreshThatCouldTellWhose)
	t.Run("a refresh behind a router ends before its request", aRefreshBehindARouterEndsBeforeItsRequest)
	t.Run("a refresh carries nothing of the client", aRefreshCarriesNothingOfTheClient)
	t.Run("a refresh that fails harms no client", aRefreshThatFailsHarmsNoClient)
	t.Run("a panic of a refresh is logged", aPanicOfARefreshIsLogged)
	t.Run("a page that is flushed is refreshed", aPageThatIsFlushedIsRefreshed)
	t.Run("refreshes spare a handler that fails", refreshesSpareAHandlerThatFails)
	t.Run("a refresh waits for no slow client", aRefreshWaitsForNoSlowClient)
	t.Run("a refresh asks with the validators of the page", aRefreshAsksWithTheValidatorsOfThePage)
	t.Run("a herd on a stale page is confirmed once", aHerdOnAStalePageIsConfirmedOnce)
}

func staleWhileRevalidateAnswersAtOnceAndRefreshesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			time.Sleep(2 * time.Second)
			edgecache.MaxAge(w, 10*time.Second)
			edgecache.StaleWhileRevalidate(w, time.Minute)
			fmt.Fprint(w, "page ", call)
		})
		s.Visit("/").Wants(t, "MISS", 200, "page 1")
		time.Sleep(20 * time.Second)
		all := s.Visits(20, "/")
		for _, v := range all {
			v.Wants(t, "UPDATING", 200, "page 1")
			require.Zero(t, v.Took)
		}
		synctest.Wait()
		require.Equal(t, 2, s.Calls(), "one refresh for all")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s.Visit("/").Wants(t, "HIT", 200, "page 2")
		require.Equal(t, 2, s.Calls())

		time.Sleep(10*time.Second + time.Minute) // past the window
		s.Visit("/").Wants(t, "EXPIRED", 200, "page 3")
	})
}

// What is public is refreshed for each client, and as no client. But middleware outside may have
// put into the context whom it has recognised.
func requestsWithCredentialsStartNoRefreshThatCouldTellWhose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			if r.Header.Get("Cookie") != "" {
				fmt.Fprint(w, "hello alice") // and no word that this is for everybody
				return
			}
			w.Header().Set("Cache-Control", "public, max-age=10, stale-while-revalidate=60")
			fmt.Fprint(w, "welcome")
		})
		s.Visit("/").Wants(t, "MISS", 200, "welcome")
		time.Sleep(20 * time.Second)
		harness.Send(t.Context(), within(s.Handler, true), harness.Request("GET", "/", "Cookie", "session=alice")).Wants(t, "DYNAMIC", 200, "hello alice")
		synctest.Wait()
		s.Visit("/", "Cookie", "session=alice").Wants(t, "UPDATING", 200, "welcome")
		synctest.Wait()
		s.Visit("/").Wants(t, "HIT", 200, "welcome")
		s.Visit("/", "Cookie", "session=alice").Wants(t, "HIT", 200, "welcome")
	})
}

// A router that takes the context of a request back when ServeHTTP has returned, as chi and echo
// do: the refresh is over by then.
func aRefreshBehindARouterEndsBeforeItsRequest(t *testing.T) {
	type routeKey struct{}
	for name, outside := range map[string]func(*edgecache.Edge, http.Handler) http.Handler{
		"that keeps its state in the context": func(edge *edgecache.Edge, page http.Handler) http.Handler {
			cached := edge.Handler(page)
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				state := "in use"
				cached.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), routeKey{}, &state)))
				state = "another request's"
			})
		},
		"that makes a handler for each request": func(edge *edgecache.Edge, page http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				state := "in use"
				edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					page.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), routeKey{}, &state)))
				})).ServeHTTP(w, r)
				state = "another request's"
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				edge, err := edgecache.New(edgecache.Config{})
				require.NoError(t, err)
				calls := 0
				h := outside(edge, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					calls++
					edgecache.MaxAge(w, time.Second)
					edgecache.StaleWhileRevalidate(w, time.Minute)
					time.Sleep(100 * time.Millisecond)
					fmt.Fprint(w, *r.Context().Value(routeKey{}).(*string))
				}))
				get := func() (status, text string, took time.Duration) {
					start := time.Now()
					w := httptest.NewRecorder()
					h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
					return w.Header().Get("X-Cache"), w.Body.String(), time.Since(start)
				}
				get()
				time.Sleep(2 * time.Second)
				for i, want := range []string{"UPDATING in use 100ms", "HIT in use 0s"} {
					status, text, took := get()
					synctest.Wait()
					if got := fmt.Sprint(status, " ", text, " ", took); got != want {
						t.Errorf("request %d: got %q, want %q", i, got, want)
					}
				}
				require.Equal(t, 2, calls)
			})
		})
	}
}

func aRefreshCarriesNothingOfTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen *http.Request
		var deadline time.Duration
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			if call == 2 {
				at, ok := r.Context().Deadline()
				require.True(t, ok, "a refresh has a deadline")
				deadline = time.Until(at)
				seen = r.Clone(context.Background())
			}
			w.Header().Set("Cache-Control", "public, max-age=10, stale-while-revalidate=60")
			edgecache.Vary(w, "Accept-Language")
			fmt.Fprint(w, "page ", call)
		})
		header := []string{
			"Accept-Language", "de", "X-Forwarded-Host", "shop.example",
			"Cookie", "_ga=1", "If-None-Match", `"other"`, "If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT", "Range", "bytes=0-1", "If-Range", `"other"`,
			"User-Agent", "curl", "X-Forwarded-For", "192.0.2.7", "X-Real-Ip", "192.0.2.7", "Accept", "text/html", "Referer", "http://example.com/account",
		}
		visit := func() *harness.Client {
			r := harness.Request("GET", "/?a=1", header...)
			r.RemoteAddr = "192.0.2.7:4711"
			r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, ServerName: "example.com", HandshakeComplete: true}
			return harness.Send(t.Context(), s.Handler, r)
		}
		visit().Wants(t, "MISS", 0, "*")
		time.Sleep(20 * time.Second)
		visit().Wants(t, "UPDATING", 0, "*")
		synctest.Wait()
		require.NotNil(t, seen)
		require.Equal(t, http.Header{"Accept": {"text/html"}, "User-Agent": {"curl"}, "Accept-Language": {"de"}, "X-Forwarded-Host": {"shop.example"}, "If-None-Match": seen.Header["If-None-Match"]}, withNil(seen.Header, "If-None-Match"),
			"only what the page may have been chosen by, and our own condition")
		require.Equal(t, "/?a=1", seen.URL.RequestURI())
		require.Equal(t, "example.com", seen.Host)
		require.NotContains(t, seen.RemoteAddr, "192.0.2.7")
		require.NotNil(t, seen.TLS, "the page may depend on the scheme")
		require.Empty(t, seen.TLS.PeerCertificates)
		require.Equal(t, 30*time.Second, deadline)
		visit().Wants(t, "HIT", 0, "*")
	})
}

// withNil returns h with name present, so that two headers compare whether or not they have it.
func withNil(h http.Header, name string) http.Header {
	h = h.Clone()
	if _, ok := h[name]; !ok {
		h[name] = nil
	}
	return h
}

func aRefreshThatFailsHarmsNoClient(t *testing.T) {
	for name, fail := range map[string]func(w http.ResponseWriter, r *http.Request){
		"it panics":       func(http.ResponseWriter, *http.Request) { panic("boom") },
		"it aborts":       func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"it calls Goexit": func(http.ResponseWriter, *http.Request) { runtime.Goexit() },
		"it answers 500":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"it panics in the middle": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, strings.Repeat("x", 8000))
			panic("boom")
		},
		"it writes too little": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "x")
		},
		"it hangs until its deadline": func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done(); io.WriteString(w, "half") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewCountedSite(t, edgecache.Config{Logger: harness.Silent()}, func(w http.ResponseWriter, r *http.Request, call int) {
					edgecache.MaxAge(w, 10*time.Second)
					edgecache.StaleWhileRevalidate(w, 10*time.Minute)
					if call > 1 && call < 4 {
						fail(w, r)
						return
					}
					fmt.Fprint(w, "page ", call)
				})
				s.Visit("/").Wants(t, "MISS", 200, "page 1")
				for range 2 {
					time.Sleep(time.Minute)
					s.Visit("/").Wants(t, "UPDATING", 200, "page 1")
				}
				synctest.Wait()
				require.Equal(t, 3, s.Calls())
				time.Sleep(time.Minute)
				s.Visit("/").Wants(t, "UPDATING", 200, "page 1")
				synctest.Wait()
				s.Visit("/").Wants(t, "HIT", 200, "page 4")
			})
		})
	}
}

func aPanicOfARefreshIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := harness.NewCountedSite(t, edgecache.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(w http.ResponseWriter, r *http.Request, call int) {
			if call > 1 {
				panic("boom")
			}
			w.Header().Set("Cache-Control", "max-age=10, stale-while-revalidate=60")
		})
		s.Visit("/").Wants(t, "MISS", 200, "")
		time.Sleep(20 * time.Second)
		s.Visit("/").Wants(t, "UPDATING", 200, "")
		synctest.Wait()
		require.Contains(t, log.String(), "panic=boom")
	})
}

// A page that is streamed is refreshed like any other.
func aPageThatIsFlushedIsRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{Logger: harness.Silent()}, func(w http.ResponseWriter, r *http.Request, call int) {
			w.Header().Set("Cache-Control", "max-age=10, stale-while-revalidate=60")
			fmt.Fprint(w, "page ")
			w.(http.Flusher).Flush()
			fmt.Fprint(w, call)
		})
		s.Visit("/").Wants(t, "MISS", 200, "page 1")
		time.Sleep(20 * time.Second)
		s.Visit("/").Wants(t, "UPDATING", 200, "page 1")
		synctest.Wait()
		s.Visit("/").Wants(t, "HIT", 200, "page 2")
	})
}

// A handler that fails is tried once per pause by refreshes, too.
func refreshesSpareAHandlerThatFails(t *testing.T) {
	for name, fail := range map[string]func(w http.ResponseWriter){
		"it answers 500": func(w http.ResponseWriter) { w.WriteHeader(500) },
		"it panics":      func(http.ResponseWriter) { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewCountedSite(t, edgecache.Config{Logger: harness.Silent()}, func(w http.ResponseWriter, r *http.Request, call int) {
					w.Header().Set("Cache-Control", "max-age=10, stale-while-revalidate=600")
					if call > 1 {
						fail(w)
					}
				})
				s.Visit("/").Wants(t, "MISS", 200, "")
				time.Sleep(20 * time.Second)
				for range 5 * 60 * 10 { // ten visits a second for five minutes
					s.Visit("/").Wants(t, "UPDATING", 200, "")
					time.Sleep(100 * time.Millisecond)
				}
				// 3 until it opens, then after 1, 2, 4, 8, 16 and 30 seconds each.
				if got := s.Calls() - 1; got < 10 || got > 20 {
					t.Errorf("the handler was tried %d times in five minutes, want once per pause", got)
				}
			})
		})
	}
}

func aRefreshWaitsForNoSlowClient(t *testing.T) {
	page := strings.Repeat("x", 8000)
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			w.Header().Set("Cache-Control", "max-age=10, stale-while-revalidate=600")
			fmt.Fprint(w, page, call)
		})
		slow := &harness.Client{Stall: make(chan struct{})}
		slow.Send(t.Context(), s.Handler, harness.Request("GET", "/"))
		time.Sleep(20 * time.Second)
		s.Visit("/").Wants(t, "UPDATING", 200, page+"1")
		synctest.Wait()
		s.Visit("/").Wants(t, "HIT", 200, page+"2")
		close(slow.Stall)
		slow.Wants(t, "MISS", 200, page+"1")
	})
}

func aRefreshAsksWithTheValidatorsOfThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		renders := 0
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			w.Header().Set("Cache-Control", "max-age=10, stale-while-revalidate=60")
			if edgecache.NotModified(w, r, edgecache.ETag("v1")) {
				return
			}
			renders++
			io.WriteString(w, "page")
		})
		first := s.Visit("/")
		first.Wants(t, "MISS", 200, "page")
		time.Sleep(20 * time.Second)
		s.Visit("/", "If-None-Match", `"v0"`).Wants(t, "UPDATING", 200, "page")
		synctest.Wait()
		again := s.Visit("/")
		again.Wants(t, "HIT", 200, "page")
		require.Equal(t, "0", again.Sent.Get("Age"))
		require.Equal(t, first.Sent.Get("Etag"), again.Sent.Get("Etag"))
		time.Sleep(2 * time.Minute)
		s.Visit("/").Wants(t, "REVALIDATED", 200, "page")
		require.Equal(t, 1, renders)
		require.Equal(t, 3, s.Calls())
	})
}

// Clients that ask at once for a page that has to be confirmed wait for one 304.
func aHerdOnAStalePageIsConfirmedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			time.Sleep(time.Second)
			w.Header().Set("Cache-Control", "max-age=10")
			w.Header().Set("Etag", `"v1"`)
			if r.Header.Get("If-None-Match") == `"v1"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			io.WriteString(w, "page")
		})
		s.Visit("/").Wants(t, "MISS", 200, "page")
		time.Sleep(time.Minute)
		all := s.Visits(20, "/")
		n := harness.Words(all)
		require.Equal(t, 1, n["REVALIDATED"])
		require.Zero(t, n["cut"])
		for _, v := range all {
			v.Wants(t, v.Word(), 200, "page")
			require.Equal(t, time.Second, v.Took)
		}
		require.Equal(t, 2, s.Calls())
	})
}
