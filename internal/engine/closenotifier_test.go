package engine_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestCloseNotifier(t *testing.T) {
	t.Run("it tells that the client has left", itTellsThatTheClientHasLeft)
	t.Run("it does not end a response that others read", itDoesNotEndAResponseThatOthersRead)
}

// closeNotifier is http.CloseNotifier, which is deprecated and in use.
type closeNotifier interface{ CloseNotify() <-chan bool }

// Handlers such as those of gin's Context.Stream assert http.CloseNotifier without asking, and end
// when it says so.
func itTellsThatTheClientHasLeft(t *testing.T) {
	for _, transport := range transports {
		for _, tt := range []struct{ name, method, contentType string }{
			{"a stream", "GET", "text/event-stream"},
			{"a page", "GET", "text/html"},
			{"the answer to a POST", "POST", "text/html"},
			{"the answer to a PUT", "PUT", "text/html"},
		} {
			t.Run(transport.name+"/"+tt.name, func(t *testing.T) {
				ended := make(chan error, 1)
				s := startServer(t, edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					gone := w.(closeNotifier).CloseNotify()
					w.Header().Set("Content-Type", tt.contentType)
					if tt.contentType == "text/html" {
						edgecache.Private(w)
					}
					_, _ = io.WriteString(w, "first\n")
					w.(http.Flusher).Flush()
					select {
					case <-gone:
						ended <- nil
					case <-time.After(10 * time.Second):
						ended <- context.DeadlineExceeded
					}
				})), transport.two)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r, err := http.NewRequestWithContext(ctx, tt.method, s.URL, nil)
				require.NoError(t, err)
				w, err := s.Client().Do(r)
				require.NoError(t, err)
				defer w.Body.Close()
				line, err := bufio.NewReader(w.Body).ReadString('\n')
				require.NoError(t, err)
				require.Equal(t, "first\n", line)
				cancel()
				require.NoError(t, <-ended)
			})
		}
	}
}

// notified is a client whose writer is an http.CloseNotifier.
type notified struct{ *httptest.ResponseRecorder }

// That one client has left is no reason to break off what others read along; and what a handler has
// broken off because everybody has left is no page, though it returned as if it were.
func itDoesNotEndAResponseThatOthersRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		runs := 0
		edge, err := edgecache.New(edgecache.Config{})
		require.NoError(t, err)
		h := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			runs++
			gone := w.(closeNotifier).CloseNotify()
			_, _ = io.WriteString(w, "first ")
			w.(http.Flusher).Flush()
			select {
			case <-gone:
			case <-goOn:
				_, _ = io.WriteString(w, "second")
			}
		}))
		visit := func() (w *httptest.ResponseRecorder, leave func(), done chan struct{}) {
			ctx, cancel := context.WithCancel(t.Context())
			w, done = httptest.NewRecorder(), make(chan struct{})
			go func() {
				defer close(done)
				defer func() { _ = recover() }()
				h.ServeHTTP(notified{w}, harness.Request("GET", "/").WithContext(ctx))
			}()
			synctest.Wait()
			return w, cancel, done
		}
		_, leave, first := visit()
		second, stay, done := visit()
		defer stay()
		leave()
		synctest.Wait()
		close(goOn)
		<-first
		<-done
		require.Equal(t, "first second", second.Body.String())
		require.Equal(t, 1, runs)
		require.Equal(t, 1, edge.Stats().Entries)

		_, err = edge.PurgeAll(t.Context())
		require.NoError(t, err)
		goOn = make(chan struct{})
		_, leave, done = visit()
		leave()
		<-done // after a while: the response was to be stored
		require.Equal(t, 2, runs)
		require.Zero(t, edge.Stats().Entries, "half a page")
	})
}
