package edgecache_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/policy"
)

func TestPolicy(t *testing.T) {
	t.Run("a policy fills in and the stricter wins", aPolicyFillsInAndTheStricterWins)
	t.Run("a policy is bound by Expires (RFC 9111, 5.3)", aPolicyIsBoundByExpires)
	t.Run("a policy may be for statuses and methods", aPolicyMayBeForStatusesAndMethods)
	t.Run("a policy leaves an upgrade alone", aPolicyLeavesAnUpgradeAlone)
	t.Run("a policy adds to Vary and tags", aPolicyAddsToVaryAndTags)
	t.Run("a policy adds no other header", aPolicyAddsNoOtherHeader)
	t.Run("policies around policies only fill in", policiesAroundPoliciesOnlyFillIn)
	t.Run("a policy treats a 304 like the page", aPolicyTreatsA304LikeThePage)
	t.Run("Validate reports mistakes", validateReportsMistakes)
	t.Run("Routes reports each mistake", routesReportsEachMistake)
	t.Run("Routes chooses as http.ServeMux does", routesChoosesAsServeMuxDoes)
	t.Run("AfterRequest has the last word", afterRequestHasTheLastWord)
	t.Run("a policy does not speak for a panic", aPolicyDoesNotSpeakForAPanic)
	t.Run("CacheFor of a policy is for caches", cacheForOfAPolicyIsForCaches)
	t.Run("CacheFor of a policy around policies only fills in", cacheForOfAPolicyAroundPoliciesOnlyFillsIn)
}

// answer is a handler that sets header fields, name and value in turn, and answers status.
func answer(status int, fields ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(fields); i += 2 {
			w.Header().Add(fields[i], fields[i+1])
		}
		if status != 0 {
			w.WriteHeader(status)
		}
	})
}

func aPolicyFillsInAndTheStricterWins(t *testing.T) {
	const m = time.Minute
	cc := "Cache-Control"
	for _, tt := range []struct {
		name   string
		policy edgecache.Policy
		said   []string
		want   string
	}{
		{"what the handler left open is filled", edgecache.Policy{Public: true, MaxAge: m, SharedMaxAge: 2 * m, StaleWhileRevalidate: 3 * m, StaleIfError: 4 * m, Immutable: true}, nil,
			"public, immutable, max-age=60, s-maxage=120, stale-while-revalidate=180, stale-if-error=240"},
		{"must-revalidate is filled", edgecache.Policy{MustRevalidate: true, MaxAge: m}, nil, "must-revalidate, max-age=60"},
		{"the zero policy says nothing", edgecache.Policy{}, nil, ""},
		{"and leaves what stands there as it was written", edgecache.Policy{Tags: []string{"a"}}, []string{cc, "No-Cache,max-age=5"}, "No-Cache,max-age=5"},
		{"a shorter lifetime of the handler stays", edgecache.Policy{MaxAge: time.Hour}, []string{cc, "max-age=60"}, "max-age=60"},
		{"a longer one is cut", edgecache.Policy{MaxAge: m}, []string{cc, "max-age=3600"}, "max-age=60"},
		{"an unreadable one is stale and stays", edgecache.Policy{MaxAge: m}, []string{cc, "max-age=x"}, "max-age=x"},
		{"a shorter shared lifetime stays", edgecache.Policy{SharedMaxAge: time.Hour}, []string{cc, "s-maxage=60"}, "s-maxage=60"},
		{"a longer shared one is cut", edgecache.Policy{SharedMaxAge: m}, []string{cc, "s-maxage=3600"}, "s-maxage=60"},
		{"the handler's lifetime for all bounds the shared one", edgecache.Policy{SharedMaxAge: time.Hour}, []string{cc, "max-age=60"}, "max-age=60, s-maxage=60"},
		{"but not the policy's own", edgecache.Policy{MaxAge: m, SharedMaxAge: time.Hour}, nil, "max-age=60, s-maxage=3600"},
		{"an unreadable lifetime for all bounds the shared one to nothing", edgecache.Policy{SharedMaxAge: m}, []string{cc, "max-age=x"}, "max-age=x, s-maxage=0"},
		{"the handler's shared lifetime says nothing about browsers", edgecache.Policy{MaxAge: time.Hour}, []string{cc, "s-maxage=60"}, "s-maxage=60, max-age=3600"},
		{"shorter stale windows stay, longer are cut", edgecache.Policy{StaleWhileRevalidate: m, StaleIfError: m}, []string{cc, "stale-while-revalidate=5, stale-if-error=90"}, "stale-while-revalidate=5, stale-if-error=60"},
		{"no-store over a lifetime", edgecache.Policy{NoStore: true}, []string{cc, "public, max-age=60"}, "no-store"},
		{"a lifetime under no-store", edgecache.Policy{MaxAge: m, Public: true}, []string{cc, "no-store"}, "no-store"},
		{"no-cache over a lifetime", edgecache.Policy{NoCache: true}, []string{cc, "public, max-age=60"}, "public, no-cache"},
		{"a lifetime under no-cache", edgecache.Policy{MaxAge: m}, []string{cc, "no-cache"}, "no-cache"},
		{"private over public", edgecache.Policy{Private: true, MaxAge: m}, []string{cc, "public, s-maxage=9"}, "private, max-age=60"},
		{"public under private", edgecache.Policy{Public: true, SharedMaxAge: m}, []string{cc, "private"}, "private"},
		{"a stale window under must-revalidate", edgecache.Policy{MaxAge: m, StaleIfError: m}, []string{cc, "must-revalidate"}, "must-revalidate, max-age=60"},
		{"a restriction on the second line counts", edgecache.Policy{MaxAge: m}, []string{cc, "public", cc, "no-store"}, "no-store"},
		{"Pragma: no-cache alone means no-cache", edgecache.Policy{MaxAge: m, Public: true}, []string{"Pragma", "no-cache"}, "no-cache, public"},
		{"Pragma beside Cache-Control means nothing", edgecache.Policy{MaxAge: m}, []string{"Pragma", "no-cache", cc, "public"}, "public, max-age=60"},
	} {
		w := httptest.NewRecorder()
		tt.policy.Handler(answer(0, tt.said...)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if got := strings.Join(w.Header()[cc], " | "); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func aPolicyIsBoundByExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
		for _, tt := range []struct {
			name string
			said []string
			want string
		}{
			{"an earlier Expires bounds both", []string{"Expires", at(time.Minute)}, "max-age=60, s-maxage=60"},
			{"a later one bounds nothing", []string{"Expires", at(24 * time.Hour)}, "max-age=600, s-maxage=3600"},
			{"it counts from the handler's Date", []string{"Expires", at(time.Minute), "Date", at(50 * time.Second)}, "max-age=10, s-maxage=10"},
			{"one in the past is stale", []string{"Expires", at(-time.Minute)}, "max-age=0, s-maxage=0"},
			{"what is no date is stale", []string{"Expires", "0"}, "max-age=0, s-maxage=0"},
			{"two are stale", []string{"Expires", at(time.Minute), "Expires", at(time.Minute)}, "max-age=0, s-maxage=0"},
			{"max-age beats it", []string{"Expires", at(time.Minute), "Cache-Control", "max-age=90"}, "max-age=90, s-maxage=90"},
		} {
			w := httptest.NewRecorder()
			edgecache.Policy{MaxAge: 10 * time.Minute, SharedMaxAge: time.Hour}.Handler(answer(0, tt.said...)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			if got := w.Header().Get("Cache-Control"); got != tt.want {
				t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
			}
		}
	})
}

// A policy's CacheFor is for caches: it never loosens what the handler said, and browsers keep to
// it.
func cacheForOfAPolicyIsForCaches(t *testing.T) {
	const m = time.Minute
	const cc, cdn = "Cache-Control", "CDN-Cache-Control"
	synctest.Test(t, func(t *testing.T) {
		at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
		plain := edgecache.Policy{CacheFor: m}
		all := edgecache.Policy{CacheFor: m, Public: true, StaleWhileRevalidate: 2 * m, StaleIfError: 3 * m}
		strict := edgecache.Policy{CacheFor: m, MustRevalidate: true}
		for _, tt := range []struct {
			name         string
			policy       edgecache.Policy
			status       int
			said         []string
			control, cdn string
		}{
			{"where the handler said nothing, caches keep it and browsers ask", plain, 0, nil, "no-cache", "max-age=60"},
			{"what else the policy says stands with the lifetime", all, 0, nil, "no-cache", "public, max-age=60, stale-while-revalidate=120, stale-if-error=180"},
			{"so does must-revalidate", strict, 0, nil, "no-cache", "must-revalidate, max-age=60"},
			{"what the handler said about the rest goes on to hold for caches", plain, 0, []string{cc, "no-transform, must-revalidate"},
				"no-transform, must-revalidate, no-cache", "no-transform, must-revalidate, max-age=60"},
			{"so do restrictions of single fields", plain, 0, []string{cc, `private="X-User"`}, `private="X-User", no-cache`, `private="X-User", max-age=60`},
			{"the handler's public is the caches', too", plain, 0, []string{cc, "public"}, "public, no-cache", "public, max-age=60"},
			{"immutable is no lifetime", plain, 0, []string{cc, "immutable"}, "no-cache", "immutable, max-age=60"},
			{"stale windows are none either", all, 0, []string{cc, "stale-if-error=5"}, "no-cache", "stale-if-error=5, public, max-age=60, stale-while-revalidate=120"},

			{"a shorter lifetime of the handler stays", plain, 0, []string{cc, "max-age=30"}, "max-age=30", ""},
			{"an equal one, too", plain, 0, []string{cc, "max-age=60"}, "max-age=60", ""},
			{"a longer one is cut for caches, and browsers keep it", plain, 0, []string{cc, "max-age=3600"}, "max-age=3600", "max-age=60"},
			{"with what else stands there", all, 0, []string{cc, "no-transform, max-age=3600"},
				"no-transform, max-age=3600, public, stale-while-revalidate=120, stale-if-error=180", "no-transform, max-age=60, public, stale-while-revalidate=120, stale-if-error=180"},
			{"an unreadable one is stale and stays", plain, 0, []string{cc, "max-age=x"}, "max-age=x", ""},
			{"a longer shared one is cut in its place", plain, 0, []string{cc, "max-age=3600, s-maxage=7200"}, "max-age=3600, s-maxage=60", ""},
			{"a shorter shared one stays", plain, 0, []string{cc, "max-age=3600, s-maxage=30"}, "max-age=3600, s-maxage=30", ""},
			{"must-revalidate holds for the handler's lifetime", strict, 0, []string{cc, "max-age=30"}, "max-age=30, must-revalidate", ""},
			{"a later Expires is cut for caches", plain, 0, []string{"Expires", at(time.Hour)}, "", "max-age=60"},
			{"an earlier Expires stays", plain, 0, []string{"Expires", at(30 * time.Second)}, "", ""},
			{"one that is no date is stale and stays", plain, 0, []string{"Expires", "0"}, "", ""},
			{"max-age beats Expires", plain, 0, []string{"Expires", at(time.Hour), cc, "max-age=30"}, "max-age=30", ""},

			{"no-store", all, 0, []string{cc, "no-store"}, "no-store", ""},
			{"private", all, 0, []string{cc, "private"}, "private", ""},
			{"private with a lifetime for the browser", all, 0, []string{cc, "private, max-age=3600"}, "private, max-age=3600", ""},
			{"no-cache", all, 0, []string{cc, "no-cache"}, "no-cache", ""},
			{"a restriction on the second line", all, 0, []string{cc, "public", cc, "no-store"}, "no-store", ""},
			{"Pragma: no-cache alone means no-cache", all, 0, []string{"Pragma", "no-cache"}, "no-cache", ""},

			{"the handler's own lifetime for CDNs stays if it is shorter", plain, 0, []string{cdn, "max-age=30"}, "", "max-age=30"},
			{"and is cut if it is longer", plain, 0, []string{cdn, "max-age=3600"}, "", "max-age=60"},
			{"whatever browsers are told", plain, 0, []string{cc, "no-cache", cdn, "max-age=3600"}, "no-cache", "max-age=60"},
			{"the shared one, too", plain, 0, []string{cdn, "s-maxage=3600"}, "", "s-maxage=60"},
			{"there the policy's other words stand beside it", all, 0, []string{cc, "no-cache", cdn, "max-age=30"}, "no-cache", "max-age=30, public, stale-while-revalidate=120, stale-if-error=180"},
			{"but not beside private, which browsers are told", all, 0, []string{cc, "private", cdn, "max-age=3600"}, "private", "max-age=60"},
			{"nor beside no-store for CDNs", all, 0, []string{cdn, "no-store"}, "", "no-store"},
			{"nor beside private for CDNs", plain, 0, []string{cc, "max-age=5", cdn, "private"}, "max-age=5", "private"},
			{"a field for CDNs without a lifetime is filled", plain, 0, []string{cdn, "public"}, "no-cache", "public, max-age=60"},
			{"not past the lifetime for all", plain, 0, []string{cc, "max-age=5", cdn, "public"}, "max-age=5", "public, max-age=5"},
			{"in any spelling", plain, 0, []string{"cdn-cache-control", "max-age=3600"}, "", "max-age=60"},

			{"an error page gets none", all, 404, nil, "", ""},
			{"and keeps its own", all, 404, []string{cc, "max-age=3600"}, "max-age=3600", ""},
			{"a redirect of the moment gets none", all, 302, nil, "", ""},
			{"and its own is cut for caches", all, 302, []string{cc, "max-age=3600"}, "max-age=3600", "max-age=60"},
			{"a page with Set-Cookie gets none", all, 0, []string{"Set-Cookie", "a=b"}, "", ""},
			{"and its own is cut for caches", all, 0, []string{"Set-Cookie", "a=b", cc, "max-age=3600"}, "max-age=3600", "max-age=60"},
			{"also the one for CDNs", all, 0, []string{"Set-Cookie", "a=b", cdn, "max-age=3600"}, "", "max-age=60"},
			{"to which nothing is added", all, 0, []string{"Set-Cookie", "a=b", cc, "max-age=3600", cdn, "no-transform"}, "max-age=3600", "no-transform"},
			{"a redirect for good gets one", plain, 301, nil, "no-cache", "max-age=60"},
		} {
			w := httptest.NewRecorder()
			tt.policy.Handler(answer(tt.status, tt.said...)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			if got := strings.Join(w.Header()[cc], " | "); got != tt.control {
				t.Errorf("%s: got Cache-Control %q, want %q", tt.name, got, tt.control)
			}
			if got := strings.Join(w.Header().Values(cdn), " | "); got != tt.cdn {
				t.Errorf("%s: got CDN-Cache-Control %q, want %q", tt.name, got, tt.cdn)
			}
		}
	})
}

func cacheForOfAPolicyAroundPoliciesOnlyFillsIn(t *testing.T) {
	short, long := edgecache.Policy{CacheFor: time.Minute}.Handler, edgecache.Policy{CacheFor: time.Hour}.Handler
	for _, tt := range []struct {
		name         string
		h            http.Handler
		control, cdn string
	}{
		{"the shorter one counts outside", short(long(answer(0))), "no-cache", "max-age=60"},
		{"and inside", long(short(answer(0))), "no-cache", "max-age=60"},
		{"MaxAge inside is for browsers", short(edgecache.Policy{MaxAge: time.Hour}.Handler(answer(0))), "max-age=3600", "max-age=60"},
		{"MaxAge outside gives them nothing", edgecache.Policy{MaxAge: time.Hour}.Handler(short(answer(0))), "no-cache", "max-age=60"},
		{"no-store outside wins", edgecache.Policy{NoStore: true}.Handler(short(answer(0))), "no-cache, no-store", "no-store"},
		{"private inside wins", short(edgecache.Policy{Private: true}.Handler(answer(0))), "private", ""},
		{"public outside shares", edgecache.Policy{Public: true}.Handler(short(answer(0))), "no-cache, public", "max-age=60, public"},
	} {
		w := httptest.NewRecorder()
		tt.h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if got := w.Header(); got.Get("Cache-Control") != tt.control || got.Get("CDN-Cache-Control") != tt.cdn {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}

func aPolicyMayBeForStatusesAndMethods(t *testing.T) {
	permits := edgecache.Policy{Public: true, MaxAge: time.Minute, SharedMaxAge: time.Minute, MustRevalidate: true, Immutable: true, Vary: []string{"Accept"}, Tags: []string{"a"}}
	restricts := edgecache.Policy{NoStore: true, NoCache: true, Private: true}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} {
		for _, status := range []int{0, 200, 203, 204, 206, 301, 302, 303, 304, 307, 308, 399, 400, 401, 404, 410, 429, 500, 503} {
			r := httptest.NewRequest(method, "/", nil)
			w := httptest.NewRecorder()
			permits.Handler(answer(status)).ServeHTTP(w, r)
			want := ""
			if status < 400 && status != 302 && status != 303 && status != 307 && (method == "GET" || method == "HEAD") {
				want = "public, immutable, must-revalidate, max-age=60, s-maxage=60"
			}
			if got := w.Header().Get("Cache-Control"); got != want {
				t.Errorf("%s %d: permitted %q, want %q", method, status, got, want)
			}
			if w.Header().Get("Vary") != "Accept" || w.Header().Get("Cache-Groups") != `"a"` {
				t.Errorf("%s %d: got %v, want Vary and Cache-Groups whatever the answer", method, status, w.Header())
			}
			w = httptest.NewRecorder()
			restricts.Handler(answer(status, "Cdn-Cache-Control", "max-age=60")).ServeHTTP(w, r)
			if got := w.Header(); got.Get("Cache-Control") != "no-store, no-cache, private" || got.Get("Cdn-Cache-Control") != "no-store, no-cache, private" {
				t.Errorf("%s %d: restricted to %v", method, status, got)
			}
		}
	}
	w := httptest.NewRecorder()
	permits.Handler(answer(404, "Cache-Control", "max-age=5")).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if got := w.Header().Get("Cache-Control"); got != "max-age=5" {
		t.Errorf("an error's own lifetime became %q", got)
	}
}

func aPolicyLeavesAnUpgradeAlone(t *testing.T) {
	w := httptest.NewRecorder()
	edgecache.Policy{NoStore: true, Vary: []string{"Accept"}}.Handler(answer(101)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if len(w.Header()) != 0 {
		t.Errorf("got %v", w.Header())
	}
}

func aPolicyAddsToVaryAndTags(t *testing.T) {
	w := httptest.NewRecorder()
	p := edgecache.Policy{Vary: []string{"Accept", "Cookie"}, Tags: []string{"a", "b"}}
	h := p.Handler(answer(0, "Vary", "Origin, accept", "Cache-Groups", `"b"`))
	p.Vary[0], p.Tags[0] = "*", "changed" // a decorator has its own copy
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if got, want := w.Header().Get("Vary"), "Origin, accept, Cookie"; got != want {
		t.Errorf("Vary: got %q, want %q", got, want)
	}
	if got, want := w.Header().Get("Cache-Groups"), `"b", "a"`; got != want {
		t.Errorf("Cache-Groups: got %q, want %q", got, want)
	}
}

func aPolicyAddsNoOtherHeader(t *testing.T) {
	w := httptest.NewRecorder()
	edgecache.Policy{MaxAge: time.Minute}.Handler(edgecache.Policy{Public: true}.Handler(answer(0))).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if got, want := w.Header(), (http.Header{"Cache-Control": {"public, max-age=60"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func policiesAroundPoliciesOnlyFillIn(t *testing.T) {
	inner := edgecache.Policy{MaxAge: time.Hour, Public: true}
	outer := edgecache.Policy{MaxAge: time.Minute, StaleIfError: time.Minute}.Handler
	secret := edgecache.Policy{Private: true}.Handler
	for _, tt := range []struct {
		name string
		h    http.Handler
		want string
	}{
		{"the default cuts and fills", outer(inner.Handler(answer(0))), "public, max-age=60, stale-if-error=60"},
		{"the order is the same to lifetimes", inner.Handler(outer(answer(0))), "max-age=60, stale-if-error=60, public"},
		{"private wins outside", secret(inner.Handler(answer(0))), "max-age=3600, private"},
		{"private wins inside", inner.Handler(secret(answer(0))), "private, max-age=3600"},
	} {
		w := httptest.NewRecorder()
		tt.h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if got := w.Header().Get("Cache-Control"); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func aPolicyTreatsA304LikeThePage(t *testing.T) {
	h := edgecache.Policy{MaxAge: time.Minute, Vary: []string{"Accept"}}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !edgecache.NotModified(w, r, edgecache.ETag("v1")) {
			_, _ = w.Write([]byte("page"))
		}
	}))
	var headers []http.Header
	for _, condition := range []string{`"v1"`, `"v0"`} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("If-None-Match", condition)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		headers = append(headers, w.Header())
	}
	delete(headers[1], "Content-Type") // sniffed
	if !reflect.DeepEqual(headers[0], headers[1]) || headers[0].Get("Cache-Control") != "max-age=60" {
		t.Errorf("304 has %v, 200 has %v", headers[0], headers[1])
	}
}

func mistakesIn(err error) (fields []string) {
	for _, e := range flatten(err) {
		var ce *edgecache.ConfigError
		if errors.As(e, &ce) {
			fields = append(fields, fmt.Sprintf("%s=%v", ce.Field, ce.Value))
		} else {
			fields = append(fields, fmt.Sprintf("%T", e))
		}
	}
	slices.Sort(fields)
	return fields
}

func flatten(err error) (all []error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			all = append(all, flatten(e)...)
		}
		return all
	}
	if err != nil {
		all = append(all, err)
	}
	return all
}

func validateReportsMistakes(t *testing.T) {
	const m = time.Minute
	for _, tt := range []struct {
		name   string
		policy edgecache.Policy
		want   []string
	}{
		{"the zero policy is valid", edgecache.Policy{}, nil},
		{"all permissions together are valid", edgecache.Policy{Public: true, Immutable: true, MaxAge: m, SharedMaxAge: m, StaleWhileRevalidate: m, StaleIfError: m, Vary: []string{"*"}, Tags: []string{"a"}}, nil},
		{"all restrictions together are valid", edgecache.Policy{NoStore: true, NoCache: true, Private: true, MustRevalidate: true}, nil},
		{"a private page may have a lifetime", edgecache.Policy{Private: true, MaxAge: m, StaleWhileRevalidate: m}, nil},
		{"a public page may be validated", edgecache.Policy{Public: true, NoCache: true}, nil},
		{"one second is valid", edgecache.Policy{MaxAge: time.Second}, nil},
		{"less is not", edgecache.Policy{MaxAge: time.Second - 1}, []string{"Policy.MaxAge=999.999999ms"}},
		{"nor is a number without its unit", edgecache.Policy{SharedMaxAge: 60}, []string{"Policy.SharedMaxAge=60ns"}},
		{"nor a negative duration", edgecache.Policy{StaleWhileRevalidate: -m, StaleIfError: math.MinInt64}, []string{"Policy.StaleIfError=-2562047h47m16.854775808s", "Policy.StaleWhileRevalidate=-1m0s"}},
		{"no-store forbids all permissions", edgecache.Policy{NoStore: true, Public: true, Immutable: true, MaxAge: m, SharedMaxAge: m, StaleWhileRevalidate: m, StaleIfError: m},
			[]string{"Policy.Immutable=true", "Policy.MaxAge=1m0s", "Policy.Public=true", "Policy.SharedMaxAge=1m0s", "Policy.StaleIfError=1m0s", "Policy.StaleWhileRevalidate=1m0s"}},
		{"no-cache forbids lifetimes", edgecache.Policy{NoCache: true, Immutable: true, MaxAge: m, SharedMaxAge: m, StaleWhileRevalidate: m, StaleIfError: m},
			[]string{"Policy.Immutable=true", "Policy.MaxAge=1m0s", "Policy.SharedMaxAge=1m0s", "Policy.StaleIfError=1m0s", "Policy.StaleWhileRevalidate=1m0s"}},
		{"private forbids sharing", edgecache.Policy{Private: true, Public: true, SharedMaxAge: m}, []string{"Policy.Public=true", "Policy.SharedMaxAge=1m0s"}},
		{"must-revalidate forbids stale windows", edgecache.Policy{MustRevalidate: true, StaleWhileRevalidate: m, StaleIfError: m}, []string{"Policy.StaleIfError=1m0s", "Policy.StaleWhileRevalidate=1m0s"}},
		{"CacheFor of a second is valid", edgecache.Policy{CacheFor: time.Second, Public: true, StaleWhileRevalidate: m, StaleIfError: m}, nil},
		{"and with must-revalidate", edgecache.Policy{CacheFor: m, MustRevalidate: true}, nil},
		{"less than a second is not", edgecache.Policy{CacheFor: time.Second - 1}, []string{"Policy.CacheFor=999.999999ms"}},
		{"nor is less than nothing", edgecache.Policy{CacheFor: -m}, []string{"Policy.CacheFor=-1m0s"}},
		{"restrictions forbid CacheFor", edgecache.Policy{CacheFor: m, NoStore: true, NoCache: true, Private: true}, []string{"Policy.CacheFor=1m0s", "Policy.CacheFor=1m0s", "Policy.CacheFor=1m0s"}},
		{"CacheFor forbids other lifetimes", edgecache.Policy{CacheFor: m, MaxAge: m, SharedMaxAge: m, Immutable: true}, []string{"Policy.Immutable=true", "Policy.MaxAge=1m0s", "Policy.SharedMaxAge=1m0s"}},
		{"names in Vary are names", edgecache.Policy{Vary: []string{"Accept", "a b", ""}}, []string{"Policy.Vary[1]=a b", "Policy.Vary[2]="}},
		{"a tag is not empty", edgecache.Policy{Tags: []string{"a", ""}}, []string{"Policy.Tags[1]="}},
		{"as many tags as are read", edgecache.Policy{Tags: numbered(field.MaxStrings)}, nil},
		{"one more", edgecache.Policy{Tags: numbered(field.MaxStrings + 1)}, []string{"Policy.Tags=1025"}},
	} {
		if got := mistakesIn(tt.policy.Validate()); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		for name, construct := range map[string]func(){
			"Handler": func() { tt.policy.Handler(answer(0)) },
			"Routes":  func() { edgecache.Routes(map[string]edgecache.Policy{"/": tt.policy}) },
		} {
			if got := panics(construct); (got != nil) != (tt.want != nil) {
				t.Errorf("%s: %s panics with %v", tt.name, name, got)
			}
		}
	}
}

// panics returns the error that f panics with.
func panics(f func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = v.(error)
		}
	}()
	f()
	return nil
}

func routesReportsEachMistake(t *testing.T) {
	err := panics(func() {
		edgecache.Routes(map[string]edgecache.Policy{
			"GET /a/{": {}, "/b/{id}": {}, "/b/{name}": {}, "": {}, "/c": {NoStore: true, MaxAge: 5 * time.Second},
		})
	})
	want := []string{"Routes=", "Routes=/b/{name}", "Routes=GET /a/{", `Routes["/c"].MaxAge=5s`}
	if got := mistakesIn(err); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !strings.Contains(err.Error(), `edgecache: Routes is "GET /a/{": want a pattern for http.ServeMux: `) {
		t.Errorf("the message is %q", err)
	}
	if panics(func() { edgecache.AfterRequest(nil) }) == nil {
		t.Error("AfterRequest without a function does not panic")
	}
}

func routesChoosesAsServeMuxDoes(t *testing.T) {
	routes := map[string]edgecache.Policy{
		"GET /blog/{id}": {MaxAge: time.Second}, "/blog/": {MaxAge: 2 * time.Second}, "GET /blog/new": {NoStore: true},
		"admin.example.com/": {Private: true}, "Shop.example.com/": {NoCache: true}, "/exact/{$}": {MaxAge: 3 * time.Second}, "/dir/": {MaxAge: 4 * time.Second},
	}
	h := edgecache.Routes(routes)(answer(0))
	clear(routes)
	for _, tt := range []struct{ name, method, url, want string }{
		{"the most specific pattern alone", "GET", "http://example.com/blog/new", "no-store"},
		{"a wildcard", "GET", "http://example.com/blog/7", "max-age=1"},
		{"a GET pattern holds for HEAD", "HEAD", "http://example.com/blog/7", "max-age=1"},
		{"a subtree", "GET", "http://example.com/blog/7/comments", "max-age=2"},
		{"a host", "GET", "http://admin.example.com/blog/7", "private"},
		{"a host with a port", "GET", "http://admin.example.com:8080/x", "private"},
		{"a host in capitals", "GET", "http://ADMIN.example.com/x", "private"},
		{"a host with a dot", "GET", "http://admin.example.com./x", "private"},
		{"a pattern with a host in capitals", "GET", "http://shop.example.com:80/x", "no-cache"},
		{"an exact path", "GET", "http://example.com/exact/", "max-age=3"},
		{"no pattern", "GET", "http://example.com/exact/x", ""},
		{"a path that ServeMux would clean", "GET", "http://admin.example.com//a/../b", "private"},
		{"a path that ServeMux would complete", "GET", "http://example.com/dir", "max-age=4"},
		{"an escaped slash is no slash", "GET", "http://example.com/blog/a%2fb", "max-age=1"},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tt.method, tt.url, nil))
		if got := w.Header().Get("Cache-Control"); got != tt.want || w.Code != 200 {
			t.Errorf("%s: got %d %q, want %q", tt.name, w.Code, got, tt.want)
		}
	}
}

func afterRequestHasTheLastWord(t *testing.T) {
	var calls []string
	h := edgecache.AfterRequest(func(r *http.Request, status int, header http.Header) {
		calls = append(calls, fmt.Sprint(r.Pattern, " ", status))
		header.Set("Cache-Control", "max-age=1")
	})
	mux := http.NewServeMux()
	mux.Handle("GET /gone", answer(410, "Cache-Control", "no-store"))
	mux.Handle("GET /silent", answer(0))
	mux.Handle("GET /early", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(204) }))
	for _, path := range []string{"/gone", "/silent", "/early"} {
		w := httptest.NewRecorder()
		h(mux).ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if got := w.Header().Get("Cache-Control"); got != "max-age=1" {
			t.Errorf("%s: got %q", path, got)
		}
	}
	if want := []string{"GET /gone 410", "GET /silent 200", "GET /early 204"}; !slices.Equal(calls, want) {
		t.Errorf("got %q, want %q", calls, want)
	}
}

func aPolicyDoesNotSpeakForAPanic(t *testing.T) {
	called := false
	h := edgecache.AfterRequest(func(*http.Request, int, http.Header) { called = true })(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}))
	err := panics(func() { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)) })
	if !errors.Is(err, http.ErrAbortHandler) || called {
		t.Errorf("panicked with %v, hook called %v", err, called)
	}
}

// FuzzPolicyNeverLoosens: whatever the handler wrote, no policy makes a cache freer than the
// handler did where it spoke.
func FuzzPolicyNeverLoosens(f *testing.F) {
	f.Add("no-store", "", uint8(0))
	f.Add("private, max-age=5", `ext="`, uint8(1))
	f.Add("s-maxage=7", "no-cache", uint8(2))
	f.Add("max-age=7, max-age=1", "Max-Age=x", uint8(3))
	policies := []policy.Policy{
		{Public: true, MaxAge: time.Hour, SharedMaxAge: 2 * time.Hour, StaleIfError: time.Hour},
		{NoCache: true, Public: true}, {Private: true, MaxAge: time.Minute}, {NoStore: true},
		{CacheFor: time.Hour, Public: true, StaleIfError: time.Hour},
	}
	f.Fuzz(func(t *testing.T, one, two string, which uint8) {
		p := policies[int(which)%len(policies)]
		w := httptest.NewRecorder()
		w.Header()["Cache-Control"] = []string{one, two}
		before := field.ParseCacheControl(w.Header()["Cache-Control"])
		p.Apply("GET", 200, w.Header(), time.Now())
		line := slices.Collect(maps.Values(w.Header()))
		after := field.ParseCacheControl(w.Header()["Cache-Control"])
		if before.NoStore && !after.NoStore || before.NoCache && !after.NoCache || before.Private && !after.Private ||
			p.NoStore && !after.NoStore || p.NoCache && !after.NoCache || p.Private && !after.Private {
			t.Fatalf("a restriction is lost: %q, %q became %q", one, two, line)
		}
		if before.MaxAge.Set && after.MaxAge.Set && after.MaxAge.Value > before.MaxAge.Value {
			t.Fatalf("a lifetime grew: %q, %q became %q", one, two, line)
		}
		if before.MaxAge.Set && !before.SharedMaxAge.Set && after.SharedMaxAge.Value > before.MaxAge.Value {
			t.Fatalf("shared caches keep it longer than the handler said: %q, %q became %q", one, two, line)
		}
		targeted := w.Header()["Cdn-Cache-Control"]
		if targeted == nil {
			return
		}
		forCaches := field.ParseCacheControl(targeted)
		if before.NoStore || before.NoCache && len(before.NoCacheFields) == 0 || before.Private && len(before.PrivateFields) == 0 ||
			before.NoCache && !forCaches.NoCache || before.Private && !forCaches.Private || before.MustRevalidate && !forCaches.MustRevalidate ||
			before.MaxAge.Set && forCaches.MaxAge.Value > before.MaxAge.Value || forCaches.MaxAge.Value > p.CacheFor {
			t.Fatalf("CDN-Cache-Control loosens: %q, %q became %q", one, two, line)
		}
	})
}
