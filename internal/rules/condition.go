package rules

import (
	"net/http"
	"time"
)

// Outcome is how a stored response answers a request's conditions and ranges.
type Outcome uint8

const (
	Full          Outcome = iota // the whole response
	Unmodified                   // 304
	Partial                      // 206
	Unsatisfiable                // 416
)

// Condition evaluates If-None-Match and If-Modified-Since of the request header h (RFC 9111, 4.3.2; RFC 9110, 13.2.2): Full or Unmodified.
func (v *Validators) Condition(h http.Header, status int, now time.Time) Outcome { return Full }
