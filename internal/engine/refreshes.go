package engine

import (
	"slices"
	"sync"
	"time"
)

const (
	// maxWaitingRefreshes is how many refreshes may wait for a place. Further ones are left to a later
	// request.
	maxWaitingRefreshes = 1024

	// maxWaitingBytes is what the request of a waiting refresh may take, in bytes: URL and fields come
	// from clients.
	maxWaitingBytes = 4 << 10

	// maxClaims is how many places are kept for requests that found none. claimTime is how long each
	// is kept once it is free.
	maxClaims = 64
	claimTime = time.Second
)

// refreshes bounds how many handlers run in the background: refreshes of stale responses, refreshes
// ahead of an end, and the tries of breakers. It alone decides which of them gets a place.
//
// A refresh that finds no place is first in line when one is free. If it needs nothing of its
// request any more, it waits here. If it does, it cannot survive its request, so the place is kept
// for the next request for the same response.
type refreshes struct {
	max int

	mu      sync.Mutex
	running int
	waiting []waitingRefresh // first come, first served; no duplicates; empty while places are free
	ids     map[string]bool  // of waiting
	claims  []claim          // first come, first served; no duplicates
}

type waitingRefresh struct {
	id  string
	run func() // called in a goroutine of its own, with a place that it must leave
}

type claim struct {
	id   string
	free time.Time // when there was a place for it; zero before that
}

// enter takes a place for the refresh called id, or returns false. Then run, if it is not nil, is
// called when a place is free, unless too many are waiting; without run the place goes to the next
// call with that id. queued says that run will be called. A caller that gets a place must leave it.
func (rs *refreshes) enter(id []byte, run func(), now time.Time) (entered, queued bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	free := rs.offer(now)
	claimed := slices.IndexFunc(rs.claims, func(c claim) bool { return c.id == string(id) })
	switch {
	case claimed >= 0 && claimed < free:
		rs.claims = slices.Delete(rs.claims, claimed, claimed+1)
		rs.running++
		return true, false
	case claimed < 0 && len(rs.claims) < free:
		rs.running++
		return true, false
	case run == nil:
		if claimed < 0 && len(rs.claims) < maxClaims {
			rs.claims = append(rs.claims, claim{id: string(id)})
		}
		return false, false
	case rs.ids[string(id)]:
		return false, true
	case len(rs.waiting) >= maxWaitingRefreshes:
		return false, false
	}
	next := waitingRefresh{string(id), run}
	rs.waiting = append(rs.waiting, next)
	if rs.ids == nil {
		rs.ids = make(map[string]bool)
	}
	rs.ids[next.id] = true
	return false, true
}

// offer returns how many places are free, and drops claims that were not taken in time.
func (rs *refreshes) offer(now time.Time) (free int) {
	free = rs.max - rs.running
	rs.claims = slices.DeleteFunc(rs.claims, func(c claim) bool { return !c.free.IsZero() && now.Sub(c.free) >= claimTime })
	for i := range rs.claims[:min(max(free, 0), len(rs.claims))] {
		if rs.claims[i].free.IsZero() {
			rs.claims[i].free = now
		}
	}
	return free
}

// leave gives a place back, or hands it on to the first refresh that waits.
func (rs *refreshes) leave() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if len(rs.waiting) > 0 {
		next := rs.waiting[0]
		rs.waiting[0] = waitingRefresh{} // so that the array does not keep it alive
		rs.waiting = rs.waiting[1:]
		delete(rs.ids, next.id)
		go next.run()
		return
	}
	rs.waiting, rs.ids = nil, nil
	rs.running--
	rs.offer(time.Now())
}
