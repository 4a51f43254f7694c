package rules

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/edgecache-go/edgecache/internal/key"
)

func TestFields(t *testing.T) {
	// CGI and FastCGI make one variable of dashes and underscores (RFC 3875, 4.1.18), and a proxy
	// may forward those: a field counts by its dashed form.
	t.Run("underscores are dashes", func(t *testing.T) {
		raw := func(method string, fields ...string) *http.Request {
			h := http.Header{}
			for i := 0; i < len(fields); i += 2 {
				h[fields[i]] = append(h[fields[i]], fields[i+1])
			}
			return &http.Request{Method: method, Header: h}
		}
		for _, row := range []struct {
			name   string
			fields []string
			bypass Reason
			check  func(Request) bool
		}{
			{"X_Original_URL", []string{"X_original_url", "/admin"}, Override, nil},
			{"X_Rewrite_URL", []string{"X_rewrite_url", "/admin"}, Override, nil},
			{"one underscore", []string{"X-Original_url", "/admin"}, Override, nil},
			{"capitals, made by hand", []string{"X_ORIGINAL_URL", "/admin"}, Override, nil},
			{"X_HTTP_Method_Override", []string{"X_http_method_override", "DELETE"}, Override, nil},
			{"X_HTTP_Method", []string{"X_http_method", "DELETE"}, Override, nil},
			{"X_Method_Override", []string{"X_method_override", "DELETE"}, Override, nil},
			{"a dot, which PHP makes an underscore of", []string{"X.method.override", "DELETE"}, Override, nil},
			{"If_Match", []string{"If_match", "*"}, Precondition, nil},
			{"If_Unmodified_Since", []string{"If_unmodified_since", "x"}, Precondition, nil},
			{"Content_Length", []string{"Content_length", "5"}, Body, nil},
			{"a content of no length", []string{"Content_length", "0"}, None, nil},
			{"Content-Length itself is read by net/http", []string{"Content-Length", "0"}, None, nil},
			{"Transfer_Encoding", []string{"Transfer_encoding", "chunked"}, Body, nil},
			{"Cache_Control", []string{"Cache_control", "no-store", "Cache-Control", "no-cache"}, None, func(q Request) bool { return q.CC.NoStore && q.CC.NoCache }},
			{"X_Api_Key", []string{"X_api_key", "1"}, None, func(q Request) bool { return q.Credential }},
			{"Proxy_Authorization", []string{"Proxy_authorization", "1"}, None, func(q Request) bool { return q.Credential }},
			{"X_Forwarded_User", []string{"X_forwarded_user", "ann"}, None, func(q Request) bool { return q.Credential && len(scopeOf(q, "X_forwarded_user", "ann")) > 0 }},
			{"X_Forwarded_Host", []string{"X_forwarded_host", "evil"}, None, func(q Request) bool { return !q.Credential && len(scopeOf(q, "X_forwarded_host", "evil")) > 0 }},
			{"User_Agent identifies no user", []string{"User_agent", "x"}, None, func(q Request) bool { return !q.Credentialed() }},
			{"If_None_Match asks nothing of the cache, and no handler of a fetch sees it", []string{"If_none_match", "*"}, None, func(q Request) bool { return !q.Conditional && takenOff(q, "If_none_match") }},
			{"If_Modified_Since", []string{"If_modified_since", "x"}, None, func(q Request) bool { return !q.Conditional && takenOff(q, "If_modified_since") }},
			{"If_Range", []string{"If_range", "x"}, None, func(q Request) bool { return takenOff(q, "If_range") }},
			{"range by hand", []string{"range", "bytes=0-1"}, None, func(q Request) bool { return !q.Range && takenOff(q, "range") }},
			{"Range in both spellings", []string{"range", "bytes=0-1", "Range", "bytes=0-1"}, None, func(q Request) bool { return q.Range && takenOff(q, "range") && takenOff(q, "Range") }},
			{"an underscore that means nothing", []string{"My_field", "x"}, None, func(q Request) bool { return !q.Credentialed() && q.CC.Empty && !takenOff(q, "My_field") }},
		} {
			t.Run(row.name, func(t *testing.T) {
				for range 8 { // maps have no order
					for _, o := range []Options{honoring, {CredentialFields: DefaultCredentialFields(), HonorRequestDirectives: true}} {
						q := o.Request(raw("GET", row.fields...))
						if q.Bypass != row.bypass {
							t.Fatalf("got %q, want %q", q.Bypass, row.bypass)
						}
						if row.check != nil && !row.check(q) {
							t.Fatalf("got %+v", q)
						}
					}
				}
			})
		}
		post := usual.Request(raw("POST", "X_original_url", "/admin"))
		if _, reason := usual.StorePost(raw("POST"), &post, 200, header("Content-Location: /"), start, start); reason != Method {
			t.Errorf("a POST that rewrites its target: got %q", reason)
		}
	})
	// A request with more fields than can be told apart is not looked up, and counts as
	// credentialed. That does not depend on the order of a map.
	t.Run("crowded requests", func(t *testing.T) {
		with := func(method, form string, n int) *http.Request {
			h := browser().Header
			for i := range n {
				h[fmt.Sprintf(form, i)] = []string{"x"}
			}
			h["X-Original-Url"] = []string{"/"} // another reason
			if n == 0 {
				delete(h, "X-Original-Url")
			}
			return &http.Request{Method: method, Header: h}
		}
		for _, row := range []struct {
			form string
			fits int
		}{
			{"X-Forwarded-%d", key.MaxFields - 2}, // the browser's proxy sets one, and X-Original-Url is one
			{"X_forwarded_%d", key.MaxFields - 2},
			{"X_other_%d", key.MaxFields},
			{"X-Other-%d", 1000},
		} {
			for range 8 {
				q := usual.Request(with("GET", row.form, row.fits))
				if q.Bypass != Override || q.Credentialed() {
					t.Fatalf("%s: %d are too many: %v", row.form, row.fits, q.Bypass)
				}
				q = usual.Request(with("GET", row.form, row.fits+1))
				if want := row.fits < 1000; (q.Bypass == NoKey) != want || q.Credentialed() != want {
					t.Fatalf("%s: %d are not too many: %v", row.form, row.fits+1, q.Bypass)
				}
			}
		}
		if q := usual.Request(with("POST", "X_forwarded_%d", 100)); q.Bypass != Method || q.plain {
			t.Errorf("a POST: got %+v", q)
		}
	})
	// A megabyte of names that are looked at twice costs no more than a megabyte of other names.
	// Allocations and names are counted, since time depends on the machine.
	t.Run("many names cost little", func(t *testing.T) {
		const size = 1 << 20
		megabyte := func(form string) *http.Request {
			h := http.Header{}
			for n, i := 0, 0; n < size; i++ {
				name := fmt.Sprintf(form, i)
				h[name] = []string{"x"}
				n += len(name) + len(": x\r\n")
			}
			return &http.Request{Method: "GET", Header: h}
		}
		others := megabyte("X-Abcdefghi-%040d")
		bound := testing.AllocsPerRun(1, func() { usual.Request(others) })
		if bound != 0 {
			t.Errorf("other names: %v allocations, want none", bound)
		}
		for _, form := range []string{"X_forwarded_%040d", "X-Forwarded-%040d", "X_abcdefghi_%040d", "x-forwarded-%040d", "X-Original-%040d", "X_Token_%040d"} {
			r := megabyte(form)
			var q Request
			// The number does not grow with the request: only names up to the limit are kept.
			if n := testing.AllocsPerRun(1, func() { q = usual.Request(r) }); n > 3*key.MaxFields {
				t.Errorf("%s: %v allocations for %d names, want at most %d", form, n, len(r.Header), 3*key.MaxFields)
			}
			if q.Bypass != NoKey {
				t.Errorf("%s: got %q, want it to bypass", form, q.Bypass)
			}
		}
		// One field with a megabyte is neither copied nor hashed.
		r := &http.Request{Method: "GET", Header: http.Header{"X-Forwarded-Host": {strings.Repeat("a", size)}}}
		if n := testing.AllocsPerRun(1, func() { usual.Request(r) }); n != 0 || usual.Request(r).Bypass != NoKey {
			t.Errorf("a long value: %v allocations", n)
		}
		lines := slices.Repeat([]string{"a"}, key.MaxFieldsSize+1)
		if q := usual.Request(&http.Request{Method: "GET", Header: http.Header{"X-Forwarded-Host": lines}}); q.Bypass != NoKey {
			t.Errorf("many lines: got %q", q.Bypass)
		}
	})
}

func scopeOf(q Request, name, value string) []byte {
	return key.Scope(nil, &http.Request{Header: http.Header{name: {value}}, TLS: new(tls.ConnectionState)}, &q.Scope)
}

func takenOff(q Request, name string) bool {
	h := http.Header{name: {"x"}}
	q.Plain(h)
	return len(h) == 0
}

// FuzzUnderscores: a field identifies, separates and bypasses in the same way in every spelling.
func FuzzUnderscores(f *testing.F) {
	for _, seed := range []string{"X-Forwarded-Host", "X-Api-Key", "X-Original-Url", "If-Match", "User-Agent", "Cookie", "Content-Length", "Sec-Ch-Ua", "A--b", "Oidc-Claim-Sub"} {
		f.Add(seed, "1", byte('_'))
	}
	f.Fuzz(func(t *testing.T, name, value string, dash byte) {
		name = key.Canonical(name)
		spelled := strings.ReplaceAll(name, "-", string([]byte{dash | 0x80})) // no letter, no digit
		if name == "Content-Length" || name == "Transfer-Encoding" {
			return // the dashed ones are net/http's to read
		}
		get := func(name string) Request {
			return usual.Request(&http.Request{Method: "GET", Header: http.Header{name: {value}}})
		}
		for _, other := range []string{strings.ReplaceAll(name, "-", "_"), strings.ToLower(name), spelled} {
			a, b := get(name), get(other)
			if a.Credentialed() != b.Credentialed() || a.Bypass != b.Bypass || a.CC.NoStore != b.CC.NoStore {
				t.Fatalf("%s: %+v, %s: %+v", name, a, other, b)
			}
			if scoped := len(scopeOf(a, name, value)) > 0; name != "Forwarded" && scoped != (len(scopeOf(b, other, value)) > 0) {
				t.Fatalf("%s is in the scope: %v, and %s is not", name, scoped, other)
			}
		}
	})
}
