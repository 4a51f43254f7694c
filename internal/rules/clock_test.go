package rules

import (
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"
	"unsafe"
)

// jumped returns t as time.Now would return it after the wall clock was set forward by d, in whole
// seconds: another date, the same monotonic reading.
//
// No fake clock can do that, and time.Time has no constructor for it, so this writes into its
// representation: bits 30 to 62 of the first word are the seconds of the wall clock.
// TestClock/jumps holds that this is still so.
func jumped(t time.Time, d time.Duration) time.Time {
	wall := (*uint64)(unsafe.Pointer(&t))
	*wall += uint64(int64(d/time.Second)) << 30
	return t
}

const day = 24 * time.Hour

func TestClock(t *testing.T) {
	t.Run("jumps", func(t *testing.T) {
		now := time.Now()
		for _, d := range []time.Duration{day, -day, time.Second} {
			after := jumped(now, d)
			if got := after.Sub(now); got != 0 {
				t.Fatalf("monotonic: got %v, want 0", got)
			}
			if got := after.Round(0).Sub(now.Round(0)); got != d {
				t.Fatalf("wall: got %v, want %v", got, d)
			}
			if got := jumped(now.Add(time.Minute), d).Sub(now); got != time.Minute {
				t.Fatalf("monotonic, later: got %v, want 1m", got)
			}
		}
	})
	// Setting the wall clock makes nothing older or younger.
	t.Run("age is monotonic (RFC 9111, 4.2.3)", func(t *testing.T) {
		for _, row := range []struct {
			name     string
			response string
			jump     time.Duration
			after    time.Duration
			age      time.Duration
			action   Action
			reason   Reason
		}{
			{"a day forward does not expire everything", "Cache-Control: max-age=60", day, 10 * time.Second, 10 * time.Second, Serve, Fresh},
			{"a day back keeps the age", "Cache-Control: max-age=60", -day, 10 * time.Second, 10 * time.Second, Serve, Fresh},
			{"a day back keeps nothing past its time", "Cache-Control: max-age=60", -day, 60 * time.Second, 60 * time.Second, Validate, Stale},
			{"a day forward and past its time", "Cache-Control: max-age=60", day, 60 * time.Second, 60 * time.Second, Validate, Stale},
			{"an inferred lifetime, a day forward", "", day, 119 * time.Second, 119 * time.Second, Serve, Fresh},
			{"an inferred lifetime, a day back", "", -day, 120 * time.Second, 120 * time.Second, Validate, Stale},
			{"a window does not move", "Cache-Control: max-age=60, stale-while-revalidate=60", -day, 119 * time.Second, 119 * time.Second, ServeAndRefresh, StaleWhileRevalidate},
			{"nor does its end", "Cache-Control: max-age=60, stale-while-revalidate=60", -day, 120 * time.Second, 120 * time.Second, Validate, Stale},
			{"Age goes on from where it was", "Cache-Control: max-age=60\nAge: 20", day, 10 * time.Second, 30 * time.Second, Serve, Fresh},
		} {
			stored := time.Now()
			h := header(row.response)
			h.Set("Etag", `"a"`)
			m, reason := usual.Store(usual.get(""), 200, h, stored, stored)
			if reason != None {
				t.Fatalf("%s: not stored: %v", row.name, reason)
			}
			now := jumped(stored.Add(row.after), row.jump)
			if got := m.Age(now); got != row.age {
				t.Errorf("%s: age: got %v, want %v", row.name, got, row.age)
			}
			if action, reason := m.Reuse(&usual, usual.get(""), now); action != row.action || reason != row.reason {
				t.Errorf("%s: got %v, %v; want %v, %v", row.name, action, reason, row.action, row.reason)
			}
			if outdated := m.Outdated(row.after, now); outdated.TTL(now) != min(-row.after, m.TTL(now)) {
				t.Errorf("%s: purged softly: got a ttl of %v", row.name, outdated.TTL(now))
			}
		}
	})
	// The origin's clock is a day off ours. Expires counts from its own Date, so it does not matter
	// for that; a Date of yesterday is an age of a day, as the RFC says.
	t.Run("an origin with another date (RFC 9111, 4.2.3)", func(t *testing.T) {
		for _, row := range []struct {
			name     string
			date     time.Duration // of the origin, against ours
			response func(date time.Time) http.Header
			age      time.Duration
			lifetime time.Duration
		}{
			{"tomorrow, max-age", day, func(time.Time) http.Header { return http.Header{"Cache-Control": {"max-age=60"}} }, 0, time.Minute},
			{"tomorrow, Expires", day, func(d time.Time) http.Header {
				return http.Header{"Expires": {d.Add(time.Minute).Format(http.TimeFormat)}}
			}, 0, time.Minute},
			{"yesterday, max-age", -day, func(time.Time) http.Header { return http.Header{"Cache-Control": {"max-age=60"}} }, day, time.Minute},
			{"yesterday, Expires", -day, func(d time.Time) http.Header {
				return http.Header{"Expires": {d.Add(time.Minute).Format(http.TimeFormat)}}
			}, day, time.Minute},
			{"tomorrow, a change an hour before", day, func(d time.Time) http.Header {
				return http.Header{"Last-Modified": {d.Add(-1000 * time.Second).Format(http.TimeFormat)}}
			}, 0, 100 * time.Second},
		} {
			stored := time.Now().Truncate(time.Second)
			date := stored.Add(row.date).UTC()
			h := row.response(date)
			h.Set("Date", date.Format(http.TimeFormat))
			h.Set("Etag", `"a"`)
			m, reason := usual.Store(usual.get(""), 200, h, stored, stored)
			if reason != None {
				t.Fatalf("%s: not stored: %v", row.name, reason)
			}
			if m.Age(stored) != row.age || m.Lifetime() != row.lifetime {
				t.Errorf("%s: got age %v and lifetime %v, want %v and %v", row.name, m.Age(stored), m.Lifetime(), row.age, row.lifetime)
			}
		}
	})
}

// TestGuaranteeClockJumps stores and reuses while the wall clock is set by up to a day,
// every 100 operations. The oracle counts time that cannot be set.
func TestGuaranteeClockJumps(t *testing.T) {
	operations := 100_000
	if os.Getenv("EDGECACHE_LONG") != "" {
		operations = 10_000_000
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	type stored struct {
		m        Meta
		at       time.Duration
		lifetime time.Duration
	}
	var (
		began = time.Now()
		truth time.Duration // since then
		wall  time.Duration // how far the wall clock is off
		pages [32]stored
		fresh int
		stale int
		jumps int
	)
	now := func() time.Time { return jumped(began.Add(truth), wall) }
	for i := range operations {
		if i%100 == 99 {
			wall, jumps = time.Duration(random.Int64N(int64(2*day/time.Second))-int64(day/time.Second))*time.Second, jumps+1
		}
		truth += time.Duration(random.Int64N(int64(3 * time.Second)))
		p := &pages[random.IntN(len(pages))]
		if p.lifetime == 0 || truth-p.at > p.lifetime && random.IntN(2) == 0 {
			lifetime := time.Duration(1+random.IntN(120)) * time.Second
			h := http.Header{"Etag": {`"a"`}}
			date := now().UTC() // of a server whose clock is the same
			if random.IntN(2) == 0 {
				h.Set("Date", date.Format(http.TimeFormat))
			}
			switch random.IntN(3) {
			case 0:
				h.Set("Expires", date.Add(lifetime).Format(http.TimeFormat))
				h.Set("Date", date.Format(http.TimeFormat))
			case 1:
				h.Set("Cache-Control", "max-age="+strconv.Itoa(int(lifetime/time.Second)))
			default:
				lifetime = 2 * time.Minute
			}
			m, reason := usual.Store(&Request{}, 200, h, now(), now())
			if reason != None {
				t.Fatalf("seed %d: not stored: %v", seed, reason)
			}
			*p = stored{m, truth, lifetime}
		}
		age := p.m.Age(now())
		action, _ := p.m.Reuse(&usual, &Request{}, now())
		past := truth-p.at >= p.lifetime
		switch {
		case age < 0:
			t.Fatalf("seed %d: operation %d: age is %v", seed, i, age)
		case age != truth-p.at:
			t.Fatalf("seed %d: operation %d: age is %v, want %v", seed, i, age, truth-p.at)
		case past && action == Serve:
			t.Fatalf("seed %d: operation %d: served %v past its time", seed, i, truth-p.at-p.lifetime)
		case !past && action != Serve:
			t.Fatalf("seed %d: operation %d: %v, though it is fresh for %v", seed, i, action, p.lifetime-(truth-p.at))
		case past:
			stale++
		default:
			fresh++
		}
	}
	t.Logf("%d operations, %d jumps: %d times fresh, %d times past its time", operations, jumps, fresh, stale)
	if fresh < operations/10 || stale < operations/10 {
		t.Errorf("got %d fresh and %d stale: the test has lost its way", fresh, stale)
	}
}
