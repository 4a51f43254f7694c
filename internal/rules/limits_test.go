package rules

import (
	"slices"
	"testing"
	"time"
)

func TestLimits(t *testing.T) {
	t.Run("restrict reuse", func(t *testing.T) {
		const windows = "Cache-Control: max-age=60, stale-while-revalidate=60, stale-if-error=60"
		for _, row := range []struct {
			name   string
			limits Limits
			stored string
			after  time.Duration
			action Action
			reason Reason
			error  bool // may stand in for an error
		}{
			{"nothing", Limits{}, windows, 30 * time.Second, Serve, Fresh, true},
			{"no-cache", Limits{NoCache: true}, windows, 30 * time.Second, Validate, NoCache, false},
			{"a shorter lifetime", Limits{Lifetime: 10 * time.Second}, windows, 11 * time.Second, ServeAndRefresh, StaleWhileRevalidate, true},
			{"a shorter lifetime, before its end", Limits{Lifetime: 10 * time.Second}, windows, 9 * time.Second, Serve, Fresh, true},
			{"a shorter lifetime and window", Limits{Lifetime: 10 * time.Second, WhileRevalidate: time.Second, IfError: time.Second}, windows, 12 * time.Second, Validate, Stale, false},
			{"a longer lifetime permits nothing", Limits{Lifetime: time.Hour, WhileRevalidate: time.Hour, IfError: time.Hour}, windows, 121 * time.Second, Validate, Stale, false},
			{"nor a window where there is none", Limits{WhileRevalidate: time.Hour, IfError: time.Hour}, "Cache-Control: max-age=60", 61 * time.Second, Validate, Stale, false},
			{"must-revalidate, while fresh", Limits{NoStale: true}, windows, 30 * time.Second, Serve, Fresh, false},
			{"must-revalidate", Limits{NoStale: true}, windows, 61 * time.Second, Validate, Stale, false},
			{"s-maxage", Limits{NoStale: true, Lifetime: 5 * time.Second}, windows, 6 * time.Second, Validate, Stale, false},
		} {
			m, reason := usual.Store(usual.get(""), 200, header(row.stored), start, start)
			if reason != None {
				t.Fatal(reason)
			}
			q := usual.get("")
			q.Limits = &row.limits
			now := start.Add(row.after)
			if action, reason := m.Reuse(&usual, q, now); action != row.action || reason != row.reason {
				t.Errorf("%s: got %v, %v, want %v, %v", row.name, action, reason, row.action, row.reason)
			}
			if got := m.StaleOnError(&usual, q, false, now); got != row.error {
				t.Errorf("%s: on error: got %v", row.name, got)
			}
			if row.limits.Lifetime != 0 {
				if got, want := m.TTLFor(q, now), min(60*time.Second, row.limits.Lifetime)-row.after; got != want {
					t.Errorf("%s: TTL: got %v, want %v", row.name, got, want)
				}
			}
		}
	})
	t.Run("together", func(t *testing.T) {
		a := &Limits{Lifetime: time.Minute, IfError: time.Hour, Vary: []string{"Accept"}}
		b := &Limits{Pass: true, NoCache: true, NoStale: true, Lifetime: time.Hour, WhileRevalidate: time.Second, Vary: []string{"Origin"}}
		for _, got := range []*Limits{a.With(b), b.With(a)} {
			if !got.Pass || !got.NoCache || !got.NoStale || got.Lifetime != time.Minute || got.WhileRevalidate != time.Second || got.IfError != time.Hour || len(got.Vary) != 2 {
				t.Errorf("got %+v", got)
			}
		}
		var none *Limits
		if a.With(nil) != a || none.With(a) != a || none.With(nil) != nil || none.Passes() || a.Passes() || !b.Passes() {
			t.Error("nil is nothing")
		}
		if !slices.Equal(a.Vary, []string{"Accept"}) {
			t.Error("changed")
		}
	})
}
