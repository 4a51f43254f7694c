package flight

import (
	"bytes"
	"errors"
	"hash/maphash"
	"sync"
	"time"
)

// Causes of a flight's context.
var (
	// ErrLeft ends a flight that no client waits for any more, when its response is not known to be
	// worth keeping.
	ErrLeft = errors.New("edgecache: every client has left")
	// ErrUnfinished ends a flight that went on only for the store, when it took too long.
	ErrUnfinished = errors.New("edgecache: every client has left, and the response took too long to finish for the store")
)

// Limits bound what flights may cost. All must be positive.
type Limits struct {
	Wait    time.Duration // how long a follower waits for the header
	Leader  time.Duration // how long others join a flight without a header; then one more may begin
	Finish  time.Duration // how long a flight goes on only for the store
	Waiters int           // followers of one flight
}

// Role is what a request does about a key.
type Role uint8

const (
	Lead   Role = iota // run the handler, for all who follow
	Follow             // wait for the leader
	Alone              // run the handler only for itself: the flight is full
)

// Group is the table of flights that can be joined. It is safe for concurrent use.
type Group[T any] struct {
	limits Limits
	seed   maphash.Seed
	shards [64]shard[T]
}

type shard[T any] struct {
	mu      sync.Mutex
	flights map[uint64]*Flight[T] // by the hash of their ids; flights with the same hash are linked
}

func (s *shard[T]) find(hash uint64, id []byte) *Flight[T] {
	f := s.flights[hash]
	for f != nil && !bytes.Equal(f.entry.id, id) {
		f = f.entry.next
	}
	return f
}

func (s *shard[T]) add(f *Flight[T]) {
	if s.flights == nil {
		s.flights = make(map[uint64]*Flight[T])
	}
	f.entry.next = s.flights[f.entry.hash]
	s.flights[f.entry.hash] = f
}

// remove takes f off the table. It does nothing if f is not there.
func (s *shard[T]) remove(f *Flight[T]) {
	first := s.flights[f.entry.hash]
	for at := &first; *at != nil; at = &(*at).entry.next {
		if *at == f {
			*at, f.entry.next = f.entry.next, nil
			break
		}
	}
	if first == nil {
		delete(s.flights, f.entry.hash)
	} else {
		s.flights[f.entry.hash] = first
	}
}

// NewGroup returns an empty table.
func NewGroup[T any](limits Limits) *Group[T] {
	return &Group[T]{limits: limits, seed: maphash.MakeSeed()}
}

// Join finds the flight for id, or begins one. admit says whether the caller may join one that
// began at the given point of the purge sequence. A flight that may not be joined is replaced: it
// goes on for its users.
//
// mine is called if there is no flight to follow: it returns where the caller's own one begins, and
// its id in bytes that stay as they are until the flight has finished. Both belong to the group
// from then on. Neither admit nor mine may block.
//
// The caller must Leave the flight that it gets; one that leads or is alone must also Share or
// Release it, and Finish it.
func (g *Group[T]) Join(id []byte, gen uint64, now time.Time, admit func(*Flight[T]) bool, mine func() (*Flight[T], []byte)) (*Flight[T], Role) {
	hash := maphash.Bytes(g.seed, id)
	s := &g.shards[hash%uint64(len(g.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	role := Lead
	if f := s.find(hash, id); f != nil {
		if admit(f) {
			role = f.tryJoin(now)
		}
		if role == Follow {
			return f, Follow
		}
		if role == Lead { // no caller can join it any more
			s.remove(f)
		}
	}
	own, kept := mine()
	f := g.Single(own, gen, now)
	if role == Lead {
		f.entry = entry[T]{shard: s, id: kept, hash: hash}
		s.add(f)
	}
	return f, role
}

// Single begins a flight in mine that others cannot join.
func (g *Group[T]) Single(mine *Flight[T], gen uint64, now time.Time) *Flight[T] {
	*mine = Flight[T]{Gen: gen, limits: &g.limits, start: now, users: users{all: 1}}
	return mine
}

// Len is the number of flights that can be joined now.
func (g *Group[T]) Len() (n int) {
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		for _, f := range s.flights {
			for ; f != nil; f = f.entry.next {
				n++
			}
		}
		s.mu.Unlock()
	}
	return n
}
