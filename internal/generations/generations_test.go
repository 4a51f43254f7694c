package generations

import (
	"sync"
	"testing"
)

func TestTable(t *testing.T) {
	t.Run("a name is purged when all of its places were", func(t *testing.T) {
		for _, row := range []struct {
			name          string
			first, second []uint32 // what is purged
			places        []uint32 // of the name
			want          bool
		}{
			{"nothing was purged", nil, nil, []uint32{1}, false},
			{"its only place", []uint32{1}, nil, []uint32{1}, true},
			{"another place", []uint32{2}, nil, []uint32{1}, false},
			{"one of two places", []uint32{1}, nil, []uint32{1, 2}, false},
			{"both at once", []uint32{1, 2}, nil, []uint32{1, 2}, true},
			{"one after the other", []uint32{1}, []uint32{2}, []uint32{1, 2}, true},
			{"more than its places", []uint32{0, 1, 2, 3}, nil, []uint32{1, 2}, true},
			{"it has no places", []uint32{0, 1, 2, 3}, nil, nil, false},
		} {
			table := New(4)
			gen := table.Now()
			table.Bump(row.first...)
			table.Bump(row.second...)
			if got := table.PurgedSince(gen, row.places...); got != row.want {
				t.Errorf("%s: got %v, want %v", row.name, got, row.want)
			}
			if table.PurgedSince(table.Now(), row.places...) {
				t.Errorf("%s: what is made now was purged", row.name)
			}
		}
	})
	t.Run("each purge has the next number", func(t *testing.T) {
		table := New(1)
		for want := uint64(1); want < 4; want++ {
			if got := table.Bump(0); got != want || table.Now() != want {
				t.Errorf("got %d, now %d, want %d", got, table.Now(), want)
			}
		}
	})
	t.Run("marks never go back", func(t *testing.T) {
		table := New(2)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 1000 {
					gen := table.Now()
					n := table.Bump(0, 1)
					if n <= gen || !table.PurgedSince(n-1, 0, 1) {
						t.Errorf("purge %d after %d has left no mark", n, gen)
					}
				}
			})
		}
		all.Wait()
		if last := table.Now(); last != 8000 || !table.PurgedSince(last-1, 0, 1) {
			t.Errorf("got %d purges, want 8000 and the mark of the last", last)
		}
	})
	t.Run("asking does not allocate", func(t *testing.T) {
		table := New(4)
		if n := testing.AllocsPerRun(100, func() { table.PurgedSince(table.Now(), 1, 2); table.Bump(1, 2) }); n != 0 {
			t.Errorf("got %v allocations, want 0", n)
		}
	})
}
