package engine_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/engine"
	"github.com/edgecache-go/edgecache/internal/rules"
)

func TestPolicyInside(t *testing.T) {
	t.Run("limits reach caches further inside", limitsReachCachesFurtherInside)
}

// What a policy restricts reaches every Edge inside of it, also by the request of a background
// refresh, which has no other values of its client's context.
func limitsReachCachesFurtherInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		further, err := edgecache.New(edgecache.Config{})
		require.NoError(t, err)
		between, err := edgecache.New(edgecache.Config{})
		require.NoError(t, err)
		var seen []*rules.Limits
		h := edgecache.Policy{Vary: []string{"Accept"}, MaxAge: time.Hour}.Handler(between.Handler(
			edgecache.Policy{MaxAge: time.Minute}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				limits, entered, _ := engine.Of(further).Outside(r)
				require.False(t, entered)
				seen = append(seen, limits)
				_, entered, _ = engine.Of(between).Outside(r)
				require.True(t, entered)
				w.Header().Set("Cache-Control", "max-age=1, stale-while-revalidate=60")
				w.WriteHeader(http.StatusOK)
			}))))
		var words []string
		for range 3 {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			words = append(words, w.Result().Header.Get("X-Cache"))
			time.Sleep(2 * time.Second)
		}
		require.Equal(t, []string{"MISS", "UPDATING", "UPDATING"}, words)
		require.Len(t, seen, 3)
		for _, limits := range seen {
			require.Equal(t, &rules.Limits{Lifetime: time.Minute, Vary: []string{"Accept"}}, limits)
		}
	})
}
