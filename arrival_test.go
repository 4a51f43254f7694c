package edgecache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

// RFC 9110, 7.8: Upgrade may be ignored, and says nothing without the connection option, nor that without it.
func TestRequestsThatNeedNoUpgradeAreServedFromTheCache(t *testing.T) {
	for _, fields := range [][]string{
		{"Connection", "upgrade"},
		{"Connection", "Upgrade, HTTP2-Settings", "Upgrade", "h2c", "HTTP2-Settings", "AAEAAEAA"},
		{"Connection", "Upgrade", "Upgrade", "TLS/1.2"},
		{"Connection", "close, X-Custom", "X-Custom", "1"},
	} {
		var seen http.Header
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			seen = r.Header.Clone()
			fmt.Fprint(w, "page")
		})
		harness.Want(t, s.Get("/", fields...), "MISS", 200, "page")
		for _, name := range []string{"Upgrade", "Http2-Settings", "X-Custom"} {
			assert.NotContains(t, seen, name, "the handler makes a page for all")
		}
		harness.Want(t, s.Get("/", fields...), "HIT", 200, "page")
		harness.Want(t, s.Get("/"), "HIT", 200, "page")
		r := httptest.NewRequest("GET", "/", nil)
		for i := 0; i < len(fields); i += 2 {
			r.Header.Set(fields[i], fields[i+1])
		}
		assert.Equal(t, edgecache.Hit, s.Edge.Explain(r).Status)
	}
}

// RFC 9110, 7.6.1: what Connection names is not for the handler, so it decides about nothing.
func TestConnectionFieldsAreTakenOffBeforeTheLookUp(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept-Language, X-Kind")
		w.Header().Set("Cache-Control", "max-age=600")
		fmt.Fprintf(w, "%q %q", r.Header.Get("Accept-Language"), r.Header.Get("X-Kind"))
	}))
	defer origin.Close()
	target, err := url.Parse(origin.URL)
	require.NoError(t, err)
	for name, handler := range map[string]http.Handler{
		"in front of a proxy":   httputil.NewSingleHostReverseProxy(target),
		"in front of a handler": origin.Config.Handler,
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(edgecache.Cache(handler))
			defer server.Close()
			named := http.Header{"Accept-Language": {"de"}, "X-Kind": {"a"}, "Connection": {"Accept-Language, x-kind"}}
			assert.Equal(t, `MISS "" ""`, askServer(t, server, named))
			assert.Equal(t, `HIT "" ""`, askServer(t, server, named))
			assert.Equal(t, `HIT "" ""`, askServer(t, server, http.Header{}))
			assert.Equal(t, `MISS "de" "a"`, askServer(t, server, http.Header{"Accept-Language": {"de"}, "X-Kind": {"a"}}))
		})
	}
}

// A request that would become another one without what Connection names reaches the handler as it came.
func TestConnectionThatNamesWhatDecidesIsPassedOn(t *testing.T) {
	for _, field := range []string{"Cookie", "Authorization", "X-Api-Key", "X-Forwarded-Host", "Forwarded", "X-Forwarded-For", "If-None-Match", "Cache-Control"} {
		var seen string
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			seen = r.Header.Get(field)
			w.Header().Set("Cache-Control", "public, max-age=60")
			fmt.Fprint(w, "page")
		})
		for range 2 {
			harness.Want(t, s.Get("/", "Connection", field, field, "for=a"), "DYNAMIC", 200, "page")
			assert.Equal(t, "for=a", seen, field)
		}
		assert.Zero(t, s.Edge.Stats().Entries)
	}
}

// bodyFunc is a body.
type bodyFunc func(p []byte) (int, error)

func (f bodyFunc) Read(p []byte) (int, error) { return f(p) }
func (f bodyFunc) Close() error               { return nil }

// unread is a request whose body has no length, as from HTTP/2 and HTTP/3.
func unread(method string, body io.ReadCloser) *http.Request {
	r := httptest.NewRequest(method, "/", nil)
	r.Body, r.ContentLength = body, -1
	return r
}

func TestRequestsWhoseBodyTurnsOutToBeEmpty(t *testing.T) {
	for _, method := range []string{"GET", "HEAD"} {
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			fmt.Fprint(w, r.ContentLength, " ", string(text))
		})
		harness.Want(t, s.Get("/"), "MISS", 200, "0 ")
		for range 2 {
			w := httptest.NewRecorder()
			r := unread(method, io.NopCloser(strings.NewReader("")))
			s.Handler.ServeHTTP(w, r)
			assert.Equal(t, "HIT", w.Header().Get("X-Cache"))
		}
		w := httptest.NewRecorder()
		r := unread("GET", io.NopCloser(strings.NewReader("")))
		r.URL.Path, r.RequestURI = "/other", "/other"
		s.Handler.ServeHTTP(w, r)
		assert.Equal(t, "MISS", w.Header().Get("X-Cache"))
		assert.Equal(t, "0 ", w.Body.String(), "the handler is not told of a body that there is not")
	}
}

func TestBodiesOfUnknownLengthReachTheHandlerWhole(t *testing.T) {
	broken := errors.New("broken")
	once := func(p []byte, n int, err error) bodyFunc {
		given := false
		return func(dst []byte) (int, error) {
			if given {
				return 0, io.EOF
			}
			given = true
			return copy(dst, p[:n]), err
		}
	}
	for _, row := range []struct {
		name string
		body io.ReadCloser
		edit func(r *http.Request)
		want string
	}{
		{"a byte", io.NopCloser(strings.NewReader("a")), nil, "a <nil>"},
		{"more", io.NopCloser(strings.NewReader("a longer one")), nil, "a longer one <nil>"},
		{"a byte that comes with the end", once([]byte("a"), 1, io.EOF), nil, "a <nil>"},
		{"one that breaks off before it begins", once(nil, 0, broken), nil, " broken"},
		{"nothing at first", once(nil, 0, nil), nil, " <nil>"},
		{"one that the client sends when it is asked to", io.NopCloser(strings.NewReader("")), func(r *http.Request) { r.Header.Set("Expect", "100-continue") }, " <nil>"},
		{"one with trailers", io.NopCloser(strings.NewReader("")), func(r *http.Request) { r.Trailer = http.Header{"X-A": nil} }, " <nil>"},
		{"one in chunks", io.NopCloser(strings.NewReader("")), func(r *http.Request) { r.TransferEncoding = []string{"chunked"} }, " <nil>"},
		{"none at all", nil, nil, " <nil>"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
				var text []byte
				var err error
				if r.Body != nil {
					text, err = io.ReadAll(r.Body)
				}
				fmt.Fprint(w, string(text), " ", err)
			})
			harness.Want(t, s.Get("/"), "MISS", 200, " <nil>")
			r := unread("GET", row.body)
			if row.edit != nil {
				row.edit(r)
			}
			w := httptest.NewRecorder()
			s.Handler.ServeHTTP(w, r)
			assert.Equal(t, row.want, w.Body.String())
			assert.Equal(t, "DYNAMIC", w.Header().Get("X-Cache"))
			assert.Contains(t, w.Header().Get("Cache-Status"), "detail=request-body")
		})
	}
}

// A client that sends its body when it has got an answer, or never, waits for a second.
func TestBodyThatDoesNotComeHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "first ")
			text, _ := io.ReadAll(r.Body)
			fmt.Fprint(w, string(text))
		}))
		body, pipe := io.Pipe()
		began, w := time.Now(), httptest.NewRecorder()
		go func() {
			time.Sleep(5 * time.Second)
			fmt.Fprint(pipe, "at last")
			pipe.Close()
		}()
		h.ServeHTTP(w, unread("GET", body))
		assert.Equal(t, "first at last", w.Body.String())
		assert.Equal(t, 5*time.Second, time.Since(began))

		// A client that leaves does not even wait for that.
		ctx, cancel := context.WithCancel(t.Context())
		body, pipe = io.Pipe()
		ran := false
		h = edgecache.Cache(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true }))
		cancel()
		began = time.Now()
		h.ServeHTTP(httptest.NewRecorder(), unread("GET", body).WithContext(ctx))
		assert.True(t, ran)
		assert.Zero(t, time.Since(began))
		pipe.Close()
	})
}

// The panic of a body, as of middleware outside that counts it, belongs to the request.
func TestBodyThatPanicsIsTheRequestsOwn(t *testing.T) {
	h := edgecache.Cache(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) }))
	body := bodyFunc(func([]byte) (int, error) { panic("too much") })
	assert.PanicsWithValue(t, "too much", func() { h.ServeHTTP(httptest.NewRecorder(), unread("GET", body)) })
}

func TestHTTP2RequestWithAnEmptyBodyIsServedFromTheCache(t *testing.T) {
	s := httptest.NewUnstartedServer(edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, r.Proto, " ", string(text))
	})))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	ask := func(body string) string {
		// The client cannot tell the length of such a reader.
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL, io.MultiReader(strings.NewReader(body)))
		require.NoError(t, err)
		w, err := s.Client().Do(r)
		require.NoError(t, err)
		defer w.Body.Close()
		text, err := io.ReadAll(w.Body)
		require.NoError(t, err)
		return w.Header.Get("X-Cache") + " " + string(text)
	}
	assert.Equal(t, "MISS HTTP/2.0 ", ask(""))
	assert.Equal(t, "HIT HTTP/2.0 ", ask(""))
	assert.Equal(t, "DYNAMIC HTTP/2.0 body", ask("body"))
}
