package edgecache_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestCache(t *testing.T) {
	t.Run("a page that says nothing is cached for two minutes", aPageThatSaysNothingIsCachedForTwoMinutes)
	t.Run("no-store is never cached", noStoreIsNeverCached)
	t.Run("a page in demand is fetched again before it ends", aPageInDemandIsFetchedAgainBeforeItEnds)
	t.Run("nested handlers cache once", nestedHandlersCacheOnce)
	t.Run("a first request with a range stores the whole (RFC 9111, 3.4)", aFirstRequestWithARangeStoresTheWhole)
	t.Run("a conditional first request stores the page", aConditionalFirstRequestStoresThePage)
	t.Run("a tag that the cache made is known again", aTagThatTheCacheMadeIsKnownAgain)
	t.Run("inferred lifetimes end with DefaultTTL (RFC 9111, 4.2.2)", inferredLifetimesEndWithDefaultTTL)
}

func TestExcept(t *testing.T) {
	t.Run("operations are left alone", operationsAreLeftAlone)
	t.Run("requests reach the handler as they come", requestsReachTheHandlerAsTheyCome)
	t.Run("patterns choose as http.ServeMux does", patternsChooseAsServeMuxDoes)
	t.Run("a pattern may be for one method", aPatternMayBeForOneMethod)
	t.Run("mistakes are reported", mistakesAreReported)
	t.Run("patterns are about the URL that the client asked for", patternsAreAboutTheURLThatTheClientAskedFor)
	t.Run("an unsafe method invalidates all the same (RFC 9111, 4.4)", anUnsafeMethodInvalidatesAllTheSame)
	t.Run("metrics are not stored", metricsAreNotStored)
	t.Run("it allocates nothing", itAllocatesNothing)
}

func TestDecorators(t *testing.T) {
	t.Run("they keep the server's writer", theyKeepTheServersWriter)
	t.Run("they stream events", theyStreamEvents)
	t.Run("they let a connection be hijacked", theyLetAConnectionBeHijacked)
}

func aPageThatSaysNothingIsCachedForTwoMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			n++
			fmt.Fprintf(w, "page %d", n)
		})
		harness.Want(t, s.Get("/"), "MISS", 200, "page 1")
		harness.Want(t, s.Get("/"), "HIT", 200, "page 1")
		time.Sleep(2*time.Minute - time.Second)
		r := s.Get("/")
		require.Equal(t, "119", r.Header.Get("Age"))
		harness.Want(t, r, "HIT", 200, "page 1")
		time.Sleep(2 * time.Second)
		harness.Want(t, s.Get("/"), "EXPIRED", 200, "page 2")
		harness.Want(t, s.Get("/"), "HIT", 200, "page 2")
	})
}

func noStoreIsNeverCached(t *testing.T) {
	n := 0
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		n++
		edgecache.NoStore(w)
		fmt.Fprintf(w, "page %d", n)
	})
	harness.Want(t, s.Get("/"), "BYPASS", 200, "page 1")
	harness.Want(t, s.Get("/"), "BYPASS", 200, "page 2")
}

// Nobody waits at the end of a page that many want, although it must not be served stale.
func aPageInDemandIsFetchedAgainBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			n++
			edgecache.SharedMaxAge(w, 100*time.Second)
			fmt.Fprintf(w, "page %d", n)
		})
		harness.Want(t, s.Get("/"), "MISS", 200, "page 1")
		for range 20 {
			harness.Want(t, s.Get("/"), "HIT", 200, "page 1")
		}
		time.Sleep(94 * time.Second)
		harness.Want(t, s.Get("/"), "HIT", 200, "page 1")
		synctest.Wait()
		require.Equal(t, 1, n, "not yet")
		time.Sleep(2 * time.Second)
		harness.Want(t, s.Get("/"), "HIT", 200, "page 1")
		synctest.Wait()
		require.Equal(t, 2, n)
		harness.Want(t, s.Get("/"), "HIT", 200, "page 2")
		time.Sleep(101 * time.Second)
		harness.Want(t, s.Get("/"), "EXPIRED", 200, "page 3") // few wanted that one
	})
}

// One Edge inside another place of the same Edge must not wait for itself.
func nestedHandlersCacheOnce(t *testing.T) {
	edge, err := edgecache.New(edgecache.Config{})
	require.NoError(t, err)
	s := &harness.Site{T: t, Edge: edge, Handler: edge.Handler(edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") })))}
	for _, status := range []string{"MISS", "HIT"} {
		r := s.Get("/")
		require.Len(t, r.Header.Values("Cache-Status"), 1)
		harness.Want(t, r, status, 200, "page")
	}
}

// RFC 9111, 3.4; the first of all requests asks for a part: the whole page is stored, and the part
// is answered from it.
func aFirstRequestWithARangeStoresTheWhole(t *testing.T) {
	for _, declared := range []string{"", "10"} {
		for _, tt := range []struct {
			header string
			code   int
			text   string
		}{
			{"bytes=2-4", 206, "234"},
			{"bytes=-3", 206, "789"},
			{"bytes=7-", 206, "789"},
			{"bytes=20-", 416, "*"},
			{"lines", 200, "0123456789"},
		} {
			t.Run(tt.header+" of "+declared, func(t *testing.T) {
				s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Range") != "" {
						t.Error("the handler must not see the range")
					}
					if declared != "" {
						w.Header().Set("Content-Length", declared)
					}
					fmt.Fprint(w, "0123456789")
				})
				harness.Want(t, s.Get("/", "Range", tt.header), "MISS", tt.code, tt.text)
				harness.Want(t, s.Get("/", "Range", tt.header), "HIT", tt.code, tt.text)
				harness.Want(t, s.Get("/"), "HIT", 200, "0123456789")
				require.Equal(t, 1, s.Calls())
			})
		}
	}
}

func aConditionalFirstRequestStoresThePage(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != "" {
			t.Error("the handler must not see the condition")
		}
		w.Header().Set("Etag", `"1"`)
		fmt.Fprint(w, "page")
	})
	harness.Want(t, s.Get("/", "If-None-Match", `"1"`), "MISS", 304, "")
	harness.Want(t, s.Get("/", "If-None-Match", `"0"`), "HIT", 200, "page")
	require.Equal(t, 1, s.Calls())
}

// A tag that the cache made of the bytes is known again after the page was rendered again with the
// same bytes.
func aTagThatTheCacheMadeIsKnownAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") })
		s.Get("/")
		tag := s.Get("/").Header.Get("Etag")
		require.NotEmpty(t, tag)
		time.Sleep(3 * time.Minute)
		harness.Want(t, s.Get("/", "If-None-Match", tag), "EXPIRED", 304, "")
		harness.Want(t, s.Get("/", "If-None-Match", tag), "HIT", 304, "")
	})
}

// RFC 9111, 4.2.2: nothing that a response does not say makes it live longer than one that says
// nothing.
func inferredLifetimesEndWithDefaultTTL(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  edgecache.Config
		want time.Duration
	}{
		{"by default", edgecache.Config{}, 2 * time.Minute},
		{"with another DefaultTTL", edgecache.Config{DefaultTTL: 10 * time.Minute}, 10 * time.Minute},
		{"with a shorter one", edgecache.Config{DefaultTTL: 10 * time.Second}, 10 * time.Second},
		{"with a HeuristicMax", edgecache.Config{HeuristicMax: time.Hour}, time.Hour},
		{"with explicit lifetimes only", edgecache.Config{ExplicitOnly: true}, 2 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewSite(t, tt.cfg, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Last-Modified", "Sat, 01 Jan 1994 00:00:00 GMT")
					fmt.Fprint(w, "page")
				})
				harness.Want(t, s.Get("/"), "MISS", 200, "page")
				time.Sleep(tt.want - time.Second)
				harness.Want(t, s.Get("/"), "HIT", 200, "page")
				time.Sleep(time.Second)
				harness.Want(t, s.Get("/"), "EXPIRED", 200, "page")
			})
		})
	}
}

// counting answers with how often it has run.
func counting() http.HandlerFunc {
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
		n++
		fmt.Fprint(w, n)
	}
}

// What watches the program sees it as it is, with the one line and no configuration.
func operationsAreLeftAlone(t *testing.T) {
	for _, path := range []string{
		"/health", "/healthz", "/livez", "/ready", "/readyz", "/ping", "/-/healthy", "/-/ready", "/metrics", "/debug/", "/debug/vars", "/debug/pprof/heap?seconds=1",
		"/metrics?name=x", "//metrics", "/./metrics", "/a/../metrics", "/%6Detrics", "/debug", "/debug/../x", "//debug//vars", "/debug/x/../../y",
	} {
		s := harness.NewSite(t, edgecache.Config{}, counting())
		for i := range 3 {
			r := s.Get(path)
			harness.Want(t, r, "DYNAMIC", 200, fmt.Sprint(i+1))
			require.Equal(t, "edgecache; fwd=bypass; detail=excepted", r.Header.Get("Cache-Status"), path)
		}
		require.Equal(t, "DYNAMIC", s.Do("HEAD", path).Header.Get("X-Cache"), path)
		require.Zero(t, s.Edge.Stats().Entries, path)
		x := s.Edge.Explain(httptest.NewRequest("GET", path, nil))
		if x.Status != edgecache.Dynamic || x.Reason.String() != "excepted" {
			t.Errorf("%s: explained as %v, %v", path, x.Status, x.Reason)
		}
	}
	for _, path := range []string{"/", "/healthy", "/health/", "/metrics/a", "/metrics%2Fa", "/metrics/../x", "/debugging", "/a/metrics", "/-/", "/.well-known/x", "/a/..", "/Metrics"} {
		s := harness.NewSite(t, edgecache.Config{}, counting())
		s.Get(path)
		harness.Want(t, s.Get(path), "HIT", 200, "1")
	}
}

// The answer is passed on whole: nothing is taken off its request.
func requestsReachTheHandlerAsTheyCome(t *testing.T) {
	var seen http.Header
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) { seen = r.Header.Clone() })
	header := []string{"Range", "bytes=0-1", "If-None-Match", `"x"`, "Cache-Control", "no-cache"}
	s.Get("/metrics", header...)
	for i := 0; i < len(header); i += 2 {
		require.Equal(t, header[i+1], seen.Get(header[i]))
	}
}

func patternsChooseAsServeMuxDoes(t *testing.T) {
	for _, row := range []struct {
		name, method, target string
		except               []string
		excepted             bool
	}{
		{"nil has the defaults", "GET", "/healthz", nil, true},
		{"an empty slice has none", "GET", "/healthz", []string{}, false},
		{"a list takes the place of the defaults", "GET", "/healthz", []string{"/status"}, false},
		{"an exact path", "GET", "/status", []string{"/status"}, true},
		{"not what lies below", "GET", "/status/x", []string{"/status"}, false},
		{"a folder", "GET", "/internal/a/b", []string{"/internal/"}, true},
		{"a wildcard", "GET", "/tenant/7/health", []string{"/tenant/{id}/health"}, true},
		{"the rest of a path", "GET", "/x/y", []string{"/{rest...}"}, true},
		{"everything", "GET", "/x/y", []string{"/"}, true},
		{"the root only", "GET", "/", []string{"/{$}"}, true},
		{"the root only, elsewhere", "GET", "/x", []string{"/{$}"}, false},
		{"a host", "GET", "http://admin.example.com/x", []string{"admin.example.com/"}, true},
		{"with a port, in capitals", "GET", "http://ADMIN.example.com:8080/x", []string{"admin.example.com/"}, true},
		{"with a dot", "GET", "http://admin.example.com./x", []string{"admin.example.com/"}, true},
		{"with a dot and a port", "GET", "http://admin.example.com.:80/x", []string{"admin.example.com/"}, true},
		{"a pattern in capitals", "GET", "http://admin.example.com/x", []string{"Admin.Example.com./"}, true},
		{"an address", "GET", "http://[::1]/x", []string{"[::1]/"}, true},
		{"an address with a port", "GET", "http://[::1]:80/x", []string{"[::1]/"}, true},
		{"another host", "GET", "http://www.example.com/x", []string{"admin.example.com/"}, false},
		{"a method", "GET", "/x", []string{"GET /x"}, true},
		{"GET is HEAD, too", "HEAD", "/x", []string{"GET /x"}, true},
		{"another method", "GET", "/x", []string{"POST /x"}, false},
		{"an escaped slash is none", "GET", "/a%2Fb", []string{"/a/b"}, false},
		{"but one that is meant", "GET", "/a%2Fb", []string{"/a%2Fb"}, true},
	} {
		s := harness.NewSite(t, edgecache.Config{Except: row.except}, counting())
		for range 2 {
			got := s.Do(row.method, row.target).Header.Get("Cache-Status")
			if strings.Contains(got, "detail=excepted") != row.excepted {
				t.Errorf("%s: got %s", row.name, got)
			}
		}
	}
}

// GET and HEAD share what is stored, so a pattern for one of them is asked for a hit as well.
func aPatternMayBeForOneMethod(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{Except: []string{"HEAD /x"}}, counting())
	s.Get("/x")
	require.Equal(t, "HIT", s.Get("/x").Header.Get("X-Cache"))
	require.Equal(t, "DYNAMIC", s.Do("HEAD", "/x").Header.Get("X-Cache"))
}

func mistakesAreReported(t *testing.T) {
	_, err := edgecache.New(edgecache.Config{Except: []string{"/fine", "healthz", "/{", "", "/a/{x}", "/a/{y}", "/fine", "a.example:8080/", "get /x", "[::1]:80/"}})
	var fields []string
	for _, one := range err.(interface{ Unwrap() []error }).Unwrap() {
		var mistake *edgecache.ConfigError
		require.ErrorAs(t, one, &mistake)
		require.Contains(t, mistake.Reason, "want a pattern for http.ServeMux")
		require.NotContains(t, mistake.Reason, ".go:", "a place in this package")
		fields = append(fields, mistake.Field)
	}
	require.Equal(t, []string{"Except[1]", "Except[2]", "Except[3]", "Except[5]", "Except[6]", "Except[7]", "Except[8]", "Except[9]"}, fields)
}

// Patterns are about the URL that the client asked for, not about what is left of it behind the
// cache.
func patternsAreAboutTheURLThatTheClientAskedFor(t *testing.T) {
	edge, err := edgecache.New(edgecache.Config{})
	require.NoError(t, err)
	inner := counting()
	mux := http.NewServeMux()
	mux.Handle("/app/", http.StripPrefix("/app", inner))
	mux.Handle("/debug/", http.StripPrefix("/debug", edge.Handler(inner))) // the same Edge once more
	h := edge.Handler(mux)
	get := func(path string) string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Result().Header.Get("X-Cache")
	}
	get("/app/metrics")
	require.Equal(t, "HIT", get("/app/metrics"))
	get("/debug/page")
	require.Equal(t, "DYNAMIC", get("/debug/page"))
}

// RFC 9111, 4.4: what is excepted may change pages all the same.
func anUnsafeMethodInvalidatesAllTheSame(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			w.Header().Set("Location", "/page")
			w.Header().Set("Content-Location", "/debug/clear")
			edgecache.MaxAge(w, 1e12)
		}
	})
	s.Get("/page")
	require.Equal(t, "HIT", s.Get("/page").Header.Get("X-Cache"))
	require.Contains(t, s.Do("POST", "/debug/clear").Header.Get("Cache-Status"), "detail=excepted")
	require.Equal(t, "EXPIRED", s.Get("/page").Header.Get("X-Cache"), "what Location names is rendered again")
	require.Equal(t, "DYNAMIC", s.Get("/debug/clear").Header.Get("X-Cache"), "the answer to the POST is not stored for GET")
}

// Metrics are of the moment, wherever they are served and whatever lifetime they claim.
func metricsAreNotStored(t *testing.T) {
	for contentType, excepted := range map[string]bool{
		"text/plain; version=0.0.4":                                                                    true,
		"text/plain; version=0.0.4; charset=utf-8; escaping=values":                                    true,
		"Text/Plain;charset=utf-8;VERSION=\"1.0.0\"":                                                   true,
		"application/openmetrics-text; version=1.0.0; charset=utf-8":                                   true,
		"application/openmetrics-text":                                                                 true,
		"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited": true,
		"application/vnd.google.protobuf":                                                              false,
		"application/vnd.google.protobuf; proto=com.example.Page":                                      false,
		"text/plain":                false,
		"text/plain; charset=utf-8": false,
		"text/html; version=0.0.4":  false,
	} {
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			edgecache.Public(w)
			edgecache.MaxAge(w, 1e12)
		})
		s.Get("/stats")
		r := s.Get("/stats")
		if got := r.Header.Get("Cache-Status"); strings.HasSuffix(got, "; detail=excepted") != excepted {
			t.Errorf("%s: got %s", contentType, got)
		}
		if got := r.Header.Get("X-Cache"); got != map[bool]string{true: "DYNAMIC", false: "HIT"}[excepted] {
			t.Errorf("%s: got %s", contentType, got)
		}
	}
}

// A hit does not ask, and a miss asks without making anything.
func itAllocatesNothing(t *testing.T) {
	measure := func(cfg edgecache.Config, path func(int) string) float64 {
		s := harness.NewSite(t, cfg, func(w http.ResponseWriter, r *http.Request) {})
		i := 0
		requests := make([]*http.Request, 300)
		for i := range requests {
			requests[i] = httptest.NewRequest("GET", path(i), nil)
		}
		return testing.AllocsPerRun(200, func() {
			s.Handler.ServeHTTP(&harness.Sink{Fields: http.Header{}}, requests[i])
			i++
		})
	}
	for name, path := range map[string]func(int) string{
		"hits":   func(int) string { return "/page/1" },
		"misses": func(i int) string { return fmt.Sprint("/page/", i) },
	} {
		none, some := measure(edgecache.Config{Except: []string{}}, path), measure(edgecache.Config{}, path)
		if some > none {
			t.Errorf("%s: %v allocations, %v without Except", name, some, none)
		}
	}
}

// letters names the optional interfaces of a writer.
func letters(w http.ResponseWriter) string {
	var s []string
	for name, has := range map[string]bool{
		"Flusher": implements[http.Flusher](w), "Hijacker": implements[http.Hijacker](w), "Pusher": implements[http.Pusher](w),
		"ReaderFrom": implements[io.ReaderFrom](w), "StringWriter": implements[io.StringWriter](w),
		"CloseNotifier": implements[interface{ CloseNotify() <-chan bool }](w),
	} {
		if has {
			s = append(s, name)
		}
	}
	slices.Sort(s)
	return strings.Join(s, " ")
}

func implements[T any](v any) bool { _, ok := v.(T); return ok }

func theyKeepTheServersWriter(t *testing.T) {
	decorate := func(h http.Handler) http.Handler {
		nothing := edgecache.AfterRequest(func(*http.Request, int, http.Header) {})
		return edgecache.Policy{Public: true}.Handler(edgecache.Routes(map[string]edgecache.Policy{"/": {Immutable: true}})(nothing(edgecache.Policy{MaxAge: time.Minute}.Handler(h))))
	}
	for _, tt := range []struct {
		two  bool
		want string
	}{
		{false, "CloseNotifier Flusher Hijacker ReaderFrom StringWriter"},
		{true, "CloseNotifier Flusher Pusher ReaderFrom StringWriter"}, // ReadFrom is always there, see record.Shape
	} {
		var got string
		var controls []error
		srv := httptest.NewUnstartedServer(decorate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = letters(w)
			rc := http.NewResponseController(w)
			later := time.Now().Add(time.Hour)
			controls = []error{rc.SetReadDeadline(later), rc.SetWriteDeadline(later), rc.EnableFullDuplex(), rc.Flush()}
		})))
		srv.EnableHTTP2 = tt.two
		srv.StartTLS()
		resp, err := srv.Client().Get(srv.URL)
		require.NoError(t, err)
		resp.Body.Close()
		srv.Close()
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", resp.Proto, got, tt.want)
		}
		for i, err := range controls {
			if err != nil {
				t.Errorf("%s: control %d: %v", resp.Proto, i, err)
			}
		}
		if got, want := resp.Header.Get("Cache-Control"), "max-age=60, immutable, public"; got != want {
			t.Errorf("%s: got %q, want %q", resp.Proto, got, want)
		}
	}
}

func theyStreamEvents(t *testing.T) {
	for _, two := range []bool{false, true} {
		next := make(chan string)
		srv := httptest.NewUnstartedServer(edgecache.Policy{NoCache: true}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for event := range next {
				_, _ = fmt.Fprintf(w, "data: %s\n\n", event)
				w.(http.Flusher).Flush()
			}
		})))
		srv.EnableHTTP2 = two
		srv.StartTLS()
		next2 := make(chan struct{})
		go func() { next <- "one"; close(next2) }()
		resp, err := srv.Client().Get(srv.URL)
		require.NoError(t, err)
		<-next2
		lines := bufio.NewScanner(resp.Body)
		for _, want := range []string{"one", "two", "three"} {
			if want != "one" {
				next <- want // only now: what came before was read while the handler waits here
			}
			require.True(t, lines.Scan(), "the stream ended")
			if got := lines.Text(); got != "data: "+want {
				t.Errorf("%s: got %q, want %q", resp.Proto, got, want)
			}
			lines.Scan()
		}
		close(next)
		if lines.Scan() {
			t.Errorf("%s: more than was sent: %q", resp.Proto, lines.Text())
		}
		resp.Body.Close()
		srv.Close()
		if got := resp.Header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("%s: got %q", resp.Proto, got)
		}
	}
}

func theyLetAConnectionBeHijacked(t *testing.T) {
	called := false
	srv := httptest.NewServer(edgecache.AfterRequest(func(*http.Request, int, http.Header) { called = true })(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "hello\n")
	})))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	got, err := io.ReadAll(conn)
	require.NoError(t, err)
	if string(got) != "hello\n" || called {
		t.Errorf("got %q, hook called %v", got, called)
	}
}
