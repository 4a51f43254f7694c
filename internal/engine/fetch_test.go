package engine_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
	"github.com/edgecache-go/edgecache/storetest"
)

func TestFetch(t *testing.T) {
	t.Run("nothing stays reserved for a POST", nothingStaysReservedForAPOST)
	t.Run("a panic of the client's writer reaches the handler", aPanicOfTheClientsWriterReachesTheHandler)
	t.Run("a client error changes nothing for other clients", aClientErrorChangesNothingForOtherClients)
	t.Run("a 404 or a success replaces the stored response", a404OrASuccessReplacesTheStoredResponse)
	t.Run("a refused validation is for its client only", aRefusedValidationIsForItsClientOnly)
	t.Run("a success of an unsafe method invalidates (RFC 9111, 4.4)", aSuccessOfAnUnsafeMethodInvalidates)
	t.Run("bad requests do not switch collapsing off", badRequestsDoNotSwitchCollapsingOff)
}

func (notified) CloseNotify() <-chan bool { return nil }

// However a POST whose answer might be stored ends, what was reserved for it goes back.
func nothingStaysReservedForAPOST(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(t *testing.T, edge *edgecache.Edge, leave context.CancelFunc, w http.ResponseWriter)
	}{
		{"it is stored", func(*testing.T, *edgecache.Edge, context.CancelFunc, http.ResponseWriter) {}},
		{"its client leaves", func(_ *testing.T, _ *edgecache.Edge, leave context.CancelFunc, _ http.ResponseWriter) { leave() }},
		{"its handler panics", func(*testing.T, *edgecache.Edge, context.CancelFunc, http.ResponseWriter) {
			panic(http.ErrAbortHandler)
		}},
		{"it is purged", func(t *testing.T, edge *edgecache.Edge, _ context.CancelFunc, _ http.ResponseWriter) {
			_, err := edge.PurgeAll(t.Context())
			require.NoError(t, err)
		}},
		{"it restricts itself too late", func(_ *testing.T, _ *edgecache.Edge, _ context.CancelFunc, w http.ResponseWriter) {
			edgecache.NoStore(w)
		}},
		{"it becomes too large", func(_ *testing.T, _ *edgecache.Edge, _ context.CancelFunc, w http.ResponseWriter) {
			io.WriteString(w, strings.Repeat("x", 1<<20))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				var s *harness.Site
				s = harness.NewCountedSite(t, edgecache.Config{MaxObjectBytes: 256 << 10}, func(w http.ResponseWriter, r *http.Request, call int) {
					w.Header().Set("Content-Location", r.URL.Path)
					w.Header().Set("Cache-Control", "max-age=60")
					io.WriteString(w, strings.Repeat("x", 100<<10))
					tt.end(t, s.Edge, leave, w)
				})
				func() {
					defer func() { _ = recover() }()
					s.Handler.ServeHTTP(httptest.NewRecorder(), harness.Request("POST", "/").WithContext(ctx))
				}()
				synctest.Wait()
				if got := s.Edge.Stats().BytesInFlight; got != 0 {
					t.Errorf("%d bytes are still reserved", got)
				}
			})
		})
	}
}

// brittle is a client's writer that panics at its header, as that of middleware outside may.
type brittle struct{ http.ResponseWriter }

func (b *brittle) WriteHeader(int) { panic("brittle") }

// A panic of the client's writer reaches the handler, as without us: the request ends, and nothing
// stays reserved.
func aPanicOfTheClientsWriterReachesTheHandler(t *testing.T) {
	for _, recovers := range []bool{false, true} {
		for _, size := range []int{10, 100 << 10, 1 << 20} {
			for _, header := range [][]string{nil, {"Range", "bytes=0-9,20-29"}, {"Range", "bytes=0-9"}, {"If-None-Match", `"x"`}} {
				t.Run(fmt.Sprint(size, " bytes, recovers: ", recovers, ", ", header), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := harness.NewCountedSite(t, edgecache.Config{MaxObjectBytes: 256 << 10}, func(w http.ResponseWriter, r *http.Request, call int) {
							if recovers {
								defer func() { _ = recover() }()
							}
							w.Header().Set("Etag", `"x"`)
							io.WriteString(w, strings.Repeat("x", size))
						})
						func() {
							defer func() { _ = recover() }()
							s.Handler.ServeHTTP(&brittle{httptest.NewRecorder()}, harness.Request("GET", "/", header...))
						}()
						synctest.Wait()
						st := s.Edge.Stats()
						if st.BytesInFlight != 0 || st.Fetches != 0 {
							t.Errorf("%d bytes are still reserved, %d fills open", st.BytesInFlight, st.Fetches)
						}
						w := httptest.NewRecorder()
						s.Handler.ServeHTTP(w, harness.Request("GET", "/"))
						require.Equal(t, size, w.Body.Len())
					})
				})
			}
		}
	}
}

// ownFaults are the statuses that may be about one request alone: its address, its rate, what it
// accepts, where it is sent.
func ownFaults() (all []int) {
	for status := 300; status < 500; status++ {
		if !slices.Contains([]int{304, 404, 410, 451}, status) {
			all = append(all, status)
		}
	}
	return all
}

// An answer that is one client's own fault takes the stored response from no other client, fresh or
// stale, here or in the store; and it leaves no mark by which the next herd would not wait for one
// of its own.
func aClientErrorChangesNothingForOtherClients(t *testing.T) {
	say := map[string]func(w http.ResponseWriter){
		"nothing":      func(http.ResponseWriter) {},
		"no-store":     edgecache.NoStore,
		"private":      edgecache.Private,
		"a cookie":     func(w http.ResponseWriter) { w.Header().Set("Set-Cookie", "a=b") },
		"Vary: *":      func(w http.ResponseWriter) { w.Header().Set("Vary", "*") },
		"too large":    func(w http.ResponseWriter) { w.Header().Set("Content-Length", "900000000") },
		"past its end": func(w http.ResponseWriter) { w.Header().Set("Expires", "0") },
		"outgrown": func(w http.ResponseWriter) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("X-Outgrown", "1")
		},
		"no-store too late": func(w http.ResponseWriter) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("X-Late", "1")
		},
	}
	usual := []int{300, 302, 307, 400, 401, 403, 406, 412, 416, 429, 499}
	for _, status := range ownFaults() {
		for name, say := range say {
			if name != "no-store" && !slices.Contains(usual, status) {
				continue // it takes its time
			}
			if name == "nothing" && (status == 301 || status == 308) {
				continue // stored itself
			}
			synctest.Test(t, func(t *testing.T) {
				failing := false
				store := storetest.NewMap()
				s := harness.NewCountedSite(t, edgecache.Config{Store: store, MaxObjectBytes: 64 << 10}, func(w http.ResponseWriter, r *http.Request, call int) {
					switch {
					case r.Header.Get("X-Bad") != "":
						say(w)
						w.WriteHeader(status)
						if w.Header().Get("X-Outgrown") != "" {
							w.Write(make([]byte, 1<<20))
						}
						if w.Header().Get("X-Late") != "" {
							io.WriteString(w, "mine")
							edgecache.NoStore(w)
						}
					case failing:
						w.WriteHeader(http.StatusServiceUnavailable)
					default:
						time.Sleep(100 * time.Millisecond)
						w.Header().Set("Cache-Control", "max-age=10, stale-if-error=3600")
						fmt.Fprint(w, "page ", call)
					}
				})
				fail := func(format string, args ...any) {
					t.Errorf("%d that says %s: "+format, append([]any{status, name}, args...)...)
				}
				bad := func() {
					if v := s.Visit("/", "X-Bad", "1"); !v.Cut() && v.Status != status {
						fail("got %d", v.Status)
					}
				}
				bad() // first of all
				herd := func(words0 map[string]int) {
					before := s.Calls()
					if got := harness.Words(s.Visits(10, "/")); fmt.Sprint(got) != fmt.Sprint(words0) {
						fail("got %v, want %v", got, words0)
					}
					if n := s.Calls() - before; n != 1 {
						fail("the handler ran %d times for a herd", n)
					}
				}
				herd(map[string]int{"MISS": 1, "HIT": 9})
				time.Sleep(20 * time.Second)
				bad()
				failing = true
				if v := s.Visit("/"); v.Cut() || v.Word() != "STALE" || v.Body.String() != "page 2" {
					fail("got %s %q, want the stale copy", v.Word(), v.Body.String())
				}
				if err := s.Edge.Close(t.Context()); err != nil {
					fail("%v", err)
				}
				other := harness.NewCountedSite(t, edgecache.Config{Store: store}, func(w http.ResponseWriter, r *http.Request, call int) {
					w.WriteHeader(http.StatusServiceUnavailable)
				})
				if v := other.Visit("/"); v.Cut() || v.Body.String() != "page 2" {
					fail("got %s %q, want what the store has", v.Word(), v.Body.String())
				}
				other.Edge.Close(t.Context())
				failing = false
				herd(map[string]int{"EXPIRED": 1, "HIT": 9})
			})
		}
	}
}

// That there is nothing is a word about the URL, and so is a success.
func a404OrASuccessReplacesTheStoredResponse(t *testing.T) {
	for _, status := range []int{200, 203, 204, 404, 410, 451} {
		synctest.Test(t, func(t *testing.T) {
			failing := false
			s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
				switch {
				case failing:
					w.WriteHeader(http.StatusServiceUnavailable)
				case call > 1:
					edgecache.NoStore(w)
					w.WriteHeader(status)
				default:
					w.Header().Set("Cache-Control", "max-age=10, stale-if-error=3600")
					io.WriteString(w, "page")
				}
			})
			s.Visit("/").Wants(t, "MISS", 200, "page")
			time.Sleep(20 * time.Second)
			s.Visit("/").Wants(t, "BYPASS", status, "")
			failing = true
			s.Visit("/").Wants(t, "BYPASS", 503, "")
		})
	}
}

// A validation that fails for the client's own reasons changes nothing for the others.
func aRefusedValidationIsForItsClientOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := false
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			if failing {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			w.Header().Set("Etag", `"1"`)
			w.Header().Set("Cache-Control", "public, max-age=10, stale-if-error=3600")
			if r.Header.Get("Cookie") != "" {
				w.Header().Set("Cache-Control", "private")
			}
			if r.Header.Get("If-None-Match") != "" {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			io.WriteString(w, "page")
		})
		s.Visit("/").Wants(t, "MISS", 200, "page")
		time.Sleep(20 * time.Second)
		s.Visit("/", "Cookie", "session=1").Wants(t, "REVALIDATED", 200, "page")
		failing = true
		s.Visit("/").Wants(t, "STALE", 200, "page")
	})
}

// RFC 9111, 4.4: a success of a method that is not registered as safe invalidates; an error does
// not, whatever the method.
func aSuccessOfAnUnsafeMethodInvalidates(t *testing.T) {
	safe := []string{"GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY"}
	unsafe := []string{"POST", "PUT", "PATCH", "DELETE", "MKCOL", "LOCK", "PURGE", "FOO", "get", "post"}
	for _, method := range slices.Concat(safe, unsafe) {
		for _, status := range []int{200, 201, 204, 206, 301, 302, 303, 307, 400, 401, 403, 404, 405, 409, 410, 412, 429, 500, 503} {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
					if call == 2 {
						w.WriteHeader(status)
						return
					}
					w.Header().Set("Cache-Control", "max-age=600")
					fmt.Fprint(w, "page ", call)
				})
				s.Visit("/").Wants(t, "MISS", 200, "page 1")
				v := harness.Send(t.Context(), s.Handler, harness.Request(method, "/"))
				<-v.Done
				want := "HIT"
				if slices.Contains(unsafe, method) && status < 400 {
					want = "MISS"
				}
				if v := s.Visit("/"); v.Cut() || v.Word() != want {
					t.Errorf("after %s %d: got %s, want %s", method, status, v.Word(), want)
				}
			})
		}
	}
}

// Bad requests for some URLs of a route, or of a router behind a mux that takes everything, say
// nothing about other URLs.
func badRequestsDoNotSwitchCollapsingOff(t *testing.T) {
	for name, provoke := range map[string]func(w http.ResponseWriter){
		"400":       func(w http.ResponseWriter) { w.WriteHeader(400) },
		"302":       func(w http.ResponseWriter) { w.Header().Set("Location", "/"); w.WriteHeader(302) },
		"404":       func(w http.ResponseWriter) { edgecache.NoStore(w); w.WriteHeader(404) },
		"no-store":  edgecache.NoStore,
		"private":   edgecache.Private,
		"a session": func(w http.ResponseWriter) { w.Header().Set("Set-Cookie", "a=b") },
	} {
		for _, mounted := range []string{"inside", "outside"} {
			t.Run(name+", the mux is "+mounted, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					calls := 0
					var mu sync.Mutex
					page := func(w http.ResponseWriter, r *http.Request) {
						if r.URL.Query().Has("bad") {
							provoke(w)
							return
						}
						mu.Lock()
						calls++
						mu.Unlock()
						time.Sleep(200 * time.Millisecond)
						w.Header().Set("Cache-Control", "max-age=600")
						io.WriteString(w, "item")
					}
					mux := http.NewServeMux()
					var h http.Handler = mux
					if mounted == "inside" {
						mux.HandleFunc("GET /item/{id}", page)
						h = edgecache.Cache(mux)
					} else {
						mux.Handle("/", edgecache.Cache(http.HandlerFunc(page)))
					}
					for i := range 20 {
						h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprintf("/item/%d?bad", i), nil))
					}
					var wg sync.WaitGroup
					for range 100 {
						wg.Go(func() { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/item/1", nil)) })
					}
					wg.Wait()
					require.Equal(t, 1, calls)
				})
			})
		}
	}
}
