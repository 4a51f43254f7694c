package coding

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	MinSize = 1 << 10 // a smaller body fits into one packet anyway
	MaxSize = 4 << 20 // a larger body takes too long

	// worthwhile is the largest part of the size that may remain, in percent.
	worthwhile = 95
	// window is what every browser's zstd decoder must offer (RFC 9659, 3), in bytes.
	window = 8 << 20
)

// Worthwhile reports whether a coding saves enough: packed bytes remain of size.
func Worthwhile(packed, size int64) bool { return packed*100 <= size*worthwhile }

// Encode returns what from writes in the coding c, which is not Identity, with little spare
// capacity. best takes the time that only a build has.
func Encode(c Coding, from io.WriterTo, best bool) ([]byte, error) {
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch c {
	case Brotli:
		level := 5
		if best {
			level = brotli.BestCompression
		}
		w = brotli.NewWriterLevel(&b, level)
	case Zstd:
		level := zstd.SpeedDefault
		if best {
			level = zstd.SpeedBestCompression
		}
		w, err = zstd.NewWriter(&b, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window))
	default:
		level := 6
		if best {
			level = gzip.BestCompression
		}
		w, err = gzip.NewWriterLevel(&b, level)
	}
	if err != nil {
		return nil, err
	}
	if _, err := from.WriteTo(w); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return bytes.Clone(b.Bytes()), nil
}

// Prove returns why encoded is not a coding of size bytes that hash to sum, or nil.
func Prove(c Coding, encoded io.Reader, size int64, sum [sha256.Size]byte) error {
	var r io.Reader
	var rest io.ByteReader // what follows the encoding; nil if r reads to the end
	switch c {
	case Brotli:
		r = brotli.NewReader(encoded)
	case Zstd:
		d, err := zstd.NewReader(encoded, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window))
		if err != nil {
			return err
		}
		defer d.Close()
		r = d
	default:
		in := bufio.NewReader(encoded)
		g, err := gzip.NewReader(in)
		if err != nil {
			return err
		}
		g.Multistream(false) // browsers ignore what comes after the first member
		r, rest = g, in
	}
	hash := sha256.New()
	n, err := io.Copy(hash, io.LimitReader(r, size+1)) // one more than allowed: a decompression bomb gets no further
	if err != nil {
		return fmt.Errorf("it does not decode: %w", err)
	}
	if n != size || [sha256.Size]byte(hash.Sum(nil)) != sum {
		return errors.New("it is made of other bytes")
	}
	if rest != nil {
		if _, err := rest.ReadByte(); !errors.Is(err, io.EOF) {
			return errors.New("more follows what browsers decode")
		}
	}
	return nil
}
