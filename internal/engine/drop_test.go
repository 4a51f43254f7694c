package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestDropHeaders(t *testing.T) {
	t.Run("fields of one exchange reach only its client", fieldsOfOneExchangeReachOnlyItsClient)
	t.Run("the list is configurable", theListIsConfigurable)
	t.Run("the default list belongs to its caller", theDefaultListBelongsToItsCaller)
}

// What belongs to one exchange reaches the client whose request ran the handler, and no other.
func fieldsOfOneExchangeReachOnlyItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs, mode := 0, "page"
		goOn := make(chan struct{})
		cache := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			runs++
			h := w.Header()
			h.Set("X-Request-Id", fmt.Sprint("handler ", runs))
			h.Set("X-RateLimit-Remaining", fmt.Sprint(100-runs))
			h.Set("Server-Timing", "db;dur=53")
			h.Set("Retry-After", "120")
			h.Set("NEL", "{}")
			h.Set("Etag", `"1"`)
			h.Set("Cache-Control", "max-age=10")
			if mode == "confirms" {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			_, _ = io.WriteString(w, "page")
			w.(http.Flusher).Flush()
			<-goOn
		}))
		get := func(method string, outer http.Header, status string) http.Header {
			w := httptest.NewRecorder()
			(&outside{next: cache, header: outer}).ServeHTTP(w, httptest.NewRequest(method, "/", nil))
			require.Equal(t, status, w.Header().Get("X-Cache"))
			require.Equal(t, "120", w.Header().Get("Retry-After"))
			require.Equal(t, "{}", w.Header().Get("Nel"))
			return w.Header()
		}
		own := func(h http.Header, run int) {
			t.Helper()
			require.Equal(t, fmt.Sprint("handler ", run), h.Get("X-Request-Id"))
			require.Equal(t, fmt.Sprint(100-run), h.Get("X-Ratelimit-Remaining"))
			require.Equal(t, "db;dur=53", h.Get("Server-Timing"))
		}
		none := func(h http.Header, id string) {
			t.Helper()
			require.Equal(t, id, h.Get("X-Request-Id"))
			require.NotContains(t, h, "X-Ratelimit-Remaining")
			require.NotContains(t, h, "Server-Timing")
		}
		var all sync.WaitGroup
		all.Go(func() { own(get("GET", nil, "MISS"), 1) })
		synctest.Wait()
		all.Go(func() { none(get("GET", nil, "HIT"), "") }) // reads along
		synctest.Wait()
		close(goOn)
		all.Wait()
		none(get("GET", nil, "HIT"), "")
		none(get("HEAD", nil, "HIT"), "")
		none(get("GET", http.Header{"X-Request-Id": {"outer"}}, "HIT"), "outer")
		time.Sleep(11 * time.Second)
		mode = "confirms"
		own(get("GET", nil, "REVALIDATED"), 2)
		none(get("GET", http.Header{"X-Request-Id": {"outer"}}, "HIT"), "outer")
	})
}

func theListIsConfigurable(t *testing.T) {
	for _, tt := range []struct {
		name string
		drop []string
		hit  http.Header
	}{
		{"the default", nil, http.Header{"X-Built-By": {"me"}, "X-Build-Host": {"a"}}},
		{"others", []string{"x-build-*"}, http.Header{"X-Built-By": {"me"}, "X-Request-Id": {"1"}}},
		{"none", []string{}, http.Header{"X-Built-By": {"me"}, "X-Build-Host": {"a"}, "X-Request-Id": {"1"}}},
	} {
		edge, err := edgecache.New(edgecache.Config{DropHeaders: tt.drop})
		require.NoError(t, err)
		h := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["x-build-host"] = []string{"a"}
			w.Header().Set("X-Built-By", "me")
			w.Header().Set("X-Request-Id", "1")
			_, _ = io.WriteString(w, "page")
		}))
		h.ServeHTTP(httptest.NewRecorder(), harness.Request("GET", "/"))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, harness.Request("GET", "/"))
		require.Equal(t, "HIT", w.Header().Get("X-Cache"))
		got := http.Header{}
		for _, name := range []string{"X-Built-By", "X-Build-Host", "X-Request-Id"} {
			if lines := w.Header()[name]; lines != nil {
				got[name] = lines
			}
		}
		require.Equal(t, tt.hit, got, tt.name)
	}
}

func theDefaultListBelongsToItsCaller(t *testing.T) {
	edgecache.DefaultDropHeaders()[0] = "Changed"
	require.Equal(t, "X-Request-Id", edgecache.DefaultDropHeaders()[0])
}
