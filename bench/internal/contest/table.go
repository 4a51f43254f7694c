//go:build linux

package contest

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/edgecache-go/edgecache/bench/internal/load"
	"github.com/edgecache-go/edgecache/bench/internal/report"
)

// Result is what several rounds of one contestant come to: medians of each figure.
type Result struct {
	Answers float64
	Ratio   float64 // to the first contestant, in the same round
	P50     time.Duration
	P99     time.Duration
	CPU     time.Duration
	Memory  int64
	Hits    float64
	Failed  string
	Rounds  int
}

// Results sums up the samples of one load.
func Results(samples []Sample, loadName string, protocol load.Protocol, clients int) map[string]Result {
	first := Contestants()[0].Name
	of := func(name string) (list []Sample) {
		for _, s := range samples {
			if s.Contestant == name && s.Load == loadName && s.Protocol == protocol.String() && s.Clients == clients {
				list = append(list, s)
			}
		}
		return list
	}
	base := map[int]float64{}
	for _, s := range of(first) {
		base[s.Round] = s.Answers
	}
	results := map[string]Result{}
	for _, c := range Contestants() {
		var r Result
		var answers, ratios, hits []float64
		var p50, p99, cpu []time.Duration
		var memory []int64
		for _, s := range of(c.Name) {
			if s.Failed != "" {
				r.Failed = s.Failed
				continue
			}
			answers, hits = append(answers, s.Answers), append(hits, s.Hits)
			p50, p99, cpu, memory = append(p50, s.P50), append(p99, s.P99), append(cpu, s.CPU), append(memory, s.Memory)
			if base[s.Round] > 0 {
				ratios = append(ratios, s.Answers/base[s.Round])
			}
		}
		if len(answers) == 0 && r.Failed == "" {
			continue
		}
		r.Answers, r.Ratio, r.Hits, r.Rounds = median(answers), median(ratios), median(hits), len(answers)
		r.P50, r.P99, r.CPU, r.Memory = median(p50), median(p99), median(cpu), median(memory)
		results[c.Name] = r
	}
	return results
}

// Against is the median, over the rounds that both finished, of what one contestant answers for each answer of the other; ok is false if there is none.
func Against(samples []Sample, one, other, loadName string, protocol load.Protocol, clients int) (ratio float64, ok bool) {
	answers := map[string]map[int]float64{one: {}, other: {}}
	for _, s := range samples {
		if s.Load == loadName && s.Protocol == protocol.String() && s.Clients == clients && s.Failed == "" && answers[s.Contestant] != nil {
			answers[s.Contestant][s.Round] = s.Answers
		}
	}
	var ratios []float64
	for round, n := range answers[one] {
		if m := answers[other][round]; m > 0 {
			ratios = append(ratios, n/m)
		}
	}
	return median(ratios), len(ratios) > 0
}

func median[T float64 | int64 | time.Duration](list []T) T {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	if n := len(list); n%2 == 0 {
		return (list[n/2-1] + list[n/2]) / 2
	}
	return list[len(list)/2]
}

// Tables returns one table for each heat.
func Tables(samples []Sample, heats []Heat) (text string) {
	for _, h := range heats {
		t := report.Table{Head: []string{"load", "server", "answers/s", "of bare", "p50", "p99", "CPU each", "memory", "hits"}}
		for _, l := range Loads() {
			results := Results(samples, l.Name, h.Protocol, h.Clients)
			title := l.Title
			for _, c := range Contestants() {
				r, ok := results[c.Name]
				switch {
				case !ok:
					continue
				case r.Rounds == 0:
					t.Rows = append(t.Rows, []string{title, c.Name, "failed", "", "", "", "", "", ""})
				default:
					hits := fmt.Sprintf("%.1f %%", 100*r.Hits)
					if c.Name == Contestants()[0].Name {
						hits = ""
					}
					t.Rows = append(t.Rows, []string{
						title, c.Name, thousands(r.Answers), fmt.Sprintf("%.2f", r.Ratio), short(r.P50), short(r.P99), short(r.CPU),
						strconv.FormatInt(r.Memory>>20, 10) + " MiB", hits,
					})
				}
				title = ""
			}
		}
		if len(t.Rows) > 0 {
			text += fmt.Sprintf("### %s, %d requests in progress\n\n%s\n", h.Protocol, h.Clients, t)
		}
	}
	return text
}

// Plot draws throughput relative to the bare handler.
func Plot(samples []Sample, protocol load.Protocol, clients int) report.Bars {
	p := report.Bars{Title: fmt.Sprintf("Answers per second, relative to the bare handler (%s, %d requests in progress)", protocol, clients), Mark: 1}
	for _, c := range Contestants() {
		p.Series = append(p.Series, c.Name)
	}
	for _, l := range Loads() {
		results := Results(samples, l.Name, protocol, clients)
		if len(results) == 0 {
			continue
		}
		g := report.Group{Label: l.Title}
		for _, c := range Contestants() {
			v := -1.0
			if r, ok := results[c.Name]; ok && r.Rounds > 0 {
				v = r.Ratio
			}
			g.Values = append(g.Values, v)
		}
		if len(g.Label) > 60 {
			g.Label = g.Label[:60] + "…"
		}
		p.Groups = append(p.Groups, g)
	}
	return p
}

// thousands prints a number with a thin grouping of its digits.
func thousands(f float64) string {
	s := strconv.FormatFloat(f, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}

// short prints a duration with three digits.
func short(d time.Duration) string {
	switch {
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%.0f ms", float64(d)/1e6)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	case d >= 100*time.Microsecond:
		return fmt.Sprintf("%.0f µs", float64(d)/1e3)
	}
	return fmt.Sprintf("%.1f µs", float64(d)/1e3)
}
