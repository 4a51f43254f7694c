package l2

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/frame"
	"github.com/edgecache-go/edgecache/internal/object"
)

var home, other = urlKey("a", "/"), urlKey("a", "/other")

func TestPut(t *testing.T) {
	t.Run("what is put is found", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			cache := open(t, newShared())
			wants(t, cache, home, "", Absent)
			o := response(t, "hello", "Cache-Control", "public, max-age=60", "X-A", "1")
			put(t, cache, home, o, "tag", "another")
			<-time.After(10 * time.Second)
			r := cache.Lookup(t.Context(), home, nil, http.Header{"Cookie": {"a=b"}}, nil, nil)
			require.Equal(t, Found, r.Outcome)
			if got := r.Object; text(got) != "hello" || got.Header().Get("X-A") != "1" || got.Terms.Age(time.Now()) != o.Terms.Age(time.Now()) {
				t.Errorf("got %q %v of age %v", text(got), got.Header().Unpack(), got.Terms.Age(time.Now()))
			}
			if !slices.Equal(r.Tags, []string{"tag", "another"}) {
				t.Errorf("got tags %q", r.Tags)
			}
			wants(t, cache, urlKey("b", "/"), "", Absent)
			wants(t, cache, urlKey("a", "/other"), "", Absent)
			put(t, cache, home, response(t, "newer"))
			wants(t, cache, home, "newer", Found)
			if s := cache.Stats(); s.Hits != 2 || s.Misses != 3 || s.Written != 2 || s.Dropped+s.Refused+s.Errors+s.Busy != 0 || s.QueueEntries != 0 || s.QueueBytes != 0 {
				t.Errorf("got %+v", s)
			}
		})
	})
	t.Run("nothing useless is written", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newPlain()
			cache := open(t, s, func(c *Config) { c.MaxBytes = 2000 })
			old := response(t, "x", "Cache-Control", "max-age=1, must-revalidate")
			<-time.After(time.Second)
			put(t, cache, home, old)
			put(t, cache, home, response(t, strings.Repeat("x", 2000)))
			mark := cache.Mark()
			cache.Purge(URL("a", "/")).TellLater()
			require.True(t, cache.Put(home, response(t, "purged on its way"), nil, Representation{}, mark))
			synctest.Wait()
			if n := s.count("set"); n > 0 {
				t.Errorf("got %d calls of Set, want none", n)
			}
		})
	})
	t.Run("what another process has put needs generations", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			with, without := newShared(), newPlain()
			put(t, open(t, with), home, response(t, "theirs"))
			put(t, open(t, without), home, response(t, "theirs"))
			wants(t, open(t, with), home, "theirs", Found)
			other := open(t, without)
			wants(t, other, home, "", Absent)
			if got := other.Stats().Purged; got != 1 {
				t.Errorf("got %d refused as purged, want 1", got)
			}
			put(t, other, home, response(t, "ours"))
			wants(t, other, home, "ours", Found)
		})
	})
}

func TestKeys(t *testing.T) {
	t.Run("they keep to the contract", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			cache := open(t, s)
			put(t, cache, urlKey("a", "/"+strings.Repeat("long", 1000)), response(t, "x"))
			require.Len(t, s.values, 2)
			names := namesOf(string(urlKey("a", "/b/c")), true, []string{"tag"})
			for k := range s.values {
				names = append(names, k)
			}
			for _, k := range append(names, probeKey) {
				if len(k) == 0 || len(k) > 64 || strings.Trim(k, "0123456789abcdefghijklmnopqrstuvwxyz") != "" {
					t.Errorf("got the key %q", k)
				}
			}
			for _, ttl := range s.ttls {
				if ttl != 2*time.Minute {
					t.Errorf("got ttl %v, want that of the response", ttl)
				}
			}
			put(t, cache, home, response(t, "x", "Cache-Control", "max-age=999999999"))
			if got := s.ttls[cache.indexKey(home)]; got != object.MaxKeep {
				t.Errorf("got ttl %v, want %v", got, object.MaxKeep)
			}
		})
	})
}

func TestVariants(t *testing.T) {
	t.Run("each is found by its fields", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			cache := open(t, s)
			lang := func(l string) http.Header { return http.Header{"Accept-Language": {l}} }
			for _, l := range []string{"de", "en"} {
				put(t, cache, home, responseFor(t, lang(l), "", "in "+l, "Vary", "Accept-Language"))
			}
			put(t, cache, home, responseFor(t, lang("fr"), "proxy", "for a proxy", "Vary", "Accept-Language"))
			for _, row := range []struct {
				lang, scope, want string
				outcome           Outcome
			}{
				{"de", "", "in de", Found},
				{"en", "", "in en", Found},
				{"fr", "proxy", "for a proxy", Found},
				{"fr", "", "", Mismatch},
				{"de", "proxy", "", Mismatch},
				{"", "", "", Mismatch},
			} {
				r := cache.Lookup(t.Context(), home, []byte(row.scope), lang(row.lang), nil, nil)
				if r.Outcome != row.outcome || r.Object != nil && text(r.Object) != row.want {
					t.Errorf("%q in %q: got %v", row.lang, row.scope, r)
				}
			}
			for i := range 100 {
				put(t, cache, home, responseFor(t, lang(number(i)), "", "number "+number(i), "Vary", "Accept-Language"))
			}
			if got := len(s.keys(ofVariant)); got != maxVariants+1 {
				t.Errorf("got %d variants in the store, want %d and one in a scope", got, maxVariants)
			}
			for i := range 100 {
				r := cache.Lookup(t.Context(), home, nil, lang(number(i)), nil, nil)
				if found := r.Outcome == Found; found != (i >= 100-maxVariants) {
					t.Errorf("variant %d: got found %v", i, found)
				}
			}
			<-time.After(2 * time.Minute)
			put(t, cache, home, response(t, "the only one"))
			x, ok := cache.readIndex(s.values[cache.indexKey(home)], home, time.Now())
			if !ok || len(x.variants) != 1 {
				t.Errorf("got %d in the index, %v, want none that has expired", len(x.variants), ok)
			}
		})
	})
	// A client says with each request that it was for another host.
	t.Run("made-up scopes push nothing out", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			cache := open(t, newShared())
			put(t, cache, home, response(t, "home"))
			put(t, cache, home, responseFor(t, nil, "by the proxy", "through the proxy"))
			for i := range 2 * maxVariants {
				put(t, cache, home, responseFor(t, nil, "made up "+number(i), "x"))
			}
			wants(t, cache, home, "home", Found)
			if r := cache.Lookup(t.Context(), home, []byte("by the proxy"), nil, nil, nil); r.Outcome != Found || text(r.Object) != "through the proxy" {
				t.Errorf("got outcome %d", r.Outcome)
			}
			require.NoError(t, cache.Purge(URL("a", "/")).Tell(t.Context()))
			synctest.Wait()
			wants(t, cache, home, "", Absent)
			if r := cache.Lookup(t.Context(), home, []byte("by the proxy"), nil, nil, nil); r.Outcome == Found {
				t.Error("in a scope the purge does not hold")
			}
		})
	})
	// Two lists of Vary fit the same request.
	t.Run("an outdated one does not hide another", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			cache := open(t, s)
			put(t, cache, home, response(t, "old", "Vary", "Accept"))
			put(t, cache, home, response(t, "new", "Vary", "Origin"))
			wants(t, cache, home, "new", Found)
			x, _ := cache.readIndex(s.values[cache.indexKey(home)], home, time.Now())
			s.change(variantKey(x.variants[0].id), []byte("garbage"))
			wants(t, cache, home, "old", Found)
			delete(s.values, variantKey(x.variants[0].id))
			wants(t, cache, home, "old", Found)
		})
	})
}

func TestIndex(t *testing.T) {
	t.Run("one that is too large is neither written nor read", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			cache := open(t, s)
			scope := strings.Repeat("s", maxIndex)
			put(t, cache, home, responseFor(t, nil, scope, "x"))
			if n := len(s.keys(ofIndex)); n > 0 {
				t.Errorf("got %d indexes, want none", n)
			}
			x := index{key: string(home)}
			for i := range 20 {
				x.add(listed{id: identity{byte(i)}, vary: []string{strings.Repeat("x", maxIndex/20)}, expires: time.Now().Add(time.Hour)}, time.Now())
			}
			if _, ok := cache.readIndex(cache.encodeIndex(x), home, time.Now()); ok {
				t.Error("got an index that is too large, want none")
			}
		})
	})
	t.Run("it holds its limits", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			cache := open(t, newPlain())
			x := index{key: string(home)}
			now := time.Now()
			for i := range maxVariants + 1 {
				crowded := x.add(listed{id: identity{byte(i)}, vary: []string{"A"}, expires: now.Add(time.Duration(i+1) * time.Second)}, now)
				if want := i == maxVariants; (len(crowded) == 1) != want || want && crowded[0] != variantKey(identity{0}) {
					t.Errorf("variant %d: pushed out %q", i, crowded)
				}
			}
			if got, want := x.keep(now), (maxVariants+1)*time.Second; got != want {
				t.Errorf("got kept for %v, want %v", got, want)
			}
			got, ok := cache.readIndex(cache.encodeIndex(x), home, now)
			require.True(t, ok)
			require.Len(t, got.variants, len(x.variants))
			for i, v := range got.variants {
				if w := x.variants[i]; v.id != w.id || !v.expires.Equal(w.expires) || !slices.Equal(v.vary, w.vary) {
					t.Errorf("variant %d: got %v, want %v", i, v, w)
				}
			}
			if got, ok := cache.readIndex(cache.encodeIndex(x), home, now.Add(time.Hour)); !ok || len(got.variants) > 0 {
				t.Errorf("an hour later: got %d, %v, want none", len(got.variants), ok)
			}
		})
	})
}

func TestLies(t *testing.T) {
	// Whatever the store returns for a key, it is the response that was asked for, or nothing.
	t.Run("about values are found out", func(t *testing.T) {
		for name, lie := range map[string]func(s *shared, cache *Cache){
			"garbage for the index":    func(s *shared, t *Cache) { s.change(t.indexKey(home), []byte("garbage")) },
			"nothing for the index":    func(s *shared, t *Cache) { s.change(t.indexKey(home), nil) },
			"another URL's index":      func(s *shared, t *Cache) { s.change(t.indexKey(home), s.values[t.indexKey(other)]) },
			"half of the index":        func(s *shared, t *Cache) { v := s.values[t.indexKey(home)]; s.change(t.indexKey(home), v[:len(v)/2]) },
			"a response for the index": func(s *shared, t *Cache) { s.change(t.indexKey(home), s.values[idOf(s, t, home)]) },
			"garbage for the response": func(s *shared, t *Cache) { s.change(idOf(s, t, home), []byte("garbage")) },
			"another URL's response":   func(s *shared, t *Cache) { s.change(idOf(s, t, home), s.values[idOf(s, t, other)]) },
			"half of the response":     func(s *shared, t *Cache) { v := s.values[idOf(s, t, home)]; s.change(idOf(s, t, home), v[:len(v)/2]) },
			"a response with a turned bit": func(s *shared, t *Cache) {
				v := bytes.Clone(s.values[idOf(s, t, home)])
				v[len(v)-1] ^= 1
				s.change(idOf(s, t, home), v)
			},
			"an index for the response":       func(s *shared, t *Cache) { s.change(idOf(s, t, home), s.values[t.indexKey(home)]) },
			"a response from before its time": func(s *shared, t *Cache) { s.generations[t.pending.all.own], s.sequence = 9, 9 },
			"a sequence that was lost":        func(s *shared, t *Cache) { s.sequence = 0 },
			"a value beyond the limit":        func(s *shared, t *Cache) { t.config.MaxBytes = 10 },
			"too few generations":             func(s *shared, t *Cache) { t.generations = short{s} },
			"an index that says it is ours":   func(s *shared, t *Cache) { s.change(t.indexKey(home), forged(t, home, 65)) },
			"an index with one thing twice":   func(s *shared, t *Cache) { s.change(t.indexKey(home), forged(t, home, 2)) },
			"a response made without the key": func(s *shared, t *Cache) { s.change(idOf(s, t, home), forgedResponse(s, t)) },
			"an index made without the key": func(s *shared, t *Cache) {
				x, _ := t.readIndex(s.values[t.indexKey(home)], home, time.Now())
				own := t.sealer
				t.sealer = frame.NewSealer([]byte("another"))
				s.change(t.indexKey(home), t.encodeIndex(x))
				t.sealer = own
			},
		} {
			for _, key := range [][]byte{nil, []byte("the key of the application")} {
				if key == nil && name == "a response made without the key" {
					continue // the key is for that
				}
				lied(t, name, key, lie)
			}
		}
	})
	// The store returns another response of the same URL.
	t.Run("about variants are found out", func(t *testing.T) {
		accept := http.Header{"Accept": {"b"}}
		for name, other := range map[string]func(t *testing.T) *object.Object{
			"for other values":   func(t *testing.T) *object.Object { return responseFor(t, accept, "", "other", "Vary", "Accept") },
			"in another scope":   func(t *testing.T) *object.Object { return responseFor(t, nil, "scope", "other", "Vary", "Accept") },
			"with another Vary":  func(t *testing.T) *object.Object { return response(t, "other", "Vary", "Origin") },
			"that does not vary": func(t *testing.T) *object.Object { return response(t, "other") },
			"for other values of more": func(t *testing.T) *object.Object {
				return responseFor(t, accept, "", "other", "Vary", "Accept, Origin")
			},
		} {
			t.Run(name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					s := newShared()
					cache := open(t, s)
					put(t, cache, home, other(t))
					lie := s.values[s.keys(ofVariant)[0]] // the only one
					put(t, cache, home, response(t, "home", "Vary", "Accept"))
					wants(t, cache, home, "home", Found)
					x, _ := cache.readIndex(s.values[cache.indexKey(home)], home, time.Now())
					x.variants = x.variants[:1]
					s.change(cache.indexKey(home), cache.encodeIndex(x))
					s.change(variantKey(x.variants[0].id), lie)
					wants(t, cache, home, "", Absent)
				})
			})
		}
	})
	// The documentation says so.
	t.Run("are not found out without a key", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			cache := open(t, s)
			put(t, cache, home, response(t, "home"))
			s.change(idOf(s, cache, home), forgedResponse(s, cache))
			wants(t, cache, home, "home", Found)
		})
	})
}

// forgedResponse is a value for home that has all that a response needs, except the key.
func forgedResponse(s *shared, t *Cache) []byte {
	r, _ := t.codec.Decode(bytes.Clone(s.values[idOf(s, t, home)]), idOf(s, t, home), time.Now())
	value, _ := object.NewCodec(&options, frame.Sealer{}).Append(nil, idOf(s, t, home), r, time.Now())
	return value
}

func lied(t *testing.T, name string, key []byte, lie func(s *shared, cache *Cache)) {
	t.Helper()
	t.Run(fmt.Sprint(name, ", with a key: ", key != nil), func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := newShared()
			_, err := s.Bump(t.Context())
			require.NoError(t, err)
			cache := open(t, s, func(c *Config) { c.Key = key })
			wants(t, cache, home, "", Absent) // so that it knows where the sequence stands
			put(t, cache, home, response(t, "home"))
			put(t, cache, other, response(t, "other"))
			wants(t, cache, home, "home", Found)
			lie(s, cache)
			if r := cache.Lookup(t.Context(), home, nil, http.Header{}, nil, nil); r.Object != nil || r.Outcome == Found {
				t.Fatalf("got %q, want nothing", text(r.Object))
			}
			if st := cache.Stats(); st.Refused+st.Purged+st.Errors == 0 {
				t.Errorf("nothing was counted: %+v", st)
			}
		})
	})
}

type short struct{ *shared }

func (s short) Load(ctx context.Context, names ...string) ([]uint64, uint64, error) {
	got, now, err := s.shared.Load(ctx, names...)
	return got[:len(got)-min(1, len(got))], now, err
}

// idOf is the key of the only variant of a URL.
func idOf(s *shared, t *Cache, k []byte) string {
	x, _ := t.readIndex(s.values[t.indexKey(k)], k, time.Now())
	return variantKey(x.variants[0].id)
}

// forged is an index with n times the same entry.
func forged(t *Cache, k []byte, n int) []byte {
	x := index{key: string(k)}
	for range n {
		x.variants = append(x.variants, listed{id: t.variantID(k, nil, nil, nil, ""), expires: time.Now().Add(time.Hour)})
	}
	return t.encodeIndex(x)
}

func FuzzReadIndex(f *testing.F) {
	cache := New(Config{Store: newPlain(), Rules: &options})
	now := time.Date(2026, time.March, 4, 5, 6, 7, 0, time.UTC)
	x := index{key: string(home)}
	for i := range 3 {
		x.add(listed{id: identity{byte(i)}, vary: []string{"Accept", "Origin"}[:i%3], expires: now.Add(time.Hour)}, now)
		f.Add(cache.encodeIndex(x))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if len(value) >= 8 {
			copy(value, kind[:])
			cache.sealer.Seal(value, cache.indexKey(home)) // or nothing would get past the checksum
		}
		x, ok := cache.readIndex(value, home, now)
		if !ok {
			if len(x.variants) > 0 {
				t.Fatal("refused, and given all the same")
			}
			return
		}
		if len(x.variants) > maxVariants || x.keep(now) < 0 {
			t.Fatalf("got %d variants, kept for %v", len(x.variants), x.keep(now))
		}
		again, ok := cache.readIndex(cache.encodeIndex(x), home, now)
		if !ok || len(again.variants) != len(x.variants) {
			t.Fatalf("encoded again: got %d, %v, want %d", len(again.variants), ok, len(x.variants))
		}
	})
}
