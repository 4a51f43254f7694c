package engine_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestPurgeSoft(t *testing.T) {
	t.Run("it serves once more and refreshes (RFC 5861, 3)", itServesOnceMoreAndRefreshes)
	t.Run("its window counts from the purge", itsWindowCountsFromThePurge)
	t.Run("it does not prolong what is stale already", itDoesNotProlongWhatIsStaleAlready)
	t.Run("a second one does not begin the window again", aSecondOneDoesNotBeginTheWindowAgain)
	t.Run("without a window the page is fetched again", withoutAWindowThePageIsFetchedAgain)
	t.Run("a 304 confirms the page", a304ConfirmsThePage)
	t.Run("a failure serves stale within the window (RFC 5861, 4)", aFailureServesStaleWithinTheWindow)
	t.Run("an unreachable origin serves stale for its time", anUnreachableOriginServesStaleForItsTime)
	t.Run("what may not be used stale is not served", whatMayNotBeUsedStaleIsNotServed)
	t.Run("a hard purge after it removes", aHardPurgeAfterItRemoves)
	t.Run("a page that is stored after it is fresh", aPageThatIsStoredAfterItIsFresh)
	t.Run("Age goes on", ageGoesOn)
}

// eachSoft plays a scene with every kind of soft purge.
func eachSoft(t *testing.T, scene func(t *testing.T, s *harness.Origin, purge func())) {
	eachWay(t, edgecache.Config{Logger: harness.Silent(), HonorRequestDirectives: true}, func(t *testing.T, s *harness.Origin, how way, purge func()) {
		if how.soft {
			scene(t, s, purge)
		}
	})
}

func itServesOnceMoreAndRefreshes(t *testing.T) {
	eachSoft(t, func(t *testing.T, s *harness.Origin, purge func()) {
		store(s, "old", "Cache-Control", "max-age=600, stale-while-revalidate=60", "Cache-Groups", `"shop"`)
		time.Sleep(time.Second)
		purge()
		s.Send("GET", thePage).Gets(t, "UPDATING", 200, "old")
		refresh := s.Called()
		s.Send("GET", thePage).Gets(t, "UPDATING", 200, "old")
		s.Idle() // one refresh for all
		refresh.Writes("new", "Cache-Control", "max-age=600")
		s.Send("GET", thePage).Gets(t, "HIT", 200, "new")
	})
}

func itsWindowCountsFromThePurge(t *testing.T) {
	eachSoft(t, func(t *testing.T, s *harness.Origin, purge func()) {
		store(s, "old", "Cache-Control", "max-age=6000, stale-while-revalidate=60, stale-if-error=60", "Cache-Groups", `"shop"`)
		time.Sleep(100 * time.Second)
		purge()
		time.Sleep(60*time.Second - 1)
		s.Send("GET", thePage).Gets(t, "UPDATING", 200, "old")
		refresh := s.Called()
		refresh.Says(func(w http.ResponseWriter) { w.WriteHeader(503) })
		refresh.Ends()
		time.Sleep(time.Nanosecond)
		v := s.Send("GET", thePage)
		c := s.Called()
		c.Says(func(w http.ResponseWriter) { w.WriteHeader(503) })
		c.Ends()
		v.Gets(t, "BYPASS", 503, "")
	})
}

func itDoesNotProlongWhatIsStaleAlready(t *testing.T) {
	eachSoft(t, func(t *testing.T, s *harness.Origin, purge func()) {
		store(s, "old", "Cache-Control", "max-age=10, stale-while-revalidate=60", "Cache-Groups", `"shop"`)
		time.Sleep(69 * time.Second)
		purge()
		time.Sleep(time.Second)
		v := s.Send("GET", thePage)
		s.Called().Writes("new")
		v.Gets(t, "EXPIRED", 200, "new")
	})
}

func aSecondOneDoesNotBeginTheWindowAgain(t *testing.T) {
	eachSoft(t, func(t *testing.T, s *harness.Origin, purge func()) {
		store(s, "old", "Cache-Control", "max-age=6000, stale-while-revalidate=60", "Cache-Groups", `"shop"`)
		purge()
		time.Sleep(40 * time.Second)
		s.Send("GET", thePage).Gets(t, "UPDATING", 200, "old")
		s.Called().Says(func(w http.ResponseWriter) { panic(http.ErrAbortHandler) })
		purge()
		time.Sleep(20 * time.Second)
		v := s.Send("GET", thePage)
		s.Called().Writes("new")
		v.Gets(t, "EXPIRED", 200, "new")
	})
}

func withoutAWindowThePageIsFetchedAgain(t *testing.T) {
	eachSoft(t, func(t *testing.T, s *harness.Origin, purge func()) {
		store(s, "old", "Cache-Control", "max-age=600", "Cache-Groups", `"shop"`)
		purge()
		v := s.Send("GET", thePage)
		c := s.Called()
		if got := c.Request.Header.Get("If-None-Match"); got != "" {
			t.Errorf("got a condition %q on a tag that the handler never gave", got)
		}
		c.Writes("new", "Cache-Control", "max-age=600")
		v.Gets(t, "EXPIRED", 200, "new")
		if got := v.Sent.Get("Cache-Status"); !strings.Contains(got, "detail=purged") {
			t.Errorf("got Cache-Status %q, want the reason", got)
		}
		s.Send("GET", thePage).Gets(t, "HIT", 200, "new")
	})
}

func a304ConfirmsThePage(t *testing.T) {
	eachSoft(t, func(t *testing.T, s *harness.Origin, purge func()) {
		store(s, "old", "Cache-Control", "max-age=600", "Etag", `"1"`, "Cache-Groups", `"shop"`)
		purge()
		v := s.Send("GET", thePage)
		c := s.Called()
		require.Equal(t, `"1"`, c.Request.Header.Get("If-None-Match"))
		c.Says(func(w http.ResponseWriter) {
			w.Header().Set("Etag", `"1"`)
			w.WriteHeader(http.StatusNotModified)
		})
		c.Ends()
		v.Gets(t, "REVALIDATED", 200, "old")
		s.Send("GET", thePage).Gets(t, "HIT", 200, "old")
		purge()
		v = s.Send("GET", thePage)
		s.Called().Writes("new", "Cache-Groups", `"shop"`)
		v.Gets(t, "EXPIRED", 200, "new")
		s.Send("GET", thePage).Gets(t, "HIT", 200, "new")
	})
}

func aFailureServesStaleWithinTheWindow(t *testing.T) {
	eachSoft(t, func(t *testing.T, s *harness.Origin, purge func()) {
		store(s, "old", "Cache-Control", "max-age=6000, stale-if-error=60", "Cache-Groups", `"shop"`)
		time.Sleep(100 * time.Second)
		purge()
		fails := func(w http.ResponseWriter) { w.WriteHeader(503) }
		ask := func() *harness.Client {
			v := s.Send("GET", thePage)
			c := s.Called()
			c.Says(fails)
			c.Ends()
			return v
		}
		time.Sleep(60*time.Second - 1)
		ask().Gets(t, "STALE", 200, "old")
		ask().Gets(t, "STALE", 200, "old")
		ask().Gets(t, "STALE", 200, "old")
		s.Send("GET", thePage).Gets(t, "STALE", 200, "old") // the breaker
		s.Idle()
		time.Sleep(time.Nanosecond)
		ask().Gets(t, "BYPASS", 503, "") // the window is over, for the breaker too
	})
}

func anUnreachableOriginServesStaleForItsTime(t *testing.T) {
	eachWay(t, edgecache.Config{StaleIfUnreachable: time.Minute}, func(t *testing.T, s *harness.Origin, how way, purge func()) {
		if !how.soft {
			return
		}
		store(s, "old", "Cache-Control", "max-age=6000", "Cache-Groups", `"shop"`)
		purge()
		fails := func(w http.ResponseWriter) { edgecache.OriginError(w); w.WriteHeader(502) }
		for _, at := range []struct {
			after  time.Duration
			status string
			code   int
			text   string
		}{{time.Minute - 1, "STALE", 200, "old"}, {1, "BYPASS", 502, ""}} {
			time.Sleep(at.after)
			v := s.Send("GET", thePage)
			c := s.Called()
			c.Says(fails)
			c.Ends()
			v.Gets(t, at.status, at.code, at.text)
		}
	})
}

func whatMayNotBeUsedStaleIsNotServed(t *testing.T) {
	for _, directive := range []string{"must-revalidate", "proxy-revalidate", "s-maxage=600"} {
		eachSoft(t, func(t *testing.T, s *harness.Origin, purge func()) {
			store(s, "old", "Cache-Control", "max-age=600, stale-while-revalidate=60, stale-if-error=60, "+directive, "Cache-Groups", `"shop"`)
			purge()
			v := s.Send("GET", thePage, "Cache-Control", "max-stale")
			c := s.Called()
			c.Says(func(w http.ResponseWriter) { w.WriteHeader(503) })
			c.Ends()
			v.Gets(t, "BYPASS", 503, "")
		})
	}
}

func aHardPurgeAfterItRemoves(t *testing.T) {
	for _, how := range ways() {
		if how.soft {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewOrigin(t, edgecache.Config{})
			store(s, "old", "Cache-Control", "max-age=600, stale-while-revalidate=60, stale-if-error=60", "Etag", `"1"`, "Cache-Groups", `"shop"`)
			_, err := s.Edge.Soft().PurgeTags(t.Context(), "shop")
			require.NoError(t, err)
			require.NoError(t, how.purge(t.Context(), s.Edge))
			v := s.Send("GET", thePage)
			c := s.Called()
			if got := c.Request.Header.Get("If-None-Match"); got != "" {
				t.Errorf("%s: got a condition %q", how.name, got)
			}
			c.Writes("new")
			v.Gets(t, "MISS", 200, "new")
		})
	}
}

func aPageThatIsStoredAfterItIsFresh(t *testing.T) {
	eachSoft(t, func(t *testing.T, s *harness.Origin, purge func()) {
		purge()
		store(s, "new", "Cache-Control", "max-age=600", "Cache-Groups", `"shop"`)
		s.Send("GET", thePage).Gets(t, "HIT", 200, "new")
	})
}

func ageGoesOn(t *testing.T) {
	eachSoft(t, func(t *testing.T, s *harness.Origin, purge func()) {
		store(s, "old", "Cache-Control", "max-age=600, stale-while-revalidate=60", "Cache-Groups", `"shop"`)
		time.Sleep(30 * time.Second)
		purge()
		time.Sleep(10 * time.Second)
		v := s.Send("GET", thePage)
		if got := fmt.Sprint(v.Sent["Age"]); got != "[40]" {
			t.Errorf("Age: got %s, want 40", got)
		}
		if got := v.Sent.Get("Cache-Status"); !strings.Contains(got, "ttl=-10") {
			t.Errorf("Cache-Status: got %q, want a ttl of -10 seconds: it is stale since then", got)
		}
		s.Called().Writes("new")
	})
}
