package edgecache_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

// RFC 9211, 2.4: the ttl is what is left of the lifetime. A part of a second takes none of it, as in Age.
func TestTTLAndAgeAddUpToTheLifetime(t *testing.T) {
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
func TestDetailDoesNotRepeatFwd(t *testing.T) {
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
