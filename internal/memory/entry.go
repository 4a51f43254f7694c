package memory

import (
	"math"
	"sync/atomic"
)

// entry is a resident. The mutex of its shard guards all but heat, which readers change under the
// read lock.
type entry[V any] struct {
	key   string
	value V
	heat  atomic.Uint64 // a heat: how often it was asked for lately

	charge uint32 // see cost
	slot   int32  // see young, bag and window; or nowhere
}

// cost is what e is charged: at most Cache.maxEntry, so that it fits four bytes.
func (e *entry[V]) cost() int64 { return int64(e.charge) }

// nowhere is the slot of an entry that has no place.
const nowhere = math.MinInt32

// young reports whether e, which has a place, is in the window.
func (e *entry[V]) young() bool { return e.slot < 0 }

// hit counts one hit. If two readers hit at once, only one may count. A count at its limit is not
// written again before the clock moves on: the most popular entries, which all processors want,
// keep their cache lines shared.
func (e *entry[V]) hit(now uint32) {
	old := heat(e.heat.Load())
	if h := old.more(now); h != old {
		e.heat.Store(uint64(h))
	}
}

// again reports whether e was asked for at least twice.
func (e *entry[V]) again() bool { return heat(e.heat.Load())&again != 0 }

// count returns how often e was asked for lately, in units of 1/once.
func (e *entry[V]) count(now uint32) int64 { return heat(e.heat.Load()).at(now) }
