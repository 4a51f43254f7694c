package key

import (
	"net/http"
	"slices"
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
)

// Cookies are the names of cookies that the application never reads, indexed by cheap hashes. They
// do not change after NewCookies.
type Cookies struct {
	names    [64][]string // by length and last byte
	prefixes [64][]string // by the first two bytes
	short    []string     // prefixes that are shorter than two bytes
}

// NewCookies returns the cookies of these names. A trailing * in a name matches any rest.
func NewCookies(names []string) *Cookies {
	c := new(Cookies)
	for _, name := range names {
		prefix, cut := strings.CutSuffix(name, "*")
		list := &c.short
		switch {
		case name == "":
			continue
		case !cut:
			list = &c.names[ofName(name)]
		case len(prefix) > 1:
			list = &c.prefixes[ofPrefixes(prefix)]
		}
		*list = append(*list, prefix)
	}
	return c
}

func ofName(name string) int       { return (len(name)*7 + int(name[len(name)-1])) % 64 }
func ofPrefixes(prefix string) int { return (int(prefix[0])*5 + int(prefix[1])*3) % 64 }

func (c *Cookies) has(name string) bool {
	if slices.Contains(c.names[ofName(name)], name) {
		return true
	}
	begins := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	return len(name) > 1 && slices.ContainsFunc(c.prefixes[ofPrefixes(name)], begins) || slices.ContainsFunc(c.short, begins)
}

// Identify reports whether a line of Cookie holds a cookie that counts, and whether it holds one
// that does not.
func (c *Cookies) Identify(line string) (counts, ignored bool) {
	for cut := (cutter{rest: line}); cut.next(); {
		switch {
		case cut.pair == "":
		case !cut.quoted && c.ignores(cut.pair):
			ignored = true
		default:
			counts = true
		}
	}
	return counts, ignored
}

// Strip returns a line of Cookie without the cookies that do not count. The others keep their
// spelling. It is "" if none remain.
func (c *Cookies) Strip(line string) string {
	var kept []byte
	for cut := (cutter{rest: line}); cut.next(); {
		if cut.pair == "" || !cut.quoted && c.ignores(cut.pair) {
			continue
		}
		if len(kept) == 0 {
			kept = append(make([]byte, 0, len(line)), cut.pair...)
			continue
		}
		kept = append(append(kept, ';'), cut.raw...)
	}
	return field.TrimBlanks(string(kept))
}

// Name returns the name of the first cookie of a line that counts, if it has one.
func (c *Cookies) Name(line string) (name string, found bool) {
	for cut := (cutter{rest: line}); cut.next(); {
		if cut.pair != "" && (cut.quoted || !c.ignores(cut.pair)) {
			name, _, named := strings.Cut(cut.pair, "=")
			if name = field.TrimBlanks(name); !named || !field.IsToken(name) || len(name) > maxCookieName {
				return "", true // it may be the secret itself
			}
			return name, true
		}
	}
	return "", false
}

// maxCookieName is the longest name of a cookie that is shown, in bytes.
const maxCookieName = 64

// cutter cuts a line of Cookie at its semicolons.
type cutter struct {
	rest   string
	raw    string // the piece as it was sent
	pair   string // without the blanks around it
	quoted bool   // it may be a part of a quoted value: servers that follow RFC 2109 do not cut there
	open   bool   // quotes are open behind it
	ended  bool
}

func (c *cutter) next() bool {
	if c.ended {
		return false
	}
	c.raw, c.rest = c.rest, ""
	if at := strings.IndexByte(c.raw, ';'); at >= 0 { // strings.Cut takes four times as long
		c.raw, c.rest = c.raw[:at], c.raw[at+1:]
	} else {
		c.ended = true
	}
	c.pair = field.TrimBlanks(c.raw)
	c.quoted = c.open
	if strings.IndexByte(c.raw, '"') >= 0 && strings.Count(c.raw, `"`)%2 == 1 {
		c.quoted, c.open = true, !c.open
	}
	return true
}

// ignores says whether a cookie, name=value, is on the list. A cookie without a name never is. Nor
// is one that could hide another: servers that still follow RFC 2109 part cookies at commas, and
// some at blanks, so a visitor who sends "_ga=1, session=…" would be logged in there and anonymous
// here.
func (c *Cookies) ignores(pair string) bool {
	at := strings.IndexByte(pair, '=')
	if at < 0 {
		return false
	}
	name, value := field.TrimBlanks(pair[:at]), pair[at+1:]
	if name == "" || strings.ContainsAny(name, ", \t") {
		return false
	}
	if last := strings.LastIndexByte(value, '='); last > 0 && strings.ContainsAny(value[:last], ", \t") {
		return false
	}
	return c.has(name)
}

// IgnoreCookies notes that the request has cookies of the list c, which do not count.
func (f *Fields) IgnoreCookies(c *Cookies) { f.cookies = c }

// IgnoresCookies reports whether the request has cookies that do not count.
func (f *Fields) IgnoresCookies() bool { return f.cookies != nil }

// Cookies returns lines of Cookie as they count.
func (f *Fields) Cookies(lines []string) []string {
	if f.cookies == nil {
		return lines
	}
	return f.stripped(lines)
}

// RemoveCookies removes the cookies that do not count from h, the header of the request or a copy
// of it, and the field if none is left. The lists of values in h stay as they are.
func (f *Fields) RemoveCookies(h http.Header) {
	if f.cookies == nil {
		return
	}
	names := [1]string{"Cookie"}
	for _, name := range f.spellings(names[:0], "Cookie") {
		if lines := f.stripped(h[name]); len(lines) > 0 {
			h[name] = lines
		} else {
			delete(h, name)
		}
	}
}

// spellings appends name, and each other spelling of it that the request has.
func (f *Fields) spellings(dst []string, name string) []string {
	dst = append(dst, name)
	if f.rare != nil {
		for _, r := range f.rare.respelled {
			if r.canonical == name {
				dst = append(dst, r.name)
			}
		}
	}
	return dst
}

// stripped returns the lines of Cookie as they count.
func (f *Fields) stripped(lines []string) (kept []string) {
	for _, line := range lines {
		if line = f.cookies.Strip(line); line != "" {
			kept = append(kept, line)
		}
	}
	return kept
}

// ignored are fields that the application never reads, as far as that matters here.
type ignored uint8

const (
	someIgnored ignored = 1 << iota
	acceptIgnored
	languageIgnored
)

// Ignore notes that the request has a field with this canonical name that the application never
// reads.
func (f *Fields) Ignore(canonical string) {
	f.ignored |= someIgnored
	switch canonical {
	case "Accept":
		f.ignored |= acceptIgnored
	case "Accept-Language":
		f.ignored |= languageIgnored
	}
}

// Ignores reports whether the request has fields that the application never reads.
func (f *Fields) Ignores() bool { return f.ignored != 0 }

// isIgnored reports whether Accept or Accept-Language is ignored. No other field is asked for: what
// is ignored stands in no Vary.
func (f *Fields) isIgnored(name string) bool {
	return name == "Accept" && f.ignored&acceptIgnored != 0 || name == "Accept-Language" && f.ignored&languageIgnored != 0
}

// Preference returns the lines of Accept or Accept-Language in h, a header of the request, as far
// as they count, and those in which it is spelled in another way.
func (f *Fields) Preference(h http.Header, name string) (lines, respelled []string) {
	if f.ignored != 0 && f.isIgnored(name) {
		return nil, nil
	}
	lines = h[name]
	if f.rare == nil {
		return lines, nil
	}
	for _, r := range f.rare.respelled {
		if r.canonical == name {
			respelled = append(respelled, h[r.name]...)
		}
	}
	return lines, respelled
}
