package rules

import (
	"slices"
	"strings"
	"testing"

	"github.com/edgecache-go/edgecache/internal/field"
)

func TestRFC9110_14_2_Ranges(t *testing.T) {
	const stored = "ETag: \"a\"\nLast-Modified: {-9}\nDate: {0}"
	whole := []field.Range{{Start: 0, Length: 2}}
	rows := []struct {
		name     string
		response string
		status   int
		request  string
		want     []field.Range
		outcome  Outcome
	}{
		{"no Range", stored, 200, "", nil, Full},
		{"from the start", stored, 200, "Range: bytes=0-1", whole, Partial},
		{"without an end", stored, 200, "Range: bytes=1-", []field.Range{{Start: 1, Length: 10}}, Partial},
		{"the last byte", stored, 200, "Range: bytes=-1", []field.Range{{Start: 10, Length: 1}}, Partial},
		{"several", stored, 200, "Range: bytes=0-1,5-6", []field.Range{{Start: 0, Length: 2}, {Start: 5, Length: 2}}, Partial},
		{"past the end", stored, 200, "Range: bytes=11-", nil, Unsatisfiable},
		{"another unit is ignored", stored, 200, "Range: lines=0-1", nil, Full},
		{"a malformed one is ignored", stored, 200, "Range: bytes=x", nil, Full},
		{"too many are ignored", stored, 200, "Range: bytes=0-0" + strings.Repeat(",0-0", MaxRanges), nil, Full},
		{"a redirect has no ranges", stored, 301, "Range: bytes=0-1", nil, Full},
		{"a missing page has none", stored, 404, "Range: bytes=0-1", nil, Full},

		{"If-Range with the tag (13.1.5)", stored, 200, "Range: bytes=0-1\nIf-Range: \"a\"", whole, Partial},
		{"If-Range with another tag", stored, 200, "Range: bytes=0-1\nIf-Range: \"b\"", nil, Full},
		{"If-Range with another tag wins over what cannot be satisfied", stored, 200, "Range: bytes=99-\nIf-Range: \"b\"", nil, Full},
		{"If-Range with a weak tag", stored, 200, "Range: bytes=0-1\nIf-Range: W/\"a\"", nil, Full},
		{"If-Range against a weak tag", `ETag: W/"a"`, 200, "Range: bytes=0-1\nIf-Range: \"a\"", nil, Full},
		{"If-Range with a tag where none is stored", "Last-Modified: {-9}", 200, "Range: bytes=0-1\nIf-Range: \"a\"", nil, Full},
		{"If-Range with a malformed tag", stored, 200, "Range: bytes=0-1\nIf-Range: \"a", nil, Full},
		{"If-Range twice", stored, 200, "Range: bytes=0-1\nIf-Range: \"a\"\nIf-Range: \"a\"", nil, Full},
		{"If-Range, empty", stored, 200, "Range: bytes=0-1\nIf-Range: ", nil, Full},
		{"If-Range with the date", stored, 200, "Range: bytes=0-1\nIf-Range: {-9}", whole, Partial},
		{"If-Range with a later date, which is no match", stored, 200, "Range: bytes=0-1\nIf-Range: {-8}", nil, Full},
		{"If-Range with an invalid date", stored, 200, "Range: bytes=0-1\nIf-Range: x", nil, Full},
		{"If-Range with a date where none is stored", `ETag: "a"`, 200, "Range: bytes=0-1\nIf-Range: {-9}", nil, Full},
		{"If-Range with a date less than a second before the response", "Last-Modified: {0}", 200, "Range: bytes=0-1\nIf-Range: {0}", nil, Full},
		{"If-Range with a date that may have changed twice (8.8.2.2)", "Last-Modified: {0}\nDate: {0}", 200, "Range: bytes=0-1\nIf-Range: {0}", nil, Full},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			v := ValidatorsOf(header(row.response), start)
			got, outcome := v.Ranges(header(row.request), row.status, 11, start)
			if outcome != row.outcome || !slices.Equal(got, row.want) {
				t.Errorf("got %v (%v), want %v (%v)", got, outcome, row.want, row.outcome)
			}
		})
	}
}
