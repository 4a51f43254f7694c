package engine_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
	"github.com/edgecache-go/edgecache/storetest"
)

func TestIdentity(t *testing.T) {
	t.Run("must-revalidate opens nothing (RFC 9111, 3.5)", mustRevalidateOpensNothing)
	t.Run("a response stored under other rules of identity is not read", aResponseStoredUnderOtherRulesOfIdentityIsNotRead)
	t.Run("identity in an unlisted field keeps the page private", identityInAnUnlistedFieldKeepsThePagePrivate)
	t.Run("fields that all clients send are no identity", fieldsThatAllClientsSendAreNoIdentity)
	t.Run("configured credential headers count", configuredCredentialHeadersCount)
	t.Run("Config.Personal decides who is a person", configPersonalDecidesWhoIsAPerson)
	t.Run("in a herd each person gets only their own page", inAHerdEachPersonGetsOnlyTheirOwnPage)
	t.Run("Config.Personal decides about refreshes", configPersonalDecidesAboutRefreshes)
	t.Run("a Config.Personal that panics shares nothing", aConfigPersonalThatPanicsSharesNothing)
	t.Run("fields with underscores poison no page", fieldsWithUnderscoresPoisonNoPage)
	t.Run("an underscore is not a dash for a Go handler", anUnderscoreIsNotADashForAGoHandler)
	t.Run("refreshes and the store keep the spelling of fields", refreshesAndTheStoreKeepTheSpellingOfFields)
	t.Run("a request with a megabyte of names is passed on", aRequestWithAMegabyteOfNamesIsPassedOn)
}

// RFC 9111, 3.5 takes must-revalidate for leave to share. It is written to be stricter, so it opens
// nothing here: neither for an Authorization nor for a client certificate, in no order of clients.
func mustRevalidateOpensNothing(t *testing.T) {
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
		s := harness.NewSite(t, edgecache.Config{InsecureShareCookies: true}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60, must-revalidate")
			fmt.Fprint(w, "page of ", r.Header.Get("Authorization"))
		})
		harness.Want(t, s.Get("/", "Authorization", "Bearer alice"), "MISS", 200, "page of Bearer alice")
		harness.Want(t, s.Get("/", "Authorization", "Bearer bob"), "HIT", 200, "page of Bearer alice")
	})
}

// What one configuration let be stored for a person is not read from a store by another one.
func aResponseStoredUnderOtherRulesOfIdentityIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storetest.NewMap()
		handler := func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60, must-revalidate")
			fmt.Fprint(w, "for ", r.Header.Get("Authorization"))
		}
		lax := harness.NewSite(t, edgecache.Config{Store: store, InsecureShareCookies: true}, handler)
		harness.Want(t, lax.Get("/", "Authorization", "Bearer alice"), "MISS", 200, "for Bearer alice")
		require.NoError(t, lax.Edge.Close(t.Context()))
		again := harness.NewSite(t, edgecache.Config{Store: store, InsecureShareCookies: true}, handler)
		harness.Want(t, again.Get("/"), "HIT", 200, "for Bearer alice")
		require.NoError(t, again.Edge.Close(t.Context()))
		strict := harness.NewSite(t, edgecache.Config{Store: store}, handler)
		harness.Want(t, strict.Get("/"), "MISS", 200, "for ")
		require.NoError(t, strict.Edge.Close(t.Context()))
	})
}

// A field that names the person, and that no list has, keeps the page from all others.
func identityInAnUnlistedFieldKeepsThePagePrivate(t *testing.T) {
	for _, name := range []string{
		"X-Consul-Token", "X-Scope-Orgid", "X-Tenant-Id", "X-Redmine-Api-Key", "Userinfo", "X-Workspace", "Acme_Member", "x_login", "X-Mycompany", "X-Sso-Subject", "X-Session2",
	} {
		t.Run(name, func(t *testing.T) {
			public := ""
			s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60"+public)
				fmt.Fprint(w, "for ", r.Header.Get(name))
			})
			harness.Want(t, s.Get("/", name, "alice"), "DYNAMIC", 200, "for alice")
			harness.Want(t, s.Get("/", name, "bob"), "DYNAMIC", 200, "for bob")
			harness.Want(t, s.Get("/"), "MISS", 200, "for ")
			r := s.Get("/", name, "alice")
			require.Equal(t, "edgecache; fwd=bypass; detail=credential", r.Header.Get("Cache-Status"))
			harness.Want(t, r, "DYNAMIC", 200, "for alice")
			harness.Want(t, s.Get("/", name, " "), "HIT", 200, "for ") // a proxy that knows no person sends it empty
			x := s.Edge.Explain(harness.Request("GET", "/", name, "alice"))
			require.Equal(t, "credential", x.Reason.String())

			public = ", public"
			harness.Want(t, s.Get("/public", name, "alice"), "MISS", 200, "for alice")
			harness.Want(t, s.Get("/public", name, "bob"), "HIT", 200, "for alice")
		})
	}
}

// What browsers and what stands in front of the application send with each request does not keep it
// from the cache.
func fieldsThatAllClientsSendAreNoIdentity(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") })
	s.Get("/")
	for _, name := range []string{
		"User-Agent", "Sec-Fetch-User", "Sec-Websocket-Key", "Idempotency-Key", "Traceparent", "Baggage", "X-Amzn-Trace-Id", "Cf-Ray", "X-Request-Uuid",
		"X-Device-User-Agent", "X-Real-Ip", "X-Forwarded-For", "Save-Data", "Want_digest", "User_agent", "Cloudfront-Viewer-Country", "Sentry-Trace",
	} {
		harness.Want(t, s.Get("/", name, "x"), "HIT", 200, "page")
	}
}

func configuredCredentialHeadersCount(t *testing.T) {
	for _, tt := range []struct {
		name        string
		config      edgecache.Config
		credentials []string // each a field
		others      []string
	}{
		{"by default", edgecache.Config{}, []string{"X-Api-Key", "X-Tenant", "X-Consumer-Custom-Id"}, []string{"X-Person"}},
		{"what is listed adds", edgecache.Config{CredentialHeaders: []string{"x_person"}}, []string{"X-Person", "X-Api-Key", "X-Tenant"}, []string{"X-Persons"}},
		{"none that is listed takes nothing away", edgecache.Config{CredentialHeaders: []string{}}, []string{"X-Api-Key", "X-Tenant"}, nil},
		{"with a star", edgecache.Config{CredentialHeaders: []string{"X-Person-*"}}, []string{"X-Person-Id", "X_person_id"}, []string{"X-Person"}},
		{"only these", edgecache.Config{CredentialHeaders: []string{"X-Person"}, InsecureOnlyCredentialHeaders: true}, []string{"X-Person"}, []string{"X-Api-Key", "X-Tenant", "X-Consumer-Id"}},
		{"only the defaults", edgecache.Config{CredentialHeaders: edgecache.DefaultCredentialHeaders(), InsecureOnlyCredentialHeaders: true}, []string{"X-Api-Key", "X-Consumer-Id"}, []string{"X-Tenant"}},
		{"none", edgecache.Config{InsecureOnlyCredentialHeaders: true}, nil, []string{"X-Api-Key", "X-Tenant"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := harness.NewSite(t, tt.config, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") })
			s.Get("/")
			for _, name := range tt.credentials {
				harness.Want(t, s.Get("/", name, "x"), "DYNAMIC", 200, "page")
			}
			for _, name := range tt.others {
				harness.Want(t, s.Get("/", name, "x"), "HIT", 200, "page")
			}
			harness.Want(t, s.Get("/", "Authorization", "x"), "DYNAMIC", 200, "page")
			harness.Want(t, s.Get("/", "Cookie", "a=b"), "DYNAMIC", 200, "page")
		})
	}
	for _, wrong := range []string{"*", "", "X Key", "X-*-Key", "X-**", "X:"} {
		_, err := edgecache.New(edgecache.Config{CredentialHeaders: []string{"X-Fine-*", wrong}})
		var mistake *edgecache.ConfigError
		require.ErrorAs(t, err, &mistake, "%q", wrong)
		require.Equal(t, "CredentialHeaders[1]", mistake.Field)
	}
	list := []string{"x_person"}
	_, err := edgecache.New(edgecache.Config{CredentialHeaders: list})
	require.NoError(t, err)
	require.Equal(t, []string{"x_person"}, list, "the caller's list is left alone")
}

type userKey struct{}

// signedIn is authentication outside of the cache: it puts the user into the context.
func signedIn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user := r.URL.User; user != nil {
			r = r.WithContext(context.WithValue(r.Context(), userKey{}, user.Username()))
			r.URL.User = nil
		}
		next.ServeHTTP(w, r)
	})
}

func userOf(r *http.Request) string {
	user, _ := r.Context().Value(userKey{}).(string)
	return user
}

func hasUser(r *http.Request) bool { return userOf(r) != "" }

// as returns a request of a user whom signedIn recognises; "" is no user.
func as(user, method, target string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	if user != "" {
		r = r.WithContext(context.WithValue(r.Context(), userKey{}, user))
	}
	return r
}

func configPersonalDecidesWhoIsAPerson(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{Personal: hasUser}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/public" {
			edgecache.Public(w)
		}
		if r.Method == "POST" {
			w.Header().Set("Content-Location", r.URL.Path)
		}
		edgecache.MaxAge(w, time.Minute)
		fmt.Fprint(w, "for ", userOf(r))
	})
	ask := func(user, method, target string) *http.Response {
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, as(user, method, target))
		return w.Result()
	}
	for _, target := range []string{"/", "/?a=1"} {
		harness.Want(t, ask("alice", "GET", target), "DYNAMIC", 200, "for alice")
		harness.Want(t, ask("bob", "GET", target), "DYNAMIC", 200, "for bob")
		harness.Want(t, ask("", "GET", target), "MISS", 200, "for ")
		harness.Want(t, ask("", "GET", target), "HIT", 200, "for ")
		r := ask("alice", "GET", target)
		require.Equal(t, "edgecache; fwd=bypass; detail=personal", r.Header.Get("Cache-Status"))
		harness.Want(t, r, "DYNAMIC", 200, "for alice")
		r = ask("alice", "HEAD", target)
		require.NotEqual(t, "HIT", r.Header.Get("X-Cache"))
	}
	harness.Want(t, ask("alice", "POST", "/posted"), "DYNAMIC", 200, "for alice")
	harness.Want(t, ask("", "GET", "/posted"), "MISS", 200, "for ")
	harness.Want(t, ask("alice", "GET", "/public"), "MISS", 200, "for alice")
	harness.Want(t, ask("", "GET", "/public"), "HIT", 200, "for alice")
	harness.Want(t, ask("bob", "GET", "/public"), "HIT", 200, "for alice")

	x := s.Edge.Explain(as("alice", "GET", "/"))
	require.Equal(t, "personal", x.Reason.String())
	require.Equal(t, edgecache.Dynamic, x.Status)
	require.Equal(t, edgecache.Hit, s.Edge.Explain(as("", "GET", "/")).Status)
}

// Outside of the handlers that wait for each other no client gets what was made for another.
func inAHerdEachPersonGetsOnlyTheirOwnPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		edge, err := edgecache.New(edgecache.Config{Personal: hasUser})
		require.NoError(t, err)
		h := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			edgecache.MaxAge(w, time.Minute)
			fmt.Fprint(w, "for ", userOf(r))
		}))
		var all sync.WaitGroup
		for i := range 60 {
			user := []string{"", "alice", "bob"}[i%3]
			all.Go(func() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, as(user, "GET", "/"))
				if got := w.Body.String(); got != "for "+user {
					t.Errorf("%q gets %q", user, got)
				}
			})
		}
		all.Wait()
	})
}

// A refresh in the background has the context of the client that started it, and no address.
func configPersonalDecidesAboutRefreshes(t *testing.T) {
	for _, tt := range []struct {
		name     string
		personal func(*http.Request) bool
		word     string
	}{
		{"who is signed in", hasUser, "UPDATING"},
		{"who has an address of the house", func(r *http.Request) bool { return strings.HasPrefix(r.RemoteAddr, "10.") }, "UPDATING"},
		{"who has no address of the house", func(r *http.Request) bool { return !strings.HasPrefix(r.RemoteAddr, "192.0.2.") }, "EXPIRED"},
		{"a mistake that a refresh meets", func(r *http.Request) bool { return r.RemoteAddr[:3] == "10." || r.Header["Referer"][0] == "" }, "EXPIRED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewCountedSite(t, edgecache.Config{Personal: tt.personal, Logger: harness.Silent()}, func(w http.ResponseWriter, r *http.Request, call int) {
					w.Header().Set("Cache-Control", "max-age=10, stale-while-revalidate=60")
					fmt.Fprint(w, "page ", call, userOf(r))
				})
				s.Visit("/", "Referer", "https://example.com/").Wants(t, "MISS", 200, "page 1")
				time.Sleep(20 * time.Second)
				if tt.name == "who is signed in" {
					r := harness.Request("GET", "/")
					r.URL.User = url.User("alice")
					harness.Send(t.Context(), signedIn(s.Handler), r).Wants(t, "DYNAMIC", 200, "page 2alice")
					synctest.Wait()
				}
				s.Visit("/", "Referer", "https://example.com/").Wants(t, tt.word, 200, "*")
				synctest.Wait()
				s.Visit("/", "Referer", "https://example.com/").Wants(t, "HIT", 200, "*")
			})
		})
	}
}

func aConfigPersonalThatPanicsSharesNothing(t *testing.T) {
	var log bytes.Buffer
	broken := false
	s := harness.NewSite(t, edgecache.Config{
		Logger:   slog.New(slog.NewTextHandler(&log, nil)),
		Personal: func(r *http.Request) bool { return broken && r.Header["Absent"][0] == "" },
	}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page for ", r.Header.Get("Whom")) })
	harness.Want(t, s.Get("/"), "MISS", 200, "page for ")
	broken = true
	harness.Want(t, s.Get("/", "Whom", "alice"), "DYNAMIC", 200, "page for alice")
	require.Contains(t, log.String(), "Config.Personal panicked")
	require.Equal(t, "personal", s.Edge.Explain(harness.Request("GET", "/")).Reason.String())
	broken = false
	harness.Want(t, s.Get("/"), "HIT", 200, "page for ")
}

// cgiHandler makes pages as a program behind FastCGI does: from variables, in which dashes and
// underscores are one (RFC 3875, 4.1.18).
func cgiHandler(page func(w http.ResponseWriter, env map[string]string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		env := map[string]string{}
		for _, name := range slices.Sorted(maps.Keys(r.Header)) { // the later one of two spellings wins
			env[strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(name))] = strings.Join(r.Header[name], ", ")
		}
		page(w, env)
	}
}

// What a stranger makes a CGI program write by fields with underscores is no other client's page.
func fieldsWithUnderscoresPoisonNoPage(t *testing.T) {
	names := []string{
		"X_Forwarded_Host", "X_FORWARDED_PROTO", "X_Original_URL", "X_Rewrite_Url", "X_Http_Method_Override", "X_Method_Override", "If_None_Match", "If_Modified_Since", "If_Range",
		"If_Match", "Accept_Language", "Accept_Encoding", "X_Custom", "X_Api_Key", "X_Auth_Token", "Content_Length", "Transfer_Encoding", "X.Forwarded.Host", "X-Forwarded_Host",
		"Cache_Control", "Proxy_Authorization", "X_Requested_With", "Hx_Request",
	}
	handler := cgiHandler(func(w http.ResponseWriter, env map[string]string) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "Accept-Language, Accept-Encoding, X-Custom")
		w.Header().Set("Etag", `"1"`)
		switch {
		case env["IF_MATCH"] != "":
			w.WriteHeader(http.StatusPreconditionFailed)
			return
		case env["IF_NONE_MATCH"] == "evil" || env["IF_MODIFIED_SINCE"] == "evil":
			w.WriteHeader(http.StatusNotModified)
			return
		}
		for _, name := range slices.Sorted(maps.Keys(env)) {
			if name != "USER_AGENT" && name != "CACHE_CONTROL" {
				fmt.Fprint(w, name, "=", env[name], ";")
			}
		}
	})
	for _, name := range names {
		for _, first := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", comes first ", first), func(t *testing.T) {
				s := harness.NewSite(t, edgecache.Config{}, handler)
				dashed := http.CanonicalHeaderKey(strings.NewReplacer("_", "-", ".", "-").Replace(name))
				if !first {
					harness.Want(t, s.Get("/"), "MISS", 200, "")
				}
				s.Get("/", name, "evil")
				s.Get("/", name, "evil", dashed, "evil")
				s.Get("/", name, "evil", dashed, "good")
				r := s.Get("/")
				if got := harness.Body(t, r); r.StatusCode != 200 || got != "" {
					t.Errorf("who sends no such field gets %d %q", r.StatusCode, got)
				}
				if dashed == "X-Custom" || dashed == "Accept-Language" {
					harness.Want(t, s.Get("/", dashed, "good"), "MISS", 200, strings.ToUpper(strings.ReplaceAll(dashed, "-", "_"))+"=good;")
				}
			})
		}
	}
	t.Run("who sends the same gets it from the cache", func(t *testing.T) {
		s := harness.NewSite(t, edgecache.Config{}, handler)
		for _, name := range []string{"X_Custom", "X_Forwarded_Host", "If_None_Match", "Unknown_field"} {
			s.Get("/"+name, name, "a")
			require.Equal(t, "HIT", s.Get("/"+name, name, "a").Header.Get("X-Cache"), name)
		}
	})
}

// A handler that reads header fields knows nothing of underscores: for it X_Custom is another
// field, and what it makes without X-Custom is no page for clients that send one.
func anUnderscoreIsNotADashForAGoHandler(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		edgecache.Vary(w, "X-Custom")
		fmt.Fprint(w, "page ", r.Header.Get("X-Custom"))
	})
	harness.Want(t, s.Get("/", "X_Custom", "a"), "MISS", 200, "page ")
	harness.Want(t, s.Get("/", "X-Custom", "a"), "MISS", 200, "page a")
	harness.Want(t, s.Get("/"), "MISS", 200, "page ")
	harness.Want(t, s.Get("/", "X_Custom", "a"), "HIT", 200, "page ")
	harness.Want(t, s.Get("/", "X-Custom", "a"), "HIT", 200, "page a")
}

// A refresh carries the fields by which the page was chosen in the spelling of the client, so that
// what it makes is that page again; and the store tells the spellings apart, too.
func refreshesAndTheStoreKeepTheSpellingOfFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storetest.NewMap()
		calls := 0
		handler := cgiHandler(func(w http.ResponseWriter, env map[string]string) {
			calls++
			w.Header().Set("Cache-Control", "max-age=10, stale-while-revalidate=60")
			w.Header().Set("Vary", "X-Custom")
			fmt.Fprint(w, "page ", calls, env["X_CUSTOM"], env["X_FORWARDED_HOST"])
		})
		s := harness.NewSite(t, edgecache.Config{Store: store}, handler)
		fields := []string{"X_Custom", "a", "X_Forwarded_Host", "b"}
		harness.Want(t, s.Get("/", fields...), "MISS", 200, "page 1ab")
		time.Sleep(20 * time.Second)
		harness.Want(t, s.Get("/", fields...), "UPDATING", 200, "page 1ab")
		synctest.Wait()
		harness.Want(t, s.Get("/", fields...), "HIT", 200, "page 2ab")
		require.NoError(t, s.Edge.Close(t.Context()))
		again := harness.NewSite(t, edgecache.Config{Store: store}, handler)
		harness.Want(t, again.Get("/", "X-Custom", "a", "X_Forwarded_Host", "b"), "MISS", 200, "page 3ab")
		harness.Want(t, again.Get("/", fields...), "HIT", 200, "page 2ab")
		require.NoError(t, again.Edge.Close(t.Context()))
	})
}

// A megabyte of names that separate pages is passed on: it is neither looked up nor stored.
func aRequestWithAMegabyteOfNamesIsPassedOn(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, len(r.Header)) })
	var header []string
	for i := range 40_000 {
		header = append(header, fmt.Sprint("X_Forwarded_", i), "x")
	}
	for range 2 {
		r := s.Get("/", header...)
		require.Equal(t, "edgecache; fwd=bypass; detail=no-key", r.Header.Get("Cache-Status"))
		harness.Want(t, r, "DYNAMIC", 200, "40000")
	}
	require.Zero(t, s.Edge.Stats().Entries)
}
