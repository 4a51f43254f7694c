package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/engine"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
	"github.com/edgecache-go/edgecache/storetest"
)

func TestPurgeModel(t *testing.T) {
	t.Run("without a store", withoutAStore)
	t.Run("in front of a store", inFrontOfAStore)
	t.Run("broken purges are caught", brokenPurgesAreCaught)
}

// purges are the ways to purge that the model uses: those of the Edge, or broken ones.
type purges struct {
	url    func(e *edgecache.Edge, soft bool, host, path string)
	tag    func(e *edgecache.Edge, soft bool, tag string)
	prefix func(e *edgecache.Edge, soft bool, prefix string)
	all    func(e *edgecache.Edge, soft bool)

	wrap  func(http.Handler) http.Handler // goes around the handler, if not nil
	after func(e *edgecache.Edge)         // is called after each request, if not nil
}

func sound() purges {
	must := func(_ int, err error) {
		if err != nil {
			panic(err)
		}
	}
	ctx := context.Background()
	return purges{
		url: func(e *edgecache.Edge, soft bool, host, path string) {
			if host != "" {
				path = "https://" + host + path
			}
			must(harness.PurgerOf(e, soft).Purge(ctx, path))
		},
		tag: func(e *edgecache.Edge, soft bool, tag string) { must(harness.PurgerOf(e, soft).PurgeTags(ctx, tag)) },
		prefix: func(e *edgecache.Edge, soft bool, prefix string) {
			must(harness.PurgerOf(e, soft).PurgePrefix(ctx, prefix))
		},
		all: func(e *edgecache.Edge, soft bool) { must(harness.PurgerOf(e, soft).PurgeAll(ctx)) },
	}
}

func playModel(t *testing.T, seed uint64, p purges, store func() edgecache.Store, tally map[string]int) (violations []string) {
	synctest.Test(t, func(*testing.T) {
		m := newModel(seed, p, store())
		m.play()
		violations = m.violations
		for status, n := range m.answered {
			tally[status] += n
		}
	})
	return violations
}

// It plays random interleavings: a million with EDGECACHE_LONG, else as many as a short
// time allows. A seed that EDGECACHE_SEED names is played alone.
func withoutAStore(t *testing.T) {
	tally := playModels(t, 1_500, 1_000_000, func() edgecache.Store { return nil })
	for _, status := range []string{"HIT", "MISS", "EXPIRED", "REVALIDATED", "STALE", "UPDATING", "BYPASS"} {
		if tally[status] == 0 && len(tally) > 2 {
			t.Errorf("the model never met %s: it has lost its way", status)
		}
	}
}

// The same in front of a store: one that works, and one that
// fails, blocks, lies or panics in a fifth of its calls.
func inFrontOfAStore(t *testing.T) {
	t.Run("sound", func(t *testing.T) {
		playModels(t, 300, 100_000, func() edgecache.Store { return storetest.NewMap() })
	})
	t.Run("faulty", func(t *testing.T) {
		playModels(t, 300, 100_000, func() edgecache.Store { return storetest.NewFaulty(storetest.NewMap(), rand.Uint64(), 0.2) })
	})
}

// playModels plays short interleavings, or long ones with EDGECACHE_LONG, and returns how often
// requests got which status.
func playModels(t *testing.T, short, long uint64, store func() edgecache.Store) (tally map[string]int) {
	t.Helper()
	n, first := short, rand.Uint64()>>16
	if os.Getenv("EDGECACHE_LONG") != "" {
		n = long
	} else if testing.Short() {
		n /= 5
	}
	if s := os.Getenv("EDGECACHE_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
		n, first = 1, seed
	}
	t.Logf("seeds %d to %d", first, first+n-1)
	workers := uint64(runtime.GOMAXPROCS(0))
	tallies := make([]map[string]int, workers)
	t.Run("seeds", func(t *testing.T) {
		for worker := range workers {
			tallies[worker] = map[string]int{}
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				for seed := first + worker; seed < first+n; seed += workers {
					if violations := playModel(t, seed, sound(), store, tallies[worker]); len(violations) > 0 {
						t.Fatalf("EDGECACHE_SEED=%d: %s", seed, strings.Join(violations, "\n"))
					}
				}
			})
		}
	})
	tally = map[string]int{}
	for _, one := range tallies {
		for status, count := range one {
			tally[status] += count
		}
	}
	t.Logf("%d interleavings, answers: %v", n, tally)
	return tally
}

// It shows that the model notices each kind of broken purge.
func brokenPurgesAreCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds until each of them is noticed")
	}
	for _, row := range []struct {
		name   string
		breaks func(p *purges)
	}{
		{"a purge by URL that lets fills store again", func(p *purges) {
			p.url = func(e *edgecache.Edge, soft bool, host, path string) {
				engine.Of(e).Mutants().PurgeWithoutMark(max(host, ownHost), path)
			}
		}},
		{"a purge by URL that removes nothing", func(p *purges) {
			p.url = func(e *edgecache.Edge, soft bool, host, path string) {
				engine.Of(e).Mutants().PurgeMarkOnly(max(host, ownHost), path)
			}
		}},
		{"a purge by tag that lets fills store again", func(p *purges) {
			p.tag = func(e *edgecache.Edge, soft bool, tag string) { engine.Of(e).Mutants().PurgeTagWithoutMark(tag) }
		}},
		{"a purge of everything that lets fills store again", func(p *purges) {
			p.all = func(e *edgecache.Edge, soft bool) { engine.Of(e).Mutants().PurgeAllWithoutMark() }
		}},
		{"a purge by prefix that forgets one page", func(p *purges) {
			p.prefix = func(e *edgecache.Edge, soft bool, prefix string) {
				_, _ = e.PurgePrefix(context.Background(), prefix+"/1")
			}
		}},
		{"an unsafe method that leaves what is stored with other queries", func(p *purges) {
			p.wrap = edgecache.Policy{InvalidateExact: true}.Handler
		}},
		{"an unsafe method that forgets what it names", func(p *purges) {
			p.wrap = edgecache.AfterRequest(func(_ *http.Request, _ int, header http.Header) { header.Del("Location") })
		}},
		{"an unsafe method that lets fills store again", func(p *purges) {
			p.after = func(e *edgecache.Edge) { engine.Of(e).Mutants().ForgetPaths() }
		}},
		{"an unsafe method that lets what it names be served while it is made anew", func(p *purges) {
			p.after = func(e *edgecache.Edge) { engine.Of(e).Mutants().MakeInvalidSoft() }
		}},
		{"a soft purge that lets a 304 on its way make the page fresh", func(p *purges) {
			hard := p.url
			p.url = func(e *edgecache.Edge, soft bool, host, path string) {
				if soft {
					engine.Of(e).Mutants().SoftPurgeWithoutMark(ownHost, path)
				} else {
					hard(e, soft, host, path)
				}
			}
		}},
	} {
		broken := sound()
		row.breaks(&broken)
		tally := map[string]int{}
		found := uint64(0)
		for seed := uint64(0); seed < 4_000 && found == 0; seed += 2 {
			if len(playModel(t, seed, broken, func() edgecache.Store { return nil }, tally)) > 0 {
				found = seed + 1
			}
		}
		if found == 0 {
			t.Errorf("%s: the model has not noticed", row.name)
			continue
		}
		t.Logf("%s: noticed by seed %d", row.name, found-1)
	}
}
