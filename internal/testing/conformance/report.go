package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// Run is one playing of the suite.
type Run struct {
	Config      string // name of the configuration
	Arrangement Arrangement
	Results     *Results
}

func (r Run) String() string { return r.Config + ", " + string(r.Arrangement) }

// Loss is a case that is lost on purpose or of necessity, in the runs that Config and Arrangement
// name. Empty means all.
type Loss struct {
	ID          string
	Config      string
	Arrangement Arrangement
	Reason      string // one sentence without its full stop
}

func (l Loss) covers(r Run) bool {
	return (l.Config == "" || l.Config == r.Config) && (l.Arrangement == "" || l.Arrangement == r.Arrangement)
}

// Complaints compares runs with the losses on record: a required or optimal case that did not pass
// needs a record, and a case on record must not pass. A case that is blocked by a recorded one
// needs no record of its own. A record may name a case that this file lacks, since files differ.
func Complaints(runs []Run, losses []Loss) []string {
	var all []string
	for _, r := range runs {
		for _, o := range r.Results.Outcomes {
			if o.Case.Kind != Check && o.Verdict != Passed && reason(r, o, losses) == "" {
				all = append(all, fmt.Sprintf("%v: %s (%s) is %v without a reason on record: %s", r, o.Case.ID, o.Case.Kind, o.Verdict, o.Reason))
			}
		}
		for _, l := range losses {
			if o, ok := r.Results.Of(l.ID); ok && l.covers(r) && o.Verdict == Passed {
				all = append(all, fmt.Sprintf("%v: %s is on record as lost, but passes", r, l.ID))
			}
		}
	}
	return all
}

// reason is why o was lost in r, as recorded, or "".
func reason(r Run, o Outcome, losses []Loss) string {
	for _, l := range losses {
		if l.ID == o.Case.ID && l.covers(r) {
			return l.Reason
		}
	}
	if o.Blocker == "" {
		return ""
	}
	blocker, _ := r.Results.Of(o.Blocker)
	if reason(r, blocker, losses) == "" {
		return ""
	}
	return "Depends on " + o.Blocker
}

// elsewhere are results of other caches in the whole suite (160 required and 105 optimal cases that
// are not for browsers only), all run on one machine. -1 is unknown.
var elsewhere = []struct {
	name              string
	required, optimal int
}{
	{"Apache Traffic Server", 134, 72},
	{"Apache httpd", 131, 68},
	{"Souin", 123, 46},
	{"Varnish", 119, -1},
	{"nginx", 100, -1},
}

const (
	wholeRequired = 160
	wholeOptimal  = 105
)

// Report writes runs as Markdown. source identifies the case file; the same runs always give the
// same text.
func Report(runs []Run, losses []Loss, source string) string {
	var b strings.Builder
	cases := 0
	if len(runs) > 0 {
		cases = len(runs[0].Results.Outcomes)
	}
	fmt.Fprintf(&b, reportHead, cases, source)
	for _, r := range runs {
		fmt.Fprintf(&b, "| edgecache, %v | %s | %s |\n", r, score(r.Results.Tally(Required)), score(r.Results.Tally(Optimal)))
	}
	for _, e := range elsewhere {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", e.name, share(e.required, wholeRequired), share(e.optimal, wholeOptimal))
	}
	b.WriteString(reportLosses)
	for _, row := range lossRows(runs, losses) {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", row.id, row.kind, strings.Join(row.where, "; "), escape(row.what), escape(row.reason))
	}
	b.WriteString(reportChecks)
	writeAnswers(&b, runs)
	return b.String()
}

const reportHead = `# Conformance

What edgecache does in the cases of [http-tests/cache-tests](https://github.com/http-tests/cache-tests), the suite behind
cache-tests.fyi. Written by ` + "`go test -run TestConformanceReport -update .`" + `; the same test fails when this page is out of date.
The cases are not part of this repository: ` + "`EDGECACHE_CACHE_TESTS`" + ` names the file that ` + "`npm run export`" + ` prints in a clone of the suite.

- Cases: %d, from a file with SHA-256 %s.
- *RFC-literal* is ` + "`Config{ExplicitOnly: true, HonorRequestDirectives: true, InsecureShareCookies: true, InsecureStoreSetCookie: true}`" + `, *default* is ` + "`Config{ExplicitOnly: true}`" + `:
  inferred freshness is off in both, because the suite gives no verdict on a cache that reuses what says nothing.
- *direct* is the middleware in front of a handler; *proxy* is the middleware in front of ` + "`httputil.ReverseProxy`" + `. Between client and
  middleware stands net/http's server; the clock is a fake one.
- A case passes, fails, or has no verdict: what it builds on did not come about.

## Totals

The other caches were all run on one machine, in the whole suite (160 required and 105 optimal cases). Where the file
above holds fewer cases, compare shares, not counts.

| | required | optimal |
|---|---|---|
`

const reportLosses = `
## Cases not passed

| case | kind | where | what happened | why it stays so |
|---|---|---|---|---|
`

const reportChecks = `
## Answers

Neither answer to these questions is wrong. – means that the question could not be put.

`

func score(t Tally) string {
	s := share(t.Passed, t.Total())
	if t.Failed > 0 {
		s += fmt.Sprintf(", %d failed", t.Failed)
	}
	if t.NoVerdict > 0 {
		s += fmt.Sprintf(", %d without verdict", t.NoVerdict)
	}
	return s
}

func share(n, total int) string {
	if n < 0 || total == 0 {
		return "–"
	}
	return fmt.Sprintf("%d of %d (%.1f %%)", n, total, 100*float64(n)/float64(total))
}

// lossRow is one line of the table of losses: the runs in which a case was lost in the same way for
// the same reason.
type lossRow struct {
	id, what, reason string
	kind             Kind
	where            []string
}

func lossRows(runs []Run, losses []Loss) []*lossRow {
	var rows []*lossRow
	for _, r := range runs {
		for _, o := range r.Results.Outcomes {
			if o.Case.Kind == Check || o.Verdict == Passed {
				continue
			}
			why := reason(r, o, losses)
			i := slices.IndexFunc(rows, func(x *lossRow) bool { return x.id == o.Case.ID && x.what == o.Reason && x.reason == why })
			if i < 0 {
				i = len(rows)
				rows = append(rows, &lossRow{id: o.Case.ID, kind: o.Case.Kind, what: o.Reason, reason: why})
			}
			rows[i].where = append(rows[i].where, r.String())
		}
	}
	for _, row := range rows {
		if len(row.where) == len(runs) {
			row.where = []string{"everywhere"}
		}
	}
	slices.SortStableFunc(rows, func(x, y *lossRow) int { return strings.Compare(x.id, y.id) })
	return rows
}

func writeAnswers(b *strings.Builder, runs []Run) {
	b.WriteString("| case |")
	for _, r := range runs {
		fmt.Fprintf(b, " %v |", r)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(runs)) + "\n")
	if len(runs) == 0 {
		return
	}
	for _, o := range runs[0].Results.Outcomes {
		if o.Case.Kind != Check {
			continue
		}
		fmt.Fprintf(b, "| `%s` |", o.Case.ID)
		for _, r := range runs {
			same, _ := r.Results.Of(o.Case.ID)
			answer := map[Verdict]string{Passed: "yes", Failed: "no"}[same.Verdict]
			if answer == "" {
				answer = "–"
			}
			fmt.Fprintf(b, " %s |", answer)
		}
		b.WriteString("\n")
	}
}

// escape keeps text inside its cell.
func escape(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "\n", " ").Replace(text)
}
