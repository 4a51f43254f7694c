package engine_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/engine"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
	"github.com/edgecache-go/edgecache/storetest"
)

func TestInvalidate(t *testing.T) {
	t.Run("an unsafe method invalidates each query (RFC 9111, 4.4)", anUnsafeMethodInvalidatesEachQuery)
	t.Run("it invalidates under a default port", itInvalidatesUnderADefaultPort)
	t.Run("Policy.InvalidateExact spares other queries", policyInvalidateExactSparesOtherQueries)
	t.Run("MOVE and COPY invalidate their destination (RFC 4918, 9.8.5)", moveAndCOPYInvalidateTheirDestination)
	t.Run("Location counts behind a proxy", locationCountsBehindAProxy)
	t.Run("the page that Location names is validated", thePageThatLocationNamesIsValidated)
	t.Run("the page that Location names is validated after a soft purge", thePageThatLocationNamesIsValidatedAfterASoftPurge)
	t.Run("the page that Location names stays for errors", thePageThatLocationNamesStaysForErrors)
	t.Run("fetches during an unsafe method are not kept", fetchesDuringAnUnsafeMethodAreNotKept)
	t.Run("a 304 on its way does not undo an invalidation", a304OnItsWayDoesNotUndoAnInvalidation)
	t.Run("Location marks a limited number of queries", locationMarksALimitedNumberOfQueries)
	t.Run("an invalidation is an event and a count", anInvalidationIsAnEventAndACount)
	t.Run("an invalidation holds for other processes", anInvalidationHoldsForOtherProcesses)
}

// usableStale is what a page says that may be used stale in every way.
const usableStale = "max-age=600, stale-while-revalidate=60, stale-if-error=600"

// What was just created is in every list of it, with a query or without, in every spelling.
func anUnsafeMethodInvalidatesEachQuery(t *testing.T) {
	for _, row := range []struct {
		name, asked string
		gone, stay  []string
	}{
		{"a list", "/items", []string{"/items", "/items?page=1&perPage=20", "/items?", "/items?q=a+b"}, []string{"/items/1", "/item", "/", "/items2?page=1"}},
		{"one of its queries", "/items?page=2", []string{"/items", "/items?page=1", "/items?page=2"}, []string{"/items/?page=2"}},
		{"another spelling", "/gr%C3%BCn", []string{"/grün?a", "/gr%c3%bcn", "/gr%C3%BCn?b"}, []string{"/gr"}},
		{"raw, and encoded when it was asked for", "/{id}|x", []string{"/%7Bid%7D%7Cx?a", "/{id}|x"}, []string{"/{id}"}},
		{"an encoded slash", "/a%2Fb", []string{"/a%2Fb?c"}, []string{"/a/b", "/a/b?c"}},
	} {
		for _, method := range []string{"POST", "PUT", "BREW"} {
			s := harness.NewShop(t, nil)
			for _, target := range append(row.gone, row.stay...) {
				s.Get(harness.SiteURL + target)
				s.Get("http://other.example" + target)
			}
			s.Ask(method, harness.SiteURL+row.asked)
			for _, target := range row.gone {
				if s.Has(harness.SiteURL + target) {
					t.Errorf("%s: %s has left %s", row.name, method, target)
				}
				if !s.Has("http://other.example" + target) {
					t.Errorf("%s: %s has taken %s of another host along", row.name, method, target)
				}
			}
			for _, target := range row.stay {
				if !s.Has(harness.SiteURL + target) {
					t.Errorf("%s: %s has taken %s along", row.name, method, target)
				}
			}
		}
	}
}

// A client may write the port into Host, and leave it out the next time.
func itInvalidatesUnderADefaultPort(t *testing.T) {
	for _, host := range []string{"example.com", "example.com:80", "example.com:443"} {
		s := harness.NewShop(t, nil)
		s.Get("http://example.com:443/a?b")
		s.Ask("POST", "http://"+host+"/a")
		if s.Has("http://example.com:443/a?b") {
			t.Errorf("a POST to %s has left the page of example.com:443", host)
		}
	}
}

func policyInvalidateExactSparesOtherQueries(t *testing.T) {
	const moved = "http://example.com/moved?c"
	for _, exact := range []bool{false, true} {
		for _, method := range []string{"POST", "DELETE", "MOVE"} {
			handler := edgecache.Policy{InvalidateExact: exact}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if harness.Acts(r) {
					w.Header().Set("Location", "/b?a")
					w.WriteHeader(201)
				}
				_, _ = io.WriteString(w, "page")
			}))
			edge, err := edgecache.New(edgecache.Config{HonorRequestDirectives: true})
			require.NoError(t, err)
			outer, err := edgecache.New(edgecache.Config{HonorRequestDirectives: true})
			require.NoError(t, err)
			for _, h := range []http.Handler{edge.Handler(handler), outer.Handler(edge.Handler(handler))} {
				s := &harness.Shop{Edge: edge, Handler: h}
				urls := []string{"/a", "/a?x", "/b?a", "/b?x", "/moved?c", "/moved"}
				for _, url := range urls {
					s.Get(harness.SiteURL + url)
				}
				r := s.Ask(method, harness.SiteURL+"/a", "Act", "1", "Destination", moved)
				for name := range r.Header {
					if strings.Contains(strings.ToLower(name), "exact") {
						t.Errorf("%s leaves as a header field", name)
					}
				}
				for _, url := range urls {
					named := url == "/a" || url == "/b?a" || method == "MOVE" && url == "/moved?c"
					concerned := named || !exact && (!strings.HasPrefix(url, "/moved") || method == "MOVE")
					if gone := !s.Has(harness.SiteURL + url); gone != concerned {
						t.Errorf("exact %v, %s: %s is gone: %v, want %v", exact, method, url, gone, concerned)
					}
				}
			}
		}
	}
}

// A MOVE or COPY writes to its destination (RFC 4918, 9.8.5 and 9.9.4).
func moveAndCOPYInvalidateTheirDestination(t *testing.T) {
	for _, row := range []struct {
		method, destination string
		status              int
		gone                bool
	}{
		{"MOVE", "http://example.com/b", 201, true},
		{"COPY", "/b?x", 204, true},
		{"MOVE", "http://evil.example/b", 201, false},
		{"MOVE", "http://example.com/b", 207, false},
		{"PUT", "http://example.com/b", 201, false},
	} {
		s := harness.NewShop(t, func(w http.ResponseWriter, r *http.Request) {
			if harness.Acts(r) {
				w.WriteHeader(row.status)
			}
		})
		s.Get(harness.SiteURL + "/b?page=1")
		s.Ask(row.method, harness.SiteURL+"/a", "Act", "1", "Destination", row.destination)
		if gone := !s.Has(harness.SiteURL + "/b?page=1"); gone != row.gone {
			t.Errorf("%s to %s, answered %d: gone %v, want %v", row.method, row.destination, row.status, gone, row.gone)
		}
	}
}

// The URL that Location names is public, and we are called by another one.
func locationCountsBehindAProxy(t *testing.T) {
	for _, row := range []struct {
		name     string
		header   []string
		location string
		gone     bool
	}{
		{"X-Forwarded-Host and -Proto", []string{"X-Forwarded-Host", "www.example.org", "X-Forwarded-Proto", "https"}, "https://www.example.org/b", true},
		{"a list of schemes", []string{"X-Forwarded-Host", "www.example.org", "X-Forwarded-Proto", "https,http"}, "https://www.example.org/b", true},
		{"Forwarded", []string{"Forwarded", `for=192.0.2.1;host="www.example.org";proto=https`}, "https://www.example.org/b", true},
		{"X-Forwarded-Ssl", []string{"X-Forwarded-Host", "www.example.org", "X-Forwarded-Ssl", "on"}, "https://www.example.org/b", true},
		{"nothing about the scheme", []string{"X-Forwarded-Host", "www.example.org"}, "https://www.example.org/b", true},
		{"another host", []string{"X-Forwarded-Host", "www.example.org"}, "https://www.example.net/b", false},
		{"nothing at all", nil, "https://10.0.0.7/b", true},
	} {
		s := harness.NewShop(t, func(w http.ResponseWriter, r *http.Request) {
			if harness.Acts(r) {
				w.Header().Set("Location", row.location)
				w.WriteHeader(303)
			}
		})
		const page = "http://10.0.0.7/b"
		s.Get(page, row.header...)
		s.Ask("POST", "http://10.0.0.7/a", append(row.header, "Act", "1")...)
		if gone := !s.Has(page, row.header...); gone != row.gone {
			t.Errorf("%s: gone %v, want %v", row.name, gone, row.gone)
		}
	}
}

// posts answers a POST to /login with a redirect to thePage.
func posts(s *harness.Origin) {
	v := s.Send("POST", "/login")
	c := s.Called()
	c.Says(func(w http.ResponseWriter) { w.Header().Set("Location", thePage); w.WriteHeader(303) })
	c.Ends()
	v.Gets(s.T, "DYNAMIC", 303, "")
}

// A client that posted sees the new page: what Location names is not served stale while it is
// fetched again.
func thePageThatLocationNamesIsValidated(t *testing.T) {
	for _, tagged := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewOrigin(t, edgecache.Config{HonorRequestDirectives: true})
			etag := []string{"Cache-Control", usableStale}
			if tagged {
				etag = append(etag, "Etag", `"1"`)
			}
			store(s, "old", etag...)
			time.Sleep(time.Second)
			posts(s)
			v := s.Send("GET", thePage, "Cache-Control", "max-stale")
			c := s.Called()
			if asked := c.Request.Header.Get("If-None-Match") != ""; asked != tagged {
				t.Errorf("asked with a condition: %v, want %v", asked, tagged)
			}
			if !tagged {
				c.Writes("new")
				v.Gets(t, "EXPIRED", 200, "new")
				if got := v.Sent.Get("Cache-Status"); !strings.Contains(got, "detail=invalidated") {
					t.Errorf("got Cache-Status %q, want the reason", got)
				}
				s.Send("GET", thePage).Gets(t, "HIT", 200, "new")
				return
			}
			c.Says(func(w http.ResponseWriter) { w.Header().Set("Etag", `"1"`); w.WriteHeader(304) })
			c.Ends()
			v.Gets(t, "REVALIDATED", 200, "old")
			s.Send("GET", thePage).Gets(t, "HIT", 200, "old")
		})
	}
}

// A soft purge lets the page be served once more; a POST that names it afterwards does not.
func thePageThatLocationNamesIsValidatedAfterASoftPurge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewOrigin(t, edgecache.Config{})
		store(s, "old", "Cache-Control", usableStale)
		_, err := s.Edge.Soft().Purge(t.Context(), thePage)
		require.NoError(t, err)
		posts(s)
		v := s.Send("GET", thePage)
		s.Called().Writes("new")
		v.Gets(t, "EXPIRED", 200, "new")
	})
}

// A login that redirects to the front page does not cost it its stale copy.
func thePageThatLocationNamesStaysForErrors(t *testing.T) {
	for _, row := range []struct {
		name   string
		fail   func(http.ResponseWriter)
		header string
		stale  bool
	}{
		{"503", func(w http.ResponseWriter) { w.WriteHeader(503) }, usableStale, true},
		{"an origin that does not answer", func(w http.ResponseWriter) { edgecache.OriginError(w); w.WriteHeader(502) }, "max-age=600", true},
		{"a panic", func(http.ResponseWriter) { panic(errors.New("bug")) }, usableStale, true},
		{"503 without a window", func(w http.ResponseWriter) { w.WriteHeader(503) }, "max-age=600", false},
		{"503 of what must be validated", func(w http.ResponseWriter) { w.WriteHeader(503) }, usableStale + ", must-revalidate", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewOrigin(t, edgecache.Config{Logger: harness.Silent()})
				store(s, "old", "Cache-Control", row.header)
				posts(s)
				for range 2 {
					v := s.Send("GET", thePage)
					c := s.Called()
					c.Says(row.fail)
					if row.name != "a panic" {
						c.Ends()
					}
					if !row.stale {
						v.Gets(t, "BYPASS", 503, "")
						return
					}
					v.Gets(t, "STALE", 200, "old")
				}
				v := s.Send("GET", thePage)
				s.Called().Writes("new")
				v.Gets(t, "EXPIRED", 200, "new")
			})
		})
	}
}

// What is being made when an unsafe method succeeds is not kept: under its path with every query,
// and under what it names.
func fetchesDuringAnUnsafeMethodAreNotKept(t *testing.T) {
	for _, row := range []struct {
		asked string
		kept  bool
	}{
		{"/login?page=1", false}, {"/login", false}, {thePage, false}, {thePage + "?page=1", false}, {"/shop/2", true}, {"/login/1", true},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewOrigin(t, edgecache.Config{})
			first := s.Send("GET", row.asked)
			old := s.Called()
			posts(s)
			old.Writes("old")
			first.Gets(t, "MISS", 200, "old")
			later := s.Send("GET", row.asked)
			if row.kept {
				later.Gets(t, "HIT", 200, "old")
				return
			}
			s.Called().Writes("new")
			later.Gets(t, "MISS", 200, "new")
			s.Send("GET", row.asked).Gets(t, "HIT", 200, "new")
		})
	}
}

// A confirmation that was asked for before a POST does not make what the POST has made invalid
// fresh.
func a304OnItsWayDoesNotUndoAnInvalidation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewOrigin(t, edgecache.Config{})
		store(s, "old", "Cache-Control", "max-age=60", "Etag", `"1"`)
		time.Sleep(61 * time.Second)
		first := s.Send("GET", thePage)
		confirmation := s.Called()
		posts(s)
		confirmation.Says(func(w http.ResponseWriter) { w.Header().Set("Etag", `"1"`); w.WriteHeader(304) })
		confirmation.Ends()
		first.Gets(t, "REVALIDATED", 200, "old")
		v := s.Send("GET", thePage)
		s.Called().Writes("new")
		v.Gets(t, "EXPIRED", 200, "new")
	})
}

// A path may have many queries, and strangers may name it again and again.
func locationMarksALimitedNumberOfQueries(t *testing.T) {
	failing := false
	s := harness.NewShop(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case harness.Acts(r):
			w.Header().Set("Location", "/list?page=7")
			w.WriteHeader(303)
		case failing:
			w.WriteHeader(503)
		default:
			w.Header().Set("Cache-Control", usableStale)
		}
	})
	const more = 40
	count := cache.MaxInvalid + 1 // and that which is named
	for _, n := range []int{count, count + more} {
		failing = false
		for i := range n {
			s.Get(fmt.Sprintf("%s/list?page=%d", harness.SiteURL, i))
		}
		s.Ask("POST", harness.SiteURL+"/a", "Act", "1")
		if got := s.Edge.Stats().Invalidated; int(got) != n {
			t.Errorf("%d pages: %d are counted as invalid", n, got)
		}
		failing = true
		stale := 0
		for i := range n {
			if s.Get(fmt.Sprintf("%s/list?page=%d", harness.SiteURL, i)).StatusCode == 200 {
				stale++
			}
		}
		if stale != count {
			t.Errorf("%d pages: %d stay for errors, want %d", n, stale, count)
		}
		if s.Get(harness.SiteURL+"/list?page=7").StatusCode != 200 {
			t.Errorf("%d pages: that which was named does not stay", n)
		}
		_, err := s.Edge.PurgeAll(t.Context())
		require.NoError(t, err)
		engine.Of(s.Edge).ResetInvalidated()
	}
}

// What a response has made invalid is told and counted; what had nothing to remove is not told.
func anInvalidationIsAnEventAndACount(t *testing.T) {
	var events []string
	edge, err := edgecache.New(edgecache.Config{Observer: func(ev edgecache.Event) {
		if ev.Kind == edgecache.Purged {
			method := ""
			if ev.Request != nil {
				method = ev.Request.Method + " " + ev.Key()
			}
			events = append(events, fmt.Sprintf("%s %s %d %q", ev.Kind, ev.Reason, ev.Count, method))
		}
	}})
	require.NoError(t, err)
	s := &harness.Shop{Edge: edge, Handler: edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if harness.Acts(r) {
			w.Header().Set("Location", "/b")
			w.Header().Set("Content-Location", "/c")
			edgecache.Invalidate(w, "tag")
			w.WriteHeader(201)
			return
		}
		if r.URL.Path == "/tagged" {
			edgecache.Tag(w, "tag")
		}
		_, _ = io.WriteString(w, "page")
	}))}
	for _, target := range []string{"/a", "/a?x", "/b", "/c", "/c?x", "/tagged", "/other"} {
		s.Get(harness.SiteURL + target)
	}
	s.Ask("POST", harness.SiteURL+"/a", "Act", "1")
	s.Ask("POST", harness.SiteURL+"/a", "Act", "1") // /b and /c are invalid already
	s.Ask("PATCH", harness.SiteURL+"/nothing")
	_, err = edge.Purge(t.Context(), "/other")
	require.NoError(t, err)
	s.Ask("DELETE", harness.SiteURL+"/b")
	require.Equal(t, []string{
		`purged invalidated 6 "POST http://example.com/a"`,
		`purged  1 ""`,
		`purged invalidated 1 "DELETE http://example.com/b"`,
	}, events)
	st := edge.Stats()
	require.EqualValues(t, 7, st.Invalidated)
	require.EqualValues(t, 1, st.Purges)
}

// What one process has made invalid is not read out of the store by another.
func anInvalidationHoldsForOtherProcesses(t *testing.T) {
	for _, exact := range []bool{false, true} {
		for _, fresh := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				store := storetest.NewMap()
				process := func() *harness.Shop {
					edge, err := edgecache.New(edgecache.Config{Store: store})
					require.NoError(t, err)
					t.Cleanup(func() { _ = edge.Close(t.Context()) })
					s := &harness.Shop{Edge: edge}
					s.Handler = edge.Handler(edgecache.Policy{InvalidateExact: exact}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						s.Runs++
						if harness.Acts(r) {
							w.Header().Set("Location", "/b")
							w.WriteHeader(201)
							return
						}
						edgecache.MaxAge(w, time.Hour)
						_, _ = fmt.Fprintf(w, "run %d", s.Runs)
					})))
					return s
				}
				writer := process()
				targets := []string{"/a", "/a?x", "/gr%C3%BCn?x", "/b", "/b?x", "/c?x"}
				for _, target := range targets {
					writer.Get(harness.SiteURL + target)
				}
				synctest.Wait()
				reader := process()
				reader.Ask("POST", harness.SiteURL+"/a", "Act", "1")
				reader.Ask("POST", harness.SiteURL+"/grün", "Act", "1")
				if fresh {
					time.Sleep(10 * time.Second) // until the store has been told
					reader = process()
				}
				for _, target := range targets {
					want := target == "/c?x" || exact && (target == "/a?x" || target == "/gr%C3%BCn?x" || target == "/b?x")
					before := reader.Runs
					reader.Get(harness.SiteURL + target)
					if got := reader.Runs == before; got != want {
						t.Errorf("exact %v, by a process that has just begun %v: %s is read from the store: %v, want %v", exact, fresh, target, got, want)
					}
				}
			})
		}
	}
}
