package rules

import (
	"net/http"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
)

// MaxRanges is how many ranges one request may ask for. With more, Range is ignored (RFC 9110,
// 14.2).
const MaxRanges = 16

// Ranges evaluates If-Range and Range of the request header h of a GET against a stored response of
// size bytes (RFC 9110, 13.1.5 and 14.2). It returns Full, Partial with at least one range, or
// Unsatisfiable. Conditions come first: call it only if Condition returned Full. Only a stored 200
// has ranges.
func (v *Validators) Ranges(h http.Header, status int, size int64, now time.Time) ([]field.Range, Outcome) {
	lines := h["Range"]
	if status != http.StatusOK || len(lines) == 0 || !v.unchanged(h["If-Range"], now) {
		return nil, Full
	}
	switch ranges, result := field.ParseRange(lines, size, MaxRanges); result {
	case field.RangeOK:
		return ranges, Partial
	case field.RangeUnsatisfiable:
		return nil, Unsatisfiable
	default:
		return nil, Full
	}
}

// unchanged evaluates If-Range: only a strong validator proves that the client's parts are of the
// same bytes.
func (v *Validators) unchanged(lines []string, now time.Time) bool {
	switch len(lines) {
	case 0:
		return true
	case 1:
	default:
		return false
	}
	value := strings.Trim(lines[0], " \t")
	if strings.Contains(value[:min(len(value), 3)], `"`) {
		tag, ok := field.ParseETag(value)
		return ok && v.hasETag() && tag.StrongMatch(v.ETag)
	}
	since, ok := field.ParseDate(value, now)
	// Last-Modified is strong only if the response was made a second or more after it (RFC 9110,
	// 8.8.2.2).
	return ok && v.modified != "" && since.Equal(v.LastModified()) && v.Date().Sub(since) >= time.Second
}
