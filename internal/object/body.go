package object

import (
	"io"
	"slices"

	"github.com/edgecache-go/edgecache/internal/readers"
)

// Body is the payload of a stored response: a list of chunks, as the fetch received them, so that
// storing never copies a large body into one slice. The zero value is an empty body. A Body is
// immutable once published, and then safe for concurrent use.
type Body struct {
	first []byte // never written after publication
	rest  *rest  // nil if there is only one chunk
}

// rest is what follows the first chunk, and what is known about a large body.
type rest struct {
	chunks  [][]byte // never written after publication
	size    int64    // sum of their lengths
	readers readers.Set
}

// restOverhead is what a rest takes besides the bytes of its chunks, in bytes.
const restOverhead = 80

// NewBody takes ownership of the bytes of chunks: the caller must not write them afterwards. The
// list itself remains the caller's. Leading empty chunks are left out.
func NewBody(chunks ...[]byte) Body {
	for len(chunks) > 0 && len(chunks[0]) == 0 {
		chunks = chunks[1:]
	}
	if len(chunks) == 0 {
		return Body{}
	}
	b := Body{first: chunks[0]}
	if len(chunks) > 1 || len(chunks[0]) > readers.CountedAbove {
		b.rest = &rest{chunks: slices.Clone(chunks[1:])}
		for _, c := range b.rest.chunks {
			b.rest.size += int64(len(c))
		}
		b.rest.readers.SetSize(b.Footprint())
	}
	return b
}

// Readers are the clients that read the body, and copies of it. It is nil if the body is too small
// for that to count.
func (b Body) Readers() *readers.Set {
	if b.rest == nil || b.Size() <= readers.CountedAbove {
		return nil
	}
	return &b.rest.readers
}

// Size is the length in bytes.
func (b Body) Size() int64 {
	n := int64(len(b.first))
	if b.rest != nil {
		n += b.rest.size
	}
	return n
}

// Footprint is what the body keeps in memory, in bytes: its capacity, not only its length, and the
// slice headers of its chunks.
func (b Body) Footprint() int64 {
	n := int64(cap(b.first))
	if b.rest != nil {
		n += restOverhead + int64(cap(b.rest.chunks))*24
		for _, c := range b.rest.chunks {
			n += int64(cap(c))
		}
	}
	return n
}

// chunk returns the chunk with that index, below len.
func (b Body) chunk(i int) []byte {
	if i == 0 {
		return b.first
	}
	return b.rest.chunks[i-1]
}

// len is the number of chunks, at least one.
func (b Body) len() int {
	if b.rest == nil {
		return 1
	}
	return 1 + len(b.rest.chunks)
}

// WriteTo writes the whole body to w.
func (b Body) WriteTo(w io.Writer) (int64, error) { return b.WriteRange(w, 0, b.Size()) }

// WriteRange writes length bytes from offset on. The range must lie inside the body.
func (b Body) WriteRange(w io.Writer, offset, length int64) (int64, error) {
	var written int64
	for i := 0; length > 0 && i < b.len(); i++ {
		c := b.chunk(i)
		if offset >= int64(len(c)) {
			offset -= int64(len(c))
			continue
		}
		c = c[offset:min(offset+length, int64(len(c)))]
		offset = 0
		n, err := w.Write(c)
		written += int64(n)
		length -= int64(n)
		if err != nil {
			return written, err
		}
		if n < len(c) {
			return written, io.ErrShortWrite
		}
	}
	return written, nil
}

// Prefix returns up to n leading bytes, read only. They are those of the first chunk, so there may
// be fewer than the body has.
func (b Body) Prefix(n int) []byte {
	n = min(n, len(b.first))
	return b.first[:n:n]
}

// Equal reports whether both bodies have the same bytes, however they are cut into chunks.
func (b Body) Equal(o Body) bool {
	if b.Size() != o.Size() {
		return false
	}
	var x, y []byte
	for i, j := 0, 0; ; {
		for ; len(x) == 0 && i < b.len(); i++ {
			x = b.chunk(i)
		}
		for ; len(y) == 0 && j < o.len(); j++ {
			y = o.chunk(j)
		}
		n := min(len(x), len(y))
		if n == 0 {
			return true
		}
		if string(x[:n]) != string(y[:n]) {
			return false
		}
		x, y = x[n:], y[n:]
	}
}
