package scale

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEntriesAreMeasured(t *testing.T) {
	m, err := MeasureEntries(500, 1<<10, nil)
	require.NoError(t, err)
	require.Greater(t, m.Heap, int64(500<<10))
	require.Greater(t, m.Text, 100)
	require.Positive(t, m.Collect)
}

func TestChurnSeesBodiesUnderWayAndKeepsToTheBound(t *testing.T) {
	m, err := MeasureChurn(5_000, 4, 8<<20, nil)
	require.NoError(t, err)
	require.Len(t, m.ExactEach, churnPhases)
	require.Positive(t, m.HitRatio)
	require.Greater(t, m.Exact, m.Budget/2)
	require.Less(t, m.Exact, m.Bound())
}

func TestProcsCountsHits(t *testing.T) {
	all, err := MeasureProcs([]int{1, 2}, 10*time.Millisecond, nil)
	require.NoError(t, err)
	require.Len(t, all, 2)
	for _, p := range all {
		require.Positive(t, p.Same)
		require.Positive(t, p.Spread)
	}
}
