package engine_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestAttack(t *testing.T) {
	t.Run("several lines of Accept-Language poison no other page", severalLinesOfAcceptLanguagePoisonNoOtherPage)
	t.Run("Connection hides no field from the origin", connectionHidesNoFieldFromTheOrigin)
	t.Run("a 416 for one client is not the page for others", a416ForOneClientIsNotThePageForOthers)
	t.Run("a first client that was let go sees its connection cut", aFirstClientThatWasLetGoSeesItsConnectionCut)
	t.Run("clients that do not read switch nothing off", clientsThatDoNotReadSwitchNothingOff)
	t.Run("a handler that rewrites its URL invalidates the URL that came in", aHandlerThatRewritesItsURLInvalidatesTheURLThatCameIn)
	t.Run("the answer to a POST is stored under what its client sent", theAnswerToAPOSTIsStoredUnderWhatItsClientSent)
	t.Run("a session behind an ignored cookie is seen", aSessionBehindAnIgnoredCookieIsSeen)
}

// A handler that looks at the first line only must not make the page of clients that send one line.
func severalLinesOfAcceptLanguagePoisonNoOtherPage(t *testing.T) {
	server := httptest.NewServer(edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edgecache.Vary(w, "Accept-Language")
		fmt.Fprintf(w, "in %s", r.Header.Get("Accept-Language"))
	})))
	defer server.Close()
	for _, attack := range [][]string{{"", "de-DE,de;q=0.9"}, {"fr;q=0.5", "de"}} {
		victim := strings.TrimPrefix(strings.Join(attack, ","), ",")
		askServer(t, server, http.Header{"Accept-Language": attack})
		require.Equal(t, "MISS in "+victim, askServer(t, server, http.Header{"Accept-Language": {victim}}))
	}
}

// A proxy behind us takes off what Connection names, so the origin makes the page of another header
// than the one it would be stored under.
func connectionHidesNoFieldFromTheOrigin(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept-Language")
		w.Header().Set("Cache-Control", "max-age=600")
		fmt.Fprintf(w, "in %q", r.Header.Get("Accept-Language"))
	}))
	defer origin.Close()
	target, err := url.Parse(origin.URL)
	require.NoError(t, err)
	server := httptest.NewServer(edgecache.Cache(httputil.NewSingleHostReverseProxy(target)))
	defer server.Close()
	askServer(t, server, http.Header{"Accept-Language": {"de"}, "Connection": {"Accept-Language"}})
	require.Equal(t, `MISS in "de"`, askServer(t, server, http.Header{"Accept-Language": {"de"}}))
}

// While a URL counts as uncacheable its handler sees ranges; what it says to one of them is not the
// page.
func a416ForOneClientIsNotThePageForOthers(t *testing.T) {
	const size = 3 << 20
	s := harness.NewSite(t, edgecache.Config{MaxObjectBytes: 1 << 20}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		if r.Header.Get("Range") != "" {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(size))
		_, _ = w.Write(make([]byte, size))
	})
	harness.Want(t, s.Get("/video"), "BYPASS", 200, "*")
	harness.Want(t, s.Get("/video", "Range", "bytes=9999999-"), "BYPASS", 416, "")
	harness.Want(t, s.Get("/video"), "BYPASS", 200, "*")
}

func aFirstClientThatWasLetGoSeesItsConnectionCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const chunk, chunks = 64 << 10, 64
		joined := make(chan struct{})
		s := harness.NewSite(t, edgecache.Config{MaxObjectBytes: 128 << 10}, func(w http.ResponseWriter, r *http.Request) {
			p := make([]byte, chunk)
			_, _ = w.Write(p)
			w.(http.Flusher).Flush()
			<-joined
			for range chunks - 1 {
				if _, err := w.Write(p); err != nil {
					return
				}
				time.Sleep(time.Second / 2)
			}
		})
		leader := newStuck(make(chan struct{}))
		ended := make(chan any, 1)
		go func() {
			defer func() { ended <- recover() }()
			s.Handler.ServeHTTP(leader, httptest.NewRequest("GET", "/", nil))
		}()
		<-leader.blocked
		follower := make(chan int, 1)
		go func() {
			w := httptest.NewRecorder()
			s.Handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			follower <- w.Body.Len()
		}()
		synctest.Wait()
		close(joined)
		require.Equal(t, chunk*chunks, <-follower)
		close(leader.letGo)
		require.Equal(t, http.ErrAbortHandler, <-ended)
		require.Less(t, leader.Body.Len(), chunk*chunks)
	})
}

func clientsThatDoNotReadSwitchNothingOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		edge, err := edgecache.New(edgecache.Config{})
		require.NoError(t, err)
		h := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(make([]byte, 3000)) }))
		letGo := make(chan struct{})
		var wg sync.WaitGroup
		for i := range 4200 {
			wg.Go(func() { h.ServeHTTP(newStuck(letGo), httptest.NewRequest("GET", fmt.Sprint("/slow?", i), nil)) })
		}
		synctest.Wait()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/other", nil))
		require.Equal(t, "MISS", w.Header().Get("X-Cache"), w.Header().Get("Cache-Status"))
		close(letGo)
		wg.Wait()
	})
}

func aHandlerThatRewritesItsURLInvalidatesTheURLThatCameIn(t *testing.T) {
	state := ""
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		r.URL.Scheme, r.URL.Host = "http", "backend:8080"
		if r.Method != "GET" {
			state = "new"
			w.WriteHeader(http.StatusNoContent)
			return
		}
		fmt.Fprint(w, state)
	})
	for _, method := range []string{"DELETE", "POST"} {
		state = "old"
		_, err := s.Edge.PurgeAll(t.Context())
		require.NoError(t, err)
		s.Get("/x")
		s.Do(method, "/x")
		harness.Want(t, s.Get("/x"), "MISS", 200, "new")
	}
}

func theAnswerToAPOSTIsStoredUnderWhatItsClientSent(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		brand := r.Header.Get("X-Brand")
		if r.Method == "POST" {
			r.Header.Set("X-Brand", "victim")
			w.Header().Set("Content-Location", "/x")
		}
		edgecache.Vary(w, "X-Brand")
		edgecache.MaxAge(w, time.Minute)
		fmt.Fprintf(w, "page of %s", brand)
	})
	s.Do("POST", "/x", "X-Brand", "mallory")
	harness.Want(t, s.Get("/x", "X-Brand", "victim"), "MISS", 200, "page of victim")
}

// Some servers part cookies at blanks: for them the visitor is logged in.
func aSessionBehindAnIgnoredCookieIsSeen(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") })
	s.Get("/")
	for _, cookie := range []string{"_ga=1 session=abc", "_ga=1\tsession=abc", "_ga=1,session=abc"} {
		harness.Want(t, s.Get("/", "Cookie", cookie), "DYNAMIC", 200, "page")
	}
	harness.Want(t, s.Get("/", "Cookie", "_ga=1; _gid=2"), "HIT", 200, "page")
}
