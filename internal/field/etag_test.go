package field

import (
	"slices"
	"strings"
	"testing"
)

var etagRows = []struct {
	name string
	text string
	want ETag
	ok   bool
}{
	{"strong", `"abcdef"`, ETag{`"abcdef"`, false}, true},
	{"weak", `W/"abcdef"`, ETag{`"abcdef"`, true}, true},
	{"empty opaque part", `""`, ETag{`""`, false}, true},
	{"obs-text", "\"abcdef\xfc\"", ETag{"\"abcdef\xfc\"", false}, true},
	{"a backslash is a byte like others", `"a\"`, ETag{`"a\"`, false}, true},
	{"a comma is a byte like others", `"a,b"`, ETag{`"a,b"`, false}, true},
	{"blanks around belong to the field", "\t\"a\" ", ETag{`"a"`, false}, true},
	{"empty", ``, ETag{}, false},
	{"unquoted", `abcdef`, ETag{}, false},
	{"lower-case w", `w/"abcdef"`, ETag{}, false},
	{"backslash for slash", `W\"abcdef"`, ETag{}, false},
	{"no slash", `W"abcdef"`, ETag{}, false},
	{"W alone", `W/`, ETag{}, false},
	{"not closed", `"abc`, ETag{}, false},
	{"something after it", `"abc"x`, ETag{}, false},
	{"a list", `"a", "b"`, ETag{}, false},
	{"a blank inside", `"a b"`, ETag{}, false},
	{"a control inside", "\"a\x7f\"", ETag{}, false},
	{"star", `*`, ETag{}, false},
}

func TestParseETag_RFC9110_8_8_3(t *testing.T) {
	for _, row := range etagRows {
		got, ok := ParseETag(row.text)
		if got != row.want || ok != row.ok {
			t.Errorf("%s: %q: got %+v, %v, want %+v, %v", row.name, row.text, got, ok, row.want, row.ok)
		}
		if ok && got.String() != TrimBlanks(row.text) {
			t.Errorf("%s: written as %q, want %q", row.name, got, row.text)
		}
	}
}

func TestETagMatch_RFC9110_8_8_3_2(t *testing.T) {
	rows := []struct {
		a, b         ETag
		strong, weak bool
	}{
		{ETag{`"1"`, true}, ETag{`"1"`, true}, false, true},
		{ETag{`"1"`, true}, ETag{`"2"`, true}, false, false},
		{ETag{`"1"`, true}, ETag{`"1"`, false}, false, true},
		{ETag{`"1"`, false}, ETag{`"1"`, false}, true, true},
		{ETag{`"1"`, false}, ETag{`"2"`, false}, false, false},
		{ETag{}, ETag{}, false, false},
	}
	for _, row := range rows {
		for _, pair := range [][2]ETag{{row.a, row.b}, {row.b, row.a}} {
			if strong, weak := pair[0].StrongMatch(pair[1]), pair[0].WeakMatch(pair[1]); strong != row.strong || weak != row.weak {
				t.Errorf("%v and %v: got %v, %v, want %v, %v", pair[0], pair[1], strong, weak, row.strong, row.weak)
			}
		}
	}
}

func TestETags_RFC9110_13_1_2(t *testing.T) {
	rows := []struct {
		name  string
		lines []string
		want  []string
	}{
		{"none", nil, nil},
		{"first, middle and last", []string{`"a", W/"b" ,"c"`}, []string{`"a"`, `W/"b"`, `"c"`}},
		{"all lines", []string{`"a"`, `"b"`}, []string{`"a"`, `"b"`}},
		{"commas and backslashes inside", []string{`"a,b", "c\", "d"`}, []string{`"a,b"`, `"c\"`, `"d"`}},
		{"empty members", []string{`,, "a",,`}, []string{`"a"`}},
		{"malformed members are skipped", []string{`abc, "a"x, w/"b", *, "c"`}, []string{`"c"`}},
		{"an open quote does not swallow the next line", []string{`"a`, `"b"`}, []string{`"b"`}},
		{"only blanks", []string{" \t"}, nil},
	}
	for _, row := range rows {
		var got []string
		for tag := range ETags(row.lines) {
			got = append(got, tag.String())
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
	for tag := range ETags([]string{`"a", "b"`}) {
		if tag.Opaque != `"a"` {
			t.Errorf("after break: got %v", tag)
		}
		break
	}
}

func FuzzETags(f *testing.F) {
	for _, row := range etagRows {
		f.Add(row.text)
	}
	f.Add(`"a,b", W/"c\", x, "d"`)
	f.Fuzz(func(t *testing.T, text string) {
		var tags []string
		for tag := range ETags([]string{text}) {
			again, ok := ParseETag(tag.String())
			if !ok || again != tag {
				t.Errorf("%q: %+v reads as %+v, %v", text, tag, again, ok)
			}
			tags = append(tags, tag.String())
		}
		var again []string
		for tag := range ETags([]string{strings.Join(tags, ", ")}) {
			again = append(again, tag.String())
		}
		if !slices.Equal(tags, again) {
			t.Errorf("%q: %q reads as %q", text, tags, again)
		}
		if tag, ok := ParseETag(text); ok && !slices.Equal(tags, []string{tag.String()}) {
			t.Errorf("%q: one tag %v, in a list %q", text, tag, tags)
		}
	})
}
