package examples_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A session is what somebody types, and what they see, as documents and first comments show it. A line "$ curl …" is a
// command; the lines below it, up to the next "$", are expected somewhere in its output: the status line, header
// fields, the body, in any order. In an expected line
//
//	…       stands for any text, even none;
//	<name>  stands for some text: the same text wherever the name comes again in the session, and another text than
//	        that of every other name.
//
// Everything else stands for itself. Output that is not mentioned may be anything.
type session []command

type command struct {
	line int // in the text, from 1
	args []string
	want []string
}

// parseSession reads the commands from text. Lines before the first "$" are ignored, as are blank ones.
func parseSession(text string) (session, error) {
	var s session
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

// A curl runs one command line and returns what curl prints.
type curl func(ctx context.Context, args []string) (string, error)

var written = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+`)

// run executes the session against the server at base, whichever address is written in the commands.
func (s session) run(ctx context.Context, base string, run curl) error {
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

// bindings are what the names of a session stand for so far.
type bindings map[string]string

var placeholder = regexp.MustCompile(`…|<[a-z]+>`)

// find looks for a line of output that is as want says.
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

// bind takes over what names stand for. If one of them would be the same as another one, it returns that and changes nothing.
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

// curls are the ways to run a session: always by a Go client, and by curl itself where it is installed.
func curls() map[string]curl {
	all := map[string]curl{"client": clientCurl}
	if path, err := exec.LookPath("curl"); err == nil {
		all["curl"] = func(ctx context.Context, args []string) (string, error) {
			// Without the user's own configuration and proxies.
			output, err := exec.CommandContext(ctx, path, append([]string{"-q", "-s", "--noproxy", "*"}, args...)...).Output()
			return string(output), err
		}
	}
	return all
}

// clientCurl understands -i, -I, -s, -X method, -H field, -b cookies and one URL.
func clientCurl(ctx context.Context, args []string) (string, error) {
	method, target, include := http.MethodGet, "", false
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
	request, err := http.NewRequestWithContext(ctx, method, target, nil)
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

// replay plays a conversation without a server.
func replay(outputs ...string) curl {
	return func(context.Context, []string) (string, error) {
		output := outputs[0]
		outputs = outputs[1:]
		return output, nil
	}
}

// TestSession shows that a session can fail, and by what.
func TestSession(t *testing.T) {
	for _, row := range []struct {
		name, text string
		outputs    []string
		want       string // "" is none
	}{
		{"a line is found in any place", "$ curl a\nX-Cache: HIT\nHTTP/1.1 200 OK", []string{"HTTP/1.1 200 OK\r\nX-Cache: HIT\r\n"}, ""},
		{"a missing line is an error", "$ curl a\nX-Cache: HIT", []string{"X-Cache: MISS\n"}, `no line "X-Cache: HIT"`},
		{"a line is a whole line", "$ curl a\nX-Cache: HIT", []string{"X-Cache: HIT, HIT\n"}, "no line"},
		{"an ellipsis is any text", "$ curl a\nmade at … today", []string{"made at noon today"}, ""},
		{"characters of a pattern stand for themselves", "$ curl a\na.c", []string{"abc"}, "no line"},
		{"a name is the same text everywhere", "$ curl a\nat <x>\n$ curl b\nat <x>", []string{"at 1", "at 1"}, ""},
		{"a name is no other text", "$ curl a\nat <x>\n$ curl b\nat <x>", []string{"at 1", "at 2"}, "no line"},
		{"another name is another text", "$ curl a\nat <x>\n$ curl b\nat <y>", []string{"at 1", "at 2"}, ""},
		{"another name is not the same text", "$ curl a\nat <x>\n$ curl b\nat <y>", []string{"at 1", "at 1"}, "it is what <x> was"},
		{"a name is not empty", "$ curl a\nat <x>", []string{"at "}, "no line"},
	} {
		s, err := parseSession(row.text)
		if err == nil {
			err = s.run(t.Context(), "http://127.0.0.1:1", replay(row.outputs...))
		}
		checkError(t, row.name, err, row.want)
	}
}

func TestParseSession(t *testing.T) {
	s, err := parseSession("Words before.\n\n\t$ curl -H 'A: \"b\" $c' \"http://127.0.0.1:80/a b\"\n\tone\n\n\ttwo\n\t$ curl x\n")
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%q", s)
	if want := fmt.Sprintf("%q", session{
		{line: 3, args: []string{"-H", `A: "b" $c`, "http://127.0.0.1:80/a b"}, want: []string{"one", "two"}},
		{line: 7, args: []string{"x"}},
	}); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, row := range []struct{ name, text, want string }{
		{"another command", "$ wget x", "no curl command"},
		{"curl without arguments", "$ curl", "no curl command"},
		{"an open quote", "$ curl 'x", "not closed"},
		{"a pipe", "$ curl x | head", "single quotes"},
		{"a variable", "$ curl $x", "single quotes"},
		{"a query that the shell would match with files", "$ curl http://127.0.0.1:80/?a=b", "single quotes"},
	} {
		_, err := parseSession(row.text)
		checkError(t, row.name, err, row.want)
	}
}

func TestClientCurlRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, row := range []struct {
		name string
		args []string
		want string
	}{
		{"a flag", []string{"--http2", "http://127.0.0.1:1/"}, "no flag --http2"},
		{"a second URL", []string{"http://127.0.0.1:1/", "http://127.0.0.1:1/"}, "one URL"},
		{"a field without a colon", []string{"-H", "A"}, "name: value"},
	} {
		_, err := clientCurl(t.Context(), row.args)
		checkError(t, row.name, err, row.want)
	}
}

func checkError(t *testing.T, name string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: got %v, want no error", name, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: got %v, want an error that says %q", name, err, want)
	}
}
