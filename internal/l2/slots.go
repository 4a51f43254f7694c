package l2

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strings"
)

// Clients make names up: every POST to another URL purges another name. The store keeps a
// generation for each name that was ever purged, so what clients can name is hashed into a fixed
// number of slots.
//
// A name has two slots, and counts as purged when both of them were. With n of s slots purged since
// a response was made, (n/s)² of its names are refused by mistake, where one slot would make n/s.
// That costs a render, and never shows a wrong response: a purge always bumps both.
//
// Each kind of name has slots of its own, so that a flood of POSTs to made-up URLs refuses nothing
// by its tags. Only the application purges everything, and prefixes, and that concerns many
// responses: they keep names of their own.
const (
	queriesSlots = 6 << 12 // of URLs with every query: every unsafe request purges one
	urlSlots     = 4 << 12 // of URLs of one host
	scopedSlots  = 2 << 12 // of URLs of every host, for responses with a scope
	pathSlots    = 1 << 12 // of URLs of every host
	tagSlots     = 3 << 12
	slots        = queriesSlots + urlSlots + scopedSlots + pathSlots + tagSlots

	// exactSlots exist only in this process, for names that the store knows as they are.
	exactSlots = 1 << 13
)

// places is how many marks the generations of a process have: the slots, and one for everything.
const places = slots + exactSlots + 1

// slot is where the generations of one name are.
type slot struct {
	at  [2]uint32 // among the marks of this process
	own string    // the name in the store, if it has one of its own; "" if its slots are known there
}

// naming derives names from what they stand for. With a key no one else can, and processes with
// another key have other names.
type naming struct {
	key   []byte // nil for none
	space string // part of every name of a generation
}

func newNaming(key []byte) naming {
	n := naming{key: key}
	if key != nil {
		sum := n.sum(ofSlot, nil)
		n.space = hex.EncodeToString(sum[:8])
	}
	return n
}

// sum is a hash of the kind of a name and a text: HMAC-SHA256 if there is a key, or SHA-256.
func (n *naming) sum(kind byte, text []byte) (sum [sha256.Size]byte) {
	var h hash.Hash
	if n.key == nil {
		h = sha256.New()
	} else {
		h = hmac.New(sha256.New, n.key)
	}
	h.Write([]byte{kind})
	h.Write(text)
	h.Sum(sum[:0])
	return sum
}

// slotsOf returns the range of slots for names of this kind; size is 0 if each keeps its own name.
func slotsOf(kind byte) (from, size uint32) {
	switch kind {
	case ofPrefix, ofPathPrefix, ofScopedPrefix, everything[0]:
		return slots, 0
	case ofTag:
		return slots - tagSlots, tagSlots
	case ofPath:
		return queriesSlots + urlSlots + scopedSlots, pathSlots
	case ofScopedPath:
		return queriesSlots + urlSlots, scopedSlots
	case ofURL:
		return queriesSlots, urlSlots
	}
	return 0, queriesSlots
}

func (n *naming) slot(name string) slot {
	if name == everything {
		return slot{at: [2]uint32{places - 1, places - 1}, own: everything + n.space}
	}
	var p slot
	sum := n.sum(ofSlot, []byte(name))
	from, size := slotsOf(name[0])
	if size == 0 {
		size = exactSlots
		p.own = name
		if n.key != nil {
			p.own = name[:1] + hex.EncodeToString(sum[16:])
		}
	}
	// The second is never the first: with one slot, a name would be refused by mistake far more
	// often.
	first := binary.BigEndian.Uint32(sum[:]) % size
	step := 1 + binary.BigEndian.Uint32(sum[4:])%(size-1)
	p.at = [2]uint32{from + first, from + (first+step)%size}
	return p
}

func (n *naming) slots(names []string) []slot {
	list := make([]slot, len(names))
	for i, name := range names {
		list[i] = n.slot(name)
	}
	return list
}

// width is how many names p has in the store.
func (p *slot) width() int {
	if p.own != "" {
		return 1
	}
	return len(p.at)
}

// inStore returns the names that the store has for list, in its order: width of them for each slot.
func (n *naming) inStore(list []slot) []string {
	names := make([]string, 0, 2*len(list))
	length := len("s0000") + len(n.space) // the last slot is ffff
	var text strings.Builder              // one allocation for all
	text.Grow(2 * len(list) * length)
	for i := range list {
		if own := list[i].own; own != "" {
			names = append(names, own)
			continue
		}
		for _, at := range list[i].at {
			const digits = "0123456789abcdef"
			text.WriteByte(ofSlot)
			text.WriteString(n.space)
			for shift := 12; shift >= 0; shift -= 4 {
				text.WriteByte(digits[at>>shift&15])
			}
			names = append(names, text.String()[text.Len()-length:])
		}
	}
	return names
}

// isSlot reports whether a name in the store is that of a slot.
func isSlot(name string) bool { return name[0] == ofSlot }
