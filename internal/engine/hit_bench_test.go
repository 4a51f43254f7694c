package engine

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/key"
)

const browserAccept = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"

// BenchmarkHit is the steps of a hit that are done here. Those of the parts have the same name in
// their packages.
func BenchmarkHit(b *testing.B) {
	for name, vary := range map[string]string{"plain": "", "Vary Accept-Encoding": "Accept-Encoding"} {
		edge := newDefault()
		h := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=3600")
			w.Header().Set("Vary", vary)
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(http.StatusOK)
		}))
		r := httptest.NewRequest(http.MethodGet, "/page", nil)
		r.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
		r.Header.Set("Accept", browserAccept)
		for i := range cache.MaxVariants {
			r.Header.Set("X-Forwarded-Prefix", "/"+strconv.Itoa(i)) // so many scopes
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
		k, ok := key.Of(nil, r)
		require.True(b, ok)
		for where, i := range map[string]int{"newest": cache.MaxVariants - 1, "oldest of 64": 0} {
			r.Header.Set("X-Forwarded-Prefix", "/"+strconv.Itoa(i))
			req := edge.rules.Request(r)
			scope := edge.scope(nil, r, &req)
			res := edge.cache.Get(k)
			require.NotNil(b, res.Find(scope, &req, r.Header))
			b.Run("find/"+name+"/"+where, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					res.Find(scope, &req, r.Header)
				}
			})
			if where != "newest" || vary != "" {
				continue
			}
			b.Run("find/another browser", func(b *testing.B) {
				r.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
				defer r.Header.Set("Accept", browserAccept)
				b.ReportAllocs()
				for b.Loop() {
					res.Find(scope, &req, r.Header)
				}
			})
			v, now := res.Find(scope, &req, r.Header), time.Now()
			b.Run("plan", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					v.Reuse(&edge.rules, &req, now)
				}
			})
			header, room := http.Header{}, make([]string, 0, statusRoom)
			b.Run("status", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					clear(header)
					edge.report(header, r, &cacheStatus{status: Hit, ttl: time.Hour - 1, hasTTL: true, received: now}, room)
				}
			})
		}
	}
}
