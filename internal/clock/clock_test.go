package clock

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestInstant(t *testing.T) {
	t.Run("it is as exact as a time", func(t *testing.T) {
		now := time.Now()
		wall := now.Round(0) // without a monotonic reading
		for _, d := range []time.Duration{0, 1, -1, time.Hour, -time.Hour, 100 * 365 * 24 * time.Hour, -100 * 365 * 24 * time.Hour} {
			if got := Of(now).Until(now.Add(d)); got != d {
				t.Errorf("got %v, want %v", got, d)
			}
			if got := Of(wall).Until(wall.Add(d)); got != d {
				t.Errorf("by the wall clock: got %v, want %v", got, d)
			}
			if got := Of(now.Add(d)).Time(); got.Sub(now) != d {
				t.Errorf("and back: got %v, want %v", got.Sub(now), d)
			}
		}
	})
	t.Run("it follows the clock of a bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began := Of(time.Now())
			time.Sleep(time.Minute)
			if got := began.Until(time.Now()); got != time.Minute {
				t.Errorf("got %v, want 1m", got)
			}
		})
	})
}
