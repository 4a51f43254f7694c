package engine_test

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestRevalidate(t *testing.T) {
	t.Run("it keeps the Vary of outer middleware", itKeepsTheVaryOfOuterMiddleware)
	t.Run("it keeps the lifetime of outer middleware", itKeepsTheLifetimeOfOuterMiddleware)
	t.Run("trailers of a stored page reach its client", trailersOfAStoredPageReachItsClient)
	t.Run("a page longer than its length is not stored", aPageLongerThanItsLengthIsNotStored)
	t.Run("a cookie of a 304 reaches the client that asked", aCookieOfA304ReachesTheClientThatAsked)
	t.Run("conditional requests do not keep a URL uncacheable", conditionalRequestsDoNotKeepAURLUncacheable)
	t.Run("a page between the largest object and what is held back is passed on", aPageBetweenTheLargestObjectAndWhatIsHeldBackIsPassedOn)
	t.Run("a background refresh keeps the Vary of outer middleware", aBackgroundRefreshKeepsTheVaryOfOuterMiddleware)
	t.Run("a collapsed stale page is no hit", aCollapsedStalePageIsNoHit)
	t.Run("a later condition is about the new Date (RFC 9111, 4.3.2)", aLaterConditionIsAboutTheNewDate)
	t.Run("a confirmed page that is not kept was made now (RFC 9111, 4.3.2)", aConfirmedPageThatIsNotKeptWasMadeNow)
	t.Run("line ends in a Content-Type do not reach parts", lineEndsInAContentTypeDoNotReachParts)
}

// A 304 is merged into the stored header, which has only what the wrapped handler set; what outer
// middleware said about caching must count all the same, as it did when the page was stored.
func itKeepsTheVaryOfOuterMiddleware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		edge, err := edgecache.New(edgecache.Config{})
		require.NoError(t, err)
		page := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			tag := `"` + r.Header.Get("Accept-Language") + `"`
			w.Header().Set("Etag", tag)
			w.Header().Set("Cache-Control", "max-age=60")
			if r.Header.Get("If-None-Match") == tag {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			fmt.Fprint(w, "in ", r.Header.Get("Accept-Language"))
		}))
		outer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Vary", "Accept-Language")
			page.ServeHTTP(w, r)
		})
		get := func(language string) *http.Response {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Accept-Language", language)
			w := httptest.NewRecorder()
			outer.ServeHTTP(w, r)
			return w.Result()
		}
		harness.Want(t, get("de"), "MISS", 200, "in de")
		time.Sleep(61 * time.Second)
		harness.Want(t, get("de"), "REVALIDATED", 200, "in de")
		harness.Want(t, get("fr"), "MISS", 200, "in fr")
	})
}

func itKeepsTheLifetimeOfOuterMiddleware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		edge, err := edgecache.New(edgecache.Config{})
		require.NoError(t, err)
		page := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", `"1"`)
			if r.Header.Get("If-None-Match") == `"1"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			fmt.Fprint(w, "page")
		}))
		outer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=5")
			page.ServeHTTP(w, r)
		})
		get := func() *http.Response {
			w := httptest.NewRecorder()
			outer.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			return w.Result()
		}
		harness.Want(t, get(), "MISS", 200, "page")
		for range 3 {
			time.Sleep(6 * time.Second)
			harness.Want(t, get(), "REVALIDATED", 200, "page")
		}
	})
}

func trailersOfAStoredPageReachItsClient(t *testing.T) {
	server := httptest.NewServer(edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(w, "page")
		w.(http.Flusher).Flush()
		w.Header().Set("X-Sum", "abc")
		w.Header().Set(http.TrailerPrefix+"X-Late", "def")
	})))
	defer server.Close()
	r, err := http.Get(server.URL)
	require.NoError(t, err)
	defer r.Body.Close()
	_, err = io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, http.Header{"X-Sum": {"abc"}, "X-Late": {"def"}}, r.Trailer)
}

func aPageLongerThanItsLengthIsNotStored(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		fmt.Fprint(w, "hello")
		fmt.Fprint(w, " world")
	})
	harness.Want(t, s.Get("/"), "MISS", 200, "hello")
	harness.Want(t, s.Get("/"), "MISS", 200, "hello")
}

func aCookieOfA304ReachesTheClientThatAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "public, max-age=60")
			w.Header().Set("Etag", `"1"`)
			if r.Header.Get("If-None-Match") == `"1"` {
				w.Header().Set("Set-Cookie", "session=renewed")
				w.WriteHeader(http.StatusNotModified)
				return
			}
			fmt.Fprint(w, "page")
		})
		s.Get("/")
		time.Sleep(61 * time.Second)
		r := s.Get("/", "Cookie", "session=old")
		require.Equal(t, []string{"session=renewed"}, r.Header["Set-Cookie"])
		require.Empty(t, s.Get("/").Header["Set-Cookie"])
	})
}

// While a URL is known as uncacheable its conditions go to the handler; that it answers them says
// nothing about the page.
func conditionalRequestsDoNotKeepAURLUncacheable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		private := true
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", `"1"`)
			if private {
				w.Header().Set("Cache-Control", "private")
			}
			if r.Header.Get("If-None-Match") == `"1"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			fmt.Fprint(w, "page")
		})
		s.Get("/")
		private = false
		for range 5 {
			time.Sleep(time.Minute)
			s.Get("/", "If-None-Match", `"1"`)
		}
		harness.Want(t, s.Get("/"), "HIT", 200, "page")
	})
}

// Less than net/http holds back, but more than may be stored: nothing reads the body yet when it
// outgrows its limit.
func aPageBetweenTheLargestObjectAndWhatIsHeldBackIsPassedOn(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{MaxObjectBytes: 1000}, func(w http.ResponseWriter, r *http.Request) {
		for range 15 {
			if _, err := fmt.Fprintf(w, "%0100d", 1); err != nil {
				t.Error(err)
			}
		}
	})
	r := s.Get("/")
	require.Len(t, harness.Body(t, r), 1500)
}

func aBackgroundRefreshKeepsTheVaryOfOuterMiddleware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		edge, err := edgecache.New(edgecache.Config{})
		require.NoError(t, err)
		page := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60, stale-while-revalidate=60")
			fmt.Fprint(w, "in ", r.Header.Get("Accept-Language"))
		}))
		outer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Vary", "Accept-Language")
			page.ServeHTTP(w, r)
		})
		get := func(language string) *http.Response {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Accept-Language", language)
			w := httptest.NewRecorder()
			outer.ServeHTTP(w, r)
			return w.Result()
		}
		harness.Want(t, get("de"), "MISS", 200, "in de")
		time.Sleep(61 * time.Second)
		harness.Want(t, get("de"), "UPDATING", 200, "in de")
		synctest.Wait()
		harness.Want(t, get("fr"), "MISS", 200, "in fr")
	})
}

// A client that takes stale pages may share one that is stale as it comes, but is told so.
func aCollapsedStalePageIsNoHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := harness.NewSite(t, edgecache.Config{HonorRequestDirectives: true}, func(w http.ResponseWriter, r *http.Request) {
			<-gate
			w.Header().Set("Cache-Control", "max-age=0")
			w.Header().Set("Etag", `"1"`)
			fmt.Fprint(w, "page")
		})
		go s.Get("/")
		synctest.Wait()
		answers := make(chan *http.Response)
		go func() { answers <- s.Get("/", "Cache-Control", "max-stale") }()
		synctest.Wait()
		close(gate)
		if r := <-answers; r.Header.Get("X-Cache") == "HIT" {
			t.Errorf("X-Cache: got HIT (Cache-Status: %q)", r.Header["Cache-Status"])
		}
	})
}

// RFC 9111, 4.3.2: without Last-Modified, If-Modified-Since is compared with the Date that the 304
// brought, also when the result may not be stored.
func aLaterConditionIsAboutTheNewDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewSite(t, edgecache.Config{HonorRequestDirectives: true}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Etag", `"1"`)
			w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
			if r.Header.Get("If-None-Match") == `"1"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			fmt.Fprint(w, "page")
		})
		s.Get("/")
		seen := time.Now().Add(30 * time.Second).UTC().Format(http.TimeFormat)
		time.Sleep(2 * time.Minute)
		harness.Want(t, s.Get("/", "If-Modified-Since", seen, "Cache-Control", "no-store"), "REVALIDATED", 200, "page")
	})
}

// A 304 that may not be stored makes the page good for one answer. That answer was made now: a
// client whose copy is older than it gets the page, as it would without a cache (RFC 9111, 4.3.2).
func aConfirmedPageThatIsNotKeptWasMadeNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", `"v1"`)
			w.Header().Set("Cache-Control", "no-cache")
			if r.Header.Get("If-None-Match") != "" {
				w.Header().Set("Cache-Control", "no-store")
				w.WriteHeader(http.StatusNotModified)
				return
			}
			fmt.Fprint(w, "page")
		}))
		get := func(since time.Time) *http.Response {
			r := httptest.NewRequest("GET", "/", nil)
			if !since.IsZero() {
				r.Header.Set("If-Modified-Since", since.UTC().Format(http.TimeFormat))
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Result()
		}
		harness.Want(t, get(time.Time{}), "MISS", 200, "page")
		time.Sleep(time.Hour)
		harness.Want(t, get(time.Now().Add(-time.Minute)), "REVALIDATED", 200, "page")
	})
}

// net/http replaces line ends in the values that it writes; mime/multipart does not, so that a
// Content-Type which a client has a say in (a download with ?type=) wrote fields, and content, into
// each part of a multipart answer.
func lineEndsInAContentTypeDoNotReachParts(t *testing.T) {
	h := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain\r\nX-Injected: 1\r\n\r\n<script>")
		_, _ = io.WriteString(w, "0123456789")
	}))
	for range 2 {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Range", "bytes=0-1,4-5")
		h.ServeHTTP(w, r)
		require.Equal(t, http.StatusPartialContent, w.Code)
		_, params, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(w.Body.Len()), w.Header().Get("Content-Length"))
		parts := multipart.NewReader(w.Body, params["boundary"])
		for _, want := range []string{"01", "45"} {
			part, err := parts.NextPart()
			require.NoError(t, err)
			require.Len(t, part.Header, 2, "%v", part.Header)
			require.Equal(t, "text/plain  X-Injected: 1    <script>", part.Header.Get("Content-Type"))
			body, err := io.ReadAll(part)
			require.NoError(t, err)
			require.Equal(t, want, string(body))
		}
		_, err = parts.NextPart()
		require.ErrorIs(t, err, io.EOF)
	}
}
