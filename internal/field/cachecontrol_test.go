package field

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/cachecontrol/cacheobject"
	"github.com/stretchr/testify/require"
)

func delta(seconds int64) Delta {
	return Delta{Set: true, Valid: true, Value: time.Duration(seconds) * time.Second}
}

var invalid = Delta{Set: true}

var cacheControlRows = []struct {
	name  string
	lines []string
	want  CacheControl
}{
	{"no line", nil, CacheControl{Empty: true}},
	{"no member", []string{"", " , ,"}, CacheControl{Empty: true}},
	{"an extension is a member that says nothing to us", []string{"nothing-to-see-here, a=1, b=\"x\""}, CacheControl{}},
	{"all response directives", []string{"no-store, no-cache, no-transform, private, public", "must-revalidate,proxy-revalidate, must-understand, immutable"},
		CacheControl{NoStore: true, NoCache: true, NoTransform: true, Private: true, Public: true, MustRevalidate: true, ProxyRevalidate: true, MustUnderstand: true, Immutable: true}},
	{"all response seconds", []string{"max-age=1, s-maxage=2, stale-while-revalidate=3, stale-if-error=4"},
		CacheControl{MaxAge: delta(1), SharedMaxAge: delta(2), StaleWhileRevalidate: delta(3), StaleIfError: delta(4)}},
	{"all request directives", []string{"max-age=1, max-stale=2, min-fresh=3, no-cache, no-store, no-transform, only-if-cached"},
		CacheControl{MaxAge: delta(1), MaxStale: delta(2), MinFresh: delta(3), NoCache: true, NoStore: true, NoTransform: true, OnlyIfCached: true}},
	{"max-stale without a value", []string{"max-stale"}, CacheControl{MaxStaleAny: true}},
	{"max-stale with a value beats the one without", []string{"max-stale, max-stale=5, max-stale"}, CacheControl{MaxStale: delta(5)}},
	{"names in another case", []string{"MaX-aGe=3600, PRIVATE"}, CacheControl{MaxAge: delta(3600), Private: true}},
	{"quoted seconds", []string{`max-age="60"`}, CacheControl{MaxAge: delta(60)}},
	{"leading zeros", []string{"max-age=003600"}, CacheControl{MaxAge: delta(3600)}},

	{"a directive in a quoted string before the real one", []string{`extension="max-age=3600", max-age=1`}, CacheControl{MaxAge: delta(1)}},
	{"a directive in a quoted string after the real one", []string{`max-age=1, extension="max-age=3600"`}, CacheControl{MaxAge: delta(1)}},
	{"no-store in a quoted string", []string{`extension="no-store, private"`}, CacheControl{}},

	{"2^31-1 and everything above is 2^31", []string{"max-age=2147483647, s-maxage=99999999999, stale-if-error=99999999999999999999999"},
		CacheControl{MaxAge: delta(1 << 31), SharedMaxAge: delta(1 << 31), StaleIfError: delta(1 << 31)}},
	{"2^31-2 is itself", []string{"max-age=2147483646"}, CacheControl{MaxAge: delta(1<<31 - 2)}},
	{"negative", []string{"max-age=-3600"}, CacheControl{MaxAge: invalid}},
	{"blank before the equals sign", []string{"max-age =3600"}, CacheControl{MaxAge: invalid}},
	{"blank after the equals sign", []string{"max-age= 3600"}, CacheControl{MaxAge: invalid}},
	{"single quotes", []string{"max-age='3600'"}, CacheControl{MaxAge: invalid}},
	{"decimal", []string{"max-age=3600.5"}, CacheControl{MaxAge: invalid}},
	{"leading letter", []string{"max-age=a3600"}, CacheControl{MaxAge: invalid}},
	{"trailing letter", []string{"max-age=3600a"}, CacheControl{MaxAge: invalid}},
	{"no argument", []string{"max-age, s-maxage=, min-fresh, stale-if-error, stale-while-revalidate"},
		CacheControl{MaxAge: invalid, SharedMaxAge: invalid, MinFresh: invalid, StaleIfError: invalid, StaleWhileRevalidate: invalid}},
	{"something after the quotes", []string{`max-age="5"0`}, CacheControl{MaxAge: invalid}},
	{"max-stale with an argument that is no number", []string{"max-stale=x"}, CacheControl{MaxStale: invalid}},

	{"of two the shorter counts, on one line", []string{"max-age=1800, max-age=1"}, CacheControl{MaxAge: delta(1)}},
	{"of two the shorter counts, whatever the order", []string{"max-age=1, max-age=1800"}, CacheControl{MaxAge: delta(1)}},
	{"of two the shorter counts, on two lines", []string{"max-age=1800", "max-age=1"}, CacheControl{MaxAge: delta(1)}},
	{"of two min-fresh the longer counts", []string{"min-fresh=1, min-fresh=5, min-fresh=3"}, CacheControl{MinFresh: delta(5)}},
	{"an invalid one spoils a valid one", []string{"max-age=5, max-age=x", "min-fresh=x, min-fresh=5"}, CacheControl{MaxAge: invalid, MinFresh: invalid}},
	{"an invalid one before a valid one spoils it", []string{"max-age=x, max-age=5"}, CacheControl{MaxAge: invalid}},

	{"an error condemns only its directive", []string{"no-store, max-age=foo, s-maxage=5"}, CacheControl{NoStore: true, MaxAge: invalid, SharedMaxAge: delta(5)}},
	{"an argument does not weaken no-store", []string{"no-store=x"}, CacheControl{NoStore: true}},
	{"a quoted argument does not weaken no-store", []string{`no-store="Set-Cookie"`}, CacheControl{NoStore: true}},
	{"an empty argument does not weaken private", []string{"private=, no-cache="}, CacheControl{Private: true, NoCache: true}},
	{"an argument does not let must-revalidate permit", []string{"must-revalidate=1"}, CacheControl{ProxyRevalidate: true}},
	{"an argument does not weaken proxy-revalidate and no-transform", []string{"proxy-revalidate=1, no-transform=1"}, CacheControl{ProxyRevalidate: true, NoTransform: true}},
	{"an argument disarms what permits", []string{"public=1, immutable=1, must-understand=1, only-if-cached=1"}, CacheControl{}},

	{"qualified", []string{`private="set-cookie", no-cache="X-A , x-b,,"`},
		CacheControl{Private: true, PrivateFields: []string{"Set-Cookie"}, NoCache: true, NoCacheFields: []string{"X-A", "X-B"}}},
	{"qualified twice", []string{`private="a"`, `private="b"`}, CacheControl{Private: true, PrivateFields: []string{"A", "B"}}},
	{"unqualified beats qualified", []string{`private="a", private, no-cache, no-cache="b"`}, CacheControl{Private: true, NoCache: true}},
	{"an unquoted list is cut at its comma, so it is unqualified and swallows nothing", []string{"private=a,no-store"}, CacheControl{Private: true, NoStore: true}},
	{"an unquoted name is unqualified", []string{"no-cache=Set-Cookie"}, CacheControl{NoCache: true}},
	{"an empty list is unqualified", []string{`private="", no-cache=" , "`}, CacheControl{Private: true, NoCache: true}},
	{"a list with something that is no name is unqualified", []string{`private="a b", no-cache="x, y:"`}, CacheControl{Private: true, NoCache: true}},
	{"a list with an escape is unqualified", []string{`private="set\-cookie"`}, CacheControl{Private: true}},
	{"a list of as many names as allowed", []string{`private="` + strings.Repeat("a,", maxQualified) + `"`}, CacheControl{Private: true, PrivateFields: strings.Split(strings.Repeat("A,", maxQualified-1)+"A", ",")}},
	{"a list of one name more is unqualified", []string{`private="` + strings.Repeat("a,", maxQualified+1) + `"`}, CacheControl{Private: true}},

	{"an open quote hides nothing", []string{`ext="a, no-store, max-age=60`, "public"}, CacheControl{NoStore: true, MaxAge: invalid, Public: true}},
	{"an open quote in a list hides nothing", []string{`private="a, no-store`}, CacheControl{Private: true, NoStore: true}},
	{"a quote in the wrong place hides nothing", []string{`a"b, no-cache, c"`, `x=y"z, private, "`}, CacheControl{NoCache: true, Private: true}},
	{"a blank for a comma hides nothing", []string{"max-age=5 no-store"}, CacheControl{MaxAge: invalid, NoStore: true}},
	{"a semicolon for a comma hides nothing", []string{"public; private;s-maxage=60 immutable"}, CacheControl{Private: true, SharedMaxAge: invalid}},
	{"everything in a malformed member is condemned", []string{"; min-fresh max-stale stale-if-error stale-while-revalidate must-revalidate no-transform only-if-cached"},
		CacheControl{MinFresh: invalid, MaxStale: invalid, StaleIfError: invalid, StaleWhileRevalidate: invalid, ProxyRevalidate: true, NoTransform: true}},
	{"a part of a word is not the word", []string{"x-no-store y, no-store-x z, (no-storex)"}, CacheControl{}},
}

func TestCacheControl(t *testing.T) {
	t.Run("directives (RFC 9111, 5.2)", func(t *testing.T) {
		for _, row := range cacheControlRows {
			t.Run(row.name, func(t *testing.T) {
				require.Equal(t, row.want, ParseCacheControl(row.lines))
			})
		}
	})
	t.Run("of reloads", func(t *testing.T) {
		for _, line := range []string{"max-age=0", "no-cache"} {
			got, want := ParseCacheControl([]string{line}), ParseCacheControl([]string{line, ""}) // the short way, and the long one
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %+v, want %+v", line, got, want)
			}
			if n := testing.AllocsPerRun(100, func() { ParseCacheControl([]string{line}) }); n != 0 {
				t.Errorf("%s: %v allocations, want none", line, n)
			}
		}
	})
	t.Run("allocations", func(t *testing.T) {
		rows := []struct {
			name  string
			lines []string
			most  float64
		}{
			{"no line", nil, 0},
			{"extensions", []string{"nothing-to-see-here, a=b"}, 0},
			{"one a directive, which is what cacheobject returns", []string{"public, max-age=60, stale-while-revalidate=30"}, 3},
		}
		for _, row := range rows {
			if got := testing.AllocsPerRun(100, func() { ParseCacheControl(row.lines) }); got > row.most {
				t.Errorf("%s: got %v allocations, want at most %v", row.name, got, row.most)
			}
		}
	})
}

// FuzzCacheControl compares with cacheobject, which reads the line as a whole. On what is
// well-formed both must say the same; on anything that cacheobject understands, ours must restrict
// at least as much.
func FuzzCacheControl(f *testing.F) {
	for _, row := range cacheControlRows {
		f.Add(strings.Join(row.lines, ", "))
	}
	f.Fuzz(func(t *testing.T, line string) {
		got := ParseCacheControl([]string{line})
		checkCacheControl(t, line, got)
		if response, err := cacheobject.ParseResponseCacheControl(line); err == nil {
			notLaxer(t, line, "no-store", got.NoStore, response.NoStore)
			notLaxer(t, line, "no-cache", got.NoCache, response.NoCachePresent)
			notLaxer(t, line, "private", got.Private, response.PrivatePresent)
			notLaxer(t, line, "must-revalidate", got.MustRevalidate || got.ProxyRevalidate, response.MustRevalidate)
			notLaxer(t, line, "proxy-revalidate", got.ProxyRevalidate, response.ProxyRevalidate)
			notLonger(t, line, "max-age", got.MaxAge, response.MaxAge)
			notLonger(t, line, "s-maxage", got.SharedMaxAge, response.SMaxAge)
			notLonger(t, line, "stale-if-error", got.StaleIfError, response.StaleIfError)
			notLonger(t, line, "stale-while-revalidate", got.StaleWhileRevalidate, response.StaleWhileRevalidate)
		}
		if !isOrderly(line) {
			return
		}
		response, err := cacheobject.ParseResponseCacheControl(line)
		if err != nil {
			return // an argument that is no number or should not be there
		}
		want := [...]bool{response.NoStore, response.NoCachePresent, response.PrivatePresent, response.NoTransform, response.Public,
			response.MustRevalidate, response.ProxyRevalidate, response.Immutable}
		if ours := [...]bool{got.NoStore, got.NoCache, got.Private, got.NoTransform, got.Public,
			got.MustRevalidate, got.ProxyRevalidate, got.Immutable}; ours != want {
			t.Errorf("%q: got %v, cacheobject reads %v", line, ours, want)
		}
		for i, pair := range [...][2]int64{
			{secondsOf(got.MaxAge), int64(response.MaxAge)},
			{secondsOf(got.SharedMaxAge), int64(response.SMaxAge)},
			{secondsOf(got.StaleIfError), int64(response.StaleIfError)},
			{secondsOf(got.StaleWhileRevalidate), int64(response.StaleWhileRevalidate)},
		} {
			if pair[0] != pair[1] && (pair[0] != 1<<31 || pair[1] != 1<<31-1) {
				t.Errorf("%q: delta %d: got %d, cacheobject reads %d", line, i, pair[0], pair[1])
			}
		}
	})
}

// checkCacheControl states what holds of every result.
func checkCacheControl(t *testing.T, line string, cc CacheControl) {
	t.Helper()
	for _, d := range [...]Delta{cc.MaxAge, cc.SharedMaxAge, cc.StaleIfError, cc.StaleWhileRevalidate, cc.MinFresh, cc.MaxStale} {
		if d.Valid && !d.Set || !d.Valid && d.Value != 0 || d.Value < 0 || d.Value > maxDelta {
			t.Errorf("%q: %+v is impossible", line, d)
		}
	}
	if !cc.NoCache && cc.NoCacheFields != nil || !cc.Private && cc.PrivateFields != nil || cc.MaxStaleAny && cc.MaxStale.Set {
		t.Errorf("%q: %+v contradicts itself", line, cc)
	}
	if cc.Empty && (strings.Trim(line, " \t,") != "") {
		t.Errorf("%q: it is not empty", line)
	}
	for _, name := range append(cc.NoCacheFields, cc.PrivateFields...) {
		if !IsToken(name) {
			t.Errorf("%q: %q is no field name", line, name)
		}
	}
}

func notLaxer(t *testing.T, line, name string, got, theirs bool) {
	t.Helper()
	if theirs && !got {
		t.Errorf("%q: cacheobject sees %s, we do not", line, name)
	}
}

func notLonger(t *testing.T, line, name string, got Delta, theirs cacheobject.DeltaSeconds) {
	t.Helper()
	if theirs < 0 {
		return
	}
	longest := time.Duration(theirs) * time.Second
	if theirs == 1<<31-1 {
		longest = maxDelta
	}
	if !got.Set || got.Value > longest {
		t.Errorf("%q: %s: got %+v, cacheobject reads %d", line, name, got, theirs)
	}
}

func secondsOf(d Delta) int64 {
	if !d.Valid {
		return -1
	}
	return int64(d.Value / time.Second)
}

// isOrderly reports whether line is a list as the RFC writes it, without duplicates: token ["="
// (token / quoted-string)], where the quoted string has no escape and only no-cache and private
// take it for a list.
func isOrderly(line string) bool {
	seen := map[string]bool{}
	for _, member := range splitQuoted(line) {
		name, argument, hasArgument := strings.Cut(strings.Trim(member, " \t"), "=")
		name = strings.ToLower(name)
		text, err := strconv.Unquote(argument)
		quoted := err == nil && strings.HasPrefix(argument, `"`) && !strings.Contains(argument, `\`)
		if !IsToken(name) || seen[name] || hasArgument && !IsToken(argument) && !quoted {
			return false
		}
		if (name == "private" || name == "no-cache") && hasArgument && (!quoted || !IsToken(text)) {
			return false
		}
		seen[name] = true
	}
	return true
}

// splitQuoted is a second, plainer way to split at commas outside quotes.
func splitQuoted(line string) []string {
	parts := []string{""}
	for i, piece := range strings.Split(line, `"`) {
		if i%2 == 1 {
			parts[len(parts)-1] += `"` + piece + `"`
			continue
		}
		outside := strings.Split(piece, ",")
		parts[len(parts)-1] += outside[0]
		parts = append(parts, outside[1:]...)
	}
	return parts
}

func TestParseAge_RFC9111_5_1(t *testing.T) {
	rows := []struct {
		name  string
		lines []string
		want  int64 // -1: ignored
	}{
		{"absent", nil, -1},
		{"empty", []string{""}, -1},
		{"seconds", []string{"7200"}, 7200},
		{"letters", []string{"abc"}, -1},
		{"decimal", []string{"7200.0"}, -1},
		{"negative", []string{"-1"}, -1},
		{"2^31-1", []string{"2147483647"}, 1<<31 - 1},
		{"2^31+1 is as much as there is", []string{"2147483649"}, 1 << 31},
		{"too large to count is as much as there is", []string{"99999999999999999999999"}, 1 << 31},
		{"first member of one line, old", []string{"7200, 0"}, 7200},
		{"first member of one line, young", []string{"0, 7200"}, 0},
		{"first of two lines, old", []string{"7200", "0"}, 7200},
		{"first of two lines, young", []string{"0", "7200"}, 0},
		{"an empty line before it", []string{"", "7200"}, 7200},
		{"a parameter", []string{"7200;foo=bar"}, -1},
		{"an invalid first member is not replaced by the second", []string{"x, 0"}, -1},
	}
	for _, row := range rows {
		got, ok := ParseAge(row.lines)
		if ok != (row.want >= 0) || ok && got != time.Duration(row.want)*time.Second || !ok && got != 0 {
			t.Errorf("%s: got %v, %v, want %d s", row.name, got, ok, row.want)
		}
	}
}

func FuzzParseAge(f *testing.F) {
	for _, seed := range []string{"0", "7200, 0", "99999999999999999999999", "7200;foo=bar", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		age, ok := ParseAge([]string{line})
		if age < 0 || age > maxDelta || !ok && age != 0 || age%time.Second != 0 {
			t.Errorf("%q: got %v, %v", line, age, ok)
		}
	})
}

func BenchmarkParseCacheControl(b *testing.B) {
	for name, line := range map[string]string{
		"absent": "", "one": "max-age=60", "page": "public, max-age=60, s-maxage=600, stale-while-revalidate=30",
		"1MiB": strings.Repeat(`x="no-store",`, 1<<20/13), "1MiBmalformed": strings.Repeat("max-age ", 1<<20/8),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			lines := []string{line}
			for b.Loop() {
				ParseCacheControl(lines)
			}
		})
	}
}
