package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShow(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"a package begins and ends", `{"Action":"start","Package":"a"}
{"Action":"output","Package":"a","Output":"ok  \ta\t0.1s\n"}
{"Action":"pass","Package":"a","Elapsed":1.25}
`, "begins a\nok     a 1.2s\n"},
		{"the output of a test that passes is not shown", `{"Action":"output","Package":"a","Test":"TestX","Output":"noise\n"}
{"Action":"pass","Package":"a","Test":"TestX","Elapsed":1}
`, ""},
		{"that of one that fails is, and nothing of others", `{"Action":"output","Package":"a","Test":"TestX","Output":"x.go:1: bad\n"}
{"Action":"output","Package":"a","Test":"TestY","Output":"noise\n"}
{"Action":"pass","Package":"a","Test":"TestY","Elapsed":1}
{"Action":"fail","Package":"a","Test":"TestX","Elapsed":1}
{"Action":"output","Package":"a","Output":"FAIL\n"}
{"Action":"fail","Package":"a","Elapsed":2}
`, "x.go:1: bad\nFAIL\nFAIL   a 2.0s\n"},
		{"a package does not compile", `{"ImportPath":"a","Action":"build-output","Output":"a.go:1: syntax error\n"}
{"ImportPath":"a","Action":"build-fail"}
`, "a.go:1: syntax error\n"},
		{"the process dies in the middle of a test", `{"Action":"output","Package":"a","Test":"TestX","Output":"fatal error\n"}
`, "fatal error\n"},
		{"what go says itself", "go: no such module\n", "go: no such module\n"},
		{"a line without an end", "go: no", "go: no"},
	} {
		var out strings.Builder
		require.NoError(t, show(strings.NewReader(row.in), &out), row.name)
		require.Equal(t, row.want, out.String(), row.name)
	}
}
