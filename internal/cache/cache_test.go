package cache_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// options has both windows, so that what a purge leaves of a response shows in how it is reused.
var options = rules.Options{StaleWhileRevalidate: time.Hour, StaleIfError: time.Hour}

const (
	list   = "https://example.com/list"
	second = "https://example.com/list?page=2"
	item   = "https://example.com/item"
	other  = "https://example.org/list"
)

// stored are the responses that the tests store, with their tags.
var stored = map[string][]string{list: {"all", "lists"}, second: {"all", "lists"}, item: {"all"}, other: {"all"}}

func newCache() *cache.Cache { return cache.New(cache.Config{MaxBytes: 1 << 20}) }

// site is a cache in which all of stored is stored.
func site(t *testing.T) *cache.Cache {
	c := newCache()
	for url := range stored {
		require.True(t, c.Publish(keyOf(t, url), variant(t, c, url, c.Generation()), nil, cache.Anonymous))
	}
	return c
}

func keyOf(t *testing.T, url string) []byte {
	k, ok := key.Of(nil, httptest.NewRequest(http.MethodGet, url, nil))
	require.True(t, ok)
	return k
}

// variant is a new response for the URL, rendered since gen.
func variant(t *testing.T, c *cache.Cache, url string, gen uint64) *cache.Variant {
	return variantOf(t, c, url, gen, "")
}

// variantOf is one for requests whose X-Flavour is flavour, if that is not "".
func variantOf(t *testing.T, c *cache.Cache, url string, gen uint64, flavour string) *cache.Variant {
	h := http.Header{"Cache-Control": {"max-age=60"}, "Content-Type": {"text/html"}}
	if flavour != "" {
		h["Vary"] = []string{"X-Flavour"}
	}
	r, req := request(url, flavour)
	now := time.Now()
	meta, reason := options.Store(&req, http.StatusOK, h, now, now)
	require.Equal(t, rules.None, reason)
	d := object.Draft{
		Status: http.StatusOK, Header: h, Body: object.NewBody([]byte(url)), Meta: meta,
		Variant: string(key.Values(nil, meta.Vary, r.Header, &req.Scope)),
	}
	return c.NewVariant(d.Seal(), stored[url], gen, "")
}

func request(url, flavour string) (*http.Request, rules.Request) {
	r := httptest.NewRequest(http.MethodGet, url, nil)
	if flavour != "" {
		r.Header.Set("X-Flavour", flavour)
	}
	return r, options.Request(r)
}

func find(t *testing.T, c *cache.Cache, url, flavour string) *cache.Variant {
	r, req := request(url, flavour)
	return c.Get(keyOf(t, url)).Find(nil, &req, r.Header)
}

// state says what a request for the URL may do with what is stored.
func state(t *testing.T, c *cache.Cache, url string) string {
	v := find(t, c, url, "")
	if v == nil {
		return "removed"
	}
	_, req := request(url, "")
	action, reason := v.Reuse(&options, &req, time.Now())
	onError := v.UsableOnError(&options, &req, false, time.Now())
	switch {
	case action == rules.Serve && reason == rules.Fresh:
		return "fresh"
	case action == rules.ServeAndRefresh && onError && v.TTL(time.Now()) <= 0:
		return "soft"
	case action == rules.Validate && reason == rules.Invalidated && onError:
		return "invalid"
	}
	return "action " + strconv.Itoa(int(action)) + ", reason " + reason.String()
}

func TestPurge(t *testing.T) {
	target := func(target cache.Target, err error) cache.Target {
		require.NoError(t, err)
		return target
	}
	everything := []string{list, second, item, other}
	effects := []struct {
		name   string
		effect cache.Effect
		want   string
	}{{"remove", cache.Remove, "removed"}, {"soft", cache.SoftPurge, "soft"}, {"invalidate", cache.Invalidate, "invalid"}}
	for _, row := range []struct {
		name   string
		target cache.Target
		purged []string
	}{
		{"a URL", target(cache.URL(list)), []string{list}},
		{"a URL by http", target(cache.URL("http://EXAMPLE.com/%6cist")), []string{list}},
		{"a URL with its query", target(cache.URL(second)), []string{second}},
		{"a path on every host", target(cache.URL("/list")), []string{list, other}},
		{"a URL that is not stored", target(cache.URL("/none")), nil},
		{"a key", cache.Key(keyOf(t, list), false), []string{list}},
		{"a key with every query", cache.Key(keyOf(t, second), true), []string{list, second}},
		{"a prefix", target(cache.Prefix("https://example.com/li")), []string{list, second}},
		{"a prefix on every host", target(cache.Prefix("/list")), []string{list, second, other}},
		{"a tag", cache.Tag("lists"), []string{list, second}},
		{"a tag of nothing", cache.Tag("none"), nil},
		{"everything", cache.Everything(), everything},
	} {
		for _, e := range effects {
			t.Run(row.name+"/"+e.name, func(t *testing.T) {
				c := site(t)
				want := e.want
				if row.target.Kind == cache.OfTag && e.effect == cache.Invalidate {
					want = "removed" // tags know no invalidation
				}
				gen := c.Generation()
				if n := c.Purge(&row.target, e.effect); n != len(row.purged) {
					t.Errorf("got %d purged, want %d", n, len(row.purged))
				}
				if got := c.Generation(); got != gen+1 {
					t.Errorf("got generation %d, want %d", got, gen+1)
				}
				for _, url := range everything {
					wanted := "fresh"
					if slices.Contains(row.purged, url) {
						wanted = want
					}
					if got := state(t, c, url); got != wanted {
						t.Errorf("%s: got %s, want %s", url, got, wanted)
					}
				}
				for _, url := range row.purged {
					k := keyOf(t, url)
					marks := c.Marks(k, nil)
					if !c.PurgedSince(&marks, stored[url], gen) || c.PurgedSince(&marks, stored[url], gen+1) {
						t.Errorf("%s: want a mark between the two generations", url)
					}
					if c.Publish(k, variant(t, c, url, gen), nil, cache.Anonymous) {
						t.Errorf("%s: stored what was rendered before the purge", url)
					}
					if !c.Publish(k, variant(t, c, url, gen+1), nil, cache.Anonymous) || state(t, c, url) != "fresh" {
						t.Errorf("%s: did not store what was rendered after the purge", url)
					}
				}
			})
		}
	}
}

func TestPublish(t *testing.T) {
	t.Run("a variant takes the place of the one for the same requests", func(t *testing.T) {
		c := newCache()
		first, next, mint := variantOf(t, c, list, 0, "lime"), variantOf(t, c, list, 0, "lime"), variantOf(t, c, list, 0, "mint")
		for _, v := range []*cache.Variant{first, mint, next} {
			require.True(t, c.Publish(keyOf(t, list), v, nil, cache.Anonymous))
		}
		require.Same(t, next, find(t, c, list, "lime"))
		require.Same(t, mint, find(t, c, list, "mint"))
		require.Equal(t, 2, c.Stats().Entries)
	})
	t.Run("the least used variants give way", func(t *testing.T) {
		c := newCache()
		for i := range 2 * cache.MaxVariants {
			v := variantOf(t, c, list, 0, strconv.Itoa(i))
			require.True(t, c.Publish(keyOf(t, list), v, nil, cache.Anonymous))
			if i == 0 {
				v.Touch()
			}
		}
		require.Equal(t, cache.MaxVariants, c.Stats().Entries)
		require.NotNil(t, find(t, c, list, "0"), "it was used")
		require.Nil(t, find(t, c, list, "1"))
	})
}

func TestReplace(t *testing.T) {
	for _, row := range []struct {
		name   string
		before func(c *cache.Cache, k []byte, old *cache.Variant) // what happens before the replacement
		want   bool
	}{
		{"the old one is there", func(*cache.Cache, []byte, *cache.Variant) {}, true},
		{"another variant came", func(c *cache.Cache, k []byte, _ *cache.Variant) {
			c.Publish(k, variantOf(t, c, list, c.Generation(), "lime"), nil, cache.Anonymous)
		}, true},
		{"it was discarded", func(c *cache.Cache, k []byte, old *cache.Variant) { c.Discard(k, old) }, false},
		{"another response took its place", func(c *cache.Cache, k []byte, _ *cache.Variant) {
			c.Publish(k, variant(t, c, list, c.Generation()), nil, cache.Anonymous)
		}, false},
		{"it was purged by URL", func(c *cache.Cache, k []byte, _ *cache.Variant) {
			target := cache.Key(k, false)
			c.Purge(&target, cache.Remove)
		}, false},
		{"it was purged by tag", func(c *cache.Cache, _ []byte, _ *cache.Variant) {
			target := cache.Tag("lists")
			c.Purge(&target, cache.Remove)
		}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, k := site(t), keyOf(t, list)
			old := find(t, c, list, "")
			row.before(c, k, old)
			before := find(t, c, list, "")
			next := variant(t, c, list, c.Generation()) // no purge is newer
			require.Equal(t, row.want, c.Replace(k, next, old, cache.Anonymous))
			if row.want {
				before = next
			}
			require.Same(t, before, find(t, c, list, ""))
		})
	}
	t.Run("a soft purge in between", func(t *testing.T) {
		c, k, target := site(t), keyOf(t, list), cache.Tag("lists")
		old, next := find(t, c, list, ""), variant(t, c, list, c.Generation())
		c.Purge(&target, cache.SoftPurge)
		require.False(t, c.Replace(k, next, old, cache.Anonymous))
		require.Equal(t, "soft", state(t, c, list))
	})
}

func TestHitForMiss(t *testing.T) {
	credentialed := cache.ClassOf(&rules.Request{Authorization: true})
	require.Equal(t, cache.Anonymous, cache.ClassOf(&rules.Request{}))
	const scope = "a scope"
	for _, row := range []struct {
		name  string
		after func(c *cache.Cache, k []byte, now *time.Time) // what happens after the responses were refused
		want  [4]rules.Reason                                // anonymous and credentialed, each without and with the scope
	}{
		{"nothing", func(*cache.Cache, []byte, *time.Time) {}, [4]rules.Reason{rules.NoStore, rules.Private, rules.Cookie, rules.TooLarge}},
		{"a shorter time than it lasts", func(_ *cache.Cache, _ []byte, now *time.Time) { *now = now.Add(time.Minute) },
			[4]rules.Reason{rules.NoStore, rules.Private, rules.Cookie, rules.TooLarge}},
		{"a longer time", func(_ *cache.Cache, _ []byte, now *time.Time) { *now = now.Add(3 * time.Minute) }, [4]rules.Reason{}},
		{"one is forgotten", func(c *cache.Cache, k []byte, _ *time.Time) { c.ForgetHitForMiss(k, scope, cache.Anonymous) },
			[4]rules.Reason{rules.NoStore, rules.None, rules.Cookie, rules.TooLarge}},
		{"a response is stored", func(c *cache.Cache, k []byte, _ *time.Time) {
			c.Publish(k, variant(t, c, list, c.Generation()), nil, credentialed)
		}, [4]rules.Reason{rules.NoStore, rules.Private, rules.None, rules.TooLarge}},
		{"the URL is purged", func(c *cache.Cache, k []byte, _ *time.Time) {
			target := cache.Key(k, false)
			c.Purge(&target, cache.Remove)
		}, [4]rules.Reason{rules.None, rules.Private, rules.None, rules.TooLarge}},
		{"everything is purged", func(c *cache.Cache, _ []byte, _ *time.Time) {
			target := cache.Everything()
			c.Purge(&target, cache.Remove)
		}, [4]rules.Reason{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, k, now := newCache(), keyOf(t, list), time.Now()
			c.SetHitForMiss(k, "", cache.Anonymous, rules.NoStore, now)
			c.SetHitForMiss(k, scope, cache.Anonymous, rules.Private, now)
			c.SetHitForMiss(k, "", credentialed, rules.Cookie, now)
			c.SetHitForMiss(k, scope, credentialed, rules.TooLarge, now)
			row.after(c, k, &now)
			got := [4]rules.Reason{
				c.HitForMiss(k, "", cache.Anonymous, now), c.HitForMiss(k, scope, cache.Anonymous, now),
				c.HitForMiss(k, "", credentialed, now), c.HitForMiss(k, scope, credentialed, now),
			}
			require.Equal(t, row.want, got)
			require.Equal(t, rules.None, c.HitForMiss(keyOf(t, item), "", cache.Anonymous, now), "of another URL")
		})
	}
}
