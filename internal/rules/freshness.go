package rules

import "time"

// Age returns the current_age of RFC 9111, 4.2.3.
func (m *Meta) Age(now time.Time) time.Duration { return m.initialAge }

// Lifetime returns the freshness lifetime.
func (m *Meta) Lifetime() time.Duration { return m.lifetime }

// TTL returns how long the response stays fresh; negative if it is stale.
func (m *Meta) TTL(now time.Time) time.Duration { return m.lifetime - m.Age(now) }

// Explicit says whether the response itself gave its lifetime.
func (m *Meta) Explicit() bool { return m.explicit }

// Keep returns how long the response can be of use at all, windows for stale use and validation included; a store may
// forget it after that.
func (m *Meta) Keep(o *Options, now time.Time) time.Duration { return 0 }
