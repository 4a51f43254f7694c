package assets

import (
	"slices"
	"strings"
	"testing"
	"unicode"
)

// TestReferences follows CSS Syntax 3, section 4, as far as URLs go.
func TestReferences(t *testing.T) {
	for _, row := range []struct {
		name, css string
		want      []string
	}{
		{"an unquoted url", "a{b:url(x.png)}", []string{"x.png"}},
		{"a quoted one", `a{b:url("x.png")}`, []string{"x.png"}},
		{"one in single quotes", `a{b:url('x.png')}`, []string{"x.png"}},
		{"blanks around it", "a{b:url( \n x.png \t)}", []string{"x.png"}},
		{"blanks around a quoted one", `a{b:url( "x.png" )}`, []string{"x.png"}},
		{"capitals", "a{b:URL(x.png)}", []string{"x.png"}},
		{"an escape in the function's name", `a{b:u\72l(x.png)}`, []string{"x.png"}},
		{"an escape in an unquoted url", `a{b:url(x\29.png)}`, []string{"x).png"}},
		{"an escape in a string", `a{b:url("x\22 y.png")}`, []string{`x"y.png`}},
		{"an escaped quote", `a{b:url("x\"y.png")}`, []string{`x"y.png`}},
		{"an escaped line end in a string", "a{b:url(\"x\\\ny.png\")}", []string{"xy.png"}},
		{"six digits end an escape", `a{b:url(\000041b.png)}`, []string{"Ab.png"}},
		{"an escape beyond Unicode", `a{b:url(\ffffff.png)}`, []string{"\uFFFD.png"}},
		{"several of them", "@font-face{src:url(a.woff2) format('woff2'),url(b.woff)}", []string{"a.woff2", "b.woff"}},
		{"an import of a string", `@import "a.css";`, []string{"a.css"}},
		{"an import of a url", `@import url(a.css) screen;`, []string{"a.css"}},
		{"an import of a quoted url", `@import url("a.css") layer(x);`, []string{"a.css"}},
		{"an import in capitals", `@IMPORT 'a.css';`, []string{"a.css"}},
		{"an import with an escape", `@\69mport 'a.css';`, []string{"a.css"}},
		{"an import after a comment", `@import/**/"a.css";`, []string{"a.css"}},
		{"only the first string of an import", `@import "a.css" supports(x: "b.css");`, []string{"a.css"}},
		{"image-set of strings", `a{b:image-set("a.png" 1x, "b.png" 2x)}`, []string{"a.png", "b.png"}},
		{"image-set of urls", `a{b:image-set(url(a.png) 1x, url("b.png") 2x)}`, []string{"a.png", "b.png"}},
		{"image-set with types", `a{b:image-set("a.avif" type("image/avif"), "b.png" type("image/png"))}`, []string{"a.avif", "b.png"}},
		{"-webkit-image-set", `a{b:-webkit-image-set("a.png" 1x)}`, []string{"a.png"}},
		{"a string after an image-set", `a{b:image-set("a.png" 1x);content:"b.png"}`, []string{"a.png"}},
		{"a custom property", "a{--b:url(x.png)}", []string{"x.png"}},
		{"a quoted url in brackets", `a{b:cross-fade(url("x.png"),url(y.png))}`, []string{"x.png", "y.png"}},
		{"after <!--", "<!-- a{b:url(x.png)} -->", []string{"x.png"}},
		{"NUL in a name", "a{b:url(x\x00.png)}", []string{"x\x00.png"}},

		{"a comment", "/* url(x.png) */ a{}", nil},
		{"a comment that never ends", "/* url(x.png)", nil},
		{"a comment that looks closed", "/*/ url(x.png) */", nil},
		{"a string", `a{content:"url(x.png)"}`, nil},
		{"a string alone", `a{content:"x.png"}`, nil},
		{"another function", "a{b:xurl(x.png)}", nil},
		{"a function that ends in url", "a{b:-url(x.png)}", nil},
		{"a name after a hash sign", "#url(x.png)", nil},
		{"a number before it", "a{b:1url(x.png)}", nil},
		{"an empty url", "a{b:url()}", nil},
		{"a quote inside an unquoted url", `a{b:url(x".png)}`, nil},
		{"a bracket inside an unquoted url", "a{b:url(x(.png)}", nil},
		{"a blank inside an unquoted url", "a{b:url(x y.png)}", nil},
		{"a url that never ends", "a{b:url(x.png", nil},
		{"a string that never ends", `a{b:url("x.png`, nil},
		{"a string that ends with its line", "a{b:url(\"x.png\n\")}", nil},
		{"a namespace", `@namespace "x.css";`, nil},
		{"a namespace with a prefix", `@namespace svg url(x.css);`, nil},
		{"a namespace with a quoted url", `@namespace url("x.css");`, nil},
		{"a charset", `@charset "utf-8";`, nil},
		{"a bad url hides nothing behind it", `a{b:url(x y);c:url(z.png)}`, []string{"z.png"}},
		{"a bad string hides nothing behind it", "a{b:\"x\n;c:url(z.png)}", []string{"z.png"}},
		{"brackets beyond any sense", strings.Repeat("(", maxNesting+1) + "url(x.png)", nil},
	} {
		var got []string
		for _, r := range references(row.css) {
			got = append(got, r.url)
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestRewrite(t *testing.T) {
	for _, row := range []struct{ name, css, next, want string }{
		{"an unquoted url stays unquoted", "a{b:url( x.png )}", "y.png", "a{b:url( y.png )}"},
		{"quotes stay as they are", `a{b:url('x.png')}`, "y.png", `a{b:url('y.png')}`},
		{"an unquoted url gets quotes where it needs them", "a{b:url(x.png)}", "y z.png", `a{b:url("y z.png")}`},
		{"so does one with a control character", `a{b:url(x.png?\1 z)}`, "y.png?\x01z", "a{b:url(\"y.png?\x01z\")}"},
		{"a quote is escaped", `@import 'x.png';`, "y'.png", `@import 'y\'.png';`},
		{"a backslash is escaped", `@import "x.png";`, `y\.png`, `@import "y\\.png";`},
		{"nothing else changes", "/* x.png */ a { b : url(x.png)/**/ }\r\n", "y", "/* x.png */ a { b : url(y)/**/ }\r\n"},
	} {
		got := rewrite(row.css, func(string) (string, bool) { return row.next, true })
		if got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
		if kept := rewrite(row.css, func(string) (string, bool) { return "", false }); kept != row.css {
			t.Errorf("%s: kept: got %q, want %q", row.name, kept, row.css)
		}
	}
}

// FuzzReferences holds that references lie in order inside of the stylesheet, that rewriting them
// changes nothing else, and that what was written is read again.
func FuzzReferences(f *testing.F) {
	for _, seed := range []string{
		`@import "a.css";a{b:url(x.png)}`, `a{b:image-set("a" 1x,url('b') 2x)}`, `url(\`, `url("\`, "\\", `@`, "-", "--", "<!-", "url(x y\\", "/*", `u\`, "@namespace url(\"x\")",
		"url(\\\n)", "'\\\r\n'", "#\\0 ", "image-set((\"a\"", "url( \"a\"b)",
	} {
		f.Add(seed, "next.css")
	}
	f.Fuzz(func(t *testing.T, css, next string) {
		at := 0
		found := references(css)
		for _, r := range found {
			if r.start < at || r.end < r.start || r.end > len(css) {
				t.Fatalf("%q: reference %d-%d after %d of %d", css, r.start, r.end, at, len(css))
			}
			at = r.end
		}
		if strings.ContainsAny(next, "\\\"'") || strings.ContainsFunc(next, unicode.IsControl) || next == "" {
			return // no URL of ours
		}
		again := references(rewrite(css, func(string) (string, bool) { return next, true }))
		if len(again) != len(found) {
			t.Fatalf("%q: got %d references after rewriting, want %d", css, len(again), len(found))
		}
		for _, r := range again {
			if r.url != strings.ToValidUTF8(next, "\uFFFD") && r.url != next {
				t.Fatalf("%q: got %q, want %q", css, r.url, next)
			}
		}
	})
}
