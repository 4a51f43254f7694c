package flight

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/object"
)

// purse is a Room of that many bytes.
type purse struct {
	mu         sync.Mutex
	left, most int64
	drawn      int64
}

func (p *purse) Reserve(n, _ int64, _ bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n > p.left {
		return false
	}
	p.left -= n
	p.drawn += n
	p.most = max(p.most, p.drawn)
	return true
}

func (p *purse) Release(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left += n
	p.drawn -= n
	if p.drawn < 0 || n <= 0 {
		panic("more was given back than was drawn")
	}
}

func (p *purse) has() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.drawn
}

// captain is a Leader that begins to read when it must.
type captain struct {
	body   *Body
	called int
	users  sync.WaitGroup
	got    []byte
	err    error
}

func (c *captain) Outgrow() {
	c.called++
	r := c.body.Reader()
	c.users.Go(func() {
		defer r.Close()
		c.got, c.err = readAll(context.Background(), r)
	})
}

func drawing(limit, declared, room int64) (*Body, *purse, *captain) {
	b, p := NewBody(limit, declared), &purse{left: room}
	c := &captain{body: b}
	b.Draw(p, c)
	return b, p, c
}

func TestRoom(t *testing.T) {
	t.Run("a body that finds none goes on for its readers", func(t *testing.T) {
		const size = 1 << 20
		want := pattern(size)
		for _, room := range []int64{0, 4 << 10, 5000, 64 << 10, 600 << 10} {
			for _, piece := range []int{1 << 10, 32 << 10, size} {
				for _, declared := range []int64{-1, size} {
					b, p, c := drawing(8<<20, declared, room)
					for rest := want; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
						mustWrite(t, b, rest[:min(piece, len(rest))])
					}
					b.Close(nil)
					c.users.Wait()
					require.Equal(t, 1, c.called)
					require.NoError(t, c.err)
					require.True(t, bytes.Equal(want, c.got), "%d of %d bytes arrived", len(c.got), size)
					require.True(t, b.Outgrown())
					_, ok := b.Object()
					require.False(t, ok)
					require.LessOrEqual(t, p.most, room)
					b.Leave()
					require.Zero(t, p.has())
				}
			}
		}
	})
	t.Run("a body takes little beside it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, p, _ := drawing(8<<20, -1, 8<<10)
			r := b.Reader()
			go func() {
				_, _ = b.Write(pattern(1 << 20))
				b.Close(nil)
			}()
			n := 0
			for {
				synctest.Wait() // the writer is as far ahead as it may
				b.mu.Lock()
				var kept int64
				for _, c := range b.buf.chunks {
					kept += int64(cap(c))
				}
				if kept != b.buf.held || kept-b.buf.reserved > looseWindow || b.buf.reserved != p.has() {
					t.Errorf("%d bytes are kept, %d counted, %d reserved, %d drawn", kept, b.buf.held, b.buf.reserved, p.has())
				}
				b.mu.Unlock()
				piece, _, err := r.Next(t.Context())
				n += len(piece)
				if err != nil {
					break
				}
			}
			require.Equal(t, 1<<20, n)
			r.Close()
			b.Leave()
			require.Zero(t, p.has())
		})
	})
	t.Run("what a body has drawn goes back", func(t *testing.T) {
		const size = 20 << 10
		for _, tt := range []struct {
			name string
			end  func(t *testing.T, b *Body) // Leave comes after it
			kept bool                        // something is drawn until the reader has left
		}{
			{"when its bytes are those of an object in memory", func(t *testing.T, b *Body) {
				b.Close(nil)
				o, ok := b.Object()
				require.True(t, ok)
				b.Stored(o)
			}, false},
			{"when its reader has left, if it was not stored", func(_ *testing.T, b *Body) { b.Close(nil) }, true},
			{"when its reader has left, if the object is other bytes", func(t *testing.T, b *Body) {
				b.Close(nil)
				b.Stored(object.NewBody(pattern(size)))
			}, true},
			{"when its reader has left, if it broke off", func(_ *testing.T, b *Body) { b.Close(errBroken) }, true},
		} {
			t.Run(tt.name, func(t *testing.T) {
				b, p, _ := drawing(1<<20, -1, 1<<20)
				r := b.Reader()
				mustWrite(t, b, pattern(size))
				require.Positive(t, p.has())
				tt.end(t, b)
				b.Leave()
				require.Equal(t, tt.kept, p.has() > 0)
				got, err := readAll(t.Context(), r)
				require.Len(t, got, size)
				require.True(t, err == nil || errors.Is(err, errBroken))
				r.Close()
				require.Zero(t, p.has())
				b.Leave()
				require.Zero(t, p.has())
				if tt.kept {
					require.Nil(t, b.Reader(), "the bytes are gone")
					_, ok := b.Object()
					require.False(t, ok)
				} else {
					require.NotNil(t, b.Reader())
				}
			})
		}
		t.Run("not while a client is about to read", func(t *testing.T) {
			b, p, _ := drawing(1<<20, -1, 1<<20)
			coming := true
			b.Hold(queue(func() bool { return coming }))
			mustWrite(t, b, pattern(size))
			b.Close(nil)
			b.Leave()
			require.Positive(t, p.has())
			r := b.Reader()
			require.NotNil(t, r)
			coming = false
			b.Wake()
			require.Positive(t, p.has())
			r.Close()
			require.Zero(t, p.has())
		})
		t.Run("when a client that was about to read does not come", func(t *testing.T) {
			b, p, _ := drawing(1<<20, -1, 1<<20)
			coming := true
			b.Hold(queue(func() bool { return coming }))
			mustWrite(t, b, pattern(size))
			b.Close(nil)
			b.Leave()
			coming = false
			b.Wake()
			require.Zero(t, p.has())
		})
		t.Run("as its readers go on, once it has outgrown its limit", func(t *testing.T) {
			b, p, c := drawing(512<<10, -1, 1<<20)
			mustWrite(t, b, pattern(6<<20))
			b.Close(nil)
			c.users.Wait()
			require.Len(t, c.got, 6<<20)
			b.Leave()
			require.Zero(t, p.has())
		})
		t.Run("at once what the copy of the last chunk saves", func(t *testing.T) {
			b, p, _ := drawing(1<<20, -1, 1<<20)
			mustWrite(t, b, pattern(100))
			b.Close(nil)
			_, ok := b.Object()
			require.True(t, ok)
			require.EqualValues(t, 100, p.has())
		})
	})
	t.Run("a leader that panics leaves the body usable", func(t *testing.T) {
		b, p := NewBody(100, -1), &purse{left: 1000}
		b.Draw(p, clumsy{})
		require.PanicsWithValue(t, "client", func() { _, _ = b.Write(pattern(101)) })
		b.Close(errBroken)
		b.Leave()
		require.Zero(t, p.has())
	})
	t.Run("bodies share too little of it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &purse{left: 1 << 20}
			var all sync.WaitGroup
			for i := range 40 {
				all.Go(func() {
					random := rand.New(rand.NewPCG(uint64(i), 1))
					want := pattern(1 + random.IntN(300<<10))
					b := NewBody(int64(1+random.IntN(400<<10)), -1)
					c := &captain{body: b}
					b.Draw(p, c)
					var readers sync.WaitGroup
					for range random.IntN(4) {
						r := b.Reader()
						leaves := random.IntN(3) == 0
						readers.Go(func() {
							defer r.Close()
							if leaves {
								_, _, _ = r.Next(context.Background())
								return
							}
							if got, err := readAll(context.Background(), r); err != nil || !bytes.Equal(got, want) {
								t.Errorf("a reader got %d of %d bytes and %v", len(got), len(want), err)
							}
						})
					}
					for rest := want; len(rest) > 0; {
						n := min(len(rest), 1+random.IntN(40<<10))
						if _, err := b.Write(rest[:n]); err != nil {
							t.Error(err)
							break
						}
						rest = rest[n:]
						time.Sleep(time.Duration(random.IntN(5)) * time.Millisecond)
					}
					b.Close(nil)
					if o, ok := b.Object(); ok && random.IntN(2) == 0 {
						b.Stored(o)
					}
					b.Leave()
					c.users.Wait()
					readers.Wait()
				})
			}
			all.Wait()
			require.Zero(t, p.has())
			require.LessOrEqual(t, p.most, int64(1<<20))
		})
	})
}

// clumsy is a leader whose client's writer panics.
type clumsy struct{}

func (clumsy) Outgrow() { panic("client") }
