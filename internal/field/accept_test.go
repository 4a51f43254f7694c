package field

import (
	"slices"
	"strings"
	"testing"
)

const (
	chromeAccept  = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
	firefoxImages = "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"
)

var typeRows = []struct {
	name           string
	accept, actual string
	want           int
}{
	{"named", "text/html", "text/html", 1000},
	{"named, with a charset", "text/html", "text/html; charset=utf-8", 1000},
	{"a charset in the range does not count", "text/html;charset=utf-8", "text/html", 1000},
	{"named by a browser", chromeAccept, "text/html; charset=utf-8", 1000},
	{"named with a weight", chromeAccept, "application/xml", 900},
	{"a wildcard names nothing", chromeAccept, "application/json", 0},
	{"a wildcard alone names nothing", "*/*", "text/html", 0},
	{"named by a wildcard of subtypes", "image/*", "image/png", 1000},
	{"named by a wildcard with a weight", firefoxImages, "image/jpeg", 800},
	{"the more specific range decides", "image/*, image/png;q=0.1", "image/png", 100},
	{"also if it comes first", "image/png;q=0.1, image/*", "image/png", 100},
	{"refused", "text/html;q=0, */*", "text/html", 0},
	{"refused, and its kind is not", "image/*, image/png;q=0", "image/png", 0},
	{"its kind is refused, and it is not", "image/*;q=0, image/png", "image/png", 1000},
	{"not of this kind", "image/*", "text/html", 0},
	{"not the beginning of a name", "text/htm", "text/html", 0},
	{"nor the end", "text/html", "text/htm", 0},
	{"no range", "text/*l", "text/html", 0},
	{"a suffix is another type", "application/json", "application/problem+json", 0},
	{"in another case", "TEXT/HTML", "text/Html", 1000},
	{"with blanks", " application/json , text/html ; q=0.5 ", "text/html", 500},
	{"a parameter that the type has", "application/json;version=2", "application/json; version=2", 1000},
	{"in quotes", `application/json;version="2"`, "application/json; version=2", 1000},
	{"a parameter that the type has otherwise", "application/json;version=2", "application/json; version=1", 0},
	{"a parameter that the type lacks", "text/html;level=1", "text/html", 0},
	{"a parameter that only the type has", "text/html", "text/html;level=1", 1000},
	{"RFC 9110, 12.5.1: text/plain", "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, text/plain;format=fixed;q=0.4, */*;q=0.5", "text/plain", 700},
	{"RFC 9110, 12.5.1: text/plain;format=flowed", "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, text/plain;format=fixed;q=0.4, */*;q=0.5", "text/plain;format=flowed", 1000},
	{"RFC 9110, 12.5.1: text/plain;format=fixed", "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, text/plain;format=fixed;q=0.4, */*;q=0.5", "text/plain;format=fixed", 400},
	{"RFC 9110, 12.5.1: text/html", "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, text/plain;format=fixed;q=0.4, */*;q=0.5", "text/html", 300},
	{"a malformed weight", "text/html;q=x", "text/html", 0},
	{"a weight of Java", "text/html;q=.2", "text/html", 0},
	{"what follows the weight is no parameter", "text/html;q=0.5;level=1", "text/html", 500},
	{"a comma in quotes", `text/html;a="1, text/plain", image/png`, "text/plain", 0},
	{"behind a comma in quotes", `text/html;a="1, text/plain", image/png`, "image/png", 1000},
	{"on another line", "text/html\nimage/png", "image/png", 1000},
	{"behind quotes on another line", "text/html;a=\"1\"\nimage/png", "image/png", 1000},
	{"a quote that is left open ends with its line", "text/html;a=\"1\nimage/png", "image/png", 1000},
	{"twice", "text/html, text/html;q=0", "text/html", 0},
	{"empty members", ",, ,text/html,", "text/html", 1000},
	{"no type", "text/html", "", 0},
	{"no type either", "*", "*", 0},
	{"nor this", "/*", "/x", 0},
	{"empty", "", "text/html", 0},
}

func TestAccept(t *testing.T) {
	t.Run("TypeWeight (RFC 9110, 12.5.1)", func(t *testing.T) {
		for _, row := range typeRows {
			if got := TypeWeight(row.accept, row.actual); got != row.want {
				t.Errorf("%s: %q wants %q with %d, want %d", row.name, row.accept, row.actual, got, row.want)
			}
		}
	})
	t.Run("LanguageWeight (RFC 9110, 12.5.4)", func(t *testing.T) {
		for _, row := range languageRows {
			if got := LanguageWeight(row.accept, row.actual); got != row.want {
				t.Errorf("%s: %q wants %q with %d, want %d", row.name, row.accept, row.actual, got, row.want)
			}
		}
	})
	t.Run("TakesAnything", func(t *testing.T) {
		for accept, want := range map[string]bool{
			"": true, "*/*": true, " */* ": true, "*/*;q=0.8": true, "*": true, "*/*\n*/*": true, "*/*, *;q=0.1": true, "*;q=0.5": true,
			"*/*;q=0": false, "*/*;q=x": false, "text/html": false, "text/html, */*": false, "*/*, text/html;q=0": false, "text/*": false, "de": false, "*/*\nde": false,
		} {
			if got := TakesAnything(accept); got != want {
				t.Errorf("%q: %v, want %v", accept, got, want)
			}
		}
	})
	// Members are cut like those of a list, and quotes end with their line. A megabyte of quotes is
	// read once.
	t.Run("quoted ranges", func(t *testing.T) {
		pieces := []string{`"`, `\`, ",", "\n", "a", " "}
		for n := range 6 * 6 * 6 * 6 * 6 * 6 {
			list := ""
			for ; n > 0; n /= len(pieces) {
				list += pieces[n%len(pieces)]
			}
			var got, want []string
			for rest := list; rest != ""; {
				var member string
				if member, rest = cutRange(rest); member != "" {
					got = append(got, member)
				}
			}
			for member := range Members(strings.Split(list, "\n")) {
				want = append(want, member)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%q: got %q, want %q", list, got, want)
			}
		}
		if quotes := strings.Repeat(`"",`, 300_000); TypeWeight(quotes+"a/b", "a/b") != 1000 || TypeWeight(quotes, "a/b") != 0 {
			t.Error("only the last is named")
		}
	})
	t.Run("allocations", func(t *testing.T) {
		if n := testing.AllocsPerRun(100, func() {
			TypeWeight(chromeAccept, "text/html; charset=utf-8")
			LanguageWeight("de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", "en")
			TakesAnything("*/*;q=0.8")
		}); n > 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

var languageRows = []struct {
	name           string
	accept, actual string
	want           int
}{
	{"named", "de", "de", 1000},
	{"named by a browser", "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", "en", 700},
	{"of a country", "de", "de-CH", 1000},
	{"of another country", "de-AT", "de-CH", 0},
	{"of a country, and the response is of none", "de-AT", "de", 0},
	{"not the beginning of a name", "de", "den", 0},
	{"in another case", "DE", "de-ch", 1000},
	{"a wildcard names nothing", "fr, *;q=0.5", "de", 0},
	{"refused", "de;q=0, *", "de", 0},
	{"the longer range decides", "de, de-CH;q=0", "de-CH", 0},
	{"one of two languages", "fr", "de, fr", 1000},
	{"on another line", "fr\nde;q=0.5", "de", 500},
	{"twice", "de, de;q=0.2", "de", 200},
	{"a malformed weight", "de;q=2", "de", 0},
	{"no language", "de", "", 0},
	{"empty", "", "de", 0},
	{"only a weight", ";q=1", "de", 0},
}

// What is refused is not wanted, what is named is not more than all there is, and nothing runs for
// ever.
func FuzzTypeWeight(f *testing.F) {
	for _, row := range typeRows {
		f.Add(row.accept, row.actual)
	}
	for _, row := range languageRows {
		f.Add(row.accept, row.actual)
	}
	f.Fuzz(func(t *testing.T, accept, actual string) {
		for _, weight := range []int{TypeWeight(accept, actual), LanguageWeight(accept, actual)} {
			if weight < 0 || weight > 1000 {
				t.Errorf("%q wants %q with %d", accept, actual, weight)
			}
		}
		name, _ := Cut(actual, ';')
		kind, subtype, _ := strings.Cut(TrimBlanks(name), "/")
		if !IsToken(kind) || !IsToken(subtype) || TakesAnything(accept) && TypeWeight(accept, actual) > 0 && kind != "*" {
			if IsToken(kind) && IsToken(subtype) {
				t.Errorf("%q takes anything, and names %q", accept, actual)
			}
			return
		}
		if got := TypeWeight(kind+"/"+subtype+"\n"+kind+"/"+subtype+";q=0", kind+"/"+subtype); got != 0 {
			t.Errorf("refused, but wanted with %d", got)
		}
	})
}

func BenchmarkTypeWeight(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		TypeWeight(chromeAccept, "text/html; charset=utf-8")
	}
}
