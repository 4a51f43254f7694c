package cache

import (
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/clock"
	"github.com/edgecache-go/edgecache/internal/rules"
)

const (
	// hitForMissTTL is how long the cache remembers that the response for a URL could not be stored.
	// Until then requests for the URL do not wait for each other, and are passed on with their
	// conditions and ranges.
	hitForMissTTL = 2 * time.Minute

	// hitForMissSlots is how many URLs can be remembered, at 8 bytes each.
	hitForMissSlots = 1 << 16

	// hitForMissTick is the unit of a slot's time.
	hitForMissTick = time.Second / 4
)

// A slot holds, from the highest bit: 28 bits of a hash, 28 bits of the tick until which it counts,
// and 8 bits of a Reason.
const (
	tagShift, tickShift = 36, 8
	tickMask            = 1<<28 - 1
	reasonMask          = 1<<8 - 1
)

// Class separates the requests of a URL in the hit-for-miss memory. The engine adds bits of its
// own.
type Class uint8

const (
	// Anonymous is the class of requests without credentials.
	Anonymous    Class = 0
	credentialed Class = 1
)

// ClassOf returns the class of a request, by whether it carries credentials.
func ClassOf(req *rules.Request) Class {
	if req.Credentialed() {
		return credentialed
	}
	return Anonymous
}

// hitForMiss remembers URLs whose responses could not be stored, and why. It is a table of fixed
// size, by hash, so made-up URLs take nothing from what is stored. If two URLs share a slot, the
// later one counts. At worst, requests for a URL wait for each other once more, or once do not.
//
// Requests with credentials are remembered separately: responses to them are rarely stored, and
// must not spoil a URL for anonymous clients. The same holds for scopes: a made-up X-Forwarded-Host
// spoils nothing for other clients.
//
// The zero value is ready for use, and takes no memory before the first note.
type hitForMiss struct {
	table atomic.Pointer[hitForMissTable]
}

type hitForMissTable struct {
	seed  maphash.Seed
	slots [hitForMissSlots]atomic.Uint64
}

// of returns why the response for the URL with the primary key k could not be stored lately; None
// if it could, or if that is not known.
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
	// The difference is modulo the size of the field: a slot that is not written for two years means
	// nothing.
	if left := (s>>tickShift - ticks(now)) & tickMask; left == 0 || left > uint64(hitForMissTTL/hitForMissTick) {
		return rules.None
	}
	return rules.Reason(s & reasonMask)
}

// note remembers that the response could not be stored, and why.
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
	// A busy URL writes four times a second.
	if s := tag<<tagShift | until<<tickShift | uint64(reason); slot.Load() != s {
		slot.Store(s)
	}
}

// forget is called when a response for the URL could be stored, or the URL was purged.
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

// clear forgets everything. It may also forget what is noted while it runs.
func (m *hitForMiss) clear() { m.table.Store(nil) }

// find returns the slot of a URL, and the highest bits that the slot has if it is about that URL.
func (t *hitForMissTable) find(k []byte, scope string, class Class) (slot *atomic.Uint64, tag uint64) {
	h := maphash.Bytes(t.seed, k) + uint64(class)*0x9e3779b97f4a7c15
	if scope != "" {
		h += 3 * maphash.String(t.seed, scope) // without the factor, a key and a scope could change places
	}
	return &t.slots[h%hitForMissSlots], h >> tagShift
}

// ticks returns now in units of hitForMissTick.
func ticks(now time.Time) uint64 { return uint64(time.Duration(clock.Of(now)) / hitForMissTick) }
