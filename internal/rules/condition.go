package rules

import (
	"net/http"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
)

// Outcome is how a stored response answers a request's conditions and ranges.
type Outcome uint8

const (
	Full          Outcome = iota // the whole response
	Unmodified                   // 304
	Partial                      // 206
	Unsatisfiable                // 416
)

var outcomes = [...]string{"full", "unmodified", "partial", "unsatisfiable"}

// String returns the name in lower case.
func (o Outcome) String() string {
	if int(o) < len(outcomes) {
		return outcomes[o]
	}
	return outcomes[Full]
}

// Condition evaluates If-None-Match and If-Modified-Since of the request header h for a GET or
// HEAD. It returns Full or Unmodified. The order is that of RFC 9110, 13.2.2. Only a stored 200 can
// be unmodified (RFC 9111, 4.3.2).
func (v *Validators) Condition(h http.Header, status int, now time.Time) Outcome {
	if status != http.StatusOK {
		return Full
	}
	if lines := h["If-None-Match"]; len(lines) > 0 {
		if v.matches(lines) {
			return Unmodified
		}
		return Full // If-Modified-Since does not count beside it
	}
	lines := h["If-Modified-Since"]
	if len(lines) != 1 {
		return Full // it must come once: several lines are not valid (RFC 9110, 13.1.3)
	}
	if lines[0] == v.modified && lines[0] != "" {
		return Unmodified // clients send it back byte for byte; parsing a date takes longer than all else here
	}
	since, ok := field.ParseDate(lines[0], now)
	if !ok {
		return Full
	}
	modified := v.LastModified()
	if v.modified == "" {
		modified = v.Date().Truncate(time.Second) // RFC 9111, 4.3.2; dates have whole seconds
	}
	if modified.After(since) {
		return Full
	}
	return Unmodified
}

// matches reports whether If-None-Match names the stored response, by the weak comparison (RFC
// 9110, 13.1.2).
func (v *Validators) matches(lines []string) bool {
	if len(lines) == 1 && strings.Trim(lines[0], " \t") == "*" {
		return true
	}
	if !v.hasETag() {
		return false
	}
	for tag := range field.ETags(lines) {
		if tag.WeakMatch(v.ETag) {
			return true
		}
	}
	return false
}
