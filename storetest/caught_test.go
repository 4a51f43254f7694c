package storetest

import (
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache-go/edgecache"
)

// recorder is a testing.TB that records failures instead of reporting them.
type recorder struct {
	testing.TB
	mu     sync.Mutex
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Error(...any)          { r.fail() }
func (r *recorder) Errorf(string, ...any) { r.fail() }
func (r *recorder) Fatal(...any)          { r.fail(); runtime.Goexit() }
func (r *recorder) Fatalf(string, ...any) { r.fail(); runtime.Goexit() }
func (r *recorder) Skip(...any)           { runtime.Goexit() }

func (r *recorder) fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

// fails reports whether a store fails a test.
func fails(t *testing.T, one test, open func() edgecache.Store) bool {
	r := &recorder{TB: t}
	synctest.Test(t, func(t *testing.T) {
		r.TB = t
		done := make(chan struct{})
		go func() {
			defer close(done)
			one.run(r, open())
		}()
		<-done
	})
	return r.failed
}

// TestBrokenStoresAreCaught: for each store that breaks one sentence of the contract, a test says
// so. For each test there is a store that fails it.
func TestBrokenStoresAreCaught(t *testing.T) {
	all := slices.Concat(storeTests(), generationsTests(), streamTests())
	caught := make([]bool, len(all))
	for name, row := range map[string]struct {
		open func() edgecache.Store
		want string // a test that must fail
	}{
		"keeps the caller's slice":         {func() edgecache.Store { return &keepsSlice{NewMap()} }, "the store does not keep the slice passed to Set"},
		"gives its own slice":              {func() edgecache.Store { return &givesSlice{NewMap()} }, "the slice from Get belongs to the caller"},
		"reuses the slice it gave":         {func() edgecache.Store { return &reusesSlice{NewMap()} }, "the slice from Get survives its value"},
		"writes behind the caller's slice": {func() edgecache.Store { return &appends{NewMap()} }, "the store does not change the slice passed to Set"},
		"a miss is an error":               {func() edgecache.Store { return &missIsError{NewMap()} }, "a missing key is not found, without an error"},
		"an empty value is a miss":         {func() edgecache.Store { return &emptyIsMiss{NewMap()} }, "an empty value is found"},
		"text ends at a zero byte":         {func() edgecache.Store { return &cText{NewMap()} }, "Get returns what Set stored, byte for byte"},
		"takes only 1 MiB":                 {func() edgecache.Store { return &limited{NewMap()} }, "a value of 8 MiB is stored like any other"},
		"keeps the first value":            {func() edgecache.Store { return &keepsFirst{NewMap()} }, "a later value replaces an earlier one"},
		"deletes nothing":                  {func() edgecache.Store { return &deletesNothing{NewMap()} }, "a deleted value is not found"},
		"deleting nothing is an error":     {func() edgecache.Store { return &deleteStrict{NewMap()} }, "deleting a missing key is no error"},
		"a tombstone survives a set":       {func() edgecache.Store { return &tombstone{NewMap(), map[string]bool{}} }, "a deleted key can be set again"},
		"never forgets":                    {func() edgecache.Store { return &ttlIs{NewMap(), func(time.Duration) time.Duration { return 0 }} }, "a value expires after its ttl, and not before"},
		"forgets at once if there is no ttl": {func() edgecache.Store {
			return &ttlIs{NewMap(), func(d time.Duration) time.Duration { return max(d, 1) }}
		}, "a value expires after its ttl, and not before"},
		"seconds and milliseconds mixed": {func() edgecache.Store {
			return &ttlIs{NewMap(), func(d time.Duration) time.Duration { return d * 1000 }}
		}, "a value expires after its ttl, and not before"},
		"the first ttl stays":                {func() edgecache.Store { return &firstTTL{NewMap(), map[string]time.Duration{}} }, "the ttl of the last Set counts"},
		"reading prolongs":                   {func() edgecache.Store { return &prolongs{NewMap(), sync.Mutex{}, map[string]time.Duration{}} }, "reading does not extend the ttl"},
		"keys are cut":                       {func() edgecache.Store { return &cutsKeys{NewMap()} }, "all keys of 1 to MaxStoreKey bytes are distinct"},
		"a key deletes those that it begins": {func() edgecache.Store { return &deletesPrefix{NewMap()} }, "all keys of 1 to MaxStoreKey bytes are distinct"},
		"ignores its context":                {func() edgecache.Store { return &ignoresContext{NewMap()} }, "a call with an ended context is an error"},
		"values die with the context":        {func() edgecache.Store { return &boundToContext{NewMap()} }, "a context may end after the call"},
		"loses a value under load":           {func() edgecache.Store { return &eightSlots{Map: NewMap()} }, "many goroutines each use their own keys"},
		"mixes values written at once":       {func() edgecache.Store { return &mixes{Map: NewMap()} }, "concurrent values are stored whole, one of them last"},
		"generations begin at 1":             {func() edgecache.Store { return &beginsAt{NewMap(), 1} }, "a name that was never bumped is at 0"},
		"a sequence for each name":           {func() edgecache.Store { return &ownSequence{NewMap(), sync.Mutex{}, map[string]uint64{}} }, "a bump gives all its names the next number, and no other name"},
		"a bump without names is none":       {func() edgecache.Store { return &skipsEmpty{NewMap()} }, "a bump without names takes a number"},
		"a hundred names at most":            {func() edgecache.Store { return &hundredNames{NewMap()} }, "one call may have many names"},
		"ten thousand names in all":          {func() edgecache.Store { return &forgetsNames{NewMap()} }, "MaxStoreNames names are kept"},
		"generations among the values":       {func() edgecache.Store { return &amongValues{NewMap()} }, "names do not collide with keys, and do not expire"},
		"a bump that is seen later":          {func() edgecache.Store { return &lateBump{NewMap()} }, "concurrent bumps get distinct numbers, and are visible at once"},
		"opens what is not there":            {func() edgecache.Store { return &opensNothing{NewMap()} }, "a missing key is not opened, without an error"},
		"streams have values of their own":   {func() edgecache.Store { return &ownStreams{NewMap(), NewMap()} }, "Get and Open see what Set and SetFrom stored"},
		"stores what a broken reader gave":   {func() edgecache.Store { return &takesShort{NewMap()} }, "a reader that fails, or has fewer or more bytes, stores nothing"},
		"reads what is there now":            {func() edgecache.Store { return &readsCurrent{NewMap()} }, "an opened value is read whole, whatever happens to it meanwhile"},
	} {
		t.Run(name, func(t *testing.T) {
			found := false
			for i, one := range all {
				if one.name == row.want && fails(t, one, row.open) {
					found, caught[i] = true, true
				}
			}
			if !found {
				t.Errorf("it does not fail %q", row.want)
			}
		})
	}
	for i, one := range all {
		if !caught[i] {
			t.Errorf("no broken store fails %q", one.name)
		}
		if fails(t, one, func() edgecache.Store { return NewMap() }) {
			t.Errorf("a store that is not broken fails %q", one.name)
		}
	}
}
