package engine_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestRequestDirectives(t *testing.T) {
	t.Run("they do nothing (deviation from RFC 9111, 5.2.1)", theyDoNothing)
	t.Run("they reach the handler with what is passed on", theyReachTheHandlerWithWhatIsPassedOn)
	t.Run("Vary on them makes no variants", varyOnThemMakesNoVariants)
	t.Run("Vary of a policy on them makes no variants", varyOfAPolicyOnThemMakesNoVariants)
	t.Run("they do not keep a request from waiting", theyDoNotKeepARequestFromWaiting)
	t.Run("they count with HonorRequestDirectives", theyCountWithHonorRequestDirectives)
	t.Run("no-transform is one of them (RFC 9111, 5.2.1.6)", noTransformIsOneOfThem)
}

// steering is every way in which a request can tell a cache what to do (RFC 9111, 5.2.1 and 5.4;
// RFC 5861, 4).
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

// Deviation from RFC 9111, 5.2.1, which makes request directives advisory: clients do not steer the
// cache.
func theyDoNothing(t *testing.T) {
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
				harness.Want(t, get("/", header), "MISS", 200, "page 1") // also for only-if-cached
				require.Empty(t, seen, "the handler of a fetch sees nothing that is not in the key")
				harness.Want(t, get("/", nil), "HIT", 200, "page 1") // also after no-store
				harness.Want(t, get("/", header), "HIT", 200, "page 1")
				time.Sleep(lifetime + time.Second)
				harness.Want(t, get("/", header), "EXPIRED", 200, "page 2") // also for max-stale
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
func theyReachTheHandlerWithWhatIsPassedOn(t *testing.T) {
	var seen http.Header
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
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
		s.Do(row.method, "/", append([]string{"Cache-Control", "no-cache", "Pragma", "no-cache"}, row.header...)...)
		if seen.Get("Cache-Control") != "no-cache" || seen.Get("Pragma") != "no-cache" {
			t.Errorf("%s %v: the handler saw %v", row.method, row.header, seen)
		}
	}
}

// A page cannot depend on a field that its handler never sees, whatever it says.
func varyOnThemMakesNoVariants(t *testing.T) {
	for _, vary := range []string{"Cache-Control", "Pragma, cache-control", "Accept, Cache-Control"} {
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Vary", vary)
			fmt.Fprint(w, "page")
		})
		s.Get("/")
		r := s.Get("/", "Cache-Control", "no-cache", "Pragma", "no-cache")
		harness.Want(t, r, "HIT", 200, "page")
		require.Equal(t, vary, r.Header.Get("Vary"), "caches in front of us are told")
		require.Equal(t, 1, s.Calls())
	}
}

// The same where a policy outside of the cache says so.
func varyOfAPolicyOnThemMakesNoVariants(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("Cache-Control")) })
	s.Handler = edgecache.Policy{Vary: []string{"cache-control", "Pragma", "Accept-Language"}}.Handler(s.Handler)
	harness.Want(t, s.Get("/"), "MISS", 200, "")
	harness.Want(t, s.Get("/", "Cache-Control", "no-cache"), "HIT", 200, "")
	harness.Want(t, s.Get("/", "Pragma", "no-cache"), "HIT", 200, "")
	harness.Want(t, s.Get("/", "Accept-Language", "de"), "MISS", 200, "")
}

// A waiter takes what another request has begun, whatever it asks for.
func theyDoNotKeepARequestFromWaiting(t *testing.T) {
	for _, header := range steering {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
				time.Sleep(time.Second)
				fmt.Fprint(w, "page ", call)
			})
			leader := s.Visit("/")
			time.Sleep(time.Second / 2)
			other := s.Visit("/", header...)
			other.Wants(t, "HIT", 200, "page 1")
			leader.Wants(t, "MISS", 200, "page 1")
		})
	}
}

// With HonorRequestDirectives they count, and the handler sees them: so RFC 9111 to the letter.
func theyCountWithHonorRequestDirectives(t *testing.T) {
	var seen http.Header
	s := harness.NewSite(t, edgecache.Config{HonorRequestDirectives: true}, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		fmt.Fprint(w, "page")
	})
	require.Equal(t, 504, s.Get("/", "Cache-Control", "only-if-cached").StatusCode)
	harness.Want(t, s.Get("/", "Cache-Control", "no-store"), "DYNAMIC", 200, "page")
	require.Equal(t, "no-store", seen.Get("Cache-Control"))
	harness.Want(t, s.Get("/"), "MISS", 200, "page")
	harness.Want(t, s.Get("/", "Cache-Control", "no-cache"), "EXPIRED", 200, "page")
	require.Equal(t, "no-cache", seen.Get("Cache-Control"))
	harness.Want(t, s.Get("/", "Pragma", "no-cache"), "EXPIRED", 200, "page")
	require.Equal(t, "no-cache", seen.Get("Pragma"))
	harness.Want(t, s.Get("/"), "HIT", 200, "page")
}

// no-transform of a request (RFC 9111, 5.2.1.6) is a request directive like the others.
func noTransformIsOneOfThem(t *testing.T) {
	for _, honor := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewSite(t, edgecache.Config{Compress: true, HonorRequestDirectives: honor}, func(w http.ResponseWriter, r *http.Request) {
				speak(w, prose("page"))
			})
			warm(s, "br")
			got := s.Get("/", "Accept-Encoding", "br", "Cache-Control", "no-transform").Header.Get("Content-Encoding")
			if want := map[bool]string{false: "br", true: ""}[honor]; got != want {
				t.Errorf("honored %v: got %q, want %q", honor, got, want)
			}
		})
	}
}
