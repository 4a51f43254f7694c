package rules

import "net/http"

// Has says whether there is anything to validate with.
func (v *Validators) Has() bool { return false }

// Plain removes the client's conditions and ranges from h, so that the handler makes a full answer.
func Plain(h http.Header) {}

// Ask puts the conditions on h that ask whether the stored response still holds (RFC 9111, 4.3.1).
func (v *Validators) Ask(h http.Header) {}

// Confirmed says whether a 304 with the header h, answering the conditions of Ask, is about this stored response (RFC 9111, 4.3.4).
func (v *Validators) Confirmed(h http.Header) bool { return false }

// Freshen returns the stored header updated with that of a 304 (RFC 9111, 3.2 and 4.3.4). Both stay as they are; the
// result shares no slice with them. Whether it may still be stored is for Store to say again.
func Freshen(stored, update http.Header) http.Header { return nil }
