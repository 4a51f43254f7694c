package edgecache_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

// steering is every way in which a request can tell a cache what to do (RFC 9111, 5.2.1 and 5.4; RFC 5861, 4).
var steering = [][]string{
	{"Cache-Control", "no-cache"},
	{"Cache-Control", "no-cache", "Pragma", "no-cache"},
	{"Pragma", "no-cache"},
	{"Cache-Control", "max-age=0"},
	{"Cache-Control", "no-store"},
	{"Cache-Control", "min-fresh=100000"},
	{"Cache-Control", "only-if-cached"},
	{"Cache-Control", "max-stale"},
	{"Cache-Control", "stale-if-error=100000"},
	{"cache-control", "no-cache"},
	{"CACHE-CONTROL", "no-cache"},
	{"Cache_Control", "no-cache"},
	{"pragma", "no-cache"},
}

// Deviation from RFC 9111, 5.2.1, which makes request directives advisory: clients do not steer the cache.
func TestRequestDirectivesDoNothing(t *testing.T) {
	const lifetime = time.Minute
	for _, header := range steering {
		t.Run(fmt.Sprint(header), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var seen http.Header
				calls := 0
				h := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					calls++
					seen = r.Header
					if r.URL.Path == "/fails" && calls > 1 {
						w.WriteHeader(http.StatusInternalServerError)
						return
					}
					edgecache.MaxAge(w, lifetime)
					fmt.Fprint(w, "page ", calls)
				}))
				get := func(target string, header []string) *http.Response {
					r := httptest.NewRequest("GET", target, nil)
					for i := 0; i < len(header); i += 2 {
						r.Header[header[i]] = []string{header[i+1]}
					}
					before := r.Header.Clone()
					w := httptest.NewRecorder()
					h.ServeHTTP(w, r)
					require.Equal(t, before, r.Header, "the client's own request is left alone")
					return w.Result()
				}
				want(t, get("/", header), "MISS", 200, "page 1") // also for only-if-cached
				require.Empty(t, seen, "the handler of a fetch sees nothing that is not in the key")
				want(t, get("/", nil), "HIT", 200, "page 1") // also after no-store
				want(t, get("/", header), "HIT", 200, "page 1")
				time.Sleep(lifetime + time.Second)
				want(t, get("/", header), "EXPIRED", 200, "page 2") // also for max-stale
				require.Empty(t, seen)

				calls = 0
				get("/fails", nil)
				time.Sleep(lifetime + time.Second)
				if r := get("/fails", header); r.StatusCode != 500 {
					t.Errorf("got %d %s, want the failure: only the response may allow stale use", r.StatusCode, r.Header.Get("X-Cache"))
				}
			})
		})
	}
}

// Only what a stored response could depend on is taken off.
func TestRequestDirectivesOfWhatIsPassedOnReachTheHandler(t *testing.T) {
	var seen http.Header
	s := newSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		fmt.Fprint(w, "page")
	})
	for _, row := range []struct {
		method string
		header []string
	}{
		{"POST", nil},
		{"PUT", nil},
		{"OPTIONS", nil},
		{"GET", []string{"If-Match", "*"}},
		{"GET", []string{"X-Original-Url", "/admin"}},
		{"GET", []string{"Upgrade", "websocket"}},
	} {
		s.do(row.method, "/", append([]string{"Cache-Control", "no-cache", "Pragma", "no-cache"}, row.header...)...)
		if seen.Get("Cache-Control") != "no-cache" || seen.Get("Pragma") != "no-cache" {
			t.Errorf("%s %v: the handler saw %v", row.method, row.header, seen)
		}
	}
}

// A page cannot depend on a field that its handler never sees, whatever it says.
func TestVaryOnRequestDirectivesMakesNoVariants(t *testing.T) {
	for _, vary := range []string{"Cache-Control", "Pragma, cache-control", "Accept, Cache-Control"} {
		s := newSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Vary", vary)
			fmt.Fprint(w, "page")
		})
		s.get("/")
		r := s.get("/", "Cache-Control", "no-cache", "Pragma", "no-cache")
		want(t, r, "HIT", 200, "page")
		require.Equal(t, vary, r.Header.Get("Vary"), "caches in front of us are told")
		require.Equal(t, 1, s.calls)
	}
}

// The same where a policy outside of the cache says so.
func TestVaryOfAPolicyOnRequestDirectivesMakesNoVariants(t *testing.T) {
	s := newSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("Cache-Control")) })
	s.h = edgecache.Policy{Vary: []string{"cache-control", "Pragma", "Accept-Language"}}.Handler(s.h)
	want(t, s.get("/"), "MISS", 200, "")
	want(t, s.get("/", "Cache-Control", "no-cache"), "HIT", 200, "")
	want(t, s.get("/", "Pragma", "no-cache"), "HIT", 200, "")
	want(t, s.get("/", "Accept-Language", "de"), "MISS", 200, "")
}

// Who waits takes what another request has begun, whatever it asks for.
func TestRequestDirectivesDoNotKeepFromWaiting(t *testing.T) {
	for _, header := range steering {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
				time.Sleep(time.Second)
				fmt.Fprint(w, "page ", call)
			})
			leader := s.visit("/")
			time.Sleep(time.Second / 2)
			other := s.visit("/", header...)
			other.wants(t, "HIT", 200, "page 1")
			leader.wants(t, "MISS", 200, "page 1")
		})
	}
}

// With HonorRequestDirectives they count, and the handler sees them: so RFC 9111 to the letter.
func TestHonorRequestDirectives(t *testing.T) {
	var seen http.Header
	s := newSite(t, edgecache.Config{HonorRequestDirectives: true}, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		fmt.Fprint(w, "page")
	})
	require.Equal(t, 504, s.get("/", "Cache-Control", "only-if-cached").StatusCode)
	want(t, s.get("/", "Cache-Control", "no-store"), "DYNAMIC", 200, "page")
	require.Equal(t, "no-store", seen.Get("Cache-Control"))
	want(t, s.get("/"), "MISS", 200, "page")
	want(t, s.get("/", "Cache-Control", "no-cache"), "EXPIRED", 200, "page")
	require.Equal(t, "no-cache", seen.Get("Cache-Control"))
	want(t, s.get("/", "Pragma", "no-cache"), "EXPIRED", 200, "page")
	require.Equal(t, "no-cache", seen.Get("Pragma"))
	want(t, s.get("/"), "HIT", 200, "page")
}

// no-transform of a request (RFC 9111, 5.2.1.6) is a request directive like the others.
func TestNoTransformOfARequest(t *testing.T) {
	for _, honor := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, edgecache.Config{Compress: true, HonorRequestDirectives: honor}, func(w http.ResponseWriter, r *http.Request) {
				speak(w, prose("page"))
			})
			s.warm("br")
			got := s.get("/", "Accept-Encoding", "br", "Cache-Control", "no-transform").Header.Get("Content-Encoding")
			if want := map[bool]string{false: "br", true: ""}[honor]; got != want {
				t.Errorf("honored %v: got %q, want %q", honor, got, want)
			}
		})
	}
}
