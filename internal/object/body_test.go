package object

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// cut is text in pieces that end at the given indexes. An index that is given twice makes an empty
// piece.
func cut(text string, at ...int) Body {
	var chunks [][]byte
	from := 0
	for _, to := range append(at, len(text)) {
		chunks = append(chunks, []byte(text[from:to]))
		from = to
	}
	return NewBody(chunks...)
}

func TestBody(t *testing.T) {
	t.Run("writes every range", func(t *testing.T) {
		const text = "0123456789abcdef"
		for name, b := range map[string]Body{
			"one chunk":            cut(text),
			"two chunks":           cut(text, 7),
			"chunks of one byte":   cut(text, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
			"an empty one between": cut(text, 5, 5, 9),
			"empty ones outside":   cut(text, 0, 16),
		} {
			require.EqualValues(t, len(text), b.Size(), name)
			for from := range len(text) + 1 {
				for to := from; to <= len(text); to++ {
					var buf bytes.Buffer
					n, err := b.WriteRange(&buf, int64(from), int64(to-from))
					if got, want := buf.String(), text[from:to]; got != want || n != int64(len(want)) || err != nil {
						t.Errorf("%s, bytes %d to %d: got %q, %d and %v, want %q", name, from, to, got, n, err, want)
					}
				}
			}
			var buf bytes.Buffer
			n, err := b.WriteTo(&buf)
			require.NoError(t, err)
			require.EqualValues(t, len(text), n)
			require.Equal(t, text, buf.String())
		}
	})
	t.Run("empty", func(t *testing.T) {
		for name, b := range map[string]Body{"zero value": {}, "no chunks": NewBody(), "an empty chunk": NewBody(nil)} {
			n, err := b.WriteTo(io.Discard)
			require.NoError(t, err, name)
			require.Zero(t, n, name)
			require.Zero(t, b.Size(), name)
			require.Empty(t, b.Prefix(10), name)
			require.True(t, b.Equal(Body{}), name)
		}
	})
	t.Run("stops if its writer fails", func(t *testing.T) {
		b := cut("0123456789", 4)
		for taken := range 10 {
			n, err := b.WriteTo(&limited{n: taken})
			require.ErrorIs(t, err, errGone)
			require.EqualValues(t, taken, n)
			n, err = b.WriteTo(&limited{n: taken, silent: true})
			require.ErrorIs(t, err, io.ErrShortWrite, "a writer that takes less and does not say so")
			require.EqualValues(t, taken, n)
		}
	})
	t.Run("the prefix is of the first chunk", func(t *testing.T) {
		b := cut("0123456789", 4)
		require.Equal(t, "01", string(b.Prefix(2)))
		require.Equal(t, "0123", string(b.Prefix(4)))
		require.Equal(t, "0123", string(b.Prefix(512)))
		require.Equal(t, 2, cap(b.Prefix(2)), "an append would write into the body")
	})
	t.Run("equality is of bytes, not of chunks", func(t *testing.T) {
		for _, tt := range []struct {
			name string
			a, b Body
			want bool
		}{
			{"the same chunks", cut("page", 2), cut("page", 2), true},
			{"other chunks", cut("page", 1, 3), cut("page", 2), true},
			{"empty chunks", cut("page", 0, 2, 2, 4), cut("page"), true},
			{"another byte at the end", cut("page"), cut("pagf"), false},
			{"another byte at the beginning of a chunk", cut("page", 2), cut("paXe", 3), false},
			{"one is longer", cut("page"), cut("pages"), false},
			{"one is empty", cut("page"), Body{}, false},
		} {
			require.Equal(t, tt.want, tt.a.Equal(tt.b), tt.name)
			require.Equal(t, tt.want, tt.b.Equal(tt.a), tt.name+", the other way round")
		}
		for range 1000 {
			text := make([]byte, rand.IntN(50))
			other := bytes.Clone(text)
			if len(text) > 0 && rand.IntN(2) == 0 {
				other[rand.IntN(len(other))]++
			}
			i, j := rand.IntN(len(text)+1), rand.IntN(len(text)+1)
			a, b := cut(string(text), min(i, j), max(i, j)), cut(string(other), rand.IntN(len(text)+1))
			if got, want := a.Equal(b), bytes.Equal(text, other); got != want {
				t.Fatalf("%q in %d chunks and %q in %d: got %v, want %v", text, a.len(), other, b.len(), got, want)
			}
		}
	})
	t.Run("the footprint counts capacity, not length", func(t *testing.T) {
		b := NewBody(make([]byte, 10, 100), make([]byte, 5))
		require.EqualValues(t, 15, b.Size())
		require.EqualValues(t, 105+24+restOverhead, b.Footprint())
		require.EqualValues(t, 100, NewBody(make([]byte, 10, 100)).Footprint())
	})
}

var errGone = errors.New("the client has gone")

// limited takes n bytes and then fails, or takes less without an error.
type limited struct {
	n      int
	silent bool
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(l.n, len(p))
	l.n -= n
	if n < len(p) && !l.silent {
		return n, errGone
	}
	return n, nil
}
