package edgecache_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

// What a handler cannot mean reaches the observer, and a restriction that comes too late still keeps the page from the next visitor.
func TestWarnings(t *testing.T) {
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
func TestWarningsAreLogged(t *testing.T) {
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
func TestWarningsReachTheLogByDefault(t *testing.T) {
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
