package edgecache_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestPurge(t *testing.T) {
	t.Run("a purge by URL removes the page of that URL and no other", aPurgeByURLRemovesThePageOfThatURLAndNoOther)
	t.Run("a purge by URL removes all variants", aPurgeByURLRemovesAllVariants)
	t.Run("a purge by prefix removes what lies below", aPurgeByPrefixRemovesWhatLiesBelow)
	t.Run("a purge by prefix knows the host that a proxy tells", aPurgeByPrefixKnowsTheHostThatAProxyTells)
	t.Run("a purge counts and is idempotent", aPurgeCountsAndIsIdempotent)
	t.Run("a purge refuses what cannot be a URL", aPurgeRefusesWhatCannotBeAURL)
	t.Run("unsafe methods invalidate (RFC 9111, 4.4)", unsafeMethodsInvalidate)
	t.Run("an unsafe method of another host invalidates nothing", anUnsafeMethodOfAnotherHostInvalidatesNothing)
	t.Run("an unsafe method that panics invalidates", anUnsafeMethodThatPanicsInvalidates)
}

func aPurgeByURLRemovesThePageOfThatURLAndNoOther(t *testing.T) {
	const behind = "http://10.0.0.7:8080/a" // how a proxy calls us
	for _, row := range []struct {
		name, stored, purge string
		header              []string
		gone                bool
	}{
		{"the very URL", "http://example.com/a", "http://example.com/a", nil, true},
		{"http and https are one: a page asked for by http", "http://example.com/a", "https://example.com/a", nil, true},
		{"http and https are one: a page asked for by https", "https://example.com/a", "http://example.com/a", nil, true},
		{"a path is that of every host", "http://example.com/a", "/a", nil, true},
		{"a path is that of every host and port, by https, too", "https://www.example.com:8443/a", "/a", nil, true},
		{"another host stays", "http://www.example.com/a", "http://example.com/a", nil, false},
		{"a host that only ends in the same way stays", "http://www.example.com/a", "http://w.example.com/a", nil, false},
		{"another path stays", "http://example.com/ab", "http://example.com/a", nil, false},
		{"a path with a slash more stays", "http://example.com/a/", "http://example.com/a", nil, false},
		{"another path stays, on every host", "http://example.com/a/b", "/a", nil, false},

		{"a port", "http://example.com:8080/a", "http://example.com:8080/a", nil, true},
		{"another port stays", "http://example.com:8080/a", "http://example.com/a", nil, false},
		{"the default port of http in the request", "http://example.com:80/a", "http://example.com/a", nil, true},
		{"the default port of http in the purge", "http://example.com/a", "http://example.com:80/a", nil, true},
		{"the default port of https in the request", "https://example.com:443/a", "https://example.com/a", nil, true},
		{"the default port of https in the purge", "https://example.com/a", "https://example.com:443/a", nil, true},
		{"capitals in the request's host", "http://Example.COM/a", "http://example.com/a", nil, true},
		{"capitals in the purge's host", "http://example.com/a", "HTTP://EXAMPLE.COM/a", nil, true},
		{"a dot after the request's host", "http://example.com./a", "http://example.com/a", nil, true},
		{"a dot after the purge's host", "http://example.com/a", "http://example.com./a", nil, true},
		{"an address of version 6", "http://[::1]:8080/a", "http://[::1]:8080/a", nil, true},
		{"capitals in a path mean another page", "http://example.com/A", "http://example.com/a", nil, false},

		{"a query", "http://example.com/a?x=1&y=2", "http://example.com/a?x=1&y=2", nil, true},
		{"a query, on every host", "http://example.com/a?x=1", "/a?x=1", nil, true},
		{"another query stays", "http://example.com/a?x=1", "http://example.com/a?x=2", nil, false},
		{"a query in another order stays", "http://example.com/a?x=1&y=2", "http://example.com/a?y=2&x=1", nil, false},
		{"the path alone does not mean its queries", "http://example.com/a?x=1", "http://example.com/a", nil, false},
		{"a query does not mean the path alone", "http://example.com/a", "http://example.com/a?x=1", nil, false},
		{"an empty query is another URL", "http://example.com/a?", "http://example.com/a", nil, false},
		{"an empty query", "http://example.com/a?", "http://example.com/a?", nil, true},
		{"a semicolon in the query", "http://example.com/a?x=1;y=2", "http://example.com/a?x=1;y=2", nil, true},

		{"the root", "http://example.com/", "http://example.com/", nil, true},
		{"the root without its slash", "http://example.com/", "http://example.com", nil, true},
		{"the root of every host", "http://example.com/", "/", nil, true},
		{"a query of the root without its slash", "http://example.com/?x=1", "http://example.com?x=1", nil, true},
		{"the root is not the whole site", "http://example.com/a", "http://example.com/", nil, false},

		{"an encoded slash is no slash", "http://example.com/a%2fb", "http://example.com/a/b", nil, false},
		{"an encoded slash", "http://example.com/a%2fb", "http://example.com/a%2fb", nil, true},
		{"an encoded slash in the other case of letters stays", "http://example.com/a%2Fb", "http://example.com/a%2fb", nil, false},
		{"a letter that need not be encoded", "http://example.com/%61", "http://example.com/%61", nil, true},
		{"a letter as browsers encode it", "http://example.com/caf%C3%A9", "http://example.com/café", nil, true},
		{"a blank as browsers encode it", "http://example.com/a%20b", "http://example.com/a b", nil, true},
		{"a letter as curl sends it", "http://example.com/café", "http://example.com/café", nil, true},
		{"a letter as curl sends it, on every host", "http://example.com/café", "/café", nil, true},
		{"a quote as curl sends it", `http://example.com/a"b`, `http://example.com/a"b`, nil, true},
		{"two slashes", "http://example.com//a", "http://example.com//a", nil, true},
		{"dots are not resolved", "http://example.com/b/../a", "http://example.com/a", nil, false},

		{"the host that a proxy tells in X-Forwarded-Host", behind, "https://www.example.com/a", []string{"X-Forwarded-Host", "www.example.com"}, true},
		{"the same in capitals", behind, "https://www.example.com/a", []string{"X-Forwarded-Host", "WWW.example.com"}, true},
		{"the host that a proxy tells in Forwarded", behind, "https://www.example.com/a", []string{"Forwarded", "for=192.0.2.1;host=www.example.com;proto=https"}, true},
		{"the host by which the proxy calls us", behind, behind, []string{"X-Forwarded-Host", "www.example.com"}, true},
		{"another host than the proxy tells stays", behind, "https://shop.example.com/a", []string{"X-Forwarded-Host", "www.example.com"}, false},
		{"another path of the host that a proxy tells stays", behind, "https://www.example.com/b", []string{"X-Forwarded-Host", "www.example.com"}, false},
		{"a proxy that tells more than can be kept as text", behind, "https://www.example.com/a",
			[]string{"X-Forwarded-Host", "www.example.com", "X-Forwarded-Prefix", "/" + strings.Repeat("x", 4<<10)}, true},
	} {
		for _, soft := range []bool{false, true} {
			s := harness.NewShop(t, nil)
			s.Get(row.stored, row.header...)
			require.True(t, s.Has(row.stored, row.header...), row.name)
			wantCount := 0
			if row.gone {
				wantCount = 1
			}
			n, err := harness.PurgerOf(s.Edge, soft).Purge(t.Context(), row.purge)
			if err != nil || n != wantCount {
				t.Errorf("%s: soft %v: got %d, %v; want %d", row.name, soft, n, err, wantCount)
			}
			if gone := !s.Has(row.stored, row.header...); gone != row.gone {
				t.Errorf("%s: soft %v: got gone %v, want %v", row.name, soft, gone, row.gone)
			}
		}
	}
}

func aPurgeByURLRemovesAllVariants(t *testing.T) {
	for _, soft := range []bool{false, true} {
		s := harness.NewShop(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/plain" {
				edgecache.Vary(w, "Accept-Language")
			}
		})
		languages := []string{"en", "de", "fr"}
		for _, l := range languages {
			s.Get(harness.SiteURL+"/a", "Accept-Language", l)
		}
		s.Get(harness.SiteURL+"/a", "Accept-Language", "en", "X-Forwarded-Host", "example.com")
		s.Get("https://example.com/a", "Accept-Language", "en")
		s.Get(harness.SiteURL + "/plain")
		n, err := harness.PurgerOf(s.Edge, soft).Purge(t.Context(), harness.SiteURL+"/a")
		if err != nil || n != 5 {
			t.Errorf("soft %v: got %d, %v; want 5: three languages, one by way of a proxy, one by https", soft, n, err)
		}
		for _, l := range languages {
			if s.Has(harness.SiteURL+"/a", "Accept-Language", l) {
				t.Errorf("soft %v: %s is still there", soft, l)
			}
		}
		if s.Has("https://example.com/a", "Accept-Language", "en") || !s.Has(harness.SiteURL+"/plain") {
			t.Errorf("soft %v: https is still there, or the other page is not", soft)
		}
	}
}

func aPurgeByPrefixRemovesWhatLiesBelow(t *testing.T) {
	stored := []string{
		"http://example.com/", "http://example.com/blog", "http://example.com/blog/1", "https://example.com/blog/2?x=1",
		"http://example.com/blogs", "http://example.com/Blog/3", "http://www.example.com/blog/1", "http://example.com:8080/blog/1",
	}
	for _, row := range []struct {
		name, prefix string
		gone         []int // of stored
	}{
		{"a folder", "http://example.com/blog/", []int{2, 3}},
		{"a folder, by the other scheme", "https://example.com/blog/", []int{2, 3}},
		{"the beginning of a name", "https://example.com/blog", []int{1, 2, 3, 4}},
		{"the beginning of a query", "https://example.com/blog/2?x", []int{3}},
		{"a whole host", "https://example.com", []int{0, 1, 2, 3, 4, 5}},
		{"a whole host with its slash", "https://EXAMPLE.com:443/", []int{0, 1, 2, 3, 4, 5}},
		{"a host and port", "https://example.com:8080/", []int{7}},
		{"a folder of every host", "/blog/", []int{2, 3, 6, 7}},
		{"all of every host", "/", []int{0, 1, 2, 3, 4, 5, 6, 7}},
		{"nothing that is there", "/nothing", nil},
		{"the beginning of a host is none", "https://example", nil},
	} {
		for _, soft := range []bool{false, true} {
			s := harness.NewShop(t, nil)
			for _, url := range stored {
				s.Get(url)
			}
			n, err := harness.PurgerOf(s.Edge, soft).PurgePrefix(t.Context(), row.prefix)
			if err != nil || n != len(row.gone) {
				t.Errorf("%s: soft %v: got %d, %v; want %d", row.name, soft, n, err, len(row.gone))
			}
			var gone []int
			for i, url := range stored {
				if !s.Has(url) {
					gone = append(gone, i)
				}
			}
			if fmt.Sprint(gone) != fmt.Sprint(row.gone) {
				t.Errorf("%s: soft %v: got %v gone, want %v", row.name, soft, gone, row.gone)
			}
		}
	}
}

func aPurgeByPrefixKnowsTheHostThatAProxyTells(t *testing.T) {
	for _, soft := range []bool{false, true} {
		s := harness.NewShop(t, nil)
		const url = "http://10.0.0.7:8080/blog/1"
		s.Get(url, "X-Forwarded-Host", "www.example.com")
		for _, prefix := range []string{"https://shop.example.com/blog/", "https://www.example.com/shop/"} {
			if n, _ := harness.PurgerOf(s.Edge, soft).PurgePrefix(t.Context(), prefix); n != 0 || !s.Has(url, "X-Forwarded-Host", "www.example.com") {
				t.Errorf("%s: soft %v: got %d, or the page is gone", prefix, soft, n)
			}
		}
		if n, _ := harness.PurgerOf(s.Edge, soft).PurgePrefix(t.Context(), "https://www.example.com/blog/"); n != 1 || s.Has(url, "X-Forwarded-Host", "www.example.com") {
			t.Errorf("soft %v: got %d, or the page is still there", soft, n)
		}
	}
}

func aPurgeCountsAndIsIdempotent(t *testing.T) {
	s := harness.NewShop(t, func(w http.ResponseWriter, r *http.Request) {
		edgecache.Tag(w, strings.Split(r.URL.Query().Get("tags"), ",")...)
	})
	e := s.Edge
	fill := func() {
		for _, target := range []string{"/1?tags=a", "/2?tags=a,b", "/3?tags=b", "/4"} {
			s.Get(harness.SiteURL + target)
		}
	}
	count := func(name string, want int) func(int, error) {
		return func(n int, err error) {
			t.Helper()
			if err != nil || n != want {
				t.Errorf("%s: got %d, %v; want %d", name, n, err, want)
			}
		}
	}
	count("nothing is stored, all", 0)(e.PurgeAll(t.Context()))
	count("nothing is stored, a URL", 0)(e.Purge(t.Context(), harness.SiteURL+"/4"))
	count("nothing is stored, a tag", 0)(e.PurgeTags(t.Context(), "a"))
	count("nothing is stored, a prefix", 0)(e.PurgePrefix(t.Context(), "/"))
	fill()
	count("no URL", 0)(e.Purge(t.Context()))
	count("no tag", 0)(e.PurgeTags(t.Context()))
	count("softly, a tag", 2)(e.Soft().PurgeTags(t.Context(), "a"))
	count("softly, the same again: it is still stored", 2)(e.Soft().PurgeTags(t.Context(), "a"))
	count("softly, all", 4)(e.Soft().PurgeAll(t.Context()))
	count("a tag", 2)(e.PurgeTags(t.Context(), "a"))
	count("the same tag again", 0)(e.PurgeTags(t.Context(), "a"))
	count("the same tag softly", 0)(e.Soft().PurgeTags(t.Context(), "a"))
	count("a URL that its tag has purged", 0)(e.Purge(t.Context(), "/1?tags=a"))
	count("two URLs, one of them twice", 2)(e.Purge(t.Context(), harness.SiteURL+"/3?tags=b", harness.SiteURL+"/4", harness.SiteURL+"/4"))
	count("what is left of everything", 0)(e.PurgeAll(t.Context()))
	fill()
	count("filled again, everything", 4)(e.PurgeAll(t.Context()))
	count("everything again", 0)(e.PurgeAll(t.Context()))
	count("a tag after everything", 0)(e.PurgeTags(t.Context(), "a", "b"))
	fill()
	fill()
	count("two hits are no pages", 4)(e.PurgePrefix(t.Context(), "http://example.com/"))
}

func aPurgeRefusesWhatCannotBeAURL(t *testing.T) {
	s := harness.NewShop(t, nil)
	s.Get(harness.SiteURL + "/a")
	for _, row := range []struct{ name, url, says string }{
		{"nothing", "", "begins with /"},
		{"a host without a scheme", "example.com/a", "begins with /"},
		{"a relative path", "a", "begins with /"},
		{"a scheme without a host", "https:///a", "begins with /"},
		{"an opaque URL", "https:a", "begins with /"},
		{"a fragment", "https://example.com/a#b", "fragment"},
		{"an empty fragment", "/a#", "fragment"},
		{"a user", "https://me:secret@example.com/a", "user name"},
		{"another scheme", "ftp://example.com/a", "http or https"},
		{"half an encoded byte", "/a%2", "want a URL"},
		{"a zero byte", "/a\x00", "want a URL"},
		{"a host that no request can have", "https://bücher.example/", "host"},
		{"a port without a host", "https://:443/", "host"},
	} {
		for _, soft := range []bool{false, true} {
			if n, err := harness.PurgerOf(s.Edge, soft).Purge(t.Context(), harness.SiteURL+"/a", row.url); n != 0 || err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("%s: got %d, %v; want 0 and an error that says %q", row.name, n, err, row.says)
			}
			if n, err := harness.PurgerOf(s.Edge, soft).PurgePrefix(t.Context(), row.url); n != 0 || err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("%s as a prefix: got %d, %v; want 0 and an error that says %q", row.name, n, err, row.says)
			}
		}
	}
	for _, soft := range []bool{false, true} {
		if n, err := harness.PurgerOf(s.Edge, soft).PurgeTags(t.Context(), "a", ""); n != 0 || err == nil || !strings.HasPrefix(err.Error(), "edgecache: ") {
			t.Errorf("an empty tag: got %d, %v", n, err)
		}
	}
	if !s.Has(harness.SiteURL + "/a") {
		t.Error("beside a URL that cannot be read another one was purged")
	}
}

func unsafeMethodsInvalidate(t *testing.T) {
	for _, row := range []struct {
		name, method string
		status       int
		header       []string
		stored       string
		gone         bool
	}{
		{"POST, its own URL", "POST", 200, nil, "/a", true},
		{"PUT", "PUT", 204, nil, "/a", true},
		{"PATCH", "PATCH", 200, nil, "/a", true},
		{"DELETE", "DELETE", 202, nil, "/a", true},
		{"a method that no server knows", "BREW", 200, nil, "/a", true},
		{"a redirection", "POST", 303, nil, "/a", true},
		{"the same path with a query", "POST", 200, nil, "/a?x=1", true},
		{"a path that begins so is another one", "POST", 200, nil, "/ab?x=1", false},
		{"nor is one below it", "POST", 200, nil, "/a/b", false},
		{"a client's mistake changes nothing", "POST", 400, nil, "/a", false},
		{"a failure changes nothing", "POST", 503, nil, "/a", false},
		{"OPTIONS is safe", "OPTIONS", 200, nil, "/a", false},
		{"GET is safe", "GET", 200, []string{"Location", "/b"}, "/b", false},

		{"Location", "POST", 201, []string{"Location", "/b"}, "/b", true},
		{"Content-Location", "POST", 200, []string{"Content-Location", "http://example.com/b?x=1"}, "/b?x=1", true},
		{"Location relative to the URL", "POST", 201, []string{"Location", "?x=1"}, "/a?x=1", true},
		{"Location of a failure", "POST", 400, []string{"Location", "/b"}, "/b", false},
		{"Location of another host", "POST", 201, []string{"Location", "http://evil.example/b"}, "/b", false},
		{"Location with a query", "POST", 201, []string{"Location", "/b?x=1"}, "/b?y=2", true},
		{"Location by https: TLS may end in front of us", "POST", 201, []string{"Location", "https://example.com/b"}, "/b", true},
		{"Location of no scheme of the web", "POST", 201, []string{"Location", "ftp://example.com/b"}, "/b", false},
		{"Location of another port", "POST", 201, []string{"Location", "http://example.com:8080/b"}, "/b", false},
	} {
		s := harness.NewShop(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == row.method && r.URL.RequestURI() == "/a" && harness.Acts(r) {
				for i := 0; i < len(row.header); i += 2 {
					w.Header().Set(row.header[i], row.header[i+1])
				}
				w.WriteHeader(row.status)
			}
		})
		s.Get(harness.SiteURL + row.stored)
		require.True(t, s.Has(harness.SiteURL+row.stored), row.name)
		s.Ask(row.method, harness.SiteURL+"/a", "Act", "1")
		if gone := !s.Has(harness.SiteURL + row.stored); gone != row.gone {
			t.Errorf("%s: got gone %v, want %v", row.name, gone, row.gone)
		}
	}
}

func anUnsafeMethodOfAnotherHostInvalidatesNothing(t *testing.T) {
	s := harness.NewShop(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			w.Header().Set("Location", "http://example.com/a")
		}
	})
	s.Get(harness.SiteURL + "/a")
	s.Ask("POST", "http://evil.example/a")
	if !s.Has(harness.SiteURL + "/a") {
		t.Error("a POST to another host has removed the page")
	}
}

// An unsafe method whose handler writes and then breaks off may have done what it was asked.
func anUnsafeMethodThatPanicsInvalidates(t *testing.T) {
	s := harness.NewShop(t, func(w http.ResponseWriter, r *http.Request) {
		if harness.Acts(r) {
			panic(http.ErrAbortHandler)
		}
	})
	for _, method := range []string{"POST", "DELETE"} {
		s.Get(harness.SiteURL + "/a")
		require.True(t, s.Has(harness.SiteURL+"/a"))
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { s.Ask(method, harness.SiteURL+"/a", "Act", "1") })
		if s.Has(harness.SiteURL + "/a") {
			t.Errorf("%s: the page is still there", method)
		}
	}
}
