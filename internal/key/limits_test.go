package key

import (
	"net/http"
	"strings"
	"testing"
)

func TestValuesAreNormalisedUpToALimit(t *testing.T) {
	variant := func(value string) string {
		return string(Variant(nil, []string{"Accept-Language"}, http.Header{"Accept-Language": {value}}, nil))
	}
	for _, tt := range []struct {
		name string
		size int
		same bool
	}{
		{"at the limit case does not count", maxNormalized, true},
		{"one byte past the limit the value is taken as it is", maxNormalized + 1, false},
	} {
		lower := strings.Repeat("a", tt.size)
		if got := variant(lower) == variant(strings.ToUpper(lower)); got != tt.same {
			t.Errorf("%s: got the same variant: %v", tt.name, got)
		}
	}
}
