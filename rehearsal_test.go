package edgecache_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

// rehearsal is a cache whose handler does what the test says, step by step. It works inside a synctest bubble.
type rehearsal struct {
	t     *testing.T
	edge  *edgecache.Edge
	h     http.Handler
	calls chan *call    // runs of the handler that the test has not met yet
	over  chan struct{} // closed when the test has ended, maybe early
}

// call is a run of the handler.
type call struct {
	r  *http.Request
	do chan func(http.ResponseWriter)
}

func newRehearsal(t *testing.T, cfg edgecache.Config) *rehearsal {
	t.Helper()
	edge, err := edgecache.New(cfg)
	require.NoError(t, err)
	s := &rehearsal{t: t, edge: edge, calls: make(chan *call, 100), over: make(chan struct{})}
	t.Cleanup(func() { close(s.over) })
	s.h = edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{r: r, do: make(chan func(http.ResponseWriter))}
		s.calls <- c
		for {
			select {
			case f, more := <-c.do:
				if !more {
					w.WriteHeader(http.StatusOK) // if it has not said anything
					return
				}
				f(w)
			case <-s.over:
				panic(http.ErrAbortHandler)
			}
		}
	}))
	return s
}

// called returns the run that has begun.
func (s *rehearsal) called() *call {
	s.t.Helper()
	synctest.Wait()
	select {
	case c := <-s.calls:
		return c
	default:
		require.FailNow(s.t, "the handler does not run")
		return nil
	}
}

// idle fails if a run of the handler has begun that the test has not met.
func (s *rehearsal) idle() {
	s.t.Helper()
	synctest.Wait()
	select {
	case c := <-s.calls:
		require.FailNow(s.t, "the handler runs", "%s %s", c.r.Method, c.r.RequestURI)
	default:
	}
}

// says makes the handler do something, and go on running.
func (c *call) says(f func(http.ResponseWriter)) {
	c.do <- f
	synctest.Wait()
}

func (c *call) ends() {
	close(c.do)
	synctest.Wait()
}

// writes makes the handler write a whole page.
func (c *call) writes(text string, header ...string) {
	c.says(func(w http.ResponseWriter) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		if c.r.Method != "HEAD" {
			_, _ = io.WriteString(w, text)
		}
	})
	c.ends()
}

// visitor is a request that is under way.
type visitor struct {
	t    *testing.T
	w    *httptest.ResponseRecorder
	done chan struct{}
}

func (s *rehearsal) send(method, target string, header ...string) *visitor {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	v := &visitor{t: s.t, w: httptest.NewRecorder(), done: make(chan struct{})}
	go func() {
		defer close(v.done)
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a panic value
				panic(p)
			}
		}()
		s.h.ServeHTTP(v.w, r)
	}()
	synctest.Wait()
	return v
}

// waits fails if the visitor has been answered.
func (v *visitor) waits() {
	v.t.Helper()
	synctest.Wait()
	select {
	case <-v.done:
		require.FailNow(v.t, "answered already", "%s %q", v.w.Header().Get("X-Cache"), v.w.Body)
	default:
	}
}

// gets checks what the visitor has been answered.
func (v *visitor) gets(status string, code int, text string) {
	v.t.Helper()
	synctest.Wait()
	select {
	case <-v.done:
		want(v.t, v.w.Result(), status, code, text)
	default:
		require.FailNow(v.t, "not answered")
	}
}

const (
	thePage = "/shop/1"
	itsHead = "max-age=60"
)

// a way is a kind of purge, and concerns thePage, whose tag is "shop".
type way struct {
	name    string
	soft    bool
	header  bool // what concerns the page shows in its header only
	wide    bool // concerns all pages that are being made
	purge   func(ctx context.Context, e *edgecache.Edge) error
	control func(ctx context.Context, e *edgecache.Edge) error // the same of something else
}

func ways() (all []way) {
	second := func(_ int, err error) error { return err }
	for _, soft := range []bool{false, true} {
		name := "hard"
		if soft {
			name = "soft"
		}
		all = append(all,
			way{name + " by URL", soft, false, false,
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(purger(e, soft).Purge(ctx, "https://example.com/shop/1"))
				},
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(purger(e, soft).Purge(ctx, "https://example.com/shop/2"))
				}},
			way{name + " by path", soft, false, true,
				func(ctx context.Context, e *edgecache.Edge) error { return second(purger(e, soft).Purge(ctx, thePage)) }, nil},
			way{name + " by tag", soft, true, false,
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(purger(e, soft).PurgeTags(ctx, "shop"))
				},
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(purger(e, soft).PurgeTags(ctx, "blog"))
				}},
			way{name + " by prefix", soft, false, true,
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(purger(e, soft).PurgePrefix(ctx, "https://example.com/shop"))
				}, nil},
			way{name + " of everything", soft, false, true,
				func(ctx context.Context, e *edgecache.Edge) error { return second(purger(e, soft).PurgeAll(ctx)) }, nil},
		)
	}
	return all
}

// eachWay plays a scene with every kind of purge, each in a bubble and a cache of its own.
func eachWay(t *testing.T, cfg edgecache.Config, scene func(t *testing.T, s *rehearsal, how way, purge func())) {
	for _, how := range ways() {
		t.Run(how.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newRehearsal(t, cfg)
				scene(t, s, how, func() { require.NoError(t, how.purge(t.Context(), s.edge)) })
				s.idle()
			})
		})
	}
}

// fill stores thePage.
func (s *rehearsal) fill(text string, header ...string) {
	s.t.Helper()
	v := s.send("GET", thePage)
	s.called().writes(text, header...)
	v.gets("MISS", 200, text)
	v = s.send("GET", thePage)
	v.gets("HIT", 200, text)
}

// recovers answers 500 for a panic, as no server stands around the cache.
func recovers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				w.WriteHeader(500)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }
