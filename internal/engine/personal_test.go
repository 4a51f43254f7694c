package engine_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestPersonalResponse(t *testing.T) {
	t.Run("it is private (deviation from RFC 9111, 5.2)", itIsPrivate)
	t.Run("a response for all clients is left alone", aResponseForAllClientsIsLeftAlone)
	t.Run("a targeted field of the operator counts (RFC 9213, 2.4)", aTargetedFieldOfTheOperatorCounts)
	t.Run("it is private when it bypasses the cache", itIsPrivateWhenItBypassesTheCache)
	t.Run("a stream is private from its first byte", aStreamIsPrivateFromItsFirstByte)
	t.Run("it is private when it is written late", itIsPrivateWhenItIsWrittenLate)
	t.Run("a 304 that takes public back is personal", a304ThatTakesPublicBackIsPersonal)
	t.Run("a policy gives it no lifetime", aPolicyGivesItNoLifetime)
	t.Run("a policy for the whole site respects a login", aPolicyForTheWholeSiteRespectsALogin)
}

func TestRequestSnapshot(t *testing.T) {
	t.Run("the request that came in selects the response (RFC 9111, 4.1)", theRequestThatCameInSelectsTheResponse)
	t.Run("middleware outside sees the header as the handler leaves it", middlewareOutsideSeesTheHeaderAsTheHandlerLeavesIt)
	t.Run("a handler may change its request at any time", aHandlerMayChangeItsRequestAtAnyTime)
	t.Run("middleware outside may read the request while the handler changes it", middlewareOutsideMayReadTheRequestWhileTheHandlerChangesIt)
}

// credentials are requests of a person.
var credentials = map[string]func(*http.Request){
	"a cookie":       func(r *http.Request) { r.Header.Set("Cookie", "session=1") },
	"Authorization":  func(r *http.Request) { r.Header.Set("Authorization", "Bearer 1") },
	"an API key":     func(r *http.Request) { r.Header.Set("X-Api-Key", "1") },
	"a proxy's user": func(r *http.Request) { r.Header.Set("X-Forwarded-User", "anna") },
	"a client certificate": func(r *http.Request) {
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte("anna")}}}
	},
}

// saying returns a handler with a header: name, value, name, value … in this very spelling.
func saying(status int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header()[header[i]] = append(w.Header()[header[i]], header[i+1])
		}
		w.WriteHeader(status)
		if status != 204 && status != 304 {
			io.WriteString(w, "page of anna")
		}
	}
}

func personalAnswer(t *testing.T, cfg edgecache.Config, method string, as func(*http.Request), h http.Handler) http.Header {
	t.Helper()
	edge, err := edgecache.New(cfg)
	require.NoError(t, err)
	r := httptest.NewRequest(method, "/account", nil)
	as(r)
	w := httptest.NewRecorder()
	edge.Handler(h).ServeHTTP(w, r)
	return w.Result().Header
}

// Deviation from RFC 9111, 5.2: what is passed on because of the person says so, whatever kind of
// credential it is and however it is asked for. A cache in front of this one, which takes no notice
// of a cookie, would keep it for everybody.
func itIsPrivate(t *testing.T) {
	for _, row := range []struct {
		name   string
		status int
		say    []string
		want   string // Cache-Control
		left   []string
	}{
		{"nothing said", 200, nil, "private", nil},
		{"a lifetime", 200, []string{"Cache-Control", "max-age=60"}, "max-age=60, private", nil},
		{"a lifetime on another line", 200, []string{"Cache-Control", "max-age=60", "Cache-Control", "stale-if-error=60"}, "max-age=60, stale-if-error=60, private", nil},
		{"an odd spelling", 200, []string{"cache-control", "max-age=60"}, "max-age=60, private", nil},
		{"Expires alone", 200, []string{"Expires", "Thu, 01 Jan 2099 00:00:00 GMT"}, "private", []string{"Expires"}},
		{"Last-Modified alone", 200, []string{"Last-Modified", "Thu, 01 Jan 1998 00:00:00 GMT"}, "private", []string{"Last-Modified"}},
		{"private said", 200, []string{"Cache-Control", "max-age=60,private"}, "max-age=60,private", nil},
		{"private for a field only", 200, []string{"Cache-Control", `private="X-Name", max-age=60`}, "private, max-age=60", nil},
		{"no-store said", 200, []string{"Cache-Control", "no-store"}, "no-store", nil},
		{"no-store that some may take back", 200, []string{"Cache-Control", "no-store, must-understand, max-age=60"}, "no-store, private", nil},
		{"no-cache", 200, []string{"Cache-Control", "no-cache", "Etag", `"1"`}, "no-cache, private", []string{"Etag"}},
		{"a CDN's lifetime", 200, []string{"Cdn-Cache-Control", "max-age=60"}, "private", nil},
		{"a CDN's lifetime beside no-store", 200, []string{"Cache-Control", "no-store", "CDN-Cache-Control", "max-age=60"}, "no-store", nil},
		{"a lifetime for one CDN", 200, []string{"Cache-Control", "max-age=5", "Cloudflare-CDN-Cache-Control", "max-age=60", "surrogate-control", "max-age=60"}, "max-age=5, private", nil},
		{"a lifetime for nginx and others", 200, []string{"X-Accel-Expires", "60", "Edge-Control", "max-age=60", "X-LiteSpeed-Cache-Control", "max-age=60"}, "private", nil},
		{"public that is malformed", 200, []string{"Cdn-Cache-Control", "public, max-age=;"}, "private", nil},
		{"public beside private", 200, []string{"Cache-Control", "public, private, max-age=60"}, "private, max-age=60", nil},
		{"s-maxage that is none", 200, []string{"Cache-Control", "s-maxage=x"}, "private", nil},
		{"a cookie set", 200, []string{"Set-Cookie", "a=b", "Cache-Control", "max-age=60"}, "max-age=60, private", []string{"Set-Cookie"}},
		{"a part", 206, []string{"Content-Range", "bytes 0-11/100", "Cache-Control", "max-age=60"}, "max-age=60, private", []string{"Content-Range"}},
		{"not modified", 304, []string{"Cache-Control", "max-age=60", "Etag", `"1"`}, "max-age=60, private", []string{"Etag"}},
		{"a redirect", 301, []string{"Location", "/anna"}, "private", []string{"Location"}},
		{"an error page", 404, nil, "private", nil},
		{"no content", 204, nil, "private", nil},
	} {
		for who, as := range credentials {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "QUERY"} {
				h := personalAnswer(t, edgecache.Config{}, method, as, saying(row.status, row.say...))
				if got := strings.Join(h["Cache-Control"], " | "); got != row.want {
					t.Errorf("%s, %s, %s: got Cache-Control %q, want %q", row.name, who, method, got, row.want)
				}
				for name := range h {
					if lower := strings.ToLower(name); lower != "cache-control" && (strings.HasSuffix(lower, "-control") || lower == "x-accel-expires") {
						t.Errorf("%s, %s, %s: left %s", row.name, who, method, name)
					}
				}
				for _, name := range row.left {
					require.NotEmpty(t, h[name], "%s, %s, %s: %s", row.name, who, method, name)
				}
			}
		}
	}
}

// What is declared the same for all goes out as it came, and so does what no credential
// stands behind.
func aResponseForAllClientsIsLeftAlone(t *testing.T) {
	as := credentials["a cookie"]
	for _, row := range []struct {
		name string
		cfg  edgecache.Config
		as   func(*http.Request)
		say  []string
	}{
		{"public", edgecache.Config{}, as, []string{"Cache-Control", "public, max-age=60", "Cdn-Cache-Control", "max-age=60"}},
		{"s-maxage", edgecache.Config{}, as, []string{"Cache-Control", "s-maxage=60"}},
		{"public for a CDN", edgecache.Config{}, as, []string{"Cdn-Cache-Control", "public, max-age=60", "Cache-Control", "private"}},
		{"public for a CDN that is not ours", edgecache.Config{}, as, []string{"Vercel-Cdn-Cache-Control", "s-maxage=60", "Cache-Control", "max-age=5"}},
		{"public, and yet not stored", edgecache.Config{}, as, []string{"Cache-Control", "public, max-age=60", "Set-Cookie", "a=b"}},
		{"nobody asks", edgecache.Config{}, func(*http.Request) {}, []string{"Cache-Control", "max-age=60, no-store", "Surrogate-Control", "max-age=60"}},
		{"a cookie that identifies nobody", edgecache.Config{}, func(r *http.Request) { r.Header.Set("Cookie", "_ga=1") }, []string{"Cache-Control", "max-age=60"}},
		{"InsecureShareCookies", edgecache.Config{InsecureShareCookies: true}, credentials["Authorization"], []string{"Cache-Control", "max-age=60", "Surrogate-Control", "max-age=60"}},
		{"another protocol", edgecache.Config{}, func(r *http.Request) { as(r); r.Header.Set("Upgrade", "websocket") }, nil},
	} {
		status := 200
		if row.name == "another protocol" {
			status = 101
		}
		for _, method := range []string{"GET", "HEAD", "POST"} {
			h := personalAnswer(t, row.cfg, method, row.as, saying(status, row.say...))
			want := http.Header{}
			for i := 0; i < len(row.say); i += 2 {
				want.Add(row.say[i], row.say[i+1])
			}
			for _, name := range []string{"Cache-Control", "Cdn-Cache-Control", "Surrogate-Control", "Vercel-Cdn-Cache-Control"} {
				if !slices.Equal(h[name], want[name]) {
					t.Errorf("%s, %s: %s: got %q, want %q", row.name, method, name, h[name], want[name])
				}
			}
		}
	}
}

// A targeted field that the operator has named counts as one, whatever its name looks like (RFC
// 9213, 2.4).
func aTargetedFieldOfTheOperatorCounts(t *testing.T) {
	cfg := edgecache.Config{TargetedHeaders: []string{"acme-edge", "CDN-Cache-Control"}}
	for _, method := range []string{"GET", "HEAD", "POST"} {
		h := personalAnswer(t, cfg, method, credentials["a cookie"], saying(200, "acme-edge", "max-age=600", "Cache-Control", "max-age=60"))
		require.Equal(t, []string{"max-age=60, private"}, h["Cache-Control"], method)
		require.Empty(t, h["Acme-Edge"], method)
		require.Empty(t, h["acme-edge"], method)
		h = personalAnswer(t, cfg, method, credentials["a cookie"], saying(200, "Acme-Edge", "public, max-age=600", "Cache-Control", "max-age=60", "Set-Cookie", "a=b"))
		require.Equal(t, []string{"max-age=60"}, h["Cache-Control"], method)
		require.Equal(t, []string{"public, max-age=600"}, h["Acme-Edge"], method)
	}
}

// Requests that go past the cache for another reason carry credentials, too.
func itIsPrivateWhenItBypassesTheCache(t *testing.T) {
	for name, more := range map[string]func(*http.Request){
		"a body":        func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x")), 1 },
		"a condition":   func(r *http.Request) { r.Header.Set("If-Match", "*") },
		"an override":   func(r *http.Request) { r.Header.Set("X-Original-Url", "/x") },
		"no key":        func(r *http.Request) { r.RequestURI = "/" + strings.Repeat("x", 100_000) },
		"an upgrade":    func(r *http.Request) { r.Header.Set("Upgrade", "h2c") },
		"excepted":      func(r *http.Request) { r.URL.Path, r.RequestURI = "/metrics", "/metrics" },
		"its own 304":   func(r *http.Request) { r.Header.Set("If-None-Match", `"1"`) },
		"its own range": func(r *http.Request) { r.Header.Set("Range", "bytes=0-1") },
	} {
		h := personalAnswer(t, edgecache.Config{}, "GET", func(r *http.Request) { credentials["a cookie"](r); more(r) },
			saying(200, "Cache-Control", "max-age=60", "Cdn-Cache-Control", "max-age=600", "Etag", `"1"`))
		if got := h["Cache-Control"]; !slices.Equal(got, []string{"max-age=60, private"}) || h["Cdn-Cache-Control"] != nil {
			t.Errorf("%s: got %q, %q", name, got, h["Cdn-Cache-Control"])
		}
	}
}

// It holds for what streams, from the first byte, and not for interim answers.
func aStreamIsPrivateFromItsFirstByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		var interim http.Header
		edge, err := edgecache.New(edgecache.Config{})
		require.NoError(t, err)
		h := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</a.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Trailer", "X-Sum")
			_ = http.NewResponseController(w).Flush()
			<-goOn
			w.Header().Set("X-Sum", "1")
		}))
		w := &hinted{ResponseRecorder: httptest.NewRecorder(), interim: &interim}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", "a=b")
		done := make(chan struct{})
		go func() { h.ServeHTTP(w, r); close(done) }()
		synctest.Wait()
		require.Equal(t, "private", w.Result().Header.Get("Cache-Control"))
		close(goOn)
		<-done
		require.Equal(t, "1", w.Header().Get("X-Sum"))
		require.NotEmpty(t, interim.Get("Link"))
		require.Empty(t, interim.Get("Cache-Control"))
	})
}

// hinted notes the header of interim answers.
type hinted struct {
	*httptest.ResponseRecorder
	interim *http.Header
}

func (h *hinted) WriteHeader(status int) {
	if status < 200 {
		*h.interim = h.Header().Clone()
		return
	}
	h.ResponseRecorder.WriteHeader(status)
}

// It holds for what a framework writes after its handler has returned.
func itIsPrivateWhenItIsWrittenLate(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "PUT"} {
		var late http.ResponseWriter
		edge, err := edgecache.New(edgecache.Config{})
		require.NoError(t, err)
		h := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { late = w }))
		w, r := httptest.NewRecorder(), httptest.NewRequest(method, "/", nil)
		r.Header.Set("Cookie", "session=1")
		h.ServeHTTP(w, r)
		require.Equal(t, "private", w.Header().Get("Cache-Control"), "for a framework that writes to its own writer")
		late.Header().Set("Cache-Control", "max-age=60")
		late.Header().Set("Cdn-Cache-Control", "max-age=60")
		late.WriteHeader(http.StatusNotFound)
		require.Equal(t, http.StatusNotFound, w.Code)
		require.Equal(t, "max-age=60, private", w.Result().Header.Get("Cache-Control"), method)
		require.Empty(t, w.Result().Header["Cdn-Cache-Control"], method)
	}
}

// A 304 that takes public back makes what is stored personal: the client that asked gets it, and
// is told so.
func a304ThatTakesPublicBackIsPersonal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		says := "public, max-age=60"
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", says)
			if edgecache.NotModified(w, r, edgecache.ETag("1")) {
				return
			}
			fmt.Fprint(w, "page")
		})
		s.Get("/")
		time.Sleep(time.Minute + time.Second)
		says = "max-age=60"
		r := s.Get("/", "Cookie", "session=1")
		harness.Want(t, r, "REVALIDATED", 200, "page")
		require.Equal(t, "max-age=60, private", r.Header.Get("Cache-Control"))
	})
}

// A policy around the whole site gives no lifetime to what is of the moment, nor beside a session.
func aPolicyGivesItNoLifetime(t *testing.T) {
	long := edgecache.Policy{
		Public: true, Immutable: true, MaxAge: time.Hour, SharedMaxAge: 2 * time.Hour, StaleWhileRevalidate: time.Hour, StaleIfError: time.Hour,
	}
	for _, row := range []struct {
		name   string
		policy edgecache.Policy
		status int
		say    []string
		want   string
	}{
		{"302", long, 302, nil, ""},
		{"303", long, 303, nil, ""},
		{"307", long, 307, nil, ""},
		{"301", edgecache.Policy{MaxAge: time.Hour}, 301, nil, "max-age=3600"},
		{"308", edgecache.Policy{MaxAge: time.Hour}, 308, nil, "max-age=3600"},
		{"a cookie set", long, 200, []string{"Set-Cookie", "a=b"}, ""},
		{"a cookie set, spelled by hand", long, 200, []string{"set-cookie", "a=b"}, ""},
		{"a logout", long, 200, []string{"Clear-Site-Data", `"cookies"`}, ""},
		{"an old cookie", long, 200, []string{"Set-Cookie2", "a=b"}, ""},
		{"a lifetime of the handler is shortened", edgecache.Policy{MaxAge: time.Minute, StaleIfError: time.Minute}, 302, []string{"Cache-Control", "max-age=3600, stale-if-error=3600"}, "max-age=60, stale-if-error=60"},
		{"and not prolonged", long, 302, []string{"Cache-Control", "max-age=60"}, "max-age=60"},
		{"nor shared", long, 302, []string{"Cache-Control", "max-age=3601"}, "max-age=3600"},
		{"by Expires as well", edgecache.Policy{MaxAge: time.Minute}, 302, []string{"Expires", "Thu, 01 Jan 2099 00:00:00 GMT"}, "max-age=60"},
		{"must-revalidate restricts a lifetime", edgecache.Policy{MustRevalidate: true}, 302, []string{"Cache-Control", "max-age=60"}, "max-age=60, must-revalidate"},
		{"and says nothing without one", edgecache.Policy{MustRevalidate: true}, 302, nil, ""},
		{"restrictions hold", edgecache.Policy{NoStore: true}, 302, nil, "no-store"},
	} {
		w := httptest.NewRecorder()
		row.policy.Handler(saying(row.status, row.say...)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if got := strings.Join(w.Result().Header["Cache-Control"], " | "); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

// The guide's policy for the whole site, in front of a page that wants a login.
func aPolicyForTheWholeSiteRespectsALogin(t *testing.T) {
	h := edgecache.Cache(edgecache.Policy{MaxAge: time.Hour}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("session"); err == nil {
			fmt.Fprint(w, "account of ", c.Value)
			return
		}
		http.Redirect(w, r, "/login", http.StatusFound)
	})))
	get := func(cookie string) http.Header {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/account", nil)
		r.Header.Set("Cookie", cookie)
		h.ServeHTTP(w, r)
		return w.Result().Header
	}
	require.Empty(t, get("")["Cache-Control"], "after logging in the browser must ask again")
	require.Equal(t, "max-age=3600, private", get("session=anna").Get("Cache-Control"))
}

// RFC 9111, 4.1: the stored response is selected by the fields of the request that came in.
func theRequestThatCameInSelectsTheResponse(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(h http.Header)
	}{
		{"a field that is set", func(h http.Header) { h.Set("X-Colour", "blue") }},
		{"a value that is overwritten where it stands", func(h http.Header) { copy(h["X-Colour"], []string{"blue"}) }},
		{"a field that is deleted", func(h http.Header) { h.Del("X-Colour") }},
		{"a line that is added", func(h http.Header) { h.Add("X-Colour", "blue") }},
		{"a header that is emptied", func(h http.Header) { clear(h) }},
	} {
		for _, when := range []string{"before the header", "after it"} {
			for _, conditional := range []bool{false, true} {
				t.Run(tt.name+" "+when, func(t *testing.T) {
					cache := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						team := r.Header.Get("X-Colour")
						w.Header().Set("Vary", "X-Colour")
						if when == "after it" {
							w.WriteHeader(http.StatusOK)
						}
						tt.change(r.Header)
						io.WriteString(w, team)
					}))
					get := func(team string) (word, body string) {
						r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
						if team != "" {
							r.Header.Set("X-Colour", team)
						}
						if conditional {
							r.Header.Set("If-None-Match", `"other"`)
						}
						w := httptest.NewRecorder()
						cache.ServeHTTP(w, r)
						return w.Header().Get("X-Cache"), w.Body.String()
					}
					for _, want := range []string{"MISS", "HIT"} {
						word, body := get("red")
						require.Equal(t, []string{want, "red"}, []string{word, body})
					}
					for _, other := range []string{"blue", "", "red, blue"} {
						word, body := get(other)
						require.Equal(t, []string{"MISS", other}, []string{word, body})
					}
				})
			}
		}
	}
}

// Middleware outside sees of its request what the handler has made of it, as without us, and
// nothing that the cache has taken off for the handler.
func middlewareOutsideSeesTheHeaderAsTheHandlerLeavesIt(t *testing.T) {
	for _, tt := range []struct {
		name   string
		header http.Header
	}{
		{"a plain request", http.Header{"Accept": {"text/html"}}},
		{"a request with a condition", http.Header{"If-None-Match": {`"a"`}, "If-Modified-Since": {"Sun, 22 Nov 2026 12:00:00 GMT"}}},
		{"a request for a range", http.Header{"Range": {"bytes=0-1"}, "If-Range": {`"a"`}}},
		{"a request with a field that has no line", http.Header{"X-Empty": {}}},
		{"a request without any field", http.Header{}},
		{"a request with many fields", fieldsWithLines(40)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cache := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for _, name := range []string{"If-None-Match", "If-Modified-Since", "Range", "If-Range"} {
					require.NotContains(t, r.Header, name, "a fill is a plain GET")
				}
				io.WriteString(w, "page")
			}))
			r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
			r.Header = tt.header.Clone()
			cache.ServeHTTP(httptest.NewRecorder(), r)
			require.Equal(t, tt.header, r.Header)
		})
	}
}

func fieldsWithLines(n int) http.Header {
	h := make(http.Header)
	for i := range n {
		h["X-"+string(rune('A'+i%26))+string(rune('a'+i/26))] = slices.Repeat([]string{"v"}, 1+i%3)
	}
	return h
}

// A handler that changes its request while others wait for the same page must not be in their way:
// run with -race.
func aHandlerMayChangeItsRequestAtAnyTime(t *testing.T) {
	left := make(chan struct{})
	cache := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "X-Colour")
		go func() {
			defer close(left)
			for range 1000 {
				r.Header.Set("X-Colour", "blue")
				r.Header.Del("X-Colour")
			}
		}()
		io.WriteString(w, "page")
	}))
	r := httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
	r.Header.Set("X-Colour", "red")
	cache.ServeHTTP(httptest.NewRecorder(), r)
	<-left
	r = httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
	r.Header.Set("X-Colour", "red")
	w := httptest.NewRecorder()
	cache.ServeHTTP(w, r)
	require.Equal(t, "HIT", w.Header().Get("X-Cache"))
}

// looking is the writer of a middleware outside that looks at the request with each write.
type looking struct {
	http.ResponseWriter
	r *http.Request
}

func (l *looking) Write(p []byte) (int, error) {
	_ = l.r.Header.Get("Accept-Encoding")
	return l.ResponseWriter.Write(p)
}

// While the client gets the page, from another goroutine, its handler goes on. Two goroutines must
// not share a map that one of them changes: that ends the process.
func middlewareOutsideMayReadTheRequestWhileTheHandlerChangesIt(t *testing.T) {
	cache := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := range 200 {
			_, _ = io.WriteString(w, strings.Repeat("x", 100))
			r.Header.Set("X-Piece", fmt.Sprint(i))
		}
	}))
	for i := range 50 {
		w, r := httptest.NewRecorder(), harness.Request("GET", fmt.Sprint("/", i))
		cache.ServeHTTP(&looking{w, r}, r)
		require.Equal(t, 20_000, w.Body.Len())
	}
}
