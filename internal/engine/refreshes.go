package engine

import (
	"slices"
	"sync"
	"time"
)

const (
	// maxWaitingRefreshes is how many refreshes wait for a place. What comes beyond them is left to a later request.
	maxWaitingRefreshes = 1024

	// maxWaitingBytes is what the request of a refresh that waits may take, in bytes: URL and fields come from clients.
	maxWaitingBytes = 4 << 10

	// maxClaims is how many places are kept for requests that have been passed over, and claimTime is how long each is kept
	// once it is free.
	maxClaims = 64
	claimTime = time.Second
)

// refreshes bound how many handlers run in the background: refreshes of stale responses, those ahead of an end, and the
// tries of breakers. Here, and only here, it is decided who gets a place.
//
// What finds no place is first in line when one is free. A refresh that needs nothing of its request any more waits for
// it here; any other cannot outlast its request, so a place is kept for the next request of the same response.
type refreshes struct {
	max int

	mu      sync.Mutex
	running int
	waiting []waitingRefresh // first come, first served; no duplicates; empty while places are free
	ids     map[string]bool  // of those that wait
	claims  []claim          // first come, first served; no duplicates
}

type waitingRefresh struct {
	id  string
	run func() // called in a goroutine of its own, with a place that it must leave
}

type claim struct {
	id   string
	free time.Time // when there was a place for it; zero until then
}

// enter takes a place for the refresh called id, or reports false. Then run, if it is not nil, is called when a place is
// free, unless too much is waiting; without run the place goes to the next call with that id. queued reports that run is
// going to be called. Who gets a place must leave it.
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

// offer returns how many places are free, and drops the claims to them that nobody has made good on in time.
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

// leave gives a place back, or hands it on to the first that waits.
func (rs *refreshes) leave() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if len(rs.waiting) > 0 {
		next := rs.waiting[0]
		rs.waiting[0] = waitingRefresh{} // the array must not hold what it no longer has
		rs.waiting = rs.waiting[1:]
		delete(rs.ids, next.id)
		go next.run()
		return
	}
	rs.waiting, rs.ids = nil, nil
	rs.running--
	rs.offer(time.Now())
}
