package field

import (
	"math"
	"strings"
)

// Range is a part of a representation: Length bytes from Start. Length is at least 1.
type Range struct{ Start, Length int64 }

// RangeResult says what a Range field asks of a representation.
type RangeResult uint8

const (
	// RangeNone: send the whole representation. The field is absent, or a server may or must ignore
	// it.
	RangeNone RangeResult = iota
	// RangeOK: send the ranges.
	RangeOK
	// RangeUnsatisfiable: none of the ranges overlaps the representation. Respond with a 416.
	RangeUnsatisfiable
)

// ParseRange reads the lines of a Range field for a representation of size bytes (RFC 9110, 14.1.2
// and 14.2). Ranges come in the order of the field, cut to size; ranges beyond it are left out. The
// field is ignored if its unit is not bytes, if any part is malformed, if it comes in several
// lines, or if it asks for more than max ranges. It is also ignored if it asks for more bytes in
// sum than there are, which only overlapping ranges can (14.2 names them as an attack). An empty
// representation has no ranges.
func ParseRange(lines []string, size int64, max int) ([]Range, RangeResult) {
	if len(lines) != 1 || size <= 0 {
		return nil, RangeNone
	}
	unit, set, found := strings.Cut(TrimBlanks(lines[0]), "=")
	if !found || !strings.EqualFold(unit, "bytes") {
		return nil, RangeNone
	}
	var ranges []Range
	var sum int64
	asked := 0
	for set != "" {
		var spec string
		spec, set, _ = strings.Cut(set, ",")
		if spec = TrimBlanks(spec); spec == "" {
			continue
		}
		asked++
		r, ok := parseRangeSpec(spec, size)
		if !ok || asked > max {
			return nil, RangeNone
		}
		if r.Length == 0 {
			continue
		}
		if r.Length > size-sum {
			return nil, RangeNone
		}
		sum += r.Length
		ranges = append(ranges, r)
	}
	switch {
	case asked == 0:
		return nil, RangeNone
	case ranges == nil:
		return nil, RangeUnsatisfiable
	}
	return ranges, RangeOK
}

// parseRangeSpec reads "first-", "first-last" or "-suffix". Length 0 means that it is well-formed
// but not satisfiable.
func parseRangeSpec(spec string, size int64) (Range, bool) {
	first, last, found := strings.Cut(spec, "-")
	if !found {
		return Range{}, false
	}
	if first == "" {
		suffix, ok := parseDigits(last)
		suffix = min(suffix, size)
		return Range{Start: size - suffix, Length: suffix}, ok
	}
	start, ok := parseDigits(first)
	if !ok {
		return Range{}, false
	}
	end := int64(math.MaxInt64)
	if last != "" {
		if end, ok = parseDigits(last); !ok || end < start {
			return Range{}, false
		}
	}
	if start >= size {
		return Range{}, true
	}
	return Range{Start: start, Length: min(end, size-1) - start + 1}, true
}

// parseDigits reads one or more decimal digits and nothing else. A value that is too large becomes
// the largest int64.
func parseDigits(s string) (int64, bool) {
	var n int64
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		digit := int64(s[i] - '0')
		if n > (math.MaxInt64-digit)/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + digit
	}
	return n, s != ""
}
