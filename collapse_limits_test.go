package edgecache_test

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
)

func TestWhoHasWaitedLongEnoughRunsAloneAndStoresNothing(t *testing.T) {
	for _, limit := range []time.Duration{0, 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, edgecache.Config{MaxWait: limit}, func(w http.ResponseWriter, r *http.Request, call int) {
				if call == 1 {
					time.Sleep(25 * time.Second)
				}
				fmt.Fprint(w, "page ", call)
			})
			leader := s.visit("/")
			synctest.Wait()
			other := s.visit("/")
			other.wants(t, "BYPASS", 200, "page 2")
			require.Equal(t, "busy", other.detail())
			if limit == 0 {
				limit = edgecache.DefaultMaxWait
			}
			require.Equal(t, limit, other.took)
			leader.wants(t, "MISS", 200, "page 1")
			s.visit("/").wants(t, "HIT", 200, "page 1")
		})
	}
}

func TestOneMoreIsLetInWhenTheLeaderHasSaidNothingForTooLong(t *testing.T) {
	const age = 30 * time.Second
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, edgecache.Config{MaxWait: time.Hour}, func(w http.ResponseWriter, r *http.Request, call int) {
			edgecache.MaxAge(w, 24*time.Hour) // the time that the handler takes counts as age
			if call == 1 {
				time.Sleep(time.Hour)
			} else {
				time.Sleep(time.Second)
			}
			fmt.Fprint(w, "page ", call)
		})
		hung := s.visit("/")
		synctest.Wait()
		time.Sleep(age - 1)
		patient := s.visit("/")
		synctest.Wait()
		require.EqualValues(t, 1, s.calls.Load())
		time.Sleep(time.Nanosecond)
		herd := s.visits(10, "/")
		for _, v := range herd {
			v.wants(t, v.word(), 200, "page 2")
			require.Equal(t, time.Second, v.took)
		}
		require.EqualValues(t, 2, s.calls.Load())
		patient.wants(t, "HIT", 200, "page 1")
		hung.wants(t, "MISS", 200, "page 1")
	})
}

// A request that wants an answer made for it does not take one that began before.
func TestRequestsThatWantTheirOwnAnswerDoNotWait(t *testing.T) {
	for _, cc := range []string{"no-cache", "no-store", "max-age=0", "min-fresh=10"} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, edgecache.Config{HonorRequestDirectives: true}, func(w http.ResponseWriter, r *http.Request, call int) {
				time.Sleep(time.Second)
				fmt.Fprint(w, "page ", call)
			})
			leader := s.visit("/")
			time.Sleep(time.Second / 2)
			other := s.visit("/", "Cache-Control", cc)
			other.wants(t, other.word(), 200, "page 2")
			require.Equal(t, time.Second, other.took, cc)
			leader.wants(t, "MISS", 200, "page 1")
		})
	}
}

func TestEachOfThoseWhoWaitGetsWhatItAskedFor(t *testing.T) {
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
						s := newStage(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
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
						leader := s.visit("/", tt.header...)
						synctest.Wait()
						early := s.visits(3, "/", tt.header...)
						plain := s.visit("/")
						time.Sleep(1500 * time.Millisecond)
						late := s.visit("/", tt.header...) // while the body grows
						leader.wants(t, "MISS", tt.code, tt.body)
						for _, v := range append(early, late) {
							v.wants(t, "HIT", tt.code, tt.body)
							if tt.rng != "" {
								require.Equal(t, strings.Replace(tt.rng, "%d", fmt.Sprint(len(text)), 1), v.sent.Get("Content-Range"))
							}
						}
						plain.wants(t, "HIT", 200, text)
						s.visit("/", tt.header...).wants(t, "HIT", tt.code, tt.body)
						s.visit("/").wants(t, "HIT", 200, text)
						require.EqualValues(t, 1, s.calls.Load())
					})
				})
			}
		}
	}
}

// The tag of a page without validators is made of its bytes, so that its client's condition waits for them.
func TestWhoWaitsWithATagThatTheCacheMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			time.Sleep(time.Second)
			io.WriteString(w, strings.Repeat("page", 1000))
		})
		s.visit("/").wants(t, "MISS", 200, "*")
		hit := s.visit("/")
		hit.wants(t, "HIT", 200, "*")
		tag := hit.sent.Get("Etag")
		require.NotEmpty(t, tag)
		time.Sleep(time.Hour)
		all := append(s.visits(5, "/", "If-None-Match", tag), s.visits(5, "/", "If-None-Match", `"ec-000000000000000000000000"`)...)
		for i, v := range all {
			if i < 5 {
				v.wants(t, v.word(), 304, "")
			} else {
				v.wants(t, v.word(), 200, strings.Repeat("page", 1000))
			}
		}
		require.EqualValues(t, 2, s.calls.Load())
	})
}

func TestHeadNeitherJoinsNorLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			time.Sleep(time.Second)
			w.Header().Set("X-Method", r.Method)
			if r.Method == http.MethodGet {
				io.WriteString(w, "page")
			}
		})
		head := func() *visit { return s.send(&visit{}, t.Context(), s.h, request(http.MethodHead, "/")) }
		first := head()
		synctest.Wait()
		gets := s.visits(5, "/")
		synctest.Wait()
		second := head()
		for _, v := range gets {
			v.wants(t, v.word(), 200, "page")
			require.Equal(t, "GET", v.sent.Get("X-Method"))
		}
		for _, v := range []*visit{first, second} {
			v.wants(t, "MISS", 200, "")
			require.Equal(t, "HEAD", v.sent.Get("X-Method"))
		}
		require.EqualValues(t, 3, s.calls.Load())
		third := head()
		<-third.done
		require.Equal(t, "HIT", third.sent.Get("X-Cache"))
		require.Equal(t, "4", third.sent.Get("Content-Length"))
	})
}
