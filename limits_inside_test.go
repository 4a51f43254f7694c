package edgecache

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/policy"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// What a policy restricts reaches every Edge inside of it, also by the request of a background
// refresh, which has no other values of its client's context.
func TestLimitsReachWhatLiesFurtherInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		further, err := New(Config{})
		require.NoError(t, err)
		between, err := New(Config{})
		require.NoError(t, err)
		var seen []*rules.Limits
		h := Policy{Vary: []string{"Accept"}, MaxAge: time.Hour}.Handler(between.Handler(
			Policy{MaxAge: time.Minute}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				limits, entered, _ := further.engine.Outside(r)
				require.False(t, entered)
				seen = append(seen, limits)
				_, entered, _ = between.engine.Outside(r)
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

// A Vary that no cache reads in full cannot tell anything apart.
func TestLimitsOfAVaryThatIsTooLong(t *testing.T) {
	names := make([]string, 100)
	for i := range names {
		names[i] = "X-" + string(rune('A'+i%26)) + string(rune('A'+i/26))
	}
	require.True(t, (&policy.Policy{Vary: names}).Limits().Passes())
	require.False(t, (&policy.Policy{Vary: names[:3]}).Limits().Passes())
	require.Nil(t, (&policy.Policy{Public: true, Immutable: true, Tags: []string{"a"}}).Limits())
}
