package harness

import (
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

// Origin is a cache whose handler does what the test says, step by step. It works inside a synctest
// bubble.
type Origin struct {
	T       *testing.T
	Edge    *edgecache.Edge
	Handler http.Handler // the cache around the handler

	calls chan *Call    // runs of the handler that the test has not met yet
	over  chan struct{} // closed when the test has ended, maybe early
}

// Call is a run of the handler.
type Call struct {
	Request *http.Request

	do chan func(http.ResponseWriter)
}

// NewOrigin puts a cache in front of a handler that waits for what the test says.
func NewOrigin(t *testing.T, cfg edgecache.Config) *Origin {
	t.Helper()
	edge, err := edgecache.New(cfg)
	require.NoError(t, err)
	o := &Origin{T: t, Edge: edge, calls: make(chan *Call, 100), over: make(chan struct{})}
	t.Cleanup(func() { close(o.over) })
	o.Handler = edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &Call{Request: r, do: make(chan func(http.ResponseWriter))}
		o.calls <- c
		for {
			select {
			case f, more := <-c.do:
				if !more {
					w.WriteHeader(http.StatusOK) // if it has not said anything
					return
				}
				f(w)
			case <-o.over:
				panic(http.ErrAbortHandler)
			}
		}
	}))
	return o
}

// Send sends a request and returns when everything that can go on has done so.
func (o *Origin) Send(method, target string, header ...string) *Client {
	c := Send(context.Background(), o.Handler, Request(method, target, header...))
	synctest.Wait()
	return c
}

// Called returns the run that has begun.
func (o *Origin) Called() *Call {
	o.T.Helper()
	synctest.Wait()
	select {
	case c := <-o.calls:
		return c
	default:
		require.FailNow(o.T, "the handler does not run")
		return nil
	}
}

// Idle fails if a run of the handler has begun that the test has not met.
func (o *Origin) Idle() {
	o.T.Helper()
	synctest.Wait()
	select {
	case c := <-o.calls:
		require.FailNow(o.T, "the handler runs", "%s %s", c.Request.Method, c.Request.RequestURI)
	default:
	}
}

// Says makes the handler do something, and go on running.
func (c *Call) Says(f func(http.ResponseWriter)) {
	c.do <- f
	synctest.Wait()
}

// Ends makes the handler return.
func (c *Call) Ends() {
	close(c.do)
	synctest.Wait()
}

// Writes makes the handler write a whole response; header is name, value, name, value …
func (c *Call) Writes(text string, header ...string) {
	c.Says(func(w http.ResponseWriter) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		if c.Request.Method != http.MethodHead {
			_, _ = io.WriteString(w, text)
		}
	})
	c.Ends()
}
