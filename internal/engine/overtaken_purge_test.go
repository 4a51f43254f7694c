package engine

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/flight"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// A purge takes its number before it leaves its mark. A leader that begins in between finds the old
// page still good, and ends its flight with it; a request that joins that flight may have come when
// the purge was over.
func TestCollapseOvertakenByAPurge(t *testing.T) {
	for _, purged := range []bool{false, true} {
		e := newDefault()
		h, ok := e.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=3600")
			w.WriteHeader(http.StatusOK)
		})).(*handler)
		require.True(t, ok)
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
		come := func() *fetch {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			req := e.rules.Request(r)
			k, ok := key.Of(nil, r)
			require.True(t, ok)
			x := h.newExchange(httptest.NewRecorder(), r, &req, k, nil, rules.URIMiss, time.Now())
			return x.newFetch()
		}
		leader, follower := come(), come()
		number := e.Mutants().NextNumber()
		enter := func(f *fetch) (*flight.Flight[result], flight.Role) {
			return e.flights.Join(f.flightID(nil, nil), number, time.Now(), func(fl *flight.Flight[result]) bool {
				return f.mayJoin(fl, number, time.Now())
			}, func() (*flight.Flight[result], []byte) { return &f.own, f.flightID(nil, nil) })
		}
		fl, role := enter(leader)
		require.Equal(t, flight.Lead, role)
		_, role = enter(follower)
		require.Equal(t, flight.Follow, role)
		require.NotNil(t, leader.recheck(fl))
		if purged {
			e.Mutants().FinishPurge(leader.key, number)
		}
		result, outcome := fl.Wait(t.Context())
		require.Equal(t, flight.Shared, outcome)
		done, _ := follower.collapse(fl, result, outcome, number)
		require.Equal(t, !purged, done)
	}
}
