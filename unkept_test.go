package edgecache_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

// After a refusal Cache-Status and Explain say which it was, each time.
func TestRefusalsAreRemembered(t *testing.T) {
	for name, row := range map[string]struct {
		reason string
		say    func(http.ResponseWriter)
	}{
		"Set-Cookie": {"set-cookie", func(w http.ResponseWriter) { http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"}) }},
		"private":    {"private", func(w http.ResponseWriter) { edgecache.Private(w) }},
		"no-store":   {"no-store", func(w http.ResponseWriter) { edgecache.NoStore(w) }},
		"Vary: *":    {"vary-star", func(w http.ResponseWriter) { w.Header().Set("Vary", "*") }},
		"a length":   {"too-large", func(w http.ResponseWriter) { w.Header().Set("Content-Length", "20000") }},
		"a body":     {"too-large", func(http.ResponseWriter) {}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var events []edgecache.Event
				cfg := edgecache.Config{MaxObjectBytes: 10_000, Observer: func(ev edgecache.Event) { events = append(events, ev) }}
				s := harness.NewCountedSite(t, cfg, func(w http.ResponseWriter, _ *http.Request, _ int) {
					row.say(w)
					for range 20 {
						_, _ = io.WriteString(w, strings.Repeat("x", 1000))
					}
				})
				for i := range 3 {
					events = nil
					v := s.Visit("/")
					require.False(t, v.Cut())
					require.Len(t, v.Text(), 20_000)
					synctest.Wait()
					if name == "a body" && i == 0 {
						// Nobody can know it before it has come.
						require.Contains(t, v.Header().Get("Cache-Status"), "; stored")
						require.Len(t, events, 2)
						require.True(t, events[0].Stored)
						require.Equal(t, edgecache.Unkept, events[1].Kind)
						require.Equal(t, "too-large", events[1].Reason.String())
						require.Equal(t, "unkept", events[1].Kind.String())
						continue
					}
					require.Contains(t, v.Header().Get("Cache-Status"), "detail="+row.reason)
					require.NotContains(t, v.Header().Get("Cache-Status"), "stored")
					require.Equal(t, "BYPASS", v.Header().Get("X-Cache"))
					require.Len(t, events, 1)
					require.Equal(t, row.reason, events[0].Reason.String())
					require.Equal(t, row.reason, s.Edge.Explain(harness.Request("GET", "/")).Reason.String())
				}
				require.Zero(t, s.Edge.Stats().Entries)
			})
		})
	}
}

// What has outgrown the limit once is not announced as stored again until it is, or says its length.
func TestTooLargeIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, declares := 20, false
		s := harness.NewCountedSite(t, edgecache.Config{MaxObjectBytes: 10_000}, func(w http.ResponseWriter, _ *http.Request, _ int) {
			if declares {
				w.Header().Set("Content-Length", fmt.Sprint(n*1000))
			}
			for range n {
				_, _ = io.WriteString(w, strings.Repeat("x", 1000))
			}
		})
		status := func() string {
			v := s.Visit("/")
			require.False(t, v.Cut())
			return v.Header().Get("X-Cache")
		}
		require.Equal(t, "MISS BYPASS", status()+" "+status())
		n = 5
		require.Equal(t, "BYPASS HIT", status()+" "+status(), "it has become smaller, which nobody could know")
		time.Sleep(edgecache.DefaultTTL)
		n = 20
		require.Equal(t, "EXPIRED BYPASS", status()+" "+status())
		n = 1
		require.Equal(t, "MISS HIT", status()+" "+status())
		time.Sleep(edgecache.DefaultTTL)
		n = 20
		require.Equal(t, "EXPIRED BYPASS", status()+" "+status())
		n, declares = 1, true
		require.Equal(t, "MISS HIT", status()+" "+status())
	})
}

// An event tells of each response that was announced as stored and was not kept.
func TestEventOfWhatWasNotKept(t *testing.T) {
	begins := func(w http.ResponseWriter) {
		_, _ = io.WriteString(w, "begin")
		_ = http.NewResponseController(w).Flush()
	}
	for name, row := range map[string]struct {
		want    string
		handler func(s *harness.Site, w http.ResponseWriter)
	}{
		"it is whole":           {"", func(_ *harness.Site, w http.ResponseWriter) { begins(w) }},
		"it breaks off":         {"aborted", func(_ *harness.Site, w http.ResponseWriter) { begins(w); panic(http.ErrAbortHandler) }},
		"it is too short":       {"incomplete", func(_ *harness.Site, w http.ResponseWriter) { w.Header().Set("Content-Length", "9"); begins(w) }},
		"an error comes late":   {"aborted", func(_ *harness.Site, w http.ResponseWriter) { begins(w); http.Error(w, "!", 500) }},
		"it is forbidden late":  {"no-store", func(_ *harness.Site, w http.ResponseWriter) { begins(w); edgecache.NoStore(w) }},
		"a purge comes between": {"purged", func(s *harness.Site, w http.ResponseWriter) { begins(w); _, _ = s.Edge.PurgeAll(s.T.Context()) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var kinds, told []string
				var s *harness.Site
				s = harness.NewCountedSite(t, edgecache.Config{Observer: func(ev edgecache.Event) {
					kinds = append(kinds, ev.Kind.String())
					if ev.Kind == edgecache.Unkept {
						told = append(told, ev.Reason.String())
					}
				}}, func(w http.ResponseWriter, _ *http.Request, _ int) { row.handler(s, w) })
				s.Visit("/").Cut()
				synctest.Wait()
				if row.want == "" {
					require.Empty(t, told)
					return
				}
				require.Equal(t, []string{row.want}, told, kinds)
				require.Less(t, strings.Index(strings.Join(kinds, " "), "answered"), strings.Index(strings.Join(kinds, " "), "unkept"))
			})
		})
	}
}
