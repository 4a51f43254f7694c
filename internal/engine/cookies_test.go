package engine_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestCookies(t *testing.T) {
	t.Run("visitors without a session share one page", visitorsWithoutASessionShareOnePage)
	t.Run("ignored cookies reach no fetch", ignoredCookiesReachNoFetch)
	t.Run("an ignored field makes no variants", anIgnoredFieldMakesNoVariants)
	t.Run("mistakes in IgnoreFields are reported", mistakesInIgnoreFieldsAreReported)
	t.Run("the default list ignores analytics cookies", theDefaultListIgnoresAnalyticsCookies)
	t.Run("the credential is named, and its value is not told", theCredentialIsNamedAndItsValueIsNotTold)
	t.Run("ignored cookies are passed on with what is not stored", ignoredCookiesArePassedOnWithWhatIsNotStored)
	t.Run("what a handler saw beside the key is not stored after a wait", whatAHandlerSawBesideTheKeyIsNotStoredAfterAWait)
	t.Run("nor when it is asked again for a part", norWhenItIsAskedAgainForAPart)
}

// seesCookies answers with the lines of Cookie that reach it, and says Vary: Cookie as session
// middleware does.
func seesCookies(w http.ResponseWriter, r *http.Request, _ int) {
	w.Header().Add("Vary", "Cookie")
	fmt.Fprintf(w, "%q", r.Header["Cookie"])
}

// A thousand visitors with an analytics cookie each, and no session, make one page.
func visitorsWithoutASessionShareOnePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, seesCookies)
		for i := range 1000 {
			v := s.Visit("/", "Cookie", fmt.Sprintf("_ga=GA1.1.%d; _gid=%d", i, i))
			require.False(t, v.Cut())
			require.Equal(t, `[]`, v.Text())
			if status := v.Header().Get("X-Cache"); (status == "HIT") != (i > 0) {
				t.Fatalf("visitor %d: %s", i, status)
			}
		}
		require.Equal(t, uint64(999), s.Edge.Stats().Hits)
		playSteps(s, "/", asking{"", "HIT []"}, asking{"Cookie: _ga=1|Cookie: __cf_bm=2", "HIT []"})
	})
}

// What is not read by the application reaches no handler whose response may be kept, and every
// other one.
func ignoredCookiesReachNoFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		s := harness.NewCountedSite(t, edgecache.Config{IgnoreFields: []string{"HX-Current-URL", "X_Acme_*"}}, func(w http.ResponseWriter, r *http.Request, _ int) {
			seen = append(seen, fmt.Sprintf("%q %q %q", r.Header["Cookie"], r.Header["Hx-Current-Url"], r.Header["X-Acme-User"]))
			w.Header().Set("Cache-Control", "public, max-age=10, stale-while-revalidate=60")
			w.Header().Set("Vary", "Cookie, HX-Current-URL")
			fmt.Fprint(w, "page")
		})
		send := func(method, cookie, want string) {
			t.Helper()
			seen = nil
			w, r := httptest.NewRecorder(), harness.Request(method, "/", "HX-Current-URL", "https://evil/", "X-Acme-User", "eve")
			for line := range strings.SplitSeq(cookie, "|") {
				r.Header.Add("Cookie", line)
			}
			header := r.Header.Clone()
			s.Handler.ServeHTTP(w, r)
			synctest.Wait()
			require.Equal(t, header, r.Header, "the client's own request stays as it is")
			require.Equal(t, want, w.Header().Get("X-Cache")+" "+strings.Join(seen, ", "))
		}
		send("GET", "_ga=evil", "MISS [] [] []")
		send("GET", "_ga=other|_gid=1", "HIT ")
		time.Sleep(20 * time.Second)
		send("GET", "_ga=evil", "UPDATING [] [] []") // the refresh
		send("GET", "_ga=1", "HIT ")
		send("GET", `a=1;_ga=evil;  b="2"|_gid=evil`, `MISS ["a=1;  b=\"2\""] [] []`)
		send("GET", `a=1;  b="2"; _ga=3`, "HIT ")
		send("POST", "_ga=1; a=2", `DYNAMIC ["_ga=1; a=2"] ["https://evil/"] ["eve"]`)
	})
	synctest.Test(t, func(t *testing.T) {
		var seen string
		s := harness.NewCountedSite(t, edgecache.Config{IgnoreFields: []string{"HX-Current-URL"}}, func(w http.ResponseWriter, r *http.Request, _ int) {
			seen = fmt.Sprint(r.Header["Cookie"], r.Header["Hx-Current-Url"])
			fmt.Fprint(w, "page")
		})
		askTimes(s, 1, "/healthz", "Cookie", "_ga=1", "HX-Current-URL", "/")
		require.Equal(t, "[_ga=1] [/]", seen, "what is passed on keeps them")
		askTimes(s, 1, "/", "Cookie", "_ga=1", "HX-Current-URL", "/", "If-Match", `"x"`)
		require.Equal(t, "[_ga=1] [/]", seen)
	})
}

// A config that says that a field is never read gets one fragment for all of its values.
func anIgnoredFieldMakesNoVariants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := func(cfg edgecache.Config) int {
			s := harness.NewCountedSite(t, cfg, func(w http.ResponseWriter, _ *http.Request, _ int) { fmt.Fprint(w, "part") })
			for i := range 10 {
				askTimes(s, 1, "/", "HX-Request", "true", "HX-Current-URL", fmt.Sprint("/", i))
			}
			askTimes(s, 1, "/", "HX-Request", "true")
			return s.Calls()
		}
		require.Equal(t, 11, runs(edgecache.Config{}), "a part may depend on the page that it is for")
		require.Equal(t, 1, runs(edgecache.Config{IgnoreFields: []string{"hx_current_url"}}))
		require.Equal(t, 1, runs(edgecache.Config{IgnoreFields: []string{"HX-Curr*"}}))
	})
	// A language that the application does not read is no preference.
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{IgnoreFields: []string{"Accept-Language"}}, func(w http.ResponseWriter, r *http.Request, call int) {
			w.Header().Set("Vary", "Accept-Language")
			byLanguage(w, r, call)
		})
		playSteps(s, "/", asking{"Accept-Language: de", "MISS en"}, asking{"Accept-Language: en", "HIT en"}, asking{"Accept-Language: fr", "HIT en"}, asking{"", "HIT en"})
	})
}

func mistakesInIgnoreFieldsAreReported(t *testing.T) {
	for _, name := range []string{"Host", "cookie", "Authorization", "Range", "Cache-Control", "*", "", "a b", "X-*-Y", "C*", "If_Range", "Origin"} {
		_, err := edgecache.New(edgecache.Config{IgnoreFields: []string{"HX-Current-URL", name}})
		var mistake *edgecache.ConfigError
		require.ErrorAs(t, err, &mistake, name)
		require.Equal(t, "IgnoreFields[1]", mistake.Field)
		require.Equal(t, name, mistake.Value)
	}
	names := []string{"hx-current-url"}
	_, err := edgecache.New(edgecache.Config{IgnoreFields: names})
	require.NoError(t, err)
	require.Equal(t, []string{"hx-current-url"}, names, "the list is the caller's")
}

func theDefaultListIgnoresAnalyticsCookies(t *testing.T) {
	names := edgecache.DefaultIgnoreCookies()
	for i, name := range names {
		require.NotContains(t, names[:i], name, "twice")
	}
	_, err := edgecache.New(edgecache.Config{IgnoreCookies: names})
	require.NoError(t, err)
	edge, err := edgecache.New(edgecache.Config{})
	require.NoError(t, err)
	for _, name := range []string{
		"_ga", "_ga_ABC", "AWSALB", "AWSALBCORS", "AWSALBTG", "AWSALBTGCORS", "AWSELB", "__cf_bm", "_cfuvid", "cf_clearance", "ak_bmsc", "ARRAffinity", "ARRAffinitySameSite", "GCLB",
		"incap_ses_1_2", "visid_incap_3", "CookieConsent", "OptanonConsent", "cookieyes-consent", "euconsent-v2", "__stripe_mid", "_ttp",
	} {
		require.Equal(t, edgecache.Miss, edge.Explain(harness.Request("GET", "/", "Cookie", name+"=1")).Status)
		require.Empty(t, edge.Explain(harness.Request("GET", "/", "Cookie", name+"=1")).Credential, name)
	}
	for _, name := range []string{"session", "lang", "theme", "SERVERID", "PHPSESSID", "sessionid", "connect.sid", "AWS", "__stripe", "incap"} {
		require.Equal(t, "Cookie: "+name, edge.Explain(harness.Request("GET", "/", "Cookie", "_ga=1; "+name+"=secret")).Credential)
		require.False(t, slices.Contains(names, name))
	}
}

// Event and Explain name what made a request credentialed, and never tell its value.
func theCredentialIsNamedAndItsValueIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []edgecache.Event
		s := harness.NewCountedSite(t, edgecache.Config{Observer: func(ev edgecache.Event) { events = append(events, ev) }}, func(w http.ResponseWriter, _ *http.Request, _ int) { fmt.Fprint(w, "page") })
		for header, want := range map[string]string{
			"Cookie=_ga=1; sid=secret": "Cookie: sid", "X-Tenant-Id=secret": "X-Tenant-Id", "X_api_key=secret": "X-Api-Key", "Authorization=Bearer secret": "Authorization", "Cookie=secret": "Cookie", "Cookie=_ga=1": "",
		} {
			events = nil
			name, value, _ := strings.Cut(header, "=")
			askTimes(s, 1, "/", name, value)
			require.Len(t, events, 1)
			require.Equal(t, want, events[0].Credential)
			x := s.Edge.Explain(harness.Request("GET", "/", name, value))
			require.Equal(t, want, x.Credential)
			require.NotContains(t, fmt.Sprint(x), "secret")
		}
	})
}

// What could not be stored lately is passed on as it came. As soon as it can be stored, the request
// after that makes it, without what is not read.
func ignoredCookiesArePassedOnWithWhatIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secret := true
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, _ int) {
			if secret {
				edgecache.NoStore(w)
			}
			fmt.Fprintf(w, "%q", r.Header["Cookie"])
		})
		ga := "Cookie: _ga=1"
		playSteps(s, "/", asking{ga, "BYPASS []"}, asking{ga, `BYPASS ["_ga=1"]`}, asking{ga, `BYPASS ["_ga=1"]`})
		secret = false
		playSteps(s, "/", asking{ga, `BYPASS ["_ga=1"]`}, asking{ga, "MISS []"}, asking{ga, "HIT []"}, asking{"", "HIT []"})
	})
}

// A request with a Range that has waited for a response which is not stored goes to the handler as
// it came. The handler sees what the application never reads, so the response must not be stored.
func whatAHandlerSawBesideTheKeyIsNotStoredAfterAWait(t *testing.T) {
	for _, field := range []string{"X-Ignored: evil", "Cookie: _ga=evil"} {
		synctest.Test(t, func(t *testing.T) {
			gate := make(chan struct{})
			s := harness.NewCountedSite(t, edgecache.Config{IgnoreFields: []string{"X-Ignored"}}, func(w http.ResponseWriter, r *http.Request, call int) {
				if call == 1 {
					<-gate
					edgecache.NoStore(w)
					return
				}
				edgecache.MaxAge(w, time.Minute)
				fmt.Fprintf(w, "seen: %s%s", r.Header.Get("X-Ignored"), r.Header.Get("Cookie"))
			})
			name, value, _ := strings.Cut(field, ": ")
			go s.Handler.ServeHTTP(httptest.NewRecorder(), harness.Request("GET", "/"))
			synctest.Wait()
			go s.Handler.ServeHTTP(httptest.NewRecorder(), harness.Request("GET", "/", name, value, "Range", "bytes=0-99"))
			synctest.Wait()
			close(gate)
			synctest.Wait()
			w := httptest.NewRecorder()
			s.Handler.ServeHTTP(w, harness.Request("GET", "/"))
			require.Equal(t, "seen: ", w.Body.String(), field)
		})
	}
}

// A part that lies far behind in a response that is not stored is asked of the handler at once. It
// sees the request as it came, so whatever it says then is not stored.
func norWhenItIsAskedAgainForAPart(t *testing.T) {
	const size = 100_000
	s := harness.NewCountedSite(t, edgecache.Config{IgnoreFields: []string{"X-Ignored"}, MaxObjectBytes: 8 << 10}, func(w http.ResponseWriter, r *http.Request, _ int) {
		h := w.Header()
		h.Set("Content-Type", "text/plain")
		if r.Header.Get("Range") != "" {
			edgecache.MaxAge(w, time.Minute)
			fmt.Fprintf(w, "seen: %s", r.Header.Get("X-Ignored"))
			return
		}
		edgecache.NoStore(w)
		h.Set("ETag", `"1"`)
		h.Set("Accept-Ranges", "bytes")
		h.Set("Content-Length", strconv.Itoa(size))
		_, _ = w.Write(make([]byte, size))
	})
	part := httptest.NewRecorder()
	s.Handler.ServeHTTP(part, harness.Request("GET", "/", "X-Ignored", "evil", "Range", "bytes=50000-50009"))
	require.Equal(t, "seen: evil", part.Body.String())
	whole := httptest.NewRecorder()
	s.Handler.ServeHTTP(whole, harness.Request("GET", "/"))
	require.Len(t, whole.Body.Bytes(), size)
}
