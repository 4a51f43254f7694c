package harness

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Client is one client's request, in a goroutine of its own as with net/http, and the
// http.ResponseWriter for it: the test can look at the response while it is written, and make the
// client stall. Body, Sent and the other results are to be read after Done, or between two steps of
// a synctest bubble.
type Client struct {
	Stall chan struct{} // writes of the body wait until it is closed; nil does not wait

	Status   int         // 0 before the header
	Sent     http.Header // as it was at the status
	Body     bytes.Buffer
	Flushed  bool
	Panicked any
	Took     time.Duration
	Leave    context.CancelFunc // as when the connection breaks
	Done     chan struct{}      // closed when the handler has returned, panicked or exited

	mu       sync.Mutex
	header   http.Header
	method   string
	returned bool // and did not panic or exit
}

// Send sends r to h and does not wait.
func Send(ctx context.Context, h http.Handler, r *http.Request) *Client {
	return new(Client).Send(ctx, h, r)
}

// Send is the function Send for a client that is made already.
func (c *Client) Send(ctx context.Context, h http.Handler, r *http.Request) *Client {
	ctx, c.Leave = context.WithCancel(ctx)
	c.method, c.Done = r.Method, make(chan struct{})
	start := time.Now()
	go func() {
		defer func() {
			c.Panicked = recover()
			c.Took = time.Since(start)
			c.Leave() // as net/http does when the handler has returned
			close(c.Done)
		}()
		h.ServeHTTP(c, r.WithContext(ctx))
		c.WriteHeader(http.StatusOK)
		c.returned = true
	}()
	return c
}

// Header implements http.ResponseWriter.
func (c *Client) Header() http.Header {
	if c.header == nil {
		c.header = http.Header{}
	}
	return c.header
}

// WriteHeader implements http.ResponseWriter; interim responses leave no trace.
func (c *Client) WriteHeader(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Status == 0 && status >= 200 {
		c.Status, c.Sent = status, c.Header().Clone()
	}
}

func (c *Client) Write(p []byte) (int, error) {
	c.WriteHeader(http.StatusOK)
	if c.Stall != nil {
		<-c.Stall
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Body.Write(p)
}

// Flush implements http.Flusher.
func (c *Client) Flush() {
	c.WriteHeader(http.StatusOK)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Flushed = true
}

// Text is what the client has read so far.
func (c *Client) Text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Body.String()
}

// SentStatus is Status while the client still reads.
func (c *Client) SentStatus() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Status
}

// SentField is a field of the header that the client has got, "" if it has got none yet.
func (c *Client) SentField(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Sent.Get(name)
}

// Cut waits for the end and reports whether the client can see that it did not get all: the handler
// broke off, or the length is wrong.
func (c *Client) Cut() bool {
	<-c.Done
	if !c.returned {
		return true
	}
	length := c.Sent.Get("Content-Length")
	bodiless := c.Status == http.StatusNotModified || c.method == http.MethodHead
	return length != "" && length != strconv.Itoa(c.Body.Len()) && !bodiless
}

// Wants waits for the end and checks short status, status code and body; "*" stands for any body, 0
// for any code.
func (c *Client) Wants(t *testing.T, word string, code int, text string) {
	t.Helper()
	if c.Cut() {
		t.Errorf("the response was cut after %d bytes (panic: %v), want %s", c.Body.Len(), c.Panicked, word)
		return
	}
	if got := c.Sent.Get("X-Cache"); got != word {
		t.Errorf("X-Cache: got %q, want %q (Cache-Status: %q)", got, word, c.Sent["Cache-Status"])
	}
	if code != 0 && c.Status != code {
		t.Errorf("status: got %d, want %d", c.Status, code)
	}
	if got := c.Body.String(); text != "*" && got != text {
		t.Errorf("body: got %.60q (%d bytes), want %.60q (%d bytes)", got, len(got), text, len(text))
	}
}

// Waits fails if the client has got all of its response. It works inside a synctest bubble.
func (c *Client) Waits(t *testing.T) {
	t.Helper()
	synctest.Wait()
	select {
	case <-c.Done:
		require.FailNow(t, "answered already", "%s %q", c.Sent.Get("X-Cache"), c.Body.String())
	default:
	}
}

// Gets is Wants of a client that must have its response already. It works inside a synctest bubble.
func (c *Client) Gets(t *testing.T, word string, code int, text string) {
	t.Helper()
	synctest.Wait()
	select {
	case <-c.Done:
		c.Wants(t, word, code, text)
	default:
		require.FailNow(t, "not answered")
	}
}

// Word waits for the end and returns the short status; "cut" if the client did not get all.
func (c *Client) Word() string {
	if c.Cut() {
		return "cut"
	}
	return c.Sent.Get("X-Cache")
}

// Detail is the reason in Cache-Status.
func (c *Client) Detail() string {
	_, reason, _ := strings.Cut(c.Sent.Get("Cache-Status"), "; detail=")
	return reason
}

// Words waits for the end of all and counts their short statuses.
func Words(all []*Client) map[string]int {
	n := map[string]int{}
	for _, c := range all {
		n[c.Word()]++
	}
	return n
}
