package l2

import (
	"context"
	"time"
)

const (
	// mergeFor is how long after a Bump of a name the next one of it waits, so that many purges of
	// one name, such as a flood of POSTs, are few calls of the store.
	mergeFor = 100 * time.Millisecond

	// gatherFor is how long after a Bump the next one waits, whatever it is about, if no Tell waits
	// for it.
	gatherFor = 10 * time.Millisecond

	// maxBumped is how many names one Bump has at most.
	maxBumped = 4096

	// maxExact is how many names that are no slots may wait to be told to the store. Beyond that a
	// purge by prefix becomes one of everything. Slots need no limit: their number is fixed.
	maxExact = 4096
)

// Purge is a purge that this process knows of, and that the store must be told.
type Purge struct {
	cache  *Cache
	names  []string // as the store has them
	number uint64   // in the local sequence
}

// Purge makes everything that targets name unusable: what is stored, what is on its way to the
// store, and what a Lookup is reading. When it returns, that holds for this process. It does not
// wait for the store. Until the store knows, this process uses nothing that the purge concerns and
// another process has stored. The caller must Tell it, or TellLater.
//
// A cache in front of the Cache bumps its own generations after this, and then removes what it
// holds. So nothing that was looked up before can get into it any more.
func (t *Cache) Purge(targets ...Target) Purge {
	all := join(targets)
	p := Purge{cache: t}
	list := t.naming.slots(all.names)
	fresh := true
	if t.generations == nil {
		p.number = t.marks.bump(list)
	} else {
		p.names, p.number, fresh = t.pending.add(list, t.naming.inStore(list), time.Now(), t.marks)
	}
	if fresh { // else it was done a moment ago, or cannot be done yet
		for _, k := range all.erased {
			t.push(job{key: k}) // to make room; if the job is lost, the value ends with its time
		}
	}
	return p
}

// Tell tells the store, within Config.WriteTimeout, so that the purge holds for other processes,
// too. It waits for a Bump that began after the purge. Names that were told less than mergeFor
// before are told together with others. If Tell returns an error, the store is told later, as by
// TellLater.
func (p Purge) Tell(ctx context.Context) error {
	t := p.cache
	if t.generations == nil || len(p.names) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.config.WriteTimeout)
	defer cancel()
	w := &t.pending
	w.wait(1)
	defer w.wait(-1)
	for {
		done, ended, err := w.outcome(&p)
		if done {
			return err
		}
		if !t.share() {
			return errClosed
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TellLater tells the store in the background, again and again until it knows. It does not block.
func (p Purge) TellLater() {
	if p.cache.generations != nil {
		p.cache.share()
	}
}

// share tells the store what is pending, in the background, until it knows everything. It returns
// false if the Cache is closed.
func (t *Cache) share() bool {
	if !t.pending.begin() {
		return true
	}
	if !t.tasks.begin() {
		t.pending.stop()
		return false
	}
	go t.tell()
	return true
}

func (t *Cache) tell() {
	defer t.tasks.end()
	p := &t.pending
	for last := false; ; {
		b, wait, more := p.next(time.Now(), t.marks, last)
		if !more {
			return
		}
		if b.names != nil {
			if err := t.bump(b); err != nil && last {
				p.stop() // other processes will not learn of the rest
				return
			}
			continue
		}
		select {
		case <-time.After(wait):
		case <-p.wake:
		case <-t.background.closing:
			last = true // once more
		}
	}
}

func (t *Cache) bump(b bumped) error {
	ctx, cancel := context.WithTimeout(t.background.ctx, t.config.WriteTimeout)
	defer cancel()
	now, err := call(t, ctx, t.calls.bumps, func(ctx context.Context) (uint64, error) {
		return t.generations.Bump(ctx, b.names...)
	})
	if t.settle(t.background.ctx, err) {
		t.shared.set(now)
	}
	t.pending.done(b, err, time.Now())
	return err
}
