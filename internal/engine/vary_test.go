package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestVary(t *testing.T) {
	t.Run("negotiation without Vary is noticed (RFC 9110, 12.5)", negotiationWithoutVaryIsNoticed)
	t.Run("a type from middleware outside counts", aTypeFromMiddlewareOutsideCounts)
	t.Run("a response with Vary is preferred to one without (RFC 9111, 4.1)", aResponseWithVaryIsPreferredToOneWithout)
	t.Run("the Accepts of strangers displace nothing that is used", theAcceptsOfStrangersDisplaceNothingThatIsUsed)
	t.Run("long lists are compared as a whole", longListsAreComparedAsAWhole)
	t.Run("a handler that ignores Accept runs once for each Accept in a lifetime", aHandlerThatIgnoresAcceptRunsOnceForEachAcceptInALifetime)
	t.Run("after a change each Accept is asked for again", afterAChangeEachAcceptIsAskedForAgain)
	t.Run("representations are refreshed separately", representationsAreRefreshedSeparately)
	t.Run("a refresh is made for the same preferences", aRefreshIsMadeForTheSamePreferences)
	t.Run("waiters get only a response for their own Accept", waitersGetOnlyAResponseForTheirOwnAccept)
	t.Run("a refusal for another Accept changes nothing", aRefusalForAnotherAcceptChangesNothing)
	t.Run("the reason names accept", theReasonNamesAccept)
	t.Run("HEAD is negotiated like GET", headIsNegotiatedLikeGET)
}

const (
	chromeAccept  = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
	firefoxAccept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
)

// An asking is a request, and how it is answered.
type asking struct {
	fields string // "Accept: …|Accept-Language: …"
	want   string // the short status and the body
}

// steps sends requests for one page, one after the other.
func playSteps(s *harness.Site, target string, steps ...asking) {
	s.T.Helper()
	for i, st := range steps {
		var header []string
		for field := range strings.SplitSeq(st.fields, "|") {
			if name, value, ok := strings.Cut(field, ": "); ok {
				header = append(header, name, value)
			}
		}
		v := s.Visit(target, header...)
		require.False(s.T, v.Cut())
		if got := v.Header().Get("X-Cache") + " " + v.Text(); got != st.want {
			s.T.Errorf("%d: %q is answered with %q, want %q: %v", i, st.fields, got, st.want, v.Header())
		}
	}
}

// says answers with a type, "" for none, and a body that names it.
func says(w http.ResponseWriter, mediaType, body string) {
	if mediaType != "" {
		w.Header().Set("Content-Type", mediaType)
	}
	_, _ = io.WriteString(w, body)
}

// htmlOrJSON negotiates as most handlers do, and says nothing about it.
func htmlOrJSON(w http.ResponseWriter, r *http.Request, _ int) {
	if strings.HasPrefix(r.Header.Get("Accept"), "text/html") {
		says(w, "text/html; charset=utf-8", "html")
		return
	}
	says(w, "application/json", "json")
}

func byLanguage(w http.ResponseWriter, r *http.Request, _ int) {
	language := "en"
	if strings.HasPrefix(strings.ToLower(r.Header.Get("Accept-Language")), "de") {
		language = "de"
	}
	w.Header().Set("Content-Language", language)
	says(w, "text/html", language)
}

// An always is a handler that takes no notice of Accept.
func always(status int, mediaType, body string) func(http.ResponseWriter, *http.Request, int) {
	return func(w http.ResponseWriter, _ *http.Request, _ int) {
		if mediaType != "" {
			w.Header().Set("Content-Type", mediaType)
		}
		if status == 301 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func negotiationWithoutVaryIsNoticed(t *testing.T) {
	for _, row := range []struct {
		name    string
		handler func(http.ResponseWriter, *http.Request, int)
		steps   []asking
	}{
		{"each type is for those who name it", htmlOrJSON, []asking{
			{"Accept: application/json", "MISS json"}, {"Accept: " + chromeAccept, "MISS html"},
			{"Accept: application/json", "HIT json"}, {"Accept: " + chromeAccept, "HIT html"}, {"Accept: " + firefoxAccept, "HIT html"},
			{"Accept: application/json, text/plain, */*", "HIT json"},
		}},
		{"whoever takes anything gets what there is", htmlOrJSON, []asking{
			{"Accept: " + firefoxAccept, "MISS html"}, {"", "HIT html"}, {"Accept: */*", "HIT html"}, {"Accept: */*;q=0.8", "HIT html"},
		}},
		{"and is no reason to give that to others", htmlOrJSON, []asking{
			{"", "MISS json"}, {"Accept: */*", "HIT json"}, {"Accept: " + firefoxAccept, "MISS html"}, {"Accept: */*", "HIT json"}, {"Accept: " + firefoxAccept, "HIT html"},
		}},
		{"of two that are named the one that is wanted more", htmlOrJSON, []asking{
			{"Accept: text/html", "MISS html"}, {"Accept: application/json", "MISS json"},
			{"Accept: text/html;q=0.1, application/json", "HIT json"}, {"Accept: application/json;q=0.1, text/html", "HIT html"},
		}},
		{"what is refused is not named", htmlOrJSON, []asking{
			{"Accept: text/html", "MISS html"}, {"Accept: text/html;q=0, */*", "MISS html"}, {"Accept: text/html;q=0, application/json", "MISS html"}, {"Accept: text/html;q=0, */*", "HIT html"},
		}},
		{"an unknown preference is asked for once", htmlOrJSON, []asking{
			{"Accept: text/html", "MISS html"}, {"Accept: x/y", "MISS json"}, {"Accept: x/y", "HIT json"}, {"Accept: x/z", "MISS json"}, {"Accept: x/y", "HIT json"}, {"Accept: x/z", "HIT json"}, {"Accept: text/html", "HIT html"},
		}},
		{"a type that is sniffed counts as it is sent", func(w http.ResponseWriter, r *http.Request, _ int) {
			if strings.HasPrefix(r.Header.Get("Accept"), "text/html") {
				says(w, "", "<html>")
				return
			}
			says(w, "", "{}")
		}, []asking{
			{"Accept: application/json", "MISS {}"}, {"Accept: " + chromeAccept, "MISS <html>"}, {"Accept: text/plain", "HIT {}"}, {"Accept: text/html", "HIT <html>"}, {"Accept: application/json", "HIT {}"},
		}},
		{"image/* names image/png", always(200, "image/png", "png"), []asking{
			{"Accept: image/png", "MISS png"}, {"Accept: image/avif,image/*;q=0.8,*/*;q=0.5", "HIT png"}, {"Accept: text/html, image/*;q=0.1", "HIT png"}, {"Accept: image/*, image/png;q=0", "MISS png"},
		}},
		{"parameters", always(200, "text/html;level=1;charset=utf-8", "page"), []asking{
			{"Accept: text/html;level=1", "MISS page"}, {"Accept: text/html", "HIT page"}, {"Accept: text/html;charset=latin1", "HIT page"}, {"Accept: text/html;level=2", "MISS page"}, {"Accept: text/html;level=2", "HIT page"},
		}},
		{"versions of an interface in Accept", func(w http.ResponseWriter, r *http.Request, _ int) {
			says(w, "application/json", r.Header.Get("Accept"))
		}, []asking{
			{"Accept: application/vnd.api.v1+json", "MISS application/vnd.api.v1+json"}, {"Accept: application/vnd.api.v2+json", "MISS application/vnd.api.v2+json"},
			{"Accept: application/vnd.api.v1+json", "HIT application/vnd.api.v1+json"}, {"Accept: application/vnd.api.v2+json", "HIT application/vnd.api.v2+json"},
			{"Accept: application/json;version=2", "MISS application/json;version=2"}, {"Accept: application/json;version=3", "MISS application/json;version=3"},
			{"Accept: application/json;version=2", "HIT application/json;version=2"},
		}},
		{"what a stranger falls back to is not preferred to what is for those who name it", func(w http.ResponseWriter, r *http.Request, _ int) {
			if strings.Contains(r.Header.Get("Accept"), "text/html") {
				says(w, "text/html", "page")
				return
			}
			says(w, "text/html", "fallback")
		}, []asking{
			{"Accept: " + chromeAccept, "MISS page"}, {"Accept: x/y", "MISS fallback"}, {"Accept: " + firefoxAccept, "HIT page"}, {"Accept: " + chromeAccept, "HIT page"}, {"Accept: */*", "HIT page"},
		}},
		{"on several lines it is another request", htmlOrJSON, []asking{
			{"Accept: application/json, text/html;q=0.1", "MISS json"}, {"Accept: x/y|Accept: text/html", "MISS json"}, {"Accept: x/y, text/html", "MISS json"}, {"Accept: x/y|Accept: text/html", "HIT json"},
		}},
		{"where Vary says Accept, that decides", func(w http.ResponseWriter, r *http.Request, call int) {
			w.Header().Set("Vary", "Accept")
			htmlOrJSON(w, r, call)
		}, []asking{
			{"Accept: " + chromeAccept, "MISS html"}, {"Accept: " + firefoxAccept, "MISS html"}, {"Accept: */*", "MISS json"}, {"Accept: " + firefoxAccept, "HIT html"},
		}},
		{"each language is for those who name it", byLanguage, []asking{
			{"Accept-Language: de", "MISS de"}, {"Accept-Language: en", "MISS en"}, {"Accept-Language: de-DE,de;q=0.9,en;q=0.8", "HIT de"}, {"Accept-Language: en-US,en;q=0.9", "HIT en"}, {"", "HIT en"},
			{"Accept-Language: *", "HIT en"}, {"Accept-Language: fr", "MISS en"}, {"Accept-Language: fr", "HIT en"}, {"Accept-Language: de;q=0, en", "HIT en"},
		}},
		{"a language that the response does not have is no preference", always(200, "text/html", "page"), []asking{
			{"Accept-Language: de", "MISS page"}, {"Accept-Language: en", "HIT page"}, {"", "HIT page"},
		}},
		{"both count", func(w http.ResponseWriter, r *http.Request, call int) {
			if r.Header.Get("Accept") == "application/json" {
				says(w, "application/json", "json")
				return
			}
			byLanguage(w, r, call)
		}, []asking{
			{"Accept: text/html|Accept-Language: de", "MISS de"}, {"Accept: application/json|Accept-Language: de", "MISS json"}, {"Accept: text/html|Accept-Language: en", "MISS en"},
			{"Accept: text/html|Accept-Language: de", "HIT de"}, {"Accept: application/json|Accept-Language: en", "HIT json"}, {"Accept: text/html|Accept-Language: fr, en;q=0.5", "HIT en"},
		}},
		{"of what CGI reads as Accept-Language", func(w http.ResponseWriter, r *http.Request, call int) {
			if line := r.Header["Accept_language"]; len(line) > 0 {
				r.Header["Accept-Language"] = line
			}
			byLanguage(w, r, call)
		}, []asking{
			{"Accept-Language: en", "MISS en"}, {"Accept_language: de", "MISS de"}, {"Accept-Language: en", "HIT en"}, {"Accept_language: de", "HIT de"},
		}},
		{"a plain 404 is for all", always(404, "text/plain; charset=utf-8", "404 page not found"), []asking{
			{"Accept: " + chromeAccept, "MISS 404 page not found"}, {"Accept: image/png", "HIT 404 page not found"}, {"Accept: application/json", "HIT 404 page not found"},
		}},
		{"another 404 is for those who name it", always(404, "application/problem+json", "{}"), []asking{
			{"Accept: application/problem+json", "MISS {}"}, {"Accept: text/html", "MISS {}"}, {"Accept: text/html", "HIT {}"},
		}},
		{"a redirect is for all", always(301, "text/html", "moved"), []asking{
			{"Accept: " + chromeAccept, "MISS moved"}, {"Accept: application/json", "HIT moved"},
		}},
		{"nothing at all is for all", always(200, "", ""), []asking{
			{"Accept: " + chromeAccept, "MISS "}, {"Accept: application/json", "HIT "},
		}},
		{"a stranger's 404 is his own", func(w http.ResponseWriter, r *http.Request, call int) {
			if strings.HasPrefix(r.Header.Get("Accept"), "x/") {
				http.Error(w, "unknown type", http.StatusNotFound)
				return
			}
			htmlOrJSON(w, r, call)
		}, []asking{
			{"Accept: text/html", "MISS html"}, {"Accept: x/y", "MISS unknown type\n"}, {"Accept: text/html", "HIT html"}, {"Accept: " + firefoxAccept, "HIT html"}, {"", "HIT html"}, {"Accept: x/y", "HIT unknown type\n"}, {"Accept: x/z", "MISS unknown type\n"},
		}},
		{"a stranger's 406 is, also if he comes first", func(w http.ResponseWriter, r *http.Request, call int) {
			if strings.HasPrefix(r.Header.Get("Accept"), "x/") {
				w.Header().Set("Cache-Control", "max-age=60")
				http.Error(w, "no", http.StatusNotAcceptable)
				return
			}
			htmlOrJSON(w, r, call)
		}, []asking{
			{"Accept: x/y", "MISS no\n"}, {"Accept: text/html", "MISS html"}, {"", "HIT html"}, {"Accept: x/y", "HIT no\n"}, {"Accept: x/z", "MISS no\n"},
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				playSteps(harness.NewCountedSite(t, edgecache.Config{}, row.handler), "/", row.steps...)
			})
		})
	}
}

// The type that middleware outside has said counts like the handler's own.
func aTypeFromMiddlewareOutsideCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, _ int) {
			if strings.HasPrefix(r.Header.Get("Accept"), "text/html") {
				says(w, "text/html", "html")
				return
			}
			says(w, "", "json")
		})
		inner := s.Handler
		s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			inner.ServeHTTP(w, r)
		})
		playSteps(s, "/", asking{"Accept: application/json", "MISS json"}, asking{"Accept: text/html", "MISS html"}, asking{"Accept: application/json;q=0.5", "HIT json"}, asking{"Accept: text/html", "HIT html"})
	})
}

// RFC 9111, 4.1, last paragraph: of several responses one with Vary is preferred to one without.
func aResponseWithVaryIsPreferredToOneWithout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, _ int) {
			n++
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Cache-Control", "max-age=60")
			if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				w.Header().Set("Vary", "Accept-Encoding")
				w.Header().Set("Content-Encoding", "gzip")
				fmt.Fprint(w, "gzip ", n)
				return
			}
			fmt.Fprint(w, "plain ", n)
		})
		gzip := "Accept-Encoding: gzip"
		playSteps(s, "/", asking{gzip, "MISS gzip 1"}, asking{"", "MISS plain 2"}, asking{gzip, "HIT gzip 1"}, asking{"", "HIT plain 2"}, asking{"Accept-Encoding: br", "HIT plain 2"})
		// The one with Vary is preferred though it is stale, and fetched again.
		time.Sleep(59 * time.Second)
		playSteps(s, "/", asking{"Accept-Encoding: gzip, br", "HIT plain 2"})
		time.Sleep(time.Second)
		playSteps(s, "/", asking{"", "EXPIRED plain 3"}, asking{gzip, "EXPIRED gzip 4"}, asking{"", "HIT plain 3"}, asking{gzip, "HIT gzip 4"})
	})
}

// A thousand Accepts of strangers displace nothing that is used, neither where the handler makes
// something else for each nor where it takes no notice, and however large the page is.
func theAcceptsOfStrangersDisplaceNothingThatIsUsed(t *testing.T) {
	body := text(100 << 10)
	for name, handler := range map[string]func(http.ResponseWriter, *http.Request, int){
		"the handler makes something for each": func(w http.ResponseWriter, r *http.Request, _ int) {
			if accept := r.Header.Get("Accept"); strings.HasPrefix(accept, "x/") {
				says(w, "application/json", accept)
				return
			}
			htmlOrJSON(w, r, 0)
		},
		"the handler takes no notice":    always(200, "application/pdf", "pdf"),
		"nor does one with a large body": always(200, "application/pdf", body),
		"and one that says Content-Length": func(w http.ResponseWriter, r *http.Request, _ int) {
			w.Header().Set("Content-Length", "3")
			says(w, "application/pdf", "pdf")
		},
	} {
		t.Run(name, func(t *testing.T) {
			strangers := 1000
			if strings.Contains(name, "large") {
				strangers = 100
			}
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewCountedSite(t, edgecache.Config{MaxBytes: 8 << 20, MaxObjectBytes: 120 << 10}, handler)
				visitors := []string{chromeAccept, firefoxAccept, "*/*", "application/json"}
				for range 2 {
					for _, accept := range visitors {
						askTimes(s, 1, "/", "Accept", accept)
					}
				}
				for i := range strangers {
					askTimes(s, 1, "/", "Accept", fmt.Sprint("x/", i))
				}
				for _, accept := range visitors {
					require.True(t, hasStored(s, "/", "Accept", accept), accept)
				}
				require.LessOrEqual(t, s.Edge.Stats().Entries, 64)
			})
		})
	}
}

// A list longer than browsers send is compared as a whole: it would be read once for each variant,
// however long it is. A client that sends it again is answered, and one that names a type in a list
// of that length runs the handler.
func longListsAreComparedAsAWhole(t *testing.T) {
	for _, name := range []string{"Accept", "Accept-Language"} {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, n int) {
				w.Header().Set("Content-Language", "en")
				says(w, "text/html", fmt.Sprint(n))
			})
			named := "text/html"
			if name == "Accept-Language" {
				named = "en"
			}
			fitting := strings.Repeat("x/y,", 250) + named
			long := strings.Repeat("x/y,", 300) + named
			endless := strings.Repeat(`"",`, 300_000)
			wild := strings.Repeat("*,", 600) + "*"
			playSteps(s, "/", asking{name + ": " + named, "MISS 1"}, asking{name + ": " + fitting, "HIT 1"},
				asking{name + ": " + long, "MISS 2"}, asking{name + ": " + long, "HIT 2"},
				asking{name + ": " + wild, "MISS 3"}, asking{name + ": " + wild, "HIT 3"},
				asking{name + ": " + endless, "MISS 4"}, asking{name + ": " + endless, "HIT 4"},
				asking{name + ": " + named, "HIT 1"})
		})
	}
}

// What a handler gives to every Accept is stored once, and each Accept runs it once in a lifetime.
func aHandlerThatIgnoresAcceptRunsOnceForEachAcceptInALifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, always(200, "application/pdf", "pdf"))
		for range 3 {
			for _, accept := range []string{chromeAccept, firefoxAccept, "application/json", "x/y"} {
				askTimes(s, 1, "/", "Accept", accept)
			}
		}
		require.Equal(t, 4, s.Calls())
		require.Equal(t, 1, s.Edge.Stats().Entries)
		time.Sleep(edgecache.DefaultTTL)
		for range 3 {
			for _, accept := range []string{firefoxAccept, chromeAccept} {
				askTimes(s, 1, "/", "Accept", accept)
			}
		}
		require.Equal(t, 6, s.Calls())
		require.Equal(t, 1, s.Edge.Stats().Entries)
	})
}

// What was the same once need not be the same again: after a change each Accept is asked for again.
func afterAChangeEachAcceptIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changed := false
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, _ int) {
			if changed {
				says(w, "application/json", r.Header.Get("Accept"))
				return
			}
			says(w, "application/json", "[]")
		})
		playSteps(s, "/", asking{"Accept: v/1", "MISS []"}, asking{"Accept: v/2", "MISS []"}, asking{"Accept: v/2", "HIT []"}, asking{"Accept: v/1", "HIT []"})
		changed = true
		time.Sleep(edgecache.DefaultTTL)
		playSteps(s, "/", asking{"Accept: v/2", "EXPIRED v/2"}, asking{"Accept: v/1", "MISS v/1"}, asking{"Accept: v/2", "HIT v/2"}, asking{"Accept: v/1", "HIT v/1"})
	})
}

// A refresh by one representation leaves the other where it is, and what is gone for good does not
// stay for ever.
func representationsAreRefreshedSeparately(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		onlyJSON := false
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			w.Header().Set("Cache-Control", "max-age=10")
			if onlyJSON {
				r.Header.Set("Accept", "application/json")
			}
			htmlOrJSON(w, r, call)
		})
		playSteps(s, "/", asking{"Accept: text/html", "MISS html"}, asking{"Accept: application/json", "MISS json"})
		time.Sleep(10 * time.Second)
		playSteps(s, "/", asking{"Accept: application/json", "EXPIRED json"}, asking{"Accept: text/html", "EXPIRED html"}, asking{"Accept: application/json", "HIT json"}, asking{"Accept: text/html", "HIT html"})
		require.Equal(t, 2, s.Edge.Stats().Entries)
		onlyJSON = true
		time.Sleep(10 * time.Second)
		playSteps(s, "/", asking{"Accept: text/html", "EXPIRED json"}, asking{"Accept: text/html", "HIT json"}, asking{"Accept: " + firefoxAccept, "MISS json"}, asking{"Accept: " + firefoxAccept, "HIT json"})
	})
}

// A client that takes anything refreshes nothing for those that do not, in the background either.
func aRefreshIsMadeForTheSamePreferences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			w.Header().Set("Cache-Control", "max-age=10, stale-while-revalidate=60")
			htmlOrJSON(w, r, call)
		})
		playSteps(s, "/", asking{"Accept: " + chromeAccept, "MISS html"})
		time.Sleep(20 * time.Second)
		playSteps(s, "/", asking{"Accept: " + chromeAccept, "UPDATING html"})
		synctest.Wait()
		playSteps(s, "/", asking{"Accept: " + chromeAccept, "HIT html"})
		time.Sleep(20 * time.Second)
		playSteps(s, "/", asking{"Accept: */*", "UPDATING html"})
		synctest.Wait()
		playSteps(s, "/", asking{"Accept: */*", "HIT json"}, asking{"Accept: " + chromeAccept, "UPDATING html"})
		synctest.Wait()
		playSteps(s, "/", asking{"Accept: " + chromeAccept, "HIT html"})
	})
}

// Waiters for a response that is not for their Accept do not get it, and wait for one that
// is.
func waitersGetOnlyAResponseForTheirOwnAccept(t *testing.T) {
	for _, mediaType := range []string{"text/html", ""} {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewOrigin(t, edgecache.Config{})
			html := []string{}
			if mediaType != "" {
				html = []string{"Content-Type", mediaType}
			}
			first := s.Send("GET", "/", "Accept", firefoxAccept)
			page := s.Called()
			again := s.Send("GET", "/", "Accept", firefoxAccept)
			one, two := s.Send("GET", "/", "Accept", "application/json"), s.Send("GET", "/", "Accept", "application/json")
			s.Idle()
			page.Says(func(w http.ResponseWriter) {
				if len(html) > 0 {
					w.Header().Set(html[0], html[1])
				}
				_, _ = io.WriteString(w, "<html>")
				_ = http.NewResponseController(w).Flush()
			})
			json := s.Called() // one for both
			s.Idle()
			json.Writes("{}", "Content-Type", "application/json")
			page.Ends()
			first.Gets(t, "MISS", 200, "<html>")
			again.Gets(t, "HIT", 200, "<html>")
			words := []string{one.Sent.Get("X-Cache"), two.Sent.Get("X-Cache")}
			require.ElementsMatch(t, []string{"MISS", "HIT"}, words)
			require.Equal(t, "{}{}", one.Body.String()+two.Body.String())
			s.Send("GET", "/", "Accept", "text/html").Gets(t, "HIT", 200, "<html>")
			s.Send("GET", "/", "Accept", "application/json").Gets(t, "HIT", 200, "{}")
		})
	}
}

// A stranger whose Accept the handler refuses, or forbids to store, neither takes the page from
// others nor keeps them from waiting for each other.
func aRefusalForAnotherAcceptChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewOrigin(t, edgecache.Config{})
		first := s.Send("GET", "/", "Accept", "text/html")
		s.Called().Writes("page", "Content-Type", "text/html")
		first.Gets(t, "MISS", 200, "page")
		stranger := s.Send("GET", "/", "Accept", "x/y")
		s.Called().Writes("", "Cache-Control", "no-store")
		stranger.Gets(t, "BYPASS", 200, "")
		s.Send("GET", "/", "Accept", "text/html").Gets(t, "HIT", 200, "page")
		time.Sleep(edgecache.DefaultTTL - time.Minute)
		stranger = s.Send("GET", "/", "Accept", "x/y")
		s.Called().Writes("", "Cache-Control", "no-store")
		stranger.Gets(t, "BYPASS", 200, "")
		time.Sleep(time.Minute)
		one, two := s.Send("GET", "/", "Accept", "text/html"), s.Send("GET", "/", "Accept", "text/html")
		s.Called().Writes("new", "Content-Type", "text/html")
		one.Gets(t, "EXPIRED", 200, "new")
		two.Gets(t, "HIT", 200, "new")
		s.Idle()
	})
}

func theReasonNamesAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		s := harness.NewCountedSite(t, edgecache.Config{Observer: func(ev edgecache.Event) { told = append(told, ev.Forward.String()) }}, htmlOrJSON)
		askTimes(s, 1, "/", "Accept", "text/html")
		x := s.Edge.Explain(harness.Request("GET", "/", "Accept", "application/json"))
		require.Equal(t, edgecache.Miss, x.Status)
		require.Equal(t, "accept", x.Reason.String())
		v := s.Visit("/", "Accept", "application/json")
		require.False(t, v.Cut())
		require.Contains(t, v.Header().Get("Cache-Status"), "fwd=vary-miss; stored; ttl=120; detail=accept")
		require.Equal(t, []string{"uri-miss", "accept"}, told)
		require.Equal(t, edgecache.Hit, s.Edge.Explain(harness.Request("GET", "/", "Accept", "application/json")).Status)
	})
}

// HEAD is for the same representation as GET.
func headIsNegotiatedLikeGET(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, htmlOrJSON)
		askTimes(s, 1, "/", "Accept", "text/html")
		head := func(accept string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			s.Handler.ServeHTTP(w, harness.Request("HEAD", "/", "Accept", accept))
			return w
		}
		require.Equal(t, "HIT", head("text/html").Header().Get("X-Cache"))
		other := head("application/json")
		require.NotEqual(t, "HIT", other.Header().Get("X-Cache"))
		require.Equal(t, "application/json", other.Header().Get("Content-Type"))
	})
}
