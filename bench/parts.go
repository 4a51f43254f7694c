//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/bench/internal/report"
	"github.com/edgecache-go/edgecache/bench/internal/scale"
	"github.com/edgecache-go/edgecache/bench/internal/trace"
)

// once returns what f returns, or what it returned before the run was interrupted.
func once[T any](o options, name string, f func() (T, error)) (made T, err error) {
	path := filepath.Join(o.state, name+".json")
	if text, err := os.ReadFile(path); err == nil && json.Unmarshal(text, &made) == nil {
		return made, nil
	}
	logf("%s", name)
	if made, err = f(); err != nil {
		return made, err
	}
	text, err := json.Marshal(made)
	if err != nil {
		return made, err
	}
	return made, os.WriteFile(path, text, 0o600)
}

func (o options) traces(f *found) error {
	objects, requests := 5_000, 100_000
	if o.full {
		objects, requests = 50_000, 2_000_000
	}
	cells, err := once(o, "traces", func() ([]trace.Cell, error) { return trace.Compare(objects, requests, 1) })
	if err != nil {
		return err
	}
	f.cells = cells
	means := report.Table{Head: append([]string{"mean over all cells"}, trace.Names()...)}
	objectsRow, bytesRow := []string{"objects"}, []string{"bytes"}
	for i := range trace.Names() {
		var all []trace.Ratio
		for _, c := range cells {
			all = append(all, c.Ratios[i])
		}
		mean := trace.Mean(all)
		objectsRow, bytesRow = append(objectsRow, percent(mean.Objects)), append(bytesRow, percent(mean.Bytes))
	}
	means.Rows = [][]string{objectsRow, bytesRow}
	each := report.Table{Head: []string{"trace", "sizes", "room"}}
	for _, name := range trace.Names() {
		each.Head = append(each.Head, name+", objects")
	}
	for _, name := range trace.Names() {
		each.Head = append(each.Head, name+", bytes")
	}
	for i, c := range cells {
		row := []string{"", "", fmt.Sprintf("%d %%", c.Percent)}
		if i%len(trace.Percents()) == 0 {
			row[0], row[1] = c.Kind, "uncorrelated"
			if c.Correlated {
				row[1] = "correlated"
			}
		}
		for _, r := range c.Ratios {
			row = append(row, percent(r.Objects))
		}
		for _, r := range c.Ratios {
			row = append(row, percent(r.Bytes))
		}
		each.Rows = append(each.Rows, row)
	}
	return o.section("traces", strings.Join([]string{
		"## What is kept",
		o.command("traces"),
		fmt.Sprintf("Share of requests, and of bytes, answered from memory, in per cent. %d generated requests for %d objects, sizes log-normal around 8 KiB; with *correlated* sizes, "+
			"popular objects are small. Room is in per cent of what all objects take. All caches are given the same costs, the same room, and the same largest object. "+
			"otter v2 runs with its work done inline, for it exceeds its budget otherwise. Belady knows the future, but not the sizes: a cache that prefers small objects can be better in objects, and pays for it in bytes.", requests, objects),
		means.String(), each.String(),
	}, "\n\n"))
}

func percent(f float64) string { return fmt.Sprintf("%.1f", 100*f) }

// Kinds of measurement that -child makes. Each has a process of its own, so that it sees its own heap only.
const (
	childEntries = "entries"
	childChurn   = "churn"
	childProcs   = "procs"
)

// churnBudget is that of the churn, in bytes.
const churnBudget = 64 << 20

func runChild(what, profiles string, out io.Writer) error {
	name, full, _ := strings.Cut(what, ",")
	write := func(name string) func(*pprof.Profile) {
		if profiles == "" {
			return nil
		}
		return func(p *pprof.Profile) {
			var b bytes.Buffer
			if err := p.WriteTo(&b, 0); err == nil {
				err = os.WriteFile(filepath.Join(profiles, name), b.Bytes(), 0o600)
				if err != nil {
					logf("%v", err)
				}
			}
		}
	}
	var made any
	var err error
	switch name {
	case childEntries:
		n := 100_000
		if full != "" {
			n = 1_000_000
		}
		made, err = scale.MeasureEntries(n, 1<<10, write("entries.heap"))
	case childChurn:
		ops := 1_000_000
		if full != "" {
			ops = 50_000_000
		}
		peak := func(phase int, live int64) {
			if save := write(fmt.Sprintf("churn-%d.heap", phase)); save != nil {
				save(pprof.Lookup("heap"))
			}
		}
		made, err = scale.MeasureChurn(ops, 16, churnBudget, peak)
	case childProcs:
		each := 300 * time.Millisecond
		if full != "" {
			each = 3 * time.Second
		}
		made, err = scale.MeasureProcs([]int{1, 2, 4, 8}, each, write("procs.mutex"))
	default:
		err = fmt.Errorf("bench: no measurement is called %q", name)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(made)
}

// measure makes a measurement in a process of its own.
func measure[T any](o options, name string) (T, error) {
	return once(o, name, func() (made T, err error) {
		self, err := os.Executable()
		if err != nil {
			return made, err
		}
		what := name
		if o.full {
			what += ",full"
		}
		cmd := exec.Command(self, "-child", what, "-profiles", o.profiles)
		cmd.Stderr = os.Stderr
		text, err := cmd.Output()
		if err != nil {
			return made, fmt.Errorf("bench: %s: %w", name, err)
		}
		return made, json.Unmarshal(text, &made)
	})
}

func (o options) scale(f *found) error {
	entries, err := measure[scale.Entries](o, childEntries)
	if err != nil {
		return err
	}
	churn, err := measure[scale.Churn](o, childChurn)
	if err != nil {
		return err
	}
	procs, err := measure[[]scale.Procs](o, childProcs)
	if err != nil {
		return err
	}
	f.entries, f.churn = entries, churn
	many := report.Table{Head: []string{"stored pages", fmt.Sprint(entries.Stored)}, Rows: [][]string{
		{"body of each", fmt.Sprintf("%d B", entries.Body)},
		{"key and header of each", fmt.Sprintf("%d B", entries.Text)},
		{"heap beyond these, for each", fmt.Sprintf("%.0f B", entries.Overhead)},
		{"the same, were header names not counted, most of which are kept as one byte", fmt.Sprintf("%.0f B", entries.Overhead+float64(entries.Names))},
		{"heap in all", scale.MiB(entries.Heap)},
		{"charged to the budget", scale.MiB(entries.Charged)},
		{"a full collection", entries.Collect.Round(time.Microsecond).String()},
		{"CPU time of one", entries.CPU.Round(time.Microsecond).String()},
		{"longest pause of five (upper bound)", entries.Pause.Round(time.Microsecond).String()},
		{"storing one page", entries.FillEach.Round(10 * time.Nanosecond).String()},
		{"heap of an empty Edge", fmt.Sprintf("%d KiB", entries.StartHeap>>10)},
		{"resident memory of the process then", scale.MiB(entries.StartRSS)},
	}}
	var phases []string
	for _, n := range churn.ExactEach {
		phases = append(phases, fmt.Sprintf("%.1f", float64(n)/(1<<20)))
	}
	heap := report.Table{Head: []string{"churn", "heap"}, Rows: [][]string{
		{"budget", scale.MiB(churn.Budget)},
		{"bound: budget + 10 % + 8 MiB", scale.MiB(churn.Bound())},
		{"most that was live, with fetches in progress", scale.MiB(churn.Exact)},
		{"charged then", scale.MiB(churn.Charged)},
		{"most that a collection under load took for live", scale.MiB(churn.Marked)},
		{"most with garbage (GOGC=100)", scale.MiB(churn.Heap)},
		{"most resident memory of the process", scale.MiB(churn.RSS)},
	}}
	scaling := report.Table{Head: []string{"GOMAXPROCS", "hits/s, one page", "hits/s, 1 000 pages", "waiting for mutexes, each hit"}}
	for _, p := range procs {
		scaling.Rows = append(scaling.Rows, []string{
			fmt.Sprint(p.Procs), fmt.Sprintf("%.0f", p.Same), fmt.Sprintf("%.0f", p.Spread), fmt.Sprintf("%.1f ns", float64(p.Wait)/float64(max(p.Hits, 1))),
		})
	}
	return o.section("scale", strings.Join([]string{
		"## Much, for long, on several processors",
		o.command("scale"),
		many.String(),
		fmt.Sprintf("Churn: %d requests from %d goroutines in ten phases (usual pages, floods of unique URLs, bodies of up to 8 MiB, 10 000 values of a Vary field, pages that may not be stored, tags and purges), "+
			"%.0f %% hits. Every second all requests are held, in the middle of their bodies, and two collections tell what is live exactly. Bytes are beyond what the heap held before the Edge was made. "+
			"What a collection under load takes for live counts everything that is allocated while it marks. Most that was live in each phase, in MiB: %s.", churn.Ops, churn.Workers, 100*churn.HitRatio, strings.Join(phases, ", ")),
		heap.String(),
		"Hits in process, so that nothing but the cache is seen. More GOMAXPROCS than the machine has cores shows what waiting costs when goroutines are interrupted, not how more cores would scale.",
		scaling.String(),
	}, "\n\n"))
}
