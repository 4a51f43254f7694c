package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
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

// TestBrokenStoresAreCaught: for each store that breaks one sentence of the contract, a test says so; and for each test there is a store that fails it.
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

var errBroken = errors.New("broken")

type keepsSlice struct{ *Map }

func (s *keepsSlice) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return s.set(ctx, key, value, ttl)
}

type givesSlice struct{ *Map }

func (s *givesSlice) Get(ctx context.Context, key string) ([]byte, bool, error) {
	return s.get(ctx, key)
}

// reusesSlice writes a new value where the old one was, which it also gives away.
type reusesSlice struct{ *Map }

func (s *reusesSlice) Get(ctx context.Context, key string) ([]byte, bool, error) {
	return s.get(ctx, key)
}

func (s *reusesSlice) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	// Only where no other goroutine reads: this is about what is wrong even then.
	if old, found, _ := s.get(ctx, key); found && len(old) < 64 {
		copy(old, value)
	}
	return s.Map.Set(ctx, key, value, ttl)
}

type appends struct{ *Map }

func (s *appends) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	_ = append(value, "checksum"...)
	return s.Map.Set(ctx, key, value, ttl)
}

type missIsError struct{ *Map }

func (s *missIsError) Get(ctx context.Context, key string) ([]byte, bool, error) {
	value, found, err := s.Map.Get(ctx, key)
	if !found && err == nil {
		err = errBroken
	}
	return value, found, err
}

type emptyIsMiss struct{ *Map }

func (s *emptyIsMiss) Get(ctx context.Context, key string) ([]byte, bool, error) {
	value, _, err := s.Map.Get(ctx, key)
	return value, len(value) > 0, err
}

type cText struct{ *Map }

func (s *cText) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	text, _, _ := bytes.Cut(value, []byte{0})
	return s.Map.Set(ctx, key, text, ttl)
}

type limited struct{ *Map }

func (s *limited) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if len(value) > 1<<20 {
		return errBroken
	}
	return s.Map.Set(ctx, key, value, ttl)
}

type keepsFirst struct{ *Map }

func (s *keepsFirst) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if _, found, _ := s.get(ctx, key); found {
		return nil
	}
	return s.Map.Set(ctx, key, value, ttl)
}

type deletesNothing struct{ *Map }

func (s *deletesNothing) Delete(ctx context.Context, _ string) error { return ctx.Err() }

type deleteStrict struct{ *Map }

func (s *deleteStrict) Delete(ctx context.Context, key string) error {
	if _, found, _ := s.get(ctx, key); !found {
		return errBroken
	}
	return s.Map.Delete(ctx, key)
}

type tombstone struct {
	*Map
	dead map[string]bool
}

func (s *tombstone) Delete(ctx context.Context, key string) error {
	s.mu.Lock()
	s.dead[key] = true
	s.mu.Unlock()
	return s.Map.Delete(ctx, key)
}

func (s *tombstone) Get(ctx context.Context, key string) ([]byte, bool, error) {
	s.mu.Lock()
	dead := s.dead[key]
	s.mu.Unlock()
	if dead {
		return nil, false, ctx.Err()
	}
	return s.Map.Get(ctx, key)
}

type ttlIs struct {
	*Map
	of func(time.Duration) time.Duration
}

func (s *ttlIs) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return s.Map.Set(ctx, key, value, s.of(ttl))
}

func (s *ttlIs) SetFrom(ctx context.Context, key string, size int64, r io.Reader, ttl time.Duration) error {
	return s.Map.SetFrom(ctx, key, size, r, s.of(ttl))
}

type firstTTL struct {
	*Map
	first map[string]time.Duration
}

func (s *firstTTL) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	s.mu.Lock()
	if first, set := s.first[key]; set {
		ttl = first
	}
	s.first[key] = ttl
	s.mu.Unlock()
	return s.Map.Set(ctx, key, value, ttl)
}

type prolongs struct {
	*Map
	lock sync.Mutex
	ttl  map[string]time.Duration
}

func (s *prolongs) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	s.lock.Lock()
	s.ttl[key] = ttl
	s.lock.Unlock()
	return s.Map.Set(ctx, key, value, ttl)
}

func (s *prolongs) Get(ctx context.Context, key string) ([]byte, bool, error) {
	value, found, err := s.Map.Get(ctx, key)
	if found && err == nil {
		s.lock.Lock()
		err = s.Map.Set(ctx, key, value, 2*s.ttl[key])
		s.lock.Unlock()
	}
	return value, found, err
}

type cutsKeys struct{ *Map }

func cut(key string) string { return key[:min(len(key), 32)] }

func (s *cutsKeys) Get(ctx context.Context, key string) ([]byte, bool, error) {
	return s.Map.Get(ctx, cut(key))
}

func (s *cutsKeys) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return s.Map.Set(ctx, cut(key), value, ttl)
}

type deletesPrefix struct{ *Map }

func (s *deletesPrefix) Delete(ctx context.Context, key string) error {
	for _, k := range s.Keys() {
		if strings.HasPrefix(k, key) {
			_ = s.Map.Delete(ctx, k)
		}
	}
	return ctx.Err()
}

type ignoresContext struct{ *Map }

func (s *ignoresContext) Get(ctx context.Context, key string) ([]byte, bool, error) {
	return s.Map.Get(context.WithoutCancel(ctx), key)
}

func (s *ignoresContext) Bump(ctx context.Context, names ...string) (uint64, error) {
	return s.Map.Bump(context.WithoutCancel(ctx), names...)
}

func (s *ignoresContext) Open(ctx context.Context, key string) (io.ReadCloser, int64, bool, error) {
	return s.Map.Open(context.WithoutCancel(ctx), key)
}

type boundToContext struct{ *Map }

func (s *boundToContext) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := s.Map.Set(ctx, key, value, ttl); err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = s.Map.Delete(context.WithoutCancel(ctx), key) })
	return nil
}

func (s *boundToContext) Get(ctx context.Context, key string) ([]byte, bool, error) {
	<-time.After(time.Millisecond) // long enough for what ended contexts have brought about
	return s.Map.Get(ctx, key)
}

// eightSlots has room for eight values.
type eightSlots struct {
	*Map
	order []string
}

func (s *eightSlots) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := s.Map.Set(ctx, key, value, ttl); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order = append(s.order, key)
	if len(s.order) > 8 {
		delete(s.values, s.order[0])
		s.order = s.order[1:]
	}
	return nil
}

// mixes writes a value in two steps.
type mixes struct{ *Map }

func (s *mixes) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	half := len(value) / 2
	if err := s.Map.Set(ctx, key, value[:half], ttl); err != nil {
		return err
	}
	<-time.After(time.Millisecond)
	begin, _, err := s.Map.Get(ctx, key)
	if err != nil {
		return err
	}
	return s.Map.Set(ctx, key, append(begin, value[half:]...), ttl)
}

type beginsAt struct {
	*Map
	first uint64
}

func (s *beginsAt) Load(ctx context.Context, names ...string) ([]uint64, uint64, error) {
	got, now, err := s.Map.Load(ctx, names...)
	for i := range got {
		got[i] = max(got[i], s.first)
	}
	return got, max(now, s.first), err
}

type ownSequence struct {
	*Map
	lock sync.Mutex
	at   map[string]uint64
}

func (s *ownSequence) Bump(ctx context.Context, names ...string) (now uint64, err error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, name := range names {
		s.at[name]++
		now = max(now, s.at[name])
	}
	return now, ctx.Err()
}

func (s *ownSequence) Load(ctx context.Context, names ...string) (got []uint64, now uint64, err error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, name := range names {
		got = append(got, s.at[name])
	}
	for _, n := range s.at {
		now = max(now, n)
	}
	return got, now, ctx.Err()
}

type skipsEmpty struct{ *Map }

func (s *skipsEmpty) Bump(ctx context.Context, names ...string) (uint64, error) {
	if len(names) == 0 {
		_, now, err := s.Load(ctx)
		return now, err
	}
	return s.Map.Bump(ctx, names...)
}

type hundredNames struct{ *Map }

func (s *hundredNames) Bump(ctx context.Context, names ...string) (uint64, error) {
	return s.Map.Bump(ctx, names[:min(len(names), 100)]...)
}

// amongValues keeps each generation as a value under its name.
type amongValues struct{ *Map }

func (s *amongValues) Bump(ctx context.Context, names ...string) (uint64, error) {
	now, err := s.Map.Bump(ctx, names...)
	for _, name := range names {
		_ = s.Set(ctx, name, []byte("generation"), 0)
	}
	return now, err
}

// lateBump returns before Load sees it.
type lateBump struct{ *Map }

func (s *lateBump) Bump(ctx context.Context, _ ...string) (uint64, error) { return s.Map.Bump(ctx) }

type opensNothing struct{ *Map }

func (s *opensNothing) Open(ctx context.Context, key string) (io.ReadCloser, int64, bool, error) {
	value, _, err := s.get(ctx, key)
	return io.NopCloser(bytes.NewReader(value)), int64(len(value)), err == nil, err
}

type ownStreams struct {
	*Map
	streams *Map
}

func (s *ownStreams) SetFrom(ctx context.Context, key string, size int64, r io.Reader, ttl time.Duration) error {
	return s.streams.SetFrom(ctx, key, size, r, ttl)
}

func (s *ownStreams) Open(ctx context.Context, key string) (io.ReadCloser, int64, bool, error) {
	return s.streams.Open(ctx, key)
}

type takesShort struct{ *Map }

func (s *takesShort) SetFrom(ctx context.Context, key string, _ int64, r io.Reader, ttl time.Duration) error {
	value, _ := io.ReadAll(r)
	return s.Map.Set(ctx, key, value, ttl)
}

// readsCurrent looks for its value again at each Read.
type readsCurrent struct{ *Map }

type current struct {
	s   *readsCurrent
	ctx context.Context
	key string
	at  int
}

func (s *readsCurrent) Open(ctx context.Context, key string) (io.ReadCloser, int64, bool, error) {
	value, found, err := s.get(ctx, key)
	if !found || err != nil {
		return nil, 0, false, err
	}
	return io.NopCloser(&current{s, ctx, key, 0}), int64(len(value)), true, nil
}

func (c *current) Read(p []byte) (int, error) {
	value, _, err := c.s.get(c.ctx, c.key)
	if err != nil {
		return 0, err
	}
	if c.at >= len(value) {
		return 0, io.EOF
	}
	n := copy(p, value[c.at:])
	c.at += n
	return n, nil
}
