package rules

import (
	"testing"
	"time"
)

const pause = 3 * time.Second

func TestFreshness(t *testing.T) {
	t.Run("lifetime (RFC 9111, 4.2.1)", func(t *testing.T) {
		runAll(t, &literal, []exchange{
			{name: "no lifetime and nothing to validate with is not stored", stored: NoFreshness},
			{name: "max-age keeps it fresh", response: "Cache-Control: max-age=3600", after: pause, action: Serve, reason: Fresh},
			{name: "max-age ends", response: "Cache-Control: max-age=2\nDate: {0}", after: pause, action: Validate, reason: Stale},
			{name: "fresh means that the lifetime is greater than the age", response: "Cache-Control: max-age=3", after: pause, action: Validate, reason: Stale},
			{name: "max-age=0 is never fresh", response: "Cache-Control: max-age=0", stored: Expired},
			{name: "max-age=0 with a validator is kept to be validated", response: "Cache-Control: max-age=0\nETag: \"a\"", action: Validate, reason: Stale},
			{name: "max-age of 2^31-1", response: "Cache-Control: max-age=2147483647", after: pause, action: Serve, reason: Fresh},
			{name: "max-age of 2^31+1", response: "Cache-Control: max-age=2147483649", after: pause, action: Serve, reason: Fresh},
			{name: "max-age beyond all numbers", response: "Cache-Control: max-age=99999999999", after: pause, action: Serve, reason: Fresh},
			{name: "max-age in any case", response: "Cache-Control: MaX-aGe=3600", after: pause, action: Serve, reason: Fresh},
			{name: "max-age with leading zeros", response: "Cache-Control: max-age=003600", after: pause, action: Serve, reason: Fresh},
			{name: "max-age beats a past Expires", response: "Cache-Control: max-age=3600\nExpires: {-7200}\nDate: {0}", after: pause, action: Serve, reason: Fresh},
			{name: "max-age beats an invalid Expires", response: "Cache-Control: max-age=3600\nExpires: 0\nDate: {0}", after: pause, action: Serve, reason: Fresh},
			{name: "max-age=0 beats a future Expires", response: "Cache-Control: max-age=0\nExpires: {3600}\nDate: {0}", stored: Expired},
			{name: "negative max-age means stale", response: "Cache-Control: max-age=-3600", stored: Expired},
			{name: "invalid max-age means stale", response: "Cache-Control: max-age=a3600", stored: Expired},
			{name: "max-age with a fraction means stale", response: "Cache-Control: max-age=3600.5", stored: Expired},
			{name: "single-quoted max-age means stale", response: "Cache-Control: max-age='3600'", stored: Expired},
			{name: "invalid max-age is not replaced by Expires", response: "Cache-Control: max-age=foo\nExpires: {3600}\nDate: {0}", stored: Expired},
			{name: "invalid max-age is not replaced by a heuristic", response: "Cache-Control: max-age=foo\nLast-Modified: {-86400}", action: Validate, reason: Stale},
			{name: "max-age in a quoted string before the real one does not count", response: `Cache-Control: extension="max-age=3600", max-age=1`, after: pause, action: Validate, reason: Stale},
			{name: "max-age in a quoted string after the real one does not count", response: `Cache-Control: max-age=1, extension="max-age=3600"`, after: pause, action: Validate, reason: Stale},
			{name: "of two max-age on two lines the long one does not win", response: "Cache-Control: max-age=1\nCache-Control: max-age=1800", after: pause, action: Validate, reason: Stale},
			{name: "s-maxage keeps it fresh", response: "Cache-Control: s-maxage=3600", after: pause, action: Serve, reason: Fresh},
			{name: "a short s-maxage beats a long max-age", response: "Cache-Control: max-age=3600, s-maxage=1", after: pause, action: Validate, reason: Stale},
			{name: "whatever their order", response: "Cache-Control: s-maxage=1, max-age=3600", after: pause, action: Validate, reason: Stale},
			{name: "a long s-maxage beats a short max-age", response: "Cache-Control: max-age=1, s-maxage=3600", after: pause, action: Serve, reason: Fresh},
			{name: "s-maxage beats max-age=0 and a past Expires", response: "Cache-Control: max-age=0, s-maxage=3600\nExpires: {-10}", after: pause, action: Serve, reason: Fresh},
			{name: "invalid s-maxage is not replaced by max-age", response: "Cache-Control: max-age=3600, s-maxage=foo", stored: Expired},
		})
	})
	t.Run("Expires (RFC 9111, 5.3)", func(t *testing.T) {
		runAll(t, &literal, []exchange{
			{name: "a future Expires keeps it fresh", response: "Expires: {2592000}\nDate: {0}", after: pause, action: Serve, reason: Fresh},
			{name: "a past Expires does not", response: "Expires: {-2592000}\nDate: {0}", stored: Expired},
			{name: "a past Expires beats Last-Modified", response: "Expires: {-5000}\nLast-Modified: {-100000}\nDate: {0}", after: pause, action: Validate, reason: Stale},
			{name: "Expires before Date, both ahead of our clock", response: "Expires: {300}\nDate: {400}", stored: Expired},
			{name: "0 means the past", response: "Expires: 0\nDate: {0}", stored: Expired},
			{name: "counts from the arrival if Date is invalid", response: "Expires: {10}\nDate: foo", action: Serve, reason: Fresh},
			{name: "counts from the arrival if Date is missing", response: "Expires: {10}", after: 9 * time.Second, action: Serve, reason: Fresh},
			{name: "and no longer than that", response: "Expires: {10}", after: 10 * time.Second, action: Validate, reason: Stale},
			{name: "counts from Date", response: "Expires: {20}\nDate: {10}", after: 12 * time.Second, action: Validate, reason: Stale},
			{name: "Age greater than Expires minus Date, Date slow", response: "Date: {-10}\nExpires: {10}\nAge: 25", stored: Expired},
			{name: "Age greater than Expires minus Date, Date fast", response: "Date: {10}\nExpires: {20}\nAge: 15", stored: Expired},
			{name: "far in the future", response: "Date: {0}\nExpires: Sun, 21 Nov 2286 04:46:39 GMT", after: pause, action: Serve, reason: Fresh},
			{name: "in the form of asctime", response: "Date: {0}\nExpires: Thu Aug  8 02:01:18 2050", after: pause, action: Serve, reason: Fresh},
			{name: "weekday in wrong case", response: "Date: {0}\nExpires: THU, 18 Aug 2050 02:01:18 GMT", after: pause, action: Serve, reason: Fresh},
			{name: "month in wrong case", response: "Date: {0}\nExpires: Thu, 18 AUG 2050 02:01:18 GMT", after: pause, action: Serve, reason: Fresh},
			{name: "zone in wrong case", response: "Date: {0}\nExpires: Thu, 18 Aug 2050 02:01:18 gMT", after: pause, action: Serve, reason: Fresh},
			{name: "zone UTC is invalid", response: "Date: {0}\nExpires: Thu, 18 Aug 2050 02:01:18 UTC", stored: Expired},
			{name: "any other zone is invalid", response: "Date: {0}\nExpires: Thu, 18 Aug 2050 02:01:18 AEST", stored: Expired},
			{name: "a missing comma is invalid", response: "Date: {0}\nExpires: Thu 18 Aug 2050 02:01:18 GMT", stored: Expired},
			{name: "several blanks are invalid", response: "Date: {0}\nExpires: Thu, 18  Aug  2050  02:01:18 GMT", stored: Expired},
			{name: "dashes are invalid", response: "Date: {0}\nExpires: Thu, 18-Aug-2050 02:01:18 GMT", stored: Expired},
			{name: "two lines that differ mean stale", response: "Date: {0}\nExpires: {3600}\nExpires: {7200}", stored: Expired},
			{name: "two lines that agree count as one", response: "Date: {0}\nExpires: {3600}\nExpires: {3600}", action: Serve, reason: Fresh},
		})
	})
	t.Run("heuristic (RFC 9111, 4.2.2)", func(t *testing.T) {
		const changed = "Last-Modified: {-86400}\nDate: {0}"
		var rows []exchange
		for _, status := range []int{200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501} {
			rows = append(rows, exchange{name: "Last-Modified makes fresh a " + name(status), status: status, response: changed, after: pause, action: Serve, reason: Fresh})
		}
		for _, status := range []int{201, 202, 302, 303, 307, 400, 401, 403, 500, 502, 503, 504, 599} {
			rows = append(rows,
				exchange{name: "Last-Modified does not make fresh a " + name(status), status: status, response: changed, stored: Status},
				exchange{name: "with public it does, a " + name(status), status: status, response: changed + "\nCache-Control: public", after: pause, action: Serve, reason: Fresh},
				exchange{name: "public alone does not, a " + name(status), status: status, response: "Cache-Control: public", stored: NoFreshness})
		}
		rows = append(rows,
			exchange{name: "a tenth of the time since the change", response: "Last-Modified: {-1000}\nDate: {0}", after: 99 * time.Second, action: Serve, reason: Fresh},
			exchange{name: "and no more than that", response: "Last-Modified: {-1000}\nDate: {0}", after: 100 * time.Second, action: Validate, reason: Stale},
			exchange{name: "at most HeuristicMax", response: "Last-Modified: {-100000000}\nDate: {0}", after: 24 * time.Hour, action: Validate, reason: Stale},
			exchange{name: "a change in the future gives nothing", response: "Last-Modified: {1000}\nDate: {0}", action: Validate, reason: Stale},
			exchange{name: "an invalid Last-Modified gives nothing", response: "Last-Modified: yesterday\nDate: {0}", stored: NoFreshness},
			exchange{name: "two Last-Modified give nothing", response: "Last-Modified: {-9}\nLast-Modified: {-9000}", stored: NoFreshness},
			exchange{name: "no heuristic beside explicit freshness", response: changed + "\nCache-Control: max-age=1", after: pause, action: Validate, reason: Stale},
			exchange{name: "an ETag alone is kept to be validated", response: `ETag: "a"`, action: Validate, reason: Stale},
			exchange{name: "Content-Disposition changes nothing", response: changed + "\nContent-Disposition: attachment", action: Serve, reason: Fresh},
		)
		runAll(t, &literal, rows)

		o := literal
		o.HeuristicMax = 0
		exchange{response: changed, action: Validate, reason: Stale}.run(t, &o)
	})
	t.Run("inferred lifetime", func(t *testing.T) {
		rows := []struct {
			name     string
			status   int
			response string
			ttl      time.Duration
			stored   Reason
		}{
			{"a page that says nothing", 200, "", 2 * time.Minute, None},
			{"a page with an ETag only", 200, `ETag: "a"`, 2 * time.Minute, None},
			{"a page that is only public", 200, "Cache-Control: public", 2 * time.Minute, None},
			{"a page with a directive that gives no lifetime", 200, "Cache-Control: must-revalidate", 2 * time.Minute, None},
			{"a page with an empty Cache-Control", 200, "Cache-Control: , ,", 2 * time.Minute, None},
			{"Last-Modified says something", 200, "Last-Modified: {-100}\nDate: {0}", 10 * time.Second, None},
			{"a missing page is kept for less", 404, "", briefTTL, None},
			{"a page gone is kept for less", 410, "", briefTTL, None},
			{"a permanent redirect is kept for less", 301, "", briefTTL, None},
			{"a strict permanent redirect is kept for less", 308, "", briefTTL, None},
			{"a page that a proxy changed is kept for less", 203, "", briefTTL, None},
			{"a missing page with Last-Modified is kept no longer", 404, "Last-Modified: {-100000}\nDate: {0}", briefTTL, None},
			{"nor is a permanent redirect", 301, "Last-Modified: {-100000}\nDate: {0}", briefTTL, None},
			{"no content", 204, "", 0, NoFreshness},
			{"a created resource", 201, "", 0, Status},
			{"a temporary redirect", 302, "", 0, Status},
			{"a refusal", 403, "", 0, Status},
			{"too many requests", 429, "", 0, Status},
			{"an error", 500, "", 0, Status},
			{"an outage", 503, "", 0, Status},
			{"a function that is missing", 501, "", 0, NoFreshness},
			{"an error is not inferred, public or not", 500, "Cache-Control: public", 0, NoFreshness},
			{"an unknown code", 299, "", 0, Status},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				m, reason := usual.Store(usual.get(""), row.status, header(row.response), start, start)
				if reason != row.stored {
					t.Fatalf("got %q, want %q", reason, row.stored)
				}
				if got := m.Lifetime(); got != row.ttl {
					t.Errorf("lifetime: got %v, want %v", got, row.ttl)
				}
				if m.Explicit() {
					t.Error("an inferred lifetime counts as explicit")
				}
			})
		}
		t.Run("a DefaultTTL shorter than that is shorter for all", func(t *testing.T) {
			o := Options{DefaultTTL: time.Second}
			m, _ := o.Store(o.get(""), 404, nil, start, start)
			if got := m.Lifetime(); got != time.Second {
				t.Errorf("got %v", got)
			}
		})
	})
}

func TestAge(t *testing.T) {
	t.Run("age (RFC 9111, 4.2.3)", func(t *testing.T) {
		rows := []struct {
			name     string
			response string
			delay    time.Duration // between request and response
			after    time.Duration
			want     time.Duration
		}{
			{"nothing known", "", 0, 0, 0},
			{"time in the store", "", 0, 5 * time.Second, 5 * time.Second},
			{"Age of the response", "Age: 30", 0, 2 * time.Second, 32 * time.Second},
			{"the time that the request took", "Age: 30", 4 * time.Second, 0, 34 * time.Second},
			{"Date of the response", "Date: {-7}", 0, 0, 7 * time.Second},
			{"the fraction of a second that Date lacks adds no age", "Date: {0}", 0, 0, 0},
			{"the greater of both", "Date: {-7}\nAge: 3", 0, 0, 7 * time.Second},
			{"the greater of both, the other way", "Date: {-3}\nAge: 7", 0, 0, 7 * time.Second},
			{"a Date in the future is no age", "Date: {600}", 0, 0, 0},
			{"an invalid Date is no age", "Date: foo", 0, 0, 0},
			{"Age that is no number does not count", "Age: abc", 0, 0, 0},
			{"Age with a fraction does not count", "Age: 7200.0", 0, 0, 0},
			{"negative Age does not count", "Age: -7200", 0, 0, 0},
			{"Age with a parameter does not count", "Age: 7200;foo=bar", 0, 0, 0},
			{"the first member counts, old", "Age: 7200, 0", 0, 0, 2 * time.Hour},
			{"the first member counts, new", "Age: 0, 7200", 0, 0, 0},
			{"the first line counts, old", "Age: 7200\nAge: 0", 0, 0, 2 * time.Hour},
			{"the first line counts, new", "Age: 0\nAge: 7200", 0, 0, 0},
			{"two zeros are zero", "Age: 0\nAge: 0", 0, 0, 0},
			{"a large Age", "Age: 2147483647", 0, 0, infinity - time.Second},
			{"a larger Age saturates", "Age: 2147483649", 0, time.Second, infinity + time.Second},
			{"a clock that goes back makes nothing younger", "Age: 30", 0, -time.Hour, 30 * time.Second},
			{"a response before its request is no age", "", -time.Hour, 0, 0},
			{"a Date out of all bounds saturates", "Date: Thu, 01 Jan 0001 00:00:00 GMT", 0, 0, infinity},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				h := header(row.response)
				h.Set("ETag", `"a"`)
				m, reason := usual.Store(usual.get(""), 200, h, start.Add(-row.delay), start)
				if reason != None {
					t.Fatalf("not stored: %v", reason)
				}
				now := start.Add(row.after)
				if got := m.Age(now); got != row.want {
					t.Errorf("got %v, want %v", got, row.want)
				}
				if got, want := m.TTL(now), m.Lifetime()-row.want; got != want {
					t.Errorf("TTL: got %v, want %v", got, want)
				}
			})
		}
	})
	t.Run("age decides freshness (RFC 9111, 4.2.3)", func(t *testing.T) {
		runAll(t, &literal, []exchange{
			{name: "Age past max-age", response: "Date: {0}\nCache-Control: max-age=3600\nAge: 7200", stored: Expired},
			{name: "Age past max-age with a validator", response: "Cache-Control: max-age=3600\nAge: 7200\nETag: \"a\"", action: Validate, reason: Stale},
			{name: "Age takes from max-age", response: "Cache-Control: max-age=3600\nAge: 3598", after: pause, action: Validate, reason: Stale},
			{name: "Date past max-age", response: "Date: {-7200}\nCache-Control: max-age=3600", stored: Expired},
			{name: "Age of 2^31+1", response: "Cache-Control: max-age=3600\nAge: 2147483649", stored: Expired},
			{name: "Age that is no number", response: "Cache-Control: max-age=3600\nAge: abc", after: pause, action: Serve, reason: Fresh},
		})
	})
}
