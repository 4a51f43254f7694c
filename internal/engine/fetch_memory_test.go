package engine_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"testing"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestFetchMemory(t *testing.T) {
	t.Run("nothing of a fetch is kept when it is over", nothingOfAFetchIsKeptWhenItIsOver)
	t.Run("the context of a handler is printed without what is behind it", theContextOfAHandlerIsPrintedWithoutWhatIsBehindIt)
}

// What a fetch takes lies in few pieces, and each of them is kept as a whole by code that keeps a
// part.
func nothingOfAFetchIsKeptWhenItIsOver(t *testing.T) {
	for _, tt := range []struct {
		name   string
		method string
		header string
		keep   func(r *http.Request) any // by a goroutine that the handler leaves behind
	}{
		{"by the stored page", http.MethodGet, "max-age=60", nil},
		{"by the knowledge that a page cannot be stored", http.MethodGet, "no-store", nil},
		{"by what a POST leaves", http.MethodPost, "max-age=60", nil},
		{"by a HEAD", http.MethodHead, "max-age=60", nil},
		{"by who keeps the context of a page that is stored", http.MethodGet, "max-age=60", func(r *http.Request) any { return r.Context() }},
		{"by who keeps a child of that", http.MethodGet, "max-age=60", func(r *http.Request) any {
			child, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
			return []any{child, cancel}
		}},
		{"by who keeps the context of a page that is not", http.MethodGet, "no-store", func(r *http.Request) any { _ = r.Context().Done(); return r.Context() }},
		{"by who keeps the context of a POST", http.MethodPost, "max-age=60", func(r *http.Request) any { return r.Context() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var kept any
			cache := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tt.keep != nil {
					kept = tt.keep(r)
				}
				w.Header().Set("Cache-Control", tt.header)
				_, err := io.WriteString(w, "page")
				require.NoError(t, err)
			}))
			clients := make([]weak.Pointer[harness.Sink], 8)
			requests := make([]weak.Pointer[http.Request], len(clients))
			for i := range clients {
				w, r := harness.NewSink(), harness.BrowserRequest(fmt.Sprint("https://example.com/", i))
				r.Method = tt.method
				cache.ServeHTTP(w, r)
				clients[i], requests[i] = weak.Make(w), weak.Make(r)
			}
			runtime.GC()
			runtime.GC()
			for i := range clients {
				require.Nil(t, clients[i].Value(), "the client's writer")
				require.Nil(t, requests[i].Value(), "the client's request")
			}
			runtime.KeepAlive(cache)
			runtime.KeepAlive(kept)
		})
	}
}

// Code outside prints contexts to see what is in them.
func theContextOfAHandlerIsPrintedWithoutWhatIsBehindIt(t *testing.T) {
	var printed string
	cache := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		printed = fmt.Sprint(context.WithoutCancel(r.Context()), r.Context())
	}))
	cache.ServeHTTP(harness.NewSink(), harness.BrowserRequest("https://example.com/"))
	require.Equal(t, "edgecache.innerContext.WithoutCancel edgecache.innerContext", printed)
}
