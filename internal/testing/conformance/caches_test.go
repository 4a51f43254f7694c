package conformance

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The caches here are as small as a cache can be and wrong in one known way each: the runner must
// find that way.

// through is no cache at all.
func through(next http.Handler) http.Handler { return next }

// stored is one answer of a naive cache.
type stored struct {
	rec  *httptest.ResponseRecorder
	when time.Time
}

// naive caches GET by URL for as long as keep says, and replays what it has, header and all.
func naive(keep func(h http.Header) time.Duration) func(http.Handler) http.Handler {
	var mu sync.Mutex
	pages := make(map[string]stored)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				next.ServeHTTP(w, r)
				return
			}
			mu.Lock()
			page, ok := pages[r.URL.String()]
			mu.Unlock()
			if !ok || time.Since(page.when) >= keep(page.rec.Header()) {
				page = stored{httptest.NewRecorder(), time.Now()}
				next.ServeHTTP(page.rec, r)
				mu.Lock()
				pages[r.URL.String()] = page
				mu.Unlock()
			}
			maps.Copy(w.Header(), page.rec.Header())
			w.WriteHeader(page.rec.Code)
			_, _ = w.Write(page.rec.Body.Bytes())
		})
	}
}

// forever keeps everything, whatever it says.
func forever(http.Header) time.Duration { return 1 << 62 }

// maxAge obeys a plain max-age and nothing else.
func maxAge(h http.Header) time.Duration {
	n, _ := strconv.Atoi(strings.TrimPrefix(h.Get("Cache-Control"), "max-age="))
	return time.Duration(n) * time.Second
}

// altering changes the header of every answer on its way out.
func altering(change func(h http.Header)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			maps.Copy(w.Header(), rec.Header())
			change(w.Header())
			w.WriteHeader(rec.Code)
			_, _ = w.Write(rec.Body.Bytes())
		})
	}
}

// nowhere is a ResponseWriter whose client has gone.
type nowhere http.Header

func (n nowhere) Header() http.Header         { return http.Header(n) }
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n nowhere) WriteHeader(int)             {}

// twice asks the origin again for every GET, like a client that repeats what it thinks was lost.
func twice(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			next.ServeHTTP(nowhere{}, r)
		}
		next.ServeHTTP(w, r)
	})
}
