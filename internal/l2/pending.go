package l2

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// pending is what other processes do not know yet: the names that were purged here.
//
// A name is ready to be told, or is being told, or was told less than mergeFor ago. In the last
// case its next Bump waits, and stands for all purges until it begins.
type pending struct {
	count atomic.Int64 // of names that are untold, to be seen without the lock

	all slot // of everything

	mu      sync.Mutex
	names   map[string]*untold
	exact   int           // of names that are no slots
	ready   []string      // to be told, in this order
	recent  []bumped      // oldest first
	waiting int           // calls of Tell
	active  bool          // a goroutine tells the store
	notYet  time.Time     // no Bump begins before this unless a Tell waits for it
	pause   time.Duration // after the next failure
	err     error         // why the last Bump that failed did
	wake    chan struct{} // has one item when there is news for that goroutine
	ended   chan struct{} // closed at the end of a Bump, and then replaced
}

// untold is what is known of one name.
type untold struct {
	purged uint64 // the local number of its last purge
	told   uint64 // the store knows of its purges up to this number
	failed uint64 // the store could not be told of those up to this number
}

// bumped is one Bump.
type bumped struct {
	names []string
	upto  uint64 // the local number at which it began: it stands for the purges before
	began time.Time
}

// init sets everything, and its name in the store.
func (p *pending) init(all slot) {
	p.all = all
	p.names = make(map[string]*untold)
	p.wake = make(chan struct{}, 1)
	p.ended = make(chan struct{})
	p.pause = breakerPause
}

func (p *pending) size() int { return int(p.count.Load()) }

// add bumps the generations of list, whose names in the store are names. It returns the names that
// are told for it, and whether one of them was not waiting already. Whoever sees the new number
// also sees that the names are untold.
func (p *pending) add(list []slot, names []string, now time.Time, m marks) (told []string, number uint64, fresh bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count.Add(1) // makes have wait for the lock
	defer p.count.Add(-1)
	p.age(now, false)
	if p.tooMany(names) {
		list, names = []slot{p.all}, []string{p.all.own}
	}
	number = m.bump(list)
	for _, name := range names {
		u := p.names[name]
		if u == nil {
			fresh = true
			u = new(untold)
			name = strings.Clone(name) // it may be a part of something longer
			p.names[name] = u
			p.ready = append(p.ready, name)
			if !isSlot(name) {
				p.exact++
			}
		}
		if u.told >= u.purged {
			p.count.Add(1)
		}
		u.purged = number
	}
	return names, number, fresh
}

// tooMany reports whether there would be more than maxExact names that are no slots.
func (p *pending) tooMany(names []string) bool {
	exact := p.exact
	for _, name := range names {
		if !isSlot(name) && p.names[name] == nil && name != p.all.own {
			exact++
		}
	}
	return exact > max(p.exact, maxExact)
}

// age makes those names ready that were purged again after a Bump at least mergeFor ago, or after
// any Bump if all is true, and forgets the others.
func (p *pending) age(now time.Time, all bool) {
	if len(p.recent) == 0 {
		return
	}
	for len(p.recent) > 0 && (all || now.Sub(p.recent[0].began) >= mergeFor) {
		for _, name := range p.recent[0].names {
			if u := p.names[name]; u.told < u.purged {
				p.ready = append(p.ready, name)
				continue
			}
			delete(p.names, name)
			if !isSlot(name) {
				p.exact--
			}
		}
		p.recent[0] = bumped{}
		p.recent = p.recent[1:]
	}
	if len(p.names) == 0 {
		p.names, p.recent = make(map[string]*untold), nil // frees what many names took up
	}
}

// have reports for each name whether it is untold; nil if none is.
func (p *pending) have(names []string) []bool {
	if p.count.Load() == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]bool, len(names))
	for i, name := range names {
		u := p.names[name]
		list[i] = u != nil && u.told < u.purged
	}
	return list
}

func (p *pending) wait(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting += n
}

// outcome reports whether the store knows of a purge, or could not be told. If neither, ended is
// closed at the end of the next Bump.
func (p *pending) outcome(purge *Purge) (done bool, ended <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	done = true
	for _, name := range purge.names {
		u := p.names[name]
		switch {
		case u == nil || u.told >= purge.number:
		case u.failed >= purge.number:
			return true, nil, p.err
		default:
			done = false
		}
	}
	return done, p.ended, nil
}

// begin reports whether the caller must tell the store. If a goroutine does that already, it is
// reminded.
func (p *pending) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.active {
		select {
		case p.wake <- struct{}{}:
		default:
		}
		return false
	}
	p.active = p.count.Load() > 0
	return p.active
}

func (p *pending) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active = false
}

// next returns the next Bump, if it is due, or how long to wait for it. When nothing is untold, it
// returns false, and no goroutine tells the store any more. A Tell waits for no pause after a Bump
// of other names, and neither does the very last attempt.
func (p *pending) next(now time.Time, m marks, last bool) (b bumped, wait time.Duration, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.age(now, last)
	if p.count.Load() == 0 {
		p.active = false
		return b, 0, false
	}
	if len(p.ready) > 0 && (last || p.waiting > 0 || !now.Before(p.notYet)) {
		n := min(len(p.ready), maxBumped)
		b = bumped{names: slices.Clone(p.ready[:n]), upto: m.Now(), began: now}
		if p.ready = p.ready[n:]; len(p.ready) == 0 {
			p.ready = nil
		}
		return b, 0, true
	}
	wait = breakerMaxPause
	if len(p.ready) > 0 {
		wait = p.notYet.Sub(now)
	}
	if len(p.recent) > 0 {
		wait = min(wait, p.recent[0].began.Add(mergeFor).Sub(now))
	}
	return b, wait, true
}

// done records how a Bump went.
func (p *pending) done(b bumped, err error, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range b.names {
		u := p.names[name]
		if err != nil {
			u.failed = b.upto
			continue
		}
		u.told = b.upto
		if u.told >= u.purged {
			p.count.Add(-1)
		}
	}
	p.recent = append(p.recent, b)
	if err != nil {
		p.err = err // it stays for callers that have not asked yet
		p.notYet = now.Add(p.pause)
		p.pause = min(2*p.pause, breakerMaxPause)
	} else {
		p.notYet, p.pause = b.began.Add(gatherFor), breakerPause
	}
	close(p.ended)
	p.ended = make(chan struct{})
}
