package rules

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestInvalidation(t *testing.T) {
	t.Run("Invalidates (RFC 9111, 4.4)", func(t *testing.T) {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "get"} {
			for status, want := range map[int]bool{100: false, 200: true, 204: true, 303: true, 399: true, 400: false, 404: false, 500: false, 999: false} {
				if got := Invalidates(method, status); got != want {
					t.Errorf("%s %d: got %v, want %v", method, status, got, want)
				}
			}
		}
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "TRACE", ""} {
			if Invalidates(method, 200) {
				t.Errorf("%q invalidates", method)
			}
		}
	})
	t.Run("targets (RFC 9111, 4.4)", func(t *testing.T) {
		post := func(target, host, fields string) *http.Request {
			u, err := url.ParseRequestURI(target)
			if err != nil {
				t.Fatal(err)
			}
			return &http.Request{Method: "POST", Host: host, RequestURI: target, URL: u, Header: header(fields)}
		}
		secure := post("/a", "example.com", "")
		secure.TLS = new(tls.ConnectionState)
		secureBehind := post("/a", "example.com", "Forwarded: for=192.0.2.1;proto=http")
		secureBehind.TLS = new(tls.ConnectionState)
		byHand := &http.Request{Method: "POST", URL: &url.URL{Scheme: "http", Host: "example.com", Path: "/a"}}
		behind := func(fields string) *http.Request { return post("/a", "10.0.0.7:8080", fields) }
		inside := func(target string) []Target { return []Target{{"http", "10.0.0.7:8080", target}} }
		at := func(targets ...string) (list []Target) {
			for _, target := range targets {
				list = append(list, Target{"http", "example.com", target})
			}
			return list
		}
		rows := []struct {
			name     string
			request  *http.Request
			response string
			want     []Target
		}{
			{"none", post("/a", "example.com", ""), "", nil},
			{"Location", post("/a", "example.com", ""), "Location: /b", at("/b")},
			{"Content-Location", post("/a", "example.com", ""), "Content-Location: /b?c=d", at("/b?c=d")},
			{"both", post("/a", "example.com", ""), "Content-Location: /c\nLocation: /b", at("/b", "/c")},
			{"the same twice", post("/a", "example.com", ""), "Content-Location: /b\nLocation: /b", at("/b")},
			{"a whole URL of the same origin", post("/a", "example.com", ""), "Location: http://EXAMPLE.com.:80/b#x", at("/b")},
			{"a relative reference", post("/x/a?y", "example.com", ""), "Location: b", at("/x/b")},
			{"dots are resolved", post("/x/a", "example.com", ""), "Location: ../b", at("/b")},
			{"an encoded slash stays", post("/x", "example.com", ""), "Location: /a%2Fb", at("/a%2Fb")},
			{"no path is the root", post("/x", "example.com", ""), "Location: http://example.com", at("/")},
			{"the URL itself is no other", post("/a?b", "example.com", ""), "Location: /a?b", nil},
			{"another host", post("/a", "example.com", ""), "Location: http://example.org/b", nil},
			{"another host without a scheme", post("/a", "example.com", ""), "Location: //example.org/b", nil},
			{"another port", post("/a", "example.com", ""), "Location: http://example.com:8080/b", nil},
			{"https where TLS does not end here", post("/a", "example.com", ""), "Location: https://example.com/b", at("/b")},
			{"the same with its port", post("/a", "example.com:443", ""), "Location: https://example.com:443/b", []Target{{"http", "example.com:443", "/b"}}},
			{"the same, and the client has left the port out", post("/a", "example.com:443", ""), "Location: https://example.com/b", []Target{{"http", "example.com:443", "/b"}}},
			{"no scheme of the web", post("/a", "example.com", ""), "Location: ftp://example.com/b", nil},
			{"the host that a proxy tells", behind("X-Forwarded-Proto: https"), "Location: https://www.example.org/b", inside("/b")},
			{"the same in capitals and with the default port", behind(""), "Location: https://WWW.Example.org:443/b", inside("/b")},
			{"the same without a word about the scheme", behind(""), "Location: https://www.example.org/b", inside("/b")},
			{"the same with a list of schemes", behind("X-Forwarded-Proto: https,http"), "Location: https://www.example.org/b", inside("/b")},
			{"the same with a word that TLS is on", behind("X-Forwarded-Ssl: on"), "Location: https://www.example.org/b", inside("/b")},
			{"the same with a port of the proxy", behind("X-Forwarded-Port: 8443"), "Location: https://www.example.org:8443/b", inside("/b")},
			{"another port than the proxy tells", behind("X-Forwarded-Port: 8443"), "Location: https://www.example.org:9443/b", nil},
			{"another host than the proxy tells", behind(""), "Location: https://example.org/b", nil},
			{"the host by which the proxy calls us", behind(""), "Location: http://10.0.0.7:8080/b", inside("/b")},
			{"a path that is not encoded", post("/{id}|x/a", "example.com", ""), "Location: b", at("/%7Bid%7D%7Cx/b")},
			{"user information", post("/a", "example.com", ""), "Location: http://ann@example.com/b", nil},
			{"no hierarchical URL", post("/a", "example.com", ""), "Location: mailto:ann@example.com", nil},
			{"something that is no URL", post("/a", "example.com", ""), "Location: http://[", nil},
			{"one that is too long", post("/a", "example.com", ""), "Location: /" + strings.Repeat("b", maxLocation), nil},
			{"one that is just not", post("/a", "example.com", ""), "Location: /" + strings.Repeat("b", maxLocation-1), at("/" + strings.Repeat("b", maxLocation-1))},
			{"at most as many as asked for", post("/a", "example.com", ""), "Location: /b\nLocation: /c\nLocation: /d\nLocation: /e", at("/b", "/c", "/d")},
			{"https", secure, "Location: https://example.com:443/b", []Target{{"https", "example.com", "/b"}}},
			{"https to http", secure, "Location: http://example.com/b", nil},
			{"https to http behind a proxy that is asked by http", secureBehind, "Location: http://example.com/b", []Target{{"https", "example.com", "/b"}}},
			{"a proxy in front speaks https: the key is still ours", post("/a", "example.com", "X-Forwarded-Proto: HTTPS"), "Location: https://example.com/b", at("/b")},
			{"a proxy in front speaks gibberish", post("/a", "example.com", "X-Forwarded-Proto: gopher"), "Location: gopher://example.com/b", nil},
			{"a request made by hand", byHand, "Location: /b", at("/b")},
			{"a target that is none", &http.Request{Method: "POST", Host: "example.com", RequestURI: "*", URL: &url.URL{Path: "*"}}, "Location: /b", nil},
			{"a target with a broken escape", &http.Request{Method: "POST", Host: "example.com", RequestURI: "/%zz", URL: &url.URL{Path: "/"}}, "Location: /b", nil},
			{"a target with two slashes is a path", post("//example.org/a", "example.com", ""), "Location: b", at("//example.org/b")},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				if got := InvalidationTargets(row.request, header(row.response), []string{"www.example.org"}, 3); !slices.Equal(got, row.want) {
					t.Errorf("got %v, want %v", got, row.want)
				}
			})
		}
	})
	t.Run("Destination (RFC 4918)", func(t *testing.T) {
		move := func(method, destination string) *http.Request {
			r := &http.Request{Method: method, Host: "example.com", RequestURI: "/a", URL: &url.URL{Path: "/a"}, Header: http.Header{}}
			if destination != "" {
				r.Header["Destination"] = strings.Split(destination, "\n")
			}
			return r
		}
		for _, row := range []struct {
			name    string
			request *http.Request
			status  int
			want    string
		}{
			{"MOVE", move("MOVE", "http://example.com/b"), 201, "/b"},
			{"COPY over what was there", move("COPY", "http://example.com/b?c"), 204, "/b?c"},
			{"a path alone", move("MOVE", "/b"), 201, "/b"},
			{"the host that a proxy tells", move("MOVE", "https://www.example.org/b"), 201, "/b"},
			{"another host", move("MOVE", "http://example.net/b"), 201, ""},
			{"another method", move("PUT", "/b"), 201, ""},
			{"another status says nothing of the destination", move("MOVE", "/b"), 207, ""},
			{"nor does a failure", move("MOVE", "/b"), 412, ""},
			{"none", move("MOVE", ""), 201, ""},
			{"two", move("MOVE", "/b\n/c"), 201, ""},
			{"something that is no URL", move("MOVE", "http://["), 201, ""},
		} {
			got, ok := Destination(row.request, row.status, []string{"www.example.org"})
			if ok != (row.want != "") || got.Target != row.want || ok && got.Host != "example.com" {
				t.Errorf("%s: got %v, %v, want %q", row.name, got, ok, row.want)
			}
		}
		if _, ok := Destination(&http.Request{Method: "MOVE", RequestURI: "*", URL: &url.URL{Path: "*"}, Header: http.Header{"Destination": {"/b"}}}, 201, nil); ok {
			t.Error("a target that is none has a destination")
		}
	})
}
