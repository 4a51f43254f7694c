package rules

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/edgecache-go/edgecache/internal/key"
)

// wordsOfIdentity are the words that say so in the name of a field.
var wordsOfIdentity = strings.Fields(`token key auth jwt session user uid login email member tenant org team workspace company account customer
	identity principal subject secret credential cert cookie oidc saml sso bearer signature password passwd sessid claim`)

func TestIdentity(t *testing.T) {
	// There is a row for each word, at the beginning and at the end of a part, with dashes and
	// underscores, alone, as the first part, in the middle and as the last.
	t.Run("names that identify the sender", func(t *testing.T) {
		if got := slices.Sorted(slices.Values(wordsOfIdentity)); !slices.Equal(got, identityWords.words) {
			t.Errorf("got the words %q, want %q", identityWords.words, got)
		}
		o := Options{}.Indexed()
		for _, word := range wordsOfIdentity {
			for _, form := range []string{"%", "X-%", "%-Id", "X-%-Id", "X-%info", "X-My%", "%s-X", "X_%", "%_Id", "X_%_Id", "X_%info", "X_My%", "My%_X", "X-A_My%", "x.%.id", "Acme-%2"} {
				name := http.CanonicalHeaderKey(strings.ReplaceAll(form, "%", word))
				if name == "Cookie" {
					continue // has a rule of its own
				}
				if !identifying(key.Canonical(name)) {
					t.Errorf("%s does not identify its sender", name)
				}
				for _, spelled := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
					for _, r := range []*http.Request{
						{Method: "GET", Header: http.Header{spelled: {"alice"}}},
						{Method: "GET", Header: http.Header{spelled: {"", " ", "alice"}}},
					} {
						if q := o.Request(r); !q.Credential || !q.Credentialed() {
							t.Errorf("%s is no credential", spelled)
						}
					}
					for _, blank := range [][]string{nil, {}, {""}, {" \t", ""}} {
						if o.Request(&http.Request{Method: "GET", Header: http.Header{spelled: blank}}).Credential {
							t.Errorf("%s without a value identifies its sender", spelled)
						}
					}
				}
			}
			if middle := "X-A" + word + "z"; identifying(key.Canonical(middle)) && !slices.ContainsFunc(wordsOfIdentity, func(w string) bool {
				return strings.HasPrefix("a"+word+"z", w) || strings.HasSuffix("a"+word+"z", w)
			}) {
				t.Errorf("%s identifies its sender, though a word is only in its middle", middle)
			}
		}
		for _, name := range []string{
			"Userinfo", "Apikey", "Orgid", "X-Userinfo", "X-Apikey", "X-Scope-Orgid", "X-Consul-Token", "X-Tenant-Id", "X-Redmine-Api-Key", "X-Username", "X-Oauth-Bearer",
			"X-User", "Users", "X-Enduser-Id", "Authuser-Agent", "X-User-Agent-Token", "X-User-Agents-Owner", "User-Iphone", "Uuid", "X-User-Uuid", "Secure-Session-Response",
			"X-Hub-Signature-256", "Signature-Input", "Client-Cert-Chain", "X-Idempotency-Key-Owner-Token", "Cookie2", "Companies", "X-Identities", "X-Mycompanies", "X-Mytokens", "X-Apikeys2", "X-Mytoken2", "X-Currentuserid", "X-Currentuserids", "X-Currentusersid", "Phpsessid",
			"X-Shopify-Access-Token", "Stripe-Account", "Openai-Organization",
		} {
			if !identifying(name) {
				t.Errorf("%s does not identify its sender", name)
			}
		}
	})
	// A field of every request neither identifies nor separates.
	t.Run("names that identify no user", func(t *testing.T) {
		if n := len(harmlessFields); n < 60 {
			t.Errorf("got %d names, want at least 60", n)
		}
		everything := http.Header{}
		for _, name := range harmlessFields {
			if http.CanonicalHeaderKey(name) != name {
				t.Fatalf("%s is not canonical", name)
			}
			everything[name] = []string{"x"}
			for _, o := range []Options{usual, {CredentialFields: DefaultCredentialFields()}, {OnlyCredentialFields: true}} {
				for _, spelled := range []string{name, http.CanonicalHeaderKey(strings.ReplaceAll(name, "-", "_"))} {
					q := o.Request(&http.Request{Method: "GET", Header: http.Header{spelled: {"x"}}})
					if q.Credentialed() || q.Bypass != None {
						t.Errorf("%s identifies its sender, or is not looked up: %+v", spelled, q)
					}
				}
			}
			if key.InScope(name) {
				t.Errorf("%s separates pages", name)
			}
		}
		if q := usual.Request(&http.Request{Method: "GET", Header: everything}); q.Credentialed() || q.Bypass != None {
			t.Errorf("all of them together: %+v", q)
		}
		for _, name := range scopedFields {
			if q := usual.Request(&http.Request{Method: "GET", Header: http.Header{name: {"x"}}}); q.Credentialed() {
				t.Errorf("%s identifies its sender", name)
			}
			if !key.InScope(name) {
				t.Errorf("%s does not separate pages any more", name)
			}
		}
	})
	t.Run("default credential fields", func(t *testing.T) {
		names := DefaultCredentialFields()
		only := Options{CredentialFields: names, OnlyCredentialFields: true} // so that the words do not cover anything up
		for i, name := range names {
			if prefix := strings.TrimSuffix(name, "*"); key.Canonical(prefix) != prefix {
				t.Errorf("%s is not canonical", name)
			}
			if slices.Contains(names[:i], name) {
				t.Errorf("%s stands there twice", name)
			}
			name = strings.Replace(name, "*", "Anything", 1)
			r := &http.Request{Method: "GET", Header: http.Header{name: {"", "x"}}}
			for kind, o := range map[string]Options{"plain": only, "indexed": only.Indexed(), "usual": usual} {
				if !o.Request(r).Credential {
					t.Errorf("%s, %s: does not count", kind, name)
				}
			}
			if q := (&Options{OnlyCredentialFields: true}).Request(r); q.Credential {
				t.Errorf("%s counts without being listed", name)
			}
		}
		// Products send these by default, in this spelling.
		for _, name := range strings.Fields(`
		X-Amzn-Mtls-Clientcert X-Amzn-Mtls-Clientcert-Subject X-Amzn-Mtls-Clientcert-Serial-Number Ssl-Client-Cert SSL-CLIENT-VERIFY SSL_CLIENT_S_DN X-SSL-Client-Cert X-SSL-Client-CN
		X-ARR-ClientCert X-Tailscale-User Tailscale-User-Login OIDC_CLAIM_sub OIDC_CLAIM_preferred_username X-Consumer-ID X-Consumer-Username X-Consumer-Custom-Id
		Remote-Name Remote-Group X-Remote-Extra-Scopes Impersonate-Group Impersonate-Extra-Scopes X-Pomerium-Claim-Groups X-Vouch-Idp-Claims-Sub SM_UNIVERSALID IV-Creds eppn
		X-SPIFFE-ID X-Client-DN X-TLS-Client-DN
		X-Serverless-Authorization Signature Cf-Access-Client-Id X-Forwarded-Client-Cert Remote-User REMOTE_USER`) {
			if !only.Request(&http.Request{Method: "GET", Header: http.Header{http.CanonicalHeaderKey(name): {"x"}}}).Credential {
				t.Errorf("%s does not count", name)
			}
		}
		names[0] = "changed"
		if DefaultCredentialFields()[0] == "changed" {
			t.Error("the list is shared")
		}
		empty := Options{CredentialFields: []string{""}}.Indexed()
		if empty.Request(browser()).Credential {
			t.Error("an empty name counts")
		}
	})
	t.Run("credential fields of the application", func(t *testing.T) {
		rows := []struct {
			name   string
			listed []string
			only   bool
			field  string
			want   bool
		}{
			{"a name of its own", []string{"X-Person"}, false, "X-Person", true},
			{"with an underscore", []string{"X-Person"}, false, "X_person", true},
			{"another name", []string{"X-Person"}, false, "X-Persons", false},
			{"beside the words", []string{"X-Person"}, false, "X-Tenant", true},
			{"instead of the words", []string{"X-Person"}, true, "X-Tenant", false},
			{"instead of the words, its own", []string{"X-Person"}, true, "X-Person", true},
			{"nothing at all", nil, true, "X-Api-Key", false},
			{"a beginning", []string{"X-Acme-*"}, true, "X-Acme-Id", true},
			{"a beginning, with underscores", []string{"X-Acme-*"}, true, "X_acme_id", true},
			{"a beginning, and nothing behind it", []string{"X-Acme-*"}, true, "X-Acme-", true},
			{"another beginning", []string{"X-Acme-*"}, true, "X-Acm", false},
			{"what is harmless otherwise always identifies", []string{"User-Agent"}, false, "User-Agent", true},
			{"even if it has a meaning", []string{"Range"}, false, "Range", true},
			{"even if only browsers send it", []string{"Sec-Ch-Ua"}, false, "Sec-Ch-Ua", true},
			{"even if it is an address", []string{"X-Forwarded-For"}, false, "X-Forwarded-For", true},
		}
		for _, row := range rows {
			o := Options{CredentialFields: row.listed, OnlyCredentialFields: row.only}
			for kind, o := range map[string]Options{"plain": o, "indexed": o.Indexed()} {
				if got := o.Request(&http.Request{Method: "GET", Header: http.Header{row.field: {"bytes=0-1"}}}).Credential; got != row.want {
					t.Errorf("%s (%s): got %v, want %v", row.name, kind, got, row.want)
				}
			}
		}
	})
	// The index of fields agrees with what is computed otherwise.
	t.Run("known fields", func(t *testing.T) {
		o := Options{CredentialFields: []string{"Dnt", "X-Acme", "X-Acme-*", "Range"}}
		indexed := o.Indexed()
		names := slices.Concat(commonFields[:], harmlessFields, scopedFields, DefaultCredentialFields(), []string{"", "Range", "X-Acme-Id", "X-Acme", "X_acme", "Te_"})
		for _, name := range names {
			want, wantName := o.field(name)
			if got, gotName := indexed.field(name); got != want || gotName != wantName {
				t.Errorf("%s: got %#x, %s, want %#x, %s", name, got, gotName, want, wantName)
			}
		}
		longest := 0
		for _, bucket := range usual.known.buckets {
			longest = max(longest, len(bucket))
		}
		if longest > 4 {
			t.Errorf("got %d names in one bucket, want at most 4", longest)
		}
		for i, name := range commonFields {
			if key.Canonical(name) != name || slices.Contains(commonFields[:i], name) {
				t.Errorf("%s is not canonical, or stands there twice", name)
			}
		}
	})
}

// harmlessFields are those that browsers, libraries, proxies, content delivery networks, platforms
// and tracers send with every request.
var harmlessFields = strings.Fields(`
	Accept Accept-Charset Accept-Datetime Accept-Encoding Accept-Language Accept-Signature Access-Control-Request-Headers Access-Control-Request-Method
	Access-Control-Request-Private-Network Alt-Used Attribution-Reporting-Eligible Available-Dictionary Content-Encoding Content-Type Device-Memory Dictionary-Id
	Dnt Downlink Dpr Early-Data Expect From Idempotency-Key X-Idempotency-Key Idempotencykey X-Idempotency-Token Incremental Keep-Alive Last-Event-Id Max-Forwards Origin Pragma Priority
	Proxy-Connection Purpose Referer Rtt Save-Data Service-Worker Service-Worker-Navigation-Preload Te Upgrade-Insecure-Requests User-Agent Viewport-Width
	Want-Content-Digest Want-Repr-Digest Width X-Do-Not-Track X-Moz X-Purpose X-Wap-Profile

	Sec-Browsing-Topics Sec-Ch-Device-Memory Sec-Ch-Dpr Sec-Ch-Prefers-Color-Scheme Sec-Ch-Prefers-Reduced-Motion Sec-Ch-Ua Sec-Ch-Ua-Arch Sec-Ch-Ua-Full-Version-List
	Sec-Ch-Ua-Mobile Sec-Ch-Ua-Model Sec-Ch-Ua-Platform Sec-Ch-Viewport-Width Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site Sec-Fetch-User Sec-Gpc Sec-Purpose
	Sec-Speculation-Tags Sec-Websocket-Accept Sec-Websocket-Extensions Sec-Websocket-Key Sec-Websocket-Key1 Sec-Websocket-Version

	Client-Ip Forwarded-For-Ip Fastly-Client-Ip True-Client-Ip Via X-Bluecoat-Via X-Client-Ip X-Cluster-Client-Ip X-Forwarded-For X-Forwarded-By X-Forwarded-Ip X-Forwarded-Client-Ip X-Forwarded-Remote-Addr X-Forwarded-Request-Id X-Original-Client-Ip
	X-Original-Forwarded-For X-Imforwards X-Proxyuser-Ip X-Real-Ip
	X-Remote-Addr X-Remote-Ip X-Request-Start X-Start-Time X-Device-User-Agent X-Device-Useragent X-Ms-Useragent X-Operamini-Features X-Operamini-Phone
	X-Operamini-Phone-Ua X-Skyfire-Phone X-Stripe-Client-User-Agent X-Amz-User-Agent X-Ucbrowser-Ua X-Appengine-User-Ip

	Cdn-Loop Cf-Connecting-Ip Cf-Connecting-Ipv6 Cf-Ew-Via Cf-Ipcity Cf-Ipcontinent Cf-Ipcountry Cf-Iplatitude Cf-Pseudo-Ipv4 Cf-Ray Cf-Region Cf-Timezone Cf-Worker
	Cloudfront-Is-Android-Viewer Cloudfront-Is-Desktop-Viewer Cloudfront-Is-Mobile-Viewer Cloudfront-Is-Tablet-Viewer Cloudfront-Viewer-Address Cloudfront-Viewer-Asn
	Cloudfront-Viewer-City Cloudfront-Viewer-Country Cloudfront-Viewer-Country-Region Cloudfront-Viewer-Header-Order Cloudfront-Viewer-Http-Version
	Cloudfront-Viewer-Ja3-Fingerprint Cloudfront-Viewer-Tls Fastly-Ff Fastly-Orig-Accept-Encoding Fastly-Orig-Host Fastly-Temp-Xff Fly-Client-Ip Fly-Region Fly-Request-Id
	Akamai-Bot Akamai-Origin-Hop X-Akamai-Config-Log-Detail X-Akamai-Device-Characteristics X-Akamai-Edgescape X-Azure-Clientip X-Azure-Fdid X-Azure-Ja4-Fingerprint
	X-Azure-Ref X-Azure-Requestchain X-Azure-Socketip X-Fd-Healthprobe X-Sucuri-Clientip X-Sucuri-Country Incap-Client-Ip X-Gateway-Request-Id X-Vercel-Id
	X-Vercel-Deployment-Url X-Vercel-Ip-City X-Vercel-Ip-Country X-Vercel-Internal-Intra-Session X-Vercel-Oidc-Token X-Vercel-Proxy-Signature X-Vercel-Proxy-Signature-Ts X-Nf-Account-Id X-Nf-Account-Tier
	X-Nf-Client-Connection-Ip X-Nf-Request-Id X-Country-Code X-Geoip-Country X-Railway-Edge Rndr-Id X-Appservice-Proto Disguised-Host Was-Default-Hostname X-Site-Deployment-Id
	X-Arr-Log-Id X-Waws-Unencoded-Url X-Appengine-Auth-Domain X-Appengine-City X-Appengine-Country X-Appengine-Default-Version-Hostname X-Appengine-Region
	X-Amz-Cf-Id X-Amzn-Requestid X-Amzn-Tls-Cipher-Suite X-Amzn-Tls-Version X-Amzn-Trace-Id X-Envoy-Attempt-Count X-Envoy-Decorator-Operation
	X-Envoy-Expected-Rq-Timeout-Ms X-Envoy-External-Address X-Envoy-Internal X-Envoy-Peer-Metadata X-Envoy-Peer-Metadata-Id L5d-Ctx-Trace L5d-Dst-Canonical X-Kong-Request-Id

	B3 Baggage Correlation-Id Datadog-Container-Id Elastic-Apm-Traceparent Grpc-Trace-Bin Newrelic Request-Context Request-Id Sentry-Trace Traceparent Traceresponse Tracestate
	Uber-Trace-Id X-B3-Flags X-B3-Parentspanid X-B3-Sampled X-B3-Spanid X-B3-Traceid X-Client-Data X-Client-Trace-Id X-Cloud-Trace-Context X-Correlation-Guid X-Correlation-Id
	X-Datadog-Origin X-Datadog-Parent-Id X-Datadog-Sampling-Priority X-Datadog-Tags X-Datadog-Trace-Id X-Dtpc X-Dynatrace X-Instana-L X-Instana-S X-Instana-T X-Newrelic-Id
	X-Newrelic-Transaction X-Ot-Span-Context X-Request-Guid X-Request-Id X-Request-Uuid X-Requestuuid X-Message-Uuid X-Nws-Log-Uuid X-Trace-Id X-Transaction-Id`)

// scopedFields are the harmless fields that tell a handler where it is: they separate responses.
var scopedFields = strings.Fields(`
	Cf-Visitor Cloudfront-Forwarded-Proto Fastly-Ssl Forwarded Front-End-Https X-Arr-Ssl X-Envoy-Original-Path X-Forwarded-Host X-Forwarded-Port X-Forwarded-Prefix
	X-Forwarded-Proto X-Forwarded-Scheme X-Forwarded-Server X-Forwarded-Ssl X-Forwarded-User-Agent X-Forwarded-Useragent X-Host X-Original-Host X-Original-Uri
	X-Original-User-Agent X-Requested-With X-Scheme`)

func FuzzIdentifying(f *testing.F) {
	for _, seed := range []string{"X-Userinfo", "User-Agent", "x_useragent", "X-Proxyuser-Ip", "Sec-X-Token", "--", "Authuser-Agent"} {
		f.Add(seed)
	}
	// formsOf returns the forms in which a word ends a part.
	formsOf := func(word string) []string {
		forms := []string{word, word + "s"}
		if before, ok := strings.CutSuffix(word, "y"); ok {
			forms = append(forms, before+"ies")
		}
		for _, form := range forms {
			forms = append(forms, form+"id", form+"ids")
		}
		return forms
	}
	f.Fuzz(func(t *testing.T, name string) {
		name = key.Canonical(name)
		got := identifying(name)
		want := false // without the exceptions
		for part := range strings.SplitSeq(strings.ToLower(name), "-") {
			part = strings.TrimRight(part, "0123456789")
			want = want || slices.ContainsFunc(wordsOfIdentity, func(word string) bool {
				return strings.HasPrefix(part, word) || slices.ContainsFunc(formsOf(word), func(form string) bool { return strings.HasSuffix(part, form) })
			})
		}
		if got && !want {
			t.Fatalf("%s identifies its sender without a word", name)
		}
		if excused := harmless(name) || strings.Contains(name, "ser-Agent") || strings.Contains(name, "ser-Ip") || strings.Contains(name, "seragent"); want && !got && !excused {
			t.Fatalf("%s does not identify its sender", name)
		}
	})
}
