// Package generations orders purges and what is made between them: it keeps what was made before a
// purge from being used after it.
package generations

import "sync/atomic"

// Table is one sequence of purges. For each of a fixed number of places it holds a mark: the number
// of the last purge there. A name that can be purged has one place or several, usually by its hash.
// Two names that share their places are purged together, which costs a render and is never wrong.
//
// Whoever makes something remembers Now first, and asks PurgedSince before it is used. A purge
// bumps the table first and then removes what is stored: what is stored in between is removed, and
// what comes later sees the mark. A Table is safe for concurrent use.
type Table struct {
	sequence atomic.Uint64
	marks    []atomic.Uint64 // each only grows
}

// New returns a table with this number of places, none of which was purged yet.
func New(places int) *Table { return &Table{marks: make([]atomic.Uint64, places)} }

// Now is where the sequence stands. It is 0 before the first purge.
func (t *Table) Now() uint64 { return t.sequence.Load() }

// Bump gives the places the next number, and returns it.
func (t *Table) Bump(places ...uint32) uint64 {
	n := t.Next()
	t.Mark(n, places...)
	return n
}

// Next takes the next number of the sequence. Bump does so first.
func (t *Table) Next() uint64 { return t.sequence.Add(1) }

// Mark gives the places a number that Next has returned. Bump does so last.
func (t *Table) Mark(n uint64, places ...uint32) {
	for _, at := range places {
		raise(&t.marks[at], n)
	}
}

// Forget takes a place for one that was never purged. It is for tests that show that they can fail.
func (t *Table) Forget(place uint32) { t.marks[place].Store(0) }

// PurgedSince reports whether the name that has these places was, or may have been, purged after
// the sequence stood at gen: whether all of them were.
func (t *Table) PurgedSince(gen uint64, places ...uint32) bool {
	for _, at := range places {
		if t.marks[at].Load() <= gen {
			return false
		}
	}
	return len(places) > 0
}

// raise sets a mark, unless a later purge has set it: two purges may come here out of order.
func raise(mark *atomic.Uint64, n uint64) {
	for {
		old := mark.Load()
		if old >= n || mark.CompareAndSwap(old, n) {
			return
		}
	}
}
