package engine_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/engine"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestPurgeFinds(t *testing.T) {
	t.Run("each spelling of a URL", eachSpellingOfAURL)
	t.Run("a host with a default port", aHostWithADefaultPort)
	t.Run("the port that a proxy tells", thePortThatAProxyTells)
	t.Run("what the purge handler is asked for", whatThePurgeHandlerIsAskedFor)
	t.Run("a purge by URL looks at that URL only", aPurgeByURLLooksAtThatURLOnly)
	t.Run("a purge by URL keeps fetches of others", aPurgeByURLKeepsFetchesOfOthers)
	t.Run("a purge by URL stops fetches under each name", aPurgeByURLStopsFetchesUnderEachName)
}

// A purge finds a URL in each spelling: the client that asked for the page, or the application
// that purges it.
func eachSpellingOfAURL(t *testing.T) {
	for _, row := range []struct {
		name      string
		spellings []string // all of one URL
		others    []string // of others
	}{
		{"a letter beyond ASCII", []string{"/grün", "/gr%C3%BCn", "/gr%c3%bcn"}, []string{"/grun", "/gr%FCn"}},
		{"a path in another script", []string{"/日本", "/%E6%97%A5%E6%9C%AC"}, []string{"/日"}},
		{"a bar", []string{"/a|b", "/a%7Cb", "/a%7cb"}, []string{"/a", "/ab"}},
		{"braces", []string{"/{id}", "/%7Bid%7D", "/%7Bid}"}, []string{"/id"}},
		{"a quote, a caret and a backslash", []string{`/"a"^b\c`, "/%22a%22%5Eb%5Cc"}, []string{"/a"}},
		{"a blank in a path", []string{"/a%20b"}, []string{"/a+b"}},
		{"a blank in a query", []string{"/a?q=b%20c", "/a?q=b+c"}, []string{"/a?q=b%2Bc", "/a?q=bc"}},
		{"brackets in a query", []string{"/a?f[b]=c", "/a?f%5Bb%5D=c"}, []string{"/a?f=c"}},
		{"a letter beyond ASCII in a query", []string{"/a?q=ü", "/a?q=%C3%BC"}, []string{"/a?q=u", "/ü?q=a"}},
		{"a slash in a query", []string{"/a?next=/b", "/a?next=%2Fb"}, []string{"/a?next=b"}},
		{"an encoded slash in a path is no slash", []string{"/a%2Fb"}, []string{"/a/b", "/a"}},
		{"an ampersand that parts nothing", []string{"/a?b=c%26d=e"}, []string{"/a?b=c&d=e"}},
	} {
		for _, purged := range row.spellings {
			for _, url := range []string{purged, "https://example.com" + purged, "http://example.com:80" + purged, "//example.com:443" + purged} {
				for _, soft := range []bool{false, true} {
					s := harness.NewShop(t, nil)
					for _, target := range append(row.spellings, row.others...) {
						s.Get(harness.SiteURL + target)
					}
					n, err := harness.PurgerOf(s.Edge, soft).Purge(t.Context(), url)
					if err != nil || n != len(row.spellings) {
						t.Errorf("%s: purging %s, soft %v: got %d, %v, want %d", row.name, url, soft, n, err, len(row.spellings))
					}
					for _, target := range row.spellings {
						if s.Has(harness.SiteURL + target) {
							t.Errorf("%s: purging %s, soft %v, left %s", row.name, url, soft, target)
						}
					}
					for _, target := range row.others {
						if !s.Has(harness.SiteURL + target) {
							t.Errorf("%s: purging %s, soft %v, took %s along", row.name, url, soft, target)
						}
					}
				}
			}
		}
	}
	s := harness.NewShop(t, nil)
	s.Get(harness.SiteURL + "/a%20b")
	if n, err := s.Edge.Purge(t.Context(), "/a b"); n != 1 || err != nil {
		t.Errorf("a blank as people write it: got %d, %v, want 1", n, err)
	}
	s.Get(harness.SiteURL + "/caf%C3%A9/1")
	if n, err := s.Edge.PurgePrefix(t.Context(), "/café/"); n != 1 || err != nil {
		t.Errorf("a prefix: got %d, %v, want 1", n, err)
	}
}

// The default port in Host, of either scheme, is none: TLS may end in front of us.
func aHostWithADefaultPort(t *testing.T) {
	for _, host := range []string{"example.com", "example.com:80", "example.com:443", "EXAMPLE.com.:443"} {
		for _, scheme := range []string{"http://", "https://"} {
			for _, url := range []string{"http://example.com/x", "https://example.com/x", "http://example.com:80/x", "https://example.com:443/x", "//example.com:443/x", "/x"} {
				s := harness.NewShop(t, nil)
				s.Get(scheme + host + "/x")
				s.Get(scheme + "example.com:8080/x?other")
				if n, err := s.Edge.Purge(t.Context(), url); n != 1 || err != nil || s.Has(scheme+host+"/x") {
					t.Errorf("a page of %s%s, purge of %s: got %d, %v", scheme, host, url, n, err)
				}
				s.Get(scheme + host + "/x")
				if n, err := s.Edge.PurgePrefix(t.Context(), url); n < 1 || err != nil || s.Has(scheme+host+"/x") {
					t.Errorf("a page of %s%s, purge of the prefix %s: got %d, %v", scheme, host, url, n, err)
				}
			}
		}
	}
}

// The port of a URL as its readers see it may stand in a field of its own.
func thePortThatAProxyTells(t *testing.T) {
	s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") })
	proxied := []string{"X-Forwarded-Host", "example.com", "X-Forwarded-Port", "8443"}
	for _, u := range []string{"https://example.com:8443/p", "https://example.com/p", "http://internal/p", "/p"} {
		s.Get("http://internal/p", proxied...)
		n, err := s.Edge.Purge(t.Context(), u)
		require.NoError(t, err)
		require.Equal(t, 1, n, u)
		harness.Want(t, s.Get("http://internal/p", proxied...), "MISS", 200, "page")
	}
	n, err := s.Edge.Purge(t.Context(), "https://example.com:9443/p")
	require.NoError(t, err)
	require.Zero(t, n)
}

func whatThePurgeHandlerIsAskedFor(t *testing.T) {
	s := harness.NewShop(t, nil)
	purges, err := s.Edge.PurgeHandler(func(*http.Request) bool { return true })
	require.NoError(t, err)
	for _, row := range []struct{ host, stored, asked string }{
		{"example.com", "/a|b", "/a|b"},
		{"example.com:443", "/grün", "/gr%C3%BCn"},
		{"example.com:80", "/{id}?q=a+b", "/%7Bid%7D?q=a%20b"},
		{"EXAMPLE.com", `/"x"`, `/%22x%22`},
	} {
		for _, from := range []string{"example.com", row.host} {
			url := "http://" + row.host + row.stored
			s.Get(url)
			require.True(t, s.Has(url), url)
			r := httptest.NewRequest("PURGE", strings.ReplaceAll(row.asked, " ", "%20"), nil)
			r.Host = from
			w := httptest.NewRecorder()
			purges.ServeHTTP(w, r)
			if !strings.Contains(w.Body.String(), `"purged":1`) || s.Has(url) {
				t.Errorf("PURGE %s of %s, for %s: %s", row.asked, from, url, w.Body)
			}
		}
	}
}

// crowd stores n pages, each also under a host of its own that a proxy calls by a name of its own,
// and as many under one path.
func crowdedShop(s *harness.Shop, n int) {
	for i := range n {
		s.Get(fmt.Sprintf("%s/page/%d", harness.SiteURL, i))
		s.Get(fmt.Sprintf("%s/list?page=%d", harness.SiteURL, i))
		s.Get(fmt.Sprintf("http://h%d.example/page/7", i))
		s.Get(fmt.Sprintf("http://h%d.internal/page/7", i), "X-Forwarded-Host", fmt.Sprintf("public%d.example", i))
	}
}

// The work of a purge by URL does not grow with what is stored, even if strangers make hosts and
// queries up.
func aPurgeByURLLooksAtThatURLOnly(t *testing.T) {
	for _, n := range []int{200, harness.Scaled(2000, 125_000)} {
		edge, err := edgecache.New(edgecache.Config{MaxBytes: 1 << 30})
		require.NoError(t, err)
		s := &harness.Shop{Edge: edge, Handler: edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprint(w, "page") // which counts nothing, so that clients can be many
		}))}
		crowdedShop(s, n)
		stored := edge.Stats().Entries
		require.Equal(t, 4*n, stored)
		const shards = 64
		for _, row := range []struct {
			name, url string
			want      int
		}{
			{"a page", harness.SiteURL + "/page/11", 1},
			{"a page of which many hosts have one", harness.SiteURL + "/page/7", 1},
			{"a page of every host", "/page/12", 1},
			{"a query of which there are many", harness.SiteURL + "/list?page=7", 1},
			{"a query of every host", "/list?page=8", 1},
			{"the public host that one proxy of many tells", "https://public7.example/page/7", 1},
			{"the host by which a proxy calls us", "http://h8.internal/page/7", 1},
			{"what nobody has", harness.SiteURL + "/page/none", 0},
		} {
			before := engine.Of(edge).MemoryStats().Looked
			got, err := edge.Purge(t.Context(), row.url)
			if err != nil || got != row.want {
				t.Errorf("%d stored, %s: got %d, %v, want %d", stored, row.name, got, err, row.want)
			}
			looked := engine.Of(edge).MemoryStats().Looked - before
			if looked > 4*shards+100 {
				t.Errorf("%d stored, %s: looked at %d entries", stored, row.name, looked)
			}
			t.Logf("%d stored, %s: looked at %d entries", stored, row.name, looked)
		}
		before := engine.Of(edge).MemoryStats().Looked
		s.Ask("POST", harness.SiteURL+"/page/7")
		looked := engine.Of(edge).MemoryStats().Looked - before
		t.Logf("%d stored, a POST: looked at %d entries", stored, looked)
		if looked > 4*shards+100 {
			t.Errorf("%d stored, a POST to a path that many hosts have: looked at %d entries", stored, looked)
		}
		got, err := edge.Purge(t.Context(), "/page/7")
		if want := 2*n - 2; err != nil || got != want {
			t.Errorf("a page of every host: got %d, %v, want %d", got, err, want)
		}
	}
}

// Fetches of other URLs go on and are kept, whatever hosts proxies have told.
func aPurgeByURLKeepsFetchesOfOthers(t *testing.T) {
	for _, url := range []string{"https://example.com/shop/2", "/shop/2", "https://www.example.org/shop/2"} {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewOrigin(t, edgecache.Config{})
			for i := range 100 {
				v := s.Send("GET", fmt.Sprintf("http://h%d.internal/other", i), "X-Forwarded-Host", fmt.Sprintf("public%d.example", i))
				s.Called().Writes("other")
				v.Gets(t, "MISS", 200, "other")
			}
			v := s.Send("GET", thePage)
			c := s.Called()
			_, err := s.Edge.Purge(t.Context(), url)
			require.NoError(t, err)
			c.Writes("kept")
			v.Gets(t, "MISS", 200, "kept")
			s.Send("GET", thePage).Gets(t, "HIT", 200, "kept")
		})
	}
}

// Fetches of what is purged are not kept, under whatever name it is meant.
func aPurgeByURLStopsFetchesUnderEachName(t *testing.T) {
	for _, row := range []struct {
		name, asked string
		header      []string
		purge       string
	}{
		{"another spelling", "http://example.com/gr%C3%BCn", nil, "https://example.com/grün"},
		{"another spelling on every host", "http://example.com/a%7Cb?q=a+b", nil, "/a|b?q=a b"},
		{"a default port", "http://example.com:443/a", nil, "https://example.com/a"},
		{"the host that a proxy tells", "http://10.0.0.7:8080/a", []string{"X-Forwarded-Host", "www.example.org"}, "https://www.example.org/a"},
		{"the host by which it calls us", "http://10.0.0.7:8080/a", []string{"X-Forwarded-Host", "www.example.org"}, "http://10.0.0.7:8080/a"},
		{"the same on every host", "http://10.0.0.7:8080/a", []string{"Forwarded", "host=www.example.org"}, "/a"},
		{"a target without a path", "http://example.com?q", nil, "http://example.com/?q"},
	} {
		for _, soft := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewOrigin(t, edgecache.Config{})
				first := s.Send("GET", row.asked, row.header...)
				old := s.Called()
				_, err := harness.PurgerOf(s.Edge, soft).Purge(t.Context(), row.purge)
				require.NoError(t, err)
				later := s.Send("GET", row.asked, row.header...)
				s.Called().Writes("new") // it does not wait for the old one
				later.Gets(t, "MISS", 200, "new")
				old.Writes("old")
				first.Gets(t, "MISS", 200, "old")
				s.Send("GET", row.asked, row.header...).Gets(t, "HIT", 200, "new")
			})
		}
	}
}

func BenchmarkPurgeByURL(b *testing.B) {
	edge, err := edgecache.New(edgecache.Config{MaxBytes: 2 << 30})
	require.NoError(b, err)
	s := &harness.Shop{Edge: edge, Handler: edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, "page") }))}
	crowdedShop(s, 125_000)
	for _, url := range []string{harness.SiteURL + "/page/11", "/page/11", harness.SiteURL + "/list?page=7", "/list?page=7", "https://public7.example/page/7"} {
		b.Run(url, func(b *testing.B) {
			for b.Loop() {
				_, _ = edge.Purge(context.Background(), url)
			}
		})
	}
	b.Logf("%d responses are stored", edge.Stats().Entries)
}
