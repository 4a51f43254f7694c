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
	recording "github.com/edgecache-go/edgecache/internal/record"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestRange(t *testing.T) {
	t.Run("a response that is not stored answers ranges (RFC 9110, 14.2)", aResponseThatIsNotStoredAnswersRanges)
	t.Run("parts are cut only of responses that have parts", partsAreCutOnlyOfResponsesThatHaveParts)
	t.Run("the handler's run ends with the range", theHandlersRunEndsWithTheRange)
	t.Run("a proxy that cannot write cuts no connection", aProxyThatCannotWriteCutsNoConnection)
	t.Run("a range beyond the largest object goes to the handler", aRangeBeyondTheLargestObjectGoesToTheHandler)
	t.Run("a failure before the end of the range is a failure", aFailureBeforeTheEndOfTheRangeIsAFailure)
	t.Run("a herd of ranges of what is not stored goes to the handler", aHerdOfRangesOfWhatIsNotStoredGoesToTheHandler)
	t.Run("ranges make the handler run no more often", rangesMakeTheHandlerRunNoMoreOften)
	t.Run("other units are for the handler (RFC 9110, 14.2)", otherUnitsAreForTheHandler)
	t.Run("Range is passed on untouched", rangeIsPassedOnUntouched)
	t.Run("all bytes of unknown length stream", allBytesOfUnknownLengthStream)
}

// digits is a body in which each place can be told from its neighbours.
func digits(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d,", i)
	}
	return b.String()[:n]
}

// file is a handler that says how its response may be cached, and knows ranges.
func file(text, control string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if control != "" {
			w.Header().Set("Cache-Control", control)
		}
		w.Header().Set("Etag", `"v1"`)
		http.ServeContent(w, r, "video.mp4", time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), strings.NewReader(text))
	}
}

// RFC 9110, 14.2: what turns out not to be stored answers the client's Range all the same, the
// first time and from then on.
func aResponseThatIsNotStoredAnswersRanges(t *testing.T) {
	const small, large = 5000, 300_000
	for _, what := range []struct {
		name, control, word string
		size                int
		header              []string
	}{
		{"private", "private", "BYPASS", small, nil},
		{"no-store", "no-store", "BYPASS", small, nil},
		{"for a cookie", "", "DYNAMIC", small, []string{"Cookie", "session=1"}},
		{"for an Authorization", "max-age=60", "DYNAMIC", small, []string{"Authorization", "Bearer x"}},
		{"too large", "max-age=60", "BYPASS", large, nil},
		{"larger than what is skipped", "no-store", "BYPASS", large, nil},
	} {
		text := digits(what.size)
		whole := fmt.Sprint("200  ", len(text))
		for _, ask := range []struct {
			name   string
			header []string
			want   string // status, Content-Range, length
		}{
			{"the first bytes", []string{"Range", "bytes=0-1"}, fmt.Sprintf("206 bytes 0-1/%d 2", len(text))},
			{"some in the middle", []string{"Range", "bytes=1000-2999"}, fmt.Sprintf("206 bytes 1000-2999/%d 2000", len(text))},
			{"the rest", []string{"Range", "bytes=4000-"}, fmt.Sprintf("206 bytes 4000-%d/%d %d", len(text)-1, len(text), len(text)-4000)},
			{"all", []string{"Range", "bytes=0-"}, fmt.Sprintf("206 bytes 0-%d/%d %d", len(text)-1, len(text), len(text))},
			{"the last bytes", []string{"Range", "bytes=-7"}, fmt.Sprintf("206 bytes %d-%d/%d 7", len(text)-7, len(text)-1, len(text))},
			{"bytes past the end", []string{"Range", "bytes=999999-"}, fmt.Sprintf("416 bytes */%d *", len(text))},
			{"of the version that it has", []string{"Range", "bytes=10-19", "If-Range", `"v1"`}, fmt.Sprintf("206 bytes 10-19/%d 10", len(text))},
			{"by date", []string{"Range", "bytes=10-19", "If-Range", "Wed, 01 Jan 2020 00:00:00 GMT"}, fmt.Sprintf("206 bytes 10-19/%d 10", len(text))},
			{"of another version", []string{"Range", "bytes=10-19", "If-Range", `"v0"`}, whole},
			{"by a weak tag (RFC 9110, 13.1.5)", []string{"Range", "bytes=10-19", "If-Range", `W/"v1"`}, whole},
			{"by another date", []string{"Range", "bytes=10-19", "If-Range", "Wed, 01 Jan 2020 00:00:01 GMT"}, whole},
			{"of what it has (RFC 9110, 13.2.2)", []string{"Range", "bytes=10-19", "If-None-Match", `"v1"`}, "304  0"},
			{"of what it has not", []string{"Range", "bytes=10-19", "If-None-Match", `"v0"`}, fmt.Sprintf("206 bytes 10-19/%d 10", len(text))},
			{"malformed", []string{"Range", "bytes=5-1"}, "*"}, // net/http says 416, and RFC 9110, 14.2 lets it be ignored
		} {
			t.Run(what.name+"/"+ask.name, func(t *testing.T) {
				s := harness.NewSite(t, edgecache.Config{MaxObjectBytes: 100 << 10}, file(text, what.control))
				for i := range 3 {
					r := s.Get("/video.mp4", append(ask.header, what.header...)...)
					got := harness.Body(t, r)
					said := fmt.Sprint(r.StatusCode, " ", r.Header.Get("Content-Range"), " ", len(got))
					if strings.HasSuffix(ask.want, " *") {
						said = said[:strings.LastIndexByte(said, ' ')] + " *"
					}
					if ask.want != "*" && said != ask.want {
						t.Errorf("time %d: got %s, want %s (%s)", i, said, ask.want, r.Header.Get("Cache-Status"))
					}
					var first, last, size int
					if n, _ := fmt.Sscanf(r.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &size); n == 3 && got != text[first:last+1] {
						t.Errorf("time %d: got %.40q, want %.40q", i, got, text[first:last+1])
					}
					require.Equal(t, what.word, r.Header.Get("X-Cache"))
					if r.StatusCode == 206 {
						require.Equal(t, `"v1"`, r.Header.Get("Etag"))
						require.Equal(t, fmt.Sprint(len(got)), r.Header.Get("Content-Length"))
						if i == 0 && s.Calls() == 1 {
							require.Contains(t, r.Header.Get("Cache-Status"), "fwd-status=200")
						}
					}
					if len(what.header) > 0 && r.StatusCode == 206 {
						require.Contains(t, r.Header.Get("Cache-Control"), "private", "a part is as personal as the whole")
					}
				}
			})
		}
	}
}

// The whole is always right, and the only answer where a part could be a lie.
func partsAreCutOnlyOfResponsesThatHaveParts(t *testing.T) {
	text := digits(5000)
	for _, row := range []struct {
		name  string
		field string // to set, or to delete
		value string
		ask   string
		want  int
	}{
		{"what says all that is needed", "X-Any", "", "bytes=5-9", 206},
		{"without a length", "Content-Length", "", "bytes=5-9", 200},
		{"without a validator", "Etag", "", "bytes=5-9", 200},
		{"with a validator that is none", "Etag", "v1", "bytes=5-9", 200},
		{"without Accept-Ranges", "Accept-Ranges", "", "bytes=5-9", 200},
		{"with none", "Accept-Ranges", "none", "bytes=5-9", 200},
		{"with another unit", "Accept-Ranges", "lines", "bytes=5-9", 200},
		{"with several", "Accept-Ranges", "lines, Bytes", "bytes=5-9", 206},
		{"without a type, which the first bytes would tell", "Content-Type", "", "bytes=5-9", 200},
		{"with a digest of the content (RFC 9530, 2)", "Content-Digest", "sha-256=:x:", "bytes=5-9", 200},
		{"several ranges (RFC 9110, 14.2)", "X-Any", "", "bytes=0-1,4-5", 200},
		{"overlapping ranges", "X-Any", "", "bytes=0-,0-,0-", 200},
		{"the beginning of which another part is there", "Content-Range", "bytes 0-1/2", "bytes=5-9", 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
				edgecache.NoStore(w)
				h := w.Header()
				h.Set("Content-Length", fmt.Sprint(len(text)))
				h.Set("Etag", `"v1"`)
				h.Set("Accept-Ranges", "bytes")
				h.Set("Content-Type", "text/plain")
				if row.value != "" {
					h.Set(row.field, row.value)
				} else {
					h.Del(row.field)
				}
				io.WriteString(w, text)
			})
			r := s.Get("/", "Range", row.ask)
			require.Equal(t, row.want, r.StatusCode)
			if row.want == 206 {
				require.Equal(t, text[5:10], harness.Body(t, r))
			} else {
				require.Equal(t, text, harness.Body(t, r))
			}
		})
	}
	for _, status := range []int{201, 203, 404, 500} {
		s := harness.NewSite(t, edgecache.Config{ExplicitOnly: true}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(text)))
			w.Header().Set("Etag", `"v1"`)
			w.Header().Set("Accept-Ranges", "bytes")
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(status)
			io.WriteString(w, text)
		})
		harness.Want(t, s.Get("/", "Range", "bytes=5-9"), "BYPASS", status, text)
	}
}

// The client has its part as soon as the handler has written it, and the handler ends then.
func theHandlersRunEndsWithTheRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewOrigin(t, edgecache.Config{})
		v := s.Send("GET", "/video", "Range", "bytes=2-4")
		c := s.Called()
		ctx := c.Request.Context()
		c.Says(func(w http.ResponseWriter) {
			require.Empty(t, c.Request.Header["Range"])
			h := w.Header()
			edgecache.Private(w)
			h.Set("Content-Length", "10")
			h.Set("Etag", `"v1"`)
			h.Set("Accept-Ranges", "bytes")
			h.Set("Content-Type", "text/plain")
			_, err := io.WriteString(w, "0123")
			require.NoError(t, err)
		})
		require.NoError(t, ctx.Err())
		require.Equal(t, "23", v.Body.String())
		c.Says(func(w http.ResponseWriter) {
			n, err := io.WriteString(w, "456")
			require.Equal(t, 1, n)
			require.ErrorIs(t, err, recording.ErrEnough)
		})
		require.Equal(t, "234", v.Body.String())
		require.True(t, v.Flushed, "the handler may go on for long")
		require.ErrorIs(t, context.Cause(ctx), recording.ErrEnough)
		c.Says(func(w http.ResponseWriter) {
			_, err := io.WriteString(w, "789")
			require.ErrorIs(t, err, recording.ErrEnough)
			http.Error(w, err.Error(), http.StatusInternalServerError) // as handlers do
		})
		c.Ends()
		<-v.Done
		require.Equal(t, 206, v.Status)
		require.Equal(t, "bytes 2-4/10", v.Sent.Get("Content-Range"))
		require.Equal(t, "234", v.Body.String())
		s.Idle()
	})
}

// A proxy panics when it cannot write. That must neither cut the connection of a client that has
// all that it asked for, nor keep the handler from running again.
func aProxyThatCannotWriteCutsNoConnection(t *testing.T) {
	text := digits(3 << 20)
	var runs atomic.Int32
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		runs.Add(1)
		file(text, "private")(w, r)
	}))
	defer origin.Close()
	target, err := url.Parse(origin.URL)
	require.NoError(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) }}
	edge, err := edgecache.New(edgecache.Config{MaxObjectBytes: 1 << 20, Logger: harness.Silent()})
	require.NoError(t, err)
	for _, protocol := range transports {
		s := startServer(t, edge.Handler(proxy), protocol.two)
		for i, row := range []struct {
			ask  string
			runs int32
		}{{"bytes=0-1", 1}, {"bytes=100000-100009", 1}, {"bytes=2000000-2000009", 2}, {"bytes=-5", 2}, {"bytes=2500000-", 2}} {
			before := runs.Load()
			for time := range 2 {
				w := look(t, s, "GET", fmt.Sprintf("/%d%s", i, protocol.name), http.Header{"Range": {row.ask}}, nil)
				require.False(t, w.broken)
				require.Equal(t, 206, w.status)
				var first, last, size int
				_, err := fmt.Sscanf(w.header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &size)
				require.NoError(t, err)
				require.Equal(t, text[first:last+1], w.body)
				if want := row.runs + int32(time); runs.Load()-before != want {
					t.Errorf("%s: the origin was asked %d times, want %d", row.ask, runs.Load()-before, want)
				}
			}
		}
	}
}

// What is far away is not made for nothing: the handler runs once more, with Range, and from then
// on at once.
func aRangeBeyondTheLargestObjectGoesToTheHandler(t *testing.T) {
	const maxObject = 100 << 10
	text := digits(300_000)
	for _, how := range []string{"returns", "panics", "aborts"} {
		t.Run("a handler that "+how+" when it cannot write", func(t *testing.T) {
			var seen []string
			wrote := 0
			s := harness.NewSite(t, edgecache.Config{MaxObjectBytes: maxObject, Logger: harness.Silent()}, func(w http.ResponseWriter, r *http.Request) {
				seen = append(seen, r.Header.Get("Range"))
				edgecache.MaxAge(w, time.Minute)
				w.Header().Set("Etag", `"v1"`)
				if r.Header.Get("Range") != "" {
					http.ServeContent(w, r, "a.mp4", time.Time{}, strings.NewReader(text))
					return
				}
				w.Header().Set("Content-Length", fmt.Sprint(len(text)))
				w.Header().Set("Accept-Ranges", "bytes")
				w.Header().Set("Content-Type", "video/mp4")
				n, err := io.WriteString(w, text)
				wrote += n
				require.ErrorIs(t, err, recording.ErrEnough)
				require.Error(t, r.Context().Err())
				switch how {
				case "panics":
					panic(err)
				case "aborts":
					panic(http.ErrAbortHandler)
				}
			})
			for range 3 {
				r := s.Get("/a.mp4", "Range", "bytes=200000-200009")
				require.Equal(t, "bytes 200000-200009/300000", r.Header.Get("Content-Range"))
				harness.Want(t, r, "BYPASS", 206, text[200000:200010])
			}
			require.Equal(t, []string{"", "bytes=200000-200009", "bytes=200000-200009", "bytes=200000-200009"}, seen)
			require.Zero(t, wrote)
		})
	}
	// Up to there it is cut.
	s := harness.NewSite(t, edgecache.Config{MaxObjectBytes: maxObject}, file(text, "max-age=60"))
	harness.Want(t, s.Get("/a.mp4", "Range", "bytes=90000-90009"), "BYPASS", 206, text[90000:90010])
	require.Equal(t, 1, s.Calls())
}

// A genuine failure before the end of the range is one.
func aFailureBeforeTheEndOfTheRangeIsAFailure(t *testing.T) {
	var s *httptest.Server
	edge, err := edgecache.New(edgecache.Config{Logger: harness.Silent()})
	require.NoError(t, err)
	for _, protocol := range transports {
		s = startServer(t, edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			edgecache.NoStore(w)
			w.Header().Set("Content-Length", "10000")
			w.Header().Set("Etag", `"v1"`)
			w.Header().Set("Accept-Ranges", "bytes")
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, digits(5000))
			panic(errors.New("broken"))
		})), protocol.two)
		require.True(t, look(t, s, "GET", "/?"+protocol.name, http.Header{"Range": {"bytes=4000-5999"}}, nil).broken)
	}
}

// Waiters for a response of which nothing is stored go to the handler with their ranges when
// that is known.
func aHerdOfRangesOfWhatIsNotStoredGoesToTheHandler(t *testing.T) {
	text := digits(300_000)
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{MaxObjectBytes: 100 << 10}, func(w http.ResponseWriter, r *http.Request, _ int) {
			time.Sleep(time.Second)
			file(text, "private")(w, r)
		})
		for _, v := range s.Visits(50, "/video", "Range", "bytes=200000-200004") {
			v.Wants(t, "BYPASS", 206, text[200000:200005])
		}
		require.Equal(t, 51, s.Calls(), "one for each, and one that found out")
	})
}

// A stranger who sends ranges makes the handler run no more often than one that sends none, but for
// one run for each URL that turns out not to be stored, or whose handler may know another unit.
func rangesMakeTheHandlerRunNoMoreOften(t *testing.T) {
	text := digits(300_000)
	synctest.Test(t, func(t *testing.T) {
		for _, row := range []struct {
			name    string
			handler http.HandlerFunc
			ask     func(i int) string
			plain   bool // the URL has been asked for without a range before
			runs    int
		}{
			{"ranges of what is stored", file(text[:5000], "max-age=60"), func(i int) string { return fmt.Sprintf("bytes=%d-%d", i, i+9) }, false, 1},
			{"ranges of what is too large", file(text, "max-age=60"), func(i int) string { return fmt.Sprintf("bytes=%d-", 200_000+i) }, false, 101},
			{"ranges of what is private", file(text, "private"), func(i int) string { return fmt.Sprintf("bytes=%d-", i) }, false, 100},
			{"units that nobody knows", file(text[:5000], "max-age=60"), func(i int) string { return fmt.Sprintf("x%d=1", i) }, false, 2},
			{"the same, of what is stored", file(text[:5000], "max-age=60"), func(i int) string { return fmt.Sprintf("x%d=1", i) }, true, 1},
			{"nonsense", file(text[:5000], "max-age=60"), func(i int) string { return strings.Repeat("=", i) }, false, 1},
		} {
			s := harness.NewSite(t, edgecache.Config{MaxObjectBytes: 100 << 10}, row.handler)
			if row.plain {
				s.Get("/")
			}
			for i := range 100 {
				s.Get("/", "Range", row.ask(i))
			}
			if s.Calls() != row.runs {
				t.Errorf("%s: the handler ran %d times, want %d", row.name, s.Calls(), row.runs)
			}
		}
	})
}

// RFC 9110, 14.2: a unit that the cache does not know is for the handler.
func otherUnitsAreForTheHandler(t *testing.T) {
	for _, advertises := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
				edgecache.MaxAge(w, 10*time.Minute)
				if advertises {
					w.Header().Set("Accept-Ranges", "items")
				}
				if asked, ok := strings.CutPrefix(r.Header.Get("Range"), "items="); ok {
					w.Header().Set("Content-Range", "items "+asked+"/100")
					w.WriteHeader(http.StatusPartialContent)
					fmt.Fprint(w, "items ", asked)
					return
				}
				fmt.Fprint(w, "all")
			})
			items := func(asked, word, text string) {
				t.Helper()
				r := s.Get("/", "Range", "items="+asked)
				require.Equal(t, word, r.Header.Get("X-Cache"), r.Header.Get("Cache-Status"))
				require.Equal(t, text, harness.Body(t, r))
			}
			told := s.Edge.Explain(harness.Request("GET", "/", "Range", "items=0-9"))
			require.Equal(t, "range-unit", told.Reason.String())
			items("0-9", "DYNAMIC", "items 0-9")
			items("10-19", "DYNAMIC", "items 10-19")
			harness.Want(t, s.Get("/"), "MISS", 200, "all")
			items("20-29", "DYNAMIC", "items 20-29") // it is known that the handler knows them
			harness.Want(t, s.Get("/"), "HIT", 200, "all")
			harness.Want(t, s.Get("/", "Range", "bytes=0-1"), "HIT", 206, "al")
			time.Sleep(3 * time.Minute)
			if advertises {
				items("30-39", "DYNAMIC", "items 30-39")
			} else {
				items("30-39", "HIT", "all") // it is forgotten, and nothing tells
			}
			r := s.Get("/new", "Range", "items=0-9", "Cookie", "session=1")
			require.Contains(t, r.Header.Get("Cache-Control"), "private")
			require.Contains(t, r.Header.Get("Cache-Status"), "fwd=bypass; detail=range-unit")
			require.Equal(t, "items 0-9", harness.Body(t, r))
			require.Equal(t, 200, s.Do("HEAD", "/", "Range", "items=0-9").StatusCode)
		})
	}
}

// What is passed on at once carries Range as it came.
func rangeIsPassedOnUntouched(t *testing.T) {
	asked := ""
	handler := func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("Range") + "|" + r.Header.Get("If-Range")
		fmt.Fprint(w, "page")
	}
	inside := edgecache.Config{Except: []string{"/except"}}
	s := harness.NewSite(t, inside, handler)
	pass := edgecache.Policy{NoStore: true}.Handler(s.Handler)
	for name, send := range map[string]func(header ...string){
		"POST":           func(header ...string) { s.Do("POST", "/", header...) },
		"PUT":            func(header ...string) { s.Do("PUT", "/", header...) },
		"HEAD":           func(header ...string) { s.Do("HEAD", "/", header...) },
		"except":         func(header ...string) { s.Get("/except", header...) },
		"a precondition": func(header ...string) { s.Get("/", append(header, "If-Match", "*")...) },
		"an override":    func(header ...string) { s.Get("/", append(header, "X-Original-Url", "/x")...) },
		"a policy":       func(header ...string) { pass.ServeHTTP(httptest.NewRecorder(), harness.Request("GET", "/", header...)) },
	} {
		for _, unit := range []string{"bytes=0-1", "items=0-1"} {
			asked = "not asked"
			send("Range", unit, "If-Range", `"a"`)
			require.Equal(t, unit+`|"a"`, asked, name)
		}
	}
}

// Browsers ask for media with bytes=0-. Of a response whose length is not known yet they get each
// byte when it is there.
func allBytesOfUnknownLengthStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewOrigin(t, edgecache.Config{})
		leader := s.Send("GET", "/", "Range", "bytes=0-")
		c := s.Called()
		c.Says(func(w http.ResponseWriter) {
			require.Empty(t, c.Request.Header["Range"])
			edgecache.MaxAge(w, time.Minute)
			io.WriteString(w, "first ")
			w.(http.Flusher).Flush()
		})
		follower := s.Send("GET", "/", "Range", "bytes=0-")
		part := s.Send("GET", "/", "Range", "bytes=6-8")
		synctest.Wait()
		require.Equal(t, "first ", leader.Body.String())
		require.Equal(t, "first ", follower.Body.String())
		require.Empty(t, part.Body.String())
		c.Says(func(w http.ResponseWriter) { io.WriteString(w, "and last") })
		c.Ends()
		<-part.Done
		require.Equal(t, 200, leader.Status)
		require.Equal(t, "first and last", leader.Body.String())
		require.Equal(t, 200, follower.Status)
		require.Equal(t, "first and last", follower.Body.String())
		require.Equal(t, 206, part.Status)
		require.Equal(t, "and", part.Body.String())
		hit := s.Send("GET", "/", "Range", "bytes=0-")
		<-hit.Done
		require.Equal(t, 206, hit.Status)
		require.Equal(t, "first and last", hit.Body.String())
		s.Idle()
	})
}
