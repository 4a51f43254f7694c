package l2

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSlots(t *testing.T) {
	// Whatever clients make up, the store has a bounded number of generations.
	t.Run("names are bounded", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			cache := open(t, s)
			purges := 60_000
			if os.Getenv("EDGECACHE_LONG") != "" {
				purges = 300_000
			}
			targets := make([]Target, 1000)
			for i := range purges {
				switch i % 4 {
				case 0:
					targets[i%1000] = URL("a", "/made/up/"+number(i))
				case 3:
					targets[i%1000] = madeUp(i)
				case 1:
					targets[i%1000] = URL("host"+number(i), "/")
				default:
					targets[i%1000] = Tag(number(i))
				}
				if i%1000 == 999 {
					cache.Purge(targets...).TellLater()
					synctest.Wait()
				}
			}
			<-time.After(time.Second)
			require.Zero(t, cache.Stats().Pending)
			t.Logf("%d purges: %d names", purges, len(s.generations))
			if n := len(s.generations); n > slots || n < slots/2 {
				t.Errorf("got %d names, want at most %d, and most of them", n, slots)
			}
			require.NoError(t, cache.Purge(Everything(), Prefix("a", "/b/"), Prefix("", "/b/")).Tell(t.Context()))
			if n := len(s.generations); n > slots+4 {
				t.Errorf("got %d names with those that have no slots, want at most 4 beyond %d", n, slots)
			}
		})
	})
	// It counts the responses that a flood of purges refuses although they are not concerned.
	t.Run("a flood refuses few names by mistake", func(t *testing.T) {
		for _, row := range []struct {
			name    string
			purges  int
			target  func(i int) Target
			checked []string
			most    int // of 2 000
		}{
			{"URLs with every query", 2100, madeUp, nil, 70},
			{"URLs with every query, for what has tags", 2100, madeUp, []string{"1", "2", "3"}, 70},
			{"URLs of one host", 1000, func(i int) Target { return URL("a", "/x/"+number(i)) }, nil, 60},
			{"URLs of every host", 100, func(i int) Target { return URL("", "/x/"+number(i)) }, nil, 10},
			{"tags, for what has none", 2100, func(i int) Target { return Tag("x" + number(i)) }, nil, 0},
			{"tags, for what has twenty", 200, func(i int) Target { return Tag("x" + number(i)) },
				strings.Split(strings.Repeat("tag ", 19)+"tag", " "), 60},
			{"folders", 300, func(i int) Target { return Prefix("a", "/x/"+number(i)+"/") }, nil, 20},
		} {
			n := newNaming(nil)
			f := newMarks()
			for i := range row.purges {
				f.bump(n.slots(row.target(i).names))
			}
			hit := 0
			for i := range 2000 {
				var tags []string
				for k, tag := range row.checked {
					tags = append(tags, tag+number(i)+"."+number(k))
				}
				if f.purgedSince(n.slots(namesOf(string(urlKey("a", "/y/"+number(i))), false, tags)), 0) {
					hit++
				}
			}
			t.Logf("%s: %d purges refuse %d of 2 000 responses that they do not concern", row.name, row.purges, hit)
			if hit > row.most {
				t.Errorf("%s: got %d, want at most %d", row.name, hit, row.most)
			}
		}
	})
	t.Run("the places of a name", func(t *testing.T) {
		plain, one, other := newNaming(nil), newNaming([]byte("one")), newNaming([]byte("other"))
		seen := map[string]string{}
		for i := range 300 {
			for _, kind := range []byte{ofQueries, ofURL, ofPath, ofScopedPath, ofPrefix, ofPathPrefix, ofScopedPrefix, ofTag, everything[0], '?'} {
				full := name(kind, number(i))
				if kind == everything[0] {
					full = everything
				}
				from, size := slotsOf(kind)
				for n, naming := range map[string]*naming{"none": &plain, "one": &one, "other": &other} {
					p := naming.slot(full)
					if p.at[0] == p.at[1] != (full == everything) {
						t.Fatalf("%c: got the slots %d", kind, p.at)
					}
					names := naming.inStore([]slot{p})
					if len(names) != p.width() {
						t.Fatalf("%c: got %d names, want %d", kind, len(names), p.width())
					}
					for _, name := range names {
						if len(name) > 64 || strings.Trim(name, "0123456789abcdefghijklmnopqrstuvwxyz") != "" {
							t.Fatalf("%c: got the name %q", kind, name)
						}
						if isSlot(name) != (size > 0) {
							t.Fatalf("%c: got the name %q", kind, name)
						}
						if who, taken := seen[name]; taken && who != n {
							t.Fatalf("%s and %s have the name %s", who, n, name)
						}
						seen[name] = n
					}
					for _, at := range p.at {
						switch {
						case size > 0 && (at < from || at >= from+size), size == 0 && at < slots:
							t.Fatalf("%c: got the slots %d, want some of %d from %d", kind, p.at, size, from)
						}
					}
				}
			}
		}
		if a, b := one.slot(name(ofURL, "a", "/")), other.slot(name(ofURL, "a", "/")); a.at == b.at {
			t.Errorf("two keys give the same slots %d", a.at)
		}
		end := uint32(0)
		for _, kind := range []byte{ofQueries, ofURL, ofScopedPath, ofPath, ofTag} {
			from, size := slotsOf(kind)
			if from != end {
				t.Errorf("%c begins at %d, want %d", kind, from, end)
			}
			end = from + size
		}
		if end != 1<<16 {
			t.Errorf("got %d slots, want 65 536", end)
		}
	})
}

// madeUp is what a POST to a made-up URL purges.
func madeUp(i int) Target {
	return Path(urlKey("a", "/made/up/"+number(i)))
}

// TestNamesOfOneResponse holds that no call of Load has more than edgecache.MaxStoreCallNames
// names.
func TestNamesOfOneResponse(t *testing.T) {
	tags := make([]string, 2048) // the most that a stored response has
	n := newNaming(nil)
	names := n.inStore(n.slots(namesOf(string(urlKey("a", strings.Repeat("/x", 20))), true, tags)))
	if len(names) > 8192 || maxBumped > 8192 {
		t.Errorf("got %d names in a Load and %d in a Bump, want at most 8192", len(names), maxBumped)
	}
}

// sharing returns a tag that has the second slot of tag, but not the first.
func sharing(tag string) string {
	n := newNaming(nil)
	want := n.slot(name(ofTag, tag))
	for i := 0; ; i++ {
		other := fmt.Sprint("other ", i)
		if p := n.slot(name(ofTag, other)); (p.at[0] == want.at[1] || p.at[1] == want.at[1]) && p.at[0] != want.at[0] && p.at[1] != want.at[0] {
			return other
		}
	}
}
