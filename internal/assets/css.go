package assets

import (
	"strings"
)

// reference is a URL in a stylesheet.
type reference struct {
	start, end int    // of the token's inside with its quotes, in the stylesheet
	url        string // the URL, with escapes resolved
}

// references finds the URLs of url(), @import and image-set(), in order. It reads as a browser does
// (CSS Syntax 3, section 4): nothing inside comments and other strings, function names in any case
// and with escapes.
func references(css string) []reference {
	t := tokenizer{css: css}
	t.run()
	return t.found
}

// rewrite replaces references. replace returns false for those that stay as they are.
func rewrite(css string, replace func(url string) (string, bool)) string {
	var b strings.Builder
	done := 0
	for _, r := range references(css) {
		next, ok := replace(r.url)
		if !ok {
			continue
		}
		b.WriteString(css[done:r.start])
		writeURL(&b, css[r.start:r.end], next)
		done = r.end
	}
	if done == 0 {
		return css
	}
	b.WriteString(css[done:])
	return b.String()
}

// writeURL writes next as before was written: with the same quotes, or with quotes if it needs them
// now.
func writeURL(b *strings.Builder, before, next string) {
	quote := byte(0)
	if before != "" && (before[0] == '"' || before[0] == '\'') {
		quote = before[0]
	} else if strings.ContainsFunc(next, func(c rune) bool { return c <= ' ' || c == 0x7f || strings.ContainsRune("\"'()\\", c) }) {
		quote = '"'
	}
	if quote == 0 {
		b.WriteString(next)
		return
	}
	b.WriteByte(quote)
	for i := range len(next) {
		switch c := next[i]; c {
		case quote, '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\n':
			b.WriteString(`\a `)
		case '\r':
			b.WriteString(`\d `)
		case '\f':
			b.WriteString(`\c `)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte(quote)
}
