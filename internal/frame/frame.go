// Package frame is the outer form of everything that is written to a store of bytes: a kind with
// its version, a proof, and fields that are read back without trusting a single length.
package frame

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"hash/crc32"
)

// Kind names what a frame holds, and the version of its layout. Another version is another kind: it
// is refused, never guessed at.
type Kind [4]byte

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sealer proves that a frame is whole, and that it was stored under its name. With a key the proof
// is HMAC-SHA256: only a holder of the key can make it. Without a key it is CRC32C, which finds
// accidents: whoever can write to the store can make it. The zero Sealer has no key. A Sealer is
// safe for concurrent use.
type Sealer struct{ key []byte }

// NewSealer returns a Sealer with this key, which it keeps. nil is no key.
func NewSealer(key []byte) Sealer { return Sealer{key} }

// Overhead is how many bytes of a frame are not its payload.
func (s Sealer) Overhead() int { return len(Kind{}) + s.size() }

// size is the size of the proof.
func (s Sealer) size() int {
	if s.key == nil {
		return crc32.Size
	}
	return sha256.Size
}

// Begin appends the start of a frame to dst. What is appended next is its payload, and Seal ends
// it.
func (s Sealer) Begin(dst []byte, kind Kind) []byte {
	dst = append(dst, kind[:]...)
	return append(dst, make([]byte, s.size())...)
}

// Seal writes the proof of a frame that Begin began at its first byte, and that is stored under
// name.
func (s Sealer) Seal(frame []byte, name string) {
	s.prove(frame[len(Kind{}):len(Kind{})], frame, name)
}

// Open returns the payload of a sealed frame, which it does not copy. ok is false unless value is a
// frame of this kind that was stored under name, whole and unchanged.
func (s Sealer) Open(value []byte, kind Kind, name string) (payload []byte, ok bool) {
	if len(value) < s.Overhead() || Kind(value[:len(kind)]) != kind {
		return nil, false
	}
	var buf [sha256.Size]byte
	// In constant time, so that the proof cannot be found byte by byte.
	if !hmac.Equal(s.prove(buf[:0], value, name), value[len(kind):s.Overhead()]) {
		return nil, false
	}
	return value[s.Overhead():], true
}

// prove appends the proof of a frame to dst: over kind, name and payload.
func (s Sealer) prove(dst, frame []byte, name string) []byte {
	var h hash.Hash
	if s.key == nil {
		h = crc32.New(castagnoli)
	} else {
		h = hmac.New(sha256.New, s.key)
	}
	var buf [128]byte
	h.Write(AppendText(append(buf[:0], frame[:len(Kind{})]...), name))
	h.Write(frame[s.Overhead():])
	return h.Sum(dst)
}

// AppendUint appends a number that a Reader's Uint reads.
func AppendUint(dst []byte, n uint64) []byte { return binary.AppendUvarint(dst, n) }

// AppendFixed appends eight bytes that a Reader's Fixed reads.
func AppendFixed(dst []byte, n uint64) []byte { return binary.LittleEndian.AppendUint64(dst, n) }

// AppendText appends a text that a Reader's Text reads.
func AppendText[T string | []byte](dst []byte, s T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// AppendTexts appends a list that a Reader's Texts reads.
func AppendTexts(dst []byte, list []string) []byte {
	dst = AppendUint(dst, uint64(len(list)))
	for _, s := range list {
		dst = AppendText(dst, s)
	}
	return dst
}

// Reader reads the fields of a payload one after the other. It keeps its first mistake: everything
// read after that is empty, and Done is false. The texts are parts of the payload, so they cost
// nothing and keep all of it in memory.
type Reader struct {
	rest string
	bad  bool
}

// NewReader returns a Reader of payload.
func NewReader(payload string) Reader { return Reader{rest: payload} }

// Fail makes Done false.
func (r *Reader) Fail() { r.rest, r.bad = "", true }

// Done reports whether everything was read, without a mistake.
func (r *Reader) Done() bool { return !r.bad && r.rest == "" }

// Uint reads a number that is written in the shortest way.
func (r *Reader) Uint() (n uint64) {
	for i := range min(len(r.rest), binary.MaxVarintLen64) {
		c := r.rest[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break // more than 64 bits
		}
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if i > 0 && c == 0 {
				break
			}
			r.rest = r.rest[i+1:]
			return n
		}
	}
	r.Fail()
	return 0
}

// Fixed reads eight bytes.
func (r *Reader) Fixed() (n uint64) {
	if len(r.rest) < 8 {
		r.Fail()
		return 0
	}
	for i := range 8 {
		n |= uint64(r.rest[i]) << (8 * i)
	}
	r.rest = r.rest[8:]
	return n
}

// Text reads a text.
func (r *Reader) Text() string {
	n := r.Uint()
	if n > uint64(len(r.rest)) {
		r.Fail()
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

// Count reads how many items follow, of at least least bytes each. More than there is room for is a
// mistake, so that nothing is allocated because of a number alone.
func (r *Reader) Count(least int) int {
	n := r.Uint()
	if n > uint64(len(r.rest)/least) {
		r.Fail()
		return 0
	}
	return int(n)
}

// Texts reads a list of at most limit texts; nil if it is empty.
func (r *Reader) Texts(limit int) []string {
	n := r.Count(1)
	if n > limit {
		r.Fail()
		return nil
	}
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = r.Text()
	}
	return list
}
