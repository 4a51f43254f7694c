package trace

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// equal is a trace of objects that all cost the same, so that the budget counts them.
func equal(requests ...int32) Trace {
	return Trace{Requests: requests, Sizes: slices.Repeat([]int64{1000}, 100)}
}

func ask(c Cache, ids ...int32) (hits []bool) {
	for _, id := range ids {
		hits = append(hits, c.Ask(id))
	}
	return hits
}

func TestLRUGivesUpWhatWasAskedForLongestAgo(t *testing.T) {
	ids := []int32{0, 1, 2, 3, 4, 5, 6, 7, 0, 8, 0, 1}
	tr := equal(ids...)
	c, err := newLRU(tr, 8*tr.cost(0))
	require.NoError(t, err)
	require.Equal(t, []bool{false, false, false, false, false, false, false, false, true, false, true, false}, ask(c, ids...))
}

func TestBeladyGivesUpWhatIsAskedForLast(t *testing.T) {
	ids := []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 7, 6, 5, 4, 3, 2, 1, 0}
	tr := equal(ids...)
	c, err := newBelady(tr, 8*tr.cost(0))
	require.NoError(t, err)
	// All but the 0 come back, and that is the last of all.
	require.Equal(t, []bool{true, true, true, true, true, true, true, true, false}, ask(c, ids...)[9:])
}

func TestCachesKeepToTheirRoom(t *testing.T) {
	tr := Make("zipf .9", false, 1000, 10_000, 1)
	all := tr.Footprint(tr.cost)
	for i, build := range []func(Trace, int64) (Cache, error){newLRU, newOtter, newTier, newBelady} {
		small, err := build(tr, all/100)
		require.NoError(t, err)
		large, err := build(tr, all*10)
		require.NoError(t, err)
		few, most := tr.Play(small).Objects, tr.Play(large).Objects
		// With room for everything only the first request for each object is none that is answered.
		seen := map[int32]bool{}
		for _, id := range tr.Requests {
			seen[id] = true
		}
		require.InDelta(t, 1-float64(len(seen))/float64(len(tr.Requests)), most, 1e-9, Names()[i])
		require.Less(t, few, most-.1, Names()[i])
	}
}

func TestBeladyIsBetterThanLRU(t *testing.T) {
	cells, err := Compare(400, 4_000, 1)
	require.NoError(t, err)
	require.Len(t, cells, len(Kinds())*2*len(Percents()))
	for _, c := range cells {
		require.Greater(t, c.Ratios[3].Objects, c.Ratios[0].Objects, c)
	}
}
