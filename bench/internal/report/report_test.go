package report

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSetSectionLeavesTheRestAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	read := func() string {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(text)
	}
	require.NoError(t, SetSection(path, "# Title", "one", "first"))
	require.NoError(t, SetSection(path, "# Other", "two", "second"))
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(read(), "# Title\n", "# Title\n\nWritten by hand.\n", 1)), 0o600))
	require.NoError(t, SetSection(path, "# Other", "one", "first again\n"))
	require.Equal(t, "# Title\n\nWritten by hand.\n\n<!-- one -->\n\nfirst again\n\n<!-- /one -->\n\n<!-- two -->\n\nsecond\n\n<!-- /two -->\n", read())

	require.NoError(t, os.WriteFile(path, []byte("<!-- one -->\nno end"), 0o600))
	require.Error(t, SetSection(path, "", "one", "text"))
}

func TestTableIsAligned(t *testing.T) {
	table := Table{Head: []string{"what", "µs"}, Rows: [][]string{{"a", "10"}, {"longer", "1"}}}
	require.Equal(t, "| what   | µs |\n|--------|---:|\n| a      | 10 |\n| longer |  1 |\n", table.String())
}

func TestPlotIsXMLAndLeavesOutWhatIsMissing(t *testing.T) {
	svg := Bars{Title: "a < b", Series: []string{"x", "y"}, Mark: 1, Groups: []Group{{"first & last", []float64{1, -1}}, {"other", []float64{.5, 2}}}}.SVG()
	d := xml.NewDecoder(strings.NewReader(svg))
	bars := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			bars++
		}
	}
	require.Equal(t, 1+2+3, bars) // the ground, two in the legend, three values
}
