// Package storetest checks implementations of [edgecache.Store] against its contract, and has two
// stores for tests: [Map], which keeps the contract, and [Faulty], which does not.
package storetest

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/edgecache-go/edgecache"
)

// test is one sentence of the contract.
type test struct {
	name string
	run  func(t testing.TB, s edgecache.Store)
}

// Run checks a store against the contract of [edgecache.Store], and against those of
// [edgecache.Generations] and [edgecache.StreamStore] if it implements them. Every store must pass.
// open returns an empty store, and uses t.Cleanup for its own cleanup. It is called once for each
// sentence of the contract, by parallel tests.
//
// Run uses real time: values live for a second, and a run takes about three.
func Run(t *testing.T, open func(t *testing.T) edgecache.Store) {
	t.Helper()
	each(t, (*testing.T).Parallel, func(t *testing.T, one test) { one.run(t, open(t)) })
}

// RunInBubble is like [Run], for stores that live in this process and use package time: each test
// runs in a bubble of testing/synctest, so that it takes no real time. open is called inside the
// bubble.
func RunInBubble(t *testing.T, open func(t *testing.T) edgecache.Store) {
	t.Helper()
	each(t, func(*testing.T) {}, func(t *testing.T, one test) {
		synctest.Test(t, func(t *testing.T) { one.run(t, open(t)) })
	})
}

// each runs every test. first is called before each test, and before each group.
func each(t *testing.T, first func(*testing.T), run func(*testing.T, test)) {
	t.Helper()
	for _, group := range [...]struct {
		name  string
		tests []test
	}{{"Store", storeTests()}, {"Generations", generationsTests()}, {"StreamStore", streamTests()}} {
		t.Run(group.name, func(t *testing.T) {
			first(t)
			for _, one := range group.tests {
				t.Run(one.name, func(t *testing.T) {
					first(t)
					run(t, one)
				})
			}
		})
	}
}

// generations runs a test for stores that have them.
func generations(run func(testing.TB, edgecache.Generations)) func(testing.TB, edgecache.Store) {
	return func(t testing.TB, s edgecache.Store) {
		if g, ok := s.(edgecache.Generations); ok {
			run(t, g)
		} else {
			t.Skip("the store has no generations")
		}
	}
}

// stream runs a test for stores that stream.
func stream(run func(testing.TB, edgecache.Store, edgecache.StreamStore)) func(testing.TB, edgecache.Store) {
	return func(t testing.TB, s edgecache.Store) {
		if ss, ok := s.(edgecache.StreamStore); ok {
			run(t, s, ss)
		} else {
			t.Skip("the store does not stream")
		}
	}
}

// ended returns a context that has ended.
func ended(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
