package rules

import (
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
)

// MaxRanges is how many ranges one request may ask for; with more, Range is ignored (RFC 9110, 14.2).
const MaxRanges = 16

// Ranges evaluates If-Range and Range of the request header h against a stored response of size bytes (RFC 9110, 13.1.5
// and 14.2): Full, Partial with at least one range, or Unsatisfiable. Conditions come before: call it only if Condition said Full.
func (v *Validators) Ranges(h http.Header, status int, size int64, now time.Time) ([]field.Range, Outcome) {
	return nil, Full
}
