package key

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestPlainTarget(t *testing.T) {
	for _, row := range []struct{ name, target, want string }{
		{"a path", "/a/b", "/a/b"},
		{"no path is the root", "", "/"},
		{"a query without a path", "?a=b", "/?a=b"},
		{"an encoded letter", "/%61%5A", "/aZ"},
		{"a letter beyond ASCII, as browsers write it", "/gr%C3%BCn", "/grün"},
		{"the same in the other case", "/gr%c3%bcn", "/grün"},
		{"the same as curl sends it", "/grün", "/grün"},
		{"what URLs must not have, and clients send", `/a|b^{"c"}`, `/a|b^{"c"}`},
		{"the same encoded", "/a%7Cb%5E%7B%22c%22%7D", `/a|b^{"c"}`},
		{"a blank", "/a%20b", "/a b"},
		{"a plus sign in a path is one", "/a+b", "/a+b"},
		{"a plus sign in a query is a blank", "/a?b=c+d%20e", "/a?b=c d e"},
		{"a plus sign that is meant", "/a?b=c%2Bd", "/a?b=c%2Bd"},
		{"an encoded slash parts no path", "/a%2Fb%2fc", "/a%2Fb%2fc"},
		{"a slash in a query parts nothing", "/a?b=%2Fc", "/a?b=/c"},
		{"an encoded question mark in a path", "/a%3Fb", "/a%3Fb"},
		{"a second question mark", "/a?b?c%3Fd", "/a?b?c?d"},
		{"an encoded percent sign", "/100%25?a=%2525", "/100%25?a=%2525"},
		{"what parts a query, encoded", "/a?b=%26%3D%3B%23", "/a?b=%26%3D%3B%23"},
		{"brackets in a query", "/a?b%5Bc%5D=d", "/a?b[c]=d"},
		{"no encoding", "/%zz?a=%", "/%zz?a=%"},
		{"an encoding that is cut off", "/a%4", "/a%4"},
		{"an empty query", "/a?", "/a?"},
	} {
		got := PlainTarget(row.target)
		if got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
		if again := PlainTarget(got); again != got && !strings.ContainsAny(row.want, "%+") {
			t.Errorf("%s: %q is plain and becomes %q", row.name, got, again)
		}
	}
	if n := testing.AllocsPerRun(100, func() { PlainTarget("/articles/42?page=1") }); n != 0 {
		t.Errorf("a plain target costs %v allocations", n)
	}
}

func TestPlainHost(t *testing.T) {
	for host, want := range map[string]string{
		"example.com": "example.com", "example.com:80": "example.com", "example.com:443": "example.com", "example.com:8080": "example.com:8080",
		"[::1]": "[::1]", "[::1]:443": "[::1]", "10.0.0.80": "10.0.0.80", ":80": ":80", "": "", "a:80:443": "a:80:443", "example.com:8443": "example.com:8443",
	} {
		if got := PlainHost(host); got != want {
			t.Errorf("%q: got %q, want %q", host, got, want)
		}
	}
}

func TestHosts(t *testing.T) {
	t.Run("of a scope", func(t *testing.T) {
		long := strings.Repeat("x", 2*MaxScope)
		many := make([]string, 0, 60)
		for i := range 12 {
			many = append(many, fmt.Sprintf("X-Forwarded-Host-%02d", i), fmt.Sprint("h", i))
		}
		for _, row := range []struct {
			name   string
			header []string
			want   []string
		}{
			{"a plain request", nil, nil},
			{"X-Forwarded-Host", []string{"X-Forwarded-Host", "www.example.org"}, []string{"www.example.org"}},
			{"in capitals, with a default port and a dot", []string{"X-Forwarded-Host", "WWW.Example.org.:443"}, []string{"www.example.org"}},
			{"another port", []string{"X-Forwarded-Host", "example.org:8443"}, []string{"example.org:8443"}},
			{"a list: the first and the last", []string{"X-Forwarded-Host", "a.example, b.example , c.example"}, []string{"a.example", "c.example"}},
			{"two lines", []string{"X-Forwarded-Host", "a.example", "X-Forwarded-Host", "b.example"}, []string{"a.example", "b.example"}},
			{"the same twice", []string{"X-Forwarded-Host", "a.example", "X-Host", "a.example:80"}, []string{"a.example"}},
			{"Forwarded", []string{"Forwarded", `for=192.0.2.1;host=a.example;proto=https, host="b.example:8443"`}, []string{"a.example", "b.example:8443"}},
			{"other fields beside it", []string{"Forwarded", "host=a.example", "X-Forwarded-Proto", "https", "X-Forwarded-Port", "443", "X-Host", "b.example"}, []string{"a.example", "b.example"}},
			{"a port beside it", []string{"X-Forwarded-Host", "a.example", "X-Forwarded-Port", "8443"}, []string{"a.example", "a.example:8443"}},
			{"a port in a field that is spelled as CGI has it", []string{"X_forwarded_host", "a.example", "X_forwarded_port", "8443"}, []string{"a.example", "a.example:8443"}},
			{"ports beside an address and a host with its own", []string{"X-Forwarded-Host", "[::1], b.example:81", "X-Forwarded-Port", "8443, 1"}, []string{"[::1]", "b.example:81", "[::1]:8443"}},
			{"a port that is none", []string{"X-Forwarded-Host", "a.example", "X-Forwarded-Port", "x"}, []string{"a.example"}},
			{"other names for a host", []string{"X-Forwarded-Domain", "a.example", "X-Forwarded-Authority", "b.example", "X-Forwarded-Server", "c.example"}, []string{"b.example", "a.example", "c.example"}},
			{"the scheme, the path and a fragment tell no host", []string{"X-Forwarded-Proto", "https", "X-Forwarded-Prefix", "/a", "Hx-Target", "b"}, nil},
			{"a whole URL", []string{"X-Original-Url-Host", "https://me@a.example:443/b?c"}, []string{"a.example"}},
			{"a field that is spelled as CGI has it", []string{"X_forwarded_host", "a.example"}, []string{"a.example"}},
			{"an empty one", []string{"X-Forwarded-Host", ""}, nil},
			{"one that is too long for a host", []string{"X-Forwarded-Host", strings.Repeat("a", maxHost+1)}, nil},
			{"one that is just not", []string{"X-Forwarded-Host", strings.Repeat("a", maxHost)}, []string{strings.Repeat("a", maxHost)}},
			{"beside more than is kept as text", []string{"X-Forwarded-Host", "a.example", "X-Forwarded-Prefix", long}, []string{"a.example"}},
			{"more than are looked for", many, []string{"h0", "h1", "h2", "h3", "h4", "h5", "h6", "h7"}},
		} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			for i := 0; i < len(row.header); i += 2 {
				r.Header.Add(row.header[i], row.header[i+1])
			}
			fields := fieldsOf(r.Header)
			scope := string(Scope(nil, r, &fields))
			if got := Hosts(nil, scope); !slices.Equal(got, row.want) {
				t.Errorf("%s: got %q, want %q", row.name, got, row.want)
			}
			// Whatever a cut leaves, and whatever others append.
			for i := range min(len(scope), 300) {
				Hosts(nil, scope[:i])
			}
			if got := Hosts(nil, scope+"\x00Vsomething"); !slices.Equal(got, row.want) {
				t.Errorf("%s, with something behind it: got %q, want %q", row.name, got, row.want)
			}
		}
	})
	// Every kind of part that a scope has is passed over.
	t.Run("skips the other parts of a scope", func(t *testing.T) {
		r := httptest.NewRequest(http.MethodGet, "http://example.com/a", nil)
		r.Host, r.URL.Path, r.URL.Host = "EXAMPLE.com", "/rewritten", "example.com"
		r.Header.Set("X-Host", "a.example")
		fields := fieldsOf(r.Header)
		if got := Hosts(nil, string(Scope(nil, r, &fields))); !slices.Equal(got, []string{"a.example", "example.com"}) {
			t.Errorf("got %q", got)
		}
	})
}
