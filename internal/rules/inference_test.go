package rules

import (
	"strings"
	"testing"
)

func TestInference(t *testing.T) {
	t.Run("none beside fields that forbid it", func(t *testing.T) {
		for _, line := range []string{
			// Fields for other caches.
			"Surrogate-Control: no-store", "Surrogate-Control: max-age=60", "surrogate-control: no-store", "X-Accel-Expires: 0", "X-Accel-Expires: off", "X-Accel-Expires: 60",
			"Edge-Control: no-store", "X-LiteSpeed-Cache-Control: no-cache", "Cloudflare-CDN-Cache-Control: no-store", "Vercel-CDN-Cache-Control: max-age=0",
			"Akamai-Cache-Control: no-store", "Fastly-Surrogate-Control: no-store", "CDN-Cache-Control: ;", "CDN-Cache-Control: max-age=x",
			// Fields for one browser.
			`Clear-Site-Data: "cookies"`,
			// A user's token.
			"Authorization: Bearer 1", "X-Auth-Token: 1", "X-CSRF-Token: 1", "X-Csrftoken: 1", "X-XSRF-TOKEN: 1", "X_Csrf_Token: 1", "Access-Token: 1", "X-Accesstoken: 1", "Refresh-Token: 1",
			"X-Jwt-Assertion: 1", "X-Session-Id: 1", "Sessionid: 1", "X-Phpsessid: 1", "X-Sid: 1", "X-Api-Key: 1", "X-Apikey: 1", "X-Secret: 1", "Client-Secret: 1", "Authentication-Info: nextnonce=1",
			"WWW-Authenticate: Negotiate 1", "X-Authenticated-User: anna", "Replay-Nonce: 1", "DPoP-Nonce: 1", "X-Otp: 1", "X-Username: anna", "X-User-Id: 1", "X-User: anna", "X-Login: anna",
			"X-OAuth-Scopes: repo", "X-Amz-Security-Token: 1", "X-SAML-Response: 1", "X-Temporary-Password: 1",
			"X-LSC-Cookie: a=1", "X-Set-Cookie: a=1",
		} {
			for _, more := range []string{"", "Last-Modified: {-1000000}", `ETag: "1"`, "Cache-Control: public", "Cache-Control: no-cache\nETag: \"1\""} {
				m, reason := usual.Store(usual.get(""), 200, header(line+"\n"+more), start, start)
				if reason != NoFreshness {
					t.Errorf("%s, %s: got %v, %v, want %v", line, more, reason, m.Lifetime(), NoFreshness)
				}
			}
			for _, explicit := range []string{"Cache-Control: max-age=60", "Cache-Control: s-maxage=60", "Expires: {60}"} {
				if _, reason := usual.Store(usual.get(""), 200, header(line+"\n"+explicit), start, start); reason != None {
					t.Errorf("%s, %s: got %v, want it stored", line, explicit, reason)
				}
			}
		}
	})
	// The field that this cache obeys is not for another cache.
	t.Run("beside the targeted field that is obeyed", func(t *testing.T) {
		if m, reason := usual.Store(usual.get(""), 200, header("CDN-Cache-Control: public"), start, start); reason != None || m.Lifetime() != usual.DefaultTTL {
			t.Errorf("got %v, %v", reason, m.Lifetime())
		}
		deaf := usual
		deaf.TargetedFields = nil
		if _, reason := deaf.Store(deaf.get(""), 200, header("CDN-Cache-Control: public"), start, start); reason != NoFreshness {
			t.Errorf("got %v", reason)
		}
	})
	t.Run("beside usual fields", func(t *testing.T) {
		names := strings.Fields(everyPage)
		if len(names) < 100 {
			t.Fatalf("only %d names", len(names))
		}
		for _, name := range names {
			if carriesToken(name) || carriesToken(strings.ReplaceAll(name, "-", "_")) {
				t.Errorf("%s is taken for a user's token", name)
			}
		}
		for _, line := range []string{"X-CSRF-Token: ", "X-Frame-Options: DENY", "Server: x", "X-Cache-Key: x"} {
			if _, reason := usual.Store(usual.get(""), 200, header(line), start, start); reason != None {
				t.Errorf("%s: got %v", line, reason)
			}
		}
	})
}

// everyPage are fields that servers, frameworks, CDNs and proxies put on every response.
const everyPage = `Accept-CH Accept-Patch Accept-Ranges Access-Control-Allow-Credentials Access-Control-Allow-Headers Access-Control-Allow-Methods
Access-Control-Expose-Headers Access-Control-Max-Age Age Allow Alt-Svc Cache-Groups Cache-Status Cache-Tag CF-Cache-Status CF-Ray Connection Content-Digest
Content-Disposition Content-Language Content-Length Content-Location Content-Security-Policy Content-Security-Policy-Report-Only Content-Type
Critical-CH Cross-Origin-Embedder-Policy Cross-Origin-Opener-Policy Cross-Origin-Resource-Policy Date Deprecation Document-Policy ETag Expect-CT Fly-Request-Id
Keep-Alive Key Last-Modified Link Location NEL Origin-Agent-Cluster P3P Permissions-Policy Public-Key-Pins Proxy-Status RateLimit RateLimit-Policy Referrer-Policy Refresh
Repr-Digest Report-To Reporting-Endpoints Retry-After Sec-GPC Server Server-Timing Signature Signature-Input SourceMap Speculation-Rules Strict-Transport-Security Sunset
Surrogate-Key Timing-Allow-Origin Tk Trace-Id Traceparent Tracestate Vary Via Warning X-Amz-Cf-Id X-Amz-Cf-Pop X-Amz-Id-2 X-Amz-Request-Id X-Amz-Version-Id X-AspNet-Version
X-Author X-B3-TraceId X-Backend X-Cache X-Cache-Hits X-Cache-Key X-Content-Type-Options X-Correlation-Id X-DNS-Prefetch-Control X-Download-Options
X-Drupal-Cache X-Drupal-Dynamic-Cache X-Envoy-Upstream-Service-Time X-Frame-Options X-Generator X-GitHub-Request-Id X-Hits X-Hostname X-Length X-Nf-Request-Id X-Page X-Permitted-Cross-Domain-Policies
X-Pingback X-Powered-By X-RateLimit-Limit X-RateLimit-Remaining X-RateLimit-Reset X-Request-Id X-Response-Time X-Robots-Tag X-Runtime X-Served-By X-Shard X-Shopid X-Sorting-Hat-Shopid
X-Timer X-Total-Count X-UA-Compatible X-Varnish X-Vercel-Cache X-Vercel-Id X-Version X-XSS-Protection`
