package field

import (
	"iter"
	"strings"
)

// Weighted yields the members of an Accept-like list (RFC 9110, 12.4.2) in the order of the field:
// the name in lower case without its parameters, and its weight in thousandths, 1000 when there is
// none. A member with a malformed weight is skipped.
func Weighted(lines []string) iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for _, line := range lines {
			for line != "" {
				var member string
				member, line = cutMember(line)
				name, parameters := Cut(member, ';')
				weight, ok := weightOf(parameters)
				if name = TrimBlanks(name); name == "" || !ok {
					continue
				}
				if !yield(strings.ToLower(name), weight) {
					return
				}
			}
		}
	}
}

// weightOf finds q among parameters. The first one counts: extensions follow it (RFC 7231, 5.3.2).
func weightOf(parameters string) (weight int, ok bool) {
	for parameters != "" {
		var parameter string
		parameter, parameters = Cut(parameters, ';')
		name, value, _ := strings.Cut(TrimBlanks(parameter), "=")
		if name == "q" || name == "Q" {
			return ParseWeight(value)
		}
	}
	return 1000, true
}

// ParseWeight reads a qvalue (RFC 9110, 12.4.2), 0 to 1 with at most three decimals, in
// thousandths.
func ParseWeight(s string) (int, bool) {
	if s == "" || len(s) > len("0.000") || s[0] != '0' && s[0] != '1' || len(s) > 1 && s[1] != '.' {
		return 0, false
	}
	weight := int(s[0]-'0') * 1000
	for i, scale := 2, 100; i < len(s); i, scale = i+1, scale/10 {
		if !isDigit(s[i]) {
			return 0, false
		}
		weight += int(s[i]-'0') * scale
	}
	return weight, weight <= 1000
}
