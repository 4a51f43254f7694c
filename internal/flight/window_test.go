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

// A fast reader is never held up by a slow one while the body may still be stored.
func TestWriterNeverWaitsInsideTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBody(8<<20, -1)
		stalled := b.Reader()
		defer stalled.Close()
		start := time.Now()
		mustWrite(t, b, pattern(8<<20))
		b.Close(nil)
		require.Zero(t, time.Since(start))
	})
}

func TestOutgrownBodyStaysInsideItsWindow(t *testing.T) {
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
			for _, c := range b.chunks {
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
		if bound := int64(window + 2*maxChunk); most > bound {
			t.Errorf("%d bytes were kept at once, want at most %d", most, bound)
		}
	})
}

func TestOutgrownBodyEndsWhenItsLastReaderHasLeft(t *testing.T) {
	t.Run("at once when there was none", func(t *testing.T) {
		b := NewBody(10, -1)
		n, err := b.Write(pattern(11))
		require.ErrorIs(t, err, ErrNobody)
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
			require.ErrorIs(t, err, ErrNobody)
			require.Equal(t, time.Second, time.Since(start))
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

func TestReaderThatStandsStillIsLetGoWhenOthersWait(t *testing.T) {
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
		require.Equal(t, StallLimit, time.Since(start))
		_, _, err := stalled.Next(t.Context())
		require.ErrorIs(t, err, ErrStalled)
		stalled.Close()
	})
}

// Otherwise a handful of them, each stopped somewhere else, would hold up the others for as many times as long.
func TestReadersThatStandStillAtDifferentPlacesAreLetGoTogether(t *testing.T) {
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
		if got := time.Since(start); got > 2*StallLimit {
			t.Errorf("the fast reader was done after %v, want at most %v", got, 2*StallLimit)
		}
		for _, r := range stalled {
			r.Close()
		}
	})
}

func TestReaderThatMovesIsNotLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 4 << 20
		b := NewBody(1<<20, -1)
		fast, slow := b.Reader(), b.Reader()
		var done sync.WaitGroup
		for pause, r := range map[time.Duration]*Reader{0: fast, StallLimit / 2: slow} {
			done.Go(func() {
				n, err := slowly(r, pause)
				if n != size || err != nil {
					t.Errorf("the reader with pauses of %v got %d bytes and %v", pause, n, err)
				}
			})
		}
		for range size / maxChunk {
			mustWrite(t, b, make([]byte, maxChunk))
		}
		b.Close(nil)
		done.Wait()
	})
}

// A client that nobody waits behind may be as slow as it likes: without a cache it could be.
func TestOnlyReaderMayStandStillForAnyTime(t *testing.T) {
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
}
