package object

import "io"

// Body is the payload of a stored response: a list of chunks, as the fill received them, so that storing never copies a large body into one slice.
// The zero value is an empty body. A Body is immutable once published, and safe for concurrent use then.
type Body struct {
	chunks [][]byte // never written after publication
	size   int64    // sum of their lengths
}

// NewBody takes ownership of chunks: nobody may write them afterwards.
func NewBody(chunks ...[]byte) Body {
	b := Body{chunks: chunks}
	for _, c := range chunks {
		b.size += int64(len(c))
	}
	return b
}

// Size is the length in bytes.
func (b Body) Size() int64 { return b.size }

// Footprint is what the body keeps in memory, in bytes: its capacity, not only its length, and the slice headers of its chunks.
func (b Body) Footprint() int64 {
	n := int64(cap(b.chunks)) * 24
	for _, c := range b.chunks {
		n += int64(cap(c))
	}
	return n
}

// WriteTo writes the whole body to w.
func (b Body) WriteTo(w io.Writer) (int64, error) { return b.WriteRange(w, 0, b.size) }

// WriteRange writes length bytes from offset on. The range must lie inside the body.
func (b Body) WriteRange(w io.Writer, offset, length int64) (int64, error) {
	var written int64
	for _, c := range b.chunks {
		if length <= 0 {
			break
		}
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

// Prefix returns up to n leading bytes, read only: those of the first chunk, so possibly fewer than the body has.
func (b Body) Prefix(n int) []byte {
	if len(b.chunks) == 0 {
		return nil
	}
	c := b.chunks[0]
	return c[:min(n, len(c)):min(n, len(c))]
}

// Equal reports whether both bodies have the same bytes, however they are cut into chunks.
func (b Body) Equal(o Body) bool {
	if b.size != o.size {
		return false
	}
	i, j := 0, 0
	var x, y []byte
	for {
		for len(x) == 0 && i < len(b.chunks) {
			x, i = b.chunks[i], i+1
		}
		for len(y) == 0 && j < len(o.chunks) {
			y, j = o.chunks[j], j+1
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
