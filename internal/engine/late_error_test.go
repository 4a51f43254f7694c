package engine_test

import (
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestLateError(t *testing.T) {
	t.Run("an error after the header is not stored", anErrorAfterTheHeaderIsNotStored)
	t.Run("a second status that is no error is ignored", aSecondStatusThatIsNoErrorIsIgnored)
	t.Run("waiters run the handler themselves or see the cut", waitersRunTheHandlerThemselvesOrSeeTheCut)
	t.Run("a stale page stands in for it (RFC 5861, 4)", aStalePageStandsInForIt)
	t.Run("an error after a 304 confirms nothing", anErrorAfterA304ConfirmsNothing)
}

// warnings counts the warnings of an edge, and keeps the last.
type warnings struct {
	count atomic.Int32
	last  atomic.Pointer[edgecache.Event]
}

func (w *warnings) observe(ev edgecache.Event) {
	if ev.Kind == edgecache.Warned {
		w.count.Add(1)
		w.last.Store(&ev)
	}
}

// A handler that says an error after its header has written half a page: its client gets what it
// gets without a cache, and no other client gets it.
func anErrorAfterTheHeaderIsNotStored(t *testing.T) {
	long := strings.Repeat("0123456789", 1000) // beyond what waits for the handler to return
	recovering := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if recover() != nil {
					http.Error(w, "sorry", http.StatusInternalServerError)
				}
			}()
			next(w, r)
		}
	}
	page := template.Must(template.New("").Parse("<h1>{{.Title}}</h1>{{.Missing}}"))
	for name, handler := range map[string]http.HandlerFunc{
		"http.Error after the first byte": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<h1>half")
			http.Error(w, "sql: no rows", http.StatusInternalServerError)
		},
		"http.Error after a long beginning": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, long)
			http.Error(w, "sql: no rows", http.StatusInternalServerError)
		},
		"http.Error after a flush": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<h1>half")
			w.(http.Flusher).Flush()
			http.Error(w, "gone", http.StatusNotFound)
		},
		"http.Error after the status, before any byte": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			http.Error(w, "sql: no rows", http.StatusBadRequest)
		},
		"an error after another status with a lifetime": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			http.Error(w, "not here", http.StatusNotFound)
			http.Error(w, "not at all", http.StatusInternalServerError)
		},
		"middleware that recovers": recovering(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<h1>half")
			panic("oops")
		}),
		"a template that fails": func(w http.ResponseWriter, _ *http.Request) {
			if err := page.Execute(w, struct{ Title string }{"half"}); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		},
		"an origin that breaks off late": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<h1>half")
			edgecache.OriginError(w)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var seen warnings
			edge, err := edgecache.New(edgecache.Config{Observer: seen.observe})
			require.NoError(t, err)
			cached, alone := startServer(t, edge.Handler(handler), false), startServer(t, handler, false)
			want := look(t, alone, "GET", "/", nil, nil)
			want.header.Del("Edgecache-Origin-Error")
			for i := range 2 {
				got := look(t, cached, "GET", "/", nil, nil)
				require.False(t, got.hit)
				got.header.Del("Content-Length")
				want.header.Del("Content-Length")
				require.Equal(t, want.status, got.status)
				require.Equal(t, want.body, got.body)
				require.EqualValues(t, i+1, seen.count.Load(), "warnings")
			}
			require.Zero(t, edge.Stats().Entries)
			ev := seen.last.Load()
			require.Equal(t, "aborted", ev.Reason.String())
			require.ErrorContains(t, ev.Err, "not stored")
		})
	}
}

func aSecondStatusThatIsNoErrorIsIgnored(t *testing.T) {
	h := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "page")
		w.WriteHeader(http.StatusOK)
		w.WriteHeader(http.StatusFound)
	}))
	for _, status := range []string{"MISS", "HIT"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		require.Equal(t, status, w.Header().Get("X-Cache"))
	}
}

// Waiters for a page that turns out half run the handler themselves if they have got
// nothing, and else must not take what they got for the page.
func waitersRunTheHandlerThemselvesOrSeeTheCut(t *testing.T) {
	for _, size := range []int{10, 10_000} {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewOrigin(t, edgecache.Config{})
			first := s.Send("GET", "/")
			c := s.Called()
			c.Says(func(w http.ResponseWriter) { _, _ = io.WriteString(w, strings.Repeat("x", size)) })
			second, part := s.Send("GET", "/"), s.Send("GET", "/", "Range", "bytes=-5")
			aborted := make(chan any, 1)
			if size >= 2048 {
				go func() {
					defer func() { aborted <- recover() }()
					s.Handler.ServeHTTP(httptest.NewRecorder(), harness.Request("GET", "/"))
				}()
			}
			s.Idle()
			c.Says(func(w http.ResponseWriter) { http.Error(w, "!", http.StatusInternalServerError) })
			c.Ends()
			first.Gets(t, "MISS", 200, strings.Repeat("x", size)+"!\n")
			if size < 2048 { // nothing was sent
				second.Waits(t)
				s.Called().Writes("page")
			} else {
				require.Equal(t, http.ErrAbortHandler, <-aborted)
			}
			s.Called().Writes("page")
			part.Gets(t, "MISS", 206, "page")
			s.Send("GET", "/").Gets(t, "HIT", 200, "page")
		})
	}
}

// RFC 5861, 4: a stale page stands in for a late error as for an early one, as long as its client
// has got nothing.
func aStalePageStandsInForIt(t *testing.T) {
	for _, tt := range []struct {
		name   string
		late   int
		status string
	}{
		{"a failure", http.StatusInternalServerError, "STALE"},
		{"another error", http.StatusForbidden, "EXPIRED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewOrigin(t, edgecache.Config{})
				v := s.Send("GET", "/")
				s.Called().Writes("old", "Cache-Control", "max-age=10, stale-if-error=60")
				v.Gets(t, "MISS", 200, "old")
				time.Sleep(11 * time.Second)
				v = s.Send("GET", "/")
				c := s.Called()
				c.Says(func(w http.ResponseWriter) { _, _ = io.WriteString(w, "half") })
				c.Says(func(w http.ResponseWriter) { http.Error(w, "!", tt.late) })
				c.Ends()
				if tt.status == "STALE" {
					v.Gets(t, "STALE", 200, "old")
				} else {
					v.Gets(t, "EXPIRED", 200, "half!\n")
				}
				require.Equal(t, 1, s.Edge.Stats().Entries, "the old page is still there")
			})
		})
	}
}

// A 304 that is followed by an error confirms nothing: the stored page answers, and is asked about
// again.
func anErrorAfterA304ConfirmsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewOrigin(t, edgecache.Config{})
		v := s.Send("GET", "/")
		s.Called().Writes("old", "Cache-Control", "max-age=10", "Etag", `"1"`)
		v.Gets(t, "MISS", 200, "old")
		time.Sleep(11 * time.Second)
		for range 2 {
			v = s.Send("GET", "/")
			c := s.Called()
			c.Says(func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotModified) })
			c.Says(func(w http.ResponseWriter) { http.Error(w, "!", http.StatusInternalServerError) })
			c.Ends()
			v.Gets(t, "REVALIDATED", 200, "old")
		}
	})
}
