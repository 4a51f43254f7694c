package edgecache_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestEvents(t *testing.T) {
	t.Run("an observer hears of each decision once", anObserverHearsOfEachDecisionOnce)
	t.Run("an event names the route and the key", anEventNamesTheRouteAndTheKey)
	t.Run("an observer that panics harms no request", anObserverThatPanicsHarmsNoRequest)
	t.Run("an observer does not make hits allocate", anObserverDoesNotMakeHitsAllocate)
	t.Run("an observer hears of incomplete pages", anObserverHearsOfIncompletePages)
	t.Run("Stats count each response", statsCountEachResponse)
	t.Run("Explain tells without doing", explainTellsWithoutDoing)
	t.Run("the purge handler tells what it did", thePurgeHandlerTellsWhatItDid)
}

func TestClose(t *testing.T) {
	t.Run("it waits for background work", itWaitsForBackgroundWork)
	t.Run("it cancels what takes too long", itCancelsWhatTakesTooLong)
}

func TestWarnings(t *testing.T) {
	t.Run("a warning reaches the observer", aWarningReachesTheObserver)
	t.Run("a warning is logged once for each route and cause", aWarningIsLoggedOnceForEachRouteAndCause)
	t.Run("a warning reaches the program's log by default", aWarningReachesTheProgramsLogByDefault)
}

// events collects what an observer is told.
type events struct {
	mu  sync.Mutex
	all []edgecache.Event
}

func (e *events) observe(ev edgecache.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev)
}

// take returns what has come since the last call, as "kind status reason".
func (e *events) take() (texts []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.all {
		texts = append(texts, strings.Join(strings.Fields(fmt.Sprint(ev.Kind, " ", ev.Status, " ", ev.Reason)), " "))
	}
	e.all = nil
	return texts
}

func anObserverHearsOfEachDecisionOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen events
		mux := http.NewServeMux()
		broken := false
		mux.HandleFunc("GET /page/{id}", func(w http.ResponseWriter, r *http.Request) {
			if broken {
				panic("broken")
			}
			edgecache.MaxAge(w, time.Minute)
			edgecache.StaleWhileRevalidate(w, time.Minute)
			edgecache.StaleIfError(w, time.Hour)
			fmt.Fprint(w, "page")
		})
		mux.HandleFunc("GET /private", func(w http.ResponseWriter, r *http.Request) { edgecache.NoStore(w); w.WriteHeader(200) })
		mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {})
		mux.HandleFunc("GET /contradiction", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "s-maxage=60, stale-while-revalidate=60")
			w.WriteHeader(200)
		})
		var logged bytes.Buffer
		edge, err := edgecache.New(edgecache.Config{Observer: seen.observe, Logger: slog.New(slog.NewTextHandler(&logged, nil)), HonorRequestDirectives: true})
		require.NoError(t, err)
		s := &harness.Site{T: t, Edge: edge, Handler: edge.Handler(mux)}

		check := func(want ...string) {
			t.Helper()
			synctest.Wait()
			require.Equal(t, want, seen.take())
		}
		s.Get("/page/1")
		check("answered MISS uri-miss")
		s.Get("/page/1")
		check("answered HIT")
		s.Get("/private")
		check("answered BYPASS no-store")
		s.Do("POST", "/")
		check("answered DYNAMIC method")
		s.Get("/page/1", "Cookie", "session=1")
		check("answered DYNAMIC cookie")
		s.Get("/contradiction")
		check("warned", "answered MISS uri-miss")
		time.Sleep(61 * time.Second)
		s.Get("/page/1")
		synctest.Wait() // the client and the refresh go on side by side
		require.ElementsMatch(t, []string{"answered UPDATING stale-while-revalidate", "refreshed EXPIRED stale-while-revalidate"}, seen.take())
		broken = true
		time.Sleep(3 * time.Minute)
		s.Get("/page/1")
		check("failed aborted", "answered STALE stale-if-error")
		require.Contains(t, logged.String(), "broken")
		s.Get("/none", "Cache-Control", "only-if-cached")
		check("answered MISS only-if-cached")
		_, err = edge.PurgeAll(t.Context())
		require.NoError(t, err)
		check("purged")
	})
}

func anEventNamesTheRouteAndTheKey(t *testing.T) {
	var seen events
	mux := http.NewServeMux()
	mux.HandleFunc("GET /page/{id}", func(w http.ResponseWriter, r *http.Request) {})
	edge, err := edgecache.New(edgecache.Config{Observer: seen.observe})
	require.NoError(t, err)
	s := &harness.Site{T: t, Edge: edge, Handler: edge.Handler(mux)}
	for range 2 {
		s.Get("https://example.com/page/7?a=b")
		require.Len(t, seen.all, 1)
		require.Equal(t, "GET /page/{id}", seen.all[0].Pattern)
		require.Equal(t, "https://example.com/page/7?a=b", seen.all[0].Key())
		seen.take()
	}
}

func anObserverThatPanicsHarmsNoRequest(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{Observer: func(edgecache.Event) { panic("observer") }, Logger: slog.New(slog.DiscardHandler)},
		func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") })
	harness.Want(t, s.Get("/"), "MISS", 200, "page")
	harness.Want(t, s.Get("/"), "HIT", 200, "page")
}

func anObserverDoesNotMakeHitsAllocate(t *testing.T) {
	r := harness.BrowserRequest("https://example.com/page")
	measure := func(cfg edgecache.Config) float64 {
		edge, err := edgecache.New(cfg)
		require.NoError(t, err)
		h := edge.Handler(harness.Page([]byte("page")))
		w := harness.NewSink()
		h.ServeHTTP(w, r)
		return testing.AllocsPerRun(1000, func() {
			w.Reset()
			h.ServeHTTP(w, r)
		})
	}
	var last edgecache.Event
	plain, observed := measure(edgecache.Config{}), measure(edgecache.Config{Observer: func(ev edgecache.Event) { last = ev }})
	require.Equal(t, edgecache.Hit, last.Status)
	if observed > plain {
		t.Errorf("allocations of an observed hit: got %v, want at most %v", observed, plain)
	}
}

func statsCountEachResponse(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/private" {
			edgecache.Private(w)
		}
		fmt.Fprint(w, "page")
	})
	for range 3 {
		s.Get("/page")
		s.Get("/private")
		s.Do("POST", "/post")
	}
	_, err := s.Edge.Purge(t.Context(), "/other")
	require.NoError(t, err)
	got := s.Edge.Stats()
	require.Equal(t, uint64(9), got.Requests)
	require.Equal(t, []uint64{2, 1, 3, 3, 1}, []uint64{got.Hits, got.Misses, got.Bypassed, got.Dynamic, got.Purges})
	require.Equal(t, 1, got.Entries)
	require.Equal(t, 1, got.URLs) // what is known of /private takes nothing from MaxBytes
	require.Positive(t, got.Bytes)
	require.Equal(t, int64(edgecache.DefaultMaxBytes), got.MaxBytes)
	require.Zero(t, got.Fetches)
}

func explainTellsWithoutDoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewSite(t, edgecache.Config{HonorRequestDirectives: true}, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/private" {
				edgecache.Private(w)
				return
			}
			edgecache.MaxAge(w, time.Minute)
			edgecache.Vary(w, "Accept-Language")
			edgecache.Tag(w, "a", "b")
			fmt.Fprint(w, "page")
		})
		explain := func(method, target string, header ...string) edgecache.Explanation {
			r := httptest.NewRequest(method, target, nil)
			for i := 0; i < len(header); i += 2 {
				r.Header.Set(header[i], header[i+1])
			}
			return s.Edge.Explain(r)
		}
		check := func(x edgecache.Explanation, status edgecache.Status, reason string) {
			t.Helper()
			if x.Status != status || x.Reason.String() != reason {
				t.Errorf("got %v (%v), want %v (%v)", x.Status, x.Reason, status, reason)
			}
		}
		check(explain("GET", "/page"), edgecache.Miss, "uri-miss")
		check(explain("POST", "/page"), edgecache.Dynamic, "method")
		require.Zero(t, s.Calls())
		require.Zero(t, s.Edge.Stats().Requests)
		s.Get("/page", "Accept-Language", "de")
		s.Get("/private")
		time.Sleep(10 * time.Second)
		x := explain("GET", "/page", "Accept-Language", "de")
		check(x, edgecache.Hit, "")
		require.Equal(t, edgecache.Explanation{
			Key: "http://example.com/page", Status: edgecache.Hit, Variants: 1, Vary: []string{"Accept-Language"}, Tags: []string{"a", "b"},
			Age: 10 * time.Second, Lifetime: time.Minute,
		}, x)
		check(explain("GET", "/page", "Accept-Language", "fr"), edgecache.Miss, "vary-miss")
		check(explain("GET", "/page", "Accept-Language", "de", "Cookie", "session=1"), edgecache.Dynamic, "cookie")
		check(explain("GET", "/page", "Accept-Language", "de", "Cache-Control", "no-cache"), edgecache.Expired, "request-no-cache")
		check(explain("GET", "/private"), edgecache.Miss, "private")
		time.Sleep(time.Minute)
		check(explain("GET", "/page", "Accept-Language", "de"), edgecache.Expired, "stale")
	})
}

func thePurgeHandlerTellsWhatItDid(t *testing.T) {
	edge, err := edgecache.New(edgecache.Config{})
	require.NoError(t, err)
	_, err = edge.PurgeHandler(nil)
	require.ErrorContains(t, err, "authorizes")
	purge, err := edge.PurgeHandler(func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer secret" })
	require.NoError(t, err)
	site := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edgecache.Tag(w, "all")
		fmt.Fprint(w, r.URL.Path)
	}))
	const json = "application/json"
	tests := []struct {
		name, method, target, contentType, body string
		anonymous                               bool
		status                                  int
		answer                                  string
		left                                    int // of four stored pages
	}{
		{name: "PURGE removes its URL", method: "PURGE", target: "http://example.com/a", status: 200, answer: `"purged":1`, left: 3},
		{name: "files", method: "POST", contentType: json, body: `{"files":["http://example.com/a","/b/1"]}`, status: 200, answer: `"purged":2`, left: 2},
		{name: "tags", method: "POST", contentType: json, body: `{"tags":["all"]}`, status: 200, answer: `"purged":4`},
		{name: "prefixes", method: "POST", contentType: json + "; charset=utf-8", body: `{"prefixes":["/b/"]}`, status: 200, answer: `"purged":2`, left: 2},
		{name: "everything", method: "POST", contentType: json, body: `{"purge_everything":true}`, status: 200, answer: `"purged":4`},
		{name: "soft", method: "POST", contentType: json, body: `{"tags":["all"],"soft":true}`, status: 200, answer: `"purged":4`},
		{name: "who is not authorized purges nothing", method: "POST", contentType: json, body: `{"purge_everything":true}`, anonymous: true, status: 403, answer: "not allowed", left: 4},
		{name: "nothing asked for is a mistake", method: "POST", contentType: json, body: `{}`, status: 400, answer: "want one of", left: 4},
		{name: "a misspelled key is a mistake", method: "POST", contentType: json, body: `{"file":["/a"]}`, status: 400, answer: `unknown field \"file\": want one JSON object with \"files\"`, left: 4},
		{name: "a string in place of a list is a mistake", method: "POST", contentType: json, body: `{"files":"/a"}`, status: 400, answer: `"error":"unexpected string in \"files\": want one JSON object with \"files\", \"tags\", \"prefixes\" (lists of strings)`, left: 4},
		{name: "a number in a list is a mistake", method: "POST", contentType: json, body: `{"tags":[42]}`, status: 400, answer: `"error":"unexpected number in \"tags\": want`, left: 4},
		{name: "a list in place of an object is a mistake", method: "POST", contentType: json, body: `["/a"]`, status: 400, answer: `"error":"unexpected array: want one JSON object`, left: 4},
		{name: "no body is a mistake", method: "POST", contentType: json, status: 400, answer: "EOF: want one JSON object", left: 4},
		{name: "no JSON is a mistake", method: "POST", contentType: json, body: `files=/a`, status: 400, answer: "invalid", left: 4},
		{name: "two objects are a mistake", method: "POST", contentType: json, body: `{"files":["/a"]}{}`, status: 400, answer: "one JSON object", left: 4},
		{name: "one bad URL and nothing is purged", method: "POST", contentType: json, body: `{"files":["/a","nowhere"]}`, status: 400, answer: "nowhere", left: 4},
		{name: "an empty tag and nothing is purged", method: "POST", contentType: json, body: `{"files":["/a"],"tags":["all",""]}`, status: 400, answer: "at least one byte", left: 4},
		{name: "a form is not taken, so that no other site can send one", method: "POST", contentType: "text/plain", body: `{"purge_everything":true}`, status: 415, answer: "application/json", left: 4},
		{name: "GET purges nothing", method: "GET", status: 405, answer: "PURGE", left: 4},
		{name: "a body over the limit is refused", method: "POST", contentType: json, body: `{"tags":["` + strings.Repeat("x", 1<<20) + `"]}`, status: 413, answer: "too large", left: 4},
	}
	paths := []string{"/a", "/b/1", "/b/2", "/c"}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := edge.PurgeAll(t.Context())
			require.NoError(t, err)
			for _, p := range paths {
				site.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "http://example.com"+p, nil))
			}
			target := tt.target
			if target == "" {
				target = "http://example.com/purge"
			}
			r := httptest.NewRequest(tt.method, target, strings.NewReader(tt.body))
			r.Header.Set("Content-Type", tt.contentType)
			if !tt.anonymous {
				r.Header.Set("Authorization", "Bearer secret")
			}
			w := httptest.NewRecorder()
			purge.ServeHTTP(w, r)
			require.Equal(t, tt.status, w.Code)
			require.Contains(t, w.Body.String(), tt.answer)
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			left := 0
			for _, p := range paths {
				if x := edge.Explain(httptest.NewRequest("GET", "http://example.com"+p, nil)); x.Status == edgecache.Hit {
					left++
				}
			}
			require.Equal(t, tt.left, left)
		})
	}
}

func itWaitsForBackgroundWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		held := false
		var cause error
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			edgecache.MaxAge(w, time.Second)
			edgecache.StaleWhileRevalidate(w, time.Hour)
			if held {
				select {
				case <-hold:
				case <-r.Context().Done():
					cause = r.Context().Err()
				}
			}
			fmt.Fprint(w, "page")
		})
		s.Get("/")
		time.Sleep(2 * time.Second)
		held = true
		harness.Want(t, s.Get("/"), "UPDATING", 200, "page")
		closed := make(chan error, 1)
		go func() { closed <- s.Edge.Close(t.Context()) }()
		synctest.Wait()
		require.Empty(t, closed, "Close must wait for the refresh")
		close(hold)
		require.NoError(t, <-closed)
		held = false
		time.Sleep(2 * time.Second)
		harness.Want(t, s.Get("/"), "EXPIRED", 200, "page") // nothing in the background any more
		require.NoError(t, s.Edge.Close(t.Context()))
		require.NoError(t, cause)
	})
}

func itCancelsWhatTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held, cancelled := false, false
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			edgecache.MaxAge(w, time.Second)
			edgecache.StaleWhileRevalidate(w, time.Hour)
			if held {
				<-r.Context().Done()
				cancelled = true
			}
		})
		s.Get("/")
		time.Sleep(2 * time.Second)
		held = true
		s.Get("/")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := s.Edge.Close(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		require.True(t, cancelled)
	})
}

func anObserverHearsOfIncompletePages(t *testing.T) {
	var seen events
	s := harness.NewSite(t, edgecache.Config{Observer: seen.observe}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		fmt.Fprint(w, "half")
	})
	s.Get("/")
	require.Equal(t, []string{"failed incomplete", "answered MISS uri-miss", "unkept incomplete"}, seen.take())
}

// What a handler cannot mean reaches the observer, and a restriction that comes too late still
// keeps the page from the next visitor.
func aWarningReachesTheObserver(t *testing.T) {
	write := func(w http.ResponseWriter) { fmt.Fprint(w, "page") }
	for _, row := range []struct {
		name    string
		handler http.HandlerFunc
		warning string // "" is none
		kept    bool
	}{
		{"nothing odd", func(w http.ResponseWriter, _ *http.Request) {
			edgecache.MaxAge(w, time.Minute)
			write(w)
		}, "", true},
		{"NoStore after the first byte", func(w http.ResponseWriter, _ *http.Request) {
			write(w)
			edgecache.NoStore(w)
		}, "after the first byte", false},
		{"Private after the first byte", func(w http.ResponseWriter, _ *http.Request) {
			edgecache.MaxAge(w, time.Minute)
			write(w)
			edgecache.Private(w)
		}, "after the first byte", false},
		{"NoCache after the first byte", func(w http.ResponseWriter, _ *http.Request) {
			write(w)
			edgecache.NoCache(w)
		}, "after the first byte", false},
		{"NoStore after WriteHeader", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			edgecache.NoStore(w)
			write(w)
		}, "after the first byte", false},
		{"a lifetime after the first byte", func(w http.ResponseWriter, _ *http.Request) {
			write(w)
			edgecache.MaxAge(w, time.Minute)
		}, "after the first byte", true},
		{"another field after the first byte", func(w http.ResponseWriter, _ *http.Request) {
			write(w)
			w.Header().Set("X-Trace", "1")
		}, "", true},
		{"NoStore in time, and once more", func(w http.ResponseWriter, _ *http.Request) {
			edgecache.NoStore(w)
			write(w)
			edgecache.NoStore(w)
		}, "", false},
		{"MaxAge in seconds that are nanoseconds", func(w http.ResponseWriter, _ *http.Request) {
			edgecache.MaxAge(w, 60)
			write(w)
		}, "60*time.Second", false},
		{"CacheFor in seconds that are nanoseconds", func(w http.ResponseWriter, _ *http.Request) {
			edgecache.CacheFor(w, 3600)
			write(w)
		}, "3600*time.Second", false},
		{"a window in seconds that are nanoseconds", func(w http.ResponseWriter, _ *http.Request) {
			edgecache.MaxAge(w, time.Minute)
			edgecache.StaleIfError(w, 30)
			write(w)
		}, "30*time.Second", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			var warnings []string
			s := harness.NewSite(t, edgecache.Config{Logger: harness.Silent(), Observer: func(ev edgecache.Event) {
				if ev.Kind == edgecache.Warned {
					warnings = append(warnings, ev.Err.Error())
				}
			}}, row.handler)
			require.Equal(t, 200, s.Get("/").StatusCode)
			if row.warning == "" && len(warnings) > 0 || row.warning != "" && (len(warnings) != 1 || !strings.Contains(warnings[0], row.warning)) {
				t.Errorf("got warnings %q, want one of %q", warnings, row.warning)
			}
			if kept := s.Get("/").Header.Get("X-Cache") == "HIT"; kept != row.kept {
				t.Errorf("kept %v, want %v", kept, row.kept)
			}
		})
	}
}

// Who has no observer reads of it in the log, once for each route and cause.
func aWarningIsLoggedOnceForEachRouteAndCause(t *testing.T) {
	var log bytes.Buffer
	logged := func(t *testing.T) (lines []string) {
		t.Helper()
		for line := range strings.Lines(log.String()) {
			require.Contains(t, line, "level=WARN")
			require.NotContains(t, line, "secret", "no query")
			lines = append(lines, line)
		}
		log.Reset()
		return lines
	}
	edge, err := edgecache.New(edgecache.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	runs := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/news/{id}", func(w http.ResponseWriter, r *http.Request) {
		runs++
		edgecache.MaxAge(w, time.Duration(runs)) // another number each time
		fmt.Fprint(w, "page")
	})
	mux.HandleFunc("/late/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "page")
		edgecache.NoStore(w)
	})
	mux.HandleFunc("/half/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "page")
		http.Error(w, "oh no", http.StatusInternalServerError)
	})
	mux.HandleFunc("/forbidden/{id}", func(w http.ResponseWriter, r *http.Request) {
		edgecache.SharedMaxAge(w, time.Minute)
		edgecache.StaleIfError(w, time.Minute)
		fmt.Fprint(w, "page")
	})
	site := edge.Handler(mux)
	for route, text := range map[string]string{"news": "nanoseconds", "late": "after the first byte", "half": "500", "forbidden": "s-maxage"} {
		for i := range 5 {
			site.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprintf("/%s/%d?token=secret", route, i), nil))
		}
		lines := logged(t)
		require.Len(t, lines, 1, route)
		require.Contains(t, lines[0], text)
		require.Contains(t, lines[0], "route=/"+route+"/{id}")
	}

	// With routers that tell no pattern the beginning of the path is one.
	plain := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edgecache.MaxAge(w, 60)
		fmt.Fprint(w, "page")
	}))
	for _, path := range []string{"/a/1", "/a/2", "/b/1", "/1", "/2"} {
		plain.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	require.Len(t, logged(t), 3)

	// The pattern of a mux outside of the cache that takes the whole site tells no more than none.
	for _, pattern := range []string{"/", "GET /", "example.com/", "/{all...}", "GET example.com/{rest...}"} {
		edge, err := edgecache.New(edgecache.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, err)
		outer := http.NewServeMux()
		outer.Handle(pattern, edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			edgecache.MaxAge(w, 60)
			fmt.Fprint(w, "page")
		})))
		for _, path := range []string{"/a/1", "/a/2", "/b/1"} {
			outer.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		}
		require.Len(t, logged(t), 2, pattern)
	}
}

// Without a Logger it is that of the program, which New takes once.
func aWarningReachesTheProgramsLogByDefault(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edgecache.MaxAge(w, 60)
		fmt.Fprint(w, "page")
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	require.Contains(t, log.String(), "nanoseconds")
}
