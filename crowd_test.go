package edgecache_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

// stage is a handler behind a cache that many clients visit at once. The handler learns which of its runs this is, from 1 on.
type stage struct {
	t     *testing.T
	edge  *edgecache.Edge
	h     http.Handler
	calls atomic.Int32
}

func newStage(t *testing.T, cfg edgecache.Config, handler func(w http.ResponseWriter, r *http.Request, call int)) *stage {
	t.Helper()
	edge, err := edgecache.New(cfg)
	require.NoError(t, err)
	s := &stage{t: t, edge: edge}
	s.h = edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler(w, r, int(s.calls.Add(1)))
		w.WriteHeader(http.StatusOK) // one that writes nothing would decide nothing; of the others this is not the first
	}))
	return s
}

// screen is what a client sees: a ResponseWriter that can be watched while it is written, and that can stall.
type screen struct {
	mu     sync.Mutex
	header http.Header
	status int
	sent   http.Header // as it was at the status
	body   bytes.Buffer
	stall  chan struct{} // writes of the body wait until it is closed; nil does not wait
}

func (s *screen) Header() http.Header { return s.header }

func (s *screen) WriteHeader(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status == 0 && status >= 200 {
		s.status, s.sent = status, s.header.Clone()
	}
}

func (s *screen) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	if s.stall != nil {
		<-s.stall
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.body.Write(p)
}

func (s *screen) Flush() { s.WriteHeader(http.StatusOK) }

// text is what the client has read so far.
func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.body.String()
}

// visit is one client's request, in a goroutine of its own as with net/http.
type visit struct {
	screen
	leave    context.CancelFunc // as when the connection breaks
	done     chan struct{}
	returned bool // and did not panic or exit
	panicked any
	took     time.Duration
}

// visit sends a GET; header is name, value, name, value …
func (s *stage) visit(target string, header ...string) *visit {
	return s.send(&visit{}, context.Background(), s.h, request(http.MethodGet, target, header...))
}

func request(method, target string, header ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func (s *stage) send(v *visit, ctx context.Context, h http.Handler, r *http.Request) *visit {
	ctx, v.leave = context.WithCancel(ctx)
	v.header, v.done = http.Header{}, make(chan struct{})
	start := time.Now()
	go func() {
		defer func() {
			v.panicked = recover()
			v.took = time.Since(start)
			v.leave() // as net/http does when the handler has returned
			close(v.done)
		}()
		h.ServeHTTP(v, r.WithContext(ctx))
		v.WriteHeader(http.StatusOK)
		v.returned = true
	}()
	return v
}

// cut waits for the end and reports whether the client can see that it did not get all: the handler broke off, or the length is wrong.
func (v *visit) cut() bool {
	<-v.done
	length := v.sent.Get("Content-Length")
	return !v.returned || length != "" && length != strconv.Itoa(v.body.Len()) && v.status != http.StatusNotModified
}

// wants checks status word, status code and body; "*" stands for any body, 0 for any code.
func (v *visit) wants(t *testing.T, word string, code int, text string) {
	t.Helper()
	if v.cut() {
		t.Errorf("the answer was cut after %d bytes (panic: %v), want %s", v.body.Len(), v.panicked, word)
		return
	}
	if got := v.sent.Get("X-Cache"); got != word {
		t.Errorf("X-Cache: got %q, want %q (Cache-Status: %q)", got, word, v.sent["Cache-Status"])
	}
	if code != 0 && v.status != code {
		t.Errorf("status: got %d, want %d", v.status, code)
	}
	if got := v.body.String(); text != "*" && got != text {
		t.Errorf("body: got %.60q (%d bytes), want %.60q (%d bytes)", got, len(got), text, len(text))
	}
}

// word waits for the end and returns the short status; "cut" if the client did not get all.
func (v *visit) word() string {
	if v.cut() {
		return "cut"
	}
	return v.sent.Get("X-Cache")
}

// detail is the reason in Cache-Status.
func (v *visit) detail() string {
	_, reason, _ := strings.Cut(v.sent.Get("Cache-Status"), "; detail=")
	return reason
}

// visits sends n equal requests at once.
func (s *stage) visits(n int, target string, header ...string) []*visit {
	all := make([]*visit, n)
	for i := range all {
		all[i] = s.visit(target, header...)
	}
	return all
}

// words counts the status words of finished visits.
func words(all []*visit) map[string]int {
	n := map[string]int{}
	for _, v := range all {
		n[v.word()]++
	}
	return n
}
