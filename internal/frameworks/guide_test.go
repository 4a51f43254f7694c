package frameworks

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestGuide holds that each router is mounted here as the table of the guide has it.
func TestGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/guide/caching.md")
	require.NoError(t, err)
	var tests strings.Builder
	for _, name := range []string{"routers_test.go", "pocketbase_test.go", "http3_test.go"} {
		source, err := os.ReadFile(name)
		require.NoError(t, err)
		tests.Write(source)
	}
	source := regexp.MustCompile(`\becho[45]\.`).ReplaceAllString(tests.String(), "echo.")
	_, table, found := strings.Cut(string(text), "\n| router | the cache | in a handler |\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	rows := 0
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if strings.HasPrefix(row, "|---") || strings.Contains(cells[1], "net/http") {
			continue
		}
		rows++
		for _, cell := range cells[2:4] {
			code := regexp.MustCompile("`([^`]+)`").FindStringSubmatch(cell)
			require.NotNil(t, code, row)
			assert.Contains(t, source, strings.TrimSuffix(code[1], "d)"), row)
		}
	}
	assert.Equal(t, 4, rows)
}
