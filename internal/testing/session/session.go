// Package session runs what documents show: curl commands, and what they print. It is for tests of
// this repository only.
package session

import (
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// A Session is what a reader types and sees, as documents and first comments show it. A line
// "$ curl …" is a command; the lines below it, up to the next "$", are expected somewhere in its
// output: the status line, header fields, the body, in any order. In an expected line
//
//	…       stands for any text, even none;
//	<name>  stands for some text: the same text wherever the name comes again in the session, and
//	        another text than that of every other name.
//
// Other text must be equal. Output that is not mentioned may be anything.
type Session []command

type command struct {
	line int // in the text, from 1
	args []string
	want []string
}

// Parse reads the commands from text. Lines before the first "$" are ignored, as are blank ones.
func Parse(text string) (Session, error) {
	var s Session
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		typed, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case line == "":
		case isCommand:
			args, err := words(typed)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			if len(args) < 2 || args[0] != "curl" {
				return nil, fmt.Errorf("line %d: %q is no curl command", n, line)
			}
			s = append(s, command{line: n, args: args[1:]})
		case len(s) > 0:
			last := &s[len(s)-1]
			last.want = append(last.want, line)
		}
	}
	return s, nil
}

// OfProgram reads the commands of the comment with which a Go file begins.
func OfProgram(name string) (Session, error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		return nil, err
	}
	s, err := Parse(file.Doc.Text())
	if err == nil && len(s) == 0 {
		err = fmt.Errorf("%s: the first comment has no curl lines", name)
	}
	return s, err
}

// words splits a command as a shell does, as far as blanks and quotes go.
func words(line string) ([]string, error) {
	var all []string
	word, quote, inWord := "", rune(0), false
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, inWord = c, true
		case quote == 0 && c == ' ':
			if inWord {
				all = append(all, word)
			}
			word, inWord = "", false
		case strings.ContainsRune("\\$`|;&<>*?", c) && quote != '\'':
			return nil, fmt.Errorf("%q means something to a shell: put it in single quotes", c)
		default:
			word += string(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote is not closed")
	}
	if inWord {
		all = append(all, word)
	}
	return all, nil
}

// A Curl runs one command line and returns what curl prints.
type Curl func(ctx context.Context, args []string) (string, error)

var written = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+`)

// Run executes the session against the server at base, whatever address the commands have.
func (s Session) Run(ctx context.Context, base string, run Curl) error {
	var names bindings
	var all []error
	for _, c := range s {
		args := slices.Clone(c.args)
		for i := range args {
			args[i] = written.ReplaceAllLiteralString(args[i], base)
		}
		output, err := run(ctx, args)
		if err != nil {
			return fmt.Errorf("line %d: curl %q: %w", c.line, args, err)
		}
		for _, want := range c.want {
			if err := names.find(want, output); err != nil {
				all = append(all, fmt.Errorf("line %d: curl %q: %w in\n%s", c.line, args, err, output))
			}
		}
	}
	return errors.Join(all...)
}

// bindings are the texts that the names of a session stand for.
type bindings map[string]string

var placeholder = regexp.MustCompile(`…|<[a-z]+>`)

// find looks for a line of output that matches want.
func (b *bindings) find(want, output string) error {
	if *b == nil {
		*b = bindings{}
	}
	pattern, rest := "^", want
	for _, p := range placeholder.FindAllString(want, -1) {
		before, after, _ := strings.Cut(rest, p)
		pattern, rest = pattern+regexp.QuoteMeta(before), after
		name := strings.Trim(p, "<>")
		value, bound := (*b)[name]
		switch {
		case p == "…":
			pattern += ".*"
		case bound:
			pattern += regexp.QuoteMeta(value)
		default:
			pattern += "(?P<" + name + ">.+)"
		}
	}
	re, err := regexp.Compile(pattern + regexp.QuoteMeta(rest) + "$")
	if err != nil {
		return fmt.Errorf("%q: a name may come only once in a line: %w", want, err)
	}
	same := ""
	for line := range strings.Lines(output) {
		found := re.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		if found == nil {
			continue
		}
		if same = b.bind(re.SubexpNames(), found); same == "" {
			return nil
		}
	}
	if same != "" {
		return fmt.Errorf("%q: it is what <%s> was", want, same)
	}
	return fmt.Errorf("no line %q", want)
}

// bind notes what names stand for. If two names would stand for the same text, it returns that and
// changes nothing.
func (b *bindings) bind(names, values []string) (same string) {
	next := maps.Clone(*b)
	for i, name := range names {
		if name == "" {
			continue
		}
		for other, value := range next {
			if value == values[i] {
				return other
			}
		}
		next[name] = values[i]
	}
	*b = next
	return ""
}

// Curls are the ways to run a session: by a Go client, and by curl itself where it is installed.
func Curls() map[string]Curl {
	all := map[string]Curl{"client": clientCurl}
	if path, err := exec.LookPath("curl"); err == nil {
		all["curl"] = func(ctx context.Context, args []string) (string, error) {
			// Without the user's own configuration and proxies.
			output, err := exec.CommandContext(ctx, path, append([]string{"-q", "-s", "--noproxy", "*"}, args...)...).Output()
			return string(output), err
		}
	}
	return all
}

// clientCurl understands -i, -I, -s, -X method, -d data, -H field, -b cookies and one URL.
func clientCurl(ctx context.Context, args []string) (string, error) {
	method, target, include := http.MethodGet, "", false
	var data []string
	header := http.Header{"User-Agent": {"curl"}, "Accept": {"*/*"}}
	for i := 0; i < len(args); i++ {
		value := func() string {
			i++
			if i < len(args) {
				return args[i]
			}
			return ""
		}
		switch arg := args[i]; {
		case arg == "-i":
			include = true
		case arg == "-I":
			include, method = true, http.MethodHead
		case arg == "-s":
		case arg == "-X":
			method = value()
		case arg == "-d":
			data = append(data, value())
		case arg == "-b":
			header.Add("Cookie", value())
		case arg == "-H":
			name, text, ok := strings.Cut(value(), ":")
			if !ok {
				return "", errors.New("-H wants name: value")
			}
			header.Add(name, strings.TrimSpace(text))
		case strings.HasPrefix(arg, "-"):
			return "", fmt.Errorf("no flag %s in this client", arg)
		case target != "":
			return "", errors.New("this client takes one URL")
		default:
			target = arg
		}
	}
	if data != nil {
		if header.Get("Content-Type") == "" {
			header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if method == http.MethodGet {
			method = http.MethodPost
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(strings.Join(data, "&")))
	if err != nil {
		return "", err
	}
	request.Header = header
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var b strings.Builder
	if include {
		fmt.Fprintf(&b, "%s %s\n", response.Proto, response.Status)
		for _, name := range slices.Sorted(maps.Keys(response.Header)) {
			for _, value := range response.Header[name] {
				fmt.Fprintf(&b, "%s: %s\n", name, value)
			}
		}
		b.WriteString("\n")
	}
	_, err = io.Copy(&b, response.Body)
	return b.String(), err
}
