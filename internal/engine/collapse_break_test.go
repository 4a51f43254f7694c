package engine_test

import (
	"errors"
	"fmt"
	"io"
	"log"
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

func TestCollapseOfResponsesThatAreNotShared(t *testing.T) {
	t.Run("a handler that breaks off reaches only its own client", aHandlerThatBreaksOffReachesOnlyItsOwnClient)
	t.Run("a page shorter than its length is a cut for all", aPageShorterThanItsLengthIsACutForAll)
	t.Run("a cut reaches the client over the wire", aCutReachesTheClientOverTheWire)
	t.Run("a response that may not be stored releases all at once", aResponseThatMayNotBeStoredReleasesAllAtOnce)
	t.Run("the release comes with the header", theReleaseComesWithTheHeader)
	t.Run("the first cacheable response heals an uncacheable URL", theFirstCacheableResponseHealsAnUncacheableURL)
	t.Run("pages that must be confirmed each time are not waited for", pagesThatMustBeConfirmedEachTimeAreNotWaitedFor)
	t.Run("a page that varies is not shared", aPageThatVariesIsNotShared)
	t.Run("responses for credentials are never shared", responsesForCredentialsAreNeverShared)
}

var errBoom = errors.New("boom")

// breaks are the ways in which a handler ends without returning.
var breaks = map[string]func(){
	"panics":                      func() { panic(errBoom) },
	"panics with ErrAbortHandler": func() { panic(http.ErrAbortHandler) },
	"calls runtime.Goexit":        runtime.Goexit,
}

// begin is how far a handler has come when it breaks off, and whether others have got something of
// that page by then.
var begins = map[string]struct {
	write func(w http.ResponseWriter)
	sent  bool
}{
	"before the header": {func(http.ResponseWriter) {}, false},
	"after the header":  {func(w http.ResponseWriter) { w.WriteHeader(200) }, false},
	"after a declared length": {func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", "9000")
		w.WriteHeader(200)
	}, false},
	"after a few bytes that are not sent yet": {func(w http.ResponseWriter) { io.WriteString(w, "half a pa") }, false},
	"after a few bytes that were flushed": {func(w http.ResponseWriter) {
		io.WriteString(w, "half a pa")
		w.(http.Flusher).Flush()
	}, true},
	"after many bytes":     {func(w http.ResponseWriter) { io.WriteString(w, strings.Repeat("x", 8000)) }, true},
	"after a private page": {func(w http.ResponseWriter) { edgecache.Private(w); io.WriteString(w, "yours") }, false},
	"after many bytes of a declared length": {func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", "9000")
		io.WriteString(w, strings.Repeat("x", 8000))
	}, true},
}

func aHandlerThatBreaksOffReachesOnlyItsOwnClient(t *testing.T) {
	page := strings.Repeat("0123456789", 900)
	for how, breakOff := range breaks {
		for when, begin := range begins {
			t.Run(how+" "+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
						time.Sleep(time.Second)
						if call == 1 {
							begin.write(w)
							time.Sleep(time.Second)
							breakOff()
						}
						io.WriteString(w, page)
					})
					leader := s.Visit("/")
					synctest.Wait()
					others := s.Visits(10, "/")
					if !leader.Cut() {
						t.Error("the leader's client cannot see that its page is incomplete")
					}
					switch how {
					case "panics":
						require.Equal(t, errBoom, leader.Panicked, "the panic reaches the server loop as it was")
					case "panics with ErrAbortHandler":
						require.Equal(t, http.ErrAbortHandler, leader.Panicked)
					default:
						require.Nil(t, leader.Panicked)
					}
					for _, v := range others {
						if begin.sent && v.Cut() {
							require.Equal(t, http.ErrAbortHandler, v.Panicked, "no panic of the handler reaches another client")
							continue
						}
						v.Wants(t, v.Word(), 200, page)
					}
					if !begin.sent {
						require.Zero(t, harness.Words(others)["cut"], "nothing was sent, so each can still get the page")
					}
					v := s.Visit("/")
					v.Wants(t, v.Word(), 200, page)
				})
			})
		}
	}
}

func aPageShorterThanItsLengthIsACutForAll(t *testing.T) {
	for _, size := range []int{10, 8000} {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
				w.Header().Set("Content-Length", "9000")
				time.Sleep(time.Second)
				io.WriteString(w, strings.Repeat("x", size))
			})
			for range 2 { // nothing of it is stored
				all := s.Visits(5, "/")
				require.Equal(t, map[string]int{"cut": 5}, harness.Words(all))
			}
		})
	}
}

// The same over a real server, where a cut must reach the client as one.
func aCutReachesTheClientOverTheWire(t *testing.T) {
	page := strings.Repeat("0123456789", 900)
	for _, two := range []bool{false, true} {
		for how, breakOff := range breaks {
			for when, begin := range begins {
				if when == "after the header" || when == "before the header" {
					continue // nothing has reached the wire: an empty answer and no answer are the same to a client
				}
				t.Run(fmt.Sprint(how, " ", when, ", HTTP/2: ", two), func(t *testing.T) {
					server := httptest.NewUnstartedServer(edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						begin.write(w)
						breakOff()
						io.WriteString(w, page)
					})))
					server.Config.ErrorLog = log.New(io.Discard, "", 0)
					server.EnableHTTP2 = two
					server.StartTLS()
					defer server.Close()
					r, err := server.Client().Get(server.URL)
					if err != nil {
						return
					}
					defer r.Body.Close()
					b, err := io.ReadAll(r.Body)
					require.Error(t, err, "%d bytes came as a complete page", len(b))
				})
			}
		}
	}
}

// refusals are responses that no other client may have.
var refusals = map[string]func(w http.ResponseWriter){
	"private":           func(w http.ResponseWriter) { edgecache.Private(w) },
	"no-store":          func(w http.ResponseWriter) { edgecache.NoStore(w) },
	"Set-Cookie":        func(w http.ResponseWriter) { w.Header().Set("Set-Cookie", "session=1") },
	"Vary: *":           func(w http.ResponseWriter) { w.Header().Set("Vary", "*") },
	"an error":          func(w http.ResponseWriter) { w.WriteHeader(418) },
	"an event stream":   func(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/event-stream") },
	"expired when made": func(w http.ResponseWriter) { w.Header().Set("Expires", "0") },
}

func aResponseThatMayNotBeStoredReleasesAllAtOnce(t *testing.T) {
	const takes = 100 * time.Millisecond
	for name, refuse := range refusals {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
					time.Sleep(takes)
					refuse(w)
					fmt.Fprint(w, "for ", r.Header.Get("X-Client"))
				})
				herd := func(within time.Duration) {
					var all []*harness.Client
					for i := range 50 {
						all = append(all, s.Visit("/", "X-Client", fmt.Sprint(i)))
					}
					for i, v := range all {
						v.Wants(t, "BYPASS", 0, fmt.Sprint("for ", i))
						require.LessOrEqual(t, v.Took, within)
					}
				}
				herd(2 * takes) // one after the first, all others in parallel
				require.Equal(t, 50, s.Calls())
				if name == "an error" {
					herd(2 * takes) // it may be about the request that led, so each herd waits for its first
					return
				}
				herd(takes) // and no client waits from then on
				time.Sleep(2*time.Minute - time.Second)
				herd(takes)
				time.Sleep(2*time.Minute + time.Second) // not remembered for ever
				herd(2 * takes)
			})
		})
	}
}

// The wait ends with the header, not with the body.
func theReleaseComesWithTheHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			time.Sleep(time.Second)
			edgecache.Private(w)
			w.WriteHeader(200)
			time.Sleep(time.Minute)
		})
		leader := s.Visit("/")
		synctest.Wait()
		other := s.Visit("/")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, 2, s.Calls())
		<-leader.Done
		<-other.Done
	})
}

func theFirstCacheableResponseHealsAnUncacheableURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			time.Sleep(time.Second)
			edgecache.MaxAge(w, time.Minute)
			if call == 1 {
				edgecache.Private(w)
			}
			fmt.Fprint(w, "page ", call)
		})
		s.Visit("/").Wants(t, "BYPASS", 200, "page 1")
		s.Visit("/").Wants(t, "MISS", 200, "page 2")
		s.Visit("/").Wants(t, "HIT", 200, "page 2")
		time.Sleep(time.Minute)
		all := s.Visits(10, "/")
		require.Equal(t, map[string]int{"EXPIRED": 1, "HIT": 9}, harness.Words(all), "they wait for each other again")
		require.Equal(t, 3, s.Calls())
	})
}

// A page that each use must confirm cannot be shared by waiters, so waiting is in vain from
// the second time on.
func pagesThatMustBeConfirmedEachTimeAreNotWaitedFor(t *testing.T) {
	const takes = 100 * time.Millisecond
	for _, cc := range []string{"no-cache", "max-age=0", "max-age=0, must-revalidate"} {
		t.Run(cc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
					time.Sleep(takes)
					w.Header().Set("Cache-Control", cc)
					w.Header().Set("Etag", `"1"`)
					if r.Header.Get("If-None-Match") == `"1"` {
						w.WriteHeader(http.StatusNotModified)
						return
					}
					io.WriteString(w, "page")
				})
				for i, within := range []time.Duration{2 * takes, takes, takes} {
					all := s.Visits(20, "/")
					for _, v := range all {
						v.Wants(t, v.Word(), 200, "page")
						require.LessOrEqual(t, v.Took, within, "herd %d", i)
					}
					require.Equal(t, 20*(i+1), s.Calls())
				}
			})
		})
	}
}

func aPageThatVariesIsNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		languages := []string{"de", "fr", "en"}
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			time.Sleep(time.Second)
			edgecache.Vary(w, "Accept-Language")
			edgecache.MaxAge(w, time.Minute)
			fmt.Fprint(w, "in ", r.Header.Get("Accept-Language"))
		})
		herd := func(within time.Duration) {
			t.Helper()
			all := map[string][]*harness.Client{}
			for range 10 {
				for _, l := range languages {
					all[l] = append(all[l], s.Visit("/", "Accept-Language", l))
				}
			}
			for l, visits := range all {
				for _, v := range visits {
					v.Wants(t, v.Word(), 200, "in "+l)
					require.LessOrEqual(t, v.Took, within)
				}
			}
		}
		herd(2 * time.Second) // Vary is not known yet: the others wait, and then once more for their own
		require.Equal(t, 3, s.Calls())
		time.Sleep(2 * time.Minute)
		herd(time.Second) // predicted: a request that differs does not wait
		require.Equal(t, 6, s.Calls())
	})
}

func responsesForCredentialsAreNeverShared(t *testing.T) {
	for name, header := range map[string]string{"Cookie": "session=", "Authorization": "Bearer ", "X-Api-Key": "k"} {
		for _, public := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", public: ", public), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
						time.Sleep(time.Second)
						edgecache.MaxAge(w, time.Minute)
						if public {
							edgecache.Public(w)
							io.WriteString(w, "for all")
							return
						}
						io.WriteString(w, "for "+r.Header.Get(name))
					})
					for range 2 {
						var all []*harness.Client
						for i := range 20 {
							all = append(all, s.Visit("/", name, fmt.Sprint(header, i)))
						}
						anonymous := s.Visits(20, "/")
						for i, v := range all {
							want := "for all"
							if !public {
								want = fmt.Sprint("for ", header, i)
							}
							v.Wants(t, v.Word(), 200, want)
						}
						for _, v := range anonymous {
							want := "for all"
							if !public {
								want = "for "
							}
							v.Wants(t, v.Word(), 200, want)
							require.LessOrEqual(t, v.Took, time.Second, "it does not wait for those with credentials")
						}
					}
					if public {
						require.LessOrEqual(t, s.Calls(), 2)
					} else {
						require.Equal(t, 41, s.Calls())
					}
				})
			})
		}
	}
}
