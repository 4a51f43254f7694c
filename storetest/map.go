package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/edgecache-go/edgecache"
)

// Map is a store in a map, without bounds: the simplest that keeps the whole contract, for tests.
// It uses package time, so it runs in a bubble of testing/synctest.
type Map struct {
	mu          sync.Mutex
	values      map[string]entry
	generations map[string]uint64
	sequence    uint64
}

type entry struct {
	value   []byte    // never written
	expires time.Time // zero for never
}

var (
	_ edgecache.Store       = (*Map)(nil)
	_ edgecache.StreamStore = (*Map)(nil)
	_ edgecache.Generations = (*Map)(nil)
)

// NewMap returns an empty store.
func NewMap() *Map {
	return &Map{values: make(map[string]entry), generations: make(map[string]uint64)}
}

// Len is the number of stored values. It includes expired ones until they are requested.
func (m *Map) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.values)
}

// Keys returns the keys of all values, sorted.
func (m *Map) Keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := make([]string, 0, len(m.values))
	for k := range m.values {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Get implements [edgecache.Store].
func (m *Map) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	shared, found, err := m.get(ctx, key)
	return bytes.Clone(shared), found, err
}

// get returns a value that must not be written.
func (m *Map) get(ctx context.Context, key string) (value []byte, found bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e, found := m.values[key]
	if found && !e.expires.IsZero() && !time.Now().Before(e.expires) {
		delete(m.values, key)
		return nil, false, nil
	}
	return e.value, found, nil
}

// Set implements [edgecache.Store].
func (m *Map) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return m.set(ctx, key, bytes.Clone(value), ttl)
}

// set takes ownership of value.
func (m *Map) set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e := entry{value: value}
	if ttl > 0 {
		e.expires = time.Now().Add(ttl)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[key] = e
	return nil
}

// Delete implements [edgecache.Store].
func (m *Map) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values, key)
	return nil
}

var errSize = errors.New("storetest: the reader does not have as many bytes as it should")

// SetFrom implements [edgecache.StreamStore].
func (m *Map) SetFrom(ctx context.Context, key string, size int64, r io.Reader, ttl time.Duration) error {
	var value bytes.Buffer
	// One more than expected, to detect a longer value.
	switch n, err := io.Copy(&value, io.LimitReader(r, size+1)); {
	case err != nil:
		return err
	case n != size:
		return errSize
	}
	return m.set(ctx, key, value.Bytes(), ttl)
}

// Open implements [edgecache.StreamStore].
func (m *Map) Open(ctx context.Context, key string) (r io.ReadCloser, size int64, found bool, err error) {
	value, found, err := m.get(ctx, key)
	if !found || err != nil {
		return nil, 0, false, err
	}
	return io.NopCloser(bytes.NewReader(value)), int64(len(value)), true, nil
}

// Bump implements [edgecache.Generations].
func (m *Map) Bump(ctx context.Context, names ...string) (now uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sequence++
	for _, name := range names {
		m.generations[name] = m.sequence
	}
	return m.sequence, nil
}

// Load implements [edgecache.Generations].
func (m *Map) Load(ctx context.Context, names ...string) (generations []uint64, now uint64, err error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	generations = make([]uint64, len(names))
	for i, name := range names {
		generations[i] = m.generations[name]
	}
	return generations, m.sequence, nil
}
