// Progress reads what go test -json prints and says when a package begins and when it ends, and
// shows the output of what has failed. scripts/test uses it: go test alone is silent for minutes.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if err := show(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "progress:", err)
		os.Exit(1)
	}
}

// event is a line of go test -json; see go doc test2json.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64 // in seconds
}

// show copies events until in ends. What is not an event is passed on as it is.
func show(in io.Reader, out io.Writer) error {
	output := map[string]*strings.Builder{} // of a package, and of each of its tests, not shown yet
	of := func(e event) string { return e.Package + " " + e.Test }
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
				fmt.Fprint(out, line)
				continue
			}
			switch e.Action {
			case "build-output":
				fmt.Fprint(out, e.Output)
			case "start":
				fmt.Fprintln(out, "begins", e.Package)
			case "output":
				if output[of(e)] == nil {
					output[of(e)] = new(strings.Builder)
				}
				output[of(e)].WriteString(e.Output)
			case "pass", "skip", "fail":
				text := output[of(e)]
				delete(output, of(e))
				if e.Action == "fail" && text != nil {
					fmt.Fprint(out, text)
				}
				if e.Test == "" {
					fmt.Fprintf(out, "%-6s %s %.1fs\n", map[string]string{"pass": "ok", "skip": "none", "fail": "FAIL"}[e.Action], e.Package, e.Elapsed)
				}
			}
		}
		if errors.Is(err, io.EOF) {
			for _, text := range output {
				fmt.Fprint(out, text) // of what has not come to an end
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}
