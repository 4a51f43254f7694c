package key

import (
	"cmp"
	"slices"
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
)

const (
	// maxNormalized is the longest value that is normalised, in bytes over all lines. No browser
	// sends a longer one; it is kept as it is.
	maxNormalized = 1 << 10
	// maxCodings bounds the members of an Accept-Encoding that are sorted.
	maxCodings = 16
)

func appendNormalized(dst []byte, name string, lines []string) []byte {
	if len(lines) == 1 && len(lines[0]) <= maxNormalized {
		if extended, ok := appendUsual(dst, name, lines[0]); ok {
			return extended
		}
	}
	size := 0
	for _, line := range lines {
		size += len(line)
	}
	if size > maxNormalized || negotiated(name) && ambiguous(lines) {
		dst = append(dst, 0) // no normalised value begins with it
		for _, line := range lines {
			dst = appendText(dst, line)
		}
		return dst
	}
	switch name {
	case "Accept-Encoding":
		return appendCodings(dst, lines)
	case "Accept":
		return appendNegotiated(dst, lines, false)
	case "Accept-Language":
		return appendNegotiated(dst, lines, true)
	case "Authorization", "Cookie", "Proxy-Authorization":
		for _, line := range lines {
			dst = appendText(dst, line)
		}
		return dst
	}
	return appendCombined(dst, lines)
}

// appendUsual appends what browsers send in the fields by which most responses vary: codings
// without weights; types and languages without blanks. It takes a quarter of the time of the
// general case. For all else ok is false, and nothing is appended.
func appendUsual(dst []byte, name, line string) (extended []byte, ok bool) {
	switch name {
	case "Accept-Encoding":
		return appendUsualCodings(dst, line)
	case "Accept":
		if isCompact(line) {
			return append(dst, line...), true
		}
	case "Accept-Language":
		if isCompact(line) {
			return appendLower(dst, line), true
		}
	}
	return dst, false
}

func appendUsualCodings(dst []byte, line string) (extended []byte, ok bool) {
	var array [6]string
	codings := array[:0]
	for {
		end := 0
		for end < len(line) && line[end]-'a' < 26 {
			end++
		}
		if end == 0 || len(codings) == len(array) {
			return dst, false
		}
		at := len(codings)
		codings = append(codings, line[:end])
		for ; at > 0 && codings[at] <= codings[at-1]; at-- {
			if codings[at] == codings[at-1] {
				return dst, false
			}
			codings[at], codings[at-1] = codings[at-1], codings[at]
		}
		if line = line[end:]; line == "" {
			break
		}
		if line[0] != ',' {
			return dst, false
		}
		if line = line[1:]; line != "" && line[0] == ' ' {
			line = line[1:]
		}
	}
	for i, coding := range codings {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, coding...)
	}
	return dst, true
}

// isCompact reports whether a list has no quotes, blanks, empty members or empty parameters, so
// that appendNegotiated would change nothing.
func isCompact(line string) bool {
	separated := true
	for i := range len(line) {
		switch line[i] {
		case ' ', '\t', '"':
			return false
		case ',', ';':
			if separated {
				return false
			}
			separated = true
		default:
			separated = false
		}
	}
	return !separated
}

// appendCodings appends the members of an Accept-Encoding (RFC 9110, 12.5.3) in the order of their
// names, each with its weight unless that is 1. If any part of the field is odd, appendCombined
// appends it instead, since handlers disagree on its meaning: a malformed weight, a coding twice, a
// capital letter, more than maxCodings members. None of these can be read as the sorted form of
// another field.
func appendCodings(dst []byte, lines []string) []byte {
	type coding struct {
		name   string
		weight int
	}
	var array [maxCodings]coding
	codings := array[:0]
	for member := range field.Members(lines) {
		name, parameter, weighted := strings.Cut(member, ";")
		weight, ok := 1000, true
		if weighted {
			q, value, _ := strings.Cut(field.TrimBlanks(parameter), "=")
			weight, ok = field.ParseWeight(value)
			ok = ok && (q == "q" || q == "Q")
		}
		name = field.TrimBlanks(name)
		if !ok || !field.IsToken(name) || hasCapital(name) || len(codings) == maxCodings {
			return appendCombined(dst, lines)
		}
		codings = append(codings, coding{name, weight})
	}
	slices.SortFunc(codings, func(a, b coding) int { return cmp.Compare(a.name, b.name) })
	start := len(dst)
	for i, c := range codings {
		if i > 0 {
			if c.name == codings[i-1].name {
				return appendCombined(dst[:start], lines)
			}
			dst = append(dst, ',')
		}
		dst = append(dst, c.name...)
		dst = appendWeight(dst, c.weight)
	}
	return dst
}

// appendWeight appends a weight in thousandths as a parameter, with as few digits as it needs.
func appendWeight(dst []byte, weight int) []byte {
	switch weight {
	case 1000:
		return dst
	case 0:
		return append(dst, ";q=0"...)
	}
	dst = append(dst, ";q=0."...)
	for scale := 100; weight > 0; scale /= 10 {
		dst = append(dst, '0'+byte(weight/scale))
		weight %= scale
	}
	return dst
}

// appendNegotiated appends the members of an Accept or Accept-Language in their order, without the
// blanks around commas and semicolons, and in lower case if fold is true. Quoted strings stay as
// they are. Accept keeps its case: a handler that looks for "text/html" does not find it in
// "TEXT/HTML", and that response must not be served to every browser.
func appendNegotiated(dst []byte, lines []string, fold bool) []byte {
	start := len(dst)
	for member := range field.Members(lines) {
		if len(dst) > start {
			dst = append(dst, ',')
		}
		for more := true; more; {
			part, rest := field.Cut(member, ';')
			more = len(part) < len(member)
			member = rest
			part = field.TrimBlanks(part)
			if fold && strings.IndexByte(part, '"') < 0 {
				dst = appendLower(dst, part)
			} else {
				dst = append(dst, part...)
			}
			if more {
				dst = append(dst, ';')
			}
		}
	}
	return dst
}

// appendCombined joins lines by commas (RFC 9110, 5.3) and drops the blanks around commas outside
// of quotes.
func appendCombined(dst []byte, lines []string) []byte {
	for i, line := range lines {
		if i > 0 {
			dst = append(dst, ',')
		}
		quoted := false
		member, end := len(dst), len(dst) // where the member begins, and where its last byte that counts ends
		for j := 0; j < len(line); j++ {
			c := line[j]
			switch {
			case quoted && c == '\\' && j+1 < len(line):
				j++
				dst = append(dst, c, line[j])
			case c == ',' && !quoted:
				dst = append(dst[:end], c)
				member = len(dst)
			case (c == ' ' || c == '\t') && !quoted:
				if len(dst) > member {
					dst = append(dst, c)
				}
				continue // end stays: a blank only counts if more follows
			default:
				quoted = quoted != (c == '"')
				dst = append(dst, c)
			}
			end = len(dst)
		}
		dst = dst[:end]
	}
	return dst
}

func hasCapital(s string) bool {
	for i := range len(s) {
		if s[i]-'A' < 26 {
			return true
		}
	}
	return false
}

func negotiated(name string) bool {
	return name == "Accept" || name == "Accept-Language" || name == "Accept-Encoding"
}

// ambiguous reports whether a handler that reads only the first line, or the first member, may see
// something else than one that reads the whole list.
func ambiguous(lines []string) bool {
	if len(lines) > 1 {
		return true
	}
	for _, line := range lines {
		for line != "" {
			var member string
			member, line = field.Cut(line, ',')
			if field.TrimBlanks(member) == "" {
				return true
			}
		}
	}
	return false
}
