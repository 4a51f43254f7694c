package flight

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"
)

// Causes of a flight's context.
var (
	// ErrLeft ends a flight that nobody waits for any more, and whose answer is not known to be worth keeping.
	ErrLeft = errors.New("edgecache: every client has left")
	// ErrUnfinished ends a flight that went on for the store alone, when it took too long.
	ErrUnfinished = errors.New("edgecache: every client has left, and the page took too long to finish for the store")
)

// Limits bound what flights may cost. All must be positive.
type Limits struct {
	Wait    time.Duration // how long a follower waits for the header
	Leader  time.Duration // how long a flight without a header is joined; then one more may begin
	Finish  time.Duration // how long a flight goes on for the store alone
	Waiters int           // followers of one flight
}

// Role is what a request does about a key.
type Role uint8

const (
	Lead   Role = iota // run the handler, for all who follow
	Follow             // wait for the leader
	Alone              // run the handler for nobody else: the flight is full
)

// Group is the table of flights that can be joined. It is safe for concurrent use.
type Group[T any] struct {
	limits Limits
	seed   maphash.Seed
	shards [64]shard[T]
}

type shard[T any] struct {
	mu      sync.Mutex
	flights map[uint64]*Flight[T] // by the hash of their ids; those with the same one are linked
}

func (s *shard[T]) find(hash uint64, id []byte) *Flight[T] {
	f := s.flights[hash]
	for f != nil && !bytes.Equal(f.id, id) {
		f = f.next
	}
	return f
}

func (s *shard[T]) add(f *Flight[T]) {
	if s.flights == nil {
		s.flights = make(map[uint64]*Flight[T])
	}
	f.next = s.flights[f.hash]
	s.flights[f.hash] = f
}

// remove does nothing when f is not there, or no longer.
func (s *shard[T]) remove(f *Flight[T]) {
	first := s.flights[f.hash]
	for at := &first; *at != nil; at = &(*at).next {
		if *at == f {
			*at, f.next = f.next, nil
			break
		}
	}
	if first == nil {
		delete(s.flights, f.hash)
	} else {
		s.flights[f.hash] = first
	}
}

// NewGroup returns an empty table.
func NewGroup[T any](limits Limits) *Group[T] {
	return &Group[T]{limits: limits, seed: maphash.MakeSeed()}
}

// Join finds the flight for id, or begins one in mine. admit says whether the caller may join one that began at the given point of the purge sequence; it must not block.
// A flight that may not be joined is replaced: it goes on for those who are on it. The caller must Leave the flight that it gets; one that leads or is alone must also Share or Release it, and Finish it.
// mine is not touched if there is one to follow. Otherwise it belongs to the group from then on, as does id until the flight has landed.
func (g *Group[T]) Join(mine *Flight[T], id []byte, began uint64, now time.Time, admit func(*Flight[T]) bool) (*Flight[T], Role) {
	hash := maphash.Bytes(g.seed, id)
	s := &g.shards[hash%uint64(len(g.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.find(hash, id); f != nil {
		if admit(f) {
			switch f.tryJoin(now) {
			case Follow:
				return f, Follow
			case Alone:
				return g.Single(mine, began, now), Alone
			case Lead: // nobody can join it any more
			}
		}
		s.remove(f)
	}
	f := g.Single(mine, began, now)
	f.id, f.hash, f.shard = id, hash, s
	s.add(f)
	return f, Lead
}

// Single begins a flight in mine that nobody can join.
func (g *Group[T]) Single(mine *Flight[T], began uint64, now time.Time) *Flight[T] {
	*mine = Flight[T]{Began: began, limits: &g.limits, start: now, users: 1}
	return mine
}

// Len is the number of flights that can be joined now.
func (g *Group[T]) Len() (n int) {
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		for _, f := range s.flights {
			for ; f != nil; f = f.next {
				n++
			}
		}
		s.mu.Unlock()
	}
	return n
}

// Flight is one run of a handler, and those who wait for it. It must not be copied.
type Flight[T any] struct {
	Began  uint64 // where the purge sequence stood
	limits *Limits
	start  time.Time

	shard *shard[T] // nil for one that cannot be joined
	id    []byte
	hash  uint64     // of id
	next  *Flight[T] // on the table, with the same hash

	mu        sync.Mutex
	waiting   int           // followers that have not left
	joined    bool          // there has been a follower
	users     int           // all that have not left, the leader included
	settled   bool          // result is there, or will not be
	decided   chan struct{} // closed then; nil while nobody waits
	shared    bool
	result    T
	worth     bool  // the answer is being stored, so it is finished for its own sake
	shut      bool  // nobody may join it, nor is it finished for its own sake: see Shut
	away      bool  // see Depart
	changed   Waker // see OnStartedReading
	cancelled bool
	alone     bool            // the leader has left
	leader    context.Context // nil before Begin
	ctx       *Context        // the handler's; nil until Begin, and when the handler has returned
	timer     *time.Timer     // of Limits.Finish
}

// tryJoin lets one more on: Follow, or Alone when the flight is full, or Lead when it is over or too old.
func (f *Flight[T]) tryJoin(now time.Time) Role {
	f.look()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.cancelled, f.shut, f.settled && !f.shared, !f.settled && now.Sub(f.start) >= f.limits.Leader:
		return Lead
	case f.waiting >= f.limits.Waiters:
		return Alone
	}
	f.waiting++
	f.users++
	f.joined = true
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	return Follow
}

// Begin makes ctx the context for the handler: it has the values of the leader's, but ends only when nobody is left that wants the answer.
// The leader counts as gone when its own context ends. End must be called when the handler has returned.
func (f *Flight[T]) Begin(ctx *Context, leader context.Context) {
	ctx.leader, ctx.flight = leader, f
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leader, f.ctx = leader, ctx
}

// End says that the handler has returned.
func (f *Flight[T]) End() {
	f.mu.Lock()
	ctx := f.ctx
	f.ctx = nil                           // nothing left to end
	f.cancelled = f.cancelled || !f.worth // nor to wait for
	if f.timer != nil {
		f.timer.Stop()
	}
	f.mu.Unlock()
	f.leaderLeft()
	ctx.release()
}

// look counts the leader out if its context has ended. Nothing watches that, as long as the handler does not ask.
func (f *Flight[T]) look() {
	f.mu.Lock()
	leader := f.leader
	f.mu.Unlock()
	if leader != nil && leader.Err() != nil {
		f.leaderLeft()
	}
}

func (f *Flight[T]) leaderLeft() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.alone {
		f.alone = true
		f.leave()
	}
}

// Share gives the result to all who wait, now and later.
func (f *Flight[T]) Share(result T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.settled {
		f.result, f.shared = result, true
		f.settle()
	}
}

func (f *Flight[T]) settle() {
	f.settled = true
	if f.decided != nil {
		close(f.decided)
	}
}

// Result returns what was shared, if anything was by now.
func (f *Flight[T]) Result() (result T, shared bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.result, f.shared
}

// Release lets all who wait go on without a result. It does nothing after Share.
func (f *Flight[T]) Release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.settled {
		f.settle()
	}
}

// Pin says that the answer is being stored: from now on it is finished, within Limits.Finish, even when everybody has left.
func (f *Flight[T]) Pin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.worth = true
}

// Shut says that the answer may have no end: nobody joins the flight any more, and it ends with the last of those that it has.
func (f *Flight[T]) Shut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shut = true
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	f.endIfLeft()
}

// Depart says that the leader is on its way to the handler, and Arrive that it is there. Meanwhile others may know that it is
// coming, but should not wait for it: what holds it up on its way may be themselves.
func (f *Flight[T]) Depart() { f.setAway(true) }

// Arrive ends what Depart said.
func (f *Flight[T]) Arrive() { f.setAway(false) }

func (f *Flight[T]) setAway(away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = away
}

// Away reports whether the leader is on its way.
func (f *Flight[T]) Away() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.away
}

// LeaderLeft says that the leader wants nothing of a flight that is shut any more.
func (f *Flight[T]) LeaderLeft() { f.leaderLeft() }

// Finish takes the flight off the table and releases who still waits.
func (f *Flight[T]) Finish() {
	if s := f.shard; s != nil {
		s.mu.Lock()
		s.remove(f)
		s.mu.Unlock()
	}
	f.Release()
}

// Outcome is how waiting ended.
type Outcome uint8

const (
	Shared   Outcome = iota // here is the result
	Released                // there is none: run the handler
	TimedOut                // it did not come in time: run the handler
	Left                    // the caller's own context ended
)

// Wait waits for the result, for Limits.Wait at most.
func (f *Flight[T]) Wait(ctx context.Context) (result T, outcome Outcome) {
	f.mu.Lock()
	settled := f.settled // often already
	if !settled && f.decided == nil {
		f.decided = make(chan struct{})
	}
	decided := f.decided
	f.mu.Unlock()
	if !settled {
		timer := time.NewTimer(f.limits.Wait)
		defer timer.Stop()
		select {
		case <-decided:
		case <-timer.C:
			return result, TimedOut
		case <-ctx.Done():
			return result, Left
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.shared {
		return result, Released
	}
	return f.result, Shared
}

// WaitingToRead reports whether followers are still waiting, or about to read.
func (f *Flight[T]) WaitingToRead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.waiting > 0
}

// Joined reports whether anybody has followed, so that the response was asked for more than once.
func (f *Flight[T]) Joined() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.joined
}

// Waker is a Body.
type Waker interface{ Wake() }

// OnStartedReading makes the flight wake changed each time that a follower has got what it waited for, or has left. It is to be called before Share.
func (f *Flight[T]) OnStartedReading(changed Waker) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changed = changed
}

// StartedReading says that a follower has what it waited for, and goes on reading. In the end it must call DoneReading instead of Leave.
func (f *Flight[T]) StartedReading() { f.startedReading() }

func (f *Flight[T]) startedReading() {
	f.mu.Lock()
	f.waiting--
	changed := f.changed
	f.mu.Unlock()
	if changed != nil {
		changed.Wake()
	}
}

// DoneReading says that a follower that was reading is done.
func (f *Flight[T]) DoneReading() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leave()
}

// Leave says that a follower is done with the flight.
func (f *Flight[T]) Leave() {
	f.startedReading()
	f.DoneReading()
}

// leave ends the handler's context when nobody is left, at once or after a while. It is called with the lock held.
func (f *Flight[T]) leave() {
	f.users--
	f.endIfLeft()
}

func (f *Flight[T]) endIfLeft() {
	if f.users > 0 || f.ctx == nil {
		return
	}
	if !f.worth || f.shut {
		f.cancelled = true
		f.ctx.finish(ErrLeft)
		return
	}
	f.timer = time.AfterFunc(f.limits.Finish, f.giveUp)
}

func (f *Flight[T]) giveUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users == 0 && f.ctx != nil {
		f.cancelled = true
		f.ctx.finish(ErrUnfinished)
	}
}
