package memory

import "testing"

func TestSeen(t *testing.T) {
	s := newSeen()
	s.fit(2000)
	for h := range uint64(1000) {
		if s.note(mix(h)) {
			t.Fatalf("%d is known before it came", h)
		}
	}
	known := func(step string, least int) {
		t.Helper()
		n, wrong := 0, 0
		for h := range uint64(1000) {
			look := seen{append([]seenBucket{}, s.buckets...)}
			if look.note(mix(h)) {
				n++
			}
			if look.note(mix(h + 1<<40)) {
				wrong++
			}
		}
		if n < least || wrong > 0 {
			t.Errorf("%s: %d of 1000 are known, want %d; %d of others", step, n, least, wrong)
		}
	}
	known("written", 980)
	s.fit(5000)
	if got, want := len(s.buckets), 1024; got != want {
		t.Errorf("%d buckets for 5000 residents, want %d", got, want)
	}
	known("grown", 980)
	s.shrink(2000)
	if got, want := len(s.buckets), 256; got != want {
		t.Errorf("%d buckets for 2000 residents, want %d", got, want)
	}
	known("shrunk", 980)
	for h := range uint64(100_000) {
		s.note(mix(h + 1<<30))
	}
	for h := range uint64(1000) {
		if s.note(mix(h)) {
			t.Fatalf("%d is known after a flood", h)
		}
	}
}
