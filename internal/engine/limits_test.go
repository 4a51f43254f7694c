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

func TestPolicyOutside(t *testing.T) {
	t.Run("it restricts hits", itRestrictsHits)
	t.Run("it serves nothing that is stored without it", itServesNothingThatIsStoredWithoutIt)
	t.Run("the answer to a POST is not stored, but invalidates (RFC 9110, 9.3.3)", theAnswerToAPOSTIsNotStoredButInvalidates)
	t.Run("its Vary tells responses apart", itsVaryTellsResponsesApart)
	t.Run("it restricts waiters", itRestrictsWaiters)
	t.Run("a policy between two caches restricts the inner one", aPolicyBetweenTwoCachesRestrictsTheInnerOne)
	t.Run("Explain tells of the policy", explainTellsOfThePolicy)
	t.Run("it hands back what the handler found", itHandsBackWhatTheHandlerFound)
	t.Run("it bounds the ttl that is told", itBoundsTheTTLThatIsTold)
	t.Run("its CacheFor counts on both sides of the cache", itsCacheForCountsOnBothSidesOfTheCache)
	t.Run("its CacheFor with Public is shared", itsCacheForWithPublicIsShared)
}

// ringed puts something around a cache in front of a handler, and returns what asks it.
func ringed(t *testing.T, outside func(http.Handler) http.Handler, handler http.HandlerFunc) (s *harness.Site) {
	t.Helper()
	s = harness.NewSite(t, edgecache.Config{}, handler)
	s.Handler = outside(s.Handler)
	return s
}

// A policy that stands outside of the cache holds for what the cache has stored, too: it restricts,
// and permits nothing.
func itRestrictsHits(t *testing.T) {
	type times []int // seconds
	for _, row := range []struct {
		name   string
		policy edgecache.Policy
		stored string // the handler's Cache-Control
		at     times  // of requests, since the first
		words  []string
		says   string // Cache-Control that the client gets
	}{
		{"NoStore", edgecache.Policy{NoStore: true}, "max-age=600", times{0, 1}, []string{"DYNAMIC", "DYNAMIC"}, "no-store"},
		{"Private", edgecache.Policy{Private: true}, "max-age=600", times{0, 1}, []string{"DYNAMIC", "DYNAMIC"}, "max-age=600, private"},
		{"Vary: *", edgecache.Policy{Vary: []string{"*"}}, "max-age=600", times{0, 1}, []string{"DYNAMIC", "DYNAMIC"}, "max-age=600"},
		{"NoCache", edgecache.Policy{NoCache: true}, "max-age=600", times{0, 1}, []string{"MISS", "EXPIRED"}, "no-cache"},
		{"MaxAge", edgecache.Policy{MaxAge: time.Minute}, "max-age=600", times{0, 59, 61}, []string{"MISS", "HIT", "EXPIRED"}, "max-age=60"},
		{"MaxAge of an inferred lifetime", edgecache.Policy{MaxAge: time.Minute}, "", times{0, 59, 61}, []string{"MISS", "HIT", "EXPIRED"}, "max-age=60"},
		{"SharedMaxAge", edgecache.Policy{SharedMaxAge: time.Minute}, "max-age=600, stale-while-revalidate=600", times{0, 59, 61}, []string{"MISS", "HIT", "EXPIRED"},
			"max-age=600, stale-while-revalidate=600, s-maxage=60"},
		{"MustRevalidate", edgecache.Policy{MustRevalidate: true}, "max-age=60, stale-while-revalidate=600", times{0, 59, 61}, []string{"MISS", "HIT", "EXPIRED"}, "max-age=60, must-revalidate"},
		{"StaleWhileRevalidate", edgecache.Policy{StaleWhileRevalidate: 10 * time.Second}, "max-age=60, stale-while-revalidate=600", times{0, 65, 140}, []string{"MISS", "UPDATING", "EXPIRED"},
			"max-age=60, stale-while-revalidate=10"},
		{"a longer MaxAge permits nothing", edgecache.Policy{MaxAge: time.Hour}, "max-age=60", times{0, 61}, []string{"MISS", "EXPIRED"}, "max-age=60"},
		{"Public permits nothing", edgecache.Policy{Public: true}, "no-store", times{0, 1}, []string{"BYPASS", "BYPASS"}, "no-store"},
	} {
		for kind, outside := range map[string]func(http.Handler) http.Handler{
			"Handler": row.policy.Handler,
			"Routes":  edgecache.Routes(map[string]edgecache.Policy{"/": row.policy}),
			"two": func(next http.Handler) http.Handler {
				return edgecache.Policy{MaxAge: 24 * time.Hour}.Handler(row.policy.Handler(edgecache.Policy{Tags: []string{"x"}}.Handler(next)))
			},
		} {
			if kind == "two" && (row.policy.NoStore || row.policy.NoCache || row.says == "") {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				s := ringed(t, outside, func(w http.ResponseWriter, r *http.Request) {
					if row.stored != "" {
						w.Header().Set("Cache-Control", row.stored)
					}
					w.Header().Set("Etag", `"1"`)
					fmt.Fprint(w, "page")
				})
				started := time.Now()
				for i, at := range row.at {
					time.Sleep(time.Until(started.Add(time.Duration(at) * time.Second)))
					r := s.Get("/")
					if got := r.Header.Get("X-Cache"); got != row.words[i] {
						t.Errorf("%s, %s, at %d s: got %s (%s), want %s", row.name, kind, at, got, r.Header.Get("Cache-Status"), row.words[i])
					}
					if got := r.Header.Get("Cache-Control"); got != row.says && kind != "two" {
						t.Errorf("%s, %s: got Cache-Control %q, want %q", row.name, kind, got, row.says)
					}
					synctest.Wait()
				}
			})
		}
	}
}

// What is stored already, by way of a route without the policy, is neither served nor touched.
func itServesNothingThatIsStoredWithoutIt(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") })
	plain := s.Handler
	strict := edgecache.Policy{NoStore: true}.Handler(plain)
	s.Get("/")
	s.Handler = strict
	for _, method := range []string{"GET", "HEAD"} {
		r := s.Do(method, "/")
		require.Equal(t, "DYNAMIC", r.Header.Get("X-Cache"))
		require.Equal(t, "edgecache; fwd=bypass; detail=policy", r.Header.Get("Cache-Status"))
		require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	}
	s.Handler = plain
	harness.Want(t, s.Get("/"), "HIT", 200, "page")
}

// Nor is the answer to a POST stored for later GETs (RFC 9110, 9.3.3), but it invalidates (RFC
// 9111, 4.4).
func theAnswerToAPOSTIsNotStoredButInvalidates(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			w.Header().Set("Content-Location", "/page")
			edgecache.MaxAge(w, time.Hour)
		}
		fmt.Fprint(w, r.Method)
	})
	plain := s.Handler
	s.Get("/page")
	s.Handler = edgecache.Policy{NoStore: true}.Handler(plain)
	s.Do("POST", "/page")
	s.Handler = plain
	harness.Want(t, s.Get("/page"), "MISS", 200, "GET")
}

// Vary of a policy outside tells apart what is stored, refreshes included.
func itsVaryTellsResponsesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ringed(t, edgecache.Policy{Vary: []string{"accept-language"}}.Handler, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60, stale-while-revalidate=60")
			fmt.Fprint(w, r.Header.Get("Accept-Language"), " ", time.Now().Minute())
		})
		for _, language := range []string{"de", "en"} {
			harness.Want(t, s.Get("/", "Accept-Language", language), "MISS", 200, language+" 0")
			harness.Want(t, s.Get("/", "Accept-Language", language), "HIT", 200, language+" 0")
		}
		time.Sleep(61 * time.Second)
		for _, language := range []string{"de", "en"} {
			harness.Want(t, s.Get("/", "Accept-Language", language), "UPDATING", 200, language+" 0")
			synctest.Wait()
			harness.Want(t, s.Get("/", "Accept-Language", language), "HIT", 200, language+" 1")
		}
		n, err := s.Edge.Purge(t.Context(), "http://example.com/")
		require.NoError(t, err)
		require.Equal(t, 2, n, "one URL all the same")
	})
}

// A waiter is bound by its own policies.
func itRestrictsWaiters(t *testing.T) {
	for name, policy := range map[string]edgecache.Policy{"NoStore": {NoStore: true}, "NoCache": {NoCache: true}} {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
				time.Sleep(time.Second)
				fmt.Fprint(w, "page ", call)
			})
			leader := s.Visit("/")
			time.Sleep(time.Second / 2)
			s.Handler = policy.Handler(s.Handler)
			other := s.Visit("/")
			other.Wants(t, other.Word(), 200, "page 2")
			leader.Wants(t, "MISS", 200, "page 1")
			if word := other.Word(); word == "HIT" {
				t.Errorf("%s: got %s", name, word)
			}
		})
	}
}

// A policy between two edges restricts the inner one only.
func aPolicyBetweenTwoCachesRestrictsTheInnerOne(t *testing.T) {
	inner := harness.NewSite(t, edgecache.Config{StatusHeader: "X-Inner"}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") })
	outer, err := edgecache.New(edgecache.Config{})
	require.NoError(t, err)
	for range 2 {
		w := httptest.NewRecorder()
		outer.Handler(edgecache.Policy{NoCache: true, Vary: []string{"Accept"}}.Handler(inner.Handler)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		require.Equal(t, 200, w.Code)
	}
	require.Equal(t, 2, inner.Calls())
	// The same Edge inside itself caches outside only, policies or not.
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") })
	s.Handler = s.Edge.Handler(edgecache.Policy{MaxAge: time.Minute}.Handler(s.Handler))
	harness.Want(t, s.Get("/"), "MISS", 200, "page")
	harness.Want(t, s.Get("/"), "HIT", 200, "page")
	require.Equal(t, 1, s.Calls())
}

// Explain says what the request would meet that came the same way.
func explainTellsOfThePolicy(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {})
	var x edgecache.Explanation
	h := edgecache.Policy{NoStore: true}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { x = s.Edge.Explain(r) }))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	require.Equal(t, edgecache.Dynamic, x.Status)
	require.Equal(t, "policy", x.Reason.String())
}

// What the handler leaves in the request is there for what stands outside: the route, and files
// that the server removes.
func itHandsBackWhatTheHandlerFound(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/page/{id}", func(w http.ResponseWriter, r *http.Request) { _ = r.ParseForm() })
	r := httptest.NewRequest("GET", "/page/1?a=b", nil)
	edgecache.Policy{MaxAge: time.Minute}.Handler(mux).ServeHTTP(httptest.NewRecorder(), r)
	require.Equal(t, "/page/{id}", r.Pattern)
	require.Equal(t, "b", r.Form.Get("a"))
}

// The ttl that the client is told ends where the policy's does.
func itBoundsTheTTLThatIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ringed(t, edgecache.Policy{MaxAge: time.Minute}.Handler, func(w http.ResponseWriter, r *http.Request) { edgecache.MaxAge(w, time.Hour) })
		s.Get("/")
		time.Sleep(20 * time.Second)
		require.Equal(t, "edgecache; hit; ttl=40", s.Get("/").Header.Get("Cache-Status"))
	})
}

// What a policy keeps for caches is kept here for that long, whichever side of the cache it stands
// on, and browsers ask.
func itsCacheForCountsOnBothSidesOfTheCache(t *testing.T) {
	policy := edgecache.Policy{CacheFor: time.Minute, StaleWhileRevalidate: time.Minute, Tags: []string{"post"}}
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewSite(t, edgecache.Config{}, policy.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "for ", r.Header.Get("Cookie"), " at ", time.Now().Second())
		})).ServeHTTP)
		harness.Want(t, s.Get("/"), "MISS", 200, "for  at 0")
		time.Sleep(59 * time.Second)
		r := s.Get("/")
		harness.Want(t, r, "HIT", 200, "for  at 0")
		require.Equal(t, "no-cache", r.Header.Get("Cache-Control"))
		require.Equal(t, "max-age=60, stale-while-revalidate=60", r.Header.Get("CDN-Cache-Control"))
		harness.Want(t, s.Get("/", "If-None-Match", r.Header.Get("Etag")), "HIT", 304, "") // what a browser asks
		harness.Want(t, s.Get("/", "Cookie", "session=1"), "DYNAMIC", 200, "for session=1 at 59")
		time.Sleep(2 * time.Second)
		harness.Want(t, s.Get("/"), "UPDATING", 200, "for  at 0")
		synctest.Wait()
		harness.Want(t, s.Get("/"), "HIT", 200, "for  at 1")
		n, err := s.Edge.PurgeTags(t.Context(), "post")
		require.NoError(t, err)
		require.Equal(t, 1, n)
		time.Sleep(time.Second)
		harness.Want(t, s.Get("/"), "MISS", 200, "for  at 2")
	})
	synctest.Test(t, func(t *testing.T) { // outside
		s := ringed(t, policy.Handler, func(w http.ResponseWriter, r *http.Request) {
			edgecache.MaxAge(w, time.Hour)
			edgecache.StaleWhileRevalidate(w, time.Hour)
			fmt.Fprint(w, "at ", time.Now().Second())
		})
		harness.Want(t, s.Get("/"), "MISS", 200, "at 0")
		time.Sleep(59 * time.Second)
		r := s.Get("/")
		harness.Want(t, r, "HIT", 200, "at 0")
		require.Equal(t, "max-age=3600, stale-while-revalidate=60", r.Header.Get("Cache-Control"))
		require.Equal(t, "max-age=60, stale-while-revalidate=60", r.Header.Get("CDN-Cache-Control"))
		time.Sleep(62 * time.Second)
		harness.Want(t, s.Get("/"), "EXPIRED", 200, "at 1") // past the window, too
	})
}

func itsCacheForWithPublicIsShared(t *testing.T) {
	policy := edgecache.Policy{CacheFor: time.Minute, Public: true}
	s := harness.NewSite(t, edgecache.Config{}, policy.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") })).ServeHTTP)
	harness.Want(t, s.Get("/", "Cookie", "session=1"), "MISS", 200, "page")
	harness.Want(t, s.Get("/", "Cookie", "session=2"), "HIT", 200, "page")
	harness.Want(t, s.Get("/", "Authorization", "Bearer x"), "HIT", 200, "page")
	s = harness.NewSite(t, edgecache.Config{}, policy.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
	})).ServeHTTP)
	s.Get("/")
	harness.Want(t, s.Get("/"), "BYPASS", 200, "")
}
