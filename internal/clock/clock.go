// Package clock stores moments in eight bytes, where a time.Time takes twenty-four. It is for what
// is kept in great numbers, or in an atomic.
package clock

import "time"

// epoch is the moment to count from. It has a monotonic reading, so that instants do not move when
// the wall clock is set.
var epoch = time.Now()

// Instant is a moment, in nanoseconds since epoch. It means nothing outside of this process.
type Instant int64

// Of returns the instant of t, by the monotonic clock if t has a reading of it. A moment that is
// more than 292 years away counts as 292 years away.
func Of(t time.Time) Instant { return Instant(t.Sub(epoch)) }

// Until returns the time from i to t; it is negative if t is before i.
func (i Instant) Until(t time.Time) time.Duration { return time.Duration(Of(t) - i) }

// Time returns the time of i, with a monotonic reading.
func (i Instant) Time() time.Time { return epoch.Add(time.Duration(i)) }
