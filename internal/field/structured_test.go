package field

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var targetedRows = []struct {
	name  string
	lines []string
	want  CacheControl
	ok    bool
}{
	{"absent", nil, CacheControl{}, false},
	{"empty", []string{""}, CacheControl{}, false},
	{"only blanks", []string{"  "}, CacheControl{}, false},
	{"seconds", []string{"max-age=3600"}, CacheControl{MaxAge: delta(3600)}, true},
	{"zero seconds", []string{"max-age=0"}, CacheControl{MaxAge: delta(0)}, true},
	{"an extension beside it", []string{"foobar, max-age=3600"}, CacheControl{MaxAge: delta(3600)}, true},
	{"only an extension", []string{"foobar"}, CacheControl{}, true},
	{"an extension of any type", []string{`foo=(1 2), bar=1.5, baz="x", no-store`}, CacheControl{NoStore: true}, true},
	{"more seconds than count", []string{"max-age=2147483648, s-maxage=99999999999, stale-if-error=999999999999999"},
		CacheControl{MaxAge: delta(1 << 31), SharedMaxAge: delta(1 << 31), StaleIfError: delta(1 << 31)}, true},
	{"all flags", []string{"no-store, no-cache, no-transform, private, public, must-revalidate", "proxy-revalidate, must-understand, immutable, only-if-cached, max-stale"},
		CacheControl{NoStore: true, NoCache: true, NoTransform: true, Private: true, Public: true, MustRevalidate: true, ProxyRevalidate: true, MustUnderstand: true, Immutable: true, OnlyIfCached: true, MaxStaleAny: true}, true},
	{"all seconds", []string{"max-age=1, s-maxage=2, stale-while-revalidate=3, stale-if-error=4, min-fresh=5, max-stale=6"},
		CacheControl{MaxAge: delta(1), SharedMaxAge: delta(2), StaleWhileRevalidate: delta(3), StaleIfError: delta(4), MinFresh: delta(5), MaxStale: delta(6)}, true},
	{"qualified", []string{`no-cache="a, b", private="c"`}, CacheControl{NoCache: true, NoCacheFields: []string{"A", "B"}, Private: true, PrivateFields: []string{"C"}}, true},
	{"parameters are ignored", []string{"max-age=60;x=1;no-store, private;y"}, CacheControl{MaxAge: delta(60), Private: true}, true},
	{"the last of duplicates counts, as in every Dictionary", []string{"max-age=1, max-age=60"}, CacheControl{MaxAge: delta(60)}, true},
	{"a negative lifetime is stale", []string{"max-age=-1"}, CacheControl{MaxAge: invalid}, true},

	{"blank before the equals sign", []string{"max-age =100"}, CacheControl{}, false},
	{"blank after the equals sign", []string{"max-age= 100"}, CacheControl{}, false},
	{"capitals", []string{"MaX-aGe=3600"}, CacheControl{}, false},
	{"trailing comma", []string{"max-age=3600,"}, CacheControl{}, false},
	{"a parsing error condemns everything, as 2.1 demands", []string{"no-store, max-age="}, CacheControl{}, false},
	{"seconds in quotes", []string{`max-age="10000"`}, CacheControl{}, false},
	{"decimal seconds", []string{"max-age=1.5"}, CacheControl{}, false},
	{"a token for seconds", []string{"max-age=soon"}, CacheControl{}, false},
	{"seconds without a value", []string{"s-maxage"}, CacheControl{}, false},
	{"a list for seconds", []string{"max-age=(1 2)"}, CacheControl{}, false},
	{"a number for a flag", []string{"public=1"}, CacheControl{}, false},
	{"a string for a flag", []string{`immutable="x"`}, CacheControl{}, false},
	{"one wrong type condemns the others", []string{"max-age=60, public=1"}, CacheControl{}, false},
	{"a false flag does not say the word", []string{"no-store=?0"}, CacheControl{}, false},

	{"no-store holds with whatever value", []string{"no-store=1, max-age=60"}, CacheControl{NoStore: true, MaxAge: delta(60)}, true},
	{"private holds beside a wrong type", []string{`private, max-age="60"`}, CacheControl{Private: true, MaxAge: invalid}, true},
	{"no-cache holds unqualified with a wrong type", []string{"no-cache=token"}, CacheControl{NoCache: true}, true},
	{"private holds unqualified as a list", []string{`private=("a" "b")`}, CacheControl{Private: true}, true},
}

func TestParseTargeted_RFC9213_2_1(t *testing.T) {
	for _, row := range targetedRows {
		t.Run(row.name, func(t *testing.T) {
			got, ok := ParseTargeted(row.lines)
			require.Equal(t, row.ok, ok)
			require.Equal(t, row.want, got)
		})
	}
	atLimit := "max-age=60, x=\"" + strings.Repeat("a", MaxStructured-len(`max-age=60, x=""`)) + "\""
	_, ok := ParseTargeted([]string{atLimit})
	require.True(t, ok, "at the limit")
	_, ok = ParseTargeted([]string{atLimit + " "})
	require.False(t, ok, "one byte past the limit")
}

func FuzzParseTargeted(f *testing.F) {
	for _, row := range targetedRows {
		f.Add(strings.Join(row.lines, ", "))
	}
	f.Fuzz(func(t *testing.T, line string) {
		got, ok := ParseTargeted([]string{line})
		checkCacheControl(t, line, got)
		if !ok {
			require.Zero(t, got)
			return
		}
		// What both syntaxes can say they say alike, as far as the strict directives go.
		if lax := ParseCacheControl([]string{line}); lax.NoStore && !got.NoStore && !strings.ContainsAny(line, `"?();`) {
			t.Errorf("%q: no-store is lost", line)
		}
	})
}

var stringListRows = []struct {
	name  string
	lines []string
	want  []string
	ok    bool
}{
	{"absent", nil, nil, false},
	{"empty", []string{""}, nil, false},
	{"one", []string{`"scripts"`}, []string{"scripts"}, true},
	{"several over lines", []string{`"eurovision-results", "australia"`, `"x"`}, []string{"eurovision-results", "australia", "x"}, true},
	{"commas, quotes and backslashes inside", []string{`"a,b", "c\"d", "e\\f"`}, []string{"a,b", `c"d`, `e\f`}, true},
	{"parameters are ignored", []string{`"a";x=1, "b"`}, []string{"a", "b"}, true},
	{"an empty string is a group too", []string{`""`}, []string{""}, true},
	{"a token among them condemns all", []string{`"a", b`}, nil, false},
	{"a number among them condemns all", []string{`"a", 1`}, nil, false},
	{"an inner list condemns all", []string{`"a", ("b")`}, nil, false},
	{"not closed", []string{`"a", "b`}, nil, false},
	{"not ASCII", []string{`"ä"`}, nil, false},
	{"trailing comma", []string{`"a",`}, nil, false},
}

func TestParseStringList_RFC9875_2(t *testing.T) {
	for _, row := range stringListRows {
		t.Run(row.name, func(t *testing.T) {
			got, ok := ParseStringList(row.lines)
			require.Equal(t, row.ok, ok)
			require.Equal(t, row.want, got)
		})
	}
	many := strings.Repeat(`"a",`, MaxStrings-1) + `"a"`
	got, ok := ParseStringList([]string{many})
	require.True(t, ok, "as many as allowed")
	require.Len(t, got, MaxStrings)
	_, ok = ParseStringList([]string{many, `"a"`})
	require.False(t, ok, "one more than allowed")
	long := strings.Repeat("a", MaxStringLength)
	_, ok = ParseStringList([]string{`"` + long + `"`})
	require.True(t, ok, "as long as allowed")
	_, ok = ParseStringList([]string{`"` + long + `a"`})
	require.False(t, ok, "one byte longer than allowed")
}

func FuzzParseStringList(f *testing.F) {
	for _, row := range stringListRows {
		f.Add(strings.Join(row.lines, ", "))
	}
	f.Fuzz(func(t *testing.T, line string) {
		got, ok := ParseStringList([]string{line})
		if ok != (len(got) > 0) {
			t.Fatalf("%q: got %q, %v", line, got, ok)
		}
		if !ok {
			return
		}
		var written []string
		for _, text := range got {
			written = append(written, `"`+strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(text)+`"`)
		}
		again, ok := ParseStringList([]string{strings.Join(written, ", ")})
		require.True(t, ok)
		require.Equal(t, got, again)
	})
}
