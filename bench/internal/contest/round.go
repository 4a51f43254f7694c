//go:build linux

package contest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/edgecache-go/edgecache/bench/internal/load"
)

// Race is what is measured, and how long.
type Race struct {
	Rounds   int
	Warm     time.Duration // of each run
	Measure  time.Duration
	Only     []string // names of contestants, if not empty
	Heats    []Heat
	State    string // file to which every sample is added, and from which an interrupted race goes on
	Log      func(format string, args ...any)
	Deadline time.Time // when no new heat is begun
}

// Heat is one protocol with so many requests in progress.
type Heat struct {
	Protocol load.Protocol
	Clients  int      // requests in progress
	Loads    []string // names
}

// streams is how many requests one HTTP/2 connection carries at a time.
const streams = 8

// Short takes about two minutes.
func Short() []Heat {
	return []Heat{
		{load.HTTP1, 64, []string{"hit-1k", "hit-64k", "hit-1m", "304", "miss", "mixed", "slow"}},
		{load.HTTP1, 512, []string{"hit-1k", "miss"}},
		{load.H2C, 64, []string{"hit-1k", "miss"}},
	}
}

// Full is everything.
func Full() (heats []Heat) {
	var all []string
	for _, l := range Loads() {
		all = append(all, l.Name)
	}
	for _, p := range []load.Protocol{load.HTTP1, load.H2C} {
		for _, clients := range []int{64, 512} {
			heats = append(heats, Heat{p, clients, all})
		}
	}
	return heats
}

// Sample is one run.
type Sample struct {
	Contestant string
	Load       string
	Protocol   string
	Clients    int
	Round      int

	Answers float64       // per second
	P50     time.Duration // of requests of kind 0
	P99     time.Duration
	CPU     time.Duration // of the server for one request
	Memory  int64         // of the server, in bytes
	Hits    float64       // share of requests for which the handler did not run
	Errors  int
	Failed  string // why there are no figures
}

func (s Sample) cell() string {
	return fmt.Sprintf("%s|%s|%s|%d|%d", s.Contestant, s.Load, s.Protocol, s.Clients, s.Round)
}

// Run runs the race and returns all samples. What cannot run is told and left out.
func (r Race) Run() ([]Sample, error) {
	journal, err := openJournal(r.State)
	if err != nil {
		return nil, err
	}
	defer func() { _ = journal.file.Close() }() // every line was written by itself
	contestants := slices.DeleteFunc(Contestants(), func(c Contestant) bool {
		if len(r.Only) > 0 && !slices.Contains(r.Only, c.Name) {
			return true
		}
		if _, err := c.version(); err != nil {
			r.Log("%s is left out: %v", c.Name, err)
			return true
		}
		return false
	})
	for _, l := range Loads() {
		for _, protocol := range []load.Protocol{load.HTTP1, load.H2C} {
			heats := slices.DeleteFunc(slices.Clone(r.Heats), func(h Heat) bool { return h.Protocol != protocol || !slices.Contains(h.Loads, l.Name) })
			if len(heats) == 0 {
				continue
			}
			if !r.Deadline.IsZero() && time.Now().After(r.Deadline) {
				return journal.samples, errors.New("bench: out of time; run again to go on")
			}
			runners := slices.DeleteFunc(slices.Clone(contestants), func(c Contestant) bool {
				return protocol == load.H2C && !c.H2C || l.peers != nil && !l.peers(c)
			})
			if err := r.heats(journal, l, heats, runners); err != nil {
				return journal.samples, err
			}
		}
	}
	return journal.samples, nil
}

type runner struct {
	Contestant
	server *server
	script *script
	broken error
}

// heats measures all that one start of the servers is good for.
func (r Race) heats(journal *journal, l Load, heats []Heat, contestants []Contestant) error {
	todo := func(c Contestant, h Heat, round int) bool {
		return !journal.has(Sample{Contestant: c.Name, Load: l.Name, Protocol: h.Protocol.String(), Clients: h.Clients, Round: round})
	}
	// A contestant is measured beside the others or not at all: a round that misses one is run again for all.
	missing := false
	for _, h := range heats {
		for round := range r.Rounds {
			missing = missing || slices.ContainsFunc(contestants, func(c Contestant) bool { return todo(c, h, round) })
		}
	}
	if !missing {
		return nil
	}
	r.Log("%s, %s", l.Title, heats[0].Protocol)
	dir, err := os.MkdirTemp(memoryDir(), "edgecache-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what stays is temporary
	var runners []*runner
	defer func() {
		for _, c := range runners {
			if c.server != nil {
				c.server.close()
			}
		}
	}()
	for _, c := range contestants {
		own := filepath.Join(dir, c.Name)
		if err := os.Mkdir(own, 0o700); err != nil {
			return err
		}
		started := &runner{Contestant: c, script: newScript(l, c)}
		runners = append(runners, started)
		if started.server, started.broken = c.start(own, l); started.broken == nil {
			started.broken = started.prepare(l, heats[0])
		}
		if started.broken != nil {
			r.Log("  %s: %v", c.Name, started.broken)
		}
	}
	for _, h := range heats {
		for round := range r.Rounds {
			if !slices.ContainsFunc(contestants, func(c Contestant) bool { return todo(c, h, round) }) {
				continue
			}
			for i := range runners {
				// Another one begins each time, so that none always runs behind the same one.
				c := runners[(i+round)%len(runners)]
				s := Sample{Contestant: c.Name, Load: l.Name, Protocol: h.Protocol.String(), Clients: h.Clients, Round: round}
				if c.broken == nil {
					err := c.measure(&s, r, h)
					if err != nil {
						r.Log("  %s, %d clients: %v", c.Name, h.Clients, err)
						s.Failed = err.Error()
					}
				} else {
					s.Failed = c.broken.Error()
				}
				if err := journal.add(s); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// memoryDir is a folder on a file system in memory, if there is one.
func memoryDir() string {
	const dir = "/dev/shm"
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return dir
	}
	return ""
}

// prepare fills the cache, and makes sure that it is one.
func (c *runner) prepare(l Load, h Heat) error {
	if l.warm > 0 {
		_, err := load.Run(c.plan(h, 0, l.warm, func() {}, func() {}))
		return err
	}
	url := "http://" + c.server.addr[load.HTTP1].String() + "/page"
	status := ""
	for range 3 {
		request, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		request.Host = host
		request.Header.Set("Accept-Encoding", "gzip")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if err != nil {
			return err
		}
		status = answer.Header.Get("X-Cache")
	}
	if status != "HIT" && status != "hit" {
		return fmt.Errorf("bench: the third answer is a %q, want a hit", status)
	}
	return nil
}

func (c *runner) plan(h Heat, warm, measure time.Duration, begin, end func()) load.Plan {
	p := load.Plan{
		Addr: c.server.addr[h.Protocol], Host: host, Protocol: h.Protocol, Conns: h.Clients, Streams: 1,
		Warm: warm, Measure: measure, Script: c.script, Begin: begin, End: end,
	}
	if h.Protocol == load.H2C {
		p.Conns, p.Streams = h.Clients/streams, streams
	}
	return p
}

func (c *runner) measure(s *Sample, r Race, h Heat) error {
	processes, err := c.server.tree()
	if err != nil {
		return err
	}
	var (
		wrong error
		cpu   [2]time.Duration
		made  [2]uint64
		look  = func(i int) { cpu[i], err = processes.cpu(); wrong = errors.Join(wrong, err) }
		count = func(i int) { made[i], err = c.server.made(); wrong = errors.Join(wrong, err) }
	)
	result, err := load.Run(c.plan(h, r.Warm, r.Measure, func() { count(0); look(0) }, func() { look(1); count(1) }))
	if err != nil {
		return err
	}
	s.Errors = result.Errors
	if result.Err != nil {
		return fmt.Errorf("%d errors, the first: %w", result.Errors, result.Err)
	}
	answers := result.Count()
	if answers == 0 {
		return errors.New("bench: no answers")
	}
	memory, err := processes.memory()
	if err = errors.Join(wrong, err); err != nil {
		return err
	}
	s.Answers = float64(answers) / result.Elapsed.Seconds()
	s.P50, s.P99 = result.Answers[0].Quantile(.5), result.Answers[0].Quantile(.99)
	s.CPU = (cpu[1] - cpu[0]) / time.Duration(answers)
	s.Memory = memory + filesIn(c.server.files)
	s.Hits = max(0, 1-float64(made[1]-made[0])/float64(answers))
	return nil
}

// journal is the list of samples, on disk as one JSON object per line.
type journal struct {
	file    *os.File
	samples []Sample
	done    map[string]int // index into samples
}

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{file: f, done: map[string]int{}}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var s Sample
		if json.Unmarshal(lines.Bytes(), &s) != nil {
			continue // a line that was being written when the run ended
		}
		j.keep(s)
	}
	return j, lines.Err()
}

func (j *journal) keep(s Sample) {
	if i, ok := j.done[s.cell()]; ok {
		j.samples[i] = s
		return
	}
	j.done[s.cell()] = len(j.samples)
	j.samples = append(j.samples, s)
}

func (j *journal) has(s Sample) bool {
	_, ok := j.done[s.cell()]
	return ok
}

func (j *journal) add(s Sample) error {
	line, err := json.Marshal(s)
	if err != nil {
		return err
	}
	// A newline before, too: the line before may have been cut off.
	if _, err := j.file.Write(append(append([]byte("\n"), line...), '\n')); err != nil {
		return err
	}
	j.keep(s)
	return nil
}
