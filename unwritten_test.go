package edgecache_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

// A framework whose handlers return errors writes the answer after the cache's handler has returned: to
// the writer that its handler got, as echo and PocketBase do, or to its own.
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

func TestUnwritten(t *testing.T) {
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
