package edgecache

import "github.com/edgecache-go/edgecache/internal/readers"

// growing is an Edge as the room from which bodies in progress draw.
type growing Edge

// Reserve is [flight.Room]'s. A body that would be evicted under its readers, while others have been and are still read, is not kept.
func (g *growing) Reserve(n, has int64, passing bool) bool {
	return (passing || g.pinned.Admits(has+n)) && g.memory.Reserve(n, has, passing)
}

// Release is [flight.Room]'s.
func (g *growing) Release(n int64) { g.memory.Release(n) }

// pay says that the bytes of v are charged, once more.
func (v *variant) pay() { v.bodies((*readers.Set).Pay) }

// unpay takes one pay back.
func (v *variant) unpay() { v.bodies((*readers.Set).Unpay) }

// bodies calls f for the body of v, and for those of its codings, as far as it is known who reads them.
func (v *variant) bodies(f func(*readers.Set)) {
	if set := v.Body.Readers(); set != nil {
		f(set)
	}
	s := v.encodings()
	if s == nil {
		return
	}
	for c := range s.encoded {
		if form := s.encoded[c].Load(); form != nil {
			if set := form.body.Readers(); set != nil {
				f(set)
			}
		}
	}
}
