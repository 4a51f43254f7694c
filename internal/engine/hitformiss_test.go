package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestHitForMiss(t *testing.T) {
	t.Run("it takes nothing from what is stored", itTakesNothingFromWhatIsStored)
	t.Run("Explain says why the last response was not kept", explainSaysWhyTheLastResponseWasNotKept)
	t.Run("a made-up forwarded host keeps no other request from waiting", aMadeUpForwardedHostKeepsNoOtherRequestFromWaiting)
}

func TestUnkept(t *testing.T) {
	t.Run("the reason is remembered", theReasonIsRemembered)
	t.Run("too large is forgotten when a response fits again", tooLargeIsForgottenWhenAResponseFitsAgain)
	t.Run("an event tells of each response that was not kept", anEventTellsOfEachResponseThatWasNotKept)
}

// What is known of URLs that cannot be stored takes nothing from what is stored, however many there
// are.
func itTakesNothingFromWhatIsStored(t *testing.T) {
	random := 6_000 // would have taken more than MaxBytes, were they charged
	if os.Getenv("EDGECACHE_LONG") != "" {
		random = 300_000
	}
	for name, refuse := range map[string]func(w http.ResponseWriter){
		"400":      func(w http.ResponseWriter) { w.WriteHeader(400) },
		"404":      func(w http.ResponseWriter) { edgecache.NoStore(w); w.WriteHeader(404) },
		"no-store": edgecache.NoStore,
	} {
		t.Run(name, func(t *testing.T) {
			const used = 1000
			edge, err := edgecache.New(edgecache.Config{MaxBytes: 2 << 20})
			require.NoError(t, err)
			h := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.RawQuery != "" {
					refuse(w)
					return
				}
				w.Header().Set("Cache-Control", "max-age=600")
				fmt.Fprint(w, "page of ", r.URL.Path)
			}))
			w, r := harness.NewSink(), httptest.NewRequest("GET", "/", nil)
			get := func(path, query string) string {
				w.Reset()
				r.URL.Path, r.URL.RawQuery, r.RequestURI = path, query, path
				if query != "" {
					r.RequestURI += "?" + query
				}
				h.ServeHTTP(w, r)
				return w.Fields.Get("X-Cache")
			}
			for range 2 {
				for i := range used {
					get(fmt.Sprint("/", i), "")
				}
			}
			before := edge.Stats()
			require.Equal(t, used, before.Entries)
			for i := range random {
				if got := get("/x", fmt.Sprint(i)); got != "BYPASS" {
					t.Fatalf("got %s", got)
				}
			}
			after := edge.Stats()
			require.Equal(t, before.Bytes, after.Bytes)
			require.Equal(t, before.URLs, after.URLs)
			require.Zero(t, after.Evictions)
			for i := range used {
				if got := get(fmt.Sprint("/", i), ""); got != "HIT" {
					t.Errorf("page %d: got %s", i, got)
				}
			}
		})
	}
}

// Explain says why the last answer was not kept, apart for requests with credentials, until a
// stored answer or a purge ends that.
func explainSaysWhyTheLastResponseWasNotKept(t *testing.T) {
	reasons := map[string]func(w http.ResponseWriter){
		"no-store":   edgecache.NoStore,
		"private":    edgecache.Private,
		"set-cookie": func(w http.ResponseWriter) { w.Header().Set("Set-Cookie", "a=b") },
		"vary-star":  func(w http.ResponseWriter) { w.Header().Set("Vary", "*") },
		"stream":     func(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/event-stream") },
		"expired":    func(w http.ResponseWriter) { w.Header().Set("Expires", "0") },
		"too-large":  func(w http.ResponseWriter) { w.Write(make([]byte, 1<<20)) },
	}
	for want, refuse := range reasons {
		for ending, end := range map[string]func(s *harness.Site, healed *bool){
			"":              func(*harness.Site, *bool) {},
			"by time":       func(*harness.Site, *bool) { time.Sleep(2 * time.Minute) },
			"by an answer":  func(s *harness.Site, healed *bool) { *healed = true; <-s.Visit("/").Done },
			"by a purge":    func(s *harness.Site, _ *bool) { s.Edge.Purge(s.T.Context(), "https://example.com/") },
			"by all purged": func(s *harness.Site, _ *bool) { s.Edge.PurgeAll(s.T.Context()) },
			"by a POST to it": func(s *harness.Site, healed *bool) {
				<-harness.Send(s.T.Context(), s.Handler, harness.Request("POST", "/")).Done
			},
		} {
			t.Run(want+", ended "+ending, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					healed := false
					s := harness.NewCountedSite(t, edgecache.Config{MaxObjectBytes: 64 << 10}, func(w http.ResponseWriter, r *http.Request, call int) {
						if !healed && r.Method == http.MethodGet {
							refuse(w)
						}
					})
					explain := func(header ...string) string {
						r := harness.Request("GET", "/", header...)
						return s.Edge.Explain(r).Reason.String()
					}
					require.Equal(t, "uri-miss", explain())
					<-s.Visit("/").Done
					require.Equal(t, want, explain())
					require.Equal(t, "uri-miss", explain("Cookie", "session=1"))
					end(s, &healed)
					switch ending {
					case "":
						require.Equal(t, want, explain())
					case "by an answer":
						require.Empty(t, explain())
						time.Sleep(3 * time.Minute)
						require.Equal(t, "stale", explain())
					default:
						require.Equal(t, "uri-miss", explain())
					}
				})
			})
		}
	}
}

// A client that makes up an X-Forwarded-Host, and gets what is not stored, keeps no other
// requests from waiting for each other.
func aMadeUpForwardedHostKeepsNoOtherRequestFromWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			time.Sleep(100 * time.Millisecond)
			if r.Header.Get("X-Forwarded-Host") != "" {
				edgecache.NoStore(w)
				fmt.Fprint(w, "no such site")
				return
			}
			fmt.Fprint(w, "page")
		})
		evil := []string{"X-Forwarded-Host", "evil.example"}
		s.Visit("/", evil...).Wants(t, "BYPASS", 200, "no such site")
		require.Equal(t, map[string]int{"MISS": 1, "HIT": 19}, harness.Words(s.Visits(20, "/")))
		for _, v := range s.Visits(20, "/", evil...) {
			v.Wants(t, "BYPASS", 200, "no such site")
			require.Equal(t, 100*time.Millisecond, v.Took, "of their own scope it is known")
		}
		require.Equal(t, "no-store", s.Edge.Explain(harness.Request("GET", "/", "X-Forwarded-Host", "evil.example")).Reason.String())
	})
}

// After a refusal Cache-Status and Explain say which it was, each time.
func theReasonIsRemembered(t *testing.T) {
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
						// It cannot be known before it has come.
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

// What has outgrown the limit once is not announced as stored again until it is, or says its
// length.
func tooLargeIsForgottenWhenAResponseFitsAgain(t *testing.T) {
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
func anEventTellsOfEachResponseThatWasNotKept(t *testing.T) {
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
