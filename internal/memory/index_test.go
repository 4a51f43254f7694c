package memory

import (
	"math/rand/v2"
	"testing"
)

func TestIndex(t *testing.T) {
	// Insertions and removals are played against a map, with hashes that crowd one place and with
	// others.
	t.Run("it does what a map does", func(t *testing.T) {
		for _, bits := range []uint64{0xf, 0xff, 0xff << 56, 1<<64 - 1} {
			r := rand.New(rand.NewPCG(bits, 1))
			var x index[int]
			want := make(map[uint64]*entry[int])
			var known []uint64
			for step := range 20_000 {
				h := r.Uint64() & bits
				if len(known) > 0 && r.IntN(2) == 0 {
					h = known[r.IntN(len(known))]
				}
				if h == 0 {
					h = 1 // 0 counts as that
				}
				growing := step/4000%2 == 0
				switch e := want[h]; {
				case e == nil && (growing || r.IntN(4) == 0):
					e = new(entry[int])
					x.put(h, e)
					want[h] = e
					known = append(known, h)
				case e == nil:
					x.remove(h)
				case !growing || r.IntN(4) == 0:
					x.remove(h)
					delete(want, h)
				}
				if got := x.get(h); got != want[h] {
					t.Fatalf("step %d: %x yields %p, want %p", step, h, got, want[h])
				}
				if x.len() != len(want) {
					t.Fatalf("step %d: %d entries, want %d", step, x.len(), len(want))
				}
				if step%500 == 0 {
					if r.IntN(2) == 0 {
						x.resize()
					}
					n := 0
					for h, e := range x.all() {
						if want[h] != e || x.get(h) != e {
							t.Fatalf("step %d: %x yields %p, want %p", step, h, x.get(h), e)
						}
						n++
					}
					if n != len(want) {
						t.Fatalf("step %d: %d entries are listed, want %d", step, n, len(want))
					}
				}
			}
		}
	})
	t.Run("it may be empty", func(t *testing.T) {
		var x index[int]
		x.remove(7)
		if x.get(7) != nil || x.len() != 0 {
			t.Error("an empty index has something")
		}
		e := new(entry[int])
		x.put(0, e)
		if x.get(0) != e {
			t.Error("the hash 0 is lost")
		}
		x.remove(0)
		x.resize()
		if x.get(0) != nil || x.len() != 0 {
			t.Error("what was removed is there")
		}
	})
}
