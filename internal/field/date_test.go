package field

import (
	"net/http"
	"testing"
	"time"
)

var now = time.Date(2026, time.July, 1, 12, 0, 0, 0, time.UTC)

var dateRows = []struct {
	name string
	text string
	want string // RFC 3339; empty means refused
}{
	{"IMF-fixdate", "Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"},
	{"rfc850-date", "Sunday, 06-Nov-94 08:49:37 GMT", "1994-11-06T08:49:37Z"},
	{"asctime-date", "Sun Nov  6 08:49:37 1994", "1994-11-06T08:49:37Z"},
	{"asctime-date with a two-digit day", "Wed Nov 16 08:49:37 1994", "1994-11-16T08:49:37Z"},
	{"asctime-date whose weekday does not fit", "Thu Aug  8 02:01:18 2050", "2050-08-08T02:01:18Z"},
	{"far future", "Sun, 21 Nov 2286 04:46:39 GMT", "2286-11-21T04:46:39Z"},
	{"weekday in another case", "THU, 18 Aug 2050 02:01:18 GMT", "2050-08-18T02:01:18Z"},
	{"month in another case", "Thu, 18 AUG 2050 02:01:18 GMT", "2050-08-18T02:01:18Z"},
	{"zone in another case", "Thu, 18 Aug 2050 02:01:18 gMT", "2050-08-18T02:01:18Z"},
	{"leap day", "Thu, 29 Feb 2024 00:00:00 GMT", "2024-02-29T00:00:00Z"},
	{"leap second", "Sat, 31 Dec 2016 23:59:60 GMT", "2017-01-01T00:00:00Z"},
	{"blanks around the value belong to the field", " Sun, 06 Nov 1994 08:49:37 GMT\t", "1994-11-06T08:49:37Z"},
	{"two-digit year of this century", "Friday, 01-Jan-27 00:00:00 GMT", "2027-01-01T00:00:00Z"},
	{"two-digit year exactly 50 years ahead", "Wednesday, 01-Jul-76 12:00:00 GMT", "2076-07-01T12:00:00Z"},
	{"two-digit year 50 years and a second ahead is the past", "Wednesday, 01-Jul-76 12:00:01 GMT", "1976-07-01T12:00:01Z"},
	{"empty", "", ""},
	{"zero", "0", ""},
	{"UTC", "Thu, 18 Aug 2050 02:01:18 UTC", ""},
	{"another zone", "Thu, 18 Aug 2050 02:01:18 AEST", ""},
	{"an offset", "Thu, 18 Aug 2050 02:01:18 +0000", ""},
	{"no zone", "Thu, 18 Aug 2050 02:01:18", ""},
	{"no comma", "Thu 18 Aug 2050 02:01:18 GMT", ""},
	{"two blanks", "Thu, 18  Aug  2050 02:01:18 GMT", ""},
	{"two blanks before the clock", "Thu, 18 Aug 2050  2:01:18 GMT", ""},
	{"dashes in a short date", "Thu, 18-Aug-2050 02:01:18 GMT", ""},
	{"blanks in a long date", "Sunday, 06 Nov 94 08:49:37 GMT", ""},
	{"long weekday in a short date", "Sunday, 06 Nov 1994 08:49:37 GMT", ""},
	{"short weekday in a long date", "Sun, 06-Nov-94 08:49:37 GMT", ""},
	{"four-digit year in a long date", "Sunday, 06-Nov-1994 08:49:37 GMT", ""},
	{"one-digit hour", "Sun, 06 Nov 1994 8:49:37 GMT", ""},
	{"one-digit day", "Sun, 6 Nov 1994 08:49:37 GMT", ""},
	{"sign in a number", "Sun, +6 Nov 1994 08:49:37 GMT", ""},
	{"no such weekday", "Xyz, 06 Nov 1994 08:49:37 GMT", ""},
	{"no such long weekday", "Someday, 06-Nov-94 08:49:37 GMT", ""},
	{"no such month", "Sun, 06 Nop 1994 08:49:37 GMT", ""},
	{"no such day of the month", "Fri, 31 Feb 2025 00:00:00 GMT", ""},
	{"day 0", "Fri, 00 Feb 2025 00:00:00 GMT", ""},
	{"no leap year", "Sat, 29 Feb 2025 00:00:00 GMT", ""},
	{"hour 24", "Sun, 06 Nov 1994 24:00:00 GMT", ""},
	{"minute 60", "Sun, 06 Nov 1994 08:60:00 GMT", ""},
	{"second 61", "Sun, 06 Nov 1994 08:49:61 GMT", ""},
	{"something after it", "Sun, 06 Nov 1994 08:49:37 GMT; x", ""},
	{"two of them", "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT", ""},
	{"cut short", "Sun, 06 Nov 19", ""},
	{"RFC 3339", "1994-11-06T08:49:37Z", ""},
	{"a letter like K that folds", "Mon, 06 Nov 1994 08:49:37 \u212aMT", ""},
}

func TestParseDate_RFC9110_5_6_7(t *testing.T) {
	for _, row := range dateRows {
		got, ok := ParseDate(row.text, now)
		if text := got.Format(time.RFC3339); ok != (row.want != "") || ok && text != row.want {
			t.Errorf("%s: %q: got %s, %v, want %q", row.name, row.text, text, ok, row.want)
		}
	}
	centuries := []struct {
		now  int
		text string
		want int
	}{{1999, "Friday, 01-Jan-10 00:00:00 GMT", 2010}, {2060, "Friday, 01-Jan-05 00:00:00 GMT", 2105}, {2060, "Friday, 01-Jan-94 00:00:00 GMT", 2094}}
	for _, row := range centuries {
		if got, ok := ParseDate(row.text, time.Date(row.now, 7, 1, 0, 0, 0, 0, time.UTC)); !ok || got.Year() != row.want {
			t.Errorf("%q read in %d: got %d, %v, want %d", row.text, row.now, got.Year(), ok, row.want)
		}
	}
	if allocs := testing.AllocsPerRun(100, func() { ParseDate("Sunday, 06-Nov-94 08:49:37 GMT", now) }); allocs != 0 {
		t.Errorf("got %v allocations, want 0", allocs)
	}
}

func FuzzParseDate(f *testing.F) {
	for _, row := range dateRows {
		f.Add(row.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := ParseDate(text, now)
		if !ok {
			return
		}
		if got.Location() != time.UTC {
			t.Errorf("%q: location %v, want UTC", text, got.Location())
		}
		again, ok := ParseDate(got.Format(http.TimeFormat), now)
		if got.Year() <= 9999 && (!ok || !again.Equal(got)) {
			t.Errorf("%q: %v reads as %v, %v when it is written again", text, got, again, ok)
		}
	})
}
