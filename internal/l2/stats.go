package l2

import (
	"sync/atomic"
)

// Stats describes a Cache. Counts are since New.
type Stats struct {
	Hits, Misses uint64 // of Lookups that the store answered
	Refused      uint64 // values that were garbled, outdated, or not what was asked for
	Purged       uint64 // values that were purged after they were made
	Skipped      uint64 // Lookups that did not ask the store, because of the breaker
	Busy         uint64 // calls that were not made because too many are in progress

	Errors, Timeouts, Panics uint64 // of calls
	Opened                   uint64 // how often the breaker has opened

	Written uint64 // responses
	// Dropped counts responses that were not written: the queue was full, the breaker open, or the
	// call failed.
	Dropped uint64

	Open         bool // the breaker is open
	QueueEntries int
	QueueBytes   int64
	Pending      int // names, two for most purges, that the store does not know to be purged yet
}

type counters struct {
	hits, misses, refused, purged, skipped, busy, errors, timeouts, panics, opened, written, dropped atomic.Uint64
}

// Stats returns the counts. Each is read at its own moment.
func (t *Cache) Stats() Stats {
	c := &t.stats
	s := Stats{
		Hits: c.hits.Load(), Misses: c.misses.Load(), Refused: c.refused.Load(), Purged: c.purged.Load(), Skipped: c.skipped.Load(), Busy: c.busy.Load(),
		Errors: c.errors.Load(), Timeouts: c.timeouts.Load(), Panics: c.panics.Load(), Opened: c.opened.Load(),
		Written: c.written.Load(), Dropped: c.dropped.Load(),
		Open: t.breaker.open.Load(), Pending: t.pending.size(),
	}
	s.QueueEntries, s.QueueBytes = t.queue.size()
	return s
}
