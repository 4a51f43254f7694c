package conformance

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// pause follows each request with pause_after.
const pause = 3 * time.Second

// Verdict is the outcome of one case.
type Verdict uint8

const (
	Passed  Verdict = iota + 1 // for a Check: the answer is yes
	Failed                     // for a Check: no
	Void                       // no verdict: the conditions of the case did not occur
	Blocked                    // no verdict: a case that it depends on did not pass
)

func (v Verdict) String() string {
	return [...]string{"unplayed", "passed", "failed", "void", "blocked"}[v]
}

// Outcome is the result of one case. Reason is empty when it passed. The token of the run is
// "{token}" in it, so that two runs read the same.
type Outcome struct {
	Case    *Case
	Verdict Verdict
	Reason  string
	Blocker string // ID of the case in DependsOn that did not pass
}

// Results holds one Outcome for each case, in the order of the suite.
type Results struct {
	Outcomes []Outcome
	byID     map[string]int
}

// Of returns the outcome of the case with that ID.
func (r *Results) Of(id string) (Outcome, bool) {
	i, ok := r.byID[id]
	if !ok {
		return Outcome{}, false
	}
	return r.Outcomes[i], true
}

// Tally counts the verdicts of one kind.
type Tally struct{ Passed, Failed, NoVerdict int }

// Total is the number of cases of the kind.
func (t Tally) Total() int { return t.Passed + t.Failed + t.NoVerdict }

// Tally counts the verdicts of kind.
func (r *Results) Tally(kind Kind) Tally {
	var t Tally
	for _, o := range r.Outcomes {
		switch {
		case o.Case.Kind != kind:
		case o.Verdict == Passed:
			t.Passed++
		case o.Verdict == Failed:
			t.Failed++
		default:
			t.NoVerdict++
		}
	}
	return t
}

// Play plays every case against the cache that client reaches and that forwards to origin, at most
// parallel cases at once, and returns when all have ended. It has no clock of its own: in a
// testing/synctest bubble its pauses are free.
func (s *Suite) Play(ctx context.Context, origin *Origin, client *Client, parallel int) *Results {
	return s.each(parallel, func(c *Case) *failure { return c.play(ctx, origin, client) })
}

// PlayApart plays all cases at once, each on a bench of its own from newBench, so that none can
// disturb another: a cache may drop a response because something else was purged at that moment,
// and many cases at one instant of a fake clock make that likely.
func (s *Suite) PlayApart(ctx context.Context, newBench func() *Bench) *Results {
	return s.each(len(s.Cases), func(c *Case) *failure {
		b := newBench()
		defer b.Close()
		return c.play(ctx, b.Origin, b.Client)
	})
}

func (s *Suite) each(parallel int, play func(c *Case) *failure) *Results {
	failures := make([]*failure, len(s.Cases))
	slots := make(chan struct{}, max(1, parallel))
	var running sync.WaitGroup
	for i, c := range s.Cases {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			failures[i] = play(c)
		})
	}
	running.Wait()
	return s.results(failures)
}

func (c *Case) play(ctx context.Context, origin *Origin, client *Client) *failure {
	token := newToken()
	origin.register(token, c)
	f := c.playToken(ctx, origin, client, token)
	if f != nil {
		f.text = strings.ReplaceAll(f.text, token, "{token}")
	}
	return f
}

// newToken has the length of the suite's own tokens, which are UUIDs: some cases declare it as the
// length of a body.
func newToken() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (c *Case) playToken(ctx context.Context, origin *Origin, client *Client, token string) *failure {
	v := &visit{client: client}
	defer v.close()
	var responses []*response
	for i := range c.Requests {
		q, num := &c.Requests[i], i+1
		method := q.Method
		if method == "" {
			method = http.MethodGet
		}
		body := ""
		if q.Body != nil {
			body = *q.Body
		}
		p, err := v.fetch(ctx, method, q.target(token), c.header(num, responses), body, q.Redirect)
		if err != nil {
			return failed(q.Setup, "request %d got no response: %v", num, err)
		}
		responses = append(responses, p)
		if f := judgeResponse(c, num, token, p); f != nil {
			return f
		}
		if q.PauseAfter {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return failed(true, "%v", ctx.Err())
			}
		}
	}
	return judgeOrigin(c, origin.requests(token), responses)
}

func (q *Request) target(token string) string {
	target := "/test/" + token
	if q.Filename != "" {
		target += "/" + q.Filename
	}
	if q.Query != "" {
		target += "?" + q.Query
	}
	return target
}

// header is what the client sends with request num. The first two lines are the suite's: fetch()
// adds others if they are missing.
func (c *Case) header(num int, earlier []*response) []line {
	q := &c.Requests[num-1]
	h := []line{{"Pragma", "foo"}, {"Cache-Control", "nothing-to-see-here"}}
	for _, f := range q.Header {
		l := line{f.name, f.text}
		if f.isDelta {
			l.value = resolve(f.name, f.value, q, serverNow(earlier[num-2]), "")
		}
		h = append(h, l)
	}
	return append(h, line{"Test-ID", c.ID}, line{"Req-Num", fmt.Sprint(num)})
}

// results turns failures into verdicts: a case counts only when every case that it depends on has
// passed.
func (s *Suite) results(failures []*failure) *Results {
	r := &Results{byID: make(map[string]int)}
	for i, c := range s.Cases {
		o := Outcome{Case: c, Verdict: Passed}
		if f := failures[i]; f != nil {
			o.Verdict, o.Reason = Failed, f.text
			if f.setup {
				o.Verdict = Void
			}
		}
		r.byID[c.ID] = i
		r.Outcomes = append(r.Outcomes, o)
	}
	settled := make(map[string]bool)
	var settle func(c *Case) Verdict
	settle = func(c *Case) Verdict {
		o := &r.Outcomes[r.byID[c.ID]]
		if settled[c.ID] {
			return o.Verdict
		}
		settled[c.ID] = true
		for _, id := range c.DependsOn {
			if settle(s.byID[id]) != Passed {
				o.Verdict, o.Reason, o.Blocker = Blocked, "depends on "+id, id
				break
			}
		}
		return o.Verdict
	}
	for _, c := range s.Cases {
		settle(c)
	}
	return r
}
