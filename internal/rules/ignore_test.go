package rules

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/key"
)

func TestIgnore(t *testing.T) {
	t.Run("ignored fields", func(t *testing.T) {
		plain := Options{DefaultTTL: time.Minute, IgnoreFields: []string{"Hx-Current-Url", "X-Acme-*", "Accept-Language"}, IgnoreCookies: []string{"_ga"}}
		for kind, o := range map[string]Options{"plain": plain, "indexed": plain.Indexed()} {
			t.Run(kind, func(t *testing.T) {
				h := header("HX-Current-URL: https://a/\nX-Acme-User: ann\nX-Acme-Token: 1\nX_acme_key: 2\nAccept-Language: de\nCookie: _ga=1\nHX-Request: true\nAccept: a")
				r := &http.Request{Method: "GET", Header: h}
				q := o.Request(r)
				require.False(t, q.Credentialed(), "they identify no user")
				require.True(t, q.Unkeyed())
				require.Equal(t, key.Values(nil, []string{"Accept-Language"}, nil, nil), key.Values(nil, []string{"Accept-Language"}, h, &q.Scope))
				before := h.Clone()
				require.Equal(t, header("HX-Request: true\nAccept: a"), o.WithoutUnkeyed(&q, h))
				require.Equal(t, before, h)
				o.RemoveUnkeyed(&q, h)
				require.Equal(t, header("HX-Request: true\nAccept: a"), h)
				cookies := header("Cookie: _ga=1; session=2\nAccept: a")
				c := o.Request(&http.Request{Method: "GET", Header: cookies})
				require.True(t, c.Cookie)
				require.Equal(t, header("Cookie: session=2\nAccept: a"), o.WithoutUnkeyed(&c, cookies))
				o.RemoveUnkeyed(&c, cookies)
				require.Equal(t, header("Cookie: session=2\nAccept: a"), cookies)

				m, reason := o.Store(&q, 200, header("Vary: Accept-Language, HX-Current-URL, X-Acme-Theme, HX-Request"), time.Now(), time.Now())
				require.Equal(t, None, reason)
				require.Equal(t, []string{"Hx-Request"}, m.Vary)
				q = o.Request(&http.Request{Method: "GET", Header: header("Accept: a")})
				require.False(t, q.Unkeyed())
			})
		}
		require.NotEqual(t, (&Options{}).Audience(), plain.Audience())
	})
	t.Run("Ignorable", func(t *testing.T) {
		for name, want := range map[string]bool{
			"Hx-Current-Url": true, "Hx-*": true, "Accept": true, "Accept-*": true, "User-Agent": true, "X-Forwarded-Host": true, "X-Api-Key": true, "Referer": true,
			"Host": false, "Cookie": false, "Cook*": false, "C*": false, "*": false, "Authorization": false, "Range": false, "If-*": false, "Cache-Control": false, "Pragma": false,
			"Connection": false, "Upgrade": false, "X-Http-Method-Override": false, "Origin": false, "Content-*": false, "Proxy-*": false, "Incremental": false,
		} {
			if got := Ignorable(name); got != want {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
		}
	})
	// A field with a role cannot be ignored.
	t.Run("a field with a role is not ignorable", func(t *testing.T) {
		for _, name := range commonFields {
			if roleOf(name) != 0 && Ignorable(name) {
				t.Errorf("%s can be ignored", name)
			}
		}
	})
}

func TestNameCredential(t *testing.T) {
	t.Run("names, never values", func(t *testing.T) {
		o := Options{IgnoreCookies: []string{"_ga"}, CredentialFields: []string{"X-Acme"}}.Indexed()
		for text, want := range map[string]string{
			"": "", "Cookie: _ga=1": "", "Cookie: _ga=1; session=secret": "Cookie: session", "Cookie: secret": "Cookie", "Cookie: =secret; a=1": "Cookie",
			"X-Api-Key: secret": "X-Api-Key", "X-Api-Key: ": "", "X_api_key: secret": "X-Api-Key", "X-Acme: secret": "X-Acme", "X-Tenant: b\nX-Account: a": "X-Account",
			"Authorization: Bearer secret\nCookie: a=1": "Authorization", "Cookie: a=secret\nX-Api-Key: secret": "Cookie: a", "Accept: a": "",
		} {
			if got := o.NameCredential(&http.Request{Header: header(text)}); got != want {
				t.Errorf("%q: got %q, want %q", text, got, want)
			}
		}
		certified := &http.Request{Header: header("Cookie: a=1"), TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}}
		require.Equal(t, "client certificate", o.NameCredential(certified))
		o.InsecureShareCookies = true
		require.Empty(t, o.NameCredential(&http.Request{Header: header("Cookie: a=1")}))
	})
}
