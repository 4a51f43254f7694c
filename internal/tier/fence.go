package tier

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/object"
)

// A response carries a stamp: where the sequence of purges in the process that made it stood when it began to be made, and where that of the store stood, as far as known. It is refused when a purge
// that concerns it has a later number, so it does not matter in which order writes, deletions and purges reach the store: a write that lands after a purge is neutralised by its own stamp.
//
// Purges of this process count at once, whatever the store does, for what this process has stored. What others have stored is compared with the generations of the store. A purge that could not be
// written there yet is pending, and all that it concerns and others have stored is refused until it is.

// Mark is where the sequences of purges stand. The zero Mark is older than every purge.
type Mark struct{ local, shared uint64 }

// Mark returns where they stand now: to be asked when, or before, a response begins to be made, and to be given to Put with it.
func (t *Tier) Mark() Mark {
	return Mark{local: t.fence.now(), shared: t.position.Load()}
}

// fence is the generations of this process, by hash in a table of fixed size: two names may share a slot, which costs a render now and then, never a wrong page.
type fence struct {
	sequence atomic.Uint64
	floor    atomic.Uint64 // the last purge of everything
	slots    [1 << 14]atomic.Uint64
}

func (f *fence) now() uint64 { return f.sequence.Load() }

// raise gives names the next number.
func (f *fence) raise(names []string) uint64 {
	n := f.sequence.Add(1)
	for _, name := range names {
		lift(f.slot(name), n)
	}
	return n
}

// stops reports whether one of names was, or may have been, purged after the sequence stood at began.
func (f *fence) stops(names []string, began uint64) bool {
	return slices.ContainsFunc(names, func(name string) bool { return f.slot(name).Load() > began })
}

func (f *fence) slot(name string) *atomic.Uint64 {
	if name == everything {
		return &f.floor
	}
	// A name is a hash already, so a part of it is as good as another hash.
	var n uint
	for i := 1; i < len(name) && i < 9; i++ {
		n = n<<4 | uint(name[i]&15) + uint(name[i]>>6)*9
	}
	return &f.slots[n%uint(len(f.slots))]
}

// lift sets a mark that only ever grows.
func lift(mark *atomic.Uint64, n uint64) {
	for {
		old := mark.Load()
		if old >= n || mark.CompareAndSwap(old, n) {
			return
		}
	}
}

// purged reports whether r must not be used: because of a purge since it began to be made, or since began, where the local sequence stood when the caller began to look.
func (t *Tier) purged(ctx context.Context, r *object.Record, began uint64) (bool, error) {
	names := namesOf(r.Key, r.Selector().Scope != "", r.Tags)
	own := r.Stamp.Instance == t.instance
	if own {
		began = min(began, r.Stamp.Local)
	}
	if t.generations == nil {
		// Nobody knows what others have purged.
		return !own || t.fence.stops(names, began), nil
	}
	if t.fence.stops(names, began) || !own && t.pending.has(names) {
		return true, nil
	}
	generations, now, err := t.load(ctx, names)
	if err != nil {
		return false, err
	}
	if r.Stamp.Shared > now {
		return true, nil // the store has lost the sequence that this is a stamp of
	}
	for _, g := range generations {
		if g > r.Stamp.Shared {
			return true, nil
		}
	}
	return t.fence.stops(names, began) || !own && t.pending.has(names), nil
}

var errLoad = errors.New("edgecache: the store does not tell one generation for each name")

// load asks the store for generations, and remembers where its sequence stands.
func (t *Tier) load(ctx context.Context, names []string) ([]uint64, uint64, error) {
	type answer struct {
		generations []uint64
		now         uint64
	}
	a, err := call(t, ctx, t.lookups, func(ctx context.Context) (answer, error) {
		generations, now, err := t.generations.Load(ctx, names...)
		return answer{generations, now}, err
	})
	if err == nil && len(a.generations) != len(names) {
		err = errLoad
	}
	if err != nil {
		return nil, 0, err
	}
	t.at(a.now)
	return a.generations, a.now, nil
}

// at remembers where the shared sequence stands.
func (t *Tier) at(now uint64) {
	t.position.Store(now)
	t.positioned.Store(int64(time.Since(t.epoch)) + 1)
}

// locate asks where the shared sequence stands, if that was not asked lately.
func (t *Tier) locate(ctx context.Context) error {
	if t.generations == nil {
		return nil
	}
	if at := t.positioned.Load(); at != 0 && time.Since(t.epoch)-time.Duration(at) < positionFor {
		return nil
	}
	_, _, err := t.load(ctx, nil)
	return err
}

// Purge is a purge that this process knows of, and that the store is to be told.
type Purge struct {
	tier   *Tier
	names  []string
	number uint64 // in the local sequence
}

// Purge makes everything that targets name unusable: what is stored, what is on its way to the store, and what a Lookup is reading. When it returns, that holds for this process. It does not wait for the store;
// until that knows, nothing that the purge concerns and another process has stored is used here. The caller must Tell it, or TellLater.
//
// A cache in front of the Tier raises its own fence after this, and removes what it holds after that: then nothing that was looked up before can get into it any more.
func (t *Tier) Purge(targets ...Target) Purge {
	all := join(targets)
	p := Purge{tier: t, names: all.names}
	if t.generations == nil {
		p.number = t.fence.raise(all.names)
	} else {
		p.number = t.pending.add(all.names, &t.fence)
	}
	for _, k := range all.erased {
		t.push(job{key: k}) // to make room; if it is lost, time will tell
	}
	return p
}

// Tell tells the store, within Config.WriteTimeout, so that the purge holds for other processes, too. If it returns an error, the store is told later, as by TellLater.
func (p Purge) Tell(ctx context.Context) error {
	if p.tier.generations == nil || len(p.names) == 0 {
		return nil
	}
	err := p.tier.bump(ctx, p.names, p.number)
	if err != nil || p.tier.pending.has([]string{everything}) { // which may stand for more than these names
		p.tier.share()
	}
	return err
}

// TellLater tells the store in the background, again and again until it knows. It does not block.
func (p Purge) TellLater() {
	if p.tier.generations != nil {
		p.tier.share()
	}
}

// bump tells the store of purges with local numbers up to number.
func (t *Tier) bump(ctx context.Context, names []string, number uint64) error {
	asked := ctx
	ctx, cancel := context.WithTimeout(ctx, t.config.WriteTimeout)
	defer cancel()
	now, err := call(t, ctx, t.bumps, func(ctx context.Context) (uint64, error) { return t.generations.Bump(ctx, names...) })
	if t.settle(asked, err) {
		t.at(now)
		t.pending.done(names, number)
	}
	return err
}

// maxPending is how many names wait to be told to the store. Beyond that everything is purged.
const maxPending = 4096

// pending is the names whose purge other processes do not know of yet, each with the local number of its last purge.
type pending struct {
	count  atomic.Int64 // of names, to be seen without the lock
	mu     sync.Mutex
	names  map[string]uint64
	active bool // somebody is telling the store
}

func (p *pending) size() int { return int(p.count.Load()) }

// add raises the fence for names, and adds them. Whoever sees the new number in the fence also sees that they are pending.
func (p *pending) add(names []string, f *fence) (number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.names == nil {
		p.names = make(map[string]uint64)
	}
	p.count.Add(1) // makes has wait for the lock
	number = f.raise(names)
	if len(p.names)+len(names) > maxPending {
		clear(p.names)
		names = []string{everything}
	}
	for _, name := range names {
		p.names[name] = number
	}
	p.count.Store(int64(len(p.names)))
	return number
}

// done takes names off whose last purge had at most the given number.
func (p *pending) done(names []string, number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range names {
		if last, ok := p.names[name]; ok && last <= number {
			delete(p.names, name)
		}
	}
	p.count.Store(int64(len(p.names)))
}

// has reports whether one of names is pending.
func (p *pending) has(names []string) bool {
	if p.count.Load() == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(names, func(name string) bool { _, ok := p.names[name]; return ok })
}

// all returns the names, and the greatest of their numbers; if there is none, nobody is telling the store any more.
func (p *pending) all() (names []string, number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.names {
		number = max(number, n)
	}
	p.active = len(p.names) > 0
	return slices.Collect(maps.Keys(p.names)), number
}

// begin reports whether the caller is to tell the store.
func (p *pending) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := !p.active && len(p.names) > 0
	p.active = p.active || first
	return first
}

func (p *pending) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active = false
}

// share tells the store of what is pending, in the background, until it knows everything.
func (t *Tier) share() {
	if !t.pending.begin() {
		return
	}
	if !t.tasks.begin() {
		t.pending.stop()
		return
	}
	go func() {
		defer t.tasks.end()
		pause := breakerPause
		for last := false; ; {
			names, number := t.pending.all()
			if len(names) == 0 {
				return
			}
			if t.bump(t.ctx, names, number) == nil {
				continue
			}
			if last {
				t.pending.stop()
				return
			}
			select {
			case <-time.After(pause):
			case <-t.closing:
				last = true // once more, and others will have to live with it
			}
			pause = min(2*pause, breakerMaxPause)
		}
	}()
}
