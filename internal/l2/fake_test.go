package l2

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// plain is a store in a map. If hook is set, it comes before each call and can wait, fail or panic.
type plain struct {
	mu     sync.Mutex
	values map[string][]byte
	ttls   map[string]time.Duration
	calls  map[string]int
	hook   func(ctx context.Context, method, key string) error
}

// shared is a store with generations.
type shared struct {
	plain
	sequence    uint64
	generations map[string]uint64
	after       func(method string) // if set, comes when a result is made and not yet returned
}

func newPlain() *plain {
	return &plain{values: map[string][]byte{}, ttls: map[string]time.Duration{}, calls: map[string]int{}}
}

func newShared() *shared {
	s := &shared{generations: map[string]uint64{}}
	s.values, s.ttls, s.calls = map[string][]byte{}, map[string]time.Duration{}, map[string]int{}
	return s
}

func (s *plain) before(ctx context.Context, method, key string) error {
	s.mu.Lock()
	s.calls[method]++
	hook := s.hook
	s.mu.Unlock()
	if hook != nil {
		if err := hook(ctx, method, key); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (s *plain) setHook(hook func(ctx context.Context, method, key string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = hook
}

func (s *plain) count(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

func (s *plain) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := s.before(ctx, "get", key); err != nil {
		return nil, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	value, found := s.values[key]
	return bytes.Clone(value), found, nil
}

func (s *plain) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := s.before(ctx, "set", key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[key], s.ttls[key] = bytes.Clone(value), ttl
	return nil
}

func (s *plain) Delete(ctx context.Context, key string) error {
	if err := s.before(ctx, "delete", key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.values, key)
	return nil
}

// keys returns the keys of a kind.
func (s *plain) keys(kind byte) (keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.values {
		if k[0] == kind {
			keys = append(keys, k)
		}
	}
	return keys
}

func (s *plain) change(key string, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[key] = value
}

func (s *shared) Bump(ctx context.Context, names ...string) (uint64, error) {
	if err := s.before(ctx, "bump", ""); err != nil {
		return 0, err
	}
	defer s.answered("bump")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sequence++
	for _, n := range names {
		s.generations[n] = s.sequence
	}
	return s.sequence, nil
}

func (s *shared) Load(ctx context.Context, names ...string) ([]uint64, uint64, error) {
	if err := s.before(ctx, "load", ""); err != nil {
		return nil, 0, err
	}
	defer s.answered("load")
	s.mu.Lock()
	defer s.mu.Unlock()
	got := make([]uint64, len(names))
	for i, n := range names {
		got[i] = s.generations[n]
	}
	return got, s.sequence, nil
}

func (s *shared) answered(method string) {
	if s.after != nil {
		s.after(method)
	}
}

var options = rules.Options{DefaultTTL: 2 * time.Minute, TargetedFields: []string{"Cdn-Cache-Control"}}

// bubble runs a test in fake time. It fails if a goroutine is left.
func bubble(t *testing.T, run func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, run)
}

func open(t *testing.T, s Store, change ...func(*Config)) *Cache {
	t.Helper()
	cfg := Config{Store: s, Rules: &options}
	for _, c := range change {
		c(&cfg)
	}
	cache := New(cfg)
	t.Cleanup(func() {
		// No fake store is stuck for longer.
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Hour)
		defer cancel()
		require.NoError(t, cache.Close(ctx))
	})
	return cache
}

func urlKey(host, target string) []byte { return key.OfURL(nil, "http", host, target) }

// response is what a fetch would store now.
func response(t testing.TB, body string, lines ...string) *object.Object {
	t.Helper()
	return responseFor(t, http.Header{}, "", body, lines...)
}

func responseFor(t testing.TB, request http.Header, scope, body string, lines ...string) *object.Object {
	t.Helper()
	h := http.Header{}
	for i := 0; i < len(lines); i += 2 {
		h.Add(lines[i], lines[i+1])
	}
	now := time.Now()
	meta, reason := options.Store(&rules.Request{}, 200, h, now, now)
	require.Equal(t, rules.None, reason)
	h["Date"] = []string{now.UTC().Format(http.TimeFormat)}
	d := object.Draft{Status: 200, Header: h, Body: object.NewBody([]byte(body)), Meta: meta, Scope: scope, Variant: string(key.Values(nil, meta.Vary, request, new(key.Fields)))}
	o := d.Seal()
	return &o
}

// put stores and waits until that is done.
func put(t *testing.T, cache *Cache, k []byte, o *object.Object, tags ...string) {
	t.Helper()
	require.True(t, cache.Put(k, o, tags, Representation{}, cache.Mark()))
	synctest.Wait()
}

func text(o *object.Object) string {
	var b bytes.Buffer
	_, _ = o.Body.WriteTo(&b)
	return b.String()
}

// wants looks a URL up; body is "" if nothing should be found.
func wants(t *testing.T, cache *Cache, k []byte, body string, outcome Outcome) {
	t.Helper()
	r := cache.Lookup(t.Context(), k, nil, http.Header{}, nil, nil)
	if r.Outcome != outcome {
		t.Fatalf("%q: got outcome %d, want %d", k, r.Outcome, outcome)
	}
	if got := r.Object; (got != nil) != (outcome == Found) || got != nil && text(got) != body {
		t.Fatalf("%q: got %v, want %q", k, got, body)
	}
}

func number(i int) string { return strconv.Itoa(i) }
