package examples_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// origin is a server that can fail.
type origin struct {
	*httptest.Server
	mode atomic.Value // what it does, a string: "" answers; see ServeHTTP
}

func newOrigin(t *testing.T) *origin {
	o := &origin{}
	o.mode.Store("")
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	page := "the page\n"
	switch o.mode.Load() {
	case "reset":
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}
		return
	case "cut short":
		w.Header().Set("Content-Length", "100")
		page = "half the page\n"
	case "cut long":
		w.Header().Set("Content-Length", "1000000")
		page = strings.Repeat("half the page\n", 10_000)
	}
	if r.URL.Path == "/strict" {
		w.Header().Set("Cache-Control", "max-age=0, must-revalidate")
	} else {
		w.Header().Set("Cache-Control", "max-age=0") // stored, and confirmed by its ETag
	}
	w.Header().Set("ETag", `"1"`)
	_, _ = io.WriteString(w, page)
	if o.mode.Load() != "" {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// answer is what a client got: err says how the connection ended too early.
type answer struct {
	code        int
	cache, body string
	err         error
}

func get(t *testing.T, url string, header ...string) answer {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return answer{err: err}
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header.Get("X-Cache"), string(body), err}
}

// TestProxyWithBrokenOrigin holds what clients of the proxy get when its origin refuses, resets or
// breaks off: an error or the stored page, but never half a page that looks whole.
func TestProxyWithBrokenOrigin(t *testing.T) {
	const refused = "refused"
	for _, row := range []struct {
		name, mode string
		stored     bool
		path       string
		code       int // 0 is any, before the connection is cut
		cache      string
		body       string
		cut        bool
	}{
		{"a refused connection is 502", refused, false, "/", 502, "BYPASS", "The origin does not answer.\n", false},
		{"a reset connection is 502", "reset", false, "/", 502, "BYPASS", "The origin does not answer.\n", false},
		{"a short page that is cut stays cut", "cut short", false, "/", 0, "", "", true},
		{"a long page that is cut stays cut", "cut long", false, "/", 200, "MISS", "*", true},

		{"a stored page stands in for a refused connection", refused, true, "/", 200, "STALE", "the page\n", false},
		{"a stored page stands in for a reset connection", "reset", true, "/", 200, "STALE", "the page\n", false},
		{"a stored page stands in for a short page that is cut", "cut short", true, "/", 200, "STALE", "the page\n", false},
		{"a long page that is cut stays cut, as it has begun already", "cut long", true, "/", 200, "EXPIRED", "*", true},
		{"must-revalidate forbids to stand in", refused, true, "/strict", 502, "BYPASS", "The origin does not answer.\n", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := newOrigin(t)
			url := start(t, compiled("proxy"), "-listen", "127.0.0.1:0", "-origin", o.URL).base + row.path
			if row.stored {
				require.Equal(t, answer{200, "MISS", "the page\n", nil}, get(t, url))
			}
			o.mode.Store(row.mode)
			if row.mode == refused {
				o.Close()
			}
			got := get(t, url)
			if got.code != row.code && row.code != 0 {
				t.Errorf("status: got %d, want %d", got.code, row.code)
			}
			if got.cache != row.cache {
				t.Errorf("X-Cache: got %q, want %q", got.cache, row.cache)
			}
			if got.body != row.body && row.body != "*" {
				t.Errorf("body: got %q, want %q", got.body, row.body)
			}
			if (got.err != nil) != row.cut {
				t.Errorf("connection: got %v, want cut %v", got.err, row.cut)
			}
			if row.mode == refused {
				return
			}
			o.mode.Store("")
			if got := get(t, url); got.body != "the page\n" || got.err != nil || got.cache == "HIT" {
				t.Errorf("afterwards: got %+v, want the page, and not as a hit", got)
			}
		})
	}
}

// TestProxyTellsOriginWhoAsked holds that the origin sees the client's Host, and only those
// X-Forwarded-* fields that the proxy has set itself.
func TestProxyTellsOriginWhoAsked(t *testing.T) {
	seen := make(chan *http.Request, 1)
	o := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r }))
	defer o.Close()
	base := start(t, compiled("proxy"), "-listen", "127.0.0.1:0", "-origin", o.URL).base
	require.NoError(t, get(t, base+"/a%2Fb//c?x=%20y",
		"X-Forwarded-For", "192.0.2.1", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "X-Forwarded-Prefix", "/evil",
		"Forwarded", "host=evil.example").err)
	r := <-seen
	host := strings.TrimPrefix(base, "http://")
	for _, row := range []struct{ name, got, want string }{
		{"Host", r.Host, host},
		{"target", r.RequestURI, "/a%2Fb//c?x=%20y"},
		{"X-Forwarded-For", strings.Join(r.Header["X-Forwarded-For"], "|"), "127.0.0.1"},
		{"X-Forwarded-Host", strings.Join(r.Header["X-Forwarded-Host"], "|"), host},
		{"X-Forwarded-Proto", strings.Join(r.Header["X-Forwarded-Proto"], "|"), "http"},
		{"X-Forwarded-Prefix", strings.Join(r.Header["X-Forwarded-Prefix"], "|"), ""},
		{"Forwarded", strings.Join(r.Header["Forwarded"], "|"), ""},
		{"Accept-Encoding", strings.Join(r.Header["Accept-Encoding"], "|"), ""}, // the client sent none
	} {
		if row.got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, row.got, row.want)
		}
	}
}

// TestProxyLiteral holds what -rfc-literal changes: the second of two requests for each path.
func TestProxyLiteral(t *testing.T) {
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/silent" {
			w.Header().Set("Cache-Control", "max-age=60")
		}
		if r.URL.Path == "/set-cookie" {
			w.Header().Set("Set-Cookie", "a=b")
		}
	}))
	defer o.Close()
	want := map[string]string{
		"": "/silent HIT, /cookie DYNAMIC, /set-cookie BYPASS", "-rfc-literal": "/silent BYPASS, /cookie HIT, /set-cookie HIT",
	}
	for flag, want := range want {
		args := []string{"-listen", "127.0.0.1:0", "-origin", o.URL}
		if flag != "" {
			args = append(args, flag)
		}
		base := start(t, compiled("proxy"), args...).base
		var got []string
		for _, path := range []string{"/silent", "/cookie", "/set-cookie"} {
			var header []string
			if path == "/cookie" {
				header = []string{"Cookie", "session=1"}
			}
			get(t, base+path, header...)
			got = append(got, path+" "+get(t, base+path, header...).cache)
		}
		if got := strings.Join(got, ", "); got != want {
			t.Errorf("flag %q: got %s, want %s", flag, got, want)
		}
	}
}

// TestProxyStops holds that running requests are finished after the signal to stop.
func TestProxyStops(t *testing.T) {
	for _, sent := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sent.String(), func(t *testing.T) {
			begun, release := make(chan struct{}), make(chan struct{})
			o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				close(begun)
				<-release
				fmt.Fprint(w, "the page")
			}))
			defer o.Close()
			p := start(t, compiled("proxy"), "-listen", "127.0.0.1:0", "-origin", o.URL)
			got := make(chan answer, 1)
			go func() { got <- get(t, p.base+"/") }()
			<-begun
			require.NoError(t, p.Process.Signal(sent))
			p.waitFor(t, "stopping")
			close(release)
			require.Equal(t, answer{200, "MISS", "the page", nil}, <-got)
			require.NoError(t, p.wait(), "want exit code 0")
		})
	}
}

func TestProxyFlags(t *testing.T) {
	for _, row := range []struct {
		name string
		args []string
		want string
	}{
		{"an origin without a scheme", []string{"-origin", "127.0.0.1:8080"}, `proxy: -origin is "127.0.0.1:8080": want a URL such as http://127.0.0.1:8080`},
		{"an origin of another scheme", []string{"-origin", "ftp://a"}, "want a URL such as"},
		{"an origin without a host", []string{"-origin", "http://:80"}, "want a URL such as"},
		{"an origin with a path", []string{"-origin", "http://a/b"}, "want scheme and host only"},
		{"an origin with a query", []string{"-origin", "http://a?b"}, "want scheme and host only"},
		{"an origin with a user", []string{"-origin", "http://u:p@a"}, "want it without a user"},
		{"no origin", []string{"-origin", ""}, "want a URL such as"},
		{"a port alone", []string{"-listen", "8081"}, `proxy: -listen is "8081": want host:port`},
		{"a word that is not a flag", []string{"http://a"}, `proxy: "http://a" is not a flag`},
	} {
		_, stderr, code := output(t, compiled("proxy"), row.args...)
		if code != 2 || !strings.Contains(stderr, row.want) {
			t.Errorf("%s: got exit code %d and %q, want 2 and %q", row.name, code, stderr, row.want)
		}
	}
}
