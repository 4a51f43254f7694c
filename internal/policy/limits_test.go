package policy_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/policy"
)

// A Vary that no cache reads in full cannot tell anything apart.
func TestLimits(t *testing.T) {
	names := make([]string, 100)
	for i := range names {
		names[i] = "X-" + string(rune('A'+i%26)) + string(rune('A'+i/26))
	}
	require.True(t, (&policy.Policy{Vary: names}).Limits().Passes())
	require.False(t, (&policy.Policy{Vary: names[:3]}).Limits().Passes())
	require.Nil(t, (&policy.Policy{Public: true, Immutable: true, Tags: []string{"a"}}).Limits())
}
