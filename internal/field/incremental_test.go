package field

import (
	"strings"
	"testing"
)

func TestRFC10036_3_Incremental(t *testing.T) {
	for _, row := range []struct {
		name  string
		lines []string
		want  bool
	}{
		{"true asks for it", []string{"?1"}, true},
		{"unknown parameters are ignored", []string{" ?1;a=2;b "}, true},
		{"false is the default", []string{"?0"}, false},
		{"no field", nil, false},
		{"an empty field", []string{""}, false},
		{"an Integer is another type", []string{"1"}, false},
		{"a Token is another type", []string{"true"}, false},
		{"a List is no Item", []string{"?1, ?1"}, false},
		{"nor are two lines", []string{"?1", "?1"}, false},
		{"an Inner List is no Item", []string{"(?1)"}, false},
		{"what does not parse", []string{"?1;"}, false},
		{"a longer value than any sender writes", []string{"?1;a=" + strings.Repeat("1", MaxStructured)}, false},
	} {
		if got := IsIncremental(row.lines); got != row.want {
			t.Errorf("%s: got %v for %.40q", row.name, got, row.lines)
		}
	}
}
