package session

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// replay plays a conversation without a server.
func replay(outputs ...string) Curl {
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
		s, err := Parse(row.text)
		if err == nil {
			err = s.Run(t.Context(), "http://127.0.0.1:1", replay(row.outputs...))
		}
		checkError(t, row.name, err, row.want)
	}
}

func TestParseSession(t *testing.T) {
	s, err := Parse("Words before.\n\n\t$ curl -H 'A: \"b\" $c' \"http://127.0.0.1:80/a b\"\n\tone\n\n\ttwo\n\t$ curl x\n")
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%q", s)
	if want := fmt.Sprintf("%q", Session{
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
		_, err := Parse(row.text)
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
