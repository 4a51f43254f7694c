package edgecache_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestCacheForIsForCachesNotForBrowsers(t *testing.T) {
	tests := []struct {
		name          string
		say           func(http.ResponseWriter)
		cache, target string // Cache-Control, CDN-Cache-Control
	}{
		{"alone", func(w http.ResponseWriter) { edgecache.CacheFor(w, time.Minute) }, "no-cache", "max-age=60"},
		{"after MaxAge it takes that from browsers", func(w http.ResponseWriter) { edgecache.MaxAge(w, time.Hour); edgecache.CacheFor(w, time.Minute) }, "no-cache", "max-age=60"},
		{"the later of two counts", func(w http.ResponseWriter) { edgecache.CacheFor(w, time.Hour); edgecache.CacheFor(w, time.Minute) }, "no-cache", "max-age=60"},
		{"not after NoStore", func(w http.ResponseWriter) { edgecache.NoStore(w); edgecache.CacheFor(w, time.Minute) }, "no-store", ""},
		{"nor before it", func(w http.ResponseWriter) { edgecache.CacheFor(w, time.Minute); edgecache.NoStore(w) }, "no-cache, no-store", "no-store"},
		{"not after Private", func(w http.ResponseWriter) { edgecache.Private(w); edgecache.CacheFor(w, time.Minute) }, "private", ""},
		{"nor before it", func(w http.ResponseWriter) { edgecache.CacheFor(w, time.Minute); edgecache.Private(w) }, "no-cache, private", "max-age=60, private"},
		{"after Public it shares", func(w http.ResponseWriter) { edgecache.Public(w); edgecache.CacheFor(w, time.Minute) }, "public, no-cache", "max-age=60, public"},
		{"and before it", func(w http.ResponseWriter) { edgecache.CacheFor(w, time.Minute); edgecache.Public(w) }, "no-cache, public", "max-age=60, public"},
		{"twice, and the later lifetime counts", func(w http.ResponseWriter) {
			edgecache.CacheFor(w, time.Minute)
			edgecache.Public(w)
			edgecache.CacheFor(w, time.Hour)
		}, "no-cache, public", "max-age=3600, public"},
		{"not if it is private after all", func(w http.ResponseWriter) {
			edgecache.Public(w)
			edgecache.CacheFor(w, time.Minute)
			edgecache.Private(w)
		}, "no-cache, private", "max-age=60, private"},
		{"nor if it was private before", func(w http.ResponseWriter) {
			edgecache.Private(w)
			edgecache.Public(w)
			edgecache.CacheFor(w, time.Minute)
		}, "private", ""},
		{"nor if it is private for other caches", func(w http.ResponseWriter) {
			w.Header().Set("CDN-Cache-Control", "private")
			edgecache.Public(w)
		}, "public", "private"},
		{"nor if Cache-Control alone was private", func(w http.ResponseWriter) {
			w.Header().Set("CDN-Cache-Control", "max-age=60")
			w.Header().Set("Cache-Control", "private")
			edgecache.Public(w)
		}, "private", "max-age=60"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			tt.say(w)
			require.Equal(t, tt.cache, w.Header().Get("Cache-Control"))
			require.Equal(t, tt.target, strings.Join(w.Header().Values("CDN-Cache-Control"), " | "))
		})
	}
}

func TestCacheForPageIsKeptHereAndNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			edgecache.CacheFor(w, time.Minute)
			fmt.Fprint(w, "for ", r.Header.Get("Cookie"))
		})
		harness.Want(t, s.Get("/"), "MISS", 200, "for ")
		harness.Want(t, s.Get("/"), "HIT", 200, "for ")
		harness.Want(t, s.Get("/", "Cookie", "session=1"), "DYNAMIC", 200, "for session=1")
		tag := s.Get("/").Header.Get("Etag")
		harness.Want(t, s.Get("/", "If-None-Match", tag), "HIT", 304, "") // what a browser asks
		time.Sleep(61 * time.Second)
		harness.Want(t, s.Get("/"), "EXPIRED", 200, "for ")
	})
}

// Public is the one word that shares, whether it is said before the lifetime, after it, or by a policy.
func TestCacheForThatIsPublicIsShared(t *testing.T) {
	public := edgecache.Policy{Public: true}
	for name, handler := range map[string]http.Handler{
		"before": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			edgecache.Public(w)
			edgecache.CacheFor(w, time.Minute)
			fmt.Fprint(w, "page")
		}),
		"after": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			edgecache.CacheFor(w, time.Minute)
			edgecache.Public(w)
			fmt.Fprint(w, "page")
		}),
		"by a policy": public.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			edgecache.CacheFor(w, time.Minute)
			fmt.Fprint(w, "page")
		})),
	} {
		t.Run(name, func(t *testing.T) {
			s := harness.NewSite(t, edgecache.Config{}, handler.ServeHTTP)
			harness.Want(t, s.Get("/", "Cookie", "session=1"), "MISS", 200, "page")
			harness.Want(t, s.Get("/", "Cookie", "session=2"), "HIT", 200, "page")
			harness.Want(t, s.Get("/", "Authorization", "Bearer x"), "HIT", 200, "page")
			harness.Want(t, s.Get("/"), "HIT", 200, "page")
		})
	}
	restricted := edgecache.Policy{Public: true}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edgecache.CacheFor(w, time.Minute)
		edgecache.Private(w)
		fmt.Fprint(w, "page")
	}))
	s := harness.NewSite(t, edgecache.Config{}, restricted.ServeHTTP)
	harness.Want(t, s.Get("/", "Cookie", "session=1"), "BYPASS", 200, "page")
	harness.Want(t, s.Get("/", "Cookie", "session=2"), "BYPASS", 200, "page")
}

func TestUnreachableOriginIsCalledThat(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		edgecache.OriginError(w)
		http.Error(w, "gone", http.StatusBadGateway)
	})
	r := s.Get("/")
	require.Contains(t, r.Header.Get("Cache-Status"), "detail=unreachable")
	harness.Want(t, r, "BYPASS", 502, "gone\n")
}

func TestPurgedPageIsCalledThat(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		edgecache.Tag(w, "page")
		fmt.Fprint(w, "page")
	})
	s.Get("/")
	_, err := s.Edge.PurgeTags(t.Context(), "page")
	require.NoError(t, err)
	require.Equal(t, "purged", s.Edge.Explain(httptest.NewRequest("GET", "/", nil)).Reason.String())
	require.Contains(t, s.Get("/").Header.Get("Cache-Status"), "detail=purged")
}

func TestExplainTakesRequestsOfClients(t *testing.T) {
	edge, err := edgecache.New(edgecache.Config{})
	require.NoError(t, err)
	server := httptest.NewServer(edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {})))
	defer server.Close()
	r, err := http.NewRequest("GET", server.URL+"/page?q", nil)
	require.NoError(t, err)
	answer, err := server.Client().Do(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, edgecache.Hit, edge.Explain(r).Status)
}

// A Cache-Control that is too long to be read counts as no-store, and no setter makes it short enough to be read as anything else.
func TestSettersKeepWhatIsTooLongToBeRead(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Cache-Control", "max-age=60, "+strings.Repeat("x", 5000)+", max-age=60")
	edgecache.MaxAge(w, time.Hour)
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
}
