//go:build linux

// Command bench measures edgecache beside what else could stand in front of a Go service, and writes docs/performance.md.
//
//	go run .           everything in its short form, a few minutes
//	go run . -full     everything, over an hour
//	go run . -full -rounds 4
//	go run . -parts peers -only bare,edgecache
//
// It speaks to loopback addresses only. Servers that are not installed are left out. An interrupted run goes on where it was; one that has come to its end is forgotten.
// It needs Linux: the load is driven with epoll, and CPU and memory of the servers are read from /proc.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/bench/internal/contest"
	"github.com/edgecache-go/edgecache/bench/internal/load"
	"github.com/edgecache-go/edgecache/bench/internal/report"
)

type options struct {
	full     bool
	fresh    bool
	rounds   int // of part peers, 0 for as many as the form has
	parts    []string
	only     []string
	docs     string
	state    string // folder
	profiles string // folder, "" for none
}

func main() {
	var o options
	var parts, only, serve, loadName, child string
	flag.BoolVar(&o.full, "full", false, "take the time that good figures need, over an hour")
	flag.BoolVar(&o.fresh, "fresh", false, "forget what an interrupted run has measured")
	flag.IntVar(&o.rounds, "rounds", 0, "how often part peers measures each cell, 0 for 3, or 9 with -full")
	flag.StringVar(&parts, "parts", "peers,traces,scale", "what to measure")
	flag.StringVar(&only, "only", "", "servers to measure, all if empty")
	flag.StringVar(&o.docs, "docs", "../docs", "folder of performance.md and performance.svg")
	flag.StringVar(&o.state, "state", "", "folder for what is measured, a fixed temporary one if empty")
	flag.StringVar(&o.profiles, "profiles", "", "folder for profiles of part scale, none if empty")
	flag.StringVar(&serve, "serve", "", "be this server, for a measurement")
	flag.StringVar(&loadName, "load", "", "the load that -serve is for")
	flag.StringVar(&child, "child", "", "make this measurement of part scale and print it")
	flag.Parse()
	o.parts = strings.Split(parts, ",")
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	var err error
	switch {
	case serve != "":
		err = contest.Serve(serve, loadName, os.Stdin, os.Stdout)
	case child != "":
		err = runChild(child, o.profiles, os.Stdout)
	default:
		err = o.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (o options) run() error {
	if o.state == "" {
		name := "edgecache-bench-short"
		if o.full {
			name = "edgecache-bench-full"
		}
		o.state = filepath.Join(os.TempDir(), name)
	}
	if o.fresh {
		if err := os.RemoveAll(o.state); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(o.state, 0o700); err != nil {
		return err
	}
	if err := os.MkdirAll(o.docs, 0o755); err != nil {
		return err
	}
	var f found
	for _, part := range o.parts {
		var err error
		switch part {
		case "peers":
			err = o.peers(&f)
		case "traces":
			err = o.traces(&f)
		case "scale":
			err = o.scale(&f)
		default:
			err = fmt.Errorf("bench: -parts has %q: want peers, traces or scale", part)
		}
		if err != nil {
			return err
		}
	}
	if len(o.only) == 0 && len(f.samples) > 0 && len(f.cells) > 0 && f.entries.Stored > 0 {
		if err := o.goals(f); err != nil {
			return err
		}
	}
	return os.RemoveAll(o.state)
}

func (o options) section(name, text string) error {
	return report.SetSection(filepath.Join(o.docs, "performance.md"), "# Performance", name, text)
}

// command is how the figures can be had again.
func (o options) command(part string) string {
	c := "go run . -parts " + part
	if o.full {
		c += " -full"
	}
	if o.rounds > 0 {
		c += fmt.Sprint(" -rounds ", o.rounds)
	}
	return fmt.Sprintf("Measured on %s with `%s` in `bench`, on %s.", time.Now().UTC().Format(time.DateOnly), c, machine())
}

func (o options) peers(f *found) error {
	race := contest.Race{
		Rounds: 3, Warm: 60 * time.Millisecond, Measure: 250 * time.Millisecond, Heats: contest.Short(),
		Only: o.only, State: filepath.Join(o.state, "peers.jsonl"), Log: logf,
	}
	if o.full {
		race.Rounds, race.Warm, race.Measure, race.Heats = 9, 200*time.Millisecond, time.Second, contest.Full()
	}
	if o.rounds > 0 {
		race.Rounds = o.rounds
	}
	samples, err := race.Run()
	if err != nil {
		return err
	}
	f.samples = samples
	plot := contest.Plot(samples, load.HTTP1, 64).SVG()
	if err := os.WriteFile(filepath.Join(o.docs, "performance.svg"), []byte(plot), 0o644); err != nil {
		return err
	}
	versions := report.Table{Head: []string{"server", "version"}}
	for _, c := range contest.Contestants() {
		if len(o.only) > 0 && !slices.Contains(o.only, c.Name) {
			continue
		}
		version, ok := c.Version()
		if !ok {
			version = "not installed, left out"
		}
		versions.Rows = append(versions.Rows, []string{c.Name, version})
	}
	return o.section("peers", strings.Join([]string{
		"## Beside other caches",
		o.command("peers"),
		fmt.Sprintf("Figures are medians of %d rounds of %v in which the servers took turns; the ratio is the median of the ratios within each round. "+
			"Load and server share the machine's cores. Every client asks again as soon as it is answered, so latencies are those of a server at its limit.", race.Rounds, race.Measure),
		"*bare* is the handler alone; for hits it writes the same bytes and fields as a hit of edgecache by hand. CPU and memory are those of the server's processes, " +
			"with the handler's own process where it is another one, and with nginx's cache files; each cache may keep 64 MiB. " +
			"*hits* is the share of requests for which the handler did not run. nginx cannot purge and fiber does not answer conditions or speak h2c: what is missing is left out.",
		"![Answers per second relative to the bare handler](performance.svg)",
		versions.String(),
		contest.Tables(samples, race.Heats),
	}, "\n\n"))
}
