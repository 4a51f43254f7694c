package field

import (
	"strings"
	"testing"
)

func TestLimits(t *testing.T) {
	t.Run("Cache-Control", func(t *testing.T) {
		const text = "max-age=60, x="
		for _, tt := range []struct {
			name    string
			size    int
			noStore bool
		}{
			{"at the limit it is read", MaxCacheControl, false},
			{"one byte past the limit it counts as no-store", MaxCacheControl + 1, true},
		} {
			long := text + strings.Repeat("y", tt.size-len(text))
			for _, lines := range [][]string{{long}, {long[:11], long[11:]}} {
				cc := ParseCacheControl(lines)
				if cc.NoStore != tt.noStore || cc.MaxAge.Set == tt.noStore || cc.Empty {
					t.Errorf("%s, in %d lines: got no-store %v, max-age %v", tt.name, len(lines), cc.NoStore, cc.MaxAge)
				}
			}
		}
	})
	t.Run("entity tags", func(t *testing.T) {
		for _, tt := range []struct {
			name string
			size int
			want int
		}{
			{"at the limit they are read", MaxETags, 2},
			{"one byte past the limit none is", MaxETags + 1, 0},
		} {
			line := `"a", "` + strings.Repeat("b", tt.size-len(`"a", ""`)) + `"`
			got := 0
			for range ETags([]string{line}) {
				got++
			}
			if got != tt.want {
				t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
			}
		}
	})
}
