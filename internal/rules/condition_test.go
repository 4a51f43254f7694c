package rules

import "testing"

func TestCondition(t *testing.T) {
	t.Run("evaluates (RFC 9111, 4.3.2)", func(t *testing.T) {
		const tagged, dated = "ETag: \"abcdef\"\nLast-Modified: {-5000}\nDate: {0}", "Last-Modified: {-3000}\nDate: {0}"
		rows := []struct {
			name     string
			response string
			status   int
			request  string
			want     Outcome
		}{
			{"no condition", tagged, 200, "", Full},
			{"a matching strong tag", tagged, 200, `If-None-Match: "abcdef"`, Unmodified},
			{"a matching weak tag", `ETag: W/"abcdef"`, 200, `If-None-Match: W/"abcdef"`, Unmodified},
			{"weak against strong", tagged, 200, `If-None-Match: W/"abcdef"`, Unmodified},
			{"strong against weak", `ETag: W/"abcdef"`, 200, `If-None-Match: "abcdef"`, Unmodified},
			{"another tag", tagged, 200, `If-None-Match: "1234"`, Full},
			{"the first of several", tagged, 200, `If-None-Match: "abcdef", "1234", "5678"`, Unmodified},
			{"the middle one", tagged, 200, `If-None-Match: "1234", "abcdef", "5678"`, Unmodified},
			{"the last one", tagged, 200, `If-None-Match: "1234", "5678", "abcdef"`, Unmodified},
			{"one on another line", tagged, 200, "If-None-Match: \"1234\"\nIf-None-Match: \"abcdef\"", Unmodified},
			{"one that holds a comma", `ETag: "a,b"`, 200, `If-None-Match: "a,b"`, Unmodified},
			{"half of one that holds a comma", `ETag: "b"`, 200, `If-None-Match: "a,b"`, Full},
			{"obs-text", "ETag: \"abcdef\u00fc\"", 200, "If-None-Match: \"abcdef\u00fc\"", Unmodified},
			{"a tag without quotes", tagged, 200, "If-None-Match: abcdef", Full},
			{"stored without quotes", "ETag: abcdef", 200, "If-None-Match: abcdef", Full},
			{"a star", tagged, 200, "If-None-Match: *", Unmodified},
			{"a star needs no tag", "", 200, "If-None-Match: * ", Unmodified},
			{"a star in a list is none", tagged, 200, `If-None-Match: "1", *`, Full},
			{"a tag where none is stored", dated, 200, `If-None-Match: "abcdef"`, Full},
			{"the tag counts, not the date", tagged, 200, "If-None-Match: \"abcdef\"\nIf-Modified-Since: {-10000}", Unmodified},
			{"also if the date would match", tagged, 200, "If-None-Match: \"1234\"\nIf-Modified-Since: {0}", Full},
			{"also if the tag is malformed", tagged, 200, "If-None-Match: x\nIf-Modified-Since: {0}", Full},
			{"the date of the change", dated, 200, "If-Modified-Since: {-3000}", Unmodified},
			{"a later date", dated, 200, "If-Modified-Since: {-2999}", Unmodified},
			{"an earlier date", dated, 200, "If-Modified-Since: {-3001}", Full},
			{"the date in the form of RFC 850", "Last-Modified: Thu, 18 Aug 2022 02:01:18 GMT", 200, "If-Modified-Since: Thursday, 18-Aug-22 02:01:18 GMT", Unmodified},
			{"an invalid date", dated, 200, "If-Modified-Since: tomorrow", Full},
			{"two dates", dated, 200, "If-Modified-Since: {0}\nIf-Modified-Since: {0}", Full},
			{"Date stands in for Last-Modified", "Date: {0}", 200, "If-Modified-Since: {0}", Unmodified},
			{"and says no to earlier ones", "Date: {0}", 200, "If-Modified-Since: {-3000}", Full},
			{"the arrival stands in for Date", "", 200, "If-Modified-Since: {0}", Unmodified},
			{"and says no to earlier ones, too", "", 200, "If-Modified-Since: {-1}", Full},
			{"a missing page is not unmodified (RFC 9110, 13.2.1)", tagged, 404, `If-None-Match: "abcdef"`, Full},
			{"nor is a redirect", tagged, 301, "If-None-Match: *", Full},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				v := ValidatorsOf(header(row.response), start)
				if got := v.Condition(header(row.request), row.status, start); got != row.want {
					t.Errorf("got %v, want %v", got, row.want)
				}
			})
		}
	})
	t.Run("allocations", func(t *testing.T) {
		v := ValidatorsOf(header("ETag: \"abcdef\"\nLast-Modified: {-9}"), start)
		for _, request := range []string{"", `If-None-Match: "1234", W/"abcdef"`, "If-Modified-Since: {-9}"} {
			h := header(request)
			if got := testing.AllocsPerRun(100, func() { v.Condition(h, 200, start) }); got != 0 {
				t.Errorf("%q: got %v allocations, want 0", request, got)
			}
		}
	})
	t.Run("names of outcomes", func(t *testing.T) {
		for outcome, want := range map[Outcome]string{
			Full: "full", Unmodified: "unmodified", Partial: "partial", Unsatisfiable: "unsatisfiable", Unsatisfiable + 1: "full",
		} {
			if got := outcome.String(); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}
