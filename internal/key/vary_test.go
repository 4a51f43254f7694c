package key

import (
	"encoding/binary"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/field"
)

func numbered(n int) []string {
	var names []string
	for i := range n {
		names = append(names, "X-"+string(rune('A'+i/26))+string(rune('a'+i%26)))
	}
	return names
}

func TestVaryNames_RFC9110_12_5_5(t *testing.T) {
	rows := []struct {
		name  string
		lines []string
		want  []string
		star  bool
		ok    bool
	}{
		{"absent", nil, nil, false, true},
		{"empty", []string{"", " , "}, nil, false, true},
		{"one", []string{"foo"}, []string{"Foo"}, false, true},
		{"sorted over all lines", []string{"Foo, bar", "accept-encoding"}, []string{"Accept-Encoding", "Bar", "Foo"}, false, true},
		{"without duplicates", []string{"foo, FOO", "Foo"}, []string{"Foo"}, false, true},
		{"star", []string{"*"}, nil, true, true},
		{"star twice", []string{"*, *"}, nil, true, true},
		{"star on two lines", []string{"*", "*"}, nil, true, true},
		{"an empty member before the star", []string{", *"}, nil, true, true},
		{"an empty line before the star", []string{"", "*"}, nil, true, true},
		{"star first", []string{"*, Foo"}, []string{"Foo"}, true, true},
		{"star last", []string{"Foo, *"}, []string{"Foo"}, true, true},
		{"no token", []string{"Foo, a b"}, nil, false, false},
		{"quoted", []string{`"Foo"`}, nil, false, false},
		{"no token before a star", []string{"a/b, *"}, nil, true, false},
		{"as many as allowed, with duplicates", append(numbered(MaxVary), "X-Aa"), numbered(MaxVary), false, true},
		{"one more than allowed", numbered(MaxVary + 1), nil, false, false},
		{"a star past the limit is not read", append(numbered(MaxVary+1), "*"), nil, false, false},
		{"as many bytes as allowed", []string{"Foo", strings.Repeat(",", MaxVaryLength-3)}, []string{"Foo"}, false, true},
		{"one more byte than allowed", []string{"Foo", strings.Repeat(",", MaxVaryLength-2)}, nil, false, false},
	}
	for _, row := range rows {
		names, star, ok := VaryNames(row.lines)
		if !slices.Equal(names, row.want) || star != row.star || ok != row.ok {
			t.Errorf("%s: got %q, %v, %v, want %q, %v, %v", row.name, names, star, ok, row.want, row.star, row.ok)
		}
	}
}

func FuzzVaryNames(f *testing.F) {
	for _, seed := range []string{"Foo, bar", "*, Foo", "a b", strings.Join(numbered(MaxVary+1), ",")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		names, star, ok := VaryNames([]string{line})
		if has := field.HasToken([]string{line}, "*"); ok && star != has || star && !has {
			t.Errorf("%q: star %v", line, star)
		}
		if len(names) > MaxVary || !ok && names != nil || !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
			t.Errorf("%q: got %q, %v", line, names, ok)
		}
		for member := range field.Members([]string{line}) {
			if ok && member != "*" && !slices.Contains(names, Canonical(member)) {
				t.Errorf("%q: %q is lost", line, member)
			}
		}
	})
}

var variantRows = []struct {
	name  string
	field string
	a, b  []string // lines; nil is absent
	same  bool
}{
	{"the same value", "Foo", []string{"1"}, []string{"1"}, true},
	{"another value", "Foo", []string{"1"}, []string{"2"}, false},
	{"absent in both", "Foo", nil, nil, true},
	{"absent and present", "Foo", nil, []string{"1"}, false},
	{"absent and empty", "Foo", nil, []string{""}, false},
	{"lines combine", "Foo", []string{"1, 2"}, []string{"1", "2"}, true},
	{"blanks around commas", "Foo", []string{"1,2"}, []string{" 1 ,\t2 "}, true},
	{"blanks inside members count", "Foo", []string{"a b"}, []string{"a  b"}, false},
	{"blanks inside quotes count", "Foo", []string{`"a, b"`}, []string{`"a,b"`}, false},
	{"an escaped quote does not end the quotes", "Foo", []string{`"\"a, b"`}, []string{`"\"a,b"`}, false},
	{"the order of members counts", "Foo", []string{"1, 2"}, []string{"2, 1"}, false},
	{"empty members count", "Foo", []string{"1,,2"}, []string{"1,2"}, false},
	{"a trailing comma counts", "Foo", []string{"1,"}, []string{"1"}, false},
	{"case counts", "Foo", []string{"a"}, []string{"A"}, false},

	{"languages in another case", "Accept-Language", []string{"en, de"}, []string{"eN, De"}, true},
	{"languages with other blanks", "Accept-Language", []string{"en;q=0.5, de"}, []string{" en ; q=0.5 ,  de"}, true},
	{"languages over lines: a handler may look at the first only", "Accept-Language", []string{"en, de"}, []string{"en", "de"}, false},
	{"languages after an empty line", "Accept-Language", []string{"en, de"}, []string{"", "en, de"}, false},
	{"languages with empty members: a handler may look at the first only", "Accept-Language", []string{"en, de"}, []string{",en,,de,"}, false},
	{"languages in another order", "Accept-Language", []string{"en, de"}, []string{"de, en"}, false},
	{"languages with another weight", "Accept-Language", []string{"en;q=0.5, de"}, []string{"en;q=0.6, de"}, false},
	{"languages: a blank is not nothing", "Accept-Language", []string{"e n"}, []string{"en"}, false},
	{"languages in quotes keep their case", "Accept-Language", []string{`en;a="X"`}, []string{`en;a="x"`}, false},
	{"languages: no parameter and an empty one", "Accept-Language", []string{"en;"}, []string{"en;;"}, false},

	{"media types with other blanks", "Accept", []string{"text/html;level=1 , */*; q=0.8"}, []string{"text/html ;level=1,*/*;q=0.8"}, true},
	{"media types over lines", "Accept", []string{"text/html, */*;q=0.8"}, []string{"text/html", "*/*;q=0.8"}, false},
	{"media types in capitals deceive handlers", "Accept", []string{"text/html"}, []string{"TEXT/HTML"}, false},
	{"media types in another order", "Accept", []string{"a/b, c/d"}, []string{"c/d, a/b"}, false},
	{"media types with a semicolon in quotes", "Accept", []string{`a/b;x="1; 2"`}, []string{`a/b;x="1;2"`}, false},

	{"codings in another order", "Accept-Encoding", []string{"gzip, br;q=0.5"}, []string{"br;q=0.5, gzip"}, true},
	{"codings over lines", "Accept-Encoding", []string{"gzip, br;q=0.5"}, []string{"gzip", "br;q=0.5"}, false},
	{"codings with another spelling of a weight", "Accept-Encoding", []string{"gzip;q=0.50, br;q=1.0, *;q=0"}, []string{"br, *;q=0.000, gzip ; Q=0.5"}, true},
	{"codings with another weight", "Accept-Encoding", []string{"gzip;q=0.5"}, []string{"gzip;q=0.501"}, false},
	{"codings refused and not", "Accept-Encoding", []string{"gzip;q=0"}, []string{"gzip"}, false},
	{"codings refused and not named", "Accept-Encoding", []string{"gzip;q=0"}, []string{""}, false},
	{"one coding more", "Accept-Encoding", []string{"gzip"}, []string{"gzip, br"}, false},
	{"codings absent and empty", "Accept-Encoding", nil, []string{""}, false},
	{"codings in capitals deceive handlers", "Accept-Encoding", []string{"gzip"}, []string{"GZIP"}, false},
	{"a malformed weight is not dropped with its coding", "Accept-Encoding", []string{"gzip;q=x"}, []string{""}, false},
	{"a malformed weight that looks like thousandths", "Accept-Encoding", []string{"gzip;q=500"}, []string{"gzip;q=0.5"}, false},
	{"another parameter than a weight", "Accept-Encoding", []string{"gzip;x=1"}, []string{"gzip"}, false},
	{"two parameters", "Accept-Encoding", []string{"gzip;q=1;q=0"}, []string{"gzip"}, false},
	{"a coding twice with different weights", "Accept-Encoding", []string{"gzip, gzip;q=0"}, []string{"gzip;q=0, gzip"}, false},
	{"more codings than are sorted", "Accept-Encoding", numbered(maxCodings + 1), append(numbered(maxCodings + 1)[1:], "X-Aa"), false},
	{"as many codings as are sorted", "Accept-Encoding", []string{strings.Join(lowered(numbered(maxCodings)), ",")}, []string{strings.Join(append(lowered(numbered(maxCodings))[1:], "x-aa"), ",")}, true},

	{"cookies are taken byte for byte", "Cookie", []string{"a=1, b"}, []string{"a=1,b"}, false},
	{"two cookie lines are not one", "Cookie", []string{"a=1", "b"}, []string{"a=1,b"}, false},
	{"credentials are taken byte for byte", "Authorization", []string{"Basic a, b"}, []string{"Basic a,b"}, false},
	{"Host is in the primary key", "Host", []string{"a"}, nil, true},

	{"longer than is kept, equal", "Foo", []string{strings.Repeat("a", 2*MaxVariant)}, []string{strings.Repeat("a", 2*MaxVariant)}, true},
	{"longer than is kept, different at the end", "Foo", []string{strings.Repeat("a", 2*MaxVariant) + "1"}, []string{strings.Repeat("a", 2*MaxVariant) + "2"}, false},
}

func lowered(names []string) []string {
	for i, name := range names {
		names[i] = strings.ToLower(name)
	}
	return names
}

func headerWith(name string, lines []string) http.Header {
	if lines == nil {
		return http.Header{}
	}
	return http.Header{name: lines}
}

func TestVariant(t *testing.T) {
	t.Run("normalises values (RFC 9111, 4.1)", func(t *testing.T) {
		for _, row := range variantRows {
			names := []string{"Bar", row.field}
			a, b := Variant(nil, names, headerWith(row.field, row.a), nil), Variant(nil, names, headerWith(row.field, row.b), nil)
			if same := string(a) == string(b); same != row.same {
				t.Errorf("%s: %q and %q: same %v, want %v", row.name, a, b, same, row.same)
			}
			if len(a) > MaxVariant {
				t.Errorf("%s: %d bytes, want at most %d", row.name, len(a), MaxVariant)
			}
			v, w := Values([]byte("before"), names, headerWith(row.field, row.a), nil), Values([]byte("before"), names, headerWith(row.field, row.b), nil)
			if (string(v) == string(w)) != (string(a) == string(b)) {
				t.Errorf("%s: by values it is otherwise: %q and %q", row.name, v, w)
			}
			if len(v) > MaxVariant+len("before") || !strings.HasPrefix(string(v), "before") {
				t.Errorf("%s: got the values %q", row.name, v)
			}
		}
		require.Equal(t, "before", string(Variant([]byte("before"), nil, http.Header{"A": {"1"}}, nil)), "no names append nothing")
		require.NotEqual(t, Variant(nil, []string{"Foo"}, http.Header{"Foo": {"1"}}, nil), Variant(nil, []string{"Bar"}, http.Header{"Bar": {"1"}}, nil), "names are part of it")
	})
	t.Run("fields that browsers send", func(t *testing.T) {
		for _, row := range []struct {
			name, line string
			usual      bool
		}{
			{"Accept-Encoding", "gzip, deflate, br, zstd", true},
			{"Accept-Encoding", "gzip,deflate", true},
			{"Accept-Encoding", "gzip", true},
			{"Accept-Encoding", "a, b, c, d, e, f", true},
			{"Accept-Encoding", "f, e, d, c, b, a", true},
			{"Accept-Encoding", "a, b, c, d, e, f, g", false},
			{"Accept-Encoding", "br, gzip, br", false},
			{"Accept-Encoding", "gzip,  br", false},
			{"Accept-Encoding", "gzip, ", false},
			{"Accept-Encoding", "gzip;q=0.5", false},
			{"Accept-Encoding", "GZIP", false},
			{"Accept-Encoding", "*", false},
			{"Accept-Encoding", "", false},
			{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", true},
			{"Accept", "text/html, */*", false},
			{"Accept", "text/html;,*/*", false},
			{"Accept", "text/html,", false},
			{"Accept", `text/html;a="b"`, false},
			{"Accept", "", false},
			{"Accept-Language", "en-GB,en;q=0.9,de;q=0.8", true},
			{"Accept-Language", ",en", false},
			{"User-Agent", "a", false},
		} {
			if usual := checkUsual(t, row.name, row.line); usual != row.usual {
				t.Errorf("%s %q: usual %v, want %v", row.name, row.line, usual, row.usual)
			}
		}
	})
}

// parseVariant undoes Variant as far as it can be undone: it gives the normalised values.
func parseVariant(t *testing.T, text string) http.Header {
	t.Helper()
	h := http.Header{}
	for text != "" {
		name, rest, ok := cutText(text)
		require.True(t, ok)
		require.NotEmpty(t, name)
		present := rest[0] == 1
		text = rest[1:]
		if present {
			length := binary.BigEndian.Uint32([]byte(text[:4]))
			h[name] = []string{text[4 : 4+length]}
			text = text[4+length:]
		}
	}
	return h
}

// checkUsual holds that the short way gives what the long one gives.
func checkUsual(t *testing.T, name, line string) (taken bool) {
	t.Helper()
	got, taken := appendUsual([]byte("before"), name, line)
	if !taken {
		if string(got) != "before" {
			t.Errorf("%s %q: refused, but got %q", name, line, got)
		}
		return false
	}
	want := []byte("before")
	if name == "Accept-Encoding" {
		want = appendCodings(want, []string{line})
	} else {
		want = appendNegotiated(want, []string{line}, name == "Accept-Language")
	}
	if string(got) != string(want) || ambiguous([]string{line}) {
		t.Errorf("%s %q: got %q, want %q", name, line, got, want)
	}
	return true
}

func FuzzVariant(f *testing.F) {
	for _, row := range variantRows {
		f.Add(row.field, strings.Join(row.a, "\n"), strings.Join(row.b, "\n"))
	}
	f.Fuzz(func(t *testing.T, name, a, b string) {
		name = http.CanonicalHeaderKey(name)
		if !field.IsToken(name) || len(name)+len(a)+len(b) > MaxVariant/4 || name == "Host" || name == "Other" {
			return
		}
		checkUsual(t, name, a)
		names := []string{name, "Other"}
		slices.Sort(names)
		linesA := strings.Split(a, "\n")
		textA := Variant(nil, names, http.Header{name: linesA, "Other": {b}}, nil)
		normal := parseVariant(t, string(textA))
		raw := name == "Authorization" || name == "Cookie" || name == "Proxy-Authorization" || negotiated(name) && ambiguous(linesA)
		if !raw && (len(linesA) == 1 || !strings.Contains(a, `"`)) {
			// A quote left open ends with its line, which joined lines no longer show; otherwise
			// normal values are their own normal form, so that two requests share a variant only if
			// their normal forms are equal.
			if again := Variant(nil, names, normal, nil); string(again) != string(textA) {
				t.Errorf("%s %q: normalised to %q, and again to %q", name, linesA, textA, again)
			}
		}
		if swapped := Variant(nil, names, http.Header{name: {b}, "Other": linesA}, nil); a != b && string(swapped) == string(textA) && normal.Get(name) != normal.Get("Other") {
			t.Errorf("%s: %q and %q change places unnoticed", name, a, b)
		}
		for _, other := range []http.Header{normal, {name: {b}, "Other": linesA}, {"Other": {b}}, {name: {a}, "Other": {b}}, {}} {
			sameVariant := string(Variant(nil, names, other, nil)) == string(textA)
			if same := string(Values(nil, names, other, nil)) == string(Values(nil, names, http.Header{name: linesA, "Other": {b}}, nil)); same != sameVariant {
				t.Fatalf("%q: %v and %v: equal by values %v, by variant %v", name, other, linesA, same, sameVariant)
			}
		}
		if absent := Variant(nil, names, http.Header{"Other": {b}}, nil); string(absent) == string(textA) {
			t.Errorf("%s: %q is the same as none", name, linesA)
		}
	})
}
