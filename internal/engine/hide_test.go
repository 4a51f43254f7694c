package engine_test

import (
	"fmt"
	"io"
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

func TestHideTags(t *testing.T) {
	t.Run("tags do not reach the client", tagsDoNotReachTheClient)
	t.Run("a hidden invalidation counts until the end", aHiddenInvalidationCountsUntilTheEnd)
}

func TestCacheStatus(t *testing.T) {
	t.Run("ttl and Age add up to the lifetime (RFC 9211, 2.4)", ttlAndAgeAddUpToTheLifetime)
	t.Run("detail does not repeat fwd", detailDoesNotRepeatFwd)
}

// tagsIn returns the fields of RFC 9875 in a response, in any spelling.
func tagsIn(h http.Header) (names []string) {
	for name := range h {
		if strings.HasPrefix(strings.ToLower(name), "cache-group") {
			names = append(names, name)
		}
	}
	return names
}

func tagsDoNotReachTheClient(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		edgecache.Tag(w, "post-42")
		switch r.URL.Path {
		case "/odd":
			w.Header()["cache-groups"] = w.Header()["Cache-Groups"]
			w.Header().Del("Cache-Groups")
		case "/private":
			edgecache.Private(w)
		case "/lm":
			edgecache.MaxAge(w, time.Second)
			if edgecache.NotModified(w, r, edgecache.Revision("a")) {
				return
			}
			fmt.Fprint(w, "page")
			return
		case "/save":
			edgecache.Invalidate(w, "post-42")
			w.WriteHeader(http.StatusNoContent)
			return
		case "/large":
			w.Header().Set("Etag", `"a"`)
			io.WriteString(w, strings.Repeat("x", 5000))
			return
		}
		w.Header().Set("Etag", `"a"`)
		fmt.Fprint(w, "page")
	}
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewSite(t, edgecache.Config{HideTags: true}, handler)
		see := func(word string, r *http.Response) {
			t.Helper()
			require.Equal(t, word, r.Header.Get("X-Cache"))
			require.Empty(t, tagsIn(r.Header), r.Header)
		}
		for _, path := range []string{"/", "/odd", "/large"} {
			see("MISS", s.Get(path))
			see("HIT", s.Get(path))
			r := s.Get(path, "If-None-Match", `"a"`)
			require.Equal(t, 304, r.StatusCode)
			see("HIT", r)
			r = s.Get(path, "Range", "bytes=0-1")
			require.Equal(t, 206, r.StatusCode)
			see("HIT", r)
			see("HIT", s.Do("HEAD", path))
		}
		see("MISS", s.Get("/?c", "If-None-Match", `"a"`))
		see("MISS", s.Get("/large?c", "Range", "bytes=0-1"))
		see("BYPASS", s.Get("/private"))
		see("DYNAMIC", s.Get("/?d", "Cookie", "session=1"))
		see("DYNAMIC", s.Get("/?e", "If-Match", "*"))
		see("DYNAMIC", s.Do("OPTIONS", "/"))
		see("MISS", s.Do("HEAD", "/?f"))
		see("MISS", s.Get("/lm"))
		time.Sleep(time.Second)
		see("REVALIDATED", s.Get("/lm"))

		n, err := s.Edge.PurgeTags(t.Context(), "post-42")
		require.NoError(t, err)
		require.Positive(t, n)
		for _, path := range []string{"/", "/odd", "/large"} {
			see("MISS", s.Get(path))
			see("HIT", s.Get(path))
		}
		see("DYNAMIC", s.Do("PUT", "/save"))
		see("MISS", s.Get("/"))
		see("HIT", s.Get("/"))
		see("DYNAMIC", s.Do("POST", "/save"))
		see("MISS", s.Get("/"))
	})

	// A waiter for another request's response is a client, too.
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{HideTags: true}, func(w http.ResponseWriter, r *http.Request, _ int) {
			time.Sleep(time.Second)
			handler(w, r)
		})
		all := s.Visits(5, "/large")
		require.Equal(t, map[string]int{"MISS": 1, "HIT": 4}, harness.Words(all))
		for _, v := range all {
			require.Empty(t, tagsIn(v.Sent))
		}
	})

	// Clients see them without it, and a cache outside sees nothing with it.
	s := harness.NewSite(t, edgecache.Config{}, handler)
	require.Equal(t, []string{"Cache-Groups"}, tagsIn(s.Get("/").Header))
	inner, err := edgecache.New(edgecache.Config{HideTags: true, StatusName: "inner"})
	require.NoError(t, err)
	outer, err := edgecache.New(edgecache.Config{StatusName: "outer"})
	require.NoError(t, err)
	both := outer.Handler(inner.Handler(http.HandlerFunc(handler)))
	both.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	n, err := outer.PurgeTags(t.Context(), "post-42")
	require.NoError(t, err)
	require.Zero(t, n)
}

// Invalidate works although it is hidden, also for what is stored between the header and the end of
// the answer.
func aHiddenInvalidationCountsUntilTheEnd(t *testing.T) {
	for _, method := range []string{"POST", "PUT"} {
		var s *harness.Site
		s = harness.NewSite(t, edgecache.Config{HideTags: true}, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != "GET" {
				edgecache.Invalidate(w, "front")
				fmt.Fprint(w, "saved")
				s.Get("/") // before the commit
				return
			}
			edgecache.Tag(w, "front")
			fmt.Fprint(w, "page")
		})
		require.Empty(t, tagsIn(s.Do(method, "/save").Header))
		harness.Want(t, s.Get("/"), "MISS", 200, "page")
	}
}

// RFC 9211, 2.4: the ttl is what is left of the lifetime. A part of a second takes none of it, as
// in Age.
func ttlAndAgeAddUpToTheLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			edgecache.MaxAge(w, 2*time.Minute)
			edgecache.StaleWhileRevalidate(w, time.Minute)
			time.Sleep(300 * time.Millisecond)
			fmt.Fprint(w, "page")
		})
		for _, step := range []struct {
			after       time.Duration // since the step before
			age, status string
		}{
			{0, "", "edgecache; fwd=uri-miss; stored; ttl=120"},
			{0, "0", "edgecache; hit; ttl=120"},
			{600 * time.Millisecond, "0", "edgecache; hit; ttl=120"},
			{100 * time.Millisecond, "1", "edgecache; hit; ttl=119"},
			{118900 * time.Millisecond, "119", "edgecache; hit; ttl=1"},
			{100 * time.Millisecond, "120", "edgecache; hit; ttl=0; detail=stale-while-revalidate"},
		} {
			time.Sleep(step.after)
			r := s.Get("/")
			require.Equal(t, step.age, r.Header.Get("Age"))
			require.Equal(t, step.status, r.Header.Get("Cache-Status"))
		}
		time.Sleep(time.Second) // the refresh ends
	})
}

// Cache-Status says each word once: where fwd tells the reason, detail would repeat it.
func detailDoesNotRepeatFwd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			edgecache.MaxAge(w, time.Minute)
			edgecache.Vary(w, "X-Colour")
			fmt.Fprint(w, "page")
		})
		status := func(method string, header ...string) string {
			return s.Do(method, "/", header...).Header.Get("Cache-Status")
		}
		require.Equal(t, "edgecache; fwd=uri-miss; stored; ttl=60", status("GET"))
		require.Equal(t, "edgecache; fwd=vary-miss; stored; ttl=60", status("GET", "X-Colour", "red"))
		require.Equal(t, "edgecache; fwd=bypass; detail=request-body", status("GET", "Content_Length", "5"))
		time.Sleep(time.Minute)
		require.Equal(t, "edgecache; fwd=stale; stored; ttl=60", status("GET"))
		require.Equal(t, "edgecache; fwd=method", status("POST"))
		_, err := s.Edge.Purge(t.Context(), "http://example.com/")
		require.NoError(t, err)
		require.Equal(t, "edgecache; fwd=uri-miss; stored; ttl=60", status("GET"))
	})
}
