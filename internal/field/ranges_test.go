package field

import (
	"slices"
	"strings"
	"testing"
)

var rangeRows = []struct {
	name   string
	lines  []string
	size   int64
	want   []Range
	result RangeResult
}{
	{"absent", nil, 100, nil, RangeNone},
	{"first and last byte", []string{"bytes=0-0"}, 100, []Range{{0, 1}}, RangeOK},
	{"first 50", []string{"bytes=0-49"}, 100, []Range{{0, 50}}, RangeOK},
	{"open end", []string{"bytes=90-"}, 100, []Range{{90, 10}}, RangeOK},
	{"suffix", []string{"bytes=-10"}, 100, []Range{{90, 10}}, RangeOK},
	{"suffix longer than all is all", []string{"bytes=-1000"}, 100, []Range{{0, 100}}, RangeOK},
	{"last beyond the end is cut", []string{"bytes=90-1000"}, 100, []Range{{90, 10}}, RangeOK},
	{"the unit in another case", []string{"BYTES=0-1"}, 100, []Range{{0, 2}}, RangeOK},
	{"several in the order asked for", []string{"bytes=50-59 , 0-9,,-5"}, 100, []Range{{50, 10}, {0, 10}, {95, 5}}, RangeOK},
	{"those beyond the end are left out", []string{"bytes=200-, 0-1"}, 100, []Range{{0, 2}}, RangeOK},
	{"numbers too large to count", []string{"bytes=1-99999999999999999999999"}, 100, []Range{{1, 99}}, RangeOK},
	{"as many bytes as there are", []string{"bytes=0-49,50-99"}, 100, []Range{{0, 50}, {50, 50}}, RangeOK},
	{"as many ranges as allowed", []string{"bytes=0-0,1-1,2-2,3-3"}, 100, []Range{{0, 1}, {1, 1}, {2, 1}, {3, 1}}, RangeOK},
	{"one more than allowed", []string{"bytes=0-0,1-1,2-2,3-3,4-4"}, 100, nil, RangeNone},
	{"one more than allowed, out of reach", []string{"bytes=0-0,1-1,2-2,3-3,400-"}, 100, nil, RangeNone},
	{"one byte more than there is", []string{"bytes=0-49,49-99"}, 100, nil, RangeNone},
	{"starts at the end", []string{"bytes=100-"}, 100, nil, RangeUnsatisfiable},
	{"starts far beyond the end", []string{"bytes=99999999999999999999999-"}, 100, nil, RangeUnsatisfiable},
	{"empty suffix", []string{"bytes=-0"}, 100, nil, RangeUnsatisfiable},
	{"all beyond the end", []string{"bytes=100-, 200-300"}, 100, nil, RangeUnsatisfiable},
	{"nothing to have", []string{"bytes=0-"}, 0, nil, RangeNone},
	{"another unit", []string{"items=0-1"}, 100, nil, RangeNone},
	{"no unit", []string{"0-1"}, 100, nil, RangeNone},
	{"several lines", []string{"bytes=0-1", "bytes=2-3"}, 100, nil, RangeNone},
	{"no range", []string{"bytes="}, 100, nil, RangeNone},
	{"only commas", []string{"bytes=,,"}, 100, nil, RangeNone},
	{"only a dash", []string{"bytes=-"}, 100, nil, RangeNone},
	{"no dash", []string{"bytes=5"}, 100, nil, RangeNone},
	{"last before first", []string{"bytes=5-4"}, 100, nil, RangeNone},
	{"last before first beyond the end", []string{"bytes=500-400"}, 100, nil, RangeNone},
	{"one malformed spoils all", []string{"bytes=0-1,x-y"}, 100, nil, RangeNone},
	{"malformed last", []string{"bytes=0-1x"}, 100, nil, RangeNone},
	{"signs", []string{"bytes=+0-+1"}, 100, nil, RangeNone},
	{"double dash", []string{"bytes=--1"}, 100, nil, RangeNone},
	{"blanks inside", []string{"bytes=0 - 1"}, 100, nil, RangeNone},
	{"blank before the equals sign", []string{"bytes =0-1"}, 100, nil, RangeNone},
}

func TestParseRange_RFC9110_14_2(t *testing.T) {
	for _, row := range rangeRows {
		got, result := ParseRange(row.lines, row.size, 4)
		if result != row.result || !slices.Equal(got, row.want) {
			t.Errorf("%s: got %v, %v, want %v, %v", row.name, got, result, row.want, row.result)
		}
	}
	if got, result := ParseRange([]string{"bytes=0-0"}, 100, 0); result != RangeNone {
		t.Errorf("no range allowed: got %v, %v", got, result)
	}
}

func FuzzParseRange(f *testing.F) {
	for _, row := range rangeRows {
		f.Add(strings.Join(row.lines, ","), row.size)
	}
	f.Fuzz(func(t *testing.T, line string, size int64) {
		const most = 8
		ranges, result := ParseRange([]string{line}, size, most)
		if (result == RangeOK) != (len(ranges) > 0) || len(ranges) > most {
			t.Fatalf("%q of %d: got %v with result %v", line, size, ranges, result)
		}
		var sum int64
		for _, r := range ranges {
			if r.Start < 0 || r.Length < 1 || r.Start > size-r.Length {
				t.Errorf("%q of %d: %v is out of bounds", line, size, r)
			}
			sum += r.Length
		}
		if sum > size && len(ranges) > 0 {
			t.Errorf("%q of %d: %d bytes in sum", line, size, sum)
		}
	})
}
