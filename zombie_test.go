package edgecache_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

// By what the client accepts it is decided in which coding it gets the page, not by what the
// handler has made of its header: one that http.TimeoutHandler gave up may still change that. Run
// with -race.
func TestHandlerMayChangeItsRequestWhileACodedPageStandsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := prose("one")
		calls, left := 0, make(chan struct{})
		edge, err := edgecache.New(edgecache.Config{Compress: true})
		require.NoError(t, err)
		h := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if calls++; calls == 1 {
				speak(w, page, "Cache-Control", "max-age=10, stale-if-error=600")
				return
			}
			r.Header.Set("Accept-Encoding", "br")
			go func() {
				defer close(left)
				for range 1000 {
					r.Header.Set("X-Team", "blue")
					r.Header.Del("X-Team")
				}
			}()
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		get := func(method, accepts string) *http.Response {
			r := harness.Request(method, "/", "Accept-Encoding", accepts)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			synctest.Wait()
			return w.Result()
		}
		for range 2 {
			get("GET", "br")
			get("GET", "gzip")
		}
		time.Sleep(time.Minute)
		r := get("GET", "gzip")
		<-left
		require.Equal(t, "STALE", r.Header.Get("X-Cache"))
		require.Equal(t, "gzip", r.Header.Get("Content-Encoding"))
		_, err = io.Copy(io.Discard, r.Body)
		require.NoError(t, err)
	})
}

// Likewise of a HEAD.
func TestHandlerMayChangeTheRequestOfAHeadOfACodablePage(t *testing.T) {
	left := make(chan struct{})
	edge, err := edgecache.New(edgecache.Config{Compress: true})
	require.NoError(t, err)
	h := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		go func() {
			defer close(left)
			for range 1000 {
				r.Header.Set("Cookie", "session=1")
				r.Header.Del("Cookie")
			}
		}()
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusOK)
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, harness.Request("HEAD", "/"))
	<-left
	require.Equal(t, "Accept-Encoding", w.Header().Get("Vary"))
}
