// Package clock tells moments in eight bytes, where a time.Time takes twenty-four, for what is kept in great numbers.
package clock

import "time"

// epoch is only a moment to count from. It has a monotonic reading, so that instants do not move when somebody sets the wall clock.
var epoch = time.Now()

// Instant is a moment, in nanoseconds since some moment of this process: it means nothing outside of it.
type Instant int64

// Of returns the instant of t: by the monotonic clock if t has a reading of it. What is 292 years away or more is that far away.
func Of(t time.Time) Instant { return Instant(t.Sub(epoch)) }

// Until returns how long after i the moment t is; negative if it is before.
func (i Instant) Until(t time.Time) time.Duration { return time.Duration(Of(t) - i) }

// Time returns the time of i, with a monotonic reading.
func (i Instant) Time() time.Time { return epoch.Add(time.Duration(i)) }
