//go:build linux

package main

import (
	"fmt"
	"strings"

	"github.com/edgecache-go/edgecache/bench/internal/contest"
	"github.com/edgecache-go/edgecache/bench/internal/load"
	"github.com/edgecache-go/edgecache/bench/internal/report"
	"github.com/edgecache-go/edgecache/bench/internal/scale"
	"github.com/edgecache-go/edgecache/bench/internal/trace"
)

// found is what the parts of one run have measured.
type found struct {
	samples []contest.Sample
	cells   []trace.Cell
	entries scale.Entries
	churn   scale.Churn
}

// goals says what edgecache is to reach, and what this run has seen of it.
func (o options) goals(f found) error {
	hit := contest.Results(f.samples, "hit-1k", load.HTTP1, 64)
	edge := hit["edgecache"]
	t := report.Table{Head: []string{"figure", "goal", "measured", ""}}
	add := func(figure, goal, measured string, reached bool) {
		verdict := "missed"
		if reached {
			verdict = "reached"
		}
		t.Rows = append(t.Rows, []string{figure, goal, measured, verdict})
	}
	add("hits/s over loopback, 1 KiB, against the bare handler", "≥ 0.95", fmt.Sprintf("%.2f", edge.Ratio), edge.Ratio >= .95)
	for _, name := range []string{"varnish", "nginx"} {
		if ratio, ok := contest.Against(f.samples, "edgecache", name, "hit-1k", load.HTTP1, 64); ok {
			add("the same against "+name+", one worker per core", "≥ 1.00", fmt.Sprintf("%.2f", ratio), ratio >= 1)
		}
	}
	// With few clients the missing ones leave the server idle; with many it is at its limit both times.
	many, slow := contest.Results(f.samples, "hit-1k", load.HTTP1, 512)["edgecache"], contest.Results(f.samples, "slow", load.HTTP1, 512)["edgecache"]
	if many.Rounds == 0 || slow.Rounds == 0 {
		many, slow = edge, contest.Results(f.samples, "slow", load.HTTP1, 64)["edgecache"]
	}
	if p99 := float64(slow.P99) / float64(max(many.P99, 1)); many.Rounds > 0 {
		add("p99 of hits while 5 % miss a handler of 50 ms, against p99 without", "≤ 2.0", fmt.Sprintf("%.1f", p99), p99 <= 2)
	}
	means := map[string]float64{}
	for i, name := range trace.Names() {
		for _, c := range f.cells {
			means[name] += 100 * c.Ratios[i].Objects / float64(len(f.cells))
		}
	}
	above := means["edgecache"] - means["LRU"]
	add("object hit ratio above LRU, in points", "≥ 10", fmt.Sprintf("%.1f", above), above >= 10)
	above = means["edgecache"] - means["otter"]
	add("object hit ratio above otter, in points", "≥ 6", fmt.Sprintf("%.1f", above), above >= 6)
	add("most live heap under churn at 64 MiB", "≤ "+scale.MiB(f.churn.Bound()), scale.MiB(f.churn.Exact), f.churn.Exact <= f.churn.Bound())
	add("heap of an entry beyond key, header and body", "≤ 250 B", fmt.Sprintf("%.0f B", f.entries.Overhead), f.entries.Overhead <= 250)
	return o.section("goals", strings.Join([]string{
		"## Goals",
		o.command(strings.Join(o.parts, ",")),
		"What this run says of each. Those about allocations are held by tests of the package itself.",
		t.String(),
	}, "\n\n"))
}
