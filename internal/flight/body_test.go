package flight

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var errBroken = errors.New("the handler broke off")

// pattern returns n bytes in which every position differs from its neighbours near and far.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7 + i>>8*13 + i>>16*31)
	}
	return p
}

// readAll reads to the end and checks on the way that nothing comes twice or is left out.
func readAll(ctx context.Context, r *Reader) (all []byte, err error) {
	for {
		p, _, err := r.Next(ctx)
		all = append(all, p...)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

// mustWrite writes all of p and fails the test on an error.
func mustWrite(t *testing.T, b *Body, p []byte) {
	t.Helper()
	n, err := b.Write(p)
	require.NoError(t, err)
	require.Equal(t, len(p), n)
}

// content is the whole of an object's body.
func content(t *testing.T, b *Body) []byte {
	t.Helper()
	o, ok := b.Object()
	require.True(t, ok, "the body cannot be stored")
	var buf bytes.Buffer
	_, err := o.WriteTo(&buf)
	require.NoError(t, err)
	require.EqualValues(t, buf.Len(), o.Size())
	return buf.Bytes()
}

func TestBody(t *testing.T) {
	t.Run("it is the bytes that were written", func(t *testing.T) {
		for _, tt := range []struct {
			name     string
			limit    int64
			declared int64
			pieces   []int
		}{
			{"nothing at all", 100, -1, nil},
			{"an empty write", 100, -1, []int{0}},
			{"one byte", 100, -1, []int{1}},
			{"exactly what was declared", 100, 10, []int{10}},
			{"less than was declared", 100, 50, []int{10}},
			{"more than was declared", 1 << 20, 10, []int{5000, 1, 70000}},
			{"a declaration of nothing", 100, 0, []int{7}},
			{"a declaration past the limit", 100, 1 << 40, []int{100}},
			{"exactly the limit in one write", 100, -1, []int{100}},
			{"exactly the limit in many writes", 100, -1, []int{33, 33, 33, 1}},
			{"bytes one by one past the first chunk", 1 << 20, -1, repeat(1, minChunk+3)},
			{"a chunk of the largest size and one byte", 1 << 20, -1, []int{maxChunk, 1}},
			{"more than the largest chunk at once", 1 << 22, -1, []int{3*maxChunk + 17}},
			{"eight megabytes by 32 KiB, as io.Copy writes", 8 << 20, -1, repeat(32<<10, 256)},
		} {
			t.Run(tt.name, func(t *testing.T) {
				b := NewBody(tt.limit, tt.declared)
				r := b.Reader()
				require.NotNil(t, r)
				defer r.Close()
				var want []byte
				for i, n := range tt.pieces {
					p := pattern(n)
					if i%2 == 0 {
						mustWrite(t, b, p)
					} else {
						m, err := b.WriteString(string(p))
						require.NoError(t, err)
						require.Equal(t, n, m)
					}
					want = append(want, p...)
				}
				b.Close(nil)
				require.EqualValues(t, len(want), b.Size())
				require.False(t, b.Outgrown())
				got, err := readAll(t.Context(), r)
				require.NoError(t, err)
				require.True(t, bytes.Equal(want, got), "the reader got %d bytes, want %d", len(got), len(want))
				require.True(t, bytes.Equal(want, content(t, b)), "the object is another")

				late := b.Reader()
				require.NotNil(t, late, "a body that has ended inside its limit still takes readers")
				defer late.Close()
				got, err = readAll(t.Context(), late)
				require.NoError(t, err)
				require.True(t, bytes.Equal(want, got))
			})
		}
	})
	t.Run("it does not keep the slice that was written", func(t *testing.T) {
		b := NewBody(100, -1)
		p := []byte("hello")
		mustWrite(t, b, p)
		copy(p, "HELLO")
		b.Close(nil)
		require.Equal(t, "hello", string(content(t, b)))
	})
	t.Run("its slices cannot reach what comes next", func(t *testing.T) {
		b := NewBody(100, 50)
		r := b.Reader()
		defer r.Close()
		mustWrite(t, b, []byte("one"))
		p, _, err := r.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, len(p), cap(p), "an append would write into the body")
	})
	// A goroutine that the handler has left behind must not add to a complete response.
	t.Run("a write after the end is refused", func(t *testing.T) {
		b := NewBody(100, 20)
		r := b.Reader()
		defer r.Close()
		mustWrite(t, b, []byte("page"))
		b.Close(nil)
		n, err := b.Write([]byte("late"))
		require.ErrorIs(t, err, ErrClosed)
		require.Zero(t, n)
		require.EqualValues(t, 4, b.Size())
		got, err := readAll(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, "page", string(got))
		require.Equal(t, "page", string(content(t, b)))
	})
	t.Run("many read it", func(t *testing.T) {
		for _, tt := range []struct {
			name  string
			limit int64
			size  int
		}{
			{"that is kept", 1 << 20, 1 << 20},
			{"that outgrows its limit", 256 << 10, 2 << 20},
		} {
			t.Run(tt.name, func(t *testing.T) {
				// In fake time no reader is slow, however busy the machine is.
				synctest.Test(t, func(t *testing.T) {
					want := pattern(tt.size)
					b := NewBody(tt.limit, -1)
					var readers sync.WaitGroup
					for i := range 20 {
						r := b.Reader()
						readers.Go(func() {
							defer r.Close()
							if i%5 == 4 { // leaves in the middle
								_, _, _ = r.Next(context.Background())
								return
							}
							got, err := readAll(context.Background(), r)
							if err != nil || !bytes.Equal(got, want) {
								t.Errorf("reader %d got %d bytes of %d, and %v", i, len(got), len(want), err)
							}
						})
					}
					for p := want; len(p) > 0; {
						n := min(len(p), 1+rand.IntN(64<<10))
						mustWrite(t, b, p[:n])
						if n%3 == 0 {
							b.Flush()
						}
						p = p[n:]
					}
					b.Close(nil)
					readers.Wait()
				})
			})
		}
	})
}

func repeat(n, times int) []int {
	s := make([]int, times)
	for i := range s {
		s[i] = n
	}
	return s
}

func TestChunks(t *testing.T) {
	// What a handler announces costs nothing until it comes: the first chunk is bounded.
	t.Run("a declaration allocates no more than one", func(t *testing.T) {
		b := NewBody(1<<40, 1<<40)
		mustWrite(t, b, []byte("x"))
		require.LessOrEqual(t, cap(b.buf.chunks[0]), maxChunk)
		b = NewBody(10, 1000)
		mustWrite(t, b, []byte("x"))
		require.LessOrEqual(t, cap(b.buf.chunks[0]), 10)
	})
	// Chunks grow with the body, so that small responses cost little and large ones few
	// allocations.
	t.Run("a body has few", func(t *testing.T) {
		b := NewBody(8<<20, -1)
		for range 8 << 20 / 512 {
			mustWrite(t, b, pattern(512))
		}
		b.Close(nil)
		if got, want := len(b.buf.chunks), 40; got > want {
			t.Errorf("8 MiB in %d chunks, want at most %d", got, want)
		}
		for i, c := range b.buf.chunks {
			if cap(c) > maxChunk || i < len(b.buf.chunks)-1 && len(c) < cap(c) {
				t.Errorf("chunk %d of %d has %d of %d bytes", i, len(b.buf.chunks), len(c), cap(c))
			}
		}
	})
	// The writer's path is walked for every piece of every response.
	t.Run("a write allocates nothing else", func(t *testing.T) {
		b := NewBody(1<<30, -1)
		piece := make([]byte, 100)
		mustWrite(t, b, make([]byte, maxChunk+1)) // from here on chunks have their full size
		if got := testing.AllocsPerRun(1000, func() { _, _ = b.Write(piece) }); got > 0.1 {
			t.Errorf("%v allocations a write, want at most one in 2000 writes", got)
		}
	})
}

func TestObject(t *testing.T) {
	// Slack would be charged to the memory budget for as long as the object lives.
	t.Run("it has little slack", func(t *testing.T) {
		for _, size := range []int{1, 100, minChunk - 1, minChunk, minChunk + 1, 10000, maxChunk + 1, 1<<20 + 1, 3 << 20} {
			b := NewBody(8<<20, -1)
			mustWrite(t, b, pattern(size))
			b.Close(nil)
			o, ok := b.Object()
			require.True(t, ok)
			if slack := o.Footprint() - o.Size(); slack > int64(size)/8+24*64 {
				t.Errorf("%d bytes keep %d more", size, slack)
			}
			require.True(t, bytes.Equal(pattern(size), content(t, b)))
		}
	})
	t.Run("it needs a normal end", func(t *testing.T) {
		b := NewBody(100, -1)
		mustWrite(t, b, []byte("half a pa"))
		_, ok := b.Object()
		require.False(t, ok, "it has not ended")
		b.Close(errBroken)
		_, ok = b.Object()
		require.False(t, ok, "it ended early")
		b.Close(nil)
		_, ok = b.Object()
		require.False(t, ok, "only the first Close counts")
		r := b.Reader()
		defer r.Close()
		got, err := readAll(t.Context(), r)
		require.ErrorIs(t, err, errBroken)
		require.Equal(t, "half a pa", string(got))
	})
}

func TestOutgrown(t *testing.T) {
	t.Run("it cannot be stored", func(t *testing.T) {
		for _, tt := range []struct {
			name     string
			size     int
			outgrown bool
		}{
			{"one byte less than the limit", 999, false},
			{"exactly the limit", 1000, false},
			{"one byte past the limit", 1001, true},
		} {
			t.Run(tt.name, func(t *testing.T) {
				for _, piece := range []int{tt.size, 1, 10} { // bytes at once
					b := NewBody(1000, -1)
					r := b.Reader()
					for p := pattern(tt.size); len(p) > 0; p = p[min(piece, len(p)):] {
						mustWrite(t, b, p[:min(piece, len(p))])
					}
					b.Close(nil)
					require.Equal(t, tt.outgrown, b.Outgrown())
					_, ok := b.Object()
					require.Equal(t, !tt.outgrown, ok)
					got, err := readAll(t.Context(), r)
					require.NoError(t, err)
					require.True(t, bytes.Equal(pattern(tt.size), got), "a client that reads it already gets it all")
					r.Close()
					late := b.Reader()
					require.NotNil(t, late, "nothing is forgotten yet")
					again, err := readAll(t.Context(), late)
					require.NoError(t, err)
					require.True(t, bytes.Equal(pattern(tt.size), again))
					late.Close()
					err = b.Done(t.Context())
					if tt.outgrown {
						require.ErrorIs(t, err, ErrOutgrown)
					} else {
						require.NoError(t, err)
					}
				}
			})
		}
	})
	t.Run("it keeps its beginning for clients on the way", func(t *testing.T) {
		const limit, size = 64 << 10, 4 << 20
		for _, tt := range []struct {
			name  string
			comes bool
		}{{"a client that comes", true}, {"a client that never comes is waited for no longer than StallLimit", false}} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := NewBody(limit, -1)
					onTheWay := true
					b.Hold(queue(func() bool { return onTheWay }))
					first := b.Reader()
					go func() {
						defer first.Close()
						_, _ = readAll(t.Context(), first)
					}()
					written := make(chan time.Time, 1)
					start := time.Now()
					go func() {
						for p := pattern(size); len(p) > 0; p = p[1<<10:] {
							if _, err := b.Write(p[:1<<10]); err != nil {
								t.Error(err)
							}
						}
						b.Close(nil)
						written <- time.Now()
					}()
					synctest.Wait()
					require.Less(t, b.Size(), int64(size))
					if !tt.comes {
						require.Equal(t, StallLimit, (<-written).Sub(start))
						require.Nil(t, b.Reader())
						return
					}
					second := b.Reader()
					require.NotNil(t, second)
					onTheWay = false
					b.Wake()
					got, err := readAll(t.Context(), second)
					require.NoError(t, err)
					second.Close()
					require.True(t, bytes.Equal(pattern(size), got))
					require.Equal(t, start, <-written)
				})
			})
		}
	})
}

func TestReader(t *testing.T) {
	t.Run("it waits for bytes without polling", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := NewBody(1<<20, -1)
			var mu sync.Mutex
			got := map[int]string{}
			var readers sync.WaitGroup
			for i := range 10 {
				r := b.Reader()
				readers.Go(func() {
					defer r.Close()
					for {
						p, _, err := r.Next(t.Context())
						if err != nil {
							return
						}
						mu.Lock()
						got[i] += string(p)
						mu.Unlock()
					}
				})
			}
			want := ""
			for i := range 5 {
				synctest.Wait() // all of them wait for the body now, or this would not return
				piece := fmt.Sprint("piece ", i, "; ")
				mustWrite(t, b, []byte(piece))
				want += piece
				synctest.Wait()
				mu.Lock()
				for i := range 10 {
					require.Equal(t, want, got[i])
				}
				mu.Unlock()
			}
			b.Close(nil)
			readers.Wait()
		})
	})
	t.Run("it leaves when its context ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := NewBody(1<<20, -1)
			mustWrite(t, b, []byte("first"))
			r := b.Reader()
			defer r.Close()
			gone := errors.New("gone")
			ctx, cancel := context.WithCancelCause(t.Context())
			p, _, err := r.Next(ctx)
			require.NoError(t, err)
			require.Equal(t, "first", string(p))
			go func() {
				time.Sleep(time.Second)
				cancel(gone)
			}()
			start := time.Now()
			_, _, err = r.Next(ctx)
			require.ErrorIs(t, err, gone)
			require.Equal(t, time.Second, time.Since(start))
			require.ErrorIs(t, b.Ready(ctx, 100), gone)
			require.ErrorIs(t, b.Done(ctx), gone)
		})
	})
	t.Run("a flush comes with the bytes before it", func(t *testing.T) {
		type event struct {
			text  string
			flush bool
		}
		next := func(t *testing.T, r *Reader) event {
			p, flush, err := r.Next(t.Context())
			require.NoError(t, err)
			return event{string(p), flush}
		}
		t.Run("with the bytes when they end there", func(t *testing.T) {
			b := NewBody(1000, -1)
			r := b.Reader()
			defer r.Close()
			mustWrite(t, b, []byte("one"))
			b.Flush()
			require.Equal(t, event{"one", true}, next(t, r))
			mustWrite(t, b, []byte("two"))
			require.Equal(t, event{"two", false}, next(t, r))
			b.Flush()
			require.Equal(t, event{"", true}, next(t, r), "it may come without bytes")
		})
		t.Run("not before the bytes that it is about", func(t *testing.T) {
			b := NewBody(1<<20, 3)
			r := b.Reader()
			defer r.Close()
			mustWrite(t, b, []byte("one")) // fills the first chunk
			mustWrite(t, b, []byte("two"))
			b.Flush()
			require.Equal(t, event{"one", false}, next(t, r))
			require.Equal(t, event{"two", true}, next(t, r))
		})
		t.Run("late, when more has been written since", func(t *testing.T) {
			b := NewBody(1000, -1)
			r := b.Reader()
			defer r.Close()
			mustWrite(t, b, []byte("one"))
			b.Flush()
			mustWrite(t, b, []byte("two"))
			require.Equal(t, event{"onetwo", true}, next(t, r))
		})
		t.Run("of the header alone", func(t *testing.T) {
			b := NewBody(1000, -1)
			r := b.Reader()
			defer r.Close()
			b.Flush()
			require.Equal(t, event{"", true}, next(t, r))
		})
		t.Run("once for each flush", func(t *testing.T) {
			b := NewBody(1000, -1)
			r := b.Reader()
			defer r.Close()
			mustWrite(t, b, []byte("one"))
			b.Flush()
			b.Flush()
			require.Equal(t, event{"one", true}, next(t, r))
			b.Close(nil)
			_, flush, err := r.Next(t.Context())
			require.ErrorIs(t, err, io.EOF)
			require.False(t, flush)
		})
	})
}

func TestReady(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(*Body)
		want error
	}{
		{"when there is more than was asked for", func(b *Body) { _, _ = b.Write(pattern(101)) }, nil},
		{"when the writer flushes, whatever there is", func(b *Body) { b.Flush() }, nil},
		{"when the body ends", func(b *Body) { _, _ = b.Write(pattern(5)); b.Close(nil) }, nil},
		{"with the reason when the body ends early", func(b *Body) { _, _ = b.Write(pattern(5)); b.Close(errBroken) }, errBroken},
		{"when the body outgrows its limit", func(b *Body) { _, _ = b.Write(pattern(1)); _, _ = b.Write(pattern(1000)) }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := NewBody(50+100, -1)
				r := b.Reader() // so that it can outgrow its limit
				defer r.Close()
				go func() {
					time.Sleep(time.Second)
					tt.make(b)
				}()
				start := time.Now()
				err := b.Ready(t.Context(), 100)
				require.Equal(t, tt.want, err)
				require.Equal(t, time.Second, time.Since(start))
				require.Equal(t, tt.want, b.Ready(t.Context(), 100), "and at once when it is so already")
			})
		})
	}
	t.Run("not before", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := NewBody(1000, -1)
			mustWrite(t, b, pattern(100))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			require.ErrorIs(t, b.Ready(ctx, 100), context.DeadlineExceeded)
		})
	})
}

func TestDone(t *testing.T) {
	for _, want := range []error{nil, errBroken} {
		synctest.Test(t, func(t *testing.T) {
			b := NewBody(1000, -1)
			go func() {
				if _, err := b.Write(pattern(500)); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
				b.Flush()
				time.Sleep(time.Second)
				b.Close(want)
			}()
			start := time.Now()
			require.Equal(t, want, b.Done(t.Context()))
			require.Equal(t, 2*time.Second, time.Since(start))
		})
	}
}

// queue is a Queue that is asked by calling it.
type queue func() bool

func (q queue) WaitingToRead() bool { return q() }
func (q queue) Shut()               {}
