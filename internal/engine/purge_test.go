package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestPurge(t *testing.T) {
	t.Run("a fetch from before a purge is delivered and not kept", aFetchFromBeforeAPurgeIsDeliveredAndNotKept)
	t.Run("a fetch whose header is out before a purge is delivered and not kept", aFetchWhoseHeaderIsOutBeforeAPurgeIsDeliveredAndNotKept)
	t.Run("a purge of something else keeps a fetch", aPurgeOfSomethingElseKeepsAFetch)
	t.Run("a request after a purge never joins a fetch from before", aRequestAfterAPurgeNeverJoinsAFetchFromBefore)
	t.Run("a request after a tag purge does not wait for a page of that tag", aRequestAfterATagPurgeDoesNotWaitForAPageOfThatTag)
	t.Run("a request between two purges gets what is newer than the first", aRequestBetweenTwoPurgesGetsWhatIsNewerThanTheFirst)
	t.Run("a 304 on its way revives nothing", a304OnItsWayRevivesNothing)
	t.Run("a refresh on its way revives nothing", aRefreshOnItsWayRevivesNothing)
	t.Run("a failure revives nothing", aFailureRevivesNothing)
	t.Run("the breaker serves nothing that was purged", theBreakerServesNothingThatWasPurged)
	t.Run("the first fetch behind a proxy is purged, too", theFirstFetchBehindAProxyIsPurgedToo)
	t.Run("the answer to a POST from before a purge is not kept", theAnswerToAPOSTFromBeforeAPurgeIsNotKept)
	t.Run("a fetch during an unsafe method is not kept", aFetchDuringAnUnsafeMethodIsNotKept)
}

const (
	thePage = "/shop/1"
	itsHead = "max-age=60"
)

// a way is a kind of purge, and concerns thePage, whose tag is "shop".
type way struct {
	name    string
	soft    bool
	header  bool // what concerns the page shows in its header only
	wide    bool // concerns all pages that are being made
	purge   func(ctx context.Context, e *edgecache.Edge) error
	control func(ctx context.Context, e *edgecache.Edge) error // the same of something else
}

func ways() (all []way) {
	second := func(_ int, err error) error { return err }
	for _, soft := range []bool{false, true} {
		name := "hard"
		if soft {
			name = "soft"
		}
		all = append(all,
			way{name + " by URL", soft, false, false,
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(harness.PurgerOf(e, soft).Purge(ctx, "https://example.com/shop/1"))
				},
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(harness.PurgerOf(e, soft).Purge(ctx, "https://example.com/shop/2"))
				}},
			way{name + " by path", soft, false, true,
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(harness.PurgerOf(e, soft).Purge(ctx, thePage))
				}, nil},
			way{name + " by tag", soft, true, false,
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(harness.PurgerOf(e, soft).PurgeTags(ctx, "shop"))
				},
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(harness.PurgerOf(e, soft).PurgeTags(ctx, "blog"))
				}},
			way{name + " by prefix", soft, false, true,
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(harness.PurgerOf(e, soft).PurgePrefix(ctx, "https://example.com/shop"))
				}, nil},
			way{name + " of everything", soft, false, true,
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(harness.PurgerOf(e, soft).PurgeAll(ctx))
				}, nil},
		)
	}
	return all
}

// eachWay plays a scene with every kind of purge, each in a bubble and a cache of its own.
func eachWay(t *testing.T, cfg edgecache.Config, scene func(t *testing.T, s *harness.Origin, how way, purge func())) {
	for _, how := range ways() {
		t.Run(how.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewOrigin(t, cfg)
				scene(t, s, how, func() { require.NoError(t, how.purge(t.Context(), s.Edge)) })
				s.Idle()
			})
		})
	}
}

// store stores thePage.
func store(s *harness.Origin, text string, header ...string) {
	s.T.Helper()
	v := s.Send("GET", thePage)
	s.Called().Writes(text, header...)
	v.Gets(s.T, "MISS", 200, text)
	v = s.Send("GET", thePage)
	v.Gets(s.T, "HIT", 200, text)
}

// recovers answers 500 for a panic, as no server stands around the cache.
func recovers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				w.WriteHeader(500)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func aFetchFromBeforeAPurgeIsDeliveredAndNotKept(t *testing.T) {
	eachWay(t, edgecache.Config{}, func(t *testing.T, s *harness.Origin, how way, purge func()) {
		first := s.Send("GET", thePage)
		old := s.Called()
		waiter := s.Send("GET", thePage)
		purge()
		old.Writes("old", "Cache-Control", itsHead, "Cache-Groups", `"shop"`)
		first.Gets(t, "MISS", 200, "old")
		waiter.Gets(t, "HIT", 200, "old")
		later := s.Send("GET", thePage)
		s.Called().Writes("new", "Cache-Control", itsHead)
		later.Gets(t, "MISS", 200, "new")
		s.Send("GET", thePage).Gets(t, "HIT", 200, "new")
	})
}

func aFetchWhoseHeaderIsOutBeforeAPurgeIsDeliveredAndNotKept(t *testing.T) {
	eachWay(t, edgecache.Config{}, func(t *testing.T, s *harness.Origin, how way, purge func()) {
		first := s.Send("GET", thePage)
		old := s.Called()
		old.Says(func(w http.ResponseWriter) {
			edgecache.Tag(w, "shop")
			_, _ = io.WriteString(w, "o")
			_ = http.NewResponseController(w).Flush()
		})
		waiter := s.Send("GET", thePage)
		purge()
		later := s.Send("GET", thePage) // must not read the body that grows
		s.Called().Writes("new")
		later.Gets(t, "MISS", 200, "new")
		old.Writes("ld")
		first.Gets(t, "MISS", 200, "old")
		waiter.Gets(t, "HIT", 200, "old")
		s.Send("GET", thePage).Gets(t, "HIT", 200, "new") // the older fetch, which ended later, has not taken its place
	})
}

func aPurgeOfSomethingElseKeepsAFetch(t *testing.T) {
	for _, how := range ways() {
		if how.control == nil {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewOrigin(t, edgecache.Config{})
			first := s.Send("GET", thePage)
			c := s.Called()
			require.NoError(t, how.control(t.Context(), s.Edge))
			later := s.Send("GET", thePage)
			c.Writes("page", "Cache-Groups", `"shop"`)
			first.Gets(t, "MISS", 200, "page")
			later.Gets(t, "HIT", 200, "page")
			s.Send("GET", thePage).Gets(t, "HIT", 200, "page")
		})
	}
}

func aRequestAfterAPurgeNeverJoinsAFetchFromBefore(t *testing.T) {
	eachWay(t, edgecache.Config{}, func(t *testing.T, s *harness.Origin, how way, purge func()) {
		first := s.Send("GET", thePage)
		old := s.Called()
		purge()
		later, latest := s.Send("GET", thePage), s.Send("GET", thePage)
		if how.header {
			// Only the header tells if the page carries the tag.
			s.Idle()
			old.Says(func(w http.ResponseWriter) {
				edgecache.Tag(w, "shop")
				_, _ = io.WriteString(w, "old")
				_ = http.NewResponseController(w).Flush()
			})
		}
		fresh := s.Called()
		s.Idle() // both wait for the same run
		last := s.Send("GET", thePage)
		s.Idle()
		fresh.Writes("new")
		getsNew(t, later, latest)
		last.Gets(t, "HIT", 200, "new")
		if how.header {
			old.Ends()
		} else {
			old.Writes("old")
		}
		first.Gets(t, "MISS", 200, "old")
		s.Send("GET", thePage).Gets(t, "HIT", 200, "new")
	})
}

// getsNew checks that of two clients one led and the other one waited for it.
func getsNew(t *testing.T, one, other *harness.Client) {
	t.Helper()
	if one.Sent.Get("X-Cache") == "HIT" {
		one, other = other, one
	}
	one.Gets(t, "MISS", 200, "new")
	other.Gets(t, "HIT", 200, "new")
}

// What is stored for a URL tells the tags that its next page will likely carry: a request after a
// purge does not even wait for the header.
func aRequestAfterATagPurgeDoesNotWaitForAPageOfThatTag(t *testing.T) {
	for _, soft := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewOrigin(t, edgecache.Config{})
			store(s, "first", "Cache-Control", itsHead, "Cache-Groups", `"shop"`)
			time.Sleep(61 * time.Second)
			first := s.Send("GET", thePage)
			old := s.Called()
			_, err := harness.PurgerOf(s.Edge, soft).PurgeTags(t.Context(), "shop")
			require.NoError(t, err)
			later := s.Send("GET", thePage)
			s.Called().Writes("new")
			later.Gets(t, map[bool]string{true: "EXPIRED", false: "MISS"}[soft], 200, "new")
			old.Writes("old", "Cache-Groups", `"shop"`)
			first.Gets(t, "EXPIRED", 200, "old")
			s.Send("GET", thePage).Gets(t, "HIT", 200, "new")
		})
	}
}

// Two purges of one tag leave one mark: the second must not hide the first from who came in
// between.
func aRequestBetweenTwoPurgesGetsWhatIsNewerThanTheFirst(t *testing.T) {
	eachWay(t, edgecache.Config{}, func(t *testing.T, s *harness.Origin, how way, purge func()) {
		first := s.Send("GET", thePage)
		old := s.Called()
		purge()
		between := s.Send("GET", thePage)
		purge()
		if !how.header {
			s.Called().Writes("new", "Cache-Groups", `"shop"`)
		}
		old.Writes("old", "Cache-Groups", `"shop"`)
		first.Gets(t, "MISS", 200, "old")
		if how.header {
			s.Called().Writes("new")
		}
		between.Gets(t, "MISS", 200, "new")
		after := s.Send("GET", thePage)
		if !how.header {
			s.Called().Writes("newest")
			after.Gets(t, "MISS", 200, "newest")
		} else {
			after.Gets(t, "HIT", 200, "new")
		}
	})
}

func a304OnItsWayRevivesNothing(t *testing.T) {
	eachWay(t, edgecache.Config{}, func(t *testing.T, s *harness.Origin, how way, purge func()) {
		store(s, "old", "Cache-Control", itsHead, "Etag", `"1"`, "Cache-Groups", `"shop"`)
		time.Sleep(61 * time.Second)
		first := s.Send("GET", thePage)
		confirmation := s.Called()
		require.Equal(t, `"1"`, confirmation.Request.Header.Get("If-None-Match"))
		waiter := s.Send("GET", thePage)
		purge()
		confirmation.Says(func(w http.ResponseWriter) {
			w.Header().Set("Etag", `"1"`)
			w.WriteHeader(http.StatusNotModified)
		})
		confirmation.Ends()
		first.Gets(t, "REVALIDATED", 200, "old")
		waiter.Gets(t, "HIT", 200, "old")
		later := s.Send("GET", thePage)
		c := s.Called()
		if asked := c.Request.Header.Get("If-None-Match") != ""; asked != how.soft {
			t.Errorf("asked with a condition: got %v, want %v", asked, how.soft)
		}
		c.Writes("new")
		later.Gets(t, map[bool]string{true: "EXPIRED", false: "MISS"}[how.soft], 200, "new")
		s.Send("GET", thePage).Gets(t, "HIT", 200, "new")
	})
}

func aRefreshOnItsWayRevivesNothing(t *testing.T) {
	eachWay(t, edgecache.Config{}, func(t *testing.T, s *harness.Origin, how way, purge func()) {
		store(s, "oldest", "Cache-Control", "max-age=60, stale-while-revalidate=600", "Cache-Groups", `"shop"`)
		time.Sleep(61 * time.Second)
		s.Send("GET", thePage).Gets(t, "UPDATING", 200, "oldest")
		refresh := s.Called()
		purge()
		if how.soft {
			// Served once more, and fetched again: the refresh that runs is too old to count.
			s.Send("GET", thePage).Gets(t, "UPDATING", 200, "oldest")
			newer := s.Called()
			refresh.Writes("old", "Cache-Control", itsHead, "Cache-Groups", `"shop"`)
			s.Send("GET", thePage).Gets(t, "UPDATING", 200, "oldest")
			newer.Writes("new", "Cache-Control", itsHead)
		} else {
			later := s.Send("GET", thePage)
			newer := s.Called()
			refresh.Writes("old", "Cache-Control", itsHead, "Cache-Groups", `"shop"`)
			later.Waits(t)
			newer.Writes("new", "Cache-Control", itsHead)
			later.Gets(t, "MISS", 200, "new")
		}
		s.Send("GET", thePage).Gets(t, "HIT", 200, "new")
	})
}

func aFailureRevivesNothing(t *testing.T) {
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
					s := harness.NewOrigin(t, edgecache.Config{Logger: harness.Silent()})
					s.Handler = recovers(s.Handler)
					store(s, "old", "Cache-Control", "max-age=60, stale-if-error=600", "Cache-Groups", `"shop"`)
					time.Sleep(61 * time.Second)
					first := s.Send("GET", thePage)
					failing := s.Called()
					waiter := s.Send("GET", thePage)
					require.NoError(t, how.purge(t.Context(), s.Edge))
					failing.Says(b.fail)
					if b.name != "a panic" && b.name != "a broken connection" {
						failing.Ends()
					}
					first.Gets(t, "STALE", 200, "old") // it came before the purge
					waiter.Gets(t, "STALE", 200, "old")
					later := s.Send("GET", thePage)
					again := s.Called()
					again.Says(b.fail)
					if b.name != "a panic" && b.name != "a broken connection" {
						again.Ends()
					}
					<-later.Done
					if got := later.Body.String(); got != "" || later.Sent.Get("X-Cache") == "STALE" {
						t.Errorf("after the purge: got %q, want the failure", got)
					}
				})
			})
		}
	}
}

func theBreakerServesNothingThatWasPurged(t *testing.T) {
	for _, how := range ways() {
		if how.soft {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewOrigin(t, edgecache.Config{})
			store(s, "old", "Cache-Control", "max-age=60, stale-if-error=600", "Cache-Groups", `"shop"`)
			time.Sleep(61 * time.Second)
			for range 3 {
				v := s.Send("GET", thePage)
				c := s.Called()
				c.Says(func(w http.ResponseWriter) { w.WriteHeader(503) })
				c.Ends()
				v.Gets(t, "STALE", 200, "old")
			}
			s.Send("GET", thePage).Gets(t, "STALE", 200, "old")
			s.Idle() // the breaker is open
			require.NoError(t, how.purge(t.Context(), s.Edge))
			later := s.Send("GET", thePage)
			s.Called().Writes("new")
			later.Gets(t, "MISS", 200, "new")
		})
	}
}

// A page for a host that only a proxy tells is purged like any other, also when it is the first
// such page.
func theFirstFetchBehindAProxyIsPurgedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewOrigin(t, edgecache.Config{})
		forwarded := []string{"X-Forwarded-Host", "www.example.org"}
		first := s.Send("GET", thePage, forwarded...)
		old := s.Called()
		_, err := s.Edge.Purge(t.Context(), "https://www.example.org"+thePage)
		require.NoError(t, err)
		later := s.Send("GET", thePage, forwarded...)
		s.Called().Writes("new")
		later.Gets(t, "MISS", 200, "new")
		old.Writes("old")
		first.Gets(t, "MISS", 200, "old")
		s.Send("GET", thePage, forwarded...).Gets(t, "HIT", 200, "new")
	})
}

// The answer to a POST may be stored (RFC 9110, 9.3.3); what it invalidates itself does not stand
// against that, what others purge does.
func theAnswerToAPOSTFromBeforeAPurgeIsNotKept(t *testing.T) {
	answer := []string{"Content-Location", thePage, "Cache-Control", itsHead, "Cache-Groups", `"shop"`}
	eachWay(t, edgecache.Config{}, func(t *testing.T, s *harness.Origin, how way, purge func()) {
		post := s.Send("POST", thePage)
		s.Called().Writes("posted", answer...)
		post.Gets(t, "MISS", 200, "posted")
		s.Send("GET", thePage).Gets(t, "HIT", 200, "posted")

		post = s.Send("POST", thePage)
		c := s.Called()
		purge()
		c.Writes("old", answer...)
		post.Gets(t, "MISS", 200, "old")
		later := s.Send("GET", thePage)
		s.Called().Writes("new")
		later.Gets(t, "MISS", 200, "new")
	})
}

// A fetch that a POST's invalidation concerns: a request while an unsafe method runs
// is not kept beyond it.
func aFetchDuringAnUnsafeMethodIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewOrigin(t, edgecache.Config{})
		post := s.Send("POST", thePage)
		writing := s.Called()
		first := s.Send("GET", thePage)
		old := s.Called()
		writing.Says(func(w http.ResponseWriter) { w.WriteHeader(204) })
		writing.Ends()
		post.Gets(t, "DYNAMIC", 204, "")
		later := s.Send("GET", thePage)
		s.Called().Writes("new")
		later.Gets(t, "MISS", 200, "new")
		old.Writes("old")
		first.Gets(t, "MISS", 200, "old")
		s.Send("GET", thePage).Gets(t, "HIT", 200, "new")
	})
}
