package assets

import (
	"strings"
	"unicode/utf8"
)

// maxNesting is how deep brackets may be nested. From there on, a stylesheet is left as it is.
const maxNesting = 256

// tokenizer reads a stylesheet once, token by token.
type tokenizer struct {
	css   string
	at    int
	open  []byte // open brackets: '(' '[' '{', 'i' for image-set(, 'u' for url( with a string inside
	next  byte   // the kind of a string that comes next: 'i' after @import, 'n' after @namespace, else 0
	found []reference
}

func (t *tokenizer) run() {
	for t.at < len(t.css) && len(t.open) <= maxNesting {
		switch c := t.css[t.at]; {
		case strings.HasPrefix(t.css[t.at:], "/*"):
			t.comment()
		case isBlank(c):
			t.at++
		case strings.HasPrefix(t.css[t.at:], "<!--"):
			t.at += len("<!--")
		case strings.HasPrefix(t.css[t.at:], "-->"):
			t.at += len("-->")
		case c == '"' || c == '\'':
			t.quoted(c)
		case c == '@':
			t.at++
			t.next = 0
			if t.startsIdent() {
				switch strings.ToLower(t.ident()) {
				case "import":
					t.next = 'i'
				case "namespace":
					t.next = 'n'
				}
			}
		case t.startsIdent():
			t.word()
		case c == '#' || '0' <= c && c <= '9':
			t.at++
			t.next = 0
			t.ident() // a hash, or a number with its unit: u5rl( is not url(
		default:
			t.punctuation(c)
		}
	}
}

func (t *tokenizer) punctuation(c byte) {
	t.at++
	switch c {
	case '(', '[', '{':
		t.open = append(t.open, c)
	case ')', ']', '}':
		if n := len(t.open); n > 0 {
			t.open = t.open[:n-1]
		}
	}
	t.next = 0
}

func (t *tokenizer) comment() {
	if end := strings.Index(t.css[t.at+2:], "*/"); end >= 0 {
		t.at += 2 + end + 2
		return
	}
	t.at = len(t.css)
}

// quoted reads a string (4.3.5), and notes it if it is a reference.
func (t *tokenizer) quoted(quote byte) {
	start := t.at
	text, ok := t.str(quote)
	kind := byte(0)
	if n := len(t.open); n > 0 {
		kind = t.open[n-1]
	}
	if ok && t.next != 'n' && (t.next == 'i' || kind == 'i' || kind == 'u') {
		t.found = append(t.found, reference{start, t.at, text})
	}
	t.next = 0
}

func (t *tokenizer) str(quote byte) (text string, ok bool) {
	t.at++
	start := t.at
	var b strings.Builder
	escaped := false
	for t.at < len(t.css) {
		switch c := t.css[t.at]; c {
		case quote:
			t.at++
			if !escaped {
				return t.css[start : t.at-1], true
			}
			return b.String(), true
		case '\n', '\r', '\f':
			return "", false // a bad string ends before the line does
		case '\\':
			if !escaped {
				escaped = true
				b.WriteString(t.css[start:t.at])
			}
			t.at++
			if t.at == len(t.css) {
				return "", false
			}
			if n := newline(t.css[t.at:]); n > 0 {
				t.at += n // the string goes on in the next line
				continue
			}
			t.escape(&b)
		default:
			if escaped {
				b.WriteByte(c)
			}
			t.at++
		}
	}
	return "", false // never closed: a browser takes it, but the file is truncated
}

// word reads an identifier, and what it is the name of.
func (t *tokenizer) word() {
	name := t.ident()
	if t.at == len(t.css) || t.css[t.at] != '(' {
		if t.next != 'n' { // a namespace may have a prefix before its URL
			t.next = 0
		}
		return
	}
	t.at++
	switch strings.ToLower(name) {
	case "url":
		t.url()
		return
	case "image-set", "-webkit-image-set":
		t.open = append(t.open, 'i')
	default:
		t.open = append(t.open, '(')
	}
	t.next = 0
}

// url reads what stands in url( ), quoted or not (4.3.6).
func (t *tokenizer) url() {
	at := t.at
	for at < len(t.css) && isBlank(t.css[at]) {
		at++
	}
	if at < len(t.css) && (t.css[at] == '"' || t.css[at] == '\'') {
		namespace := t.next == 'n'
		t.at = at
		t.open = append(t.open, 'u')
		if namespace {
			t.open[len(t.open)-1] = '('
		}
		t.next = 0
		return
	}
	t.at = at
	var b strings.Builder
	end := -1 // of the text, when blanks follow it
	for t.at < len(t.css) {
		switch c := t.css[t.at]; {
		case c == ')':
			if end < 0 {
				end = t.at
			}
			t.at++
			if t.next != 'n' && b.Len() > 0 {
				t.found = append(t.found, reference{at, end, b.String()})
			}
			t.next = 0
			return
		case isBlank(c):
			if end < 0 {
				end = t.at
			}
			t.at++
		case end >= 0 || c == '"' || c == '\'' || c == '(' || c < ' ' && c != 0 || c == 0x7f:
			t.badURL()
			return
		case c == '\\':
			t.at++
			if t.at == len(t.css) || newline(t.css[t.at:]) > 0 {
				t.badURL()
				return
			}
			t.escape(&b)
		default:
			b.WriteByte(c)
			t.at++
		}
	}
	t.next = 0
}

// badURL skips the rest of an invalid url( (4.3.14).
func (t *tokenizer) badURL() {
	t.next = 0
	for t.at < len(t.css) {
		switch c := t.css[t.at]; c {
		case ')':
			t.at++
			return
		case '\\':
			t.at += 2
		default:
			t.at++
		}
	}
	t.at = len(t.css)
}

// startsIdent is section 4.3.9.
func (t *tokenizer) startsIdent() bool {
	rest := t.css[t.at:]
	if strings.HasPrefix(rest, "-") {
		if rest = rest[1:]; rest != "" && rest[0] == '-' {
			return true
		}
	}
	return rest != "" && (isIdentStart(rest[0]) || startsEscape(rest))
}

func startsEscape(s string) bool { return len(s) > 1 && s[0] == '\\' && newline(s[1:]) == 0 }

// ident reads a name (4.3.11).
func (t *tokenizer) ident() string {
	start := t.at
	var b strings.Builder
	escaped := false
	for t.at < len(t.css) {
		c := t.css[t.at]
		switch {
		case isIdentStart(c) || c == '-' || '0' <= c && c <= '9':
			if escaped {
				b.WriteByte(c)
			}
			t.at++
			continue
		case startsEscape(t.css[t.at:]):
			if !escaped {
				escaped = true
				b.WriteString(t.css[start:t.at])
			}
			t.at++
			t.escape(&b)
			continue
		}
		break
	}
	if escaped {
		return b.String()
	}
	return t.css[start:t.at]
}

// escape reads what follows a backslash (4.3.7). There is at least one byte.
func (t *tokenizer) escape(b *strings.Builder) {
	value, digits := rune(0), 0
	for digits < 6 && t.at < len(t.css) {
		d := hexValue(t.css[t.at])
		if d < 0 {
			break
		}
		value = value<<4 | rune(d)
		digits++
		t.at++
	}
	if digits == 0 {
		_, size := utf8.DecodeRuneInString(t.css[t.at:])
		b.WriteString(t.css[t.at : t.at+size])
		t.at += size
		return
	}
	if n := newline(t.css[t.at:]); n > 0 {
		t.at += n
	} else if t.at < len(t.css) && isBlank(t.css[t.at]) {
		t.at++
	}
	if value == 0 || value > utf8.MaxRune {
		value = utf8.RuneError
	}
	b.WriteRune(value) // a surrogate becomes U+FFFD, as it must
}

// newline returns the length of the line end at the start of s.
func newline(s string) int {
	switch {
	case strings.HasPrefix(s, "\r\n"):
		return 2
	case s != "" && (s[0] == '\n' || s[0] == '\r' || s[0] == '\f'):
		return 1
	}
	return 0
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }

func isIdentStart(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c >= 0x80 || c == 0
}

func hexValue(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
