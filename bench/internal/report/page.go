// Package report writes what was measured into a Markdown page and a plot.
package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Table is one of Markdown. The first column is text, the others are figures.
type Table struct {
	Head []string
	Rows [][]string
}

// String returns the table with its columns aligned, so that it can be read as it is.
func (t Table) String() string {
	widths := make([]int, len(t.Head))
	for _, row := range append([][]string{t.Head}, t.Rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var b strings.Builder
	line := func(row []string) {
		b.WriteString("|")
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if i == 0 {
				fmt.Fprintf(&b, " %s%s |", cell, pad)
			} else {
				fmt.Fprintf(&b, " %s%s |", pad, cell)
			}
		}
		b.WriteString("\n")
	}
	line(t.Head)
	b.WriteString("|")
	for i, w := range widths {
		if i == 0 {
			b.WriteString(strings.Repeat("-", w+2) + "|")
		} else {
			b.WriteString(strings.Repeat("-", w+1) + ":|")
		}
	}
	b.WriteString("\n")
	for _, row := range t.Rows {
		line(row)
	}
	return b.String()
}

// SetSection replaces what stands between <!-- name --> and <!-- /name --> in the file, and leaves the rest as its authors wrote it.
// A file without the section gets it at its end; one that does not exist begins with title.
func SetSection(path, title, name, text string) error {
	old, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		old, err = []byte(title+"\n"), nil
	}
	if err != nil {
		return err
	}
	begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->\n"
	section := begin + "\n" + strings.TrimSpace(text) + "\n\n" + end
	before, rest, ok := strings.Cut(string(old), begin)
	if !ok {
		return os.WriteFile(path, []byte(string(old)+"\n"+section), 0o644)
	}
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return fmt.Errorf("bench: %s has %q without %q", path, begin, end)
	}
	return os.WriteFile(path, []byte(before+section+after), 0o644)
}
