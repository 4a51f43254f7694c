package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestVariants(t *testing.T) {
	t.Run("the variant that is used least gives way", theVariantThatIsUsedLeastGivesWay)
	t.Run("a URL that finds no more room keeps what it has", aURLThatFindsNoMoreRoomKeepsWhatItHas)
	t.Run("a replaced response goes even if the new one finds no room", aReplacedResponseGoesEvenIfTheNewOneFindsNoRoom)
	t.Run("a purged variant does not stay with the rest", aPurgedVariantDoesNotStayWithTheRest)
	t.Run("a made-up forwarded host costs no page its place", aMadeUpForwardedHostCostsNoPageItsPlace)
	t.Run("variants that are asked for once cost no page its place", variantsThatAreAskedForOnceCostNoPageItsPlace)
	t.Run("a variant that is asked for again finds room", aVariantThatIsAskedForAgainFindsRoom)
}

// What memory keeps of a URL with several variants (RFC 9111, 4.1).

// bySort is a site whose pages differ by the field Sort and have as many KiB as the query says.
func bySort(w http.ResponseWriter, r *http.Request, _ int) {
	w.Header().Set("Vary", "Sort")
	w.Header().Set("Cache-Control", "max-age=60")
	n := 1
	_, _ = fmt.Sscan(r.URL.RawQuery, &n)
	_, _ = io.WriteString(w, strings.Repeat("x", n<<10-1)+"\n")
}

// has reports whether the page is fresh in memory, without asking for it.
func hasStored(s *harness.Site, target string, header ...string) bool {
	s.T.Helper()
	return s.Edge.Explain(harness.Request("GET", target, header...)).Status == edgecache.Hit
}

// ask asks so many times.
func askTimes(s *harness.Site, times int, target string, header ...string) {
	s.T.Helper()
	for range times {
		require.False(s.T, s.Visit(target, header...).Cut())
	}
}

// crowd takes all memory with pages that are asked for again and again.
func crowdedSite(s *harness.Site, pages, rounds int) {
	s.T.Helper()
	for range rounds {
		for i := range pages {
			askTimes(s, 1, fmt.Sprint("/crowd/", i, "?1"))
		}
	}
}

// What is used least goes, however many and however large they are; not what is oldest.
func theVariantThatIsUsedLeastGivesWay(t *testing.T) {
	for _, row := range []struct {
		name string
		cfg  edgecache.Config
		kib  int
	}{
		{"there are too many", edgecache.Config{}, 1},
		{"they are too large", edgecache.Config{MaxObjectBytes: 256 << 10}, 20},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewCountedSite(t, row.cfg, bySort)
				page := fmt.Sprint("/?", row.kib)
				askTimes(s, 3, page, "Sort", "popular")
				for i := range 100 {
					askTimes(s, 1, page, "Sort", fmt.Sprint(i))
					require.True(t, hasStored(s, page, "Sort", fmt.Sprint(i)), "the newest is kept")
					require.True(t, hasStored(s, page, "Sort", "popular"), "after %d others", i+1)
				}
				// Fetched again it is as popular as before.
				time.Sleep(time.Hour)
				askTimes(s, 1, page, "Sort", "popular")
				for i := range 100 {
					askTimes(s, 1, page, "Sort", fmt.Sprint("new", i))
				}
				require.True(t, hasStored(s, page, "Sort", "popular"))
			})
		})
	}
}

// A new variant for which a URL would need more room than it is worth is not stored; the others
// stay.
func aURLThatFindsNoMoreRoomKeepsWhatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{MaxBytes: 1 << 20, MaxObjectBytes: 400 << 10}, bySort)
		askTimes(s, 20, "/?20", "Sort", "a")
		askTimes(s, 20, "/?20", "Sort", "b")
		crowdedSite(s, 600, 5)
		require.True(t, hasStored(s, "/?20", "Sort", "a"))
		before := s.Edge.Stats()
		lost := 0
		for i := range 15 {
			askTimes(s, 1, "/?20", "Sort", fmt.Sprint(i))
			if !hasStored(s, "/?20", "Sort", fmt.Sprint(i)) {
				lost++
			}
			for _, sort := range []string{"a", "b"} {
				require.True(t, hasStored(s, "/?20", "Sort", sort), "%s after %d others", sort, i+1)
			}
		}
		require.Positive(t, lost, "all have found room: this shows nothing")
		require.Greater(t, s.Edge.Stats().Rejections, before.Rejections)
	})
}

// What a new response replaces goes, even if the new one finds no room: it is not what the handler
// says any more.
func aReplacedResponseGoesEvenIfTheNewOneFindsNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kib := 5
		s := harness.NewCountedSite(t, edgecache.Config{MaxBytes: 1 << 20, MaxObjectBytes: 400 << 10}, func(w http.ResponseWriter, r *http.Request, call int) {
			if strings.HasPrefix(r.URL.Path, "/crowd") {
				w.Header().Set("Cache-Control", "max-age=36000")
				_, _ = io.WriteString(w, text(1000))
				return
			}
			w.Header().Set("Vary", "Sort")
			w.Header().Set("Cache-Control", "max-age=60, stale-while-revalidate=36000")
			if r.Header.Get("Sort") == "b" {
				w.Header().Set("Cache-Control", "max-age=36000")
			}
			_, _ = io.WriteString(w, fmt.Sprint(call)+text(kib<<10))
		})
		askTimes(s, 60, "/", "Sort", "a")
		askTimes(s, 60, "/", "Sort", "b")
		crowdedSite(s, 600, 5)
		require.True(t, hasStored(s, "/", "Sort", "a"))
		time.Sleep(2 * time.Minute)
		kib = 300
		askTimes(s, 1, "/", "Sort", "a") // stale, and fetched again behind it
		synctest.Wait()
		ex := s.Edge.Explain(harness.Request("GET", "/", "Sort", "a"))
		require.Equal(t, edgecache.Miss, ex.Status, "neither the new one, which is not worth its room, nor the old one: %v", ex)
		require.True(t, hasStored(s, "/", "Sort", "b"), "its sibling stays")
	})
}

// What a tag purge has made unusable does not stay either.
func aPurgedVariantDoesNotStayWithTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{MaxBytes: 1 << 20, MaxObjectBytes: 400 << 10}, func(w http.ResponseWriter, r *http.Request, call int) {
			if sort := r.Header.Get("Sort"); sort != "" {
				edgecache.Tag(w, "sort-"+sort)
			}
			bySort(w, r, call)
		})
		for _, sort := range []string{"a", "b", "c"} {
			askTimes(s, 40, "/?10", "Sort", sort)
		}
		crowdedSite(s, 600, 5)
		n, err := s.Edge.PurgeTags(t.Context(), "sort-b")
		require.NoError(t, err)
		require.Equal(t, 1, n)
		entries := s.Edge.Stats().Entries
		lost := false
		for i := 0; i < 20 && !lost; i++ {
			askTimes(s, 1, "/?10", "Sort", fmt.Sprint(i))
			lost = !hasStored(s, "/?10", "Sort", fmt.Sprint(i))
			require.False(t, hasStored(s, "/?10", "Sort", "b"))
			require.True(t, hasStored(s, "/?10", "Sort", "a"))
			require.True(t, hasStored(s, "/?10", "Sort", "c"))
		}
		require.True(t, lost, "all have found room: this shows nothing")
		require.Less(t, s.Edge.Stats().Entries, entries+20)
	})
}

// A client that makes up values of X-Forwarded-Host takes only its own room.
func aMadeUpForwardedHostCostsNoPageItsPlace(t *testing.T) {
	proxied := []string{"X-Forwarded-Host", "example.com", "X-Forwarded-Proto", "https"}
	for _, row := range []struct {
		name   string
		header []string // of everybody else
		times  int      // that they ask
	}{
		{"a page that was asked for once", nil, 1},
		{"a page that was asked for twice", nil, 2},
		{"behind a proxy", proxied, 2},
		{"popular, behind a proxy", proxied, 50},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewCountedSite(t, edgecache.Config{MaxBytes: 1 << 20, MaxObjectBytes: 400 << 10}, bySort)
				askTimes(s, row.times, "/?20", row.header...)
				for i := range 120 {
					askTimes(s, 1, "/?20", "X-Forwarded-Host", fmt.Sprint("stranger", i, ".test"))
				}
				require.True(t, hasStored(s, "/?20", row.header...), "after a flood of scopes")
				if row.times < 2 {
					return
				}
				// The stranger's variants make the URL large. Others need room: his go, and the
				// page stays.
				big := s.Edge.Stats().Bytes
				crowdedSite(s, 800, 4)
				require.Greater(t, big, int64(200<<10), "the stranger has blown the URL up")
				require.True(t, hasStored(s, "/?20", row.header...), "in a crowd")
				require.False(t, hasStored(s, "/?20", "X-Forwarded-Host", "stranger110.test"))
			})
		})
	}
}

// Variants that were not asked for twice take the place of no page that was asked for twice,
// however popular the page is of which they are variants, and whatever they are told apart by.
func variantsThatAreAskedForOnceCostNoPageItsPlace(t *testing.T) {
	for name, stranger := range map[string]func(i int) []string{
		"made-up hosts":  func(i int) []string { return []string{"X-Forwarded-Host", fmt.Sprint("stranger", i, ".test")} },
		"made-up fields": func(i int) []string { return []string{"Sort", fmt.Sprint("stranger", i)} },
	} {
		for _, kib := range []int{2, 40} {
			t.Run(fmt.Sprint(name, ", KiB: ", kib), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := harness.NewCountedSite(t, edgecache.Config{MaxBytes: 1 << 20, MaxObjectBytes: 400 << 10}, bySort)
					const pages, popular = 200, 20
					for i := range pages {
						askTimes(s, 2, fmt.Sprintf("/%d?2", i))
					}
					for i := range popular {
						askTimes(s, 20, fmt.Sprintf("/popular%d?%d", i, min(kib, 4)))
					}
					require.Zero(t, s.Edge.Stats().Evictions, "all fits")
					for i := range 2000 {
						askTimes(s, 1, fmt.Sprintf("/popular%d?%d", i%popular, min(kib, 4)), stranger(i)...)
						askTimes(s, 1, fmt.Sprintf("/%d?2", i%pages), stranger(i)...)
					}
					lost := 0
					for i := range pages {
						if !hasStored(s, fmt.Sprintf("/%d?2", i)) {
							lost++
						}
					}
					if lost > 0 {
						t.Errorf("%d of %d pages are lost", lost, pages)
					}
				})
			})
		}
	}
}

// A variant that found no room when it was asked for once competes like others when it is asked for
// again.
func aVariantThatIsAskedForAgainFindsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{MaxBytes: 1 << 20, MaxObjectBytes: 400 << 10}, bySort)
		crowdedSite(s, 800, 3)
		askTimes(s, 200, "/?20")
		require.True(t, hasStored(s, "/?20"))
		crowdedSite(s, 800, 1)
		askTimes(s, 1, "/?20", "Sort", "b")
		require.False(t, hasStored(s, "/?20", "Sort", "b"), "there is no room")
		askTimes(s, 1, "/?20", "Sort", "b")
		require.True(t, hasStored(s, "/?20", "Sort", "b"))
		require.True(t, hasStored(s, "/?20"))
	})
}
