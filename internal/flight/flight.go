package flight

import (
	"context"
	"sync"
	"time"
)

// Flight is one run of a handler, with the requests that wait for it. It must not be copied.
type Flight[T any] struct {
	Gen    uint64 // where the purge sequence stood
	limits *Limits
	start  time.Time
	entry  entry[T]

	mu     sync.Mutex
	users  users
	result result[T]
	leader leader
	pinned bool // the response is being stored, so it is finished for its own sake
	shut   bool // it can no longer be joined, and is not finished for its own sake: see Shut
	// cancelled says that its context has ended, or that the handler has returned and left nothing
	// to wait for.
	cancelled bool
	changed   Waker       // see OnStartedReading
	ctx       *Context    // the handler's; nil before Begin, and when the handler has returned
	timer     *time.Timer // of Limits.Finish
}

// entry is where a flight stands on the table.
type entry[T any] struct {
	shard *shard[T] // nil for a flight that cannot be joined
	id    []byte
	hash  uint64     // of id
	next  *Flight[T] // with the same hash
}

// users counts the requests that have not left.
type users struct {
	waiting int  // followers that wait
	all     int  // the leader included
	joined  bool // there has been a follower
}

// result is what followers wait for.
type result[T any] struct {
	settled bool          // value is set, or will not be
	shared  bool          // value is set
	decided chan struct{} // closed when it is settled; nil while none waits
	value   T
}

// leader is the request that runs the handler.
type leader struct {
	ctx  context.Context // nil before Begin
	left bool
	away bool // see Depart
}

// tryJoin lets one more request join. It returns Follow, or Alone when the flight is full, or Lead
// when it is over or too old.
func (f *Flight[T]) tryJoin(now time.Time) Role {
	f.look()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.cancelled, f.shut, f.result.settled && !f.result.shared, !f.result.settled && now.Sub(f.start) >= f.limits.Leader:
		return Lead
	case f.users.waiting >= f.limits.Waiters:
		return Alone
	}
	f.users.waiting++
	f.users.all++
	f.users.joined = true
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	return Follow
}

// Begin makes ctx the context for the handler: it has the values of the leader's, but ends only
// when no request wants the response any more. The leader counts as gone when its own context ends.
// End must be called when the handler has returned.
func (f *Flight[T]) Begin(ctx *Context, leader context.Context) {
	ctx.leader, ctx.flight = leader, f
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leader.ctx, f.ctx = leader, ctx
}

// End says that the handler has returned.
func (f *Flight[T]) End() {
	f.mu.Lock()
	ctx := f.ctx
	f.ctx = nil                            // there is nothing left to end
	f.cancelled = f.cancelled || !f.pinned // nor to wait for
	if f.timer != nil {
		f.timer.Stop()
	}
	f.mu.Unlock()
	f.leaderLeft()
	ctx.release()
}

// look counts the leader out if its context has ended. Nothing watches that context unless the
// handler asks.
func (f *Flight[T]) look() {
	f.mu.Lock()
	leader := f.leader.ctx
	f.mu.Unlock()
	if leader != nil && leader.Err() != nil {
		f.leaderLeft()
	}
}

func (f *Flight[T]) leaderLeft() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.leader.left {
		f.leader.left = true
		f.leave()
	}
}

// Share gives the result to all that wait, now and later.
func (f *Flight[T]) Share(result T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.result.settled {
		f.result.value, f.result.shared = result, true
		f.settle()
	}
}

func (f *Flight[T]) settle() {
	f.result.settled = true
	if f.result.decided != nil {
		close(f.result.decided)
	}
}

// Result returns what was shared, if anything was shared yet.
func (f *Flight[T]) Result() (result T, shared bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.result.value, f.result.shared
}

// Release lets all that wait go on without a result. It does nothing after Share.
func (f *Flight[T]) Release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.result.settled {
		f.settle()
	}
}

// Pin says that the response is being stored: from now on it is finished, within Limits.Finish,
// even when every client has left.
func (f *Flight[T]) Pin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pinned = true
}

// Shut says that the response may have no end. No request joins the flight any more, and it ends
// with the last of those that it has.
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

// Depart says that the leader is on its way to the handler, and Arrive that it is there. Meanwhile
// others may know that it is coming, but should not wait for it: they may be what holds it up.
func (f *Flight[T]) Depart() { f.setAway(true) }

// Arrive ends what Depart said.
func (f *Flight[T]) Arrive() { f.setAway(false) }

func (f *Flight[T]) setAway(away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leader.away = away
}

// Away reports whether the leader is on its way.
func (f *Flight[T]) Away() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.leader.away
}

// LeaderLeft says that the leader wants nothing more of a flight that is shut.
func (f *Flight[T]) LeaderLeft() { f.leaderLeft() }

// Finish takes the flight off the table and releases those that still wait.
func (f *Flight[T]) Finish() {
	if s := f.entry.shard; s != nil {
		s.mu.Lock()
		s.remove(f)
		s.mu.Unlock()
	}
	f.Release()
}

// Outcome is how waiting ended.
type Outcome uint8

const (
	Shared   Outcome = iota // the result is there
	Released                // there is none: run the handler
	TimedOut                // it did not come in time: run the handler
	Left                    // the caller's own context ended
)

// Wait waits for the result, at most for Limits.Wait.
func (f *Flight[T]) Wait(ctx context.Context) (result T, outcome Outcome) {
	f.mu.Lock()
	settled := f.result.settled // often already
	if !settled && f.result.decided == nil {
		f.result.decided = make(chan struct{})
	}
	decided := f.result.decided
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
	if !f.result.shared {
		return result, Released
	}
	return f.result.value, Shared
}

// WaitingToRead reports whether followers still wait, or are about to read.
func (f *Flight[T]) WaitingToRead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.users.waiting > 0
}

// Joined reports whether a request has followed, so that the response was asked for more than once.
func (f *Flight[T]) Joined() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.users.joined
}

// Waker is a Body.
type Waker interface{ Wake() }

// OnStartedReading makes the flight wake changed each time that a follower has got what it waited
// for, or has left. It must be called before Share.
func (f *Flight[T]) OnStartedReading(changed Waker) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changed = changed
}

// StartedReading says that a follower has what it waited for, and goes on to read. In the end the
// follower must call DoneReading instead of Leave.
func (f *Flight[T]) StartedReading() { f.startedReading() }

func (f *Flight[T]) startedReading() {
	f.mu.Lock()
	f.users.waiting--
	changed := f.changed
	f.mu.Unlock()
	if changed != nil {
		changed.Wake()
	}
}

// DoneReading says that a follower has stopped reading.
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

// leave ends the handler's context when no request is left, at once or after a while. It is called
// with the lock held.
func (f *Flight[T]) leave() {
	f.users.all--
	f.endIfLeft()
}

func (f *Flight[T]) endIfLeft() {
	if f.users.all > 0 || f.ctx == nil {
		return
	}
	if !f.pinned || f.shut {
		f.cancelled = true
		f.ctx.finish(ErrLeft)
		return
	}
	f.timer = time.AfterFunc(f.limits.Finish, f.giveUp)
}

func (f *Flight[T]) giveUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users.all == 0 && f.ctx != nil {
		f.cancelled = true
		f.ctx.finish(ErrUnfinished)
	}
}
