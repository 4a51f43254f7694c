package edgecache_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

// lateErrors is what a framework is whose handlers return errors: decorate stands around the handler, and the error is
// written when that has returned, to the writer that the handler got or, if onOwn, to the framework's.
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

func TestPolicyOfAHandlerThatReturnsAnError(t *testing.T) {
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

func TestRestrictionsHoldForAHandlerThatReturnsAnError(t *testing.T) {
	for _, onOwn := range []bool{false, true} {
		server := httptest.NewServer(lateErrors{edgecache.Policy{NoStore: true}.Handler, func(http.ResponseWriter, *http.Request) error { return errors.New("no") }, onOwn})
		assert.Equal(t, "no-store", answerTo(t, server, "GET", "/", nil).Header.Get("Cache-Control"))
		server.Close()
	}
}

// Where nothing stands outside, an empty answer is what the handler meant.
func TestPolicyOfASilentHandlerThatIsTheServersOwn(t *testing.T) {
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

func TestAfterRequestOfAHandlerThatReturnsAnError(t *testing.T) {
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

	// What somebody has changed since stays.
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

// A page of somebody that is written late is not for a cache in front of this one either.
func TestWhatIsWrittenLateForSomebodyIsPrivate(t *testing.T) {
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

// RFC 9111, 4.4: what a silent handler of an unsafe method may have changed is confirmed before it is used again, with every query, as if it had succeeded; but it stays for
// errors, as the handler may have failed.
func TestSilentUnsafeRequestMarksWhatItMayHaveChanged(t *testing.T) {
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
