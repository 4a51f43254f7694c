package edgecache_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/storetest"
)

// RFC 9111, 3.5 takes must-revalidate for leave to share. It is written to be stricter, so it opens
// nothing here: neither for an Authorization nor for a client certificate, in no order of clients.
func TestMustRevalidateOpensNothing(t *testing.T) {
	bearer := func(name string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+name) }
	}
	certificate := func(name string) func(*http.Request) {
		return func(r *http.Request) {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte(name)}}}
		}
	}
	anonymous := func(*http.Request) {}
	for _, cc := range []string{
		"must-revalidate", "max-age=60, must-revalidate", "max-age=60, must-revalidate, proxy-revalidate", "max-age=0, must-revalidate",
	} {
		for _, field := range []string{"Cache-Control", "CDN-Cache-Control"} {
			for kind, by := range map[string]func(string) func(*http.Request){"Authorization": bearer, "certificate": certificate} {
				t.Run(fmt.Sprint(field, ": ", cc, " for ", kind), func(t *testing.T) {
					edge, err := edgecache.New(edgecache.Config{})
					require.NoError(t, err)
					h := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						w.Header().Set(field, cc)
						w.Header().Set("Etag", `"same"`)
						fmt.Fprint(w, "page of ", r.Header.Get("Authorization"))
						if r.TLS != nil {
							fmt.Fprintf(w, "%s", r.TLS.PeerCertificates[0].Raw)
						}
					}))
					get := func(who func(*http.Request)) *httptest.ResponseRecorder {
						w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "http://example.com/me", nil)
						who(r)
						h.ServeHTTP(w, r)
						return w
					}
					for _, who := range []string{"alice", "bob"} {
						if w := get(by(who)); w.Header().Get("X-Cache") != "DYNAMIC" {
							t.Errorf("%s: got %s, want DYNAMIC", who, w.Header().Get("X-Cache"))
						}
					}
					require.Equal(t, "page of ", get(anonymous).Body.String())
					if w := get(by("alice")); w.Header().Get("X-Cache") != "DYNAMIC" || w.Body.String() == "page of " {
						t.Errorf("alice gets the anonymous page: %s %q", w.Header().Get("X-Cache"), w.Body)
					}
				})
			}
		}
	}

	t.Run("InsecureShareCookies restores the RFC", func(t *testing.T) {
		s := newSite(t, edgecache.Config{InsecureShareCookies: true}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60, must-revalidate")
			fmt.Fprint(w, "page of ", r.Header.Get("Authorization"))
		})
		want(t, s.get("/", "Authorization", "Bearer alice"), "MISS", 200, "page of Bearer alice")
		want(t, s.get("/", "Authorization", "Bearer bob"), "HIT", 200, "page of Bearer alice")
	})
}

// What one configuration let be stored for somebody is not read from a store by another one.
func TestStoredUnderOtherRulesOfIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storetest.NewMap()
		handler := func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60, must-revalidate")
			fmt.Fprint(w, "for ", r.Header.Get("Authorization"))
		}
		lax := newSite(t, edgecache.Config{Store: store, InsecureShareCookies: true}, handler)
		want(t, lax.get("/", "Authorization", "Bearer alice"), "MISS", 200, "for Bearer alice")
		require.NoError(t, lax.edge.Close(t.Context()))
		again := newSite(t, edgecache.Config{Store: store, InsecureShareCookies: true}, handler)
		want(t, again.get("/"), "HIT", 200, "for Bearer alice")
		require.NoError(t, again.edge.Close(t.Context()))
		strict := newSite(t, edgecache.Config{Store: store}, handler)
		want(t, strict.get("/"), "MISS", 200, "for ")
		require.NoError(t, strict.edge.Close(t.Context()))
	})
}
