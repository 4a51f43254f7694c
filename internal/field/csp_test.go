package field

import "testing"

func TestHasNonce(t *testing.T) {
	for _, row := range []struct {
		name  string
		lines []string
		want  bool
	}{
		{"nothing", nil, false},
		{"a policy without", []string{"default-src 'self'; script-src 'strict-dynamic' 'sha256-abc='"}, false},
		{"in script-src", []string{"script-src 'nonce-abc'"}, true},
		{"in style-src, behind others", []string{"default-src 'self'; style-src 'self' 'nonce-abc'"}, true},
		{"in default-src", []string{"default-src 'nonce-abc'"}, true},
		{"in script-src-elem", []string{"script-src-elem 'nonce-abc'"}, true},
		{"in any case", []string{"SCRIPT-SRC 'NoNCe-abc'"}, true},
		{"in the second of two policies", []string{"default-src 'self', script-src 'nonce-abc'"}, true},
		{"in the second line", []string{"default-src 'self'", "script-src 'nonce-abc'"}, true},
		{"a nonce without a value", []string{"script-src 'nonce-'"}, true},
		{"a host that is called so", []string{"script-src nonce-abc.example"}, false},
		{"a quote at the end", []string{"script-src '", "'nonce"}, false},
	} {
		if got := HasNonce(row.lines); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}
