package rules

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestStore(t *testing.T) {
	t.Run("status (RFC 9111, 3)", func(t *testing.T) {
		const fresh = "Cache-Control: max-age=100000\nDate: {0}"
		rows := []exchange{
			{name: "a part is not stored", status: 206, response: fresh + "\nContent-Range: bytes 4-9/10", stored: PartialContent},
			{name: "304 is not stored", status: 304, response: fresh, stored: NotModified},
			{name: "100 is not final", status: 100, response: fresh, stored: Interim},
			{name: "103 is not final", status: 103, response: fresh, stored: Interim},
			{name: "101 is not final", status: 101, response: fresh, stored: Interim},
			{name: "nothing at all is not final", status: -1, response: fresh, stored: Interim},
			{name: "600 is no status code", status: 600, response: fresh, stored: Status},
			{name: "999 is no status code", status: 999, response: fresh, stored: Status},
		}
		for _, status := range []int{200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599} {
			rows = append(rows,
				exchange{name: "explicitly fresh: " + name(status), status: status, response: fresh, after: pause, action: Serve, reason: Fresh},
				exchange{name: "explicitly stale: " + name(status), status: status, response: "Expires: {-5000}\nLast-Modified: {-100000}\nDate: {0}", after: pause, action: Validate, reason: Stale})
		}
		runAll(t, &literal, rows)
	})
	t.Run("directives (RFC 9111, 5.2.2)", func(t *testing.T) {
		const fresh = "max-age=10000\nExpires: {10000}\nDate: {0}"
		runAll(t, &literal, []exchange{
			{name: "no-store", response: "Cache-Control: no-store", stored: NoStore},
			{name: "no-store in any case", response: "Cache-Control: No-StOrE", stored: NoStore},
			{name: "no-store beside a lifetime", response: "Cache-Control: no-store, " + fresh, stored: NoStore},
			{name: "no-store on a second line", response: "Cache-Control: max-age=60\nCache-Control: no-store", stored: NoStore},
			{name: "no-store with an argument", response: "Cache-Control: no-store=x, max-age=60", stored: NoStore},
			{name: "no-store beside a malformed directive", response: "Cache-Control: no-store, max-age=foo", stored: NoStore},
			{name: "no-store beside public", response: "Cache-Control: public, no-store, max-age=60", stored: NoStore},
			{name: "private", response: "Cache-Control: private, max-age=3600", stored: Private},
			{name: "private beside public", response: "Cache-Control: public, private, s-maxage=3600", stored: Private},
			{name: "private in any case", response: "Cache-Control: pRiVate, max-age=3600", stored: Private},
			{name: "private with a malformed argument", response: "Cache-Control: private=a, max-age=3600", stored: Private},
			{name: "private for fields only", response: "Cache-Control: private=\"X-User\", max-age=3600\nX-User: ann", action: Serve, reason: Fresh},
			{name: "private for a field that the cache needs", response: "Cache-Control: private=\"vary\", max-age=3600\nVary: Accept", stored: Private},
			{name: "private for a targeted field", response: "Cache-Control: private=\"cdn-cache-control\", max-age=3600", stored: Private},
			{name: "private twice, once for all", response: "Cache-Control: private=\"X-User\", private, max-age=3600", stored: Private},
			{name: "no-cache without a validator", response: "Cache-Control: no-cache, " + fresh, stored: NoCache},
			{name: "no-cache in any case", response: "Cache-Control: No-CaChE, " + fresh, stored: NoCache},
			{name: "no-cache with an ETag is validated", response: "Cache-Control: no-cache\nETag: \"a\"", action: Validate, reason: NoCache},
			{name: "no-cache with Last-Modified is validated", response: "Cache-Control: no-cache\nLast-Modified: {-9}", action: Validate, reason: NoCache},
			{name: "no-cache is validated even when fresh", response: "ETag: \"a\"\nCache-Control: no-cache, " + fresh, action: Validate, reason: NoCache},
			{name: "no-cache is not softened by stale-while-revalidate", response: "ETag: \"a\"\nCache-Control: no-cache, stale-while-revalidate=60", action: Validate, reason: NoCache},
			{name: "Pragma counts without Cache-Control", response: "Pragma: no-cache\nExpires: {10000}\nDate: {0}", stored: NoCache},
			{name: "Pragma counts where nothing else is said", response: "Pragma: x, No-Cache", stored: NoCache},
			{name: "Pragma counts beside an empty Cache-Control", response: "Pragma: no-cache\nCache-Control: ,\nExpires: {10000}", stored: NoCache},
			{name: "Pragma with an ETag is validated", response: "Pragma: no-cache\nETag: \"a\"\nExpires: {10000}", action: Validate, reason: NoCache},
			{name: "Pragma does not count beside Cache-Control", response: "Pragma: no-cache\nCache-Control: max-age=3600", action: Serve, reason: Fresh},
			{name: "Pragma does not count beside a targeted field", response: "Pragma: no-cache\nCDN-Cache-Control: max-age=3600", action: Serve, reason: Fresh},
			{name: "another Pragma says nothing", response: "Pragma: public\nExpires: {10000}\nDate: {0}", action: Serve, reason: Fresh},
			{name: "no-cache for fields only", response: "Cache-Control: no-cache=\"a\"\nA: 1\nCache-Control: max-age=3600", after: pause, action: Serve, reason: Fresh},
			{name: "no-cache for a field that the cache needs", response: "Cache-Control: no-cache=\"etag\", max-age=3600\nETag: \"a\"", action: Validate, reason: NoCache},
			{name: "must-revalidate is validated once stale", response: "Cache-Control: max-age=2, must-revalidate\nETag: \"a\"", after: pause, action: Validate, reason: Stale},
			{name: "must-revalidate is served while fresh", response: "Cache-Control: max-age=2, must-revalidate", after: time.Second, action: Serve, reason: Fresh},
			{name: "must-understand takes no-store back for a code that is understood", response: "Cache-Control: max-age=3600, no-store, must-understand", action: Serve, reason: Fresh},
			{name: "must-understand with a code that is not", status: 599, response: "Cache-Control: max-age=3600, no-store, must-understand", stored: MustUnderstand},
			{name: "must-understand alone with a code that is not", status: 599, response: "Cache-Control: max-age=3600, must-understand", stored: MustUnderstand},
			{name: "must-understand does not take private back", response: "Cache-Control: max-age=3600, private, must-understand", stored: Private},
			{name: "an unknown directive changes nothing", response: "Cache-Control: max-age=3600, community=\"UCI\"", action: Serve, reason: Fresh},
			{name: "names of fields may be spelled anyhow", response: "cache-control: no-store", stored: NoStore},
		})
		t.Run("names that a handler wrote past Set count", func(t *testing.T) {
			h := http.Header{"cache-control": {"no-store"}, "Cache-Control": {"max-age=60"}}
			if _, got := usual.Store(usual.get(""), 200, h, start, start); got != NoStore {
				t.Errorf("got %q", got)
			}
		})
	})
	t.Run("qualified fields are stripped (RFC 9111, 3.1)", func(t *testing.T) {
		for name, row := range map[string]struct {
			response string
			want     []string
		}{
			"those that private names":                  {"Cache-Control: private=\"x-user, x-plan\"\nX-User: ann\nX-Plan: gold\nX-Other: 1", []string{"X-User", "X-Plan"}},
			"those that no-cache names":                 {"Cache-Control: no-cache=\"X-User\"\nX-User: ann", []string{"X-User"}},
			"one that both name, once":                  {"Cache-Control: no-cache=\"X-User\", private=\"X-User\"\nX-User: ann", []string{"X-User"}},
			"a field that is absent":                    {"Cache-Control: private=\"X-User\"", nil},
			"several lines of one":                      {"Cache-Control: private=\"A\"\nA: 1\nA: 2", []string{"A"}},
			"those of a targeted field":                 {"CDN-Cache-Control: max-age=60, private=\"A\"\nA: 1", []string{"A"}},
			"none of Cache-Control beside one":          {"CDN-Cache-Control: max-age=60\nCache-Control: private=\"A\"\nA: 1", nil},
			"no Set-Cookie, which is refused by itself": {"Cache-Control: max-age=9", nil},
		} {
			t.Run(name, func(t *testing.T) {
				m, reason := usual.Store(usual.get(""), 200, header(row.response), start, start)
				if reason != None {
					t.Fatalf("not stored: %v", reason)
				}
				if !slices.Equal(m.Strip, row.want) {
					t.Errorf("got %v, want %v", m.Strip, row.want)
				}
			})
		}
	})
	t.Run("Set-Cookie (RFC 9111, 7.3)", func(t *testing.T) {
		const response = "Cache-Control: public, max-age=100000\nSet-Cookie: a=b\nSet-Cookie2: c=d"
		strip := Options{StripSetCookie: true, InsecureStoreSetCookie: true}
		rows := []struct {
			name     string
			options  *Options
			response string
			reason   Reason
			strip    []string
		}{
			{"refused, public or not", &usual, response, SetCookie, nil},
			{"refused when its lifetime would be inferred", &usual, "Set-Cookie: a=b", SetCookie, nil},
			{"refused even if a directive would strip it", &usual, "Cache-Control: max-age=60, no-cache=\"set-cookie\"\nSet-Cookie: a=b", SetCookie, nil},
			{"refused in its old form", &usual, "Cache-Control: public, max-age=60\nSet-Cookie2: a=b", SetCookie, nil},
			{"refused in any spelling", &usual, "set-COOKIE: a=b", SetCookie, nil},
			{"stored as it is by the letter of the RFC", &literal, response, None, nil},
			{"stripped on request", &strip, response, None, []string{"Set-Cookie", "Set-Cookie2"}},
			{"stripped once", &strip, "Cache-Control: max-age=9, private=\"set-cookie\"\nSet-Cookie: a=b", None, []string{"Set-Cookie"}},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				m, reason := row.options.Store(usual.get(""), 200, header(row.response), start, start)
				if reason != row.reason || !slices.Equal(m.Strip, row.strip) {
					t.Errorf("got %q, strip %v, want %q, strip %v", reason, m.Strip, row.reason, row.strip)
				}
			})
		}
	})
	// Each row says by its header which requests may share the response.
	t.Run("credentials (RFC 9111, 3.5)", func(t *testing.T) {
		certificate := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
		requests := map[Reason]*http.Request{
			Authorization:     get("Authorization: Basic Zm9v"),
			ClientCertificate: {Method: "GET", Header: http.Header{}, TLS: certificate},
			Cookie:            get("Cookie: session=1"),
			Credential:        get("X-Api-Key: 1"),
		}
		none := []Reason{}
		all := []Reason{Authorization, ClientCertificate, Cookie, Credential}
		rows := []struct {
			name     string
			response string
			may      []Reason
		}{
			{"nothing", "", none},
			{"max-age", "Cache-Control: max-age=3600", none},
			{"Expires", "Expires: {3600}\nDate: {0}", none},
			{"Last-Modified", "Last-Modified: {-86400}", none},
			{"public", "Cache-Control: public, max-age=3600", all},
			{"public without a lifetime", "Cache-Control: public", all},
			{"s-maxage", "Cache-Control: s-maxage=3600", all},
			{"invalid s-maxage", "Cache-Control: s-maxage=foo\nETag: \"a\"", none},
			{"must-revalidate", "Cache-Control: max-age=3600, must-revalidate", none},
			{"must-revalidate alone", "Cache-Control: must-revalidate", none},
			{"must-revalidate and proxy-revalidate", "Cache-Control: max-age=3600, must-revalidate, proxy-revalidate", none},
			{"must-revalidate beside public", "Cache-Control: public, must-revalidate, max-age=3600", all},
			{"must-revalidate beside s-maxage", "Cache-Control: s-maxage=3600, must-revalidate", all},
			{"malformed must-revalidate", "Cache-Control: max-age=3600, must-revalidate=1", none},
			{"malformed public", "Cache-Control: max-age=3600, public=x;y", none},
			{"proxy-revalidate", "Cache-Control: max-age=3600, proxy-revalidate", none},
			{"immutable", "Cache-Control: max-age=3600, immutable", none},
			{"Vary: Cookie, Authorization", "Cache-Control: max-age=3600\nVary: Cookie, Authorization", none},
			{"public in a targeted field", "CDN-Cache-Control: public, max-age=3600", all},
			{"s-maxage in a targeted field", "CDN-Cache-Control: s-maxage=3600", all},
			{"must-revalidate in a targeted field", "CDN-Cache-Control: max-age=3600, must-revalidate", none},
			{"max-age in a targeted field says how long, not for whom", "CDN-Cache-Control: max-age=3600", none},
			{"public beside a targeted field that does not say it", "CDN-Cache-Control: max-age=3600\nCache-Control: public", none},
			{"public beside an invalid targeted field", "CDN-Cache-Control: max-age=\"1\"\nCache-Control: public, max-age=3600", all},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				h := header(row.response)
				anonymous, reason := usual.Store(usual.get(""), 200, h, start, start)
				if reason != None {
					t.Fatalf("without credentials: %v", reason)
				}
				for credential, r := range requests {
					req := usual.Request(r)
					if req.Bypass != None {
						t.Fatalf("%v: bypass %v", credential, req.Bypass)
					}
					want := credential
					if slices.Contains(row.may, credential) {
						want = None
					}
					if _, got := usual.Store(&req, 200, h, start, start); got != want {
						t.Errorf("%v fetches: got %q, want %q", credential, got, want)
					}
					action, got := anonymous.Reuse(&usual, &req, start)
					if want == None {
						if action == Forward {
							t.Errorf("%v uses: got %v (%v)", credential, action, got)
						}
						continue
					}
					if action != Forward || got != want {
						t.Errorf("%v uses: got %v (%v), want forward (%v)", credential, action, got, want)
					}
					if anonymous.StaleOnError(&Options{MaxStaleUnreachable: time.Hour}, &req, true, start.Add(2*time.Hour)) {
						t.Errorf("%v is given the stale page on an error", credential)
					}
				}
			})
		}
		t.Run("a request with two credentials needs leave for both", func(t *testing.T) {
			for text, want := range map[string]Reason{
				"Authorization: x\nCookie: a=b":   Authorization,
				"Cookie: a=b\nX-Api-Key: 1":       Cookie,
				"Authorization: x\nX-Api-Key: 1":  Authorization,
				"X-Api-Key: 1\nX-Auth-Token: abc": Credential,
			} {
				if _, got := usual.Store(usual.get(text), 200, header("Cache-Control: max-age=3600"), start, start); got != want {
					t.Errorf("%q: got %q, want %q", text, got, want)
				}
			}
		})
		t.Run("InsecureShareCookies restores RFC 9111, 3.5", func(t *testing.T) {
			o := usual
			o.InsecureShareCookies = true
			for response, may := range map[string][]Reason{
				"Cache-Control: max-age=3600, must-revalidate":     {Authorization, ClientCertificate, Cookie},
				"CDN-Cache-Control: max-age=3600, must-revalidate": {Authorization, ClientCertificate, Cookie},
				"Cache-Control: max-age=3600":                      {Cookie},
				"Cache-Control: max-age=3600, proxy-revalidate":    {Cookie},
				"Cache-Control: max-age=3600, public":              all,
			} {
				for credential, r := range requests {
					want := credential
					if slices.Contains(may, credential) {
						want = None
					}
					req := o.Request(r)
					if _, got := o.Store(&req, 200, header(response), start, start); got != want {
						t.Errorf("%s, %v: got %q, want %q", response, credential, got, want)
					}
				}
			}
		})
		runAll(t, &literal, []exchange{
			{name: "cookies are nothing by the letter", response: "Cache-Control: max-age=9", again: "Cookie: a=b", action: Serve, reason: Fresh},
			{name: "and may fetch", request: "Cookie: a=b", response: "Cache-Control: max-age=9", action: Serve, reason: Fresh},
			{name: "Authorization may not", request: "Authorization: x", response: "Cache-Control: max-age=9", stored: Authorization},
		})
	})
	t.Run("targeted fields (RFC 9213, 2.2)", func(t *testing.T) {
		runAll(t, &literal, []exchange{
			{name: "max-age", response: "CDN-Cache-Control: max-age=3600", after: pause, action: Serve, reason: Fresh},
			{name: "max-age of 2^31", response: "CDN-Cache-Control: max-age=2147483648", after: pause, action: Serve, reason: Fresh},
			{name: "max-age beyond", response: "CDN-Cache-Control: max-age=99999999999", after: pause, action: Serve, reason: Fresh},
			{name: "a blank before = is no dictionary", response: "Cache-Control: max-age=1\nCDN-Cache-Control: max-age =100", after: pause, action: Validate, reason: Stale},
			{name: "a blank after = is none either", response: "Cache-Control: max-age=1\nCDN-Cache-Control: max-age= 100", after: pause, action: Validate, reason: Stale},
			{name: "max-age=0", response: "CDN-Cache-Control: max-age=0", stored: Expired},
			{name: "an extension beside it", response: "CDN-Cache-Control: foobar, max-age=3600", after: pause, action: Serve, reason: Fresh},
			{name: "it rules Expires out", response: "CDN-Cache-Control: max-age=3600\nExpires: 0\nDate: {0}", after: pause, action: Serve, reason: Fresh},
			{name: "max-age=0 with a future Expires", response: "CDN-Cache-Control: max-age=0\nExpires: {10000}\nDate: {0}", stored: Expired},
			{name: "without a lifetime it still rules Expires out", response: "CDN-Cache-Control: public\nExpires: {10000}\nDate: {0}", stored: NoFreshness},
			{name: "a short one beats a long Cache-Control", response: "Cache-Control: max-age=3600\nCDN-Cache-Control: max-age=1", after: pause, action: Validate, reason: Stale},
			{name: "no-cache beats a fresh Cache-Control", response: "CDN-Cache-Control: no-cache\nCache-Control: max-age=10000\nExpires: {10000}", stored: NoCache},
			{name: "no-store beats a fresh Cache-Control", response: "CDN-Cache-Control: no-store\nCache-Control: max-age=10000\nExpires: {10000}", stored: NoStore},
			{name: "private beats a public Cache-Control", response: "CDN-Cache-Control: private\nCache-Control: public, max-age=10000", stored: Private},
			{name: "a fresh one beats no-store in Cache-Control", response: "Cache-Control: no-store\nCDN-Cache-Control: max-age=10000", after: pause, action: Serve, reason: Fresh},
			{name: "one with a wrong type does not", response: "Cache-Control: no-store\nCDN-Cache-Control: max-age=\"10000\"", stored: NoStore},
			{name: "an empty one does not", response: "Cache-Control: no-store\nCDN-Cache-Control: ", stored: NoStore},
			{name: "one that is not on the list changes nothing", response: "Cache-Control: no-store\nSurrogate-Control: max-age=60\nFoo-Cache-Control: max-age=60", stored: NoStore},
		})
		t.Run("the first valid one of the list counts", func(t *testing.T) {
			o := Options{TargetedFields: []string{"Edge-Cache-Control", "Cdn-Cache-Control"}}
			for response, want := range map[string]time.Duration{
				"Edge-Cache-Control: max-age=1\nCDN-Cache-Control: max-age=2":          time.Second,
				"Edge-Cache-Control: max-age=1.5\nCDN-Cache-Control: max-age=2":        2 * time.Second,
				"Edge-Cache-Control: ?\nCDN-Cache-Control: !\nExpires: {3}\nDate: {0}": 3 * time.Second,
			} {
				if m, reason := o.Store(o.get(""), 200, header(response), start, start); m.Lifetime() != want || reason != None {
					t.Errorf("%q: got %v (%v), want %v", response, m.Lifetime(), reason, want)
				}
			}
		})
	})
	t.Run("Vary (RFC 9111, 4.1)", func(t *testing.T) {
		rows := []struct {
			name     string
			response string
			want     []string
			reason   Reason
		}{
			{"none", "", nil, None},
			{"names, sorted, once", "Vary: Foo, accept\nVary: foo, Bar", []string{"Accept", "Bar", "Foo"}, None},
			{"a star", "Vary: *", nil, VaryStar},
			{"a star among names", "Vary: Accept, *", nil, VaryStar},
			{"a star on another line", "Vary: Accept\nVary: *", nil, VaryStar},
			{"something that is no name", "Vary: Accept Encoding", nil, VaryInvalid},
			{"too many names", "Vary: " + strings.Join(slices.Collect(func(yield func(string) bool) {
				for i := range 100 {
					if !yield("a" + strings.Repeat("b", i)) {
						return
					}
				}
			}), ","), nil, VaryInvalid},
			{"a content coding implies Accept-Encoding", "Content-Encoding: gzip", []string{"Accept-Encoding"}, None},
			{"also beside others", "Content-Encoding: gzip\nVary: Origin", []string{"Accept-Encoding", "Origin"}, None},
			{"but once", "Content-Encoding: gzip\nVary: accept-encoding", []string{"Accept-Encoding"}, None},
			{"an allowed origin implies Origin", "Access-Control-Allow-Origin: https://a.example", []string{"Origin"}, None},
			{"but once again", "Access-Control-Allow-Origin: https://a.example\nVary: Origin", []string{"Origin"}, None},
			{"any origin does not", "Access-Control-Allow-Origin: *", nil, None},
			{"any origin among others does", "Access-Control-Allow-Origin: *\nAccess-Control-Allow-Origin: https://a.example", []string{"Origin"}, None},
			{"any origin does not, whatever else it may", "Access-Control-Allow-Origin: *\nAccess-Control-Expose-Headers: X-A", nil, None},
			{"whatever is said about CORS implies Origin", "Access-Control-Expose-Headers: X-A", []string{"Origin"}, None},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				m, reason := usual.Store(usual.get(""), 200, header(row.response), start, start)
				if reason != row.reason || !slices.Equal(m.Vary, row.want) {
					t.Errorf("got %v (%q), want %v (%q)", m.Vary, reason, row.want, row.reason)
				}
			})
		}
	})
	t.Run("streams are not stored", func(t *testing.T) {
		for response, want := range map[string]Reason{
			"Content-Type: text/event-stream":                                    Stream,
			"Content-Type: Text/Event-Stream; charset=utf-8":                     Stream,
			"Content-Type: multipart/x-mixed-replace;boundary=x":                 Stream,
			"Content-Type: text/event-stream\nCache-Control: public, max-age=60": Stream,
			"Content-Type: text/event-stream\nCache-Control: no-store":           NoStore,
			"Content-Type: text/event-stream\nContent-Length: 9":                 Stream,
			"Content-Type: multipart/x-mixed-replace\nContent-Length: 9":         Stream,
			"Content-Type: application/x-ndjson":                                 Stream,
			"Content-Type: application/X-NDJSON; charset=utf-8":                  Stream,
			"Content-Type: application/ndjson":                                   Stream,
			"Content-Type: text/x-ndjson":                                        Stream,
			"Content-Type: application/vnd.acme+ndjson":                          Stream,
			"Content-Type: application/jsonl":                                    Stream,
			"Content-Type: application/x-jsonlines":                              Stream,
			"Content-Type: application/json-lines":                               Stream,
			"Content-Type: application/stream+json":                              Stream,
			"Content-Type: application/json-seq":                                 Stream,
			"Content-Type: application/geo+json-seq":                             Stream,
			"Content-Type: audio/mpeg":                                           Stream,
			"Content-Type: AUDIO/aac":                                            Stream,
			"Content-Type: audio/mpeg\nCache-Control: public, max-age=60":        Stream,
			"Content-Type: video/mp4":                                            Stream,
			"Content-Type: application/ogg":                                      Stream,
			"Content-Type: video/mp4\nContent-Length: 9":                         None,
			"Content-Type: video/mp4\nContent-Length: 0":                         None,
			"Content-Type: video/mp4\nContent-Length: many":                      Stream,
			"Content-Type: video/mp4\nContent-Length: -1":                        Stream,
			"Content-Type: video/mp4\nContent-Length: 9\nContent-Length: 9":      Stream,
			"Content-Type: application/x-ndjson\nContent-Length: 9":              None,
			"Content-Type: application/json":                                     None,
			"Content-Type: application/ld+json":                                  None,
			"Content-Type: text/plain":                                           None,
			"Content-Type: image/gif":                                            None,
			"Content-Type: text/html":                                            None,
			"Content-Type: ":                                                     None,
		} {
			if _, got := usual.Store(usual.get(""), 200, header(response), start, start); got != want {
				t.Errorf("%q: got %q, want %q", response, got, want)
			}
		}
	})
	t.Run("no-store of the request (RFC 9111, 5.2.1.5)", func(t *testing.T) {
		runAll(t, &honoring, []exchange{
			{name: "the response is not kept", request: "Cache-Control: no-store", stored: RequestNoStore},
			{name: "public or not", request: "Cache-Control: no-store", response: "Cache-Control: public, max-age=60", stored: RequestNoStore},
			{name: "but what is stored may be used", again: "Cache-Control: no-store", action: Serve, reason: Fresh},
		})
		runAll(t, &usual, []exchange{{name: "unless directives are not honored", request: "Cache-Control: no-store", action: Serve, reason: Fresh}})
	})
	t.Run("POST (RFC 9110, 9.3.3)", func(t *testing.T) {
		const fresh = "Cache-Control: max-age=3600\nDate: {0}\n"
		post := func(text string) *http.Request {
			return &http.Request{
				Method: "POST", Host: "example.com", RequestURI: "/page?a=b", ContentLength: 5,
				URL: &url.URL{Path: "/page", RawQuery: "a=b"}, Header: header(text),
			}
		}
		rows := []struct {
			name     string
			request  *http.Request
			response string
			want     Reason
		}{
			{"the whole URL", post(""), fresh + "Content-Location: http://example.com/page?a=b", None},
			{"a relative reference", post(""), fresh + "Content-Location: /page?a=b", None},
			{"no Content-Location", post(""), fresh, ContentLocation},
			{"two of them", post(""), fresh + "Content-Location: /page?a=b\nContent-Location: /page?a=b", ContentLocation},
			{"another query", post(""), fresh + "Content-Location: /page?a=c", ContentLocation},
			{"another host", post(""), fresh + "Content-Location: http://example.org/page?a=b", ContentLocation},
			{"no explicit lifetime", post(""), "Content-Location: /page?a=b", NoFreshness},
			{"a heuristic lifetime is not explicit", post(""), "Last-Modified: {-86400}\nContent-Location: /page?a=b", NoFreshness},
			{"no-store", post(""), "Cache-Control: no-store\nContent-Location: /page?a=b", NoStore},
			{"a cookie", post("Cookie: a=b"), fresh + "Content-Location: /page?a=b", Cookie},
			{"Authorization", post("Authorization: a"), fresh + "Content-Location: /page?a=b", Authorization},
			{"a method override", post("X-HTTP-Method-Override: DELETE"), fresh + "Content-Location: /page?a=b", Method},
			{"a precondition", post("If-Match: *"), fresh + "Content-Location: /page?a=b", Method},
			{"another method", &http.Request{Method: "PUT", Host: "example.com", RequestURI: "/", URL: &url.URL{Path: "/"}}, fresh + "Content-Location: /", Method},
			{"a target that is none", &http.Request{Method: "POST", Host: "example.com", RequestURI: "*", URL: &url.URL{Path: "*"}}, fresh + "Content-Location: /", ContentLocation},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				req := usual.Request(row.request)
				m, got := usual.StorePost(row.request, &req, 200, header(row.response), start, start)
				if got != row.want {
					t.Fatalf("got %q, want %q", got, row.want)
				}
				if got != None {
					return
				}
				if action, reason := m.Reuse(&usual, usual.get(""), start.Add(pause)); action != Serve {
					t.Errorf("reused: got %v (%v)", action, reason)
				}
			})
		}
	})
}

// Whatever the header, some responses are never stored, and a refused one cannot be served.
func FuzzStore(f *testing.F) {
	for _, seed := range []string{
		"", "Cache-Control: no-store", "Cache-Control: private", "Set-Cookie: a=b", "cache-control: max-age=60\nCache-Control: no-store",
		"Cache-Control: max-age=60, private=\"a\"\nA: 1", "CDN-Cache-Control: max-age=60", "Expires: {60}\nDate: {0}", "Last-Modified: {-9999}",
		"Vary: a, *", "Cache-Control: no-store, max-age=foo", "Cache-Control: private=a,no-store", "Age: 2147483649\nCache-Control: max-age=3",
		"Cache-Control: must-understand, no-store", "Content-Encoding: gzip", "Cache-Control: s-maxage=60, stale-while-revalidate=60",
		"Cache-Control: \"", "Cache-Control: x=\"no-store", "Set-cookie2: 1", "Content-Type: text/event-stream",
	} {
		for _, credentials := range []string{"", "Cookie: a=b", "Authorization: x\nCache-Control: no-cache", "X-Api-Key: x"} {
			f.Add(200, seed, credentials, int64(time.Minute))
		}
	}
	o := usual
	o.TargetedFields = nil
	f.Fuzz(func(t *testing.T, status int, response, request string, wait int64) {
		h, req := header(response), o.get(request)
		before := h.Clone()
		m, reason := o.Store(req, status, h, start, start)
		for name, lines := range before {
			if !slices.Equal(h[name], lines) {
				t.Fatalf("%s was changed", name)
			}
		}
		now := start.Add(time.Duration(wait))
		action, _ := m.Reuse(&o, req, now)
		if reason != None {
			if action == Serve || action == ServeAndRefresh || m.StaleOnError(&o, req, true, now) {
				t.Fatalf("refused (%v), yet served", reason)
			}
			return
		}
		text := bytes.ToLower([]byte(strings.Join(h["Cache-Control"], ",")))
		switch {
		case len(h["Set-Cookie"]) > 0 || len(h["Set-Cookie2"]) > 0:
			t.Fatal("Set-Cookie was stored")
		case plainly(string(text), "no-store") && !plainly(string(text), "must-understand"):
			t.Fatal("no-store was stored")
		case plainly(string(text), "private"):
			t.Fatal("private was stored")
		case status < 200 || status == 206 || status == 304 || status > 599:
			t.Fatalf("status %d was stored", status)
		case (req.Authorization || req.Cookie || req.Credential) && !strings.Contains(string(text), "public") &&
			!strings.Contains(string(text), "s-maxage"):
			t.Fatal("stored for a request with credentials, without leave")
		}
		if age := m.Age(now); age < m.Age(start) || age < 0 {
			t.Fatalf("age %v after %v, %v at first", age, time.Duration(wait), m.Age(start))
		}
		if action == Serve && m.TTL(now) <= 0 && !req.CC.MaxStaleAny && !req.CC.MaxStale.Valid {
			t.Fatal("served stale")
		}
	})
}

// plainly reports whether the directive is in a field without quotes, where no reading can miss it.
func plainly(field, directive string) bool {
	if strings.Contains(field, `"`) {
		return false
	}
	for member := range strings.SplitSeq(field, ",") {
		if strings.Trim(member, " \t") == directive {
			return true
		}
	}
	return false
}
