package rules

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestReasons(t *testing.T) {
	kebab := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	// RFC 9211, 2.2; "" where nothing was forwarded.
	forwards := []string{"", "bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"}
	var names []string
	for reason := range Reasons() {
		name, explanation := reason.String(), reason.Explain()
		if !kebab.MatchString(name) {
			t.Errorf("%d: name %q", reason, name)
		}
		if slices.Contains(names, name) {
			t.Errorf("%q stands there twice", name)
		}
		names = append(names, name)
		if !slices.Contains(forwards, reason.Forward()) {
			t.Errorf("%q: forward %q", name, reason.Forward())
		}
		if len(explanation) < 30 || !strings.HasSuffix(explanation, ".") {
			t.Errorf("%q: explanation %q", name, explanation)
		}
	}
	if len(names) != int(reasons)-1 {
		t.Errorf("got %d reasons, want %d", len(names), reasons-1)
	}
	for range Reasons() {
		break // must not go on
	}
	for _, reason := range []Reason{None, reasons, 255} {
		if reason.String() != "" || reason.Forward() != "" {
			t.Errorf("%d: got %q, %q", reason, reason, reason.Forward())
		}
	}
}
