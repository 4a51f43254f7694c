package field

import (
	"strings"
	"time"
)

const (
	weekdays     = "monday   tuesday  wednesdaythursday friday   saturday sunday   "
	weekdayWidth = 9
	months       = "janfebmaraprmayjunjulaugsepoctnovdec"
)

// ParseDate reads an HTTP-date in its three forms (RFC 9110, 5.6.7): "Sun, 06 Nov 1994 08:49:37
// GMT", "Sunday, 06-Nov-94 08:49:37 GMT" and "Sun Nov 6 08:49:37 1994". Names are accepted in any
// case. Everything else must be exactly as written there, since a misread date freezes a response.
// The name of the day need not fit the date. A two-digit year means the one that lies no more than
// 50 years after now.
func ParseDate(s string, now time.Time) (time.Time, bool) {
	s = TrimBlanks(s)
	d := dateReader{rest: s}
	var day, month, year, hour, minute, second int
	comma := strings.IndexByte(s, ',')
	switch {
	case comma == 3: // IMF-fixdate
		d.weekday(3)
		d.literal(", ")
		day = d.number(2)
		d.literal(" ")
		month = d.month()
		d.literal(" ")
		year = d.number(4)
		d.literal(" ")
		hour, minute, second = d.clock()
		d.zone()
	case comma > 3: // rfc850-date
		d.weekday(comma)
		d.literal(", ")
		day = d.number(2)
		d.literal("-")
		month = d.month()
		d.literal("-")
		year = d.number(2)
		d.literal(" ")
		hour, minute, second = d.clock()
		d.zone()
	default: // asctime-date
		d.weekday(3)
		d.literal(" ")
		month = d.month()
		d.literal(" ")
		if strings.HasPrefix(d.rest, " ") {
			d.literal(" ")
			day = d.number(1)
		} else {
			day = d.number(2)
		}
		d.literal(" ")
		hour, minute, second = d.clock()
		d.literal(" ")
		year = d.number(4)
	}
	// Second 60 is a leap second; time.Date carries it into the next minute.
	if d.bad || d.rest != "" || hour > 23 || minute > 59 || second > 60 {
		return time.Time{}, false
	}
	if comma > 3 {
		latest := now.UTC().AddDate(50, 0, 0)
		year += latest.Year() / 100 * 100
		if time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC).After(latest) {
			year -= 100
		}
	}
	if date := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC); date.Day() != day || date.Month() != time.Month(month) {
		return time.Time{}, false // 31 February
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC), true
}

// dateReader consumes a date from the left. After the first mismatch bad is set, and the results
// mean nothing.
type dateReader struct {
	rest string
	bad  bool
}

func (d *dateReader) take(n int) string {
	if d.bad || len(d.rest) < n {
		d.bad = true
		return ""
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken
}

func (d *dateReader) literal(want string) {
	if d.take(len(want)) != want {
		d.bad = true
	}
}

func (d *dateReader) zone() {
	d.literal(" ")
	if !strings.EqualFold(d.take(3), "GMT") {
		d.bad = true
	}
}

func (d *dateReader) number(digits int) int {
	n := 0
	for _, c := range []byte(d.take(digits)) {
		if !isDigit(c) {
			d.bad = true
		}
		n = n*10 + int(c-'0')
	}
	return n
}

func (d *dateReader) clock() (hour, minute, second int) {
	hour = d.number(2)
	d.literal(":")
	minute = d.number(2)
	d.literal(":")
	second = d.number(2)
	return hour, minute, second
}

func (d *dateReader) month() int {
	name := d.take(3)
	for i := 0; i+3 <= len(months); i += 3 {
		if strings.EqualFold(name, months[i:i+3]) {
			return i/3 + 1
		}
	}
	d.bad = true
	return 0
}

// weekday takes n bytes, which must be a day's name: whole, or its first three letters when n is 3.
func (d *dateReader) weekday(n int) {
	name := d.take(n)
	for i := 0; i < len(weekdays); i += weekdayWidth {
		if n == 3 && strings.EqualFold(name, weekdays[i:i+3]) || n > 3 && strings.EqualFold(name, strings.TrimRight(weekdays[i:i+weekdayWidth], " ")) {
			return
		}
	}
	d.bad = true
}
