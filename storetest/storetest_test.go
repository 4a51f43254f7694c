package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/storetest"
)

func TestMapInBubble(t *testing.T) {
	storetest.RunInBubble(t, func(*testing.T) edgecache.Store { return storetest.NewMap() })
}

func TestMapInRealTime(t *testing.T) {
	if testing.Short() {
		t.Skip("the ttls of this test pass in real time, which takes seconds")
	}
	storetest.Run(t, func(*testing.T) edgecache.Store { return storetest.NewMap() })
}

// TestPlainStore is about a store without the optional interfaces.
func TestPlainStore(t *testing.T) {
	storetest.RunInBubble(t, func(*testing.T) edgecache.Store { return struct{ edgecache.Store }{storetest.NewMap()} })
}

func TestFaultyWithoutFaults(t *testing.T) {
	storetest.RunInBubble(t, func(*testing.T) edgecache.Store { return storetest.NewFaultyGenerations(storetest.NewMap(), 1, 0) })
}

func TestFaultyFails(t *testing.T) {
	for name, row := range map[string]struct {
		way  storetest.Fault
		want func(t *testing.T, err error, took time.Duration)
	}{
		"errors": {storetest.Fails, func(t *testing.T, err error, took time.Duration) {
			if !errors.Is(err, storetest.ErrFault) || took != 0 {
				t.Errorf("got %v after %v, want ErrFault at once", err, took)
			}
		}},
		"panics": {storetest.Panics, func(t *testing.T, err error, took time.Duration) {
			if !errors.Is(err, errPanicked) || took != 0 {
				t.Errorf("got %v after %v, want a panic at once", err, took)
			}
		}},
		"blocks": {storetest.Blocks, func(t *testing.T, err error, took time.Duration) {
			if !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
				t.Errorf("got %v after %v, want it when the context ends", err, took)
			}
		}},
		"gets stuck": {storetest.Stuck, func(t *testing.T, err error, took time.Duration) {
			if !errors.Is(err, storetest.ErrFault) || took != storetest.StuckFor {
				t.Errorf("got %v after %v, want ErrFault after %v", err, took, storetest.StuckFor)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := storetest.NewFaultyGenerations(storetest.NewMap(), 1, 1, row.way)
				calls := map[string]func(context.Context) error{
					"Get":    func(ctx context.Context) error { _, _, err := s.Get(ctx, "a"); return err },
					"Set":    func(ctx context.Context) error { return s.Set(ctx, "a", nil, 0) },
					"Delete": func(ctx context.Context) error { return s.Delete(ctx, "a") },
					"Bump":   func(ctx context.Context) error { _, err := s.Bump(ctx, "a"); return err },
					"Load":   func(ctx context.Context) error { _, _, err := s.Load(ctx, "a"); return err },
				}
				for _, run := range calls {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					begin := time.Now()
					err := contained(func() error { return run(ctx) })
					row.want(t, err, time.Since(begin))
					cancel()
				}
				if s.Calls() != len(calls) || s.Count(row.way) != len(calls) {
					t.Errorf("got %d calls and %d faults, want %d of both", s.Calls(), s.Count(row.way), len(calls))
				}
				s.SetRate(0)
				if err := s.Set(t.Context(), "a", nil, 0); err != nil {
					t.Errorf("without faults: got %v", err)
				}
			})
		})
	}
}

var errPanicked = errors.New("panicked")

func contained(run func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanicked
		}
	}()
	return run()
}

// TestFaultyLies: without an error, and not always in the same way.
func TestFaultyLies(t *testing.T) {
	honest := storetest.NewMap()
	s := storetest.NewFaulty(honest, 1, 0, storetest.Lies)
	for i := range 10 {
		if err := s.Set(t.Context(), fmt.Sprint(i), fmt.Appendf(nil, "value of %d", i), 0); err != nil {
			t.Fatal(err)
		}
	}
	s.SetRate(1)
	answers := map[string]bool{}
	for range 200 {
		value, found, err := s.Get(t.Context(), "3")
		if err != nil {
			t.Fatalf("got %v, want a lie", err)
		}
		answers[fmt.Sprint(found, string(value))] = true
	}
	if len(answers) < 6 || !answers["false"] || !answers["truegarbage"] || !answers["truevalue of 9"] {
		t.Errorf("got the answers %v, want more lies", answers)
	}
	for i := range 10 {
		if err := s.Delete(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatalf("Delete: got %v, want a lie", err)
		}
	}
	if honest.Len() != 10 {
		t.Errorf("got %d values after deleting them, want 10", honest.Len())
	}
	for i := range 30 {
		if err := s.Set(t.Context(), fmt.Sprintf("new%d", i), []byte("new value"), 0); err != nil {
			t.Fatalf("Set: got %v, want a lie", err)
		}
	}
	whole := 0
	for _, k := range honest.Keys() {
		if v, _, _ := honest.Get(t.Context(), k); string(v) == "new value" {
			whole++
		}
	}
	if whole == 0 || whole == 30 {
		t.Errorf("got %d of 30 values stored whole, under whatever key", whole)
	}
	if _, err := storetest.NewFaultyGenerations(honest, 1, 1, storetest.Lies).Bump(t.Context(), "a"); !errors.Is(err, storetest.ErrFault) {
		t.Errorf("Bump: got %v, want ErrFault", err)
	}
	if got, now, _ := honest.Load(t.Context(), "a"); got[0] != 1 || now != 1 {
		t.Errorf("got generation %d at %d, want it bumped all the same", got[0], now)
	}
}
