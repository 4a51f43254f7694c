package field

import "strings"

// Policies are the fields that hold policies. If a response has several, each counts (CSP 3, 8.1).
var Policies = [...]string{"Content-Security-Policy", "Content-Security-Policy-Report-Only"}

// IsPolicy reports whether name is one of Policies.
func IsPolicy(name string) bool { return name == Policies[0] || name == Policies[1] }

// HasNonce reports whether a policy in the lines of a Content-Security-Policy, or of its
// Report-Only form, allows scripts or styles by a nonce (CSP 3, 2.3.1: 'nonce-…', in any case).
// Policies are separated by commas and lines, directives by semicolons. A nonce counts in each,
// since directives that know none ignore it.
func HasNonce(lines []string) bool {
	const nonce = "'nonce-"
	for _, line := range lines {
		for rest := line; ; {
			at := strings.IndexByte(rest, '\'')
			if at < 0 {
				break
			}
			rest = rest[at:]
			if len(rest) >= len(nonce) && strings.EqualFold(rest[:len(nonce)], nonce) {
				return true
			}
			rest = rest[1:]
		}
	}
	return false
}
