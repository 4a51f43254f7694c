package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestMiddlewareOutside(t *testing.T) {
	t.Run("its fields and the handler's reach the client", itsFieldsAndTheHandlersReachTheClient)
	t.Run("its fields reach the client on each way", itsFieldsReachTheClientOnEachWay)
	t.Run("its restrictions in targeted fields hold (RFC 9213, 2.2)", itsRestrictionsInTargetedFieldsHold)
	t.Run("hits below it allocate nothing more", hitsBelowItAllocateNothingMore)
	t.Run("its Vary does not replace the stored one at a 304", itsVaryDoesNotReplaceTheStoredOneAtA304)
}

// What middleware outside of the cache sets belongs to its own request; what the handler does to it
// belongs to the response, and holds for every later request.

// outside sets fields on each response before the cache sees its request, as middleware does.
type outside struct {
	next   http.Handler
	header http.Header // changes from request to request
}

func (o *outside) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, lines := range o.header {
		w.Header()[name] = append([]string(nil), lines...)
	}
	o.next.ServeHTTP(w, r)
}

// lines joins the lines of a field so that they can be told apart.
func linesOf(h http.Header, name string) string { return strings.Join(h[name], " | ") }

func itsFieldsAndTheHandlersReachTheClient(t *testing.T) {
	for _, tt := range []struct {
		name    string
		field   string
		first   []string            // outer lines when the response is made
		handler func(h http.Header) // what the handler does to them
		miss    string              // what its client gets
		later   []string            // outer lines of a later request
		hit     string              // what that gets
	}{
		{"untouched lines are not replayed", "X-Frame-Options",
			[]string{"DENY"}, func(http.Header) {}, "DENY", []string{"SAMEORIGIN"}, "SAMEORIGIN"},
		{"untouched lines are not replayed where there are none", "X-Frame-Options",
			[]string{"DENY"}, func(http.Header) {}, "DENY", nil, ""},
		{"lines that the handler adds stand behind those of the later request", "Link",
			[]string{"</a>", "</b>"}, func(h http.Header) { h.Add("Link", "</c>") }, "</a> | </b> | </c>", []string{"</z>"}, "</z> | </c>"},
		{"added lines stand alone where the later request has none", "Link",
			[]string{"</a>"}, func(h http.Header) { h.Add("Link", "</c>") }, "</a> | </c>", nil, "</c>"},
		{"added lines that read like the outer ones are lines", "Link",
			[]string{"</a>"}, func(h http.Header) { h.Add("Link", "</a>") }, "</a> | </a>", []string{"</a>"}, "</a> | </a>"},
		{"lines that the handler sets replace", "Link",
			[]string{"</a>"}, func(h http.Header) { h.Set("Link", "</c>") }, "</c>", []string{"</z>"}, "</c>"},
		{"lines that the handler puts before stand before those of the later request", "Link",
			[]string{"</a>", "</b>"}, func(h http.Header) { h["Link"] = append([]string{"</c>"}, h["Link"]...) }, "</c> | </a> | </b>", []string{"</z>"}, "</c> | </z>"},
		{"lines that the handler puts before stand alone where the later request has none", "Link",
			[]string{"</a>"}, func(h http.Header) { h["Link"] = append([]string{"</c>"}, h["Link"]...) }, "</c> | </a>", nil, "</c>"},
		{"lines that the handler only puts in another order are not replayed", "Link",
			[]string{"</a>", "</b>"}, func(h http.Header) { slices.Reverse(h["Link"]) }, "</b> | </a>", []string{"</z>"}, "</z>"},
		{"nor in a list of its own", "Link",
			[]string{"</a>", "</b>"}, func(h http.Header) { h["Link"] = []string{h["Link"][1], h["Link"][0]} }, "</b> | </a>", []string{"</z>"}, "</z>"},
		{"lines of which the handler takes the first away are not replayed", "Link",
			[]string{"</a>", "</b>"}, func(h http.Header) { h["Link"] = h["Link"][1:] }, "</b>", []string{"</z>"}, "</z>"},
		{"nor those of which it deletes one", "Link",
			[]string{"</a>", "</b>"}, func(h http.Header) { h["Link"] = slices.Delete(h["Link"], 0, 1) }, "</b>", nil, ""},
		{"lines beside one that the handler changes in place are not replayed", "Link",
			[]string{"</a>", "</b>"}, func(h http.Header) { h["Link"][0] = "</c>" }, "</c> | </b>", []string{"</z>"}, "</c>"},
		{"Vary of the later request counts where the handler put its own before", "Vary",
			[]string{"Origin"}, func(h http.Header) { h["Vary"] = append([]string{"Accept"}, h["Vary"]...) }, "Accept | Origin", []string{"Cookie2"}, "Cookie2 | Accept"},
		{"a line that the handler changes in place replaces", "Link",
			[]string{"</a>"}, func(h http.Header) { h["Link"][0] = "</c>" }, "</c>", []string{"</z>"}, "</c>"},
		{"what the handler sets to the same text is its own", "X-Frame-Options",
			[]string{"DENY"}, func(h http.Header) { h.Set("X-Frame-Options", "DENY") }, "DENY", []string{"SAMEORIGIN"}, "DENY"},
		{"what the handler sets to the same text is there without the outer one", "X-Frame-Options",
			[]string{"DENY"}, func(h http.Header) { h.Set("X-Frame-Options", "DENY") }, "DENY", nil, "DENY"},
		{"what the handler deletes stays deleted", "X-Frame-Options",
			[]string{"DENY"}, func(h http.Header) { h.Del("X-Frame-Options") }, "", []string{"DENY"}, ""},
		{"what the handler deletes and was not there is no edit", "X-Frame-Options",
			nil, func(h http.Header) { h.Del("X-Frame-Options") }, "", []string{"DENY"}, "DENY"},
		{"a name that is spelled oddly is found again", "x-odd",
			[]string{"1"}, func(h http.Header) { delete(h, "x-odd") }, "", []string{"2"}, ""},
		{"a name that is spelled oddly and untouched is not replayed", "x-odd",
			[]string{"1"}, func(http.Header) {}, "1", nil, ""},
		{"an empty list forbids", "Date",
			[]string{}, func(http.Header) {}, "", nil, "now"},

		{"a type that is said outside is not replaced by a guess", "Content-Type",
			[]string{"application/json"}, func(http.Header) {}, "application/json", []string{"text/css"}, "text/css"},
		{"a type that the handler takes off is what the bytes look like", "Content-Type",
			[]string{"application/json"}, func(h http.Header) { h.Del("Content-Type") }, "", []string{"text/css"}, "text/plain; charset=utf-8"},
		{"an entity tag that is said outside is not replaced by one of ours", "Etag",
			[]string{`"1"`}, func(http.Header) {}, `"1"`, []string{`"2"`}, `"2"`},
		{"fields of the connection are no edits (RFC 9110, 7.6.1)", "Connection",
			[]string{"close"}, func(h http.Header) { h.Del("Connection") }, "", []string{"close"}, "close"},

		{"Vary of both counts when the handler adds (RFC 9110, 12.5.5)", "Vary",
			[]string{"Origin"}, func(h http.Header) { h.Add("Vary", "Accept") }, "Origin | Accept", []string{"Cookie2"}, "Cookie2 | Accept"},
		{"Vary of both counts when the handler sets", "Vary",
			[]string{"Origin"}, func(h http.Header) { h.Set("Vary", "Accept") }, "Origin | Accept", []string{"Cookie2"}, "Cookie2 | Accept"},
		{"Vary of both counts when the handler deletes", "Vary",
			[]string{"Origin"}, func(h http.Header) { h.Del("Vary") }, "Origin", []string{"Cookie2"}, "Cookie2"},
		{"Vary that says all by itself is left as it is", "Vary",
			[]string{"Origin"}, func(h http.Header) { h.Set("Vary", "accept, origin") }, "accept, origin", []string{"Origin", "Accept"}, "accept, origin"},
		{"Vary of the handler stands alone where there is no other", "Vary",
			[]string{"Origin"}, func(h http.Header) { h.Add("Vary", "Accept") }, "Origin | Accept", nil, "Accept"},
		{"an outer star stays", "Vary",
			nil, func(h http.Header) { h.Add("Vary", "Accept") }, "Accept", []string{"*"}, "* | Accept"},

		{"an outer restriction of the later request stays beside what the handler set", "Cache-Control",
			nil, func(h http.Header) { h.Set("Cache-Control", "public, max-age=60") }, "public, max-age=60", []string{"private"}, "max-age=60, private"},
		{"an outer no-store of the later request stays", "Cache-Control",
			[]string{"max-age=5"}, func(h http.Header) { h.Set("Cache-Control", "max-age=60") }, "max-age=60", []string{"no-store"}, "no-store"},
		{"an outer no-cache of the later request stays", "Cache-Control",
			nil, func(h http.Header) { h.Set("Cache-Control", "max-age=60, must-revalidate") }, "max-age=60, must-revalidate", []string{"No-Cache"}, "must-revalidate, no-cache"},
		{"an outer restriction that the handler took back stays taken back", "Cache-Control",
			[]string{"no-store"}, func(h http.Header) { h.Set("Cache-Control", "max-age=60") }, "max-age=60", []string{"no-store"}, "max-age=60"},
		{"an outer restriction that the handler deleted stays deleted", "Cache-Control",
			[]string{"no-store"}, func(h http.Header) { h.Del("Cache-Control") }, "", []string{"no-store"}, ""},
		{"an outer permission that the handler deleted takes no later restriction with it", "Cache-Control",
			[]string{"max-age=5"}, func(h http.Header) { h.Del("Cache-Control") }, "", []string{"private"}, "private"},
		{"an outer permission that the handler deleted stays deleted", "Cache-Control",
			[]string{"max-age=5"}, func(h http.Header) { h.Del("Cache-Control") }, "", []string{"max-age=5"}, ""},
		{"an outer lifetime does not touch the handler's", "Cache-Control",
			nil, func(h http.Header) { h.Set("Cache-Control", "max-age=60") }, "max-age=60", []string{"max-age=5, public"}, "max-age=60"},
		{"a policy of the later request counts beside the handler's (CSP 3, 8.1)", "Content-Security-Policy",
			nil, func(h http.Header) { h.Set("Content-Security-Policy", "default-src 'self'") }, "default-src 'self'", []string{"frame-ancestors 'none'"}, "frame-ancestors 'none' | default-src 'self'"},
		{"a policy that the handler replaced stays replaced", "Content-Security-Policy",
			[]string{"frame-ancestors 'none'"}, func(h http.Header) { h.Set("Content-Security-Policy", "default-src 'self'") }, "default-src 'self'", []string{"frame-ancestors 'none'"}, "default-src 'self'"},
		{"a policy that the handler took off stays taken off", "Content-Security-Policy",
			[]string{"frame-ancestors 'none'"}, func(h http.Header) { h.Del("Content-Security-Policy") }, "", []string{"frame-ancestors 'none'"}, ""},
		{"a policy that the handler added stands behind that of the later request", "Content-Security-Policy",
			[]string{"frame-ancestors 'none'"}, func(h http.Header) { h.Add("Content-Security-Policy", "default-src 'self'") }, "frame-ancestors 'none' | default-src 'self'",
			[]string{"frame-ancestors 'self'"}, "frame-ancestors 'self' | default-src 'self'"},
		{"an outer restriction of a targeted field stays (RFC 9213, 2.2)", "Cdn-Cache-Control",
			nil, func(h http.Header) { h.Set("Cdn-Cache-Control", "max-age=60") }, "max-age=60", []string{"no-store"}, "no-store"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cache := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					tt.handler(w.Header())
					_, _ = io.WriteString(w, "page")
				}))
				get := func(outer []string, status string) string {
					t.Helper()
					o := &outside{next: cache, header: http.Header{"X-Unused": {"1"}}}
					if outer != nil {
						o.header[tt.field] = outer
					}
					w := httptest.NewRecorder()
					o.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
					require.Equal(t, status, w.Header().Get("X-Cache"), w.Header())
					got := linesOf(w.Result().Header, tt.field)
					if tt.field == "Date" && got != "" {
						return "now"
					}
					return got
				}
				if got := get(tt.first, "MISS"); got != tt.miss {
					t.Errorf("miss: got %q, want %q", got, tt.miss)
				}
				for range 2 { // a hit leaves nothing behind
					if got := get(tt.later, "HIT"); got != tt.hit {
						t.Errorf("hit: got %q, want %q", got, tt.hit)
					}
				}
			})
		})
	}
}

// A client that waits for another request's response, or gets it later by another way, is told the
// same as by a hit.
func itsFieldsReachTheClientOnEachWay(t *testing.T) {
	edit := func(h http.Header) {
		h.Add("Link", "</own>")
		h.Set("X-Mode", "own")
		h.Del("X-Frame-Options")
		h.Set("Vary", "Accept")
		h.Set("Cache-Control", "max-age=10, stale-if-error=60")
		h.Set("Etag", `"1"`)
	}
	outer := func(n int) http.Header {
		return http.Header{
			"Link": {fmt.Sprintf("</outer%d>", n)}, "X-Mode": {"outer"}, "X-Frame-Options": {"DENY"}, "Vary": {"Origin"},
			"X-Request": {fmt.Sprint(n)},
		}
	}
	check := func(t *testing.T, w *httptest.ResponseRecorder, n int, status string) {
		t.Helper()
		h := w.Header()
		require.Equal(t, status, h.Get("X-Cache"))
		for name, want := range map[string]string{
			"Link": fmt.Sprintf("</outer%d> | </own>", n), "X-Mode": "own", "X-Frame-Options": "", "Vary": "Origin | Accept", "X-Request": fmt.Sprint(n),
		} {
			if got := linesOf(h, name); got != want {
				t.Errorf("%s %d: %s is %q, want %q", status, w.Code, name, got, want)
			}
		}
	}
	get := func(cache http.Handler, n int, method string, header ...string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest(method, "/", nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		(&outside{next: cache, header: outer(n)}).ServeHTTP(w, r)
		return w
	}
	synctest.Test(t, func(t *testing.T) {
		mode := "page"
		goOn := make(chan struct{})
		cache := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch mode {
			case "fails":
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			case "confirms":
				w.Header().Set("Etag", `"1"`)
				w.WriteHeader(http.StatusNotModified)
				return
			}
			edit(w.Header())
			_, _ = io.WriteString(w, "page")
			w.(http.Flusher).Flush()
			<-goOn
		}))
		var all sync.WaitGroup
		all.Go(func() { check(t, get(cache, 1, "GET"), 1, "MISS") })
		synctest.Wait()
		all.Go(func() { check(t, get(cache, 2, "GET"), 2, "HIT") }) // reads along
		synctest.Wait()
		close(goOn)
		all.Wait()
		check(t, get(cache, 3, "GET"), 3, "HIT")
		check(t, get(cache, 4, "HEAD"), 4, "HIT")
		w := get(cache, 5, "GET", "If-None-Match", `"1"`)
		require.Equal(t, http.StatusNotModified, w.Code)
		check(t, w, 5, "HIT")
		time.Sleep(11 * time.Second)
		mode = "fails"
		check(t, get(cache, 6, "GET"), 6, "STALE")
		time.Sleep(2 * time.Second)
		mode = "confirms"
		check(t, get(cache, 7, "GET"), 7, "REVALIDATED")
		check(t, get(cache, 8, "GET"), 8, "HIT")
	})
}

// Each targeted field is looked after, however many there are (RFC 9213, 2.2).
func itsRestrictionsInTargetedFieldsHold(t *testing.T) {
	names := []string{"A-Cache-Control", "B-Cache-Control", "C-Cache-Control", "D-Cache-Control"}
	edge, err := edgecache.New(edgecache.Config{TargetedHeaders: names})
	require.NoError(t, err)
	cached := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range names {
			w.Header().Set(name, "max-age=60")
		}
		_, _ = io.WriteString(w, "page")
	}))
	get := func(outer http.Header) http.Header {
		w := httptest.NewRecorder()
		(&outside{next: cached, header: outer}).ServeHTTP(w, harness.Request("GET", "/"))
		return w.Header()
	}
	get(nil)
	for i, name := range names {
		h := get(http.Header{name: {"private"}})
		require.Equal(t, "HIT", h.Get("X-Cache"))
		for j, other := range names {
			want := "max-age=60"
			if i == j {
				want += ", private"
			}
			require.Equal(t, want, linesOf(h, other))
		}
	}
}

// What is looked after on hits below middleware costs no allocation.
func hitsBelowItAllocateNothingMore(t *testing.T) {
	cached := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edgecache.MaxAge(w, time.Hour)
		w.Header().Add("Link", "</own>")
		w.Header().Del("X-Frame-Options")
		_, _ = io.WriteString(w, "page")
	}))
	header := http.Header{}
	w := &headerWriter{header}
	r := harness.Request("GET", "/")
	allocs := func(outer http.Header) float64 {
		visit := func() {
			clear(header)
			for name, lines := range outer {
				header[name] = lines
			}
			cached.ServeHTTP(w, r)
		}
		visit()
		n := testing.AllocsPerRun(100, visit)
		require.Equal(t, []string{"HIT"}, header["X-Cache"])
		return n
	}
	outer := http.Header{"Link": {"</outer>"}, "X-Frame-Options": {"DENY"}, "X-Request-Id": {"1"}, "Vary": {"Origin"}, "Content-Security-Policy": {"default-src 'self'"}}
	edited := allocs(outer) // first, so that the response has edits
	if plain := allocs(nil); edited > plain {
		t.Errorf("got %v allocations below middleware, %v without", edited, plain)
	}
}

type headerWriter struct{ header http.Header }

func (w *headerWriter) Header() http.Header         { return w.header }
func (w *headerWriter) WriteHeader(int)             {}
func (w *headerWriter) Write(p []byte) (int, error) { return len(p), nil }

// A 304 that says nothing about Vary does not narrow what the stored response was chosen by,
// whatever stands outside.
func itsVaryDoesNotReplaceTheStoredOneAtA304(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", `"`+r.Header.Get("Accept")+`"`)
			if r.Header.Get("If-None-Match") != "" {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			w.Header().Set("Cache-Control", "max-age=10")
			w.Header().Add("Vary", "Accept")
			_, _ = io.WriteString(w, r.Header.Get("Accept"))
		}))
		get := func(accept string) *httptest.ResponseRecorder {
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Accept", accept)
			(&outside{next: cache, header: http.Header{"Vary": {"Origin"}}}).ServeHTTP(w, r)
			return w
		}
		get("text/html")
		time.Sleep(11 * time.Second)
		require.Equal(t, "REVALIDATED", get("text/html").Header().Get("X-Cache"))
		w := get("application/json")
		require.Equal(t, "application/json", w.Body.String())
		require.Equal(t, "MISS", w.Header().Get("X-Cache"))
	})
}
