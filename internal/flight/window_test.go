package flight

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWindow(t *testing.T) {
	// A slow reader never holds up a fast one while the body may still be stored.
	t.Run("the writer never waits inside the limit", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := NewBody(8<<20, -1)
			stalled := b.Reader()
			defer stalled.Close()
			start := time.Now()
			mustWrite(t, b, pattern(8<<20))
			b.Close(nil)
			require.Zero(t, time.Since(start))
		})
	})
	t.Run("an outgrown body stays inside it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			const size = 16 << 20
			b := NewBody(1<<20, -1)
			r := b.Reader()
			want := pattern(size)
			go func() {
				for p := want; len(p) > 0; p = p[min(32<<10, len(p)):] {
					if _, err := b.Write(p[:min(32<<10, len(p))]); err != nil {
						t.Error(err)
						return
					}
				}
				b.Close(nil)
			}()
			var got []byte
			most := int64(0)
			for {
				synctest.Wait() // the writer is as far ahead as it may
				b.mu.Lock()
				kept := int64(0)
				for _, c := range b.buf.chunks {
					kept += int64(cap(c))
				}
				b.mu.Unlock()
				most = max(most, kept)
				p, _, err := r.Next(t.Context())
				got = append(got, p...)
				if errors.Is(err, io.EOF) {
					break
				}
				require.NoError(t, err)
			}
			r.Close()
			require.True(t, bytes.Equal(want, got))
			require.Nil(t, b.buf.one[0], "the first chunk is kept by the list that it was in first")
			if bound := int64(window + 2*maxChunk); most > bound {
				t.Errorf("%d bytes were kept at once, want at most %d", most, bound)
			}
		})
	})
	t.Run("an outgrown body ends with its last reader", func(t *testing.T) {
		t.Run("at once when there was none", func(t *testing.T) {
			b := NewBody(10, -1)
			n, err := b.Write(pattern(11))
			require.ErrorIs(t, err, ErrNoReaders)
			require.Equal(t, 10, n)
		})
		t.Run("while the writer waits for it", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := NewBody(10, -1)
				r := b.Reader()
				go func() {
					time.Sleep(time.Second)
					r.Close()
				}()
				start := time.Now()
				_, err := b.Write(make([]byte, 4<<20))
				require.ErrorIs(t, err, ErrNoReaders)
				require.Equal(t, time.Second, time.Since(start))
			})
		})
	})
}

// slowly reads until the body ends or the reader is let go, pausing before each piece.
func slowly(r *Reader, pause time.Duration) (n int, err error) {
	defer r.Close()
	for {
		time.Sleep(pause)
		p, _, err := r.Next(context.Background())
		n += len(p)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

func TestSlowReader(t *testing.T) {
	t.Run("one that stands still is let go when others wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			const size = 4 << 20
			b := NewBody(1<<20, -1)
			fast, stalled := b.Reader(), b.Reader()
			var done sync.WaitGroup
			done.Go(func() {
				n, err := slowly(fast, 0)
				if n != size || err != nil {
					t.Errorf("the fast reader got %d bytes and %v", n, err)
				}
			})
			start := time.Now()
			mustWrite(t, b, make([]byte, size))
			b.Close(nil)
			done.Wait()
			require.Equal(t, patience, time.Since(start))
			_, _, err := stalled.Next(t.Context())
			require.ErrorIs(t, err, ErrStalled)
			stalled.Close()
		})
	})
	// Otherwise a few of them, each stopped at another place, would hold up the others several
	// times as long.
	t.Run("those at different places are let go together", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			const size = 8 << 20
			b := NewBody(4<<20, -1)
			fast := b.Reader()
			var stalled []*Reader
			for range 30 {
				stalled = append(stalled, b.Reader())
			}
			mustWrite(t, b, make([]byte, 4<<20))
			for i, r := range stalled {
				for range i {
					_, _, err := r.Next(t.Context())
					require.NoError(t, err)
					if r.total == 4<<20 {
						break
					}
				}
			}
			var done sync.WaitGroup
			done.Go(func() {
				n, err := slowly(fast, 0)
				if n != size || err != nil {
					t.Errorf("the fast reader got %d bytes and %v", n, err)
				}
			})
			start := time.Now()
			mustWrite(t, b, make([]byte, 4<<20))
			b.Close(nil)
			done.Wait()
			if got := time.Since(start); got > 2*patience {
				t.Errorf("the fast reader was done after %v, want at most %v", got, 2*patience)
			}
			for _, r := range stalled {
				r.Close()
			}
		})
	})
	// It holds up the others for no longer than they take anyway.
	t.Run("one that takes a little now and then", func(t *testing.T) {
		for _, pause := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 200 * time.Millisecond} {
			for _, drips := range []int{1, 20} {
				synctest.Test(t, func(t *testing.T) {
					const size = 24 << 20
					alone, _ := victims(t, size, pause)
					readers := make([]func(*Reader) (int, error), drips)
					for i := range readers {
						readers[i] = dripping
						if i%2 == 1 {
							readers[i] = func(r *Reader) (int, error) { return paced(r, minRate/2) }
						}
					}
					took, errs := victims(t, size, pause, readers...)
					if took > 2*alone && took > alone+patience {
						t.Errorf("%d drips, a piece every %v: %v, alone %v", drips, pause, took, alone)
					}
					for i, err := range errs {
						require.ErrorIs(t, err, ErrStalled, "reader %d", i)
					}
				})
			}
		}
	})
	// An ordinary line is not cut because another client has a much faster one, unless that client
	// would have to wait for long.
	t.Run("ordinary ones are waited for", func(t *testing.T) {
		for _, row := range []struct {
			name string
			size int
			rate int
			want error
			most time.Duration // that the fast reader may take
		}{
			{"1 Mbit/s", 2 << 20, 128 << 10, nil, 9 * time.Second},
			{"the least that is fair", 3 << 19, minRate + 1<<10, nil, StallLimit},
			{"4 Mbit/s", 5 << 20, 512 << 10, nil, 9 * time.Second},
			{"1 Mbit/s, of much", 16 << 20, 128 << 10, ErrStalled, StallLimit + time.Second},
		} {
			t.Run(row.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					took, errs := victims(t, row.size, time.Millisecond, func(r *Reader) (int, error) { return paced(r, row.rate) })
					if !errors.Is(errs[0], row.want) {
						t.Errorf("got %v, want %v", errs[0], row.want)
					}
					if took > row.most {
						t.Errorf("the fast reader was done after %v, want at most %v", took, row.most)
					}
				})
			})
		}
		t.Run("half as fast, for ever", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size = 64 << 20
				alone, _ := victims(t, size, 50*time.Millisecond) // 1.25 MiB/s
				took, errs := victims(t, size, 50*time.Millisecond, func(r *Reader) (int, error) { return paced(r, 700<<10) })
				require.NoError(t, errs[0])
				require.LessOrEqual(t, took, 2*alone)
			})
		})
	})
	// Whatever many readers do in turns, the total wait of the others is bounded.
	t.Run("those that take turns are waited for in total", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			const size = 48 << 20
			var turns []func(*Reader) (int, error)
			for i := range 40 {
				// Each is fast up to its turn, and reads at an ordinary rate from then on.
				turns = append(turns, func(r *Reader) (int, error) {
					n := 0
					for n < (i+1)<<20 {
						p, _, err := r.Next(context.Background())
						if n += len(p); err != nil {
							r.Close()
							return n, err
						}
					}
					m, err := paced(r, 100<<10)
					return n + m, err
				})
			}
			took, _ := victims(t, size, time.Millisecond, turns...)
			if most := StallLimit + 2*time.Second; took > most {
				t.Errorf("the fast reader was done after %v, want at most %v", took, most)
			}
		})
	})
	// A client may be as slow as it likes while no other waits behind it: without a cache it could
	// be.
	t.Run("the only one may stand still for any time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			const size = 3 << 20
			b := NewBody(1<<20, -1)
			r := b.Reader()
			var done sync.WaitGroup
			done.Go(func() {
				n, err := slowly(r, 7*StallLimit)
				if n != size || err != nil {
					t.Errorf("the reader got %d bytes and %v", n, err)
				}
			})
			mustWrite(t, b, make([]byte, size))
			b.Close(nil)
			done.Wait()
		})
	})
}

// paced reads at a rate in bytes a second, as a client with a narrow line does. It returns what it
// got and when it was done.
func paced(r *Reader, rate int) (n int, err error) {
	defer r.Close()
	for {
		p, _, err := r.Next(context.Background())
		time.Sleep(time.Duration(len(p)) * time.Second / time.Duration(rate))
		n += len(p)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// dripping reads 256 KiB every 9 s.
func dripping(r *Reader) (n int, err error) {
	defer r.Close()
	for {
		for next := n + 256<<10; n < next; {
			p, _, err := r.Next(context.Background())
			n += len(p)
			if errors.Is(err, io.EOF) {
				return n, nil
			}
			if err != nil {
				return n, err
			}
		}
		time.Sleep(9 * time.Second)
	}
}

// victims is how long a body of size bytes takes for a fast reader beside others, and what became
// of these.
func victims(t *testing.T, size int, pause time.Duration, others ...func(r *Reader) (int, error)) (took time.Duration, errs []error) {
	t.Helper()
	b := NewBody(1<<20, -1)
	fast := b.Reader()
	errs = make([]error, len(others))
	var done, rest sync.WaitGroup
	for i, other := range others {
		r := b.Reader()
		rest.Go(func() {
			n, err := other(r)
			if errs[i] = err; err == nil && n != size {
				t.Errorf("reader %d got %d of %d bytes", i, n, size)
			}
		})
	}
	start := time.Now()
	done.Go(func() {
		if n, err := slowly(fast, 0); n != size || err != nil {
			t.Errorf("the fast reader got %d bytes and %v", n, err)
		}
		took = time.Since(start)
	})
	for range size / (64 << 10) {
		time.Sleep(pause)
		mustWrite(t, b, make([]byte, 64<<10))
	}
	b.Close(nil)
	done.Wait()
	rest.Wait()
	return took, errs
}
