package engine_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

func TestSilentHandler(t *testing.T) {
	t.Run("it is answered as without the cache", itIsAnsweredAsWithoutTheCache)
	t.Run("a policy holds for a handler that returns an error", aPolicyHoldsForAHandlerThatReturnsAnError)
	t.Run("restrictions hold for a handler that returns an error", restrictionsHoldForAHandlerThatReturnsAnError)
	t.Run("an empty response is meant where nothing stands outside", anEmptyResponseIsMeantWhereNothingStandsOutside)
	t.Run("AfterRequest sees a handler that returns an error", afterRequestSeesAHandlerThatReturnsAnError)
	t.Run("a personal page that is written late is private", aPersonalPageThatIsWrittenLateIsPrivate)
	t.Run("an unsafe request marks what it may have changed (RFC 9111, 4.4)", anUnsafeRequestMarksWhatItMayHaveChanged)
}

// A framework whose handlers return errors writes the answer after the cache's handler has
// returned: to the writer that its handler got, as echo and PocketBase do, or to its own.
type framework struct {
	edge   *edgecache.Edge
	handle func(w http.ResponseWriter, r *http.Request) error
	onOwn  bool // errors are written to the framework's own writer
	runs   int
}

func (f *framework) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var err error
	last := w
	f.edge.Handler(http.HandlerFunc(func(inner http.ResponseWriter, r *http.Request) {
		f.runs++
		last = inner
		err = f.handle(inner, r)
	})).ServeHTTP(w, r)
	if err == nil {
		return
	}
	if f.onOwn {
		last = w
	}
	last.Header().Set("X-Error", "yes")
	http.Error(last, err.Error(), http.StatusForbidden)
}

func itIsAnsweredAsWithoutTheCache(t *testing.T) {
	forbidden := func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("X-Handler", "ran")
		return errors.New("forbidden")
	}
	for _, onOwn := range []bool{false, true} {
		name := "an error that is written after the handler returned reaches the client, to the handler's writer"
		if onOwn {
			name = "an error that is written after the handler returned reaches the client, to the framework's own writer"
		}
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{"GET", "HEAD", "POST"} {
				for _, cookie := range []string{"", "session=1"} {
					f := &framework{edge: emptyEdge(t), handle: forbidden, onOwn: onOwn}
					for i := range 2 {
						r := httptest.NewRequest(method, "/", nil)
						if cookie != "" {
							r.Header.Set("Cookie", cookie)
						}
						w := httptest.NewRecorder()
						f.ServeHTTP(w, r)
						require.Equal(t, http.StatusForbidden, w.Code)
						require.Equal(t, "forbidden\n", w.Body.String())
						require.Equal(t, "yes", w.Header().Get("X-Error"))
						require.Equal(t, "ran", w.Header().Get("X-Handler"))
						require.Contains(t, []string{"BYPASS", "DYNAMIC", "MISS"}, w.Header().Get("X-Cache"))
						require.Len(t, w.Header()["X-Cache"], 1)
						require.Len(t, w.Header()["Cache-Status"], 1)
						require.Equal(t, i+1, f.runs)
					}
					require.Zero(t, f.edge.Stats().Entries)
				}
			}
		})
	}

	t.Run("nothing is sent, and nothing stored, if nobody writes", func(t *testing.T) {
		f := &framework{edge: emptyEdge(t), handle: func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("X-Handler", "ran")
			return nil
		}}
		for range 2 {
			w := &countingWriter{header: http.Header{}}
			f.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			assert.Zero(t, w.calls)
			assert.Equal(t, "ran", w.header.Get("X-Handler"))
			assert.Equal(t, "BYPASS", w.header.Get("X-Cache"))
			assert.Contains(t, w.header.Get("Cache-Status"), "detail=unwritten")
		}
		assert.Equal(t, 2, f.runs)
	})

	t.Run("an empty 200 is stored if the handler said so", func(t *testing.T) {
		f := &framework{edge: emptyEdge(t), handle: func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusOK)
			return nil
		}}
		for _, want := range []string{"MISS", "HIT"} {
			w := httptest.NewRecorder()
			f.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			assert.Equal(t, want, w.Header().Get("X-Cache"))
		}
	})

	t.Run("an empty 200 is stored if the cache is the server's own handler", func(t *testing.T) {
		s := httptest.NewServer(edgecache.Cache(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
		defer s.Close()
		for _, want := range []string{"MISS", "HIT"} {
			res, err := http.Get(s.URL)
			require.NoError(t, err)
			res.Body.Close()
			assert.Equal(t, want, res.Header.Get("X-Cache"))
		}
	})

	t.Run("what is stored stays when its handler writes nothing", func(t *testing.T) {
		written := true
		f := &framework{edge: emptyEdge(t), handle: func(w http.ResponseWriter, _ *http.Request) error {
			if !written {
				return errors.New("forbidden")
			}
			w.Header().Set("Cache-Control", "no-cache")
			w.Header().Set("ETag", `"1"`)
			_, _ = io.WriteString(w, "page")
			return nil
		}}
		f.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		require.Equal(t, 1, f.edge.Stats().Entries)
		written = false
		w := httptest.NewRecorder()
		f.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		require.Equal(t, http.StatusForbidden, w.Code)
		assert.Equal(t, 1, f.edge.Stats().Entries)
	})

	t.Run("a POST that fails late costs no page, one that succeeds by silence does not leave it fresh", func(t *testing.T) {
		var fails error
		f := &framework{edge: emptyEdge(t), handle: func(w http.ResponseWriter, r *http.Request) error {
			if r.Method == "POST" {
				return fails
			}
			w.Header().Set("Cache-Control", "max-age=60, stale-if-error=60")
			_, _ = io.WriteString(w, "page")
			return nil
		}}
		ask := func(method string) string {
			w := httptest.NewRecorder()
			f.ServeHTTP(w, httptest.NewRequest(method, "/", nil))
			return w.Header().Get("X-Cache")
		}
		ask("GET")
		require.Equal(t, "HIT", ask("GET"))
		fails = errors.New("forbidden")
		ask("POST")
		assert.Equal(t, 1, f.edge.Stats().Entries)
		ask("GET")
		require.Equal(t, "HIT", ask("GET"))
		fails = nil
		ask("POST")
		assert.NotEqual(t, "HIT", ask("GET"))
	})
}

// countingWriter counts what is written to it.
type countingWriter struct {
	header http.Header
	calls  int
}

func (w *countingWriter) Header() http.Header         { return w.header }
func (w *countingWriter) WriteHeader(int)             { w.calls++ }
func (w *countingWriter) Write(p []byte) (int, error) { w.calls++; return len(p), nil }

func emptyEdge(t *testing.T) *edgecache.Edge {
	t.Helper()
	edge, err := edgecache.New(edgecache.Config{})
	require.NoError(t, err)
	return edge
}

// lateErrors is what a framework is whose handlers return errors: decorate stands around the
// handler, and the error is written when that has returned, to the writer that the handler got or,
// if onOwn, to the framework's.
type lateErrors struct {
	decorate func(http.Handler) http.Handler
	handle   func(w http.ResponseWriter, r *http.Request) error
	onOwn    bool
}

func (l lateErrors) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var err error
	last := w
	l.decorate(http.HandlerFunc(func(inner http.ResponseWriter, r *http.Request) {
		last = inner
		err = l.handle(inner, r)
	})).ServeHTTP(w, r)
	if err == nil {
		return
	}
	if l.onOwn {
		last = w
	}
	last.WriteHeader(http.StatusForbidden)
	fmt.Fprint(last, err)
}

func around2(outer, inner func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler { return outer(inner(next)) }
}

func aPolicyHoldsForAHandlerThatReturnsAnError(t *testing.T) {
	policy := edgecache.Policy{MaxAge: time.Hour, Immutable: true, Vary: []string{"Accept"}, Tags: []string{"a"}}
	for name, decorate := range map[string]func(e *edgecache.Edge) func(http.Handler) http.Handler{
		"alone":          func(*edgecache.Edge) func(http.Handler) http.Handler { return policy.Handler },
		"the whole site": func(*edgecache.Edge) func(http.Handler) http.Handler { return policy.Handler },
		"by route": func(*edgecache.Edge) func(http.Handler) http.Handler {
			return edgecache.Routes(map[string]edgecache.Policy{"/": policy})
		},
		"inside of the cache":  func(e *edgecache.Edge) func(http.Handler) http.Handler { return around2(e.Handler, policy.Handler) },
		"outside of the cache": func(e *edgecache.Edge) func(http.Handler) http.Handler { return around2(policy.Handler, e.Handler) },
		"around another": func(*edgecache.Edge) func(http.Handler) http.Handler {
			return around2(policy.Handler, edgecache.Policy{StaleIfError: time.Hour}.Handler)
		},
		"around a hook that does nothing": func(*edgecache.Edge) func(http.Handler) http.Handler {
			return around2(policy.Handler, edgecache.AfterRequest(func(*http.Request, int, http.Header) {}))
		},
	} {
		for _, onOwn := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", written to the framework's own writer: ", onOwn), func(t *testing.T) {
				edge := emptyEdge(t)
				server := httptest.NewServer(lateErrors{decorate(edge), func(w http.ResponseWriter, r *http.Request) error {
					if r.URL.Path == "/fails" {
						return errors.New("forbidden")
					}
					fmt.Fprint(w, "page")
					return nil
				}, onOwn})
				defer server.Close()
				for range 2 {
					a := answerTo(t, server, "GET", "/fails", nil)
					require.Equal(t, 403, a.StatusCode)
					assert.Equal(t, "forbidden", a.text)
					assert.Empty(t, a.Header.Get("Cache-Control"), "an error page gets no lifetime")
					assert.Equal(t, []string{"Accept"}, a.Header["Vary"])
					assert.Equal(t, []string{`"a"`}, a.Header["Cache-Groups"])
					assert.NotEqual(t, "HIT", a.Header.Get("X-Cache"))
				}
				assert.Contains(t, answerTo(t, server, "GET", "/", nil).Header.Get("Cache-Control"), "max-age=3600")
			})
		}
	}
}

func restrictionsHoldForAHandlerThatReturnsAnError(t *testing.T) {
	for _, onOwn := range []bool{false, true} {
		server := httptest.NewServer(lateErrors{edgecache.Policy{NoStore: true}.Handler, func(http.ResponseWriter, *http.Request) error { return errors.New("no") }, onOwn})
		assert.Equal(t, "no-store", answerTo(t, server, "GET", "/", nil).Header.Get("Cache-Control"))
		server.Close()
	}
}

// Where nothing stands outside, an empty answer is what the handler meant.
func anEmptyResponseIsMeantWhereNothingStandsOutside(t *testing.T) {
	silent := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	policy := edgecache.Policy{MaxAge: time.Hour}
	for name, h := range map[string]http.Handler{
		"a policy":  policy.Handler(silent),
		"by routes": edgecache.Routes(map[string]edgecache.Policy{"/": policy})(silent),
	} {
		server := httptest.NewServer(h)
		assert.Equal(t, "max-age=3600", answerTo(t, server, "GET", "/", nil).Header.Get("Cache-Control"), name)
		server.Close()
	}
}

func afterRequestSeesAHandlerThatReturnsAnError(t *testing.T) {
	var statuses []int
	hook := func(_ *http.Request, status int, h http.Header) {
		statuses = append(statuses, status)
		h.Set("X-Status", fmt.Sprint(status))
		h.Set("X-Handler", "changed")
		h.Add("X-List", "hook")
		h.Set("X-Shared", "hook")
		h.Del("X-Removed")
		if status == 200 {
			h.Set("X-Success", "yes")
		}
	}
	server := httptest.NewServer(lateErrors{edgecache.AfterRequest(hook), func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("X-Handler", "said")
		w.Header().Set("X-List", "handler")
		w.Header().Set("X-Removed", "by the hook")
		return errors.New("no")
	}, false})
	defer server.Close()
	h := answerTo(t, server, "GET", "/", nil).Header
	assert.Equal(t, []int{200, 403}, statuses)
	assert.Equal(t, "403", h.Get("X-Status"))
	assert.Equal(t, []string{"handler", "hook"}, h["X-List"], "not twice")
	assert.Empty(t, h.Get("X-Success"))
	assert.Empty(t, h.Get("X-Removed"))
	assert.Equal(t, "changed", h.Get("X-Handler"))

	// What has changed since stays.
	w := httptest.NewRecorder()
	edgecache.AfterRequest(func(_ *http.Request, status int, h http.Header) {
		if status == 200 {
			h.Set("X-A", "hook")
		}
	})(http.HandlerFunc(func(inner http.ResponseWriter, _ *http.Request) {
		t.Cleanup(func() {
			inner.Header().Set("X-A", "framework")
			inner.WriteHeader(http.StatusForbidden)
			assert.Equal(t, "framework", w.Header().Get("X-A"))
		})
	})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	assert.Equal(t, "hook", w.Header().Get("X-A"))
}

// A personal page that is written late is not for a cache in front of this one either.
func aPersonalPageThatIsWrittenLateIsPrivate(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "POST", "PUT"} {
		for _, onOwn := range []bool{false, true} {
			edge := emptyEdge(t)
			server := httptest.NewServer(lateErrors{edge.Handler, func(w http.ResponseWriter, _ *http.Request) error {
				w.Header().Set("Cache-Control", "max-age=60")
				return errors.New("not you, alice")
			}, onOwn})
			a := answerTo(t, server, method, "/", http.Header{"Cookie": {"session=alice"}})
			assert.Equal(t, 403, a.StatusCode)
			assert.Equal(t, "max-age=60, private", a.Header.Get("Cache-Control"), "%s, %v", method, onOwn)
			server.Close()
		}
	}
}

// RFC 9111, 4.4: what a silent handler of an unsafe method may have changed is confirmed before it
// is used again, with every query, as if it had succeeded; but it stays for errors, as the handler
// may have failed.
func anUnsafeRequestMarksWhatItMayHaveChanged(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		for _, exact := range []bool{false, true} {
			for _, fails := range []bool{false, true} {
				t.Run(fmt.Sprint(method, ", exact: ", exact, ", fails: ", fails), func(t *testing.T) {
					edge, down := emptyEdge(t), false
					l := lateErrors{edge.Handler, func(w http.ResponseWriter, r *http.Request) error {
						switch {
						case r.Method == method:
							w.Header().Set("Location", "/created")
							if fails {
								return errors.New("no")
							}
							return nil
						case down:
							http.Error(w, "down", http.StatusServiceUnavailable)
						default:
							w.Header().Set("Cache-Control", "max-age=60, stale-if-error=60, stale-while-revalidate=60")
							fmt.Fprint(w, "page")
						}
						return nil
					}, true}
					if exact {
						l.decorate = around2(edge.Handler, edgecache.Policy{InvalidateExact: true}.Handler)
					}
					ask := func(method, target string) string {
						w := httptest.NewRecorder()
						l.ServeHTTP(w, httptest.NewRequest(method, target, nil))
						return w.Header().Get("X-Cache")
					}
					targets := []string{"/list", "/list?page=2", "/created", "/other"}
					for _, target := range targets {
						ask("GET", target)
						require.Equal(t, "HIT", ask("GET", target))
					}
					ask(method, "/list")
					assert.Equal(t, len(targets), edge.Stats().Entries, "nothing is lost by a request that may have failed")
					down = true
					want := map[string]string{"/list": "STALE", "/list?page=2": "STALE", "/created": "STALE", "/other": "HIT"}
					if exact {
						want["/list?page=2"] = "HIT"
					}
					for target, word := range want {
						assert.Equal(t, word, ask("GET", target), target)
					}
					down = false
					assert.Equal(t, "EXPIRED", ask("GET", "/list"), "who posted sees the new page")
					assert.Equal(t, "HIT", ask("GET", "/list"))
				})
			}
		}
	}
}
