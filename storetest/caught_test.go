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

// recorder is a testing.TB that keeps failures to itself.
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
// so; and for each test there is a store that fails it.
func TestBrokenStoresAreCaught(t *testing.T) {
	all := slices.Concat(storeTests(), generationsTests(), streamTests())
	caught := make([]bool, len(all))
	for name, row := range map[string]struct {
		open func() edgecache.Store
		want string // a test that must fail
	}{
		"keeps the caller's slice":         {func() edgecache.Store { return &keepsSlice{NewMap()} }, "the store does not keep the slice it is given"},
		"gives its own slice":              {func() edgecache.Store { return &givesSlice{NewMap()} }, "the slice that is got belongs to the caller"},
		"reuses the slice it gave":         {func() edgecache.Store { return &reusesSlice{NewMap()} }, "a slice that was got outlives its value"},
		"writes behind the caller's slice": {func() edgecache.Store { return &appends{NewMap()} }, "the store does not change the slice it is given"},
		"a miss is an error":               {func() edgecache.Store { return &missIsError{NewMap()} }, "what is not there is not found, without an error"},
		"an empty value is a miss":         {func() edgecache.Store { return &emptyIsMiss{NewMap()} }, "an empty value is found"},
		"text ends at a zero byte":         {func() edgecache.Store { return &cText{NewMap()} }, "what is set is got, byte for byte"},
		"takes only 1 MiB":                 {func() edgecache.Store { return &limited{NewMap()} }, "8 MiB are a value like any other"},
		"keeps the first value":            {func() edgecache.Store { return &keepsFirst{NewMap()} }, "a later value takes the place of an earlier one"},
		"deletes nothing":                  {func() edgecache.Store { return &deletesNothing{NewMap()} }, "what is deleted is gone"},
		"deleting nothing is an error":     {func() edgecache.Store { return &deleteStrict{NewMap()} }, "deleting what is not there is no error"},
		"a tombstone outlives a set":       {func() edgecache.Store { return &tombstone{NewMap(), map[string]bool{}} }, "what was deleted can be set again"},
		"never forgets":                    {func() edgecache.Store { return &ttlIs{NewMap(), func(time.Duration) time.Duration { return 0 }} }, "a value dies after its ttl, and not before"},
		"forgets at once if there is no ttl": {func() edgecache.Store {
			return &ttlIs{NewMap(), func(d time.Duration) time.Duration { return max(d, 1) }}
		}, "a value dies after its ttl, and not before"},
		"seconds and milliseconds mixed": {func() edgecache.Store {
			return &ttlIs{NewMap(), func(d time.Duration) time.Duration { return d * 1000 }}
		}, "a value dies after its ttl, and not before"},
		"the first ttl stays":                {func() edgecache.Store { return &firstTTL{NewMap(), map[string]time.Duration{}} }, "a value has the ttl that was set last"},
		"reading prolongs":                   {func() edgecache.Store { return &prolongs{NewMap(), sync.Mutex{}, map[string]time.Duration{}} }, "reading does not prolong a life"},
		"keys are cut":                       {func() edgecache.Store { return &cutsKeys{NewMap()} }, "every key of 1 to MaxStoreKey bytes is a key of its own"},
		"a key deletes those that it begins": {func() edgecache.Store { return &deletesPrefix{NewMap()} }, "every key of 1 to MaxStoreKey bytes is a key of its own"},
		"ignores its context":                {func() edgecache.Store { return &ignoresContext{NewMap()} }, "a call whose context has ended is an error"},
		"values die with the context":        {func() edgecache.Store { return &boundToContext{NewMap()} }, "a context that ends later does no harm"},
		"loses a value under load":           {func() edgecache.Store { return &eightSlots{Map: NewMap()} }, "many goroutines with keys of their own"},
		"mixes values written at once":       {func() edgecache.Store { return &mixes{Map: NewMap()} }, "of many values at once one is stored, whole"},
		"generations begin at 1":             {func() edgecache.Store { return &beginsAt{NewMap(), 1} }, "names that were never bumped are at 0"},
		"a sequence for each name":           {func() edgecache.Store { return &ownSequence{NewMap(), sync.Mutex{}, map[string]uint64{}} }, "a bump gives all its names the next number, and no other name"},
		"a bump without names is none":       {func() edgecache.Store { return &skipsEmpty{NewMap()} }, "a bump without names takes a number"},
		"a hundred names at most":            {func() edgecache.Store { return &hundredNames{NewMap()} }, "many names at once"},
		"ten thousand names in all":          {func() edgecache.Store { return &forgetsNames{NewMap()} }, "as many names as there can be are kept"},
		"generations among the values":       {func() edgecache.Store { return &amongValues{NewMap()} }, "names are apart from keys, and live on"},
		"a bump that is seen later":          {func() edgecache.Store { return &lateBump{NewMap()} }, "every bump of many goroutines has a number of its own, and is seen at once"},
		"opens what is not there":            {func() edgecache.Store { return &opensNothing{NewMap()} }, "what is not there is not opened, without an error"},
		"streams have values of their own":   {func() edgecache.Store { return &ownStreams{NewMap(), NewMap()} }, "Get and Open see what Set and SetFrom have stored"},
		"stores what a broken reader gave":   {func() edgecache.Store { return &takesShort{NewMap()} }, "a reader that fails, or has fewer bytes or more, stores nothing of them"},
		"reads what is there now":            {func() edgecache.Store { return &readsCurrent{NewMap()} }, "what is read is one value, whatever becomes of it"},
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
