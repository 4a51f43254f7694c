package edgecache_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

func TestFillBegunBeforeAPurgeIsDeliveredAndNotKept(t *testing.T) {
	eachWay(t, edgecache.Config{}, func(t *testing.T, s *rehearsal, how way, purge func()) {
		first := s.send("GET", thePage)
		old := s.called()
		waiter := s.send("GET", thePage)
		purge()
		old.writes("old", "Cache-Control", itsHead, "Cache-Groups", `"shop"`)
		first.gets("MISS", 200, "old")
		waiter.gets("HIT", 200, "old")
		later := s.send("GET", thePage)
		s.called().writes("new", "Cache-Control", itsHead)
		later.gets("MISS", 200, "new")
		s.send("GET", thePage).gets("HIT", 200, "new")
	})
}

func TestFillWhoseHeaderIsOutBeforeAPurgeIsDeliveredAndNotKept(t *testing.T) {
	eachWay(t, edgecache.Config{}, func(t *testing.T, s *rehearsal, how way, purge func()) {
		first := s.send("GET", thePage)
		old := s.called()
		old.says(func(w http.ResponseWriter) {
			edgecache.Tag(w, "shop")
			_, _ = io.WriteString(w, "o")
			_ = http.NewResponseController(w).Flush()
		})
		waiter := s.send("GET", thePage)
		purge()
		later := s.send("GET", thePage) // must not read the body that grows
		s.called().writes("new")
		later.gets("MISS", 200, "new")
		old.writes("ld")
		first.gets("MISS", 200, "old")
		waiter.gets("HIT", 200, "old")
		s.send("GET", thePage).gets("HIT", 200, "new") // the older fill, which ended later, has not taken its place
	})
}

func TestPurgeOfSomethingElseLetsAFillBe(t *testing.T) {
	for _, how := range ways() {
		if how.control == nil {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			s := newRehearsal(t, edgecache.Config{})
			first := s.send("GET", thePage)
			c := s.called()
			require.NoError(t, how.control(t.Context(), s.edge))
			later := s.send("GET", thePage)
			c.writes("page", "Cache-Groups", `"shop"`)
			first.gets("MISS", 200, "page")
			later.gets("HIT", 200, "page")
			s.send("GET", thePage).gets("HIT", 200, "page")
		})
	}
}

func TestRequestAfterAPurgeNeverJoinsWhatBeganBefore(t *testing.T) {
	eachWay(t, edgecache.Config{}, func(t *testing.T, s *rehearsal, how way, purge func()) {
		first := s.send("GET", thePage)
		old := s.called()
		purge()
		later, latest := s.send("GET", thePage), s.send("GET", thePage)
		if how.header {
			// Only the header tells if the page carries the tag.
			s.idle()
			old.says(func(w http.ResponseWriter) {
				edgecache.Tag(w, "shop")
				_, _ = io.WriteString(w, "old")
				_ = http.NewResponseController(w).Flush()
			})
		}
		fresh := s.called()
		s.idle() // both wait for the same run
		last := s.send("GET", thePage)
		s.idle()
		fresh.writes("new")
		later.gets2("new", latest)
		last.gets("HIT", 200, "new")
		if how.header {
			old.ends()
		} else {
			old.writes("old")
		}
		first.gets("MISS", 200, "old")
		s.send("GET", thePage).gets("HIT", 200, "new")
	})
}

// gets2 checks that of two visitors one led and the other one followed.
func (v *visitor) gets2(text string, other *visitor) {
	v.t.Helper()
	if v.w.Header().Get("X-Cache") == "HIT" {
		v, other = other, v
	}
	v.gets("MISS", 200, text)
	other.gets("HIT", 200, text)
}

// What is stored for a URL tells the tags that its next page will likely carry: who comes after a purge does not even wait for the header.
func TestRequestAfterATagPurgeDoesNotWaitForAPageOfThatTag(t *testing.T) {
	for _, soft := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newRehearsal(t, edgecache.Config{})
			s.fill("first", "Cache-Control", itsHead, "Cache-Groups", `"shop"`)
			time.Sleep(61 * time.Second)
			first := s.send("GET", thePage)
			old := s.called()
			_, err := purger(s.edge, soft).PurgeTags(t.Context(), "shop")
			require.NoError(t, err)
			later := s.send("GET", thePage)
			s.called().writes("new")
			later.gets(map[bool]string{true: "EXPIRED", false: "MISS"}[soft], 200, "new")
			old.writes("old", "Cache-Groups", `"shop"`)
			first.gets("EXPIRED", 200, "old")
			s.send("GET", thePage).gets("HIT", 200, "new")
		})
	}
}

// Two purges of one tag leave one mark: the second must not hide the first from who came in between.
func TestRequestBetweenTwoPurgesGetsWhatIsNewerThanTheFirst(t *testing.T) {
	eachWay(t, edgecache.Config{}, func(t *testing.T, s *rehearsal, how way, purge func()) {
		first := s.send("GET", thePage)
		old := s.called()
		purge()
		between := s.send("GET", thePage)
		purge()
		if !how.header {
			s.called().writes("new", "Cache-Groups", `"shop"`)
		}
		old.writes("old", "Cache-Groups", `"shop"`)
		first.gets("MISS", 200, "old")
		if how.header {
			s.called().writes("new")
		}
		between.gets("MISS", 200, "new")
		after := s.send("GET", thePage)
		if !how.header {
			s.called().writes("newest")
			after.gets("MISS", 200, "newest")
		} else {
			after.gets("HIT", 200, "new")
		}
	})
}

func TestConfirmationOnItsWayRevivesNothing(t *testing.T) {
	eachWay(t, edgecache.Config{}, func(t *testing.T, s *rehearsal, how way, purge func()) {
		s.fill("old", "Cache-Control", itsHead, "Etag", `"1"`, "Cache-Groups", `"shop"`)
		time.Sleep(61 * time.Second)
		first := s.send("GET", thePage)
		confirmation := s.called()
		require.Equal(t, `"1"`, confirmation.r.Header.Get("If-None-Match"))
		waiter := s.send("GET", thePage)
		purge()
		confirmation.says(func(w http.ResponseWriter) {
			w.Header().Set("Etag", `"1"`)
			w.WriteHeader(http.StatusNotModified)
		})
		confirmation.ends()
		first.gets("REVALIDATED", 200, "old")
		waiter.gets("HIT", 200, "old")
		later := s.send("GET", thePage)
		c := s.called()
		if asked := c.r.Header.Get("If-None-Match") != ""; asked != how.soft {
			t.Errorf("asked with a condition: got %v, want %v", asked, how.soft)
		}
		c.writes("new")
		later.gets(map[bool]string{true: "EXPIRED", false: "MISS"}[how.soft], 200, "new")
		s.send("GET", thePage).gets("HIT", 200, "new")
	})
}

func TestBackgroundRefreshOnItsWayRevivesNothing(t *testing.T) {
	eachWay(t, edgecache.Config{}, func(t *testing.T, s *rehearsal, how way, purge func()) {
		s.fill("oldest", "Cache-Control", "max-age=60, stale-while-revalidate=600", "Cache-Groups", `"shop"`)
		time.Sleep(61 * time.Second)
		s.send("GET", thePage).gets("UPDATING", 200, "oldest")
		refresh := s.called()
		purge()
		if how.soft {
			// Served once more, and made anew: the refresh that runs is too old to count.
			s.send("GET", thePage).gets("UPDATING", 200, "oldest")
			newer := s.called()
			refresh.writes("old", "Cache-Control", itsHead, "Cache-Groups", `"shop"`)
			s.send("GET", thePage).gets("UPDATING", 200, "oldest")
			newer.writes("new", "Cache-Control", itsHead)
		} else {
			later := s.send("GET", thePage)
			newer := s.called()
			refresh.writes("old", "Cache-Control", itsHead, "Cache-Groups", `"shop"`)
			later.waits()
			newer.writes("new", "Cache-Control", itsHead)
			later.gets("MISS", 200, "new")
		}
		s.send("GET", thePage).gets("HIT", 200, "new")
	})
}

func TestFailureRevivesNothing(t *testing.T) {
	breaks := []struct {
		name string
		fail func(http.ResponseWriter)
	}{
		{"503", func(w http.ResponseWriter) { w.WriteHeader(503) }},
		{"an origin that does not answer", func(w http.ResponseWriter) { edgecache.OriginError(w); w.WriteHeader(502) }},
		{"a broken connection", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }},
		{"a panic", func(http.ResponseWriter) { panic(errors.New("bug")) }},
	}
	for _, b := range breaks {
		for _, how := range ways() {
			if how.soft {
				continue
			}
			t.Run(fmt.Sprint(b.name, ", ", how.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newRehearsal(t, edgecache.Config{Logger: silent()})
					s.h = recovers(s.h)
					s.fill("old", "Cache-Control", "max-age=60, stale-if-error=600", "Cache-Groups", `"shop"`)
					time.Sleep(61 * time.Second)
					first := s.send("GET", thePage)
					failing := s.called()
					waiter := s.send("GET", thePage)
					require.NoError(t, how.purge(t.Context(), s.edge))
					failing.says(b.fail)
					if b.name != "a panic" && b.name != "a broken connection" {
						failing.ends()
					}
					first.gets("STALE", 200, "old") // it came before the purge
					waiter.gets("STALE", 200, "old")
					later := s.send("GET", thePage)
					again := s.called()
					again.says(b.fail)
					if b.name != "a panic" && b.name != "a broken connection" {
						again.ends()
					}
					<-later.done
					if got := later.w.Body.String(); got != "" || later.w.Header().Get("X-Cache") == "STALE" {
						t.Errorf("after the purge: got %q, want the failure", got)
					}
				})
			})
		}
	}
}

func TestBreakerServesNothingThatWasPurged(t *testing.T) {
	for _, how := range ways() {
		if how.soft {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			s := newRehearsal(t, edgecache.Config{})
			s.fill("old", "Cache-Control", "max-age=60, stale-if-error=600", "Cache-Groups", `"shop"`)
			time.Sleep(61 * time.Second)
			for range 3 {
				v := s.send("GET", thePage)
				c := s.called()
				c.says(func(w http.ResponseWriter) { w.WriteHeader(503) })
				c.ends()
				v.gets("STALE", 200, "old")
			}
			s.send("GET", thePage).gets("STALE", 200, "old")
			s.idle() // the breaker is open
			require.NoError(t, how.purge(t.Context(), s.edge))
			later := s.send("GET", thePage)
			s.called().writes("new")
			later.gets("MISS", 200, "new")
		})
	}
}

// A page for a host that only a proxy tells is fenced like any other, also when it is the first such page.
func TestFirstFillBehindAProxyIsFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRehearsal(t, edgecache.Config{})
		forwarded := []string{"X-Forwarded-Host", "www.example.org"}
		first := s.send("GET", thePage, forwarded...)
		old := s.called()
		_, err := s.edge.Purge(t.Context(), "https://www.example.org"+thePage)
		require.NoError(t, err)
		later := s.send("GET", thePage, forwarded...)
		s.called().writes("new")
		later.gets("MISS", 200, "new")
		old.writes("old")
		first.gets("MISS", 200, "old")
		s.send("GET", thePage, forwarded...).gets("HIT", 200, "new")
	})
}

// The answer to a POST may be stored (RFC 9110, 9.3.3); what it invalidates itself does not stand against that, what others purge does.
func TestAnswerToAPostBegunBeforeAPurgeIsNotKept(t *testing.T) {
	answer := []string{"Content-Location", thePage, "Cache-Control", itsHead, "Cache-Groups", `"shop"`}
	eachWay(t, edgecache.Config{}, func(t *testing.T, s *rehearsal, how way, purge func()) {
		post := s.send("POST", thePage)
		s.called().writes("posted", answer...)
		post.gets("MISS", 200, "posted")
		s.send("GET", thePage).gets("HIT", 200, "posted")

		post = s.send("POST", thePage)
		c := s.called()
		purge()
		c.writes("old", answer...)
		post.gets("MISS", 200, "old")
		later := s.send("GET", thePage)
		s.called().writes("new")
		later.gets("MISS", 200, "new")
	})
}

// A fill that is refreshed by its own POST's invalidation: whoever asks while an unsafe method runs is not kept beyond it.
func TestFillDuringAnUnsafeMethodIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRehearsal(t, edgecache.Config{})
		post := s.send("POST", thePage)
		writing := s.called()
		first := s.send("GET", thePage)
		old := s.called()
		writing.says(func(w http.ResponseWriter) { w.WriteHeader(204) })
		writing.ends()
		post.gets("DYNAMIC", 204, "")
		later := s.send("GET", thePage)
		s.called().writes("new")
		later.gets("MISS", 200, "new")
		old.writes("old")
		first.gets("MISS", 200, "old")
		s.send("GET", thePage).gets("HIT", 200, "new")
	})
}
