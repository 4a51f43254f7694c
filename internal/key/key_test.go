package key

import (
	"bufio"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// read makes a request as net/http's server does. secure puts it on a TLS connection with the host
// as server name.
func read(t testing.TB, secure bool, text string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n") + "\r\n\r\n")))
	require.NoError(t, err)
	if secure {
		name, _ := splitHost("https", r.Host)
		r.TLS = &tls.ConnectionState{ServerName: name}
	}
	return r
}

type triple struct{ scheme, host, target string }

func TestOf(t *testing.T) {
	t.Run("requests from a connection", func(t *testing.T) {
		rows := []struct {
			name    string
			secure  bool
			request string
			want    triple // zero: no key
		}{
			{"origin form", false, "GET /a?b=c HTTP/1.1\nHost: example.com", triple{"http", "example.com", "/a?b=c"}},
			{"the scheme is that of the connection", true, "GET /a HTTP/1.1\nHost: example.com", triple{"https", "example.com", "/a"}},
			{"HEAD shares the key of GET", false, "HEAD /a HTTP/1.1\nHost: example.com", triple{"http", "example.com", "/a"}},
			{"the host is lower-cased", false, "GET / HTTP/1.1\nHost: EXAMPLE.com", triple{"http", "example.com", "/"}},
			{"one trailing dot is dropped", false, "GET / HTTP/1.1\nHost: example.com.", triple{"http", "example.com", "/"}},
			{"two trailing dots stay", false, "GET / HTTP/1.1\nHost: example.com..", triple{"http", "example.com..", "/"}},
			{"two ports stay", false, "GET / HTTP/1.1\nHost: example.com:80:80", triple{"http", "example.com:80:80", "/"}},
			{"a trailing dot before a port is dropped", false, "GET / HTTP/1.1\nHost: example.com.:8080", triple{"http", "example.com:8080", "/"}},
			{"the port is kept", false, "GET / HTTP/1.1\nHost: example.com:443", triple{"http", "example.com:443", "/"}},
			{"the default port is dropped", false, "GET / HTTP/1.1\nHost: example.com:80", triple{"http", "example.com", "/"}},
			{"the default port of TLS is dropped", true, "GET / HTTP/1.1\nHost: example.com:443", triple{"https", "example.com", "/"}},
			{"the port of plain HTTP is kept with TLS", true, "GET / HTTP/1.1\nHost: example.com:80", triple{"https", "example.com:80", "/"}},
			{"an empty port is dropped", false, "GET / HTTP/1.1\nHost: example.com:", triple{"http", "example.com", "/"}},
			{"an IPv6 address without a port", false, "GET / HTTP/1.1\nHost: [::1]", triple{"http", "[::1]", "/"}},
			{"an IPv6 address with the default port", false, "GET / HTTP/1.1\nHost: [::1]:80", triple{"http", "[::1]", "/"}},
			{"no host", false, "GET / HTTP/1.0", triple{"http", "", "/"}},
			{"the path is raw", false, "GET /a%2fb/%41/../c HTTP/1.1\nHost: h", triple{"http", "h", "/a%2fb/%41/../c"}},
			{"two slashes are no authority", false, "GET //evil/a HTTP/1.1\nHost: h", triple{"http", "h", "//evil/a"}},
			{"a hash is a byte like others", false, "GET /a#b HTTP/1.1\nHost: h", triple{"http", "h", "/a#b"}},
			{"the query is raw", false, "GET /?b=2&a=1;c&a=%31 HTTP/1.1\nHost: h", triple{"http", "h", "/?b=2&a=1;c&a=%31"}},
			{"an empty query is not the same as none", false, "GET /? HTTP/1.1\nHost: h", triple{"http", "h", "/?"}},
			{"absolute form", false, "GET http://Example.com:80/a?b HTTP/1.1\nHost: other", triple{"http", "example.com", "/a?b"}},
			{"absolute form without a path", false, "GET http://h HTTP/1.1\nHost: h", triple{"http", "h", "/"}},
			{"absolute form with a query only", false, "GET http://h?a=/b HTTP/1.1\nHost: h", triple{"http", "h", "/?a=/b"}},
			{"absolute form with user information", false, "GET http://u:p@h/a@b HTTP/1.1\nHost: h", triple{"http", "h", "/a@b"}},
			{"absolute form in capitals", true, "GET HTTPS://h/ HTTP/1.1\nHost: h", triple{"https", "h", "/"}},
			{"absolute form that claims TLS", false, "GET https://h/ HTTP/1.1\nHost: h", triple{}},
			{"absolute form that denies TLS", true, "GET http://h/ HTTP/1.1\nHost: h", triple{}},
			{"absolute form of another scheme", false, "GET ftp://h/ HTTP/1.1\nHost: h", triple{}},
			{"opaque", false, "GET http:a HTTP/1.1\nHost: h", triple{}},
			{"star", false, "OPTIONS * HTTP/1.1\nHost: h", triple{}},
			{"authority form", false, "CONNECT h:443 HTTP/1.1\nHost: h:443", triple{}},
			{"CONNECT with a path", false, "CONNECT /rpc HTTP/1.1\nHost: h", triple{}},
			{"as long as allowed", false, "GET /" + strings.Repeat("a", MaxLength-len("\x04http\x01h\x80\x40/")) + " HTTP/1.1\nHost: h", triple{"http", "h", "/" + strings.Repeat("a", MaxLength-10)}},
			{"one byte longer than allowed", false, "GET /" + strings.Repeat("a", MaxLength-9) + " HTTP/1.1\nHost: h", triple{}},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				r := read(t, row.secure, row.request)
				key, ok := Of([]byte("before"), r)
				require.Equal(t, "before", string(key[:6]), "what was there stays")
				require.Equal(t, row.want != triple{}, ok)
				if !ok {
					require.Len(t, key, 6, "nothing is appended")
					return
				}
				var got triple
				got.scheme, got.host, got.target, ok = Split(string(key[6:]))
				require.True(t, ok)
				require.Equal(t, row.want, got)
				require.Equal(t, string(key[6:]), string(OfURL(nil, got.scheme, got.host, got.target)))
			})
		}
	})
	t.Run("requests made by hand", func(t *testing.T) {
		made := func(change func(*http.Request)) *http.Request {
			r, err := http.NewRequest("GET", "http://Example.com/a%2fb?c", nil)
			require.NoError(t, err)
			change(r)
			return r
		}
		rows := []struct {
			name string
			r    *http.Request
			want string
		}{
			{"from the URL", made(func(*http.Request) {}), "http example.com /a%2fb?c"},
			{"https in the URL", made(func(r *http.Request) { r.URL.Scheme = "HTTPS" }), "https example.com /a%2fb?c"},
			{"no Host", made(func(r *http.Request) { r.Host = "" }), "http example.com /a%2fb?c"},
			{"no scheme, but TLS", made(func(r *http.Request) { r.URL.Scheme, r.TLS = "", &tls.ConnectionState{} }), "https example.com /a%2fb?c"},
			{"no path", made(func(r *http.Request) { r.URL.Path, r.URL.RawPath = "", "" }), "http example.com /?c"},
			{"TLS contradicts the URL", made(func(r *http.Request) { r.TLS = &tls.ConnectionState{} }), ""},
			{"another scheme", made(func(r *http.Request) { r.URL.Scheme = "ftp" }), ""},
			{"Host contradicts the URL", made(func(r *http.Request) { r.Host = "other" }), ""},
			{"a path without a slash", made(func(r *http.Request) { r.URL.Path, r.URL.RawPath = "a", "" }), ""},
			{"an opaque URL", made(func(r *http.Request) { r.URL = &url.URL{Scheme: "http", Opaque: "//h/a"} }), ""},
			{"no URL", made(func(r *http.Request) { r.URL = nil }), ""},
			{"Host changed under an absolute form", func() *http.Request {
				r := httptest.NewRequest("GET", "http://example.com/x", nil)
				r.Host, r.URL.Host = "other", ""
				return r
			}(), ""},
		}
		for _, row := range rows {
			key, ok := Of(nil, row.r)
			scheme, host, target, _ := Split(string(key))
			if got := strings.TrimSpace(scheme + " " + host + " " + target); got != row.want || ok != (row.want != "") {
				t.Errorf("%s: got %q, %v, want %q", row.name, got, ok, row.want)
			}
		}
		absolute, _ := Of(nil, httptest.NewRequest("GET", "http://example.com/x", nil))
		origin, _ := Of(nil, httptest.NewRequest("GET", "/x", nil))
		require.Equal(t, string(origin), string(absolute))
	})
	t.Run("allocations", func(t *testing.T) {
		r := read(t, true, "GET /a/b?c=d HTTP/1.1\nHost: example.com\nAccept: */*\nX-Forwarded-For: 1.2.3.4\nAccept-Encoding: gzip")
		forwarded := read(t, false, "GET / HTTP/1.1\nHost: h\nX-Forwarded-Proto: https\nX-Forwarded-Host: a\nForwarded: for=1.2.3.4;proto=https;host=a, for=b")
		names := []string{"Accept", "Accept-Encoding", "Accept-Language", "Foo"}
		values := http.Header{"Accept": {"text/html, */*;q=0.8"}, "Accept-Encoding": {"gzip, deflate, br"}, "Accept-Language": {"de-DE, en;q=0.5"}, "Foo": {"a, b"}}
		dst := make([]byte, 0, 1024)
		for name, run := range map[string]func(){
			"Of":                         func() { Of(dst, r) },
			"Scope of a plain request":   func() { scope(dst, r) },
			"Scope of a proxied request": func() { scope(dst, forwarded) },
			"Variant":                    func() { Variant(dst, names, values, nil) },
		} {
			if got := testing.AllocsPerRun(100, run); got != 0 {
				t.Errorf("%s: got %v allocations, want 0", name, got)
			}
		}
		if got := scope(nil, r); len(got) != 0 {
			t.Errorf("Scope of a plain request: got %q, want nothing", got)
		}
	})
}

func TestOfURL(t *testing.T) {
	require.Equal(t, OfURL(nil, "https", "example.com", "/a"), OfURL(nil, "HTTPS", "Example.COM.:443", "/a"))
	require.Equal(t, OfURL(nil, "https", "h", "/"), OfURL(nil, "https", "h", ""))
	require.Equal(t, OfURL(nil, "https", "h", "/?a"), OfURL(nil, "https", "h", "?a"))
	require.NotEqual(t, OfURL(nil, "http", "\u212a", "/"), OfURL(nil, "http", "k", "/"), "only ASCII is folded")
	// Without lengths these would read the same.
	require.NotEqual(t, OfURL(nil, "http", "h", "/a"), OfURL(nil, "http", "h/", "a"))
}

func TestSplitRefusesWhatIsNoKey(t *testing.T) {
	good := string(OfURL(nil, "http", "h", "/"))
	for name, text := range map[string]string{
		"empty":                         "",
		"cut short":                     good[:len(good)-1],
		"something after it":            good + "x",
		"two parts":                     good[:7],
		"a length longer than there is": "\x04http\x01h\x7f/",
		"a length with a needless byte": "\x84\x00http\x01h\x01/",
		"a length that never ends":      "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		if _, _, _, ok := Split(text); ok {
			t.Errorf("%s: %q is taken for a key", name, text)
		}
	}
}

func FuzzOf(f *testing.F) {
	f.Add("/a?b=c", "example.com", true)
	f.Add("http://Example.com:80?x", "example.com", false)
	f.Add("//a/..%2f#", "[::1]:8080", false)
	f.Add("http://u@h/", "h.", false)
	f.Fuzz(func(t *testing.T, target, host string, secure bool) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r := &http.Request{Method: "GET", RequestURI: target, URL: u, Host: host}
		if secure {
			r.TLS = &tls.ConnectionState{}
		}
		key, ok := Of(nil, r)
		if !ok {
			return
		}
		scheme, keyHost, keyTarget, ok := Split(string(key))
		if !ok || string(OfURL(nil, scheme, keyHost, keyTarget)) != string(key) {
			t.Errorf("%q does not survive Split and OfURL", key)
		}
		if strings.HasPrefix(target, "/") && keyTarget != target {
			t.Errorf("target %q became %q", target, keyTarget)
		}
		if (scheme == "https") != secure {
			t.Errorf("scheme %q on a connection with TLS %v", scheme, secure)
		}
		if plain := asciiLower(host); !strings.ContainsAny(host, ".:") && keyHost != plain {
			t.Errorf("host %q became %q", host, keyHost)
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add(string(OfURL(nil, "https", "example.com", "/a?b")))
	f.Add("\x84\x00http\x01h\x01/")
	f.Fuzz(func(t *testing.T, key string) {
		scheme, host, target, ok := Split(key)
		if !ok {
			return
		}
		if again := appendText(appendText(appendText(nil, scheme), host), target); string(again) != key {
			t.Errorf("%q reads as %q, %q, %q, which is written %q", key, scheme, host, target, again)
		}
	})
}

func FuzzEqualKeysMeanEqualURLs(f *testing.F) {
	f.Add("http", "h", "/a", "http", "h/", "a")
	f.Add("http", "a\x01", "/", "http", "a", "\x01/")
	f.Add("", "h", "/", "h", "", "/")
	f.Fuzz(func(t *testing.T, scheme1, host1, target1, scheme2, host2, target2 string) {
		equal := string(OfURL(nil, scheme1, host1, target1)) == string(OfURL(nil, scheme2, host2, target2))
		normal := func(scheme, host, target string) triple {
			name, port := splitHost(scheme, host)
			if !strings.HasPrefix(target, "/") && (target == "" || target[0] == '?') {
				target = "/" + target
			}
			return triple{asciiLower(scheme), asciiLower(name) + port, target}
		}
		if same := normal(scheme1, host1, target1) == normal(scheme2, host2, target2); same != equal {
			t.Errorf("(%q, %q, %q) and (%q, %q, %q): keys equal %v, parts equal %v", scheme1, host1, target1, scheme2, host2, target2, equal, same)
		}
	})
}

func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
