package conformance

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func runsOfMaxAge(t *testing.T) []Run {
	t.Helper()
	suite, err := Load([]byte(miniature))
	require.NoError(t, err)
	return []Run{
		{"plain", Direct, playAll(t, suite, Direct, naive(maxAge))},
		{"plain", Proxy, playAll(t, suite, Proxy, naive(maxAge))},
		{"none", Direct, playAll(t, suite, Direct, through)},
	}
}

func TestComplaints(t *testing.T) {
	runs := runsOfMaxAge(t)
	enough := []Loss{
		{"validate", "", "", "nobody validates"},
		{"early", "plain", "", "a recorder swallows them"},
		{"fresh", "none", Direct, "there is no cache"},
	}
	require.Empty(t, Complaints(runs, enough), "what is blocked by a recorded loss needs no record of its own")

	tests := []struct {
		name   string
		losses []Loss
		want   []string
	}{
		{"a loss without a record", enough[:2], []string{
			"none, direct: fresh (optimal) is failed without a reason on record: response 2 does not come from the cache",
			"none, direct: stale (required) is blocked without a reason on record: depends on fresh",
			"none, direct: chain (required) is blocked without a reason on record: depends on stale",
		}},
		{"a record for one arrangement does not excuse the other", append([]Loss{{"early", "plain", Direct, "x"}, enough[0]}, enough[2]), []string{
			"plain, proxy: early (required) is failed without a reason on record: request 1 got no response: EOF",
		}},
		{"a record of a case that passes", append([]Loss{{"no-store", "none", "", "x"}}, enough...), []string{
			"none, direct: no-store is on record as lost, but passes",
		}},
		{"a record of a case that passes in one of its runs", append([]Loss{{"fresh", "", Direct, "x"}}, enough...), []string{
			"plain, direct: fresh is on record as lost, but passes",
		}},
		{"a record of a case that this file lacks", append([]Loss{{"unheard-of", "none", "", "x"}}, enough...), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, Complaints(runs, tt.losses))
		})
	}
}

func TestReport(t *testing.T) {
	runs := runsOfMaxAge(t)
	losses := []Loss{{"validate", "", "", "Nobody | validates"}, {"early", "plain", "", "A recorder swallows them"}, {"fresh", "none", "", "There is no cache"}}
	got := Report(runs, losses, "abc")
	require.Equal(t, got, Report(runsOfMaxAge(t), losses, "abc"), "the same runs read the same")
	for _, want := range []string{
		"- Cases: 11, from a file with SHA-256 abc.\n",
		"| edgecache, plain, direct | 6 of 7 (85.7 %), 1 failed | 1 of 2 (50.0 %), 1 failed |\n",
		"| edgecache, none, direct | 5 of 7 (71.4 %), 2 without verdict | 0 of 2 (0.0 %), 2 failed |\n",
		"| Varnish | 119 of 160 (74.4 %) | – |\n",
		"| `validate` | optimal | everywhere | request 2 should have been conditional, but was not | Nobody \\| validates |\n",
		"| `early` | required | plain, direct | response 1 came after 1 interim responses, not 2 | A recorder swallows them |\n",
		"| `chain` | required | none, direct | depends on stale | Depends on stale |\n",
		"| case | plain, direct | plain, proxy | none, direct |\n|---|---|---|---|\n",
		"| `none` | yes | yes | yes |\n",
		"| `cut` | no | no | no |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the report lacks %q:\n%s", want, got)
		}
	}
}
