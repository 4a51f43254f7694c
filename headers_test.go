package edgecache_test

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/directive"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestHeaders(t *testing.T) {
	t.Run("setters write one Cache-Control (RFC 9111, 5.2.2)", settersWriteOneCacheControl)
	t.Run("setters never lose a restriction", settersNeverLoseARestriction)
	t.Run("restrictions reach targeted fields (RFC 9213, 2.2)", restrictionsReachTargetedFields)
	t.Run("Vary adds (RFC 9110, 12.5.5)", varyAdds)
	t.Run("Tag writes Cache-Groups (RFC 9875, 2)", tagWritesCacheGroups)
	t.Run("tags that are too long stay apart", tagsThatAreTooLongStayApart)
	t.Run("a page that cannot be tagged is not stored", aPageThatCannotBeTaggedIsNotStored)
	t.Run("Invalidate writes Cache-Group-Invalidation (RFC 9875, 3)", invalidateWritesCacheGroupInvalidation)
	t.Run("setters keep a Cache-Control that is too long to be read", settersKeepACacheControlThatIsTooLongToBeRead)
}

func TestCacheFor(t *testing.T) {
	t.Run("it is for caches, not for browsers", itIsForCachesNotForBrowsers)
	t.Run("the page is kept here and not shared", thePageIsKeptHereAndNotShared)
	t.Run("a public page is shared", aPublicPageIsShared)
}

func TestDetail(t *testing.T) {
	t.Run("an unreachable origin is called that", anUnreachableOriginIsCalledThat)
	t.Run("a purged page is called that", aPurgedPageIsCalledThat)
	t.Run("Explain takes requests of clients", explainTakesRequestsOfClients)
}

// steps are calls of setters in order.
type steps []func(http.ResponseWriter)

func noStore(w http.ResponseWriter)   { edgecache.NoStore(w) }
func noCache(w http.ResponseWriter)   { edgecache.NoCache(w) }
func private(w http.ResponseWriter)   { edgecache.Private(w) }
func public(w http.ResponseWriter)    { edgecache.Public(w) }
func immutable(w http.ResponseWriter) { edgecache.Immutable(w) }
func mustRev(w http.ResponseWriter)   { edgecache.MustRevalidate(w) }

func maxAge(d time.Duration) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { edgecache.MaxAge(w, d) }
}

func sMaxAge(d time.Duration) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { edgecache.SharedMaxAge(w, d) }
}

func swr(d time.Duration) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { edgecache.StaleWhileRevalidate(w, d) }
}

func sie(d time.Duration) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { edgecache.StaleIfError(w, d) }
}

func settersWriteOneCacheControl(t *testing.T) {
	const m = time.Minute
	for _, tt := range []struct {
		name string
		had  []string
		do   steps
		want string
	}{
		{"each writes its directive", nil, steps{public, maxAge(m), sMaxAge(2 * m), immutable, swr(3 * m), sie(4 * m)},
			"public, max-age=60, s-maxage=120, immutable, stale-while-revalidate=180, stale-if-error=240"},
		{"restrictions do not contradict each other", nil, steps{noStore, noCache, private, mustRev},
			"no-store, no-cache, private, must-revalidate"},
		{"called twice it stands once", nil, steps{public, public, noCache, noCache}, "public, no-cache"},

		{"no-store after all permissions removes them", nil, steps{public, maxAge(m), sMaxAge(m), immutable, swr(m), sie(m), noStore}, "no-store"},
		{"no-store before all permissions keeps them out", nil, steps{noStore, public, maxAge(m), sMaxAge(m), immutable, swr(m), sie(m)}, "no-store"},
		{"no-store removes must-understand, which would lift it", []string{"must-understand, no-transform"}, steps{noStore}, "no-transform, no-store"},
		{"no-cache after lifetimes removes them", nil, steps{maxAge(m), sMaxAge(m), immutable, swr(m), sie(m), noCache}, "no-cache"},
		{"no-cache before lifetimes keeps them out", nil, steps{noCache, maxAge(m), sMaxAge(m), immutable, swr(m), sie(m)}, "no-cache"},
		{"no-cache may be public", nil, steps{public, noCache}, "public, no-cache"},
		{"private after public wins", nil, steps{public, sMaxAge(m), maxAge(m), private}, "max-age=60, private"},
		{"private before public wins", nil, steps{private, public, sMaxAge(m), maxAge(m)}, "private, max-age=60"},
		{"must-revalidate after the stale windows removes them", nil, steps{maxAge(m), swr(m), sie(m), mustRev}, "max-age=60, must-revalidate"},
		{"must-revalidate before the stale windows keeps them out", nil, steps{mustRev, swr(m), sie(m)}, "must-revalidate"},

		{"the later of two lifetimes counts when it is shorter", nil, steps{maxAge(2 * m), maxAge(m)}, "max-age=60"},
		{"the later of two lifetimes counts when it is longer", nil, steps{maxAge(m), maxAge(2 * m)}, "max-age=120"},
		{"a negative lifetime is 0", nil, steps{maxAge(-m)}, "max-age=0"},
		{"less than a second is 0", nil, steps{maxAge(time.Second - 1)}, "max-age=0"},
		{"a number of seconds given as nanoseconds is 0, and shows", nil, steps{maxAge(60)}, "max-age=0, max-age-nanoseconds=60"},
		{"so is a leap year of seconds", nil, steps{sMaxAge(31622400)}, "s-maxage=0, s-maxage-nanoseconds=31622400"},
		{"one more may be the rest of a lifetime", nil, steps{sMaxAge(31622401)}, "s-maxage=0"},
		{"a correction takes the mark back", nil, steps{maxAge(60), swr(5), maxAge(m)}, "max-age=60, stale-while-revalidate=0, stale-while-revalidate-nanoseconds=5"},
		{"so does what forbids the lifetime", nil, steps{maxAge(60), noStore}, "no-store"},
		{"and before it", nil, steps{noCache, maxAge(60)}, "no-cache"},
		{"seconds are rounded down", nil, steps{maxAge(2*time.Second - 1)}, "max-age=1"},
		{"a huge lifetime is 2^31 s", nil, steps{maxAge(math.MaxInt64)}, "max-age=2147483648"},
		{"2^31 s is itself", nil, steps{sMaxAge(1 << 31 * time.Second)}, "s-maxage=2147483648"},
		{"the smallest duration is 0", nil, steps{swr(math.MinInt64)}, "stale-while-revalidate=0"},

		{"several lines by hand become one", []string{"public", "max-age=60"}, steps{swr(m)}, "public, max-age=60, stale-while-revalidate=60"},
		{"odd case by hand is the same directive", []string{"Public, Max-Age=5, MAX-AGE=7"}, steps{maxAge(m)}, "Public, max-age=60"},
		{"odd case by hand restricts", []string{"No-Store"}, steps{maxAge(m)}, "No-Store"},
		{"unknown directives stay, with quoted commas", []string{`ext="a, max-age=1", max-age=1`, "other"}, steps{maxAge(m)}, `ext="a, max-age=1", max-age=60, other`},
		{"a comma in quotes is not a directive", []string{`ext="x, no-store"`}, steps{maxAge(m)}, `ext="x, no-store", max-age=60`},
		{"an unclosed quote cannot swallow what is set", []string{`ext="x`, "public"}, steps{noStore}, `no-store, ext="x`},
		{"an invalid lifetime by hand is replaced", []string{"max-age=soon"}, steps{maxAge(m)}, "max-age=60"},
		{"an argument on no-store is no way around it", []string{"no-store=0"}, steps{maxAge(m)}, "no-store=0"},
		{"qualified private restricts its field only", []string{`private="X-User"`}, steps{public, sMaxAge(m)}, `private="X-User", public, s-maxage=60`},
		{"qualified no-cache restricts its field only", []string{`no-cache="X-User"`}, steps{maxAge(m)}, `no-cache="X-User", max-age=60`},
		{"private takes the place of its qualified form", []string{`private="X-User", s-maxage=5`}, steps{private}, "private"},
		{"an unreadable qualified form is the strict one", []string{"private=X-User"}, steps{public}, "private=X-User"},
		{"empty members are dropped", []string{", ,", ""}, steps{maxAge(m)}, "max-age=60"},
	} {
		w := httptest.NewRecorder()
		for _, line := range tt.had {
			w.Header().Add("Cache-Control", line)
		}
		for _, step := range tt.do {
			step(w)
		}
		if got := w.Header()["Cache-Control"]; len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		if w.Code != 200 || w.Body.Len() > 0 || len(w.Header()) != 1 {
			t.Errorf("%s: more than one header was touched: %v", tt.name, w.Header())
		}
	}
}

// Whatever the order and whatever stood there: a restriction once said is still in force, and no
// permission beside it.
func settersNeverLoseARestriction(t *testing.T) {
	calls := map[string]func(http.ResponseWriter){
		"NoStore": noStore, "NoCache": noCache, "Private": private, "Public": public, "Immutable": immutable, "MustRevalidate": mustRev,
		"MaxAge": maxAge(time.Minute), "SharedMaxAge": sMaxAge(time.Minute), "SWR": swr(time.Minute), "SIE": sie(time.Minute),
	}
	for a := range calls {
		for b := range calls {
			for c := range calls {
				w := httptest.NewRecorder()
				for _, name := range []string{a, b, c} {
					calls[name](w)
				}
				said := field.ParseCacheControl(w.Header()["Cache-Control"])
				called := func(name string) bool { return slices.Contains([]string{a, b, c}, name) }
				if said.NoStore != called("NoStore") || said.NoCache != called("NoCache") || said.Private != called("Private") || said.MustRevalidate != called("MustRevalidate") {
					t.Fatalf("%s %s %s: %q", a, b, c, w.Header()["Cache-Control"])
				}
				shared := said.Public || said.SharedMaxAge.Set
				fresh := said.MaxAge.Set || said.SharedMaxAge.Set || said.Immutable
				stale := said.StaleWhileRevalidate.Set || said.StaleIfError.Set
				if said.NoStore && (shared || fresh || stale) || said.NoCache && (fresh || stale) || said.Private && shared || said.MustRevalidate && stale {
					t.Fatalf("%s %s %s leave a contradiction: %q", a, b, c, w.Header()["Cache-Control"])
				}
			}
		}
	}
}

func restrictionsReachTargetedFields(t *testing.T) {
	for _, tt := range []struct {
		name string
		had  http.Header
		do   func(http.ResponseWriter)
		want http.Header
	}{
		{"NoStore holds for a CDN too", http.Header{"Cdn-Cache-Control": {"max-age=600"}}, noStore,
			http.Header{"Cache-Control": {"no-store"}, "Cdn-Cache-Control": {"no-store"}}},
		{"Private holds for a CDN too", http.Header{"Example-Cache-Control": {"max-age=600", "s-maxage=1"}}, private,
			http.Header{"Cache-Control": {"private"}, "Example-Cache-Control": {"max-age=600, private"}}},
		{"NoCache never weakens a CDN's no-store", http.Header{"Surrogate-Control": {"no-store"}}, noCache,
			http.Header{"Cache-Control": {"no-cache"}, "Surrogate-Control": {"no-store, no-cache"}}},
		{"an odd spelling of the field is found", http.Header{"cdn-cache-control ": {"max-age=600"}}, noStore,
			http.Header{"Cache-Control": {"no-store"}, "Cdn-Cache-Control": {"no-store"}}},
		{"lifetimes leave it alone", http.Header{"Cdn-Cache-Control": {"max-age=600"}}, maxAge(time.Second),
			http.Header{"Cache-Control": {"max-age=1"}, "Cdn-Cache-Control": {"max-age=600"}}},
		{"odd spellings of Cache-Control become one", http.Header{"cache-control": {"no-store"}, "CACHE-CONTROL": {"ext"}}, maxAge(time.Second),
			http.Header{"Cache-Control": {"ext, no-store"}}},
		{"another field with a similar name is none", http.Header{"X-Cache-Control-Like": {"max-age=600"}}, noStore,
			http.Header{"Cache-Control": {"no-store"}, "X-Cache-Control-Like": {"max-age=600"}}},
	} {
		w := httptest.NewRecorder()
		for name, values := range tt.had {
			w.Header()[name] = values
		}
		tt.do(w)
		if got := w.Header(); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func varyAdds(t *testing.T) {
	for _, tt := range []struct {
		name string
		had  []string
		add  []string
		want []string
	}{
		{"names are added in canonical case", nil, []string{"accept-language", "Cookie"}, []string{"Accept-Language, Cookie"}},
		{"those that are there stay", []string{"Origin", "accept"}, []string{"Cookie"}, []string{"Origin, accept, Cookie"}},
		{"none is doubled", []string{"accept"}, []string{"Accept", "ACCEPT"}, []string{"accept"}},
		{"none is doubled over several lines", []string{"Origin", "accept"}, []string{"Accept"}, []string{"Origin", "accept"}},
		{"a list is taken apart", nil, []string{"Accept, Cookie", ""}, []string{"Accept, Cookie"}},
		{"a star absorbs what is there", []string{"Accept"}, []string{"*"}, []string{"*"}},
		{"a star absorbs what comes", []string{"Accept, *"}, []string{"Cookie"}, []string{"*"}},
		{"what is no name counts as a star", nil, []string{"Accept Language"}, []string{"*"}},
		{"nothing adds nothing", nil, nil, nil},
	} {
		w := httptest.NewRecorder()
		for _, line := range tt.had {
			w.Header().Add("Vary", line)
		}
		edgecache.Vary(w, tt.add...)
		if got := w.Header()["Vary"]; !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func numbered(n int) (tags []string) {
	for i := range n {
		tags = append(tags, fmt.Sprintf("t%d", i))
	}
	return tags
}

func tagWritesCacheGroups(t *testing.T) {
	long := strings.Repeat("x", field.MaxStringLength)
	for _, tt := range []struct {
		name string
		had  []string
		add  []string
		want []string
	}{
		{"tags are strings of a list", nil, []string{"post:7", "home page"}, []string{`"post:7", "home page"`}},
		{"quotes and backslashes are escaped", nil, []string{`a"b\c`}, []string{`"a\"b\\c"`}},
		{"other bytes are percent-encoded", nil, []string{"café\n", "\xff"}, []string{`"caf%C3%A9%0A", "%FF"`}},
		{"case counts", nil, []string{"a", "A"}, []string{`"a", "A"`}},
		{"none is doubled", []string{`"a"`}, []string{"a", "b", "b"}, []string{`"a", "b"`}},
		{"nothing new leaves the lines as they are", []string{`"a"`, `"b"`}, []string{"b"}, []string{`"a"`, `"b"`}},
		{"several lines become one, parameters stay", []string{`"a";x=1`, `"b"`}, []string{"c"}, []string{`"a";x=1, "b", "c"`}},
		{"what no reader takes does not spoil ours", []string{`a b`}, []string{"c"}, []string{`"c"`}},
		{"empty tags are left out", nil, []string{""}, nil},
		{"the longest tag is sent as it is", nil, []string{long}, []string{`"` + long + `"`}},
	} {
		w := httptest.NewRecorder()
		for _, line := range tt.had {
			w.Header().Add("Cache-Groups", line)
		}
		edgecache.Tag(w, tt.add...)
		if got := w.Header()["Cache-Groups"]; !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		if w.Header().Get("Cache-Control") != "" {
			t.Errorf("%s: not stored any more", tt.name)
		}
	}
}

func tagsThatAreTooLongStayApart(t *testing.T) {
	long := strings.Repeat("x", field.MaxStringLength)
	names := map[string]string{}
	for _, tag := range []string{long, long + "x", long + "y", strings.Repeat("é", field.MaxStringLength)} {
		name := directive.GroupName(tag)
		if other, taken := names[name]; taken || len(name) != field.MaxStringLength {
			t.Errorf("%.10q… (%d bytes) is called %q (%d bytes), as is %.10q…", tag, len(tag), name, len(name), other)
		}
		names[name] = tag
	}
}

func aPageThatCannotBeTaggedIsNotStored(t *testing.T) {
	for _, tt := range []struct {
		name string
		tags []string
		want bool
	}{
		{"as many as are read", numbered(field.MaxStrings), true},
		{"one more", numbered(field.MaxStrings + 1), false},
		{"more bytes than are read", func() (tags []string) {
			for i := range 65 {
				tags = append(tags, fmt.Sprintf("%0*d", field.MaxStringLength, i))
			}
			return tags
		}(), false},
	} {
		w := httptest.NewRecorder()
		edgecache.MaxAge(w, time.Hour)
		edgecache.Tag(w, tt.tags...)
		got, readable := field.ParseStringList(w.Header()["Cache-Groups"])
		stored := w.Header().Get("Cache-Control") == "max-age=3600"
		if stored != tt.want || readable != tt.want || tt.want && len(got) != len(tt.tags) {
			t.Errorf("%s: stored %v with %d tags, want %v with %d", tt.name, stored, len(got), tt.want, len(tt.tags))
		}
	}
}

func invalidateWritesCacheGroupInvalidation(t *testing.T) {
	w := httptest.NewRecorder()
	if !edgecache.Invalidate(w, "posts", "é") || !edgecache.Invalidate(w, "home") {
		t.Error("a short list was refused")
	}
	if got, want := w.Header().Get("Cache-Group-Invalidation"), `"posts", "%C3%A9", "home"`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	w = httptest.NewRecorder()
	edgecache.Invalidate(w, "a")
	if edgecache.Invalidate(w, numbered(field.MaxStrings)...) {
		t.Error("one tag too many was taken")
	}
	if got := w.Header().Get("Cache-Group-Invalidation"); got != `"a"` {
		t.Errorf("a refused list changed the header to %.50q", got)
	}
	if w.Header().Get("Cache-Control") != "" {
		t.Error("Cache-Control was touched")
	}
}

func FuzzGroupName(f *testing.F) {
	for _, tag := range []string{"", "a", `"\`, "é", "%C3%A9", "\x00\x7f\xff", strings.Repeat("x", 1024), strings.Repeat("é", 600)} {
		f.Add(tag)
	}
	f.Fuzz(func(t *testing.T, tag string) {
		name := directive.GroupName(tag)
		if directive.GroupName(name) != name {
			t.Fatalf("%q has the name %q, which has another", tag, name)
		}
		if tag == "" {
			return
		}
		w := httptest.NewRecorder()
		edgecache.Tag(w, tag)
		got, ok := field.ParseStringList(w.Header()["Cache-Groups"])
		if !ok || len(got) != 1 || got[0] != name {
			t.Fatalf("%q is read back as %q, want %q", tag, got, name)
		}
	})
}

func FuzzSettersOverAnyCacheControl(f *testing.F) {
	for _, line := range []string{"", "public, max-age=5", `ext="a, b", no-store`, `ext="`, `private="a", no-cache=b`, "no-store;x", `a"b,max-age=1`} {
		f.Add(line, "x")
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		had := []string{one, two}
		before := field.ParseCacheControl(had)
		w := httptest.NewRecorder()
		w.Header()["Cache-Control"] = had
		edgecache.MaxAge(w, time.Minute)
		after := field.ParseCacheControl(w.Header()["Cache-Control"])
		if before.NoStore && !after.NoStore || before.NoCache && !after.NoCache || before.Private && !after.Private {
			t.Fatalf("MaxAge turned %q into %q", had, w.Header()["Cache-Control"])
		}
		edgecache.NoStore(w)
		if after = field.ParseCacheControl(w.Header()["Cache-Control"]); !after.NoStore || after.MaxAge.Valid || after.Public {
			t.Fatalf("NoStore turned %q into %q", had, w.Header()["Cache-Control"])
		}
	})
}

func itIsForCachesNotForBrowsers(t *testing.T) {
	tests := []struct {
		name          string
		say           func(http.ResponseWriter)
		cache, target string // Cache-Control, CDN-Cache-Control
	}{
		{"alone", func(w http.ResponseWriter) { edgecache.CacheFor(w, time.Minute) }, "no-cache", "max-age=60"},
		{"after MaxAge it takes that from browsers", func(w http.ResponseWriter) { edgecache.MaxAge(w, time.Hour); edgecache.CacheFor(w, time.Minute) }, "no-cache", "max-age=60"},
		{"the later of two counts", func(w http.ResponseWriter) { edgecache.CacheFor(w, time.Hour); edgecache.CacheFor(w, time.Minute) }, "no-cache", "max-age=60"},
		{"not after NoStore", func(w http.ResponseWriter) { edgecache.NoStore(w); edgecache.CacheFor(w, time.Minute) }, "no-store", ""},
		{"nor before it", func(w http.ResponseWriter) { edgecache.CacheFor(w, time.Minute); edgecache.NoStore(w) }, "no-cache, no-store", "no-store"},
		{"not after Private", func(w http.ResponseWriter) { edgecache.Private(w); edgecache.CacheFor(w, time.Minute) }, "private", ""},
		{"nor before it", func(w http.ResponseWriter) { edgecache.CacheFor(w, time.Minute); edgecache.Private(w) }, "no-cache, private", "max-age=60, private"},
		{"after Public it shares", func(w http.ResponseWriter) { edgecache.Public(w); edgecache.CacheFor(w, time.Minute) }, "public, no-cache", "max-age=60, public"},
		{"and before it", func(w http.ResponseWriter) { edgecache.CacheFor(w, time.Minute); edgecache.Public(w) }, "no-cache, public", "max-age=60, public"},
		{"twice, and the later lifetime counts", func(w http.ResponseWriter) {
			edgecache.CacheFor(w, time.Minute)
			edgecache.Public(w)
			edgecache.CacheFor(w, time.Hour)
		}, "no-cache, public", "max-age=3600, public"},
		{"not if it is private after all", func(w http.ResponseWriter) {
			edgecache.Public(w)
			edgecache.CacheFor(w, time.Minute)
			edgecache.Private(w)
		}, "no-cache, private", "max-age=60, private"},
		{"nor if it was private before", func(w http.ResponseWriter) {
			edgecache.Private(w)
			edgecache.Public(w)
			edgecache.CacheFor(w, time.Minute)
		}, "private", ""},
		{"nor if it is private for other caches", func(w http.ResponseWriter) {
			w.Header().Set("CDN-Cache-Control", "private")
			edgecache.Public(w)
		}, "public", "private"},
		{"nor if Cache-Control alone was private", func(w http.ResponseWriter) {
			w.Header().Set("CDN-Cache-Control", "max-age=60")
			w.Header().Set("Cache-Control", "private")
			edgecache.Public(w)
		}, "private", "max-age=60"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			tt.say(w)
			require.Equal(t, tt.cache, w.Header().Get("Cache-Control"))
			require.Equal(t, tt.target, strings.Join(w.Header().Values("CDN-Cache-Control"), " | "))
		})
	}
}

func thePageIsKeptHereAndNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			edgecache.CacheFor(w, time.Minute)
			fmt.Fprint(w, "for ", r.Header.Get("Cookie"))
		})
		harness.Want(t, s.Get("/"), "MISS", 200, "for ")
		harness.Want(t, s.Get("/"), "HIT", 200, "for ")
		harness.Want(t, s.Get("/", "Cookie", "session=1"), "DYNAMIC", 200, "for session=1")
		tag := s.Get("/").Header.Get("Etag")
		harness.Want(t, s.Get("/", "If-None-Match", tag), "HIT", 304, "") // what a browser asks
		time.Sleep(61 * time.Second)
		harness.Want(t, s.Get("/"), "EXPIRED", 200, "for ")
	})
}

// Public is the one word that shares, whether it is said before the lifetime, after it, or by a
// policy.
func aPublicPageIsShared(t *testing.T) {
	public := edgecache.Policy{Public: true}
	for name, handler := range map[string]http.Handler{
		"before": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			edgecache.Public(w)
			edgecache.CacheFor(w, time.Minute)
			fmt.Fprint(w, "page")
		}),
		"after": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			edgecache.CacheFor(w, time.Minute)
			edgecache.Public(w)
			fmt.Fprint(w, "page")
		}),
		"by a policy": public.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			edgecache.CacheFor(w, time.Minute)
			fmt.Fprint(w, "page")
		})),
	} {
		t.Run(name, func(t *testing.T) {
			s := harness.NewSite(t, edgecache.Config{}, handler.ServeHTTP)
			harness.Want(t, s.Get("/", "Cookie", "session=1"), "MISS", 200, "page")
			harness.Want(t, s.Get("/", "Cookie", "session=2"), "HIT", 200, "page")
			harness.Want(t, s.Get("/", "Authorization", "Bearer x"), "HIT", 200, "page")
			harness.Want(t, s.Get("/"), "HIT", 200, "page")
		})
	}
	restricted := edgecache.Policy{Public: true}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edgecache.CacheFor(w, time.Minute)
		edgecache.Private(w)
		fmt.Fprint(w, "page")
	}))
	s := harness.NewSite(t, edgecache.Config{}, restricted.ServeHTTP)
	harness.Want(t, s.Get("/", "Cookie", "session=1"), "BYPASS", 200, "page")
	harness.Want(t, s.Get("/", "Cookie", "session=2"), "BYPASS", 200, "page")
}

func anUnreachableOriginIsCalledThat(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		edgecache.OriginError(w)
		http.Error(w, "gone", http.StatusBadGateway)
	})
	r := s.Get("/")
	require.Contains(t, r.Header.Get("Cache-Status"), "detail=unreachable")
	harness.Want(t, r, "BYPASS", 502, "gone\n")
}

func aPurgedPageIsCalledThat(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		edgecache.Tag(w, "page")
		fmt.Fprint(w, "page")
	})
	s.Get("/")
	_, err := s.Edge.PurgeTags(t.Context(), "page")
	require.NoError(t, err)
	require.Equal(t, "purged", s.Edge.Explain(httptest.NewRequest("GET", "/", nil)).Reason.String())
	require.Contains(t, s.Get("/").Header.Get("Cache-Status"), "detail=purged")
}

func explainTakesRequestsOfClients(t *testing.T) {
	edge, err := edgecache.New(edgecache.Config{})
	require.NoError(t, err)
	server := httptest.NewServer(edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {})))
	defer server.Close()
	r, err := http.NewRequest("GET", server.URL+"/page?q", nil)
	require.NoError(t, err)
	answer, err := server.Client().Do(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, edgecache.Hit, edge.Explain(r).Status)
}

// A Cache-Control that is too long to be read counts as no-store, and no setter makes it short
// enough to be read as anything else.
func settersKeepACacheControlThatIsTooLongToBeRead(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Cache-Control", "max-age=60, "+strings.Repeat("x", 5000)+", max-age=60")
	edgecache.MaxAge(w, time.Hour)
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
}
