package engine_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/engine"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestPurgeTags(t *testing.T) {
	t.Run("pages with the tag go (RFC 9875, 2)", pagesWithTheTagGo)
	t.Run("pages of each origin go", pagesOfEachOriginGo)
	t.Run("only variants that carry the tag go", onlyVariantsThatCarryTheTagGo)
	t.Run("each tag counts its own pages", eachTagCountsItsOwnPages)
	t.Run("a page has the tags of its last 304", aPageHasTheTagsOfItsLast304)
	t.Run("Cache-Group-Invalidation purges (RFC 9875, 3)", cacheGroupInvalidationPurges)
	t.Run("Invalidate and PurgeTags mean the same pages", invalidateAndPurgeTagsMeanTheSamePages)
	t.Run("tags that no page carries are collected", tagsThatNoPageCarriesAreCollected)
	t.Run("a cache that is not used is collected with its tags", aCacheThatIsNotUsedIsCollectedWithItsTags)
	t.Run("tags keep count under traffic", tagsKeepCountUnderTraffic)
}

func pagesWithTheTagGo(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for _, row := range []struct {
		name  string
		tag   func(http.ResponseWriter)
		purge []string
		count int
	}{
		{"the only tag", func(w http.ResponseWriter) { edgecache.Tag(w, "a") }, []string{"a"}, 1},
		{"one of several", func(w http.ResponseWriter) { edgecache.Tag(w, "a", "b", "c") }, []string{"b"}, 1},
		{"one that it has among those that it has not", func(w http.ResponseWriter) { edgecache.Tag(w, "a") }, []string{"x", "a", "y"}, 1},
		{"another tag", func(w http.ResponseWriter) { edgecache.Tag(w, "a") }, []string{"b"}, 0},
		{"a tag that only begins so", func(w http.ResponseWriter) { edgecache.Tag(w, "ab") }, []string{"a"}, 0},
		{"capitals make another tag", func(w http.ResponseWriter) { edgecache.Tag(w, "A") }, []string{"a"}, 0},
		{"no tag", func(http.ResponseWriter) {}, []string{"a"}, 0},
		{"blanks, commas and quotes", func(w http.ResponseWriter) { edgecache.Tag(w, `a, "b"\`) }, []string{`a, "b"\`}, 1},
		{"letters beyond ASCII", func(w http.ResponseWriter) { edgecache.Tag(w, "日本") }, []string{"日本"}, 1},
		{"any bytes", func(w http.ResponseWriter) { edgecache.Tag(w, "\x00\xff\n") }, []string{"\x00\xff\n"}, 1},
		{"a tag longer than a header takes", func(w http.ResponseWriter) { edgecache.Tag(w, long) }, []string{long}, 1},
		{"two long tags that differ at the end", func(w http.ResponseWriter) { edgecache.Tag(w, long+"a") }, []string{long + "b"}, 0},
		{"a tag cannot name an origin", func(w http.ResponseWriter) { edgecache.Tag(w, "a") }, []string{"a\x00http://example.com"}, 0},

		{"a field that is written by hand", func(w http.ResponseWriter) { w.Header().Set("Cache-Groups", `"b", "a"`) }, []string{"a"}, 1},
		{"two lines", func(w http.ResponseWriter) { w.Header()["Cache-Groups"] = []string{`"b"`, `"a"`} }, []string{"a"}, 1},
		{"a name in odd capitals", func(w http.ResponseWriter) { w.Header()["cache-groups"] = []string{`"a"`} }, []string{"a"}, 1},
		{"parameters mean nothing", func(w http.ResponseWriter) { w.Header().Set("Cache-Groups", `"a";x=1`) }, []string{"a"}, 1},
		{"a tag within quotes of another one", func(w http.ResponseWriter) { w.Header().Set("Cache-Groups", `"x\", \"a"`) }, []string{"a"}, 0},
		{"a field that nobody can read says nothing", func(w http.ResponseWriter) { w.Header().Set("Cache-Groups", `"a", b`) }, []string{"a"}, 0},
		{"tokens are no strings", func(w http.ResponseWriter) { w.Header().Set("Cache-Groups", `a`) }, []string{"a"}, 0},
		{"a tag beside a field that nobody can read", func(w http.ResponseWriter) {
			w.Header().Set("Cache-Groups", `"b`)
			edgecache.Tag(w, "a")
		}, []string{"a"}, 1},
	} {
		for _, soft := range []bool{false, true} {
			s := harness.NewShop(t, func(w http.ResponseWriter, _ *http.Request) { row.tag(w) })
			s.Get(harness.SiteURL + "/a")
			require.True(t, s.Has(harness.SiteURL+"/a"), row.name)
			n, err := harness.PurgerOf(s.Edge, soft).PurgeTags(t.Context(), row.purge...)
			if err != nil || n != row.count {
				t.Errorf("%s: soft %v: got %d, %v; want %d", row.name, soft, n, err, row.count)
			}
			if gone := !s.Has(harness.SiteURL + "/a"); gone != (row.count > 0) {
				t.Errorf("%s: soft %v: got gone %v", row.name, soft, gone)
			}
		}
	}
}

func pagesOfEachOriginGo(t *testing.T) {
	s := harness.NewShop(t, func(w http.ResponseWriter, _ *http.Request) { edgecache.Tag(w, "a") })
	urls := []string{"http://example.com/1", "https://example.com/2", "http://example.org/1", "http://example.com:8080/1"}
	for _, url := range urls {
		s.Get(url)
	}
	n, err := s.Edge.PurgeTags(t.Context(), "a")
	if err != nil || n != len(urls) {
		t.Errorf("got %d, %v; want %d", n, err, len(urls))
	}
	for _, url := range urls {
		if s.Has(url) {
			t.Errorf("%s is still there", url)
		}
	}
}

func onlyVariantsThatCarryTheTagGo(t *testing.T) {
	s := harness.NewShop(t, func(w http.ResponseWriter, r *http.Request) {
		edgecache.Vary(w, "Accept-Language")
		edgecache.Tag(w, "lang-"+r.Header.Get("Accept-Language"))
	})
	for _, l := range []string{"en", "de"} {
		s.Get(harness.SiteURL+"/a", "Accept-Language", l)
	}
	n, _ := s.Edge.PurgeTags(t.Context(), "lang-de")
	if n != 1 || s.Has(harness.SiteURL+"/a", "Accept-Language", "de") || !s.Has(harness.SiteURL+"/a", "Accept-Language", "en") {
		t.Errorf("got %d, or not the one variant", n)
	}
}

func eachTagCountsItsOwnPages(t *testing.T) {
	s := harness.NewShop(t, func(w http.ResponseWriter, _ *http.Request) { edgecache.Tag(w, "a", "b") })
	s.Get(harness.SiteURL + "/a")
	if n, _ := s.Edge.Soft().PurgeTags(t.Context(), "a", "b"); n != 2 {
		t.Errorf("softly: got %d, want 2", n)
	}
	if n, _ := s.Edge.PurgeTags(t.Context(), "a"); n != 1 {
		t.Errorf("the one: got %d, want 1", n)
	}
	if n, _ := s.Edge.PurgeTags(t.Context(), "b"); n != 1 {
		t.Errorf("the other, before memory has met the page: got %d, want 1", n)
	}
	s.Get(harness.SiteURL + "/a")
	if n, _ := s.Edge.PurgeAll(t.Context()); n != 1 {
		t.Errorf("everything: got %d, want 1", n)
	}
}

func aPageHasTheTagsOfItsLast304(t *testing.T) {
	tags := `"a"`
	s := harness.NewShop(t, nil)
	s.Say = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Cache-Groups", tags)
		w.Header().Set("Etag", `"1"`)
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
		}
	}
	s.Get(harness.SiteURL + "/a")
	tags = `"b"`
	require.Equal(t, "REVALIDATED", s.Get(harness.SiteURL+"/a").Header.Get("X-Cache"))
	if n, _ := s.Edge.PurgeTags(t.Context(), "a"); n != 0 {
		t.Errorf("the old tag: got %d, want 0", n)
	}
	if n, _ := s.Edge.PurgeTags(t.Context(), "b"); n != 1 {
		t.Errorf("the new tag: got %d, want 1", n)
	}
	require.Equal(t, "MISS", s.Get(harness.SiteURL+"/a").Header.Get("X-Cache"))
}

func cacheGroupInvalidationPurges(t *testing.T) {
	const same, other, secure = "http://example.com/page", "http://example.org/page", "https://example.com/page"
	for _, row := range []struct {
		name, method string
		status       int
		groups       string
		gone         []string
	}{
		{"POST, within its own origin only", "POST", 200, `"a"`, []string{same}},
		{"one of several groups", "DELETE", 204, `"x", "a"`, []string{same}},
		{"another group", "POST", 200, `"b"`, nil},
		{"a redirection", "PUT", 303, `"a"`, []string{same}},
		{"a client's mistake", "POST", 422, `"a"`, nil},
		{"a failure", "POST", 500, `"a"`, nil},
		{"GET is safe", "GET", 200, `"a"`, nil},
		{"HEAD is safe", "HEAD", 200, `"a"`, nil},
		{"OPTIONS is safe", "OPTIONS", 200, `"a"`, nil},
		{"a field that nobody can read", "POST", 200, `"a", b`, nil},
		{"a group of another origin cannot be named", "POST", 200, `"a%00http://example.org"`, nil},
	} {
		s := harness.NewShop(t, func(w http.ResponseWriter, r *http.Request) {
			if harness.Acts(r) {
				w.Header().Set("Cache-Group-Invalidation", row.groups)
				w.WriteHeader(row.status)
				return
			}
			edgecache.Tag(w, "a")
		})
		for _, url := range []string{same, other, secure} {
			s.Get(url)
		}
		s.Ask(row.method, "http://example.com/act", "Act", "1")
		var gone []string
		for _, url := range []string{same, other, secure} {
			if !s.Has(url) {
				gone = append(gone, url)
			}
		}
		if fmt.Sprint(gone) != fmt.Sprint(row.gone) {
			t.Errorf("%s: got %q gone, want %q", row.name, gone, row.gone)
		}
	}
}

func invalidateAndPurgeTagsMeanTheSamePages(t *testing.T) {
	for _, tag := range []string{"a", "日本", strings.Repeat("long", 1000), `"`} {
		s := harness.NewShop(t, func(w http.ResponseWriter, r *http.Request) {
			if harness.Acts(r) {
				require.True(t, edgecache.Invalidate(w, tag))
				return
			}
			edgecache.Tag(w, "else", tag)
		})
		s.Get(harness.SiteURL + "/a")
		s.Ask("POST", harness.SiteURL+"/act", "Act", "1")
		if s.Has(harness.SiteURL + "/a") {
			t.Errorf("%.20q: Invalidate leaves the page", tag)
		}
		s.Get(harness.SiteURL + "/a")
		if n, _ := s.Edge.PurgeTags(t.Context(), tag); n != 1 || s.Has(harness.SiteURL+"/a") {
			t.Errorf("%.20q: PurgeTags: got %d, want 1", tag, n)
		}
	}
}

func tagsThatNoPageCarriesAreCollected(t *testing.T) {
	s := harness.NewShop(t, func(w http.ResponseWriter, r *http.Request) {
		edgecache.Tag(w, "all", "of "+r.URL.Path)
	})
	for i := range 100 {
		s.Get(fmt.Sprint(harness.SiteURL, "/", i))
	}
	require.Equal(t, 202, engine.Of(s.Edge).Mutants().TagCount(), "each tag is known by itself and within its origin")
	_, err := s.Edge.PurgeAll(t.Context())
	require.NoError(t, err)
	collected(t, s.Edge, 0)
	s.Get(harness.SiteURL + "/1")
	if n, _ := s.Edge.PurgeTags(t.Context(), "all"); n != 1 {
		t.Errorf("a tag that has come back: got %d, want 1", n)
	}
	s.Get(harness.SiteURL + "/2")
	runtime.GC()
	if n, _ := s.Edge.PurgeTags(t.Context(), "all"); n != 1 {
		t.Errorf("after the collector: got %d, want 1: a page carries the tag", n)
	}
}

// A tag's clean-up is held by the runtime: it must not hold the pages that carry the tag, or
// neither would ever go.
func aCacheThatIsNotUsedIsCollectedWithItsTags(t *testing.T) {
	edge := func() weak.Pointer[edgecache.Edge] {
		s := harness.NewShop(t, func(w http.ResponseWriter, _ *http.Request) { edgecache.Tag(w, "a") })
		s.Get(harness.SiteURL + "/a")
		return weak.Make(s.Edge)
	}()
	for range 20 {
		done := make(chan struct{})
		runtime.AddCleanup(new([64]byte), func(done chan struct{}) { close(done) }, done)
		runtime.GC()
		<-done
		if edge.Value() == nil {
			return
		}
	}
	t.Error("it is still there")
}

// collected fails if there are other than n tags when the collector has run. Clean-ups run some
// time after it, in a goroutine of the runtime: one of our own, begun later, tells when.
func collected(t *testing.T, e *edgecache.Edge, n int) {
	t.Helper()
	for range 20 {
		done := make(chan struct{})
		runtime.AddCleanup(new([64]byte), func(done chan struct{}) { close(done) }, done)
		runtime.GC()
		<-done
		if engine.Of(e).Mutants().TagCount() == n {
			return
		}
	}
	t.Errorf("got %d tags that were not collected, want %d", engine.Of(e).Mutants().TagCount(), n)
}

// Tags that go and come back while they are purged must neither lose pages nor their count.
func tagsKeepCountUnderTraffic(t *testing.T) {
	s := harness.NewShop(t, nil)
	h := s.Edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edgecache.Tag(w, "all", r.URL.Path)
		w.WriteHeader(200)
	}))
	s.Handler = h
	for round := range 600 {
		var all sync.WaitGroup
		for worker := range 4 {
			all.Go(func() {
				for i := range 8 {
					s.Get(fmt.Sprintf("%s/%d/%d", harness.SiteURL, worker, i))
				}
			})
		}
		all.Go(func() {
			for range 40 {
				_, _ = s.Edge.PurgeTags(t.Context(), "all")
			}
		})
		all.Wait()
		stored := 0
		for worker := range 4 {
			for i := range 8 {
				if s.Has(fmt.Sprintf("%s/%d/%d", harness.SiteURL, worker, i)) {
					stored++
				}
			}
		}
		if n, _ := s.Edge.PurgeTags(t.Context(), "all"); n != stored {
			t.Fatalf("round %d: got %d, want the %d that are stored", round, n, stored)
		}
		if round%50 == 0 {
			runtime.GC()
		}
	}
}
