package storetest_test

import (
	"testing"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/storetest"
)

func TestMapInBubble(t *testing.T) {
	storetest.RunInBubble(t, func(*testing.T) edgecache.Store { return storetest.NewMap() })
}

func TestMapInRealTime(t *testing.T) {
	storetest.Run(t, func(*testing.T) edgecache.Store { return storetest.NewMap() })
}

// TestPlainStore is about a store without the optional interfaces.
func TestPlainStore(t *testing.T) {
	storetest.RunInBubble(t, func(*testing.T) edgecache.Store { return struct{ edgecache.Store }{storetest.NewMap()} })
}

func TestFaultyWithoutFaults(t *testing.T) {
	storetest.RunInBubble(t, func(*testing.T) edgecache.Store { return storetest.NewFaultyGenerations(storetest.NewMap(), 1, 0) })
}
