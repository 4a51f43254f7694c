package engine_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestTransparencyOfLateWriters(t *testing.T) {
	t.Run("a client sees what is written late", aClientSeesWhatIsWrittenLate)
	t.Run("a client sees what random handlers write late", aClientSeesWhatRandomHandlersWriteLate)
	t.Run("caches that do not wait are caught", cachesThatDoNotWaitAreCaught)
}

// lateFramework is one that calls write only when the handler behind the decorator has returned, as
// those do whose handlers return errors: with the writer that the handler got or, if onOwn, with
// the framework's.
type lateFramework struct {
	decorate func(http.Handler) http.Handler
	write    http.Handler
	onOwn    bool
}

func (l lateFramework) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	last, asked := w, r
	l.decorate(http.HandlerFunc(func(inner http.ResponseWriter, request *http.Request) {
		if !l.onOwn {
			last, asked = inner, request
		}
	})).ServeHTTP(w, r)
	l.write.ServeHTTP(last, asked)
}

// lateHandlers are h behind a cache that has returned by the time that h writes.
func lateHandlers(t *testing.T, h http.Handler) map[string]http.Handler {
	t.Helper()
	all := map[string]http.Handler{}
	for _, onOwn := range []bool{false, true} {
		edge, err := edgecache.New(edgecache.Config{Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		all[fmt.Sprintf("written late, to its own writer: %v", onOwn)] = lateFramework{edge.Handler, h, onOwn}
	}
	return all
}

// What a handler writes late its client sees as without the cache, whatever it is.
func aClientSeesWhatIsWrittenLate(t *testing.T) {
	for _, protocol := range transports {
		if testing.Short() && protocol.two {
			continue // the other one shows the same, and a short run is short
		}
		for name, handler := range manners {
			t.Run(protocol.name+"/a handler that "+name, func(t *testing.T) {
				t.Parallel()
				for method, times := range map[string]int{"GET": 2, "POST": 1} {
					for how, h := range lateHandlers(t, handler) {
						bare, cached := startServer(t, around(handler), protocol.two), startServer(t, around(h), protocol.two)
						for i := range times {
							want := look(t, bare, method, "/page/one", nil, nil)
							same(t, fmt.Sprintf("%s, %s, time %d", method, how, i), look(t, cached, method, "/page/one", nil, nil), want)
						}
					}
				}
			})
		}
	}
}

// randomLate plays random late writers against one cache each, and returns the first difference
// that it finds.
func randomLate(t *testing.T, seed uint64, cached func(*testing.T, http.Handler) map[string]http.Handler) error {
	t.Helper()
	steps := drawSteps(harness.NewDice(seed))
	var names []string
	for _, s := range steps {
		names = append(names, s.name)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, s := range steps {
			s.do(w)
		}
	})
	for _, protocol := range transports {
		for how, h := range cached(t, handler) {
			bare, server := startServer(t, around(handler), protocol.two), startServer(t, around(h), protocol.two)
			for _, method := range []string{"HEAD", "GET", "GET", "POST"} {
				want, got := look(t, bare, method, "/", nil, nil), look(t, server, method, "/", nil, nil)
				if differences := differ(got, want); len(differences) > 0 {
					return fmt.Errorf("EDGECACHE_SEED=%d: %s %s %s of %s: %s", seed, protocol.name, how, method, strings.Join(names, ", "), strings.Join(differences, "; "))
				}
			}
			bare.Close()
			server.Close()
		}
	}
	return nil
}

func aClientSeesWhatRandomHandlersWriteLate(t *testing.T) {
	first, n := harness.Batches(t, 20, 1000)
	for seed := first; seed < first+n; seed++ {
		require.NoError(t, randomLate(t, seed, lateHandlers))
	}
}

// Caches that do not let late writers have their way are found out.
func cachesThatDoNotWaitAreCaught(t *testing.T) {
	for name, mistake := range map[string]func(w http.ResponseWriter, rec *httptest.ResponseRecorder, committed bool){
		"takes silence for an empty page": func(w http.ResponseWriter, _ *httptest.ResponseRecorder, committed bool) {
			if !committed {
				w.WriteHeader(http.StatusOK)
			}
		},
		"keeps the answer in a buffer that is sent when the handler returns": func(w http.ResponseWriter, rec *httptest.ResponseRecorder, _ bool) {
			_, _ = w.Write(rec.Body.Bytes())
		},
		"gives the silent a lifetime": func(w http.ResponseWriter, _ *httptest.ResponseRecorder, committed bool) {
			if !committed {
				w.Header().Set("Cache-Control", "max-age=60")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			mutant := func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					rec := &committing{ResponseRecorder: httptest.NewRecorder(), w: w, buffers: strings.HasPrefix(name, "keeps")}
					next.ServeHTTP(rec, r)
					mistake(w, rec.ResponseRecorder, rec.committed)
				})
			}
			for seed := range uint64(50) {
				if err := randomLate(t, seed, func(_ *testing.T, h http.Handler) map[string]http.Handler {
					return map[string]http.Handler{"the mutant": lateFramework{mutant, h, false}}
				}); err != nil {
					t.Logf("after %d: %v", seed, err)
					return
				}
			}
			t.Error("nobody has noticed")
		})
	}
}

// committing is the writer of a mutant: it passes everything on, or keeps it.
type committing struct {
	*httptest.ResponseRecorder
	w                  http.ResponseWriter
	buffers, committed bool
}

func (c *committing) Header() http.Header         { return c.w.Header() }
func (c *committing) Unwrap() http.ResponseWriter { return c.w }
func (c *committing) Flush()                      { flush(c.w) }

func (c *committing) WriteHeader(status int) {
	c.committed = true
	c.w.WriteHeader(status)
}

func (c *committing) Write(p []byte) (int, error) {
	c.committed = true
	if c.buffers {
		return c.ResponseRecorder.Body.Write(p)
	}
	return c.w.Write(p)
}

func (c *committing) WriteString(s string) (int, error) { return c.Write([]byte(s)) }
