package rules

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/edgecache-go/edgecache/internal/key"
)

// browser is a browser's request for a page, behind a proxy.
func browser() *http.Request {
	return &http.Request{Method: "GET", Header: http.Header{
		"User-Agent":                {"Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"},
		"Accept":                    {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
		"Accept-Language":           {"en-US,en;q=0.5"},
		"Accept-Encoding":           {"gzip, deflate, br, zstd"},
		"Connection":                {"keep-alive"},
		"Upgrade-Insecure-Requests": {"1"},
		"Sec-Fetch-Dest":            {"document"},
		"Sec-Fetch-Mode":            {"navigate"},
		"Sec-Fetch-Site":            {"none"},
		"Sec-Fetch-User":            {"?1"},
		"Priority":                  {"u=0, i"},
		"Referer":                   {"https://example.com/"},
		"X-Forwarded-For":           {"192.0.2.1"},
		"X-Forwarded-Proto":         {"https"},
	}}
}

func TestRequest(t *testing.T) {
	t.Run("bypass", func(t *testing.T) {
		body := get("")
		body.ContentLength = 3
		unknown := get("")
		unknown.ContentLength = -1
		chunked := get("")
		chunked.TransferEncoding = []string{"chunked"}
		method := func(m, text string) *http.Request { return &http.Request{Method: m, Header: header(text)} }
		rows := []struct {
			name    string
			request *http.Request
			want    Reason
		}{
			{"a browser's GET is looked up", browser(), None},
			{"so is HEAD", method("HEAD", ""), None},
			{"no method is GET, as for net/http", method("", ""), None},
			{"POST", method("POST", ""), Method},
			{"get in lower case is another method", method("get", ""), Method},
			{"QUERY", method("QUERY", ""), Method},
			{"CONNECT", method("CONNECT", ""), Method},
			{"a body", body, Body},
			{"a body of unknown length", unknown, Body},
			{"a chunked body", chunked, Body},
			{"If-Match is the origin's to judge (RFC 9110, 13.2.1)", get("If-Match: \"a\""), Precondition},
			{"If-Unmodified-Since too", get("If-Unmodified-Since: {0}"), Precondition},
			{"If-None-Match is not", get("If-None-Match: \"a\""), None},
			{"If-Range is not", get("If-Range: \"a\"\nRange: bytes=0-1"), None},
			{"Upgrade", get("Connection: Upgrade\nUpgrade: websocket"), Upgrade},
			{"Upgrade without Connection may mean something to a handler", get("Upgrade: websocket"), Upgrade},
			{"one of several protocols", get("Connection: Upgrade\nUpgrade: h2c\nUpgrade: TLS/1.3, foo"), Upgrade},
			{"upgrade in Connection without Upgrade (RFC 9110, 7.8)", get("Connection: keep-alive, UPGRADE"), None},
			{"another version of HTTP may be ignored (RFC 9110, 7.8)", get("Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAEA"), None},
			{"the same for TLS", get("Connection: Upgrade\nUpgrade: TLS/1.2, HTTP/2.0"), None},
			{"keep-alive is no upgrade", get("Connection: keep-alive"), None},
			{"Connection names a field (RFC 9110, 7.6.1)", get("Connection: X-Custom, close\nX-Custom: a"), None},
			{"Connection names a credential", get("Connection: X-Api-Key\nX-Api-Key: a"), Override},
			{"Connection names Authorization", get("Connection: authorization"), Override},
			{"Connection names Cookie", get("Connection: Cookie"), Override},
			{"Connection names what is in the scope", get("Connection: X-Forwarded-Host"), Override},
			{"Connection names what is in the scope, as CGI spells it", get("Connection: X_Forwarded_Host"), Override},
			{"Connection names Host", get("Connection: Host"), Override},
			{"Connection names a directive", get("Connection: cache-control"), Override},
			{"Connection names a condition", get("Connection: If-None-Match"), Override},
			{"Connection names the client's address", get("Connection: X-Forwarded-For"), Override},
			{"Connection names the client's address in another field", get("Connection: X-Real-Ip"), Override},
			{"Connection names what is no field", get("Connection: \"a\""), Override},
			{"Connection names more fields than are read", get("Connection: " + strings.Repeat("a, ", key.MaxFields+1)), Override},
			{"and just so many", get("Connection: " + strings.Repeat("a, ", key.MaxFields)), None},
			{"X-Original-URL", get("X-Original-URL: /admin"), Override},
			{"X-Rewrite-URL", get("X-Rewrite-URL: /admin"), Override},
			{"X-HTTP-Method-Override", get("X-HTTP-Method-Override: DELETE"), Override},
			{"X-HTTP-Method", get("X-HTTP-Method: DELETE"), Override},
			{"X-Method-Override", get("X-Method-Override: DELETE"), Override},
			{"a name spelled by hand", &http.Request{Method: "GET", Header: http.Header{"x-original-url": {"/admin"}}}, Override},
			{"a field without lines is not there", &http.Request{Method: "GET", Header: http.Header{"If-Match": nil, "": {"x"}}}, None},
			{"of several reasons the first of the list", get("If-Match: *\nUpgrade: x\nX-Rewrite-URL: /"), Upgrade},
			{"the method before all others", method("PUT", "If-Match: *"), Method},
			{"Expect is nothing to us", get("Expect: 100-continue"), None},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				for range 8 { // maps have no order
					if got := usual.Request(row.request).Bypass; got != row.want {
						t.Fatalf("got %q, want %q", got, row.want)
					}
				}
			})
		}
	})
	t.Run("unread bodies", func(t *testing.T) {
		for _, row := range []struct {
			name   string
			method string
			length int64
			coding []string
			text   string
			want   bool
		}{
			{"a length is not said", "GET", -1, nil, "", true},
			{"of HEAD, too", "HEAD", -1, nil, "", true},
			{"it is said", "GET", 3, nil, "", false},
			{"there is no body", "GET", 0, nil, "", false},
			{"chunks announce a body", "GET", -1, []string{"chunked"}, "", false},
			{"another method", "POST", -1, nil, "", false},
			{"the request is for the handler anyway", "GET", -1, nil, "Upgrade: websocket", false},
		} {
			q := usual.Request(&http.Request{Method: row.method, ContentLength: row.length, TransferEncoding: row.coding, Header: header(row.text)})
			if q.Unread != row.want {
				t.Errorf("%s: got %v", row.name, q.Unread)
			}
		}
	})
	t.Run("WithoutConnection (RFC 9110, 7.6.1)", func(t *testing.T) {
		for _, row := range []struct{ text, want string }{
			{"Connection: keep-alive\nAccept: a", "Accept: a"},
			{"Connection: X-A, close\nConnection: x-b\nX-A: 1\nX-B: 2\nX-C: 3\nTe: trailers", "X-C: 3\nTe: trailers"},
			{"Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHttp2-Settings: AAEA\nAccept: a", "Accept: a"},
			{"Upgrade: h2c\nHttp2-Settings: AAEA\nAccept: a", "Accept: a"},
			{"connection: x-a\nX-A: 1\nx-a: 2\nX_A: 3", "X_A: 3"},
		} {
			h := spelled(row.text)
			before := h.Clone()
			if got, want := WithoutConnection(h), spelled(row.want); !reflect.DeepEqual(got, want) {
				t.Errorf("%q: got %v, want %v", row.text, got, want)
			}
			if !reflect.DeepEqual(h, before) {
				t.Errorf("%q: changed", row.text)
			}
		}
	})
	t.Run("method", func(t *testing.T) {
		for method, unsafe := range map[string]bool{
			"": false, "GET": false, "HEAD": false, "OPTIONS": false, "TRACE": false, "PROPFIND": false, "QUERY": false, "REPORT": false, "SEARCH": false,
			"POST": true, "PUT": true, "DELETE": true, "PATCH": true, "M-SEARCH": true, "get": true, "CONNECT": true, "WHATEVER": true,
		} {
			q := usual.Request(&http.Request{Method: method})
			if q.Unsafe != unsafe || q.Head != (method == "HEAD") {
				t.Errorf("%s: unsafe %v, head %v", method, q.Unsafe, q.Head)
			}
		}
	})
	t.Run("credentials", func(t *testing.T) {
		o := usual
		o.IgnoreCookies = []string{"_ga", "_ga_*", "consent", "theme*"}
		o = o.Indexed()
		rows := []struct {
			name                              string
			text                              string
			cookie, authorization, credential bool
		}{
			{name: "none", text: ""},
			{name: "a cookie", text: "Cookie: a=b", cookie: true},
			{name: "Cookie without a cookie", text: "Cookie:  ; ;"},
			{name: "cookies on the list", text: "Cookie: _ga=1; _ga_ABC=GS1.1; theme=dark"},
			{name: "one that is not", text: "Cookie: _ga=1; session=2; consent=3", cookie: true},
			{name: "one that is not, on a second line", text: "Cookie: _ga=1\nCookie: session=2", cookie: true},
			{name: "one that is not, without blanks", text: "Cookie: _ga=1;session=2", cookie: true},
			{name: "a longer name is another name", text: "Cookie: _gat=1", cookie: true},
			{name: "another case is another name", text: "Cookie: _GA=1", cookie: true},
			{name: "a blank before = is dropped, as by net/http", text: "Cookie: _ga =1"},
			{name: "a cookie without a name", text: "Cookie: =1", cookie: true},
			{name: "a cookie without =", text: "Cookie: _ga", cookie: true},
			{name: "a cookie that hides another behind a comma", text: "Cookie: _ga=1, session=2", cookie: true},
			{name: "a cookie that hides another behind a comma, and has no value", text: "Cookie: _ga_1, session=2", cookie: true},
			{name: "a cookie that hides another behind a blank, and has no value", text: "Cookie: theme session=2", cookie: true},
			{name: "a cookie that may hide another in quotes", text: "Cookie: _ga=\"1; session=2\"", cookie: true},
			{name: "one in the quotes of another", text: "Cookie: session=\"1; _ga=2; 3\"", cookie: true},
			{name: "quotes that are closed", text: "Cookie: _ga=\"1\"; consent=\"2\""},
			{name: "a comma that hides nothing", text: "Cookie: consent={\"ads\":false,\"stats\":true}"},
			{name: "an = before the comma hides nothing", text: "Cookie: consent=a=1,b"},
			{name: "Authorization", text: "Authorization: Bearer x", authorization: true},
			{name: "Authorization, empty", text: "Authorization: ", authorization: true},
			{name: "an API key", text: "X-API-Key: 1", credential: true},
			{name: "a user whom a proxy knows", text: "X-Forwarded-User: ann", credential: true},
			{name: "a user whom a proxy does not know", text: "X-Forwarded-User: ", credential: false},
			{name: "a field that names no user", text: "X-Forwarded-For: 192.0.2.1"},
			{name: "all of them", text: "Cookie: a=b\nAuthorization: x\nX-Auth-Token: 1", cookie: true, authorization: true, credential: true},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				q := o.Request(get(row.text))
				if q.Cookie != row.cookie || q.Authorization != row.authorization || q.Credential != row.credential {
					t.Errorf("got cookie %v, authorization %v, credential %v", q.Cookie, q.Authorization, q.Credential)
				}
				if q.Bypass != None {
					t.Errorf("bypass: %v", q.Bypass) // whether it may use what is stored is for the response to say
				}
			})
		}

		t.Run("names spelled by hand count", func(t *testing.T) {
			q := o.Request(&http.Request{Method: "GET", Header: http.Header{"cookie": {"a=b"}, "authorization": {"x"}, "x-api-key": {"y"}}})
			if !q.Cookie || !q.Authorization || !q.Credential {
				t.Errorf("got %+v", q)
			}
		})
		t.Run("both spellings at once count", func(t *testing.T) {
			o := o
			o.HonorRequestDirectives = true
			q := o.Request(&http.Request{Method: "GET", Header: http.Header{"cookie": {"a=b"}, "Cookie": {"_ga=1"}, "cache-control": {"no-cache"}, "Cache-Control": {"no-store"}}})
			if !q.Cookie || !q.CC.NoCache || !q.CC.NoStore {
				t.Errorf("got %+v", q)
			}
		})
		t.Run("a client certificate counts", func(t *testing.T) {
			r := get("")
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
			if !o.Request(r).ClientCertificate {
				t.Error("got none")
			}
			r.TLS = new(tls.ConnectionState)
			if o.Request(r).ClientCertificate {
				t.Error("got one from a plain TLS connection")
			}
		})
		t.Run("cookies can be declared no credentials, and nothing else with them", func(t *testing.T) {
			insecure := o
			insecure.InsecureShareCookies = true
			if q := insecure.Request(get("Cookie: a=b\nX-API-Key: 1\nAuthorization: x")); q.Cookie || !q.Credential || !q.Authorization {
				t.Errorf("got %+v", q)
			}
		})
		t.Run("a star ignores every cookie that has a name", func(t *testing.T) {
			all := Options{IgnoreCookies: []string{"*"}}
			if all.Request(get("Cookie: a=b; c=d")).Cookie || !all.Request(get("Cookie: a")).Cookie {
				t.Error("it does not")
			}
		})
	})
	t.Run("conditions and ranges", func(t *testing.T) {
		for text, want := range map[string][2]bool{ // conditional, range
			"":                       {},
			"If-None-Match: \"a\"":   {true, false},
			"If-Modified-Since: {0}": {true, false},
			"If-Range: \"a\"":        {},
			"Range: bytes=0-1":       {false, true},
			"Range: BYTES=0-1":       {false, true},
			"Range: lines=0-1":       {},
			"Range: bytes":           {},
			"If-Range: \"a\"\nRange: bytes=-1\nIf-None-Match: *": {true, true},
		} {
			q := usual.Request(get(text))
			if got := [2]bool{q.Conditional, q.Range}; got != want {
				t.Errorf("%q: got %v, want %v", text, got, want)
			}
		}
		for text, want := range map[string]bool{
			"Range: bytes=0-1": false, "Range: BYTES=0-1": false, "Range: bytes": false, "Range: =0-1": false, "Range: a b=1": false, "Range: lines=": false,
			"Range: lines=0-1": true, "Range: items=x": true, "": false,
		} {
			if got := usual.Request(&http.Request{Method: "GET", Header: header(text)}).OtherUnit; got != want {
				t.Errorf("%s: in another unit: got %v, want %v", text, got, want)
			}
		}
		if usual.Request(&http.Request{Method: "HEAD", Header: header("Range: lines=0-1")}).OtherUnit {
			t.Error("Range has a meaning for GET only (RFC 9110, 14.2)")
		}
		if usual.Request(&http.Request{Method: "HEAD", Header: header("Range: bytes=0-1")}).Range {
			t.Error("HEAD has no ranges (RFC 9110, 14.2)")
		}
	})
	t.Run("directives", func(t *testing.T) {
		if q := honoring.Request(browser()); !q.CC.Empty || q.Steering {
			t.Errorf("got %+v", q.CC)
		}
		if q := honoring.Request(get("Cache-Control: no-cache\nCache-Control: only-if-cached")); q.CC.Empty || !q.CC.NoCache || !q.CC.OnlyIfCached || q.Steering {
			t.Errorf("got %+v", q.CC)
		}
		if q := honoring.Request(get("Pragma: foo, No-Cache")); !q.CC.NoCache || q.Steering {
			t.Errorf("got %+v", q.CC)
		}
		if q := usual.Request(browser()); !q.CC.Empty || q.Steering {
			t.Errorf("got %+v", q)
		}
		for _, name := range []string{"Cache-Control", "cache-control", "CACHE-CONTROL", "Cache_control", "Cache_Control", "cache_control", "Pragma", "pragma", "PRAGMA"} {
			h := http.Header{name: {"no-cache, no-store"}, "Accept": {"a"}, "X-Cache-Control": {"b"}}
			q := usual.Request(&http.Request{Method: "GET", Header: h})
			if !q.CC.Empty || q.CC.NoCache || q.CC.NoStore || !q.Steering {
				t.Errorf("%s: got %+v", name, q)
			}
			if q.RemoveDirectives(h); len(h) != 2 {
				t.Errorf("%s: got %v, want it off", name, h)
			}
		}
	})
	t.Run("Vary on directives that do not count (RFC 9111, 4.1)", func(t *testing.T) {
		for _, row := range []struct {
			o    *Options
			vary string
			want []string
		}{
			{&usual, "Cache-Control", nil},
			{&usual, "Pragma, Accept, CACHE-CONTROL", []string{"Accept"}},
			{&honoring, "Cache-Control, Pragma", []string{"Cache-Control", "Pragma"}},
		} {
			m, reason := row.o.Store(row.o.get(""), 200, header("Vary: "+row.vary), start, start)
			if reason != None || !slices.Equal(m.Vary, row.want) {
				t.Errorf("%s: got %v, %v, want %v", row.vary, m.Vary, reason, row.want)
			}
		}
		if _, reason := usual.Store(usual.get(""), 200, header("Vary: Pragma, *"), start, start); reason != VaryStar {
			t.Errorf("got %v", reason)
		}
	})
}

// spelled is a header with names as they are written.
func spelled(text string) http.Header {
	h := make(http.Header)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		h[name] = append(h[name], value)
	}
	return h
}

func FuzzRequest(f *testing.F) {
	f.Add("_ga=1; session=2", "max-age=0", "keep-alive, upgrade")
	f.Add("_ga=1, session=2", "no-cache=\"", "\"")
	f.Add(";;=;_ga", "max-stale, min-fresh=1", ",")
	o := usual
	o.IgnoreCookies = []string{"_ga", "_gid*"}
	f.Fuzz(func(t *testing.T, cookie, directives, connection string) {
		r := &http.Request{Method: "GET", Header: http.Header{"Cookie": {cookie}, "Cache-Control": {directives}, "Connection": {connection}, cookie: {connection}}}
		q := o.Request(r)
		// Most handlers see what net/http's parser finds: it must not find a cookie that is missed
		// here.
		for _, c := range r.Cookies() {
			if c.Name != "_ga" && (len(c.Name) < 4 || c.Name[:4] != "_gid") && !q.Cookie {
				t.Fatalf("cookie %q of %q goes unnoticed", c.Name, cookie)
			}
		}
	})
}
