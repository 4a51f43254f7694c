package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestStaleIfError(t *testing.T) {
	t.Run("a stale page stands in for each failure", aStalePageStandsInForEachFailure)
	t.Run("other errors are responses", otherErrorsAreResponses)
	t.Run("directives that forbid stale pages win (RFC 9111, 4.2.4 and 5.2.2)", directivesThatForbidStalePagesWin)
	t.Run("configured windows are for pages that name none", configuredWindowsAreForPagesThatNameNone)
	t.Run("a slow client of a stale page holds up no other", aSlowClientOfAStalePageHoldsUpNoOther)
	t.Run("identical bytes keep their tag", identicalBytesKeepTheirTag)
}

func TestBreaker(t *testing.T) {
	t.Run("it opens after three failures and tries once per pause", itOpensAfterThreeFailuresAndTriesOncePerPause)
	t.Run("it survives a try that hangs", itSurvivesATryThatHangs)
}

// failures are what stale-if-error stands in for (RFC 5861, 4), and what comes of no answer at all
// (RFC 9111, 4.2.4).
var failures = map[string]struct {
	fail   func(w http.ResponseWriter, r *http.Request)
	detail string
}{
	"500":                     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "stale-if-error"},
	"502":                     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, "stale-if-error"},
	"503":                     {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "busy", http.StatusServiceUnavailable) }, "stale-if-error"},
	"504":                     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(504) }, "stale-if-error"},
	"503 with max-age":        {func(w http.ResponseWriter, _ *http.Request) { edgecache.MaxAge(w, time.Hour); w.WriteHeader(503) }, "stale-if-error"},
	"503 and a panic":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503); panic("boom") }, "stale-if-error"},
	"panic":                   {func(http.ResponseWriter, *http.Request) { panic("boom") }, "stale-if-error"},
	"panic after half a page": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "half"); panic("boom") }, "stale-if-error"},
	"abort":                   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "stale-unreachable"},
	"abort after half a page": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "half"); panic(http.ErrAbortHandler) }, "stale-unreachable"},
	"origin error":            {func(w http.ResponseWriter, _ *http.Request) { edgecache.OriginError(w); w.WriteHeader(502) }, "stale-unreachable"},
	"half a page": {func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "half")
	}, "stale-unreachable"},
	"timeout": {func(w http.ResponseWriter, r *http.Request) {
		http.TimeoutHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), time.Second, "").ServeHTTP(w, r)
	}, "stale-if-error"},
}

func aStalePageStandsInForEachFailure(t *testing.T) {
	for name, failure := range failures {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failing := false
				s := harness.NewCountedSite(t, edgecache.Config{Logger: harness.Silent(), StaleIfUnreachable: 90 * time.Second}, func(w http.ResponseWriter, r *http.Request, call int) {
					time.Sleep(100 * time.Millisecond)
					if failing {
						failure.fail(w, r)
						return
					}
					w.Header().Set("Cache-Control", "max-age=10, stale-if-error=90")
					fmt.Fprint(w, "page ", call)
				})
				s.Visit("/").Wants(t, "MISS", 200, "page 1")
				failing = true
				for range 2 { // it never replaces the copy
					time.Sleep(20 * time.Second)
					all := s.Visits(5, "/")
					for _, v := range all {
						v.Wants(t, "STALE", 200, "page 1")
						if !strings.Contains(name, "half") {
							require.Equal(t, failure.detail, v.Detail())
						}
					}
				}
				if !strings.Contains(name, "half") { // else the waiters for that page try themselves
					require.Equal(t, 3, s.Calls(), "one try for all who ask at once")
				}
				failing = false
				time.Sleep(30 * time.Second) // the breaker may be open
				s.Visit("/").Wants(t, "EXPIRED", 200, "*")
				s.Visit("/").Wants(t, "HIT", 200, "*")
				failing = true
				time.Sleep(10*time.Second + 90*time.Second + time.Second) // past the window
				v := s.Visit("/")
				if !v.Cut() {
					require.GreaterOrEqual(t, v.Status, 500)
					require.NotEqual(t, "STALE", v.Sent.Get("X-Cache"))
				}
			})
		})
	}
}

func otherErrorsAreResponses(t *testing.T) {
	for _, status := range []int{400, 403, 404, 410, 429, 501, 505} {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
				w.Header().Set("Cache-Control", "max-age=10, stale-if-error=60")
				if call > 1 {
					w.WriteHeader(status)
				}
				fmt.Fprint(w, "page ", call)
			})
			s.Visit("/").Wants(t, "MISS", 200, "page 1")
			time.Sleep(20 * time.Second)
			s.Visit("/").Wants(t, "EXPIRED", status, "page 2")
		})
	}
}

// RFC 9111, 4.2.4 and 5.2.2; RFC 5861 gives way to them.
func directivesThatForbidStalePagesWin(t *testing.T) {
	for _, cc := range []string{
		"max-age=10, must-revalidate", "max-age=10, proxy-revalidate", "s-maxage=10", "no-cache",
	} {
		for name, failure := range failures {
			t.Run(cc+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := harness.NewCountedSite(t, edgecache.Config{Logger: harness.Silent()}, func(w http.ResponseWriter, r *http.Request, call int) {
						if call > 1 {
							failure.fail(w, r)
							return
						}
						w.Header().Set("Cache-Control", cc+", stale-while-revalidate=600, stale-if-error=600")
						w.Header().Set("Etag", `"1"`)
						io.WriteString(w, "page")
					})
					s.Visit("/").Wants(t, "MISS", 200, "page")
					time.Sleep(20 * time.Second)
					v := s.Visit("/")
					if !v.Cut() && (v.Status < 500 || v.Body.String() == "page") {
						t.Errorf("got %d %q", v.Status, v.Body.String())
					}
					require.Equal(t, 2, s.Calls())
				})
			})
		}
	}
}

func configuredWindowsAreForPagesThatNameNone(t *testing.T) {
	cfg := edgecache.Config{DefaultTTL: 10 * time.Second, StaleWhileRevalidate: 20 * time.Second, StaleIfError: 40 * time.Second}
	for _, tt := range []struct {
		cc   string
		want [3]string // 15, 35 and 55 seconds after the page was made
	}{
		{"", [3]string{"UPDATING", "STALE", "BYPASS"}},
		{"max-age=10", [3]string{"UPDATING", "STALE", "BYPASS"}},
		{"max-age=10, stale-if-error=30", [3]string{"UPDATING", "STALE", "BYPASS"}},
		{"max-age=10, stale-while-revalidate=0", [3]string{"STALE", "STALE", "BYPASS"}},
		{"max-age=10, stale-while-revalidate=0, stale-if-error=0", [3]string{"BYPASS", "BYPASS", "BYPASS"}},
		{"s-maxage=10", [3]string{"BYPASS", "BYPASS", "BYPASS"}},
		{"s-maxage=10, max-age=20", [3]string{"BYPASS", "BYPASS", "BYPASS"}},
		{"must-revalidate", [3]string{"BYPASS", "BYPASS", "BYPASS"}},
		{"max-age=10, must-revalidate", [3]string{"BYPASS", "BYPASS", "BYPASS"}},
		{"max-age=10, proxy-revalidate", [3]string{"BYPASS", "BYPASS", "BYPASS"}},
		{"max-age=10, no-cache", [3]string{"BYPASS", "BYPASS", "BYPASS"}},
		{"max-age=0", [3]string{"BYPASS", "BYPASS", "BYPASS"}},
		{"max-age=ten", [3]string{"BYPASS", "BYPASS", "BYPASS"}},
	} {
		for i, word := range tt.want {
			t.Run(fmt.Sprint(tt.cc, " ", i), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := harness.NewCountedSite(t, cfg, func(w http.ResponseWriter, r *http.Request, call int) {
						if call > 1 {
							http.Error(w, "oh no", http.StatusServiceUnavailable)
							return
						}
						if tt.cc != "" {
							w.Header().Set("Cache-Control", tt.cc)
						}
						w.Header().Set("Etag", `"a"`)
						io.WriteString(w, "page")
					})
					s.Visit("/").Wants(t, "MISS", 200, "page")
					time.Sleep(time.Duration(15+20*i) * time.Second)
					v := s.Visit("/")
					v.Wants(t, word, 0, "*")
					require.Equal(t, word == "BYPASS", v.Status == 503)
				})
			})
		}
	}
}

func itOpensAfterThreeFailuresAndTriesOncePerPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := false
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			time.Sleep(100 * time.Millisecond)
			if failing {
				w.WriteHeader(503)
				return
			}
			w.Header().Set("Cache-Control", "max-age=10, stale-if-error=3600")
			fmt.Fprint(w, "page ", call)
		})
		s.Visit("/").Wants(t, "MISS", 200, "page 1")
		time.Sleep(20 * time.Second)
		failing = true
		for i := range 3 {
			v := s.Visit("/")
			v.Wants(t, "STALE", 200, "page 1")
			require.Equal(t, "stale-if-error", v.Detail())
			require.Equal(t, 100*time.Millisecond, v.Took)
			require.Equal(t, 2+i, s.Calls())
		}
		opened := time.Now()
		for _, seconds := range []int{1, 2, 4, 8, 16, 30, 30, 30} {
			pause := time.Duration(seconds) * time.Second
			for range 5 { // open: no client waits
				v := s.Visit("/")
				v.Wants(t, "STALE", 200, "page 1")
				require.Equal(t, "breaker", v.Detail())
				require.Zero(t, v.Took)
			}
			time.Sleep(pause - time.Since(opened) - 1)
			calls := s.Calls()
			for _, v := range s.Visits(5, "/") {
				v.Wants(t, "STALE", 200, "page 1")
			}
			require.Equal(t, calls, s.Calls(), "the pause of %v is not over", pause)
			time.Sleep(time.Nanosecond)
			all := s.Visits(10, "/")
			for _, v := range all {
				v.Wants(t, "STALE", 200, "page 1")
			}
			synctest.Wait()
			require.Equal(t, calls+1, s.Calls(), "one try after a pause of %v", pause)
			for _, v := range all {
				require.Zero(t, v.Took, "in the background")
			}
			time.Sleep(100 * time.Millisecond) // then it has failed
			synctest.Wait()
			opened = time.Now()
		}
		failing = false
		time.Sleep(30 * time.Second)
		require.Equal(t, map[string]int{"STALE": 10}, harness.Words(s.Visits(10, "/")), "while it is tried, no client waits")
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		s.Visit("/").Wants(t, "HIT", 200, "*")
		time.Sleep(20 * time.Second)
		s.Visit("/").Wants(t, "EXPIRED", 200, "*")
		failing = true
		time.Sleep(20 * time.Second)
		v := s.Visit("/")
		require.Equal(t, "STALE", v.Word())
		require.Equal(t, "stale-if-error", v.Detail(), "closed by the success: it is tried again at once")
	})
}

// A try that hangs ends with the deadline of a refresh, and counts as a failure.
func itSurvivesATryThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			switch {
			case call == 1:
				w.Header().Set("Cache-Control", "max-age=10, stale-if-error=3600")
			case call < 5:
				w.WriteHeader(503)
			case call == 5:
				<-r.Context().Done()
				panic(http.ErrAbortHandler)
			}
		})
		s.Visit("/").Wants(t, "MISS", 200, "")
		time.Sleep(20 * time.Second)
		for range 3 {
			s.Visit("/").Wants(t, "STALE", 200, "")
		}
		time.Sleep(time.Second)
		for range 29 {
			s.Visit("/").Wants(t, "STALE", 200, "")
			time.Sleep(time.Second)
			require.Equal(t, 5, s.Calls())
		}
		time.Sleep(time.Second)     // the deadline
		time.Sleep(2 * time.Second) // and the pause
		s.Visit("/").Wants(t, "STALE", 200, "")
		synctest.Wait()
		require.Equal(t, 6, s.Calls())
		s.Visit("/").Wants(t, "HIT", 200, "")
	})
}

// A client that reads the stale page slowly must not keep the others from finding out that the
// handler is well again.
func aSlowClientOfAStalePageHoldsUpNoOther(t *testing.T) {
	page := strings.Repeat("x", 8000)
	for name, second := range map[string]func(w http.ResponseWriter){
		"after a failure": func(w http.ResponseWriter) { w.WriteHeader(503) },
		"after a 304":     func(w http.ResponseWriter) { w.WriteHeader(304) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
					w.Header().Set("Cache-Control", "max-age=10, stale-if-error=3600")
					w.Header().Set("Etag", fmt.Sprintf(`"%d"`, min(call, 3)))
					if call == 2 {
						w.Header().Set("Etag", `"1"`)
						second(w)
						return
					}
					fmt.Fprint(w, page, call)
				})
				s.Visit("/").Wants(t, "MISS", 200, page+"1")
				time.Sleep(20 * time.Second)
				slow := &harness.Client{Stall: make(chan struct{})}
				slow.Send(t.Context(), s.Handler, harness.Request("GET", "/"))
				synctest.Wait()
				time.Sleep(20 * time.Second)
				for _, v := range s.Visits(5, "/") {
					v.Wants(t, v.Word(), 200, page+"3")
				}
				require.Equal(t, 3, s.Calls())
				close(slow.Stall)
				slow.Wants(t, slow.Word(), 200, page+"1")
			})
		})
	}
}

func identicalBytesKeepTheirTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) { io.WriteString(w, "page") })
		first := s.Visit("/")
		first.Wants(t, "MISS", 200, "page")
		tag := func() string {
			hit := s.Visit("/")
			hit.Wants(t, "HIT", 200, "page")
			return hit.Sent.Get("Etag")
		}
		before := tag()
		require.NotEmpty(t, before)
		time.Sleep(time.Hour)
		s.Visit("/").Wants(t, "EXPIRED", 200, "page")
		require.Equal(t, before, tag())
	})
}
