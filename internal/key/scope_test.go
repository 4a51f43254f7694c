package key

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// scope is Scope after the pass over the header.
func scope(dst []byte, r *http.Request) []byte {
	f := fieldsOf(r.Header)
	return Scope(dst, r, &f)
}

// fieldsOf is the pass over a header that finds what Scope and Variant need.
func fieldsOf(h http.Header) (f Fields) {
	for name, lines := range h {
		canonical := Canonical(name)
		f.Note(name, canonical, InScope(canonical), lines)
	}
	return f
}

const plain = "GET /a?b HTTP/1.1\nHost: example.com\n"

func TestScope(t *testing.T) {
	// Add a row for each field by which a common handler can be made to write another page
	// here.
	t.Run("fields", func(t *testing.T) {
		for _, line := range []string{
			"X-Forwarded-Host: evil", "X-Forwarded-Proto: http", "X-Forwarded-Port: 1", "X-Forwarded-Prefix: /evil", "X-Forwarded-Scheme: x", "X-Forwarded-Ssl: on",
			"X-Forwarded-Server: evil", "X-Forwarded-Path: /evil", "X-Forwarded-Uri: /evil", "X-Forwarded-User: alice", "X-Forwarded-Client-Cert: x", "X-Forwarded-Whatever: x",
			"X-Host: evil", "X-Original-Host: evil", "X-Original-Uri: /evil", "X-Http-Host-Override: evil", "X-Host-Override: evil", "X-Backend-Host: evil", "X-Real-Host: evil",
			"X-Envoy-Original-Host: evil", "X-Envoy-Original-Path: /evil", "X-Replaced-Path: /evil", "X-Ingress-Path: /evil", "X-Script-Name: /evil", "Script-Name: /evil",
			"Front-End-Https: on", "X-Scheme: http", "X-Url-Scheme: http", "X-Arr-Ssl: x", "Cf-Visitor: {}", "Cloudfront-Forwarded-Proto: http", "Fastly-Ssl: 1", "Wl-Proxy-Ssl: true",
			"X-Requested-With: XMLHttpRequest", "X-Pjax: true", "Hx-Request: true", "Hx-Boosted: true", "Hx-Target: x", "Hx-History-Restore-Request: true", "Turbo-Frame: x",
			"X-Inertia: true", "X-Up-Target: x", "Datastar-Request: true", "Rsc: 1",
			"X_Forwarded_Host: evil", "X-Forwarded_Host: evil", "x_host: evil", "Front_End_Https: on",
		} {
			name, value, _ := strings.Cut(line, ": ")
			got := scope(nil, read(t, false, plain+line))
			if !strings.Contains(string(got), value) {
				t.Errorf("%s: got %q, which does not tell it", line, got)
			}
			if other := scope(nil, read(t, false, plain+name+": host=other")); string(other) == string(got) {
				t.Errorf("%s: another value gives the same scope", line)
			}
			if empty := scope(nil, read(t, false, plain+name+": ")); len(empty) == 0 {
				t.Errorf("%s: an empty field is the same as none", name)
			}
		}
	})
	t.Run("is empty for a plain request", func(t *testing.T) {
		for _, line := range []string{
			"Accept: */*", "Cookie: a=b", "User-Agent: x", "X-Forwarded-For: 1.2.3.4", "X-Original-For: 1.2.3.4", "X-Original-Forwarded-For: 1.2.3.4", "X-Real-Ip: 1.2.3.4",
			"Forwarded: for=1.2.3.4", `Forwarded: for="[::1]:80", for=unknown;by=_b`, "Connection: keep-alive", "Sec-Fetch-Mode: navigate", "Dnt: 1", "Te: trailers", "Referer: x", "Want_Digest: x",
		} {
			if got := scope(nil, read(t, false, plain+line)); len(got) != 0 {
				t.Errorf("%s: got %q, want nothing", line, got)
			}
		}
		require.Equal(t, "before", string(scope([]byte("before"), read(t, true, plain))))
		for _, target := range []string{"/", "/?", "/a%2fb/%41?c=%2f", "/a#b", "/a[b]/%5b", "//a/../b", "/%", "/a b?"} {
			u, err := url.ParseRequestURI(target)
			if err != nil {
				continue
			}
			r := &http.Request{Method: "GET", Host: "h", RequestURI: target, URL: u}
			if got := scope(nil, r); len(got) != 0 {
				t.Errorf("%s: got %q, want nothing", target, got)
			}
		}
		for _, host := range []string{"127.0.0.1", "[::1]", "[::1]:8443", "127.0.0.1:8443"} {
			r := &http.Request{Method: "GET", Host: host, RequestURI: "/", URL: &url.URL{Path: "/"}, TLS: &tls.ConnectionState{}}
			if got := scope(nil, r); len(got) != 0 {
				t.Errorf("TLS to the address %s: got %q, want nothing", host, got)
			}
		}
	})
	t.Run("separates requests that a handler can tell apart", func(t *testing.T) {
		change := func(change func(*http.Request)) *http.Request {
			r := read(t, true, plain)
			change(r)
			return r
		}
		mini := http.StripPrefix("/a", http.HandlerFunc(func(_ http.ResponseWriter, inner *http.Request) {
			require.NotEmpty(t, scope(nil, inner), "a path that StripPrefix has cut is not that of the target")
		}))
		mini.ServeHTTP(httptest.NewRecorder(), change(func(r *http.Request) { r.RequestURI, r.URL.Path = "/a/b", "/a/b" }))

		rows := []struct {
			name string
			r    *http.Request
		}{
			{"plain", change(func(*http.Request) {})},
			{"the host in capitals", change(func(r *http.Request) { r.Host = "EXAMPLE.com" })},
			{"the host with a dot", change(func(r *http.Request) { r.Host = "example.com." })},
			{"the host with the default port", change(func(r *http.Request) { r.Host = "example.com:443" })},
			{"a Host field beside r.Host, as HTTP/2 leaves it", change(func(r *http.Request) { r.Header.Set("Host", "evil") })},
			{"another server name", change(func(r *http.Request) { r.TLS = &tls.ConnectionState{ServerName: "other"} })},
			{"no server name", change(func(r *http.Request) { r.TLS = &tls.ConnectionState{} })},
			{"a certificate", change(func(r *http.Request) { r.TLS.PeerCertificates = []*x509.Certificate{{Raw: []byte("alice")}} })},
			{"another certificate", change(func(r *http.Request) { r.TLS.PeerCertificates = []*x509.Certificate{{Raw: []byte("bob")}} })},
			{"an absolute URL", change(func(r *http.Request) { r.URL.Scheme, r.URL.Host = "https", "example.com" })},
			{"an absolute URL in capitals", change(func(r *http.Request) { r.URL.Scheme, r.URL.Host = "https", "Example.com" })},
			{"user information", change(func(r *http.Request) { r.URL.User = url.User("u") })},
			{"user information with a password", change(func(r *http.Request) { r.URL.User = url.UserPassword("u", "") })},
			{"empty user information", change(func(r *http.Request) { r.URL.User = url.User("") })},
			{"a rewritten path", change(func(r *http.Request) { r.URL.Path = "/b" })},
			{"a rewritten path of which the other is a part", change(func(r *http.Request) { r.URL.Path = "/ab" })},
			{"a rewritten raw path", change(func(r *http.Request) { r.URL.RawPath = "/%61" })},
			{"a rewritten query", change(func(r *http.Request) { r.URL.RawQuery = "c" })},
			{"one line", change(func(r *http.Request) { r.Header["X-Host"] = []string{"ab"} })},
			{"two lines", change(func(r *http.Request) { r.Header["X-Host"] = []string{"a", "b"} })},
			{"two fields", change(func(r *http.Request) { r.Header["X-Host"], r.Header["X-Scheme"] = []string{"a"}, []string{"b"} })},
			{"two fields the other way", change(func(r *http.Request) { r.Header["X-Host"], r.Header["X-Scheme"] = []string{"b"}, []string{"a"} })},
			{"longer than is kept", change(func(r *http.Request) { r.Header.Set("X-Host", strings.Repeat("a", 2*MaxScope)) })},
			{"longer than is kept, different at the end", change(func(r *http.Request) { r.Header.Set("X-Host", strings.Repeat("a", 2*MaxScope)+"b") })},
		}
		seen := map[string]string{}
		for _, row := range rows {
			got := scope(nil, row.r)
			if len(got) > MaxScope {
				t.Errorf("%s: %d bytes, want at most %d", row.name, len(got), MaxScope)
			}
			if other, found := seen[string(got)]; found {
				t.Errorf("%s: has the scope of %s: %q", row.name, other, got)
			}
			seen[string(got)] = row.name
		}
		noHost, err := http.NewRequest("GET", "http://example.com/", nil)
		require.NoError(t, err)
		named := scope(nil, noHost)
		noHost.Host = ""
		require.NotEqual(t, named, scope(nil, noHost), "an empty r.Host is seen by the handler")
		require.Empty(t, scope(nil, &http.Request{}), "a request without a key has no scope")
	})
	// A target without a path has the key of "/", so that a purge finds its response. But a handler
	// sees an empty path, and routers redirect it.
	t.Run("targets without a path", func(t *testing.T) {
		seen := map[string]string{}
		for _, target := range []string{"/?q", "http://h/?q", "http://h?q", "http://u@h?q", "/", "http://h/", "http://h", "/?", "http://h?", "http://h/?"} {
			r := read(t, false, "GET "+target+" HTTP/1.1\nHost: h")
			k, ok := Of(nil, r)
			require.True(t, ok, target)
			u, err := url.Parse(target)
			require.NoError(t, err)
			require.Equal(t, string(OfURL(nil, "http", "h", u.RequestURI())), string(k), target)
			name := string(k) + string(scope(nil, r))
			require.NotContains(t, seen, name, "%s has the name of %s", target, seen[name])
			seen[name] = target
		}
		for _, text := range []string{"http://h?q", "http://h"} {
			without, err := http.NewRequest("GET", text, nil)
			require.NoError(t, err)
			with, err := http.NewRequest("GET", strings.Replace(text, "http://h", "http://h/", 1), nil)
			require.NoError(t, err)
			require.NotEqual(t, string(scope(nil, with)), string(scope(nil, without)), "made by hand: %s", text)
		}
	})
	t.Run("an outer handler forgot RawPath", func(t *testing.T) {
		for name, path := range map[string]string{"cut short": "/a/", "longer": "/a/b/c", "another": "/a/c"} {
			r := &http.Request{Method: "GET", RequestURI: "/a%2fb", URL: &url.URL{Path: path, RawPath: "/a%2fb"}}
			require.NotEmpty(t, scope(nil, r), name)
		}
		r := &http.Request{Method: "GET", RequestURI: "/a%2fb", URL: &url.URL{Path: "/a/b"}}
		require.NotEmpty(t, scope(nil, r), "RawPath is gone")
		r = &http.Request{Method: "GET", RequestURI: "/%2", URL: &url.URL{Path: "/a", RawPath: "/%2"}}
		require.NotEmpty(t, scope(nil, r), "an escape that is none")
	})
	t.Run("Forwarded (RFC 7239, 4)", func(t *testing.T) {
		rows := []struct {
			name string
			a, b []string
			same bool
		}{
			{"addresses do not count", []string{"for=1.2.3.4;host=a;proto=https"}, []string{"for=5.6.7.8;by=x;host=a;proto=https"}, true},
			{"blanks do not count", []string{"for=x;host=a, for=y"}, []string{" for=x ; host=a ,for=y"}, true},
			{"names in another case", []string{"Host=a;PROTO=b"}, []string{"host=a;proto=b"}, true},
			{"another host", []string{"host=a"}, []string{"host=b"}, false},
			{"host is not proto", []string{"host=a"}, []string{"proto=a"}, false},
			{"the order of elements counts", []string{"host=a, host=b"}, []string{"host=b, host=a"}, false},
			{"which element it is counts", []string{"for=x, host=a"}, []string{"host=a, for=x"}, false},
			{"one element or two", []string{"host=a;proto=b"}, []string{"host=a, proto=b"}, false},
			{"one line or two", []string{"host=a, host=b"}, []string{"host=a", "host=b"}, false},
			{"quotes count", []string{`host="a"`}, []string{"host=a"}, false},
			{"a parameter twice", []string{"host=a;host=b"}, []string{"host=b"}, false},
			{"a host hidden in quotes is seen by who splits at semicolons", []string{`for="x;host=evil"`}, []string{"for=x"}, false},
			{"a host hidden in another parameter is seen by who searches", []string{"for=x;xhost=evil"}, []string{"for=x"}, false},
			{"a host behind a comma in quotes", []string{`for="x, host=evil"`}, []string{"for=x"}, false},
			{"a host behind an escaped quote", []string{`for="x\"";host=a`}, []string{"host=a"}, false},
			{"unparseable fields are taken as a whole", []string{"host=a b"}, []string{"host=a"}, false},
			{"unparseable fields with different addresses", []string{"for=1:2;host=a"}, []string{"for=1:3;host=a"}, false},
			{"an empty element", []string{"host=a,"}, []string{"host=a"}, false},
			{"an empty pair", []string{";host=a"}, []string{"host=a"}, false},
			{"an empty field", []string{""}, []string{"for=a"}, false},
			{"a quote that is not closed", []string{`for="x;host=a`}, []string{"for=x"}, false},
		}
		for _, row := range rows {
			r := read(t, false, plain)
			r.Header["Forwarded"] = row.a
			a := scope(nil, r)
			r.Header["Forwarded"] = row.b
			b := scope(nil, r)
			if same := string(a) == string(b); same != row.same {
				t.Errorf("%s: %q and %q: same %v, want %v", row.name, a, b, same, row.same)
			}
		}
	})
	// Fields holds six names; with more of them Scope looks for itself.
	t.Run("any number of fields", func(t *testing.T) {
		r := read(t, false, plain)
		var want []byte
		for _, end := range []string{"A", "B", "C", "D", "E", "F", "G", "H"} {
			r.Header.Set("X-Forwarded-"+end, "value of "+end)
			want = appendLines(want, kindField, "X-Forwarded-"+end, r.Header["X-Forwarded-"+end])
			for range 8 { // maps have no order
				if got := scope(nil, r); string(got) != string(want) {
					t.Fatalf("up to %s: got %q, want %q", end, got, want)
				}
			}
		}
		r.Header["X-Host"], r.Header["X-Scheme"] = []string{}, nil
		require.NotEqual(t, string(want), string(scope(nil, r)), "a field without lines is one")
	})
	t.Run("a path is the same if net/url makes it of the target", func(t *testing.T) {
		for c := range 256 {
			path := "/a" + string([]byte{byte(c)}) + "9"
			u := &url.URL{Path: path}
			if got, want := samePath(u, path), u.EscapedPath() == path; got != want {
				t.Errorf("%q: got %v, want %v", path, got, want)
			}
		}
		if samePath(&url.URL{Path: "/b"}, "/a") {
			t.Error("two paths are the same")
		}
	})
	t.Run("scope and variant cannot be confused", func(t *testing.T) {
		r := read(t, false, plain+"X-Host: 1")
		scoped := Variant(scope(nil, r), nil, r.Header, nil)
		varied := Variant(scope(nil, read(t, false, plain)), []string{"X-Host"}, r.Header, nil)
		require.NotEqual(t, scoped, varied)
		long := http.Header{"X-Host": {strings.Repeat("a", 2*MaxScope)}}
		r.Header = long
		require.NotEqual(t, scope(nil, r)[:2], Variant(nil, []string{"X-Host"}, long, nil)[:2])
	})
	t.Run("the order of fields does not matter", func(t *testing.T) {
		a := read(t, false, plain+"X-Host: 1\nX-Scheme: 2\nForwarded: host=a\nX-Forwarded-Host: 3\nFoo: 4\nBar: 5")
		b := read(t, false, plain+"Bar: 5\nX-Forwarded-Host: 3\nFoo: 4\nForwarded: host=a\nX-Scheme: 2\nX-Host: 1")
		names, _, _ := VaryNames([]string{"Foo, Bar"})
		swapped, _, _ := VaryNames([]string{"Bar", "Foo"})
		for range 20 { // maps are walked in another order each time
			require.Equal(t, Variant(scope(nil, a), names, a.Header, nil), Variant(scope(nil, b), swapped, b.Header, nil))
		}
	})
}

// FuzzScope compares two requests of one URL: whatever a handler can read as host or scheme must
// separate them.
func FuzzScope(f *testing.F) {
	f.Add("X-Forwarded-Host", "a", "b", "host=a", "host=b")
	f.Add("X_Forwarded_Host", "a", "", "for=1", "for=\"1;host=evil\"")
	f.Add("Hx-Request", "true", "true", "for=1;proto=http", "for=2;proto=http")
	f.Fuzz(func(t *testing.T, name, a, b, forwardedA, forwardedB string) {
		name = http.CanonicalHeaderKey(name)
		request := func(value, forwarded string) *http.Request {
			r := &http.Request{Method: "GET", Host: "h", RequestURI: "/", URL: &url.URL{Path: "/"}, Header: http.Header{}}
			r.Header[name] = []string{value}
			r.Header["Forwarded"] = []string{forwarded}
			return r
		}
		scopeA, scopeB := scope(nil, request(a, forwardedA)), scope(nil, request(b, forwardedB))
		if len(scopeA) > MaxScope {
			t.Errorf("%d bytes, want at most %d", len(scopeA), MaxScope)
		}
		if string(scopeA) != string(scopeB) {
			return
		}
		if name != "Forwarded" && InScope(Canonical(name)) && a != b {
			t.Errorf("%s: %q and %q have the same scope", name, a, b)
		}
		for _, word := range []string{"host=", "proto="} {
			if x, y := naive(forwardedA, word), naive(forwardedB, word); x != y {
				t.Errorf("%q and %q have the same scope, but a naive reader finds %q and %q", forwardedA, forwardedB, x, y)
			}
		}
	})
}

// naive reads a parameter of Forwarded as handlers do that know no grammar: the text from the word
// to the next separator.
func naive(forwarded, word string) string {
	_, value, _ := strings.Cut(strings.ToLower(forwarded), word)
	if end := strings.IndexAny(value, ";,"); end >= 0 {
		value = value[:end]
	}
	return strings.Trim(value, " \t")
}
