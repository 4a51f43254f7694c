package flight

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

type shutter struct{ shut int }

func (*shutter) WaitingToRead() bool { return false }
func (s *shutter) Shut()             { s.shut++ }

func TestLive(t *testing.T) {
	t.Run("after two flushes and a second", func(t *testing.T) {
		for _, row := range []struct {
			name     string
			declared int64
			flushes  int
			end      bool
			age      time.Duration
			want     bool
		}{
			{"two flushes and a second", -1, 2, false, time.Second, true},
			{"many flushes", -1, 9, false, time.Second, true},
			{"too young", -1, 2, false, time.Second - 1, false},
			{"one flush only", -1, 1, false, time.Hour, false},
			{"of known length", 10, 2, false, time.Hour, false},
			{"ended before", -1, 2, true, time.Hour, false},
		} {
			t.Run(row.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, q := NewBody(100, row.declared), new(shutter)
					b.Hold(q)
					for range row.flushes {
						b.Flush()
					}
					if row.end {
						b.Close(nil)
					}
					time.Sleep(row.age)
					synctest.Wait()
					require.Equal(t, row.want, b.IsLive())
					require.Equal(t, row.want, q.shut == 1)
					require.Equal(t, row.want, b.Reader() == nil)
					b.Close(nil)
					require.NotNil(t, b.Reader(), "any client may read what has ended")
				})
			})
		}
	})
	t.Run("it ends when no client reads", func(t *testing.T) {
		b := NewBody(100, -1)
		r := b.LeaderReader()
		b.Live()
		_, err := b.Write([]byte("a"))
		require.NoError(t, err)
		require.ErrorIs(t, b.Done(context.Background()), ErrLive)
		r.Close()
		_, err = b.Write([]byte("b"))
		require.ErrorIs(t, err, ErrNoReaders)
		b.Close(nil)
		_, ok := b.Object()
		require.False(t, ok, "a byte is lost")
	})
	t.Run("its flight is shut", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := NewGroup[int](Limits{Wait: time.Minute, Leader: time.Minute, Finish: time.Minute, Waiters: 10})
			admit := func(*Flight[int]) bool { return true }
			var own [3]Flight[int]
			leader, cancel := context.WithCancel(t.Context())
			f, role := g.Join([]byte("id"), 0, time.Now(), admit, in(&own[0], "id"))
			require.Equal(t, Lead, role)
			var ctx Context
			f.Begin(&ctx, leader)
			done := ctx.Done()
			f.Pin()
			f.Share(1)
			_, role = g.Join([]byte("id"), 0, time.Now(), admit, in(&own[1], "id"))
			require.Equal(t, Follow, role)
			f.Shut()
			_, role = g.Join([]byte("id"), 0, time.Now(), admit, in(&own[2], "id"))
			require.Equal(t, Lead, role, "it is no longer joined")
			cancel()
			synctest.Wait()
			require.NoError(t, ctx.Err(), "one is left")
			f.Leave()
			<-done
			require.ErrorIs(t, context.Cause(&ctx), ErrLeft)
			f.End()
			f.Finish()
		})
	})
}
