package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"
)

var errBroken = errors.New("broken")

type keepsSlice struct{ *Map }

func (s *keepsSlice) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return s.set(ctx, key, value, ttl)
}

type givesSlice struct{ *Map }

func (s *givesSlice) Get(ctx context.Context, key string) ([]byte, bool, error) {
	return s.get(ctx, key)
}

// reusesSlice writes a new value into the memory of the old one, which it also hands out.
type reusesSlice struct{ *Map }

func (s *reusesSlice) Get(ctx context.Context, key string) ([]byte, bool, error) {
	return s.get(ctx, key)
}

func (s *reusesSlice) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	// Only if no other goroutine reads: this is wrong even then.
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
	<-time.After(time.Millisecond) // long enough for calls whose context has ended
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

// forgetsNames has room for ten thousand names, and then none for new ones.
type forgetsNames struct{ *Map }

func (s *forgetsNames) Bump(ctx context.Context, names ...string) (uint64, error) {
	s.mu.Lock()
	known := len(s.generations)
	s.mu.Unlock()
	return s.Map.Bump(ctx, names[:min(len(names), max(0, 10_000-known))]...)
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
