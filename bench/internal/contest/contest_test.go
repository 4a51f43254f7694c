//go:build linux

package contest

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/bench/internal/load"
)

func TestResultsAreMediansAndRatiosOfTheSameRound(t *testing.T) {
	var samples []Sample
	for round, answers := range []float64{100, 1000, 200} {
		samples = append(samples,
			Sample{Contestant: "bare", Load: "miss", Protocol: "HTTP/1.1", Clients: 64, Round: round, Answers: answers, P50: time.Duration(round)},
			Sample{Contestant: "edgecache", Load: "miss", Protocol: "HTTP/1.1", Clients: 64, Round: round, Answers: answers * .9, P50: time.Duration(round)},
			Sample{Contestant: "nginx", Load: "miss", Protocol: "HTTP/1.1", Clients: 64, Round: round, Failed: "why"},
			Sample{Contestant: "edgecache", Load: "miss", Protocol: "h2c", Clients: 64, Round: round, Answers: 1})
	}
	results := Results(samples, "miss", load.HTTP1, 64)
	require.Len(t, results, 3)
	require.InDelta(t, 200., results["bare"].Answers, 1e-9)
	require.InDelta(t, 180., results["edgecache"].Answers, 1e-9)
	require.InDelta(t, .9, results["edgecache"].Ratio, 1e-9)
	require.Equal(t, time.Duration(1), results["edgecache"].P50)
	require.Equal(t, Result{Failed: "why"}, results["nginx"])

	ratio, ok := Against(samples, "bare", "edgecache", "miss", load.HTTP1, 64)
	require.True(t, ok)
	require.InDelta(t, 1/.9, ratio, 1e-9)
	_, ok = Against(samples, "bare", "nginx", "miss", load.HTTP1, 64)
	require.False(t, ok)

	text := Tables(samples, []Heat{{load.HTTP1, 64, nil}})
	require.Contains(t, text, "### HTTP/1.1, 64 requests in progress")
	require.Contains(t, text, "0.90")
	require.Contains(t, text, "failed")
}

func TestJournalGoesOnAfterALineThatWasCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	sample := func(round int) Sample { return Sample{Contestant: "bare", Load: "miss", Round: round} }
	j, err := openJournal(path)
	require.NoError(t, err)
	require.NoError(t, j.add(sample(0)))
	_, err = j.file.WriteString(`{"Contestant":"ba`)
	require.NoError(t, err)
	require.NoError(t, j.file.Close())

	j, err = openJournal(path)
	require.NoError(t, err)
	require.True(t, j.has(sample(0)))
	require.False(t, j.has(sample(1)))
	require.NoError(t, j.add(sample(1)))
	require.NoError(t, j.file.Close())
	j, err = openJournal(path)
	require.NoError(t, err)
	require.Len(t, j.samples, 2)
	require.NoError(t, j.file.Close())
}

func TestBareSaysWhatAHitOfTheSiteSays(t *testing.T) {
	s := newSite(Loads()[0])
	page, bare := httptest.NewRecorder(), httptest.NewRecorder()
	s.ServeHTTP(page, httptest.NewRequest("GET", "/page", nil))
	s.bare(bare, httptest.NewRequest("GET", "/page", nil))
	require.Equal(t, page.Body.String(), bare.Body.String())
	for name, values := range page.Header() {
		require.Equal(t, values, bare.Header()[name], name)
	}
	require.EqualValues(t, 2, s.made.Load())
}

func TestTreeSeesThisProcess(t *testing.T) {
	all, err := treeOf(os.Getpid())
	require.NoError(t, err)
	require.Contains(t, all, os.Getpid())
	own := tree{os.Getpid()}
	before, err := own.cpu()
	require.NoError(t, err)
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); {
	}
	after, err := own.cpu()
	require.NoError(t, err)
	require.Greater(t, after, before)
	memory, err := own.memory()
	require.NoError(t, err)
	require.Greater(t, memory, int64(1<<20))
}

func TestEveryHeatNamesLoadsThatThereAre(t *testing.T) {
	for _, heats := range [][]Heat{Short(), Full()} {
		for _, h := range heats {
			for _, name := range h.Loads {
				_, ok := find(Loads(), func(l Load) bool { return l.Name == name })
				require.True(t, ok, name)
			}
			require.Zero(t, h.Clients%streams)
		}
	}
}
