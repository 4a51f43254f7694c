package frameworks

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

// renders counts how often handlers have run.
type renders struct{ page, forbidden atomic.Int64 }

func newEdge(t *testing.T) *edgecache.Edge {
	t.Helper()
	edge, err := edgecache.New(edgecache.Config{})
	require.NoError(t, err)
	t.Cleanup(func() {
		// The test's own context has ended by now.
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, edge.Close(ctx))
	})
	return edge
}

// serve starts a server for h, which ends with the test.
func serve(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

// answer is a response whose body has been read.
type answer struct {
	*http.Response
	body string
}

func (a answer) word() string { return a.Header.Get("X-Cache") }

func ask(t *testing.T, client *http.Client, method, url string, fields ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	res, err := client.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return answer{res, string(body)}
}

// testSite holds a framework to what a site expects of it. It has the routes
//
//	/page       a page that MaxAge keeps for a minute
//	/stream     a page in two pieces with a flush between them, kept for a minute
//	/account    a page that says NoStore
//	/forbidden  a handler that fails the framework's own way, with 403 and the text "forbidden"
func testSite(t *testing.T, url string, n *renders) {
	t.Run("a page is rendered once", func(t *testing.T) {
		first, second := ask(t, http.DefaultClient, "GET", url+"/page"), ask(t, http.DefaultClient, "GET", url+"/page")
		assert.Equal(t, "MISS HIT", first.word()+" "+second.word())
		assert.Equal(t, first.body, second.body)
		assert.Equal(t, first.Header.Get("Content-Type"), second.Header.Get("Content-Type"))
		assert.EqualValues(t, 1, n.page.Load())
	})
	t.Run("a HEAD is answered from what a GET has stored, and stores nothing in its place", func(t *testing.T) {
		for range 2 {
			a := ask(t, http.DefaultClient, "HEAD", url+"/page")
			assert.Equal(t, "HIT", a.word())
			assert.Equal(t, "4", a.Header.Get("Content-Length"))
		}
		_ = ask(t, http.DefaultClient, "HEAD", url+"/page?other")
		assert.Equal(t, "page", ask(t, http.DefaultClient, "GET", url+"/page?other").body)
		n.page.Store(1)
	})
	t.Run("a stream is stored when it has ended", func(t *testing.T) {
		first, second := ask(t, http.DefaultClient, "GET", url+"/stream"), ask(t, http.DefaultClient, "GET", url+"/stream")
		assert.Equal(t, "MISS HIT", first.word()+" "+second.word())
		assert.Equal(t, "onetwo", first.body)
		assert.Equal(t, "onetwo", second.body)
	})
	t.Run("what says no-store is made for each request", func(t *testing.T) {
		for range 2 {
			a := ask(t, http.DefaultClient, "GET", url+"/account")
			assert.Equal(t, "BYPASS", a.word())
			assert.Contains(t, a.Header.Get("Cache-Status"), "detail=no-store")
		}
	})
	t.Run("an error keeps its status and text, and is not stored", func(t *testing.T) {
		for i := range 2 {
			a := ask(t, http.DefaultClient, "GET", url+"/forbidden")
			assert.Equal(t, http.StatusForbidden, a.StatusCode)
			assert.Contains(t, strings.ToLower(a.body), "forbidden")
			assert.NotEqual(t, "HIT", a.word())
			assert.NotEmpty(t, a.word())
			assert.EqualValues(t, i+1, n.forbidden.Load())
		}
	})
	t.Run("a path without a route is 404 each time", func(t *testing.T) {
		for range 2 {
			assert.Equal(t, http.StatusNotFound, ask(t, http.DefaultClient, "GET", url+"/nowhere").StatusCode)
		}
	})
	t.Run("a successful POST is answered as the handler says", func(t *testing.T) {
		a := ask(t, http.DefaultClient, "POST", url+"/page")
		assert.Equal(t, http.StatusCreated, a.StatusCode)
		assert.Equal(t, "MISS", ask(t, http.DefaultClient, "GET", url+"/page").word(), "it has removed the page")
	})
}
