package field

import "strings"

// TypeWeight returns how much an Accept field (RFC 9110, 12.5.1) wants a media type that it names,
// in thousandths. It is 0 for a type that the field does not name, or refuses: "*/*" names nothing.
// The most specific range that matches decides, as in RFC 9110; the lower weight of two equal ones
// counts. A range with parameters matches a type that has all of them, except charset. Types are
// compared without regard to case.
//
// Lines of the field are separated by commas or line feeds. contentType is the value of a
// Content-Type.
func TypeWeight(accept, contentType string) int {
	name, parameters := Cut(contentType, ';')
	if name = TrimBlanks(name); strings.IndexByte(name, '/') <= 0 {
		return 0
	}
	best, weight := 0, 0
	for accept != "" {
		var member string
		if member, accept = cutRange(accept); member == "" || member[0]|0x20 != name[0]|0x20 {
			continue // most of them
		}
		mediaRange, rest := Cut(member, ';')
		specific := matchesType(TrimBlanks(mediaRange), name)
		if specific == 0 || specific < best {
			continue
		}
		q := 1000
		if rest != "" {
			var more int
			var ok bool
			if q, more, ok = matchesParameters(rest, parameters); !ok {
				continue
			}
			if specific == fullRange {
				specific += more
			}
		}
		switch {
		case specific > best:
			best, weight = specific, q
		case specific == best:
			weight = min(weight, q)
		}
	}
	return weight
}

// LanguageWeight is TypeWeight for an Accept-Language (RFC 9110, 12.5.4) and the value of a
// Content-Language, which may name several languages. A range matches the languages that it is a
// prefix of, part by part (RFC 4647, 3.3.1).
func LanguageWeight(accept, language string) (weight int) {
	for language != "" {
		var tag string
		if tag, language = cutMember(language); tag != "" {
			weight = max(weight, tagWeight(accept, tag))
		}
	}
	return weight
}

func tagWeight(accept, tag string) int {
	best, weight := 0, 0
	for accept != "" {
		var member string
		if member, accept = cutRange(accept); member == "" {
			continue
		}
		languageRange, rest := Cut(member, ';')
		languageRange = TrimBlanks(languageRange)
		n := len(languageRange)
		if n == 0 || n < best || n > len(tag) || !strings.EqualFold(tag[:n], languageRange) || n < len(tag) && tag[n] != '-' {
			continue
		}
		q, ok := weightOf(rest)
		switch {
		case !ok:
		case n > best:
			best, weight = n, q
		default:
			weight = min(weight, q)
		}
	}
	return weight
}

// TakesAnything reports whether an Accept or an Accept-Language has no preference: it is empty, or
// has only wildcards and refuses nothing.
func TakesAnything(accept string) bool {
	if accept == "" || accept == "*/*" {
		return true
	}
	for accept != "" {
		var member string
		if member, accept = cutRange(accept); member == "" {
			continue
		}
		name, parameters := Cut(member, ';')
		if name = TrimBlanks(name); name != "*" && name != "*/*" {
			return false
		}
		if q, ok := weightOf(parameters); !ok || q == 0 {
			return false
		}
	}
	return true
}

// cutRange cuts the first member, trimmed and possibly empty, off a list with several lines.
func cutRange(list string) (member, rest string) {
	for i := range len(list) {
		switch list[i] {
		case ',', '\n':
			return TrimBlanks(list[:i]), list[i+1:]
		case '"':
			return cutQuotedRange(list, i)
		}
	}
	return TrimBlanks(list), ""
}

// cutQuotedRange is cutRange for a list whose first member has its first quote at the given index.
// Quotes end with their line. It reads no byte behind the member: clients send lists of a megabyte.
func cutQuotedRange(list string, at int) (member, rest string) {
	quoted := false
	for i := at; i < len(list); i++ {
		switch c := list[i]; {
		case c == '\n', c == ',' && !quoted:
			return TrimBlanks(list[:i]), list[i+1:]
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted && i+1 < len(list) && list[i+1] != '\n':
			i++
		}
	}
	return TrimBlanks(list), ""
}

// How specific a media range is. Each parameter adds one.
const (
	subtypeWildcard = 1 + iota
	fullRange
)

// matchesType returns how specific a media range without its parameters is if it matches the type,
// and 0 if it does not.
func matchesType(mediaRange, name string) int {
	if len(mediaRange) == len(name) && strings.EqualFold(mediaRange, name) {
		return fullRange
	}
	if n := len(mediaRange) - 1; n > 1 && mediaRange[n] == '*' && mediaRange[n-1] == '/' && len(name) > n && strings.EqualFold(name[:n], mediaRange[:n]) {
		return subtypeWildcard
	}
	return 0
}

// matchesParameters reads what follows a media range, and reports whether the parameters of a type
// have all of it. more is how many of them count.
func matchesParameters(ofRange, ofType string) (q, more int, ok bool) {
	for ofRange != "" {
		var pair string
		pair, ofRange = Cut(ofRange, ';')
		name, value, _ := strings.Cut(TrimBlanks(pair), "=")
		switch {
		case name == "":
		case name == "q" || name == "Q":
			q, ok = ParseWeight(value)
			return q, more, ok // what follows are extensions (RFC 7231, 5.3.2)
		case strings.EqualFold(name, "charset"): // the charset says nothing about the type
		case !hasParameter(ofType, name, value):
			return 0, 0, false
		default:
			more++
		}
	}
	return 1000, more, true
}

func hasParameter(parameters, name, value string) bool {
	for parameters != "" {
		var pair string
		pair, parameters = Cut(parameters, ';')
		n, v, _ := strings.Cut(TrimBlanks(pair), "=")
		if strings.EqualFold(n, name) && strings.EqualFold(strings.Trim(v, `"`), strings.Trim(value, `"`)) {
			return true
		}
	}
	return false
}
