package edgecache_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

const (
	thePage = "/shop/1"
	itsHead = "max-age=60"
)

// a way is a kind of purge, and concerns thePage, whose tag is "shop".
type way struct {
	name    string
	soft    bool
	header  bool // what concerns the page shows in its header only
	wide    bool // concerns all pages that are being made
	purge   func(ctx context.Context, e *edgecache.Edge) error
	control func(ctx context.Context, e *edgecache.Edge) error // the same of something else
}

func ways() (all []way) {
	second := func(_ int, err error) error { return err }
	for _, soft := range []bool{false, true} {
		name := "hard"
		if soft {
			name = "soft"
		}
		all = append(all,
			way{name + " by URL", soft, false, false,
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(harness.PurgerOf(e, soft).Purge(ctx, "https://example.com/shop/1"))
				},
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(harness.PurgerOf(e, soft).Purge(ctx, "https://example.com/shop/2"))
				}},
			way{name + " by path", soft, false, true,
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(harness.PurgerOf(e, soft).Purge(ctx, thePage))
				}, nil},
			way{name + " by tag", soft, true, false,
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(harness.PurgerOf(e, soft).PurgeTags(ctx, "shop"))
				},
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(harness.PurgerOf(e, soft).PurgeTags(ctx, "blog"))
				}},
			way{name + " by prefix", soft, false, true,
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(harness.PurgerOf(e, soft).PurgePrefix(ctx, "https://example.com/shop"))
				}, nil},
			way{name + " of everything", soft, false, true,
				func(ctx context.Context, e *edgecache.Edge) error {
					return second(harness.PurgerOf(e, soft).PurgeAll(ctx))
				}, nil},
		)
	}
	return all
}

// eachWay plays a scene with every kind of purge, each in a bubble and a cache of its own.
func eachWay(t *testing.T, cfg edgecache.Config, scene func(t *testing.T, s *harness.Origin, how way, purge func())) {
	for _, how := range ways() {
		t.Run(how.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewOrigin(t, cfg)
				scene(t, s, how, func() { require.NoError(t, how.purge(t.Context(), s.Edge)) })
				s.Idle()
			})
		})
	}
}

// store stores thePage.
func store(s *harness.Origin, text string, header ...string) {
	s.T.Helper()
	v := s.Send("GET", thePage)
	s.Called().Writes(text, header...)
	v.Gets(s.T, "MISS", 200, text)
	v = s.Send("GET", thePage)
	v.Gets(s.T, "HIT", 200, text)
}

// recovers answers 500 for a panic, as no server stands around the cache.
func recovers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				w.WriteHeader(500)
			}
		}()
		next.ServeHTTP(w, r)
	})
}
