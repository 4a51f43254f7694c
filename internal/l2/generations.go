package l2

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/clock"
	"github.com/edgecache-go/edgecache/internal/generations"
	"github.com/edgecache-go/edgecache/internal/object"
)

// A response carries a stamp: where the sequence of purges in the process that made it stood when
// it began to be rendered, and where that of the store stood, as far as known. The response is
// refused when a purge that concerns it has a later number. So it does not matter in which order
// writes, deletions and purges reach the store: a write that lands after a purge is neutralised by
// its own stamp.
//
// Purges of this process count at once, whatever the store does, for what this process has stored.
// What others have stored is compared with the generations of the store. A purge that could not be
// written there yet is pending, and all that it concerns and others have stored is refused until it
// is written.

// Mark is where the sequences of purges stand. The zero Mark is older than every purge.
type Mark struct{ local, shared uint64 }

// Mark returns where the sequences stand now. Ask for it when, or before, a response begins to be
// made, and give it to Put with the response.
func (t *Cache) Mark() Mark {
	return Mark{local: t.marks.Now(), shared: t.shared.now.Load()}
}

// marks is the generations of this process.
type marks struct{ *generations.Table }

func newMarks() marks { return marks{generations.New(places)} }

// bump gives all of list the next number.
func (m marks) bump(list []slot) uint64 {
	at := make([]uint32, 0, 2*len(list))
	for i := range list {
		at = append(at, list[i].at[:]...)
	}
	return m.Bump(at...)
}

// purgedSince reports whether one of list was, or may have been, purged after the sequence stood at
// gen.
func (m marks) purgedSince(list []slot, gen uint64) bool {
	for i := range list {
		if m.PurgedSince(gen, list[i].at[:]...) {
			return true
		}
	}
	return false
}

// purged reports whether r must not be used: because of a purge since it began to be rendered, or
// since gen, where the local sequence stood when the caller began to look.
func (t *Cache) purged(ctx context.Context, r *object.Record, gen uint64) (bool, error) {
	list := t.naming.slots(namesOf(r.Key, r.Selector().Scope != "", r.Tags))
	own := r.Stamp.Instance == t.instance
	if own {
		gen = min(gen, r.Stamp.Local)
	}
	if t.generations == nil {
		// No other process tells what it has purged.
		return !own || t.marks.purgedSince(list, gen), nil
	}
	if t.marks.purgedSince(list, gen) {
		return true, nil
	}
	// A purge of this process that had begun before the look-up is untold here, or the store tells
	// of it below. Each slot is checked on its own, because the store may know of one of the two.
	names := t.naming.inStore(list)
	var untold []bool
	if !own {
		untold = t.pending.have(names)
	}
	if anyPlace(list, func(i int) bool { return untold != nil && untold[i] }) {
		return true, nil
	}
	generations, now, err := t.load(ctx, names)
	if err != nil {
		return false, err
	}
	if r.Stamp.Shared > now {
		return true, nil // the store has lost the sequence that this is a stamp of
	}
	return anyPlace(list, func(i int) bool {
		return generations[i] > r.Stamp.Shared || untold != nil && untold[i]
	}) || t.marks.purgedSince(list, gen), nil
}

// anyPlace reports whether holds is true of every name that one slot of list has in the store.
// holds gets the index of the name in what inStore returns for list.
func anyPlace(list []slot, holds func(i int) bool) bool {
	i := 0
	for n := range list {
		all := true
		for range list[n].width() {
			all = holds(i) && all
			i++
		}
		if all {
			return true
		}
	}
	return false
}

var errLoad = errors.New("edgecache: the store does not tell one generation for each name")

// load asks the store for generations, and remembers where its sequence stands.
func (t *Cache) load(ctx context.Context, names []string) ([]uint64, uint64, error) {
	type reply struct {
		generations []uint64
		now         uint64
	}
	a, err := call(t, ctx, t.calls.lookups, func(ctx context.Context) (reply, error) {
		generations, now, err := t.generations.Load(ctx, names...)
		return reply{generations, now}, err
	})
	if err == nil && len(a.generations) != len(names) {
		err = errLoad
	}
	if err != nil {
		return nil, 0, err
	}
	t.shared.set(a.now)
	return a.generations, a.now, nil
}

// position is where the sequence of the store stands, as last heard. An older position makes stamps
// older than they are, which is safe.
type position struct {
	now   atomic.Uint64
	heard atomic.Int64 // when: a clock.Instant
}

func (p *position) set(now uint64) {
	p.now.Store(now)
	p.heard.Store(int64(clock.Of(time.Now())))
}

// outdated reports whether it was last heard too long ago.
func (p *position) outdated() bool {
	return clock.Instant(p.heard.Load()).Until(time.Now()) >= positionFor
}

// locate asks where the shared sequence stands, if it was not asked lately.
func (t *Cache) locate(ctx context.Context) error {
	if t.generations == nil || !t.shared.outdated() {
		return nil
	}
	_, _, err := t.load(ctx, nil)
	return err
}
