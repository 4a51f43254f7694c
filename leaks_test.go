package edgecache_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

// However a POST whose answer might be stored ends, what was reserved for it goes back.
func TestNothingStaysReservedForAPost(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(t *testing.T, edge *edgecache.Edge, leave context.CancelFunc, w http.ResponseWriter)
	}{
		{"it is stored", func(*testing.T, *edgecache.Edge, context.CancelFunc, http.ResponseWriter) {}},
		{"its client leaves", func(_ *testing.T, _ *edgecache.Edge, leave context.CancelFunc, _ http.ResponseWriter) { leave() }},
		{"its handler panics", func(*testing.T, *edgecache.Edge, context.CancelFunc, http.ResponseWriter) {
			panic(http.ErrAbortHandler)
		}},
		{"it is purged", func(t *testing.T, edge *edgecache.Edge, _ context.CancelFunc, _ http.ResponseWriter) {
			_, err := edge.PurgeAll(t.Context())
			require.NoError(t, err)
		}},
		{"it restricts itself too late", func(_ *testing.T, _ *edgecache.Edge, _ context.CancelFunc, w http.ResponseWriter) {
			edgecache.NoStore(w)
		}},
		{"it becomes too large", func(_ *testing.T, _ *edgecache.Edge, _ context.CancelFunc, w http.ResponseWriter) {
			io.WriteString(w, strings.Repeat("x", 1<<20))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				var s *harness.Site
				s = harness.NewCountedSite(t, edgecache.Config{MaxObjectBytes: 256 << 10}, func(w http.ResponseWriter, r *http.Request, call int) {
					w.Header().Set("Content-Location", r.URL.Path)
					w.Header().Set("Cache-Control", "max-age=60")
					io.WriteString(w, strings.Repeat("x", 100<<10))
					tt.end(t, s.Edge, leave, w)
				})
				func() {
					defer func() { _ = recover() }()
					s.Handler.ServeHTTP(httptest.NewRecorder(), harness.Request("POST", "/").WithContext(ctx))
				}()
				synctest.Wait()
				if got := s.Edge.Stats().BytesInFlight; got != 0 {
					t.Errorf("%d bytes are still reserved", got)
				}
			})
		})
	}
}

// brittle is a client's writer that panics at its header, as that of middleware outside may.
type brittle struct{ http.ResponseWriter }

func (b *brittle) WriteHeader(int) { panic("brittle") }

// A panic of the client's writer reaches the handler, as without us: the request ends, and nothing stays reserved.
func TestPanicOfTheClientsWriterAtTheHeader(t *testing.T) {
	for _, recovers := range []bool{false, true} {
		for _, size := range []int{10, 100 << 10, 1 << 20} {
			for _, header := range [][]string{nil, {"Range", "bytes=0-9,20-29"}, {"Range", "bytes=0-9"}, {"If-None-Match", `"x"`}} {
				t.Run(fmt.Sprint(size, " bytes, recovers: ", recovers, ", ", header), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := harness.NewCountedSite(t, edgecache.Config{MaxObjectBytes: 256 << 10}, func(w http.ResponseWriter, r *http.Request, call int) {
							if recovers {
								defer func() { _ = recover() }()
							}
							w.Header().Set("Etag", `"x"`)
							io.WriteString(w, strings.Repeat("x", size))
						})
						func() {
							defer func() { _ = recover() }()
							s.Handler.ServeHTTP(&brittle{httptest.NewRecorder()}, harness.Request("GET", "/", header...))
						}()
						synctest.Wait()
						st := s.Edge.Stats()
						if st.BytesInFlight != 0 || st.Fetches != 0 {
							t.Errorf("%d bytes are still reserved, %d fills open", st.BytesInFlight, st.Fetches)
						}
						w := httptest.NewRecorder()
						s.Handler.ServeHTTP(w, harness.Request("GET", "/"))
						require.Equal(t, size, w.Body.Len())
					})
				})
			}
		}
	}
}
