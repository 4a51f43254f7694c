package edgecache_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

// What is known of URLs that cannot be stored takes nothing from what is stored, however many there are.
func TestRefusalsTakeNothingFromWhatIsStored(t *testing.T) {
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

// Explain says why the last answer was not kept, apart for requests with credentials, until a stored answer or a purge ends that.
func TestRefusalsAreExplained(t *testing.T) {
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

// Whoever makes up an X-Forwarded-Host, and gets what is not stored for that, keeps nobody else's requests from waiting for each other.
func TestRefusalsOfAScopeAreItsOwn(t *testing.T) {
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
