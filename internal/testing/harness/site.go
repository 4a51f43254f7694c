// Package harness is what the tests of the cache share: a Site (a cache in front of a handler), an
// Origin (a cache whose handler does what the test says, step by step), and a Client, whose request
// goes on while the test looks at it. Inside a synctest bubble time is fake for all of them.
package harness

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

// Site is a cache in front of a handler, with a count of how often the handler ran.
type Site struct {
	T       *testing.T
	Edge    *edgecache.Edge
	Handler http.Handler // the cache around the handler

	calls atomic.Int32
}

// NewSite puts a cache in front of handler.
func NewSite(t *testing.T, cfg edgecache.Config, handler http.HandlerFunc) *Site {
	t.Helper()
	return NewCountedSite(t, cfg, func(w http.ResponseWriter, r *http.Request, _ int) { handler(w, r) })
}

// NewCountedSite is NewSite with a handler that learns which of its runs this is, from 1 on.
func NewCountedSite(t *testing.T, cfg edgecache.Config, handler func(w http.ResponseWriter, r *http.Request, call int)) *Site {
	t.Helper()
	edge, err := edgecache.New(cfg)
	require.NoError(t, err)
	s := &Site{T: t, Edge: edge}
	s.Handler = edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler(w, r, int(s.calls.Add(1)))
		w.WriteHeader(http.StatusOK) // a handler that writes nothing decides nothing; for any other this is too late to matter
	}))
	return s
}

// Calls is how often the handler has begun to run.
func (s *Site) Calls() int { return int(s.calls.Load()) }

// Get sends a GET and waits for its end; header is name, value, name, value …
func (s *Site) Get(target string, header ...string) *http.Response {
	return s.Do(http.MethodGet, target, header...)
}

// Do is Get with another method.
func (s *Site) Do(method, target string, header ...string) *http.Response {
	w := httptest.NewRecorder()
	s.Handler.ServeHTTP(w, Request(method, target, header...))
	return w.Result()
}

// Visit sends a GET and does not wait.
func (s *Site) Visit(target string, header ...string) *Client {
	return Send(context.Background(), s.Handler, Request(http.MethodGet, target, header...))
}

// Visits sends n equal requests at once.
func (s *Site) Visits(n int, target string, header ...string) []*Client {
	all := make([]*Client, n)
	for i := range all {
		all[i] = s.Visit(target, header...)
	}
	return all
}

// Request is a request of a client; header is name, value, name, value …
func Request(method, target string, header ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// Body reads the body of a response to its end.
func Body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(b)
}

// Want checks the short status, the status code and the body of a response; "*" stands for any
// body.
func Want(t *testing.T, r *http.Response, status string, code int, text string) {
	t.Helper()
	if got := r.Header.Get("X-Cache"); got != status {
		t.Errorf("X-Cache: got %q, want %q (Cache-Status: %q)", got, status, r.Header.Values("Cache-Status"))
	}
	if r.StatusCode != code {
		t.Errorf("status: got %d, want %d", r.StatusCode, code)
	}
	if got := Body(t, r); text != "*" && got != text {
		t.Errorf("body: got %q, want %q", got, text)
	}
}

// Silent is a logger that keeps nothing.
func Silent() *slog.Logger { return slog.New(slog.DiscardHandler) }
