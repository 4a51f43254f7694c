package edgecache_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

// queryFailed is the key under which a request's context has the place to note that its query has failed.
type queryFailed struct{}

// noting gives each request that place. It stands outside of the hook.
func noting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), queryFailed{}, new(atomic.Bool))))
	})
}

// noteFailure is for where the GraphQL library tells of errors, before it writes: AroundResponses of gqlgen, for instance.
func noteFailure(ctx context.Context) {
	if failed, ok := ctx.Value(queryFailed{}).(*atomic.Bool); ok {
		failed.Store(true)
	}
}

// GraphQL answers 200 although the query has failed: with errors in the body, which no header tells.
func ExampleAfterRequest_graphQL() {
	graphQL := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edgecache.CacheFor(w, time.Minute)
		w.Header().Set("Content-Type", "application/json")
		if r.FormValue("query") == "{user}" {
			fmt.Fprint(w, `{"data":"Ada"}`)
			return
		}
		noteFailure(r.Context())
		fmt.Fprint(w, `{"errors":["no such field"]}`)
	})
	forbid := edgecache.AfterRequest(func(r *http.Request, status int, header http.Header) {
		if failed, ok := r.Context().Value(queryFailed{}).(*atomic.Bool); ok && failed.Load() {
			header.Set("Cache-Control", "no-store")
			header.Del("CDN-Cache-Control") // it would count in place of the other
		}
	})
	site := edgecache.Cache(noting(forbid(graphQL)))

	for range 2 {
		ask(site, "GET", "/graphql?query=%7Buser%7D")
		ask(site, "GET", "/graphql?query=%7Buzer%7D")
	}
	// Output:
	// MISS {"data":"Ada"}
	// BYPASS {"errors":["no such field"]}
	// HIT {"data":"Ada"}
	// BYPASS {"errors":["no such field"]}
}

// A page that is deleted is gone with its next refresh; a purge takes it away at once.
func TestDeletedPageTurns404(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deleted atomic.Bool
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, _ int) {
			if deleted.Load() {
				http.NotFound(w, r)
				return
			}
			edgecache.MaxAge(w, time.Minute)
			edgecache.StaleWhileRevalidate(w, time.Hour)
			fmt.Fprint(w, "post")
		})
		s.Visit("/blog/1").Wants(t, "MISS", 200, "post")
		s.Visit("/blog/2").Wants(t, "MISS", 200, "post")
		deleted.Store(true)
		s.Visit("/blog/1").Wants(t, "HIT", 200, "post")
		time.Sleep(61 * time.Second)
		s.Visit("/blog/1").Wants(t, "UPDATING", 200, "post")
		synctest.Wait()
		s.Visit("/blog/1").Wants(t, "HIT", 404, "404 page not found\n")
		time.Sleep(31 * time.Second)
		s.Visit("/blog/1").Wants(t, "EXPIRED", 404, "404 page not found\n")

		n, err := s.Edge.Purge(t.Context(), "/blog/2")
		require.NoError(t, err)
		require.Equal(t, 1, n)
		s.Visit("/blog/2").Wants(t, "MISS", 404, "404 page not found\n")
	})
}
