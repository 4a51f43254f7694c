package rules

import "time"

// Action is what to do with a stored response that fits the request by key and variant.
type Action uint8

const (
	Forward         Action = iota // this request may not use it at all: run the handler, and store only what Store allows
	Serve                         // answer with it
	ServeAndRefresh               // answer with it and make it anew in the background
	Validate                      // run the handler, with a condition if there is a validator
	Fail                          // answer 504: the client wanted a stored response only
)

// String returns the name in lower case.
func (a Action) String() string { return "" }

// Reuse decides what req may do with the stored response. It neither allocates nor parses.
func (m *Meta) Reuse(o *Options, req *Request, now time.Time) (Action, Reason) { return Forward, Stale }

// StaleOnError says whether the stored response may stand in for an error: a 5xx answer, or, if unreachable, no answer.
func (m *Meta) StaleOnError(o *Options, req *Request, unreachable bool, now time.Time) bool {
	return false
}
