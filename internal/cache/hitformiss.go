package cache

import (
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/clock"
	"github.com/edgecache-go/edgecache/internal/rules"
)

const (
	// hitForMissTTL is how long it is remembered that the answer for a URL could not be stored. Until then requests for the
	// URL do not wait for each other, and are passed on with their conditions and ranges.
	hitForMissTTL = 2 * time.Minute

	// hitForMissSlots is how many URLs can be remembered, at 8 bytes each.
	hitForMissSlots = 1 << 16

	// hitForMissTick is the unit of a slot's time.
	hitForMissTick = time.Second / 4
)

// A slot of refusals holds, from the highest bit: 28 bits of a hash, 28 bits of the tick until which it counts, and 8 bits of a Reason.
const (
	tagShift, tickShift = 36, 8
	tickMask            = 1<<28 - 1
	reasonMask          = 1<<8 - 1
)

// Class tells apart for whom a response is refused: see hitForMiss.
type Class uint8

const (
	Anonymous    Class = 0
	credentialed Class = 1
)

// ClassOf tells whether a request carries credentials.
func ClassOf(req *rules.Request) Class {
	if req.Credentialed() {
		return credentialed
	}
	return Anonymous
}

// hitForMiss remember URLs whose answers could not be stored, and why: what others call hit-for-miss. They are kept by hash in
// a table of fixed size, so that made-up URLs take nothing from what is stored. Two URLs may share a slot: then the
// later one counts. At worst requests for a page wait for each other once more, or once do not.
//
// Requests with credentials are remembered apart. The answers to them are rarely stored, and must not spoil a URL for
// the others. So are those of another scope: whoever makes up an X-Forwarded-Host spoils nothing for the others either. The zero value is ready for use, and takes no memory until something is refused.
type hitForMiss struct {
	table atomic.Pointer[hitForMissTable]
}

type hitForMissTable struct {
	seed  maphash.Seed
	slots [hitForMissSlots]atomic.Uint64
}

// of returns why the answer for the URL with the primary key k could not be stored lately; None if it could, or is not known.
func (m *hitForMiss) of(k []byte, scope string, class Class, now time.Time) rules.Reason {
	t := m.table.Load()
	if t == nil {
		return rules.None
	}
	slot, tag := t.find(k, scope, class)
	s := slot.Load()
	if s>>tagShift != tag {
		return rules.None
	}
	// The difference modulo the size of the field: a slot that is left alone for two years means nothing.
	if left := (s>>tickShift - ticks(now)) & tickMask; left == 0 || left > uint64(hitForMissTTL/hitForMissTick) {
		return rules.None
	}
	return rules.Reason(s & reasonMask)
}

// note remembers that the answer could not be stored, for that reason.
func (m *hitForMiss) note(k []byte, scope string, class Class, reason rules.Reason, now time.Time) {
	t := m.table.Load()
	if t == nil {
		t = &hitForMissTable{seed: maphash.MakeSeed()}
		if !m.table.CompareAndSwap(nil, t) {
			t = m.table.Load()
		}
	}
	slot, tag := t.find(k, scope, class)
	until := (ticks(now) + uint64(hitForMissTTL/hitForMissTick)) & tickMask
	if s := tag<<tagShift | until<<tickShift | uint64(reason); slot.Load() != s { // a busy page writes four times a second
		slot.Store(s)
	}
}

// forget is called when an answer for the URL could be stored, or the URL was purged.
func (m *hitForMiss) forget(k []byte, scope string, class Class) {
	t := m.table.Load()
	if t == nil {
		return
	}
	slot, tag := t.find(k, scope, class)
	if s := slot.Load(); s>>tagShift == tag && s&reasonMask != 0 {
		slot.CompareAndSwap(s, 0)
	}
}

// clear forgets all. What is noted while it runs may be forgotten, too.
func (m *hitForMiss) clear() { m.table.Store(nil) }

// find returns the slot of a URL, and what the slot holds in its highest bits if it is about that URL.
func (t *hitForMissTable) find(k []byte, scope string, class Class) (slot *atomic.Uint64, tag uint64) {
	h := maphash.Bytes(t.seed, k) + uint64(class)*0x9e3779b97f4a7c15
	if scope != "" {
		h += 3 * maphash.String(t.seed, scope) // were it added as it is, a key and a scope could change places
	}
	return &t.slots[h%hitForMissSlots], h >> tagShift
}

// ticks is now in the unit of a slot.
func ticks(now time.Time) uint64 { return uint64(time.Duration(clock.Of(now)) / hitForMissTick) }
