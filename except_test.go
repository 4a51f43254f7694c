package edgecache_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

// counting answers with how often it has run.
func counting() http.HandlerFunc {
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
		n++
		fmt.Fprint(w, n)
	}
}

// What watches the program sees it as it is, with the one line and no configuration.
func TestOperationsAreLeftAlone(t *testing.T) {
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
func TestExceptedRequestsReachTheHandlerAsTheyCome(t *testing.T) {
	var seen http.Header
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) { seen = r.Header.Clone() })
	header := []string{"Range", "bytes=0-1", "If-None-Match", `"x"`, "Cache-Control", "no-cache"}
	s.Get("/metrics", header...)
	for i := 0; i < len(header); i += 2 {
		require.Equal(t, header[i+1], seen.Get(header[i]))
	}
}

func TestExcept(t *testing.T) {
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
func TestExceptOfOneMethod(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{Except: []string{"HEAD /x"}}, counting())
	s.Get("/x")
	require.Equal(t, "HIT", s.Get("/x").Header.Get("X-Cache"))
	require.Equal(t, "DYNAMIC", s.Do("HEAD", "/x").Header.Get("X-Cache"))
}

func TestExceptMistakes(t *testing.T) {
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

// Patterns are about the URL that the client asked for, not about what is left of it behind the cache.
func TestExceptBeforeStripPrefix(t *testing.T) {
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
func TestExceptedUnsafeMethodsInvalidate(t *testing.T) {
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
	require.Equal(t, "EXPIRED", s.Get("/page").Header.Get("X-Cache"), "what Location names is asked for anew")
	require.Equal(t, "DYNAMIC", s.Get("/debug/clear").Header.Get("X-Cache"), "the answer to the POST is not stored for GET")
}

// Metrics are of the moment, wherever they are served and whatever lifetime they claim.
func TestMetricsAreNotStored(t *testing.T) {
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
func TestExceptAllocatesNothing(t *testing.T) {
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
