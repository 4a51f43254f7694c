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

func TestCollapseLimits(t *testing.T) {
	t.Run("a waiter of too long runs alone and stores nothing", aWaiterOfTooLongRunsAloneAndStoresNothing)
	t.Run("one more may run when the leader is silent for too long", oneMoreMayRunWhenTheLeaderIsSilentForTooLong)
	t.Run("a request for its own response does not wait", aRequestForItsOwnResponseDoesNotWait)
	t.Run("each waiter gets what it asked for", eachWaiterGetsWhatItAskedFor)
	t.Run("a waiter with a tag that the cache made gets its 304", aWaiterWithATagThatTheCacheMadeGetsIts304)
	t.Run("a HEAD neither joins nor leads", aHEADNeitherJoinsNorLeads)
}

func aWaiterOfTooLongRunsAloneAndStoresNothing(t *testing.T) {
	for _, limit := range []time.Duration{0, 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewCountedSite(t, edgecache.Config{MaxWait: limit}, func(w http.ResponseWriter, r *http.Request, call int) {
				if call == 1 {
					time.Sleep(25 * time.Second)
				}
				fmt.Fprint(w, "page ", call)
			})
			leader := s.Visit("/")
			synctest.Wait()
			other := s.Visit("/")
			other.Wants(t, "BYPASS", 200, "page 2")
			require.Equal(t, "busy", other.Detail())
			if limit == 0 {
				limit = edgecache.DefaultMaxWait
			}
			require.Equal(t, limit, other.Took)
			leader.Wants(t, "MISS", 200, "page 1")
			s.Visit("/").Wants(t, "HIT", 200, "page 1")
		})
	}
}

func oneMoreMayRunWhenTheLeaderIsSilentForTooLong(t *testing.T) {
	const age = 30 * time.Second
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{MaxWait: time.Hour}, func(w http.ResponseWriter, r *http.Request, call int) {
			edgecache.MaxAge(w, 24*time.Hour) // the time that the handler takes counts as age
			if call == 1 {
				time.Sleep(time.Hour)
			} else {
				time.Sleep(time.Second)
			}
			fmt.Fprint(w, "page ", call)
		})
		hung := s.Visit("/")
		synctest.Wait()
		time.Sleep(age - 1)
		patient := s.Visit("/")
		synctest.Wait()
		require.Equal(t, 1, s.Calls())
		time.Sleep(time.Nanosecond)
		herd := s.Visits(10, "/")
		for _, v := range herd {
			v.Wants(t, v.Word(), 200, "page 2")
			require.Equal(t, time.Second, v.Took)
		}
		require.Equal(t, 2, s.Calls())
		patient.Wants(t, "HIT", 200, "page 1")
		hung.Wants(t, "MISS", 200, "page 1")
	})
}

// A request that wants an answer made for it does not take one that began before.
func aRequestForItsOwnResponseDoesNotWait(t *testing.T) {
	for _, cc := range []string{"no-cache", "no-store", "max-age=0", "min-fresh=10"} {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewCountedSite(t, edgecache.Config{HonorRequestDirectives: true}, func(w http.ResponseWriter, r *http.Request, call int) {
				time.Sleep(time.Second)
				fmt.Fprint(w, "page ", call)
			})
			leader := s.Visit("/")
			time.Sleep(time.Second / 2)
			other := s.Visit("/", "Cache-Control", cc)
			other.Wants(t, other.Word(), 200, "page 2")
			require.Equal(t, time.Second, other.Took, cc)
			leader.Wants(t, "MISS", 200, "page 1")
		})
	}
}

func eachWaiterGetsWhatItAskedFor(t *testing.T) {
	const page = "0123456789"
	const modified = "Sun, 06 Nov 1994 08:49:37 GMT"
	large := strings.Repeat(page, 1000)
	for _, declared := range []bool{true, false} {
		for _, text := range []string{page, large} {
			for _, tt := range []struct {
				name   string
				header []string
				code   int
				body   string
				rng    string
			}{
				{"a plain request", nil, 200, text, ""},
				{"the page that the client has (RFC 9110, 13.1.2)", []string{"If-None-Match", `"v1"`}, 304, "", ""},
				{"another than the client has", []string{"If-None-Match", `"v0"`}, 200, text, ""},
				{"not modified since (RFC 9110, 13.1.3)", []string{"If-Modified-Since", modified}, 304, "", ""},
				{"one range (RFC 9110, 14.2)", []string{"Range", "bytes=2-4"}, 206, "234", "bytes 2-4/%d"},
				{"the last bytes", []string{"Range", "bytes=-2"}, 206, "89", ""},
				{"all from an offset", []string{"Range", "bytes=3-"}, 206, text[3:], ""},
				{"a range of the page that the client has (RFC 9110, 13.1.5)", []string{"Range", "bytes=2-4", "If-Range", `"v1"`}, 206, "234", "bytes 2-4/%d"},
				{"a range of another page", []string{"Range", "bytes=2-4", "If-Range", `"v0"`}, 200, text, ""},
				{"a range outside the page", []string{"Range", "bytes=90000-"}, 416, "*", "bytes */%d"},
				{"several ranges", []string{"Range", "bytes=0-1,4-5"}, 206, "*", ""},
				{"no range at all", []string{"Range", "lines"}, 200, text, ""},
			} {
				t.Run(fmt.Sprintf("%s, declared: %v, %d bytes", tt.name, declared, len(text)), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
							for _, name := range []string{"If-None-Match", "If-Modified-Since", "Range", "If-Range"} {
								require.NotContains(t, r.Header, name, "a fill is a plain GET")
							}
							w.Header().Set("Etag", `"v1"`)
							w.Header().Set("Last-Modified", modified)
							w.Header().Set("Cache-Control", "max-age=60")
							if declared {
								w.Header().Set("Content-Length", fmt.Sprint(len(text)))
							}
							time.Sleep(time.Second)
							io.WriteString(w, text[:len(text)/2])
							time.Sleep(time.Second)
							io.WriteString(w, text[len(text)/2:])
						})
						leader := s.Visit("/", tt.header...)
						synctest.Wait()
						early := s.Visits(3, "/", tt.header...)
						plain := s.Visit("/")
						time.Sleep(1500 * time.Millisecond)
						late := s.Visit("/", tt.header...) // while the body grows
						leader.Wants(t, "MISS", tt.code, tt.body)
						for _, v := range append(early, late) {
							v.Wants(t, "HIT", tt.code, tt.body)
							if tt.rng != "" {
								require.Equal(t, strings.Replace(tt.rng, "%d", fmt.Sprint(len(text)), 1), v.Sent.Get("Content-Range"))
							}
						}
						plain.Wants(t, "HIT", 200, text)
						s.Visit("/", tt.header...).Wants(t, "HIT", tt.code, tt.body)
						s.Visit("/").Wants(t, "HIT", 200, text)
						require.Equal(t, 1, s.Calls())
					})
				})
			}
		}
	}
}

// The tag of a page without validators is made of its bytes, so that its client's condition waits
// for them.
func aWaiterWithATagThatTheCacheMadeGetsIts304(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			time.Sleep(time.Second)
			io.WriteString(w, strings.Repeat("page", 1000))
		})
		s.Visit("/").Wants(t, "MISS", 200, "*")
		hit := s.Visit("/")
		hit.Wants(t, "HIT", 200, "*")
		tag := hit.Sent.Get("Etag")
		require.NotEmpty(t, tag)
		time.Sleep(time.Hour)
		all := append(s.Visits(5, "/", "If-None-Match", tag), s.Visits(5, "/", "If-None-Match", `"ec-000000000000000000000000"`)...)
		for i, v := range all {
			if i < 5 {
				v.Wants(t, v.Word(), 304, "")
			} else {
				v.Wants(t, v.Word(), 200, strings.Repeat("page", 1000))
			}
		}
		require.Equal(t, 2, s.Calls())
	})
}

func aHEADNeitherJoinsNorLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			time.Sleep(time.Second)
			w.Header().Set("X-Method", r.Method)
			if r.Method == http.MethodGet {
				io.WriteString(w, "page")
			}
		})
		head := func() *harness.Client {
			return harness.Send(t.Context(), s.Handler, harness.Request(http.MethodHead, "/"))
		}
		first := head()
		synctest.Wait()
		gets := s.Visits(5, "/")
		synctest.Wait()
		second := head()
		for _, v := range gets {
			v.Wants(t, v.Word(), 200, "page")
			require.Equal(t, "GET", v.Sent.Get("X-Method"))
		}
		for _, v := range []*harness.Client{first, second} {
			v.Wants(t, "MISS", 200, "")
			require.Equal(t, "HEAD", v.Sent.Get("X-Method"))
		}
		require.Equal(t, 3, s.Calls())
		third := head()
		<-third.Done
		require.Equal(t, "HIT", third.Sent.Get("X-Cache"))
		require.Equal(t, "4", third.Sent.Get("Content-Length"))
	})
}
