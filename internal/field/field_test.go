package field

import (
	"slices"
	"strings"
	"testing"
)

var memberRows = []struct {
	name  string
	lines []string
	want  []string
}{
	{"no line has no members", nil, nil},
	{"an empty line has no members", []string{""}, nil},
	{"one member", []string{"a"}, []string{"a"}},
	{"blanks and tabs around members are dropped", []string{" a ,\tb\t, c "}, []string{"a", "b", "c"}},
	{"empty members are skipped", []string{",a, ,,b,"}, []string{"a", "b"}},
	{"all lines count", []string{"a, b", "", "c"}, []string{"a", "b", "c"}},
	{"a comma in a quoted string does not separate", []string{`a="1,2", b`}, []string{`a="1,2"`, "b"}},
	{"a backslash escapes a quote in a quoted string", []string{`a="\",x", b`}, []string{`a="\",x"`, "b"}},
	{"a backslash outside quotes escapes nothing", []string{`a\,b`}, []string{`a\`, "b"}},
	{"an open quote runs to the end of its line", []string{`a="b, c`, "d"}, []string{`a="b, c`, "d"}},
	{"a backslash as the last byte of a quoted string", []string{`a="\`, "b"}, []string{`a="\`, "b"}},
	{"other white space is no blank", []string{"\na\r"}, []string{"\na\r"}},
}

func TestMembers_RFC9110_5_6_1(t *testing.T) {
	for _, row := range memberRows {
		if got := slices.Collect(Members(row.lines)); !slices.Equal(got, row.want) {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
	for member := range Members([]string{"a, b", "c"}) {
		if member != "a" {
			t.Errorf("after break: got %q", member)
		}
		break
	}
}

func FuzzMembers(f *testing.F) {
	for _, row := range memberRows {
		f.Add(strings.Join(row.lines, "\n"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(text, "\n")
		for member := range Members(lines) {
			if member == "" || member != TrimBlanks(member) {
				t.Errorf("%q: member %q is empty or has blanks", lines, member)
			}
			if again := slices.Collect(Members([]string{member})); len(again) != 1 || again[0] != member {
				t.Errorf("member %q of %q splits again into %q", member, lines, again)
			}
			if !HasToken(lines, member) {
				t.Errorf("%q: HasToken does not find %q", lines, member)
			}
		}
		if !strings.ContainsAny(text, `"`) {
			for _, piece := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' }) {
				if piece = strings.Trim(piece, " \t"); piece != "" && !HasToken(lines, piece) {
					t.Errorf("%q: %q is lost", lines, piece)
				}
			}
		}
	})
}

func TestHasToken(t *testing.T) {
	rows := []struct {
		name  string
		lines []string
		token string
		want  bool
	}{
		{"in the middle of the second line", []string{"a", "b, close , c"}, "close", true},
		{"in another case", []string{"CLOSE"}, "close", true},
		{"not as a part of a member", []string{"closed, x-close, close=1"}, "close", false},
		{"not within quotes", []string{`a="x, close, y"`}, "close", false},
		{"an empty token is no member", []string{"", ",,"}, "", false},
	}
	for _, row := range rows {
		if got := HasToken(row.lines, row.token); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

func TestIsToken_RFC9110_5_6_2(t *testing.T) {
	const special = "!#$%&'*+-.^_`|~"
	for c := range 256 {
		want := strings.IndexByte(special, byte(c)) >= 0 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if got := IsToken("a" + string([]byte{byte(c)})); got != want {
			t.Errorf("byte %#x: got %v, want %v", c, got, want)
		}
	}
	if IsToken("") {
		t.Error("the empty string is no token")
	}
}

func TestIsQuoted_RFC9110_5_6_4(t *testing.T) {
	rows := map[string]bool{
		`""`: true, `"a"`: true, `"a\"b"`: true, `"\\"`: true, `"a, b"`: true,
		``: false, `"`: false, `a`: false, `"a`: false, `a"`: false, `"a"b`: false, `"a""b"`: false, `"a\"`: false,
	}
	for text, want := range rows {
		if got := IsQuoted(text); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

func TestWeighted_RFC9110_12_4_2(t *testing.T) {
	type weighted struct {
		name   string
		weight int
	}
	rows := []struct {
		name  string
		lines []string
		want  []weighted
	}{
		{"no weight is the full weight", []string{"gzip"}, []weighted{{"gzip", 1000}}},
		{"thousandths", []string{"a;q=0.5, b;q=0.25, c;q=0.125, d;q=0, e;q=1.000, f;q=0., g;q=1"},
			[]weighted{{"a", 500}, {"b", 250}, {"c", 125}, {"d", 0}, {"e", 1000}, {"f", 0}, {"g", 1000}}},
		{"blanks and capitals", []string{"GZip ; Q=0.5"}, []weighted{{"gzip", 500}}},
		{"all lines in order", []string{"b", "a"}, []weighted{{"b", 1000}, {"a", 1000}}},
		{"other parameters are dropped", []string{`text/html;level="1;q=0";q=0.5;x`}, []weighted{{"text/html", 500}}},
		{"malformed weights skip their member", []string{"a;q=2, b;q=1.001, c;q=0.1234, d;q=-1, e;q=, f;q, g;q=.5, h;q=0.x, i;q=x, j;q=00"},
			nil},
		{"a member without a name is skipped", []string{";q=1, a"}, []weighted{{"a", 1000}}},
	}
	for _, row := range rows {
		var got []weighted
		for name, weight := range Weighted(row.lines) {
			got = append(got, weighted{name, weight})
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
	for name := range Weighted([]string{"a, b"}) {
		if name != "a" {
			t.Errorf("after break: got %q", name)
		}
		break
	}
}

func FuzzWeighted(f *testing.F) {
	for _, seed := range []string{"gzip, br;q=0.5", `text/html;level="1;q=0";q=0.5`, "a;q=1.001, *;q=0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		for name, weight := range Weighted([]string{line}) {
			if name == "" || name != strings.ToLower(name) || weight < 0 || weight > 1000 {
				t.Errorf("%q: got %q with weight %d", line, name, weight)
			}
		}
	})
}
