package readers

import (
	"sync"
	"time"
)

const (
	// largeBody is the size in bytes above which a body is not stored while the room is full. When
	// the room is half as full again, nothing that is counted is stored.
	largeBody = 256 << 10

	// reliefInterval is the least time between two searches for slow readers while nothing new is
	// pinned.
	reliefInterval = 100 * time.Millisecond
)

// Room is the memory of bodies that clients read and that are charged nowhere else: they have been
// evicted, replaced or purged. It bounds what is stored, not what is read: a client that takes what
// it gets is never let go.
type Room struct {
	limit int64

	mu        sync.Mutex
	used      int64
	pinned    map[*Set]struct{}
	relieving bool
	relieved  time.Time // when the last search began
}

// NewRoom returns a room of limit bytes.
func NewRoom(limit int64) *Room { return &Room{limit: limit, pinned: make(map[*Set]struct{})} }

// Used is how many bytes are pinned.
func (r *Room) Used() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.used
}

// Admits reports whether a body of size bytes may be stored: once it is evicted, its readers may
// pin it.
func (r *Room) Admits(size int64) bool {
	if size <= CountedAbove {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.used < r.limit || size <= largeBody && r.used < r.limit/2*3 {
		return true
	}
	if time.Since(r.relieved) >= reliefInterval {
		r.relieve()
	}
	return false
}

func (r *Room) add(s *Set) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used += s.size
	r.pinned[s] = struct{}{}
	if r.used >= r.limit {
		r.relieve()
	}
}

func (r *Room) remove(s *Set) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used -= s.size
	delete(r.pinned, s)
}

// relieve lets the slow readers go. That runs in a goroutine of its own, which then ends, because
// the caller may hold locks. relieve is called with the lock held.
func (r *Room) relieve() {
	if r.relieving {
		return
	}
	r.relieving, r.relieved = true, time.Now()
	go r.letSlowGo()
}

func (r *Room) letSlowGo() {
	for _, s := range r.begin() {
		for _, reader := range s.slow() {
			reader.cut()
		}
	}
}

// begin returns what is pinned. From then on another search may begin.
func (r *Room) begin() (all []*Set) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.relieving = false
	for s := range r.pinned {
		all = append(all, s)
	}
	return all
}

// Set is the readers of one body, and how often its bytes are charged. It must not be copied.
type Set struct {
	mu     sync.Mutex
	size   int64
	payers int
	first  *Reader
	pin    *Room // where the body is pinned; nil if it is not
}

// SetSize says how many bytes the body keeps. It must be called before anything else.
func (s *Set) SetSize(n int64) { s.size = n }

// Pay says that the bytes are charged once more.
func (s *Set) Pay() { s.pay(1) }

// Unpay takes one Pay back. Bytes that are read and no longer charged are pinned.
func (s *Set) Unpay() { s.pay(-1) }

func (s *Set) pay(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.payers += n
	s.settle()
}

func (s *Set) add(r *Reader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.set, r.next = s, s.first
	if s.first != nil {
		s.first.prev = r
	}
	s.first = r
	s.settle()
}

func (s *Set) remove(r *Reader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		s.first = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	}
	r.set, r.prev, r.next = nil, nil, nil
	s.settle()
}

// settle pins the bytes if they are read and not charged, and unpins them otherwise.
func (s *Set) settle() {
	switch pinned := s.payers <= 0 && s.first != nil; {
	case pinned && s.pin == nil:
		s.pin = s.first.room
		s.pin.add(s)
	case !pinned && s.pin != nil:
		s.pin.remove(s)
		s.pin = nil
	}
}

// slow returns the readers that are too slow for pinned bytes.
func (s *Set) slow() (all []*Reader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pin == nil {
		return nil
	}
	now := time.Now()
	for r := s.first; r != nil; r = r.next {
		if r.slow(now) {
			all = append(all, r)
		}
	}
	return all
}
