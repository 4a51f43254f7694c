package edgecache_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

// headerRewriter changes the header before it is sent.
type headerRewriter struct {
	http.ResponseWriter
	change func(status int, h http.Header)
}

func (w *headerRewriter) WriteHeader(status int) {
	if w.change != nil {
		w.change(status, w.Header())
		w.change = nil
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *headerRewriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// The model notices caches that are broken in one place each.
func TestCompressModelCanFail(t *testing.T) {
	asking := func(change func(http.Header)) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { change(r.Header); h.ServeHTTP(w, r) })
		}
	}
	answering := func(change func(int, http.Header)) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h.ServeHTTP(&headerRewriter{ResponseWriter: w, change: change}, r)
			})
		}
	}
	for name, mutant := range map[string]struct {
		wrap   func(http.Handler) http.Handler
		encode func(edgecache.Encoder) edgecache.Encoder
	}{
		"an encoder loses the last byte": {untouched, func(encode edgecache.Encoder) edgecache.Encoder {
			return func(c coding.Coding, from io.WriterTo, best bool) ([]byte, error) {
				packed, err := encode(c, from, best)
				return packed[:len(packed)-1], err
			}
		}},
		"an encoder takes one coding for another": {untouched, func(encode edgecache.Encoder) edgecache.Encoder {
			return func(_ coding.Coding, from io.WriterTo, best bool) ([]byte, error) {
				return encode(coding.Gzip, from, best)
			}
		}},
		"an encoder returns what it made last": {untouched, func(encode edgecache.Encoder) edgecache.Encoder {
			var mu sync.Mutex
			last := map[coding.Coding][]byte{}
			return func(c coding.Coding, from io.WriterTo, best bool) ([]byte, error) {
				packed, err := encode(c, from, best)
				mu.Lock()
				defer mu.Unlock()
				before := last[c]
				last[c] = packed
				if before == nil {
					before = packed
				}
				return before, err
			}
		}},
		"weights are not read": {asking(func(h http.Header) {
			if lines := h["Accept-Encoding"]; len(lines) > 0 {
				h["Accept-Encoding"] = []string{strings.ReplaceAll(lines[0], ";q=0.000", "")}
			}
		}), uncoded},
		"a coding has the tag of the page": {answering(func(_ int, h http.Header) {
			h["Etag"] = []string{strings.Replace(h.Get("Etag"), "-br", "", 1)}
		}), uncoded},
		"a coding that the client does not accept is confirmed": {asking(func(h http.Header) {
			if len(h["If-None-Match"]) > 0 {
				h["Accept-Encoding"] = []string{harness.AcceptEncoding}
			}
		}), uncoded},
		"a 304 does not say what it varies by": {answering(func(status int, h http.Header) {
			if status == http.StatusNotModified {
				h.Del("Vary")
			}
		}), uncoded},
		"parts are taken for parts of a coding": {answering(func(status int, h http.Header) {
			if status == http.StatusPartialContent {
				h.Set("Content-Encoding", "br")
			}
		}), uncoded},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); seed <= 300; seed++ {
				if wrong := playPress(t, seed, mutant.wrap, mutant.encode, map[string]int{}); len(wrong) > 0 {
					t.Logf("at seed %d: %.200s", seed, wrong[0])
					require.Empty(t, playPress(t, seed, untouched, uncoded, map[string]int{}), "wrong without the mutant, too")
					return
				}
			}
			t.Error("not noticed in 300 histories")
		})
	}
}
