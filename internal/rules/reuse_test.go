package rules

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestReuse(t *testing.T) {
	t.Run("request directives (RFC 9111, 5.2.1)", func(t *testing.T) {
		const long = "Cache-Control: max-age=100000\nDate: {0}"
		rows := []exchange{
			{name: "max-age=0 asks for validation", response: long, after: pause, again: "Cache-Control: max-age=0", action: Validate, reason: RequestMaxAge},
			{name: "even of what is new", response: long, again: "Cache-Control: max-age=0", action: Validate, reason: RequestMaxAge},
			{name: "max-age below the age", response: long, after: pause, again: "Cache-Control: max-age=1", action: Validate, reason: RequestMaxAge},
			{name: "max-age equal to the age", response: long, after: pause, again: "Cache-Control: max-age=3", action: Serve, reason: Fresh},
			{name: "invalid max-age means nothing", response: long, after: pause, again: "Cache-Control: max-age=x", action: Serve, reason: Fresh},
			{name: "max-stale accepts what became stale", response: "Cache-Control: max-age=2", after: pause, again: "Cache-Control: max-stale=1000", action: Serve, reason: MaxStale},
			{name: "max-stale accepts what came with an Age", response: "Cache-Control: max-age=1500\nAge: 2000\nETag: \"a\"", again: "Cache-Control: max-stale=1000", action: Serve, reason: MaxStale},
			{name: "max-stale is a limit", response: "Cache-Control: max-age=2", after: 10 * time.Second, again: "Cache-Control: max-stale=7", action: Validate, reason: Stale},
			{name: "reached, not passed", response: "Cache-Control: max-age=2", after: 9 * time.Second, again: "Cache-Control: max-stale=7", action: Serve, reason: MaxStale},
			{name: "max-stale without a value has none", response: "Cache-Control: max-age=2", after: 1000 * time.Hour, again: "Cache-Control: max-stale", action: Serve, reason: MaxStale},
			{name: "must-revalidate forbids it", response: "Cache-Control: max-age=2, must-revalidate", after: pause, again: "Cache-Control: max-stale", action: Validate, reason: Stale},
			{name: "proxy-revalidate forbids it", response: "Cache-Control: max-age=2, proxy-revalidate", after: pause, again: "Cache-Control: max-stale", action: Validate, reason: Stale},
			{name: "s-maxage forbids it", response: "Cache-Control: s-maxage=2", after: pause, again: "Cache-Control: max-stale", action: Validate, reason: Stale},
			{name: "no-cache forbids it", response: "Cache-Control: no-cache\nETag: \"a\"", again: "Cache-Control: max-stale", action: Validate, reason: NoCache},
			{name: "min-fresh beyond the lifetime", response: "Cache-Control: max-age=1500", again: "Cache-Control: min-fresh=2000", action: Validate, reason: RequestMinFresh},
			{name: "min-fresh beyond what an Age leaves", response: "Cache-Control: max-age=1500\nAge: 1000", again: "Cache-Control: min-fresh=1000", action: Validate, reason: RequestMinFresh},
			{name: "min-fresh exactly met", response: "Cache-Control: max-age=1500\nAge: 500", again: "Cache-Control: min-fresh=1000", action: Serve, reason: Fresh},
			{name: "no-cache asks for validation", response: long, again: "Cache-Control: no-cache", action: Validate, reason: RequestNoCache},
			{name: "Pragma: no-cache asks for it", response: long, again: "Pragma: no-cache", action: Validate, reason: RequestNoCache},
			{name: "Pragma beside Cache-Control does not", response: long, again: "Pragma: no-cache\nCache-Control: foo", action: Serve, reason: Fresh},
			{name: "Pragma with something else does not", response: long, again: "Pragma: foo", action: Serve, reason: Fresh},
			{name: "an unknown directive changes nothing", response: long, again: "Cache-Control: nothing-to-see-here", action: Serve, reason: Fresh},
			{name: "only-if-cached is served what is fresh", response: long, again: "Cache-Control: only-if-cached", action: Serve, reason: Fresh},
			{name: "only-if-cached is not forwarded", response: "Cache-Control: max-age=2", after: pause, again: "Cache-Control: only-if-cached", action: Fail, reason: OnlyIfCached},
			{name: "only-if-cached takes what max-stale accepts", response: "Cache-Control: max-age=2", after: pause, again: "Cache-Control: only-if-cached, max-stale", action: Serve, reason: MaxStale},
			{name: "only-if-cached beside no-cache", response: long, again: "Cache-Control: only-if-cached, no-cache", action: Fail, reason: OnlyIfCached},
			{name: "only-if-cached is not given what is not for it", response: long, again: "Authorization: x\nCache-Control: only-if-cached", action: Fail, reason: OnlyIfCached},
			{name: "only-if-cached does not keep what bypasses", response: long, again: "If-Match: *\nCache-Control: only-if-cached", action: Forward, reason: Precondition},
			{name: "made without an Origin", response: long, again: "Origin: https://a.example", action: Forward, reason: VaryMiss},
			{name: "made with an Origin", request: "Origin: https://b.example", response: long, again: "Origin: https://a.example", action: Serve, reason: Fresh},
			{name: "made with an Origin, for all", request: "Origin: https://b.example", response: long, action: Serve, reason: Fresh},
			{name: "made without an Origin, for every origin", response: long + "\nAccess-Control-Allow-Origin: *", again: "Origin: https://a.example", action: Serve, reason: Fresh},
			{name: "what bypasses is not answered", response: long, again: "X-Original-URL: /admin", action: Forward, reason: Override},
		}
		runAll(t, &literal, rows)

		t.Run("nothing of it counts by default", func(t *testing.T) {
			o := literal
			o.HonorRequestDirectives = false
			for _, again := range []string{"max-age=0", "no-cache", "no-store", "min-fresh=200000", "only-if-cached"} {
				exchange{response: long, after: pause, again: "Pragma: no-cache\nCache-Control: " + again, action: Serve, reason: Fresh}.run(t, &o)
			}
			exchange{response: "Cache-Control: max-age=2", after: pause, again: "Cache-Control: max-stale", action: Validate, reason: Stale}.run(t, &o)
		})
	})
	t.Run("immutable (RFC 8246, 2.1)", func(t *testing.T) {
		const immutable = "Cache-Control: max-age=10, immutable\nETag: \"a\""
		runAll(t, &honoring, []exchange{
			{name: "a reload is a hit", response: immutable, again: "Cache-Control: max-age=0", action: Serve, reason: Fresh},
			{name: "a forced reload is not", response: immutable, again: "Cache-Control: no-cache", action: Validate, reason: RequestNoCache},
			{name: "nor a reload of what is stale", response: immutable, after: 11 * time.Second, again: "Cache-Control: max-age=0", action: Validate, reason: RequestMaxAge},
			{name: "stale is stale", response: immutable, after: 11 * time.Second, action: Validate, reason: Stale},
			{name: "an inferred lifetime is not immutable", response: "Cache-Control: immutable", again: "Cache-Control: max-age=0", action: Validate, reason: RequestMaxAge},
		})
	})
	t.Run("stale-while-revalidate (RFC 5861, 3)", func(t *testing.T) {
		const window = "Cache-Control: max-age=1, stale-while-revalidate=4\nETag: \"a\""
		runAll(t, &literal, []exchange{
			{name: "inside the window", response: window, after: pause, action: ServeAndRefresh, reason: StaleWhileRevalidate},
			{name: "before it", response: window, after: 999 * time.Millisecond, action: Serve, reason: Fresh},
			{name: "after it", response: window, after: 5 * time.Second, action: Validate, reason: Stale},
			{name: "the window alone makes max-age=0 worth storing", response: "Cache-Control: max-age=0, stale-while-revalidate=4", after: pause, action: ServeAndRefresh, reason: StaleWhileRevalidate},
			{name: "an invalid window is none", response: "Cache-Control: max-age=1, stale-while-revalidate=x", after: pause, action: Validate, reason: Stale},
			{name: "an infinite window is one", response: "Cache-Control: max-age=99999999999, stale-while-revalidate=99999999999\nAge: 99999999999", action: ServeAndRefresh, reason: StaleWhileRevalidate},
			{name: "a client that wants no more than an age is not given it", response: window, after: pause, again: "Cache-Control: max-age=1", action: Validate, reason: RequestMaxAge},
			{name: "a client that wants it fresh is not given it", response: window, after: pause, again: "Cache-Control: min-fresh=1", action: Validate, reason: RequestMinFresh},
			{name: "a client that asks for no refresh still refreshes", response: window, after: pause, again: "Cache-Control: max-stale", action: ServeAndRefresh, reason: StaleWhileRevalidate},
			{name: "only-if-cached is given it", response: window, after: pause, again: "Cache-Control: only-if-cached", action: ServeAndRefresh, reason: StaleWhileRevalidate},
			{name: "must-revalidate forbids it", response: "Cache-Control: max-age=1, must-revalidate, stale-while-revalidate=60", after: pause, action: Validate, reason: Stale},
			{name: "proxy-revalidate forbids it", response: "Cache-Control: max-age=1, proxy-revalidate, stale-while-revalidate=60", after: pause, action: Validate, reason: Stale},
			{name: "s-maxage forbids it, since it implies proxy-revalidate (RFC 9111, 5.2.2.10)", response: "Cache-Control: s-maxage=1, stale-while-revalidate=60", after: pause, action: Validate, reason: Stale},
		})

		o := usual
		o.StaleWhileRevalidate = time.Minute
		runAll(t, &o, []exchange{
			{name: "the configured one is for inferred lifetimes", after: 3*time.Minute - 1, action: ServeAndRefresh, reason: StaleWhileRevalidate},
			{name: "which end, too", after: 3 * time.Minute, action: Validate, reason: Stale},
			{name: "and for explicit ones", response: "Cache-Control: max-age=1", after: pause, action: ServeAndRefresh, reason: StaleWhileRevalidate},
			{name: "which end, too", response: "Cache-Control: max-age=1", after: 61 * time.Second, action: Validate, reason: Stale},
			{name: "and for those of Expires", response: "Expires: {1}\nDate: {0}", after: pause, action: ServeAndRefresh, reason: StaleWhileRevalidate},
			{name: "beside stale-if-error", response: "Cache-Control: max-age=1, stale-if-error=5", after: pause, action: ServeAndRefresh, reason: StaleWhileRevalidate},
			{name: "not for what is stale when it comes", response: "Cache-Control: max-age=0\nETag: \"a\"", after: pause, action: Validate, reason: Stale},
			{name: "nor for an Expires in the past", response: "Expires: 0\nETag: \"a\"", after: pause, action: Validate, reason: Stale},
			{name: "nor beside s-maxage", response: "Cache-Control: s-maxage=1", after: pause, action: Validate, reason: Stale},
			{name: "nor beside no-cache", response: "Cache-Control: max-age=1, no-cache\nETag: \"a\"", after: pause, action: Validate, reason: NoCache},
			{name: "an explicit window replaces it", response: "Cache-Control: stale-while-revalidate=0", after: 2 * time.Minute, action: Validate, reason: Stale},
			{name: "must-revalidate forbids it", response: "Cache-Control: must-revalidate", after: 2 * time.Minute, action: Validate, reason: Stale},
		})
	})
	t.Run("stale on error (RFC 5861, 4)", func(t *testing.T) {
		o := honoring
		o.MaxStaleUnreachable = time.Hour
		o.StaleIfError = 10 * time.Second
		rows := []struct {
			name        string
			response    string
			again       string
			unreachable bool
			after       time.Duration
			want        bool
		}{
			{"an error without leave", "Cache-Control: max-age=2, stale-if-error=0", "", false, pause, false},
			{"an error with the leave of the configuration", "Cache-Control: max-age=2", "", false, 2*time.Second + 9*time.Second, true},
			{"which ends", "Cache-Control: max-age=2", "", false, 2*time.Second + 10*time.Second, false},
			{"not for what is stale when it comes", "Cache-Control: max-age=0\nETag: \"a\"", "", false, pause, false},
			{"no answer needs no leave (RFC 9111, 4.2.4)", "Cache-Control: max-age=2", "", true, pause, true},
			{"but ends", "Cache-Control: max-age=2", "", true, 2*time.Second + time.Hour, false},
			{"must-revalidate forbids it", "Cache-Control: max-age=2, must-revalidate", "", true, pause, false},
			{"proxy-revalidate forbids it", "Cache-Control: max-age=2, proxy-revalidate", "", true, pause, false},
			{"s-maxage forbids it", "Cache-Control: max-age=2, s-maxage=2", "", true, pause, false},
			{"no-cache forbids it", "Cache-Control: no-cache\nETag: \"a\"", "", true, pause, false},
			{"stale-if-error", "Cache-Control: max-age=2, stale-if-error=60", "", false, pause, true},
			{"stale-if-error ends", "Cache-Control: max-age=2, stale-if-error=60", "", false, 62 * time.Second, false},
			{"stale-if-error with s-maxage", "Cache-Control: s-maxage=2, stale-if-error=60", "", false, pause, false},
			{"stale-if-error with must-revalidate", "Cache-Control: max-age=2, must-revalidate, stale-if-error=60", "", false, pause, false},
			{"stale-if-error of the request", "Cache-Control: max-age=2, stale-if-error=0", "Cache-Control: stale-if-error=60", false, pause, true},
			{"which ends, too", "Cache-Control: max-age=2", "Cache-Control: stale-if-error=60", false, 62 * time.Second, false},
			{"and which must-revalidate forbids", "Cache-Control: max-age=2, must-revalidate", "Cache-Control: stale-if-error=60", false, pause, false},
			{"a client that insists is told of the error", "Cache-Control: max-age=2, stale-if-error=60", "Cache-Control: no-cache", true, pause, false},
			{"a client that must not see it is told of the error", "Cache-Control: max-age=2, stale-if-error=60", "Cookie: a=b", true, pause, false},
			{"a request that bypasses is told of the error", "Cache-Control: max-age=2, stale-if-error=60", "If-Match: *", true, pause, false},
			{"the configured one is for inferred lifetimes, too", "", "", false, 2*time.Minute + 9*time.Second, true},
			{"which end", "", "", false, 2*time.Minute + 10*time.Second, false},
			{"fresh, yet asked again", "Cache-Control: max-age=60, stale-if-error=60", "Cache-Control: max-age=0", false, pause, true},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				m, reason := o.Store(o.get(""), 200, header(row.response), start, start)
				if reason != None {
					t.Fatalf("not stored: %v", reason)
				}
				if got := m.StaleOnError(&o, o.get(row.again), row.unreachable, start.Add(row.after)); got != row.want {
					t.Errorf("got %v, want %v", got, row.want)
				}
			})
		}
	})
	t.Run("forbids stale (RFC 9111, 5.2.2.2)", func(t *testing.T) {
		for response, want := range map[string]bool{
			"Cache-Control: max-age=2":                                 false,
			"Cache-Control: max-age=2, must-revalidate":                true,
			"Cache-Control: max-age=2, proxy-revalidate":               true,
			"Cache-Control: s-maxage=2":                                true,
			"Cache-Control: no-cache\nETag: \"a\"":                     true,
			"Cache-Control: max-age=2, no-cache=\"X-User\"\nX-User: a": false,
		} {
			m, reason := usual.Store(usual.get(""), 200, header(response), start, start)
			if got := m.ForbidsStale(); got != want || reason != None {
				t.Errorf("%q: got %v (%v), want %v", response, got, reason, want)
			}
		}
	})
	// An invalidated response needs validation, whatever windows it has, but may be served instead
	// of an error.
	t.Run("invalidated (RFC 9111, 4.4)", func(t *testing.T) {
		now := time.Unix(1_800_000_000, 0)
		meta, reason := literal.Store(&Request{}, 200, header("Cache-Control: max-age=600, stale-while-revalidate=60, stale-if-error=60"), now, now)
		if reason != None {
			t.Fatalf("not stored: %v", reason)
		}
		now = now.Add(time.Minute)
		for _, since := range []time.Duration{0, 1, 10 * time.Second, time.Minute - 1, time.Minute} {
			outdated, invalid := meta.Outdated(since, now), meta.Invalidated(since, now)
			for _, cc := range []string{"", "Cache-Control: max-stale", "Cache-Control: max-stale=1000"} {
				r := get(cc)
				req := literal.Request(r)
				if action, reason := invalid.Reuse(&literal, &req, now); action != Validate || reason != Stale {
					t.Errorf("invalid for %v, %q: got %v, %v", since, cc, action, reason)
				}
				if action, _ := outdated.Reuse(&literal, &req, now); action == Validate && since < time.Minute {
					t.Errorf("outdated for %v, %q: got %v", since, cc, action)
				}
				if got, want := invalid.StaleOnError(&literal, &req, false, now), outdated.StaleOnError(&literal, &req, false, now); got != want {
					t.Errorf("invalid for %v, %q: stands in for an error: %v, want %v", since, cc, got, want)
				}
			}
			if invalid.TTL(now) != outdated.TTL(now) {
				t.Errorf("invalid for %v: got a ttl of %v, want %v", since, invalid.TTL(now), outdated.TTL(now))
			}
		}
	})
	t.Run("names of actions", func(t *testing.T) {
		for action, want := range map[Action]string{
			Forward: "forward", Serve: "serve", ServeAndRefresh: "serve-and-refresh", Validate: "validate", Fail: "fail", Fail + 1: "forward",
		} {
			if got := action.String(); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
	t.Run("allocations", func(t *testing.T) {
		m, reason := usual.Store(usual.get(""), 200, header("Cache-Control: max-age=60, stale-while-revalidate=60\nETag: \"a\""), start, start)
		if reason != None {
			t.Fatal(reason)
		}
		r := browser()
		if got := testing.AllocsPerRun(100, func() {
			req := usual.Request(r)
			if action, _ := m.Reuse(&usual, &req, start); action != Serve {
				t.Fatal(action)
			}
			if action, _ := m.Reuse(&usual, &req, start.Add(time.Minute)); action != ServeAndRefresh {
				t.Fatal(action)
			}
		}); got != 0 {
			t.Errorf("got %v allocations, want 0", got)
		}
	})
	// The properties hold for any mixture of the tables' rows.
	t.Run("properties", func(t *testing.T) {
		directives := []string{
			"", "no-store", "no-cache", "private", "public", "max-age=0", "max-age=60", "s-maxage=30", "must-revalidate", "proxy-revalidate",
			"immutable", "must-understand", "stale-while-revalidate=60", "stale-if-error=60", `private="a"`, `no-cache="etag"`, "max-age=x",
		}
		fields := []string{
			"", "ETag: \"a\"", "Last-Modified: {-5000}", "Expires: {90}", "Expires: 0", "Age: 20", "Date: {-40}", "Date: {40}", "Vary: a", "Vary: *",
			"Set-Cookie: a=b", "A: 1", "CDN-Cache-Control: max-age=10", "CDN-Cache-Control: no-store",
		}
		requests := []string{
			"", "Cookie: a=b", "Authorization: x", "X-Api-Key: y", "Cache-Control: no-store", "Cache-Control: no-cache", "Cache-Control: max-stale",
			"Cache-Control: max-age=0", "Cache-Control: only-if-cached", "If-Match: *", "Cache-Control: max-stale=1000, only-if-cached",
		}
		statuses := []int{200, 200, 200, 404, 302, 500, 599, 206, 304}
		random := rand.New(rand.NewPCG(1, 2))
		pick := func(from []string) string { return from[random.IntN(len(from))] }
		served := 0
		for range 20_000 {
			response := "Cache-Control: " + pick(directives) + "," + pick(directives) + "," + pick(directives) + "\n" + pick(fields) + "\n" + pick(fields)
			status := statuses[random.IntN(len(statuses))]
			filling, again := usual.get(pick(requests)), usual.get(pick(requests))
			m, reason := usual.Store(filling, status, header(response), start.Add(-time.Second), start)

			age := m.Age(start)
			now := start
			for range 4 {
				now = now.Add(time.Duration(random.IntN(100)) * time.Second)
				action, _ := m.Reuse(&usual, again, now)
				serves := action == Serve || action == ServeAndRefresh
				if serves {
					served++
				}
				if serves && reason != None {
					t.Fatalf("%d %q was refused (%v), yet served", status, response, reason)
				}
				// A request must not get a response that it could not have fetched itself, except
				// for its own no-store.
				if _, own := usual.Store(again, status, header(response), start, start); serves && own != None && own != RequestNoStore {
					t.Fatalf("%d %q was served to a request for which it may not be stored (%v)", status, response, own)
				}
				if action == Serve && m.TTL(now) <= 0 && !again.CC.MaxStaleAny && !again.CC.MaxStale.Valid {
					t.Fatalf("%d %q was served stale", status, response)
				}
				if next := m.Age(now); next < age {
					t.Fatalf("age went back from %v to %v", age, next)
				} else {
					age = next
				}
			}
		}
		if served < 1000 {
			t.Fatalf("only %d of the mixtures were served: the properties prove little", served)
		}
	})
}

func BenchmarkStore(b *testing.B) {
	req, h := usual.get(""), header("Cache-Control: max-age=60\nETag: \"a\"\nContent-Type: text/html\nVary: Accept-Encoding")
	b.ReportAllocs()
	for b.Loop() {
		if _, reason := usual.Store(req, 200, h, start, start); reason != None {
			b.Fatal(reason)
		}
	}
}
