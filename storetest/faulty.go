package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/edgecache-go/edgecache"
)

// ErrFault is the error of the calls of a [Faulty] that fail.
var ErrFault = errors.New("storetest: a fault, as asked for")

// StuckFor is how long a call of a [Faulty] takes if it ignores its context.
const StuckFor = 2 * time.Second

// Fault is a way in which a call goes wrong.
type Fault uint8

// The faults.
const (
	Fails  Fault = iota // returns ErrFault
	Panics              // panics
	Blocks              // returns when its context ends
	Stuck               // returns after StuckFor, whatever its context
	Lies                // returns no error, but gives, keeps or removes something else or nothing
	faults
)

// Faulty wraps a store, and makes some of its calls fail. It also lies about values, but not about
// generations: a cache could not detect that.
type Faulty struct {
	inner edgecache.Store

	mu     sync.Mutex
	random *rand.Rand
	rate   float64
	only   []Fault
	calls  int
	counts [faults]int
	seen   map[string][]byte // values that were stored once, to lie with
	last   string            // a key of seen
}

// FaultyGenerations is a Faulty over a store with generations.
type FaultyGenerations struct {
	*Faulty
	inner edgecache.Generations
}

var (
	_ edgecache.Store       = (*Faulty)(nil)
	_ edgecache.Generations = (*FaultyGenerations)(nil)
)

// NewFaulty returns a store in which the given part of the calls, from 0 to 1, goes wrong, in one
// of the given ways, or in any if none is given. The same seed makes the same faults in the same
// order of calls. The store has no generations: see [NewFaultyGenerations].
func NewFaulty(inner edgecache.Store, seed uint64, rate float64, ways ...Fault) *Faulty {
	if len(ways) == 0 {
		for f := range faults {
			ways = append(ways, f)
		}
	}
	return &Faulty{inner: inner, random: rand.New(rand.NewPCG(seed, 1)), rate: rate, only: ways, seen: make(map[string][]byte)}
}

// NewFaultyGenerations is like [NewFaulty] for a store that also implements
// [edgecache.Generations], such as a [Map].
func NewFaultyGenerations[S interface {
	edgecache.Store
	edgecache.Generations
}](inner S, seed uint64, rate float64, ways ...Fault) *FaultyGenerations {
	return &FaultyGenerations{Faulty: NewFaulty(inner, seed, rate, ways...), inner: inner}
}

// SetRate changes the part of the calls that goes wrong.
func (f *Faulty) SetRate(rate float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rate = rate
}

// Calls returns the number of calls.
func (f *Faulty) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// Count returns the number of calls that went wrong in this way.
func (f *Faulty) Count(way Fault) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[way]
}

// draw decides what happens to a call. lie is a number to choose a lie by.
func (f *Faulty) draw() (way Fault, wrong bool, lie int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.random.Float64() >= f.rate {
		return 0, false, 0
	}
	way = f.only[f.random.IntN(len(f.only))]
	f.counts[way]++
	return way, true, f.random.IntN(1 << 16)
}

// fail makes a call go wrong that does not lie. lies is true if it should lie.
func (f *Faulty) fail(ctx context.Context) (lies bool, lie int, err error) {
	way, wrong, lie := f.draw()
	switch {
	case !wrong:
		return false, 0, nil
	case way == Fails:
		return false, 0, ErrFault
	case way == Panics:
		panic("storetest: a panic, as asked for")
	case way == Blocks:
		<-ctx.Done()
		return false, 0, ctx.Err()
	case way == Stuck:
		<-time.After(StuckFor)
		return false, 0, ErrFault
	}
	return true, lie, nil
}

// Get implements [edgecache.Store]. Its lies are: nothing, garbage, a part, a flipped bit, the
// value of another key, an older value of this one.
func (f *Faulty) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	lies, lie, err := f.fail(ctx)
	if err != nil {
		return nil, false, err
	}
	value, found, err = f.inner.Get(ctx, key)
	if !lies || err != nil {
		return value, found, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch lie % 6 {
	case 0:
		return nil, false, nil
	case 1:
		return []byte("garbage"), true, nil
	case 2:
		return value[:len(value)/2], true, nil
	case 3:
		if len(value) > 0 {
			value[lie%len(value)] ^= 4
		}
		return value, true, nil
	case 4:
		return append([]byte(nil), f.seen[f.last]...), true, nil
	}
	return append([]byte(nil), f.seen[key]...), true, nil
}

// Set implements [edgecache.Store]. Its lies are: to store nothing, or half of the value, or under
// another key.
func (f *Faulty) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	lies, lie, err := f.fail(ctx)
	if err != nil {
		return err
	}
	f.mu.Lock()
	if _, had := f.seen[key]; !had || lie%2 == 0 {
		f.seen[key] = append([]byte(nil), value...)
	}
	other := f.last
	f.last = key
	f.mu.Unlock()
	if lies {
		switch lie % 3 {
		case 0:
			return nil
		case 1:
			return f.inner.Set(ctx, key, value[:len(value)/2], ttl)
		}
		if other != "" {
			key = other
		}
	}
	return f.inner.Set(ctx, key, value, ttl)
}

// Delete implements [edgecache.Store]. Its lie is to keep the value.
func (f *Faulty) Delete(ctx context.Context, key string) error {
	lies, _, err := f.fail(ctx)
	if lies || err != nil {
		return err
	}
	return f.inner.Delete(ctx, key)
}

// Bump implements [edgecache.Generations]. Instead of lying it returns ErrFault after it has
// bumped.
func (f *FaultyGenerations) Bump(ctx context.Context, names ...string) (uint64, error) {
	lies, _, err := f.fail(ctx)
	if err != nil {
		return 0, err
	}
	now, err := f.inner.Bump(ctx, names...)
	if lies && err == nil {
		return 0, ErrFault
	}
	return now, err
}

// Load implements [edgecache.Generations].
func (f *FaultyGenerations) Load(ctx context.Context, names ...string) ([]uint64, uint64, error) {
	lies, _, err := f.fail(ctx)
	if err != nil {
		return nil, 0, err
	}
	generations, now, err := f.inner.Load(ctx, names...)
	if lies && err == nil {
		return nil, 0, ErrFault
	}
	return generations, now, err
}
