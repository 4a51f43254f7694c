package edgecache_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

// eachSoft plays a scene with every kind of soft purge.
func eachSoft(t *testing.T, scene func(t *testing.T, s *rehearsal, purge func())) {
	eachWay(t, edgecache.Config{Logger: silent(), HonorRequestDirectives: true}, func(t *testing.T, s *rehearsal, how way, purge func()) {
		if how.soft {
			scene(t, s, purge)
		}
	})
}

func TestSoftPurgeServesOnceMoreAndRefreshesRFC5861Section3(t *testing.T) {
	eachSoft(t, func(t *testing.T, s *rehearsal, purge func()) {
		s.fill("old", "Cache-Control", "max-age=600, stale-while-revalidate=60", "Cache-Groups", `"shop"`)
		time.Sleep(time.Second)
		purge()
		s.send("GET", thePage).gets("UPDATING", 200, "old")
		refresh := s.called()
		s.send("GET", thePage).gets("UPDATING", 200, "old")
		s.idle() // one refresh for all
		refresh.writes("new", "Cache-Control", "max-age=600")
		s.send("GET", thePage).gets("HIT", 200, "new")
	})
}

func TestWindowOfASoftPurgeCountsFromThePurge(t *testing.T) {
	eachSoft(t, func(t *testing.T, s *rehearsal, purge func()) {
		s.fill("old", "Cache-Control", "max-age=6000, stale-while-revalidate=60, stale-if-error=60", "Cache-Groups", `"shop"`)
		time.Sleep(100 * time.Second)
		purge()
		time.Sleep(60*time.Second - 1)
		s.send("GET", thePage).gets("UPDATING", 200, "old")
		refresh := s.called()
		refresh.says(func(w http.ResponseWriter) { w.WriteHeader(503) })
		refresh.ends()
		time.Sleep(time.Nanosecond)
		v := s.send("GET", thePage)
		c := s.called()
		c.says(func(w http.ResponseWriter) { w.WriteHeader(503) })
		c.ends()
		v.gets("BYPASS", 503, "")
	})
}

func TestSoftPurgeDoesNotProlongWhatIsStaleAlready(t *testing.T) {
	eachSoft(t, func(t *testing.T, s *rehearsal, purge func()) {
		s.fill("old", "Cache-Control", "max-age=10, stale-while-revalidate=60", "Cache-Groups", `"shop"`)
		time.Sleep(69 * time.Second)
		purge()
		time.Sleep(time.Second)
		v := s.send("GET", thePage)
		s.called().writes("new")
		v.gets("EXPIRED", 200, "new")
	})
}

func TestSecondSoftPurgeDoesNotBeginTheWindowAgain(t *testing.T) {
	eachSoft(t, func(t *testing.T, s *rehearsal, purge func()) {
		s.fill("old", "Cache-Control", "max-age=6000, stale-while-revalidate=60", "Cache-Groups", `"shop"`)
		purge()
		time.Sleep(40 * time.Second)
		s.send("GET", thePage).gets("UPDATING", 200, "old")
		s.called().says(func(w http.ResponseWriter) { panic(http.ErrAbortHandler) })
		purge()
		time.Sleep(20 * time.Second)
		v := s.send("GET", thePage)
		s.called().writes("new")
		v.gets("EXPIRED", 200, "new")
	})
}

func TestSoftPurgeWithoutAWindowMakesThePageAnew(t *testing.T) {
	eachSoft(t, func(t *testing.T, s *rehearsal, purge func()) {
		s.fill("old", "Cache-Control", "max-age=600", "Cache-Groups", `"shop"`)
		purge()
		v := s.send("GET", thePage)
		c := s.called()
		if got := c.r.Header.Get("If-None-Match"); got != "" {
			t.Errorf("got a condition %q on a tag that the handler never gave", got)
		}
		c.writes("new", "Cache-Control", "max-age=600")
		v.gets("EXPIRED", 200, "new")
		if got := v.w.Header().Get("Cache-Status"); !strings.Contains(got, "detail=purged") {
			t.Errorf("got Cache-Status %q, want the reason", got)
		}
		s.send("GET", thePage).gets("HIT", 200, "new")
	})
}

func TestSoftPurgeIsConfirmedByA304(t *testing.T) {
	eachSoft(t, func(t *testing.T, s *rehearsal, purge func()) {
		s.fill("old", "Cache-Control", "max-age=600", "Etag", `"1"`, "Cache-Groups", `"shop"`)
		purge()
		v := s.send("GET", thePage)
		c := s.called()
		require.Equal(t, `"1"`, c.r.Header.Get("If-None-Match"))
		c.says(func(w http.ResponseWriter) {
			w.Header().Set("Etag", `"1"`)
			w.WriteHeader(http.StatusNotModified)
		})
		c.ends()
		v.gets("REVALIDATED", 200, "old")
		s.send("GET", thePage).gets("HIT", 200, "old")
		purge()
		v = s.send("GET", thePage)
		s.called().writes("new", "Cache-Groups", `"shop"`)
		v.gets("EXPIRED", 200, "new")
		s.send("GET", thePage).gets("HIT", 200, "new")
	})
}

func TestSoftPurgeThenFailureServesStaleWithinTheWindowRFC5861Section4(t *testing.T) {
	eachSoft(t, func(t *testing.T, s *rehearsal, purge func()) {
		s.fill("old", "Cache-Control", "max-age=6000, stale-if-error=60", "Cache-Groups", `"shop"`)
		time.Sleep(100 * time.Second)
		purge()
		fails := func(w http.ResponseWriter) { w.WriteHeader(503) }
		ask := func() *visitor {
			v := s.send("GET", thePage)
			c := s.called()
			c.says(fails)
			c.ends()
			return v
		}
		time.Sleep(60*time.Second - 1)
		ask().gets("STALE", 200, "old")
		ask().gets("STALE", 200, "old")
		ask().gets("STALE", 200, "old")
		s.send("GET", thePage).gets("STALE", 200, "old") // the breaker
		s.idle()
		time.Sleep(time.Nanosecond)
		ask().gets("BYPASS", 503, "") // the window is over, for the breaker too
	})
}

func TestSoftPurgeThenAnUnreachableOriginServesStaleForItsTime(t *testing.T) {
	eachWay(t, edgecache.Config{StaleIfUnreachable: time.Minute}, func(t *testing.T, s *rehearsal, how way, purge func()) {
		if !how.soft {
			return
		}
		s.fill("old", "Cache-Control", "max-age=6000", "Cache-Groups", `"shop"`)
		purge()
		fails := func(w http.ResponseWriter) { edgecache.OriginError(w); w.WriteHeader(502) }
		for _, at := range []struct {
			after  time.Duration
			status string
			code   int
			text   string
		}{{time.Minute - 1, "STALE", 200, "old"}, {1, "BYPASS", 502, ""}} {
			time.Sleep(at.after)
			v := s.send("GET", thePage)
			c := s.called()
			c.says(fails)
			c.ends()
			v.gets(at.status, at.code, at.text)
		}
	})
}

func TestSoftPurgeOfWhatMayNotBeUsedStale(t *testing.T) {
	for _, directive := range []string{"must-revalidate", "proxy-revalidate", "s-maxage=600"} {
		eachSoft(t, func(t *testing.T, s *rehearsal, purge func()) {
			s.fill("old", "Cache-Control", "max-age=600, stale-while-revalidate=60, stale-if-error=60, "+directive, "Cache-Groups", `"shop"`)
			purge()
			v := s.send("GET", thePage, "Cache-Control", "max-stale")
			c := s.called()
			c.says(func(w http.ResponseWriter) { w.WriteHeader(503) })
			c.ends()
			v.gets("BYPASS", 503, "")
		})
	}
}

func TestHardPurgeAfterASoftOneRemoves(t *testing.T) {
	for _, how := range ways() {
		if how.soft {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			s := newRehearsal(t, edgecache.Config{})
			s.fill("old", "Cache-Control", "max-age=600, stale-while-revalidate=60, stale-if-error=60", "Etag", `"1"`, "Cache-Groups", `"shop"`)
			_, err := s.edge.Soft().PurgeTags(t.Context(), "shop")
			require.NoError(t, err)
			require.NoError(t, how.purge(t.Context(), s.edge))
			v := s.send("GET", thePage)
			c := s.called()
			if got := c.r.Header.Get("If-None-Match"); got != "" {
				t.Errorf("%s: got a condition %q", how.name, got)
			}
			c.writes("new")
			v.gets("MISS", 200, "new")
		})
	}
}

func TestPageStoredAfterASoftPurgeIsFresh(t *testing.T) {
	eachSoft(t, func(t *testing.T, s *rehearsal, purge func()) {
		purge()
		s.fill("new", "Cache-Control", "max-age=600", "Cache-Groups", `"shop"`)
		s.send("GET", thePage).gets("HIT", 200, "new")
	})
}

func TestAgeGoesOnAfterASoftPurge(t *testing.T) {
	eachSoft(t, func(t *testing.T, s *rehearsal, purge func()) {
		s.fill("old", "Cache-Control", "max-age=600, stale-while-revalidate=60", "Cache-Groups", `"shop"`)
		time.Sleep(30 * time.Second)
		purge()
		time.Sleep(10 * time.Second)
		v := s.send("GET", thePage)
		if got := fmt.Sprint(v.w.Header()["Age"]); got != "[40]" {
			t.Errorf("Age: got %s, want 40", got)
		}
		if got := v.w.Header().Get("Cache-Status"); !strings.Contains(got, "ttl=-10") {
			t.Errorf("Cache-Status: got %q, want a ttl of -10 seconds: it is stale since then", got)
		}
		s.called().writes("new")
	})
}
