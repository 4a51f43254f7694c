package readers

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// client is a writer that waits for each write as long as take says, or until a deadline has
// passed.
type client struct {
	take   func(n int) time.Duration
	past   chan struct{}
	once   sync.Once
	over   atomic.Bool // it must not be used any more
	misuse atomic.Bool
}

func newClient(take func(n int) time.Duration) *client {
	return &client{take: take, past: make(chan struct{})}
}

func (c *client) Header() http.Header { return nil }
func (c *client) WriteHeader(int)     {}

func (c *client) Write(p []byte) (int, error) {
	timer := time.NewTimer(c.take(len(p)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return len(p), nil
	case <-c.past:
		return 0, io.ErrClosedPipe
	}
}

func (c *client) SetWriteDeadline(time.Time) error {
	if c.over.Load() {
		c.misuse.Store(true)
	}
	c.once.Do(func() { close(c.past) })
	return nil
}

// rate takes n bytes a second.
func rate(n int) func(int) time.Duration {
	return func(size int) time.Duration { return time.Duration(size) * time.Second / time.Duration(n) }
}

// read lets a client read size bytes of a body, and returns how that ended.
func read(room *Room, set *Set, c *client, size int) error {
	r := new(Reader)
	r.In(room)
	r.Start(c)
	r.Join(set)
	_, err := r.Write(make([]byte, size))
	r.Stop()
	c.over.Store(true)
	if err == nil && r.LetGo() {
		return errors.New("let go at its end")
	}
	return err
}

func newSet(size int64) *Set {
	s := new(Set)
	s.SetSize(size)
	return s
}

func TestPin(t *testing.T) {
	room, set := NewRoom(1000), newSet(100)
	pinned := func(want int64, what string) {
		t.Helper()
		if got := room.Used(); got != want {
			t.Errorf("%s: %d bytes are pinned, want %d", what, got, want)
		}
	}
	begin := func() *Reader {
		r := new(Reader)
		r.In(room)
		r.Start(newClient(rate(1)))
		r.Join(set)
		return r
	}
	set.Pay()
	first := begin()
	pinned(0, "paid for")
	set.Pay()
	set.Unpay()
	pinned(0, "another one pays no longer")
	set.Unpay()
	pinned(100, "not paid for")
	second := begin()
	pinned(100, "two read")
	first.Stop()
	first.Stop()
	pinned(100, "one reads")
	set.Pay()
	pinned(0, "paid for again")
	set.Unpay()
	pinned(100, "again not paid for")
	second.Stop()
	pinned(0, "not read")
	begin().Stop()
	pinned(0, "it has been read")
	third := begin()
	pinned(100, "it came late")
	third.Stop()
	pinned(0, "it has left")
	uncounted := new(Reader)
	uncounted.Join(set)
	uncounted.Stop()
	pinned(0, "without a room nothing is counted")
}

func TestLetGo(t *testing.T) {
	t.Run("slow clients", func(t *testing.T) {
		const mib = 1 << 20
		for _, row := range []struct {
			name string
			take func(int) time.Duration
			age  time.Duration // when the room becomes full
			want error
		}{
			{"a client that reads at 10 MB/s", rate(10_000_000), 50 * time.Millisecond, nil},
			{"at 64 KiB/s", rate(64 << 10), 10 * time.Second, nil},
			{"at 32 KiB/s", rate(32 << 10), 20 * time.Second, nil},
			{"at 16 KiB/s", rate(16 << 10), 60 * time.Second, nil},
			{"at 4 KiB/s", rate(4 << 10), 10 * time.Second, ErrLetGo},
			{"not at all", rate(1), 3 * time.Second, ErrLetGo},
			{"not at all, but has just begun", rate(1 << 30), time.Millisecond, nil},
		} {
			t.Run(row.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					room, set, c := NewRoom(mib), newSet(2*mib), newClient(row.take)
					set.Pay()
					ended := make(chan error, 1)
					go func() { ended <- read(room, set, c, 2*mib) }()
					time.Sleep(row.age)
					set.Unpay() // twice as much as there is room for
					require.ErrorIs(t, <-ended, row.want)
					synctest.Wait()
					require.False(t, c.misuse.Load())
					require.Zero(t, room.Used())
				})
			})
		}
		t.Run("none while there is room", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				room, set := NewRoom(3*mib), newSet(2*mib)
				ended := make(chan error, 1)
				go func() { ended <- read(room, set, newClient(rate(4<<10)), 2*mib) }()
				require.NoError(t, <-ended)
			})
		})
		t.Run("none whose bytes are paid for", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				room, set, other := NewRoom(mib), newSet(2*mib), newSet(2*mib)
				set.Pay()
				ended := make(chan error, 2)
				go func() { ended <- read(room, set, newClient(rate(4<<10)), 100<<10) }()
				time.Sleep(5 * time.Second)
				go func() { ended <- read(room, other, newClient(rate(1<<20)), 2*mib) }()
				require.NoError(t, <-ended)
				require.NoError(t, <-ended)
			})
		})
	})
	// Time in which there is nothing to take, because the handler is slow, does not count.
	t.Run("a client that waits for the handler is not slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			room, set := NewRoom(1000), newSet(2000)
			r := new(Reader)
			r.In(room)
			r.Start(newClient(rate(20 << 10)))
			r.Join(set)
			for range 20 {
				time.Sleep(10 * time.Second)
				require.False(t, room.Admits(1<<20))
				_, err := r.Write(make([]byte, 10<<10))
				require.NoError(t, err)
			}
			r.Stop()
			require.False(t, r.LetGo())
		})
	})
	// Asking for room lets those go that have become slow since it was full.
	t.Run("one that becomes slow is let go when the next one asks", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			room, set := NewRoom(1<<20), newSet(1<<20)
			ended := make(chan error, 1)
			go func() { ended <- read(room, set, newClient(rate(1)), 1<<20) }()
			time.Sleep(time.Second)
			require.False(t, room.Admits(1<<20))
			time.Sleep(2 * time.Second)
			require.False(t, room.Admits(1<<20))
			require.ErrorIs(t, <-ended, ErrLetGo)
			require.True(t, room.Admits(1<<20))
		})
	})
}

func TestAdmits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := NewRoom(1000)
		admits := func(small, medium, large bool) {
			t.Helper()
			for size, want := range map[int64]bool{1: small, CountedAbove: small, CountedAbove + 1: medium, largeBody: medium, largeBody + 1: large} {
				if got := room.Admits(size); got != want {
					t.Errorf("%d pinned, %d bytes: %v, want %v", room.Used(), size, got, want)
				}
			}
		}
		var readers []*Reader
		pin := func(n int64) {
			r := new(Reader)
			r.In(room)
			r.Start(newClient(rate(1)))
			r.Join(newSet(n))
			readers = append(readers, r)
		}
		admits(true, true, true)
		pin(999)
		admits(true, true, true)
		pin(1)
		admits(true, true, false)
		pin(499)
		admits(true, true, false)
		pin(1)
		admits(true, false, false)
		for _, r := range readers {
			r.Stop()
		}
		admits(true, true, true)
	})
}

func TestConcurrency(t *testing.T) {
	room := NewRoom(300)
	sets := make([]*Set, 8)
	for i := range sets {
		sets[i] = newSet(100)
	}
	var group sync.WaitGroup
	for worker := range uint64(8) {
		group.Go(func() {
			random := rand.New(rand.NewPCG(worker, 1))
			paid := make([]int, len(sets))
			for range 3000 {
				i := random.IntN(len(sets))
				switch random.IntN(4) {
				case 0:
					sets[i].Pay()
					paid[i]++
				case 1:
					if paid[i] > 0 {
						sets[i].Unpay()
						paid[i]--
					}
				case 2:
					room.Admits(1 << 20)
				default:
					c := newClient(rate(1 << 40))
					if err := read(room, sets[i], c, 70<<10); err != nil {
						t.Error(err)
					}
					if c.misuse.Load() {
						t.Error("a client was used after it had ended")
					}
				}
			}
			for i, n := range paid {
				for range n {
					sets[i].Unpay()
				}
			}
		})
	}
	group.Wait()
	require.Zero(t, room.Used())
	require.Empty(t, room.pinned)
}
