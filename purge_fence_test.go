package edgecache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

// rehearsal is a cache whose handler does what the test says, step by step. It works inside a synctest bubble.
type rehearsal struct {
	t     *testing.T
	edge  *edgecache.Edge
	h     http.Handler
	calls chan *call    // runs of the handler that the test has not met yet
	over  chan struct{} // closed when the test has ended, maybe early
}

// call is a run of the handler.
type call struct {
	r  *http.Request
	do chan func(http.ResponseWriter)
}

func newRehearsal(t *testing.T, cfg edgecache.Config) *rehearsal {
	t.Helper()
	edge, err := edgecache.New(cfg)
	require.NoError(t, err)
	s := &rehearsal{t: t, edge: edge, calls: make(chan *call, 100), over: make(chan struct{})}
	t.Cleanup(func() { close(s.over) })
	s.h = edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{r: r, do: make(chan func(http.ResponseWriter))}
		s.calls <- c
		for {
			select {
			case f, more := <-c.do:
				if !more {
					return
				}
				f(w)
			case <-s.over:
				panic(http.ErrAbortHandler)
			}
		}
	}))
	return s
}

// called returns the run that has begun.
func (s *rehearsal) called() *call {
	s.t.Helper()
	synctest.Wait()
	select {
	case c := <-s.calls:
		return c
	default:
		require.FailNow(s.t, "the handler does not run")
		return nil
	}
}

// idle fails if a run of the handler has begun that the test has not met.
func (s *rehearsal) idle() {
	s.t.Helper()
	synctest.Wait()
	select {
	case c := <-s.calls:
		require.FailNow(s.t, "the handler runs", "%s %s", c.r.Method, c.r.RequestURI)
	default:
	}
}

// says makes the handler do something, and go on running.
func (c *call) says(f func(http.ResponseWriter)) {
	c.do <- f
	synctest.Wait()
}

func (c *call) ends() {
	close(c.do)
	synctest.Wait()
}

// writes makes the handler write a whole page.
func (c *call) writes(text string, header ...string) {
	c.says(func(w http.ResponseWriter) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		if c.r.Method != "HEAD" {
			_, _ = io.WriteString(w, text)
		}
	})
	c.ends()
}

// visitor is a request that is under way.
type visitor struct {
	t    *testing.T
	w    *httptest.ResponseRecorder
	done chan struct{}
}

func (s *rehearsal) send(method, target string, header ...string) *visitor {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	v := &visitor{t: s.t, w: httptest.NewRecorder(), done: make(chan struct{})}
	go func() {
		defer close(v.done)
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				panic(p)
			}
		}()
		s.h.ServeHTTP(v.w, r)
	}()
	synctest.Wait()
	return v
}

// waits fails if the visitor has been answered.
func (v *visitor) waits() {
	v.t.Helper()
	synctest.Wait()
	select {
	case <-v.done:
		require.FailNow(v.t, "answered already", "%s %q", v.w.Header().Get("X-Cache"), v.w.Body)
	default:
	}
}

// gets checks what the visitor has been answered.
func (v *visitor) gets(status string, code int, text string) {
	v.t.Helper()
	synctest.Wait()
	select {
	case <-v.done:
		want(v.t, v.w.Result(), status, code, text)
	default:
		require.FailNow(v.t, "not answered")
	}
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
					return second(purger(e, soft).Purge(ctx, "https://example.com/shop/1"))
				},
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(purger(e, soft).Purge(ctx, "https://example.com/shop/2"))
				}},
			way{name + " by path", soft, false, true,
				func(ctx context.Context, e *edgecache.Edge) error { return second(purger(e, soft).Purge(ctx, thePage)) }, nil},
			way{name + " by tag", soft, true, false,
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(purger(e, soft).PurgeTags(ctx, "shop"))
				},
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(purger(e, soft).PurgeTags(ctx, "blog"))
				}},
			way{name + " by prefix", soft, false, true,
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(purger(e, soft).PurgePrefix(ctx, "https://example.com/shop"))
				}, nil},
			way{name + " of everything", soft, false, true,
				func(ctx context.Context, e *edgecache.Edge) error { return second(purger(e, soft).PurgeAll(ctx)) }, nil},
		)
	}
	return all
}

// eachWay plays a scene with every kind of purge, each in a bubble and a cache of its own.
func eachWay(t *testing.T, cfg edgecache.Config, scene func(t *testing.T, s *rehearsal, how way, purge func())) {
	for _, how := range ways() {
		t.Run(how.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newRehearsal(t, cfg)
				scene(t, s, how, func() { require.NoError(t, how.purge(t.Context(), s.edge)) })
				s.idle()
			})
		})
	}
}

// fill stores thePage.
func (s *rehearsal) fill(text string, header ...string) {
	s.t.Helper()
	v := s.send("GET", thePage)
	s.called().writes(text, header...)
	v.gets("MISS", 200, text)
	v = s.send("GET", thePage)
	v.gets("HIT", 200, text)
}

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

func TestHeadOnItsWayRevivesNothingRFC9111Section4_3_5(t *testing.T) {
	eachWay(t, edgecache.Config{}, func(t *testing.T, s *rehearsal, how way, purge func()) {
		s.fill("old", "Cache-Control", itsHead, "Etag", `"1"`, "Cache-Groups", `"shop"`)
		time.Sleep(61 * time.Second)
		head := s.send("HEAD", thePage)
		c := s.called()
		purge()
		c.writes("", "Cache-Control", itsHead, "Etag", `"1"`)
		head.gets("EXPIRED", 200, "")
		later := s.send("GET", thePage)
		s.called().writes("new")
		later.gets(map[bool]string{true: "EXPIRED", false: "MISS"}[how.soft], 200, "new")
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

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }
