// Package examples_test runs the programs of this folder, and the code in the README and the guide.
package examples_test

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/testing/session"
)

// maxLines is what a reader takes in at once.
const maxLines = 59

// TestExamples runs every example and, against it, the curl lines of its first comment.
func TestExamples(t *testing.T) {
	mains, err := filepath.Glob("*/main.go")
	require.NoError(t, err)
	require.NotEmpty(t, mains)
	for _, main := range mains {
		name := filepath.Dir(main)
		if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
			continue // a module of its own, with its own test
		}
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(main)
			require.NoError(t, err)
			if got := bytes.Count(text, []byte("\n")); got > maxLines {
				t.Errorf("%s: got %d lines, want at most %d", main, got, maxLines)
			}
			s, err := session.OfProgram(main)
			require.NoError(t, err)

			for how, run := range session.Curls() {
				t.Run(how, func(t *testing.T) {
					args := []string{"-listen", "127.0.0.1:0"}
					if name == "proxy" {
						args = append(args, "-origin", start(t, compiled("quickstart"), "-listen", "127.0.0.1:0").base)
					}
					require.NoError(t, s.Run(t.Context(), start(t, compiled(name), args...).base, run))
				})
			}
		})
	}
}

// TestPortTaken holds that a newcomer whose port is taken learns what to do.
func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	for _, name := range []string{"quickstart", "proxy", "stale"} {
		_, stderr, code := output(t, compiled(name), "-listen", l.Addr().String())
		if code != 1 || !strings.Contains(stderr, "takes any free one") && !strings.Contains(stderr, "take any free one") {
			t.Errorf("%s: got exit code %d and %q, want 1 and what to do", name, code, stderr)
		}
	}
}

// programs is the folder in which TestMain puts the examples, compiled.
var programs string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	flag.Parse()
	dir, err := os.MkdirTemp("", "edgecache-examples-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if text, err := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./...").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, text)
		return 1
	}
	programs = dir
	return m.Run()
}

// compiled returns the path of an example's program.
func compiled(name string) string {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(programs, name)
}

// program is one that runs.
type program struct {
	*exec.Cmd
	base  string      // its URL without a path
	lines chan string // of its output, after the one with the URL; closed when it has ended
}

var printedURL = regexp.MustCompile(`http://[^/\s]+`)

// start starts a program and waits until it prints its address. It is interrupted when the test
// ends.
func start(t *testing.T, path string, args ...string) *program {
	t.Helper()
	var stderr bytes.Buffer
	p := &program{Cmd: exec.CommandContext(t.Context(), path, args...), lines: make(chan string, 16)}
	p.Cancel = func() error { return p.Process.Signal(os.Interrupt) }
	p.WaitDelay = 10 * time.Second // then it is killed
	p.Stderr = &stderr
	stdout, err := p.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.Start())
	go func() {
		defer close(p.lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() { _ = p.wait() })
	for line := range p.lines {
		if p.base = printedURL.FindString(line); p.base != "" {
			return p
		}
	}
	_ = p.wait()
	require.FailNow(t, "the program ended", "%s %q: %s", path, args, stderr.String())
	return nil
}

// waitFor waits for a line of output.
func (p *program) waitFor(t *testing.T, text string) {
	t.Helper()
	for line := range p.lines {
		if strings.Contains(line, text) {
			return
		}
	}
	require.FailNow(t, "the program ended", "it has not said %q", text)
}

// wait returns when the program has ended. Calls after the first return an error.
func (p *program) wait() error {
	for range p.lines { // Wait closes the pipe, so reading must have ended
	}
	return p.Wait()
}

// output runs a program to its end.
func output(t *testing.T, path string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), path, args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(text), string(exit.Stderr), exit.ExitCode()
	}
	require.NoError(t, err)
	return string(text), "", 0
}
