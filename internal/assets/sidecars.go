package assets

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/edgecache-go/edgecache/internal/coding"
)

// attach finds the variants beside the file.
func (s *Set) attach(a *Asset, ix *index) {
	if a.media.encoding != "" {
		return // it would be encoded twice
	}
	for c := coding.Brotli; c < coding.Count; c++ {
		side := ix.originals[a.Name+c.Extension()]
		if side == nil {
			continue
		}
		a.varies = true
		if !side.constant {
			a.watch = append(a.watch[:len(a.watch):len(a.watch)], side)
		}
		if err := s.proves(c, side, a.size, a.Sum); err != nil {
			if a.data != nil && s.proves(c, side, a.from.size, a.from.sum) == nil {
				continue // of the stylesheet before its references were rewritten, which is fine
			}
			s.report(side.name+hex.EncodeToString(side.sum[:8])+hex.EncodeToString(a.Sum[:8]), "edgecache: a compressed file is not used", "file", side.name, "reason", err.Error())
			continue
		}
		e := a.variant(c, side.size)
		e.from = side
		a.sidecars[c] = e
	}
}

// proof names a sidecar and the bytes that it must decode to.
type proof struct {
	coding    coding.Coding
	side, sum [sha256.Size]byte
}

// proves returns why a sidecar does not decode to its file, or nil. It remembers the result.
func (s *Set) proves(c coding.Coding, side *original, size int64, sum [sha256.Size]byte) error {
	key := proof{c, side.sum, sum}
	if known, ok := s.proofs[key]; ok {
		return known
	}
	content, err := side.open()
	if err != nil {
		return err
	}
	defer content.close()
	err = coding.Prove(c, content.reader(), size, sum)
	s.proofs[key] = err
	return err
}

// variant describes a coding of an asset.
func (a *Asset) variant(c coding.Coding, size int64) *encoded {
	return &encoded{size: size, etag: `"` + a.hash + "-" + c.String() + `"`, length: strconv.FormatInt(size, 10)}
}

// eligible reports whether variants of the asset are made.
func (a *Asset) eligible() bool {
	return a.media.squeezes && a.size >= coding.MinSize && a.size <= coding.MaxSize
}
