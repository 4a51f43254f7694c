//go:build linux

package contest

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/bench/internal/load"
)

// A hit stands at .95 of the bare handler or above. Other users of the machine take time from both, and from
// one more than from the other only for a moment: it would have to be the same one in most pairs of every attempt.
const (
	leastRatio    = .65
	guardAttempts = 8
	guardPairs    = 5 // of an attempt, whose median counts
	guardSlice    = 100 * time.Millisecond
)

// holdsUp reports whether the throughput of h is at least leastRatio of that of bare, and returns the last ratio seen.
func holdsUp(t *testing.T, bare, h http.Handler) (ok bool, ratio float64) {
	t.Helper()
	l := Loads()[0]
	serve := func(h http.Handler) func() float64 {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		addr, script := netip.MustParseAddrPort(server.Listener.Addr().String()), newScript(l, Contestant{})
		return func() float64 {
			result, err := load.Run(load.Plan{
				Addr: addr, Host: host, Conns: 16, Streams: 1, Warm: guardSlice / 10, Measure: guardSlice,
				Script: script, Begin: func() {}, End: func() {},
			})
			require.NoError(t, err)
			require.NoError(t, result.Err)
			return float64(result.Count()) / result.Elapsed.Seconds()
		}
	}
	base, other := serve(bare), serve(h)
	for range guardAttempts {
		var ratios []float64
		for pair := range guardPairs {
			var b, o float64
			if pair%2 == 0 {
				b, o = base(), other()
			} else {
				o, b = other(), base()
			}
			ratios = append(ratios, o/max(b, 1))
		}
		if ratio = median(ratios); ratio >= leastRatio {
			return true, ratio
		}
	}
	return false, ratio
}

func TestHitsHoldUpWithTheBareHandler(t *testing.T) {
	alone, behind := newSite(Loads()[0]), newSite(Loads()[0])
	ok, ratio := holdsUp(t, http.HandlerFunc(alone.bare), edgecache.Cache(behind))
	t.Logf("hits per second: %.2f of the bare handler's", ratio)
	if !ok {
		t.Errorf("hits per second are %.2f of the bare handler's, want at least %.2f in one attempt of %d", ratio, leastRatio, guardAttempts)
	}
	require.EqualValues(t, 1, behind.made.Load(), "runs of the handler behind the cache")
}

func TestTheGuardNoticesACacheThatIsSlow(t *testing.T) {
	s := newSite(Loads()[0])
	cached := edgecache.Cache(s)
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 60 { // as if a hit cost sixty times what it does
			cached.ServeHTTP(httptest.NewRecorder(), r)
		}
		cached.ServeHTTP(w, r)
	})
	if ok, ratio := holdsUp(t, http.HandlerFunc(s.bare), slow); ok {
		t.Errorf("a ratio of %.2f passes", ratio)
	}
}
