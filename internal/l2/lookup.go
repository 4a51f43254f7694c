package l2

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/object"
)

// Outcome is how a Lookup ended.
type Outcome uint8

const (
	Absent      Outcome = iota // nothing usable is stored for this URL
	Mismatch                   // something is stored, for other values of the fields in Vary
	Found                      // a response was found
	Unavailable                // the store was not asked, or did not answer in time
)

// Result is what a Lookup has found.
type Result struct {
	Outcome Outcome
	Object  *object.Object // if Found: sealed, and not shared with any other caller
	Tags    []string       // as they were given to Put
}

// Lookup returns the stored response for the primary key k in the given scope, for a request with
// the given header and what is known of its fields. The response fits by Vary, today's rules would
// store it, and it was not purged since it began to be rendered. takes says whether a
// Representation will do; nil takes any. Lookup does not say whether the request may use the
// response: Reuse does.
//
// Lookup takes no longer than Config.Timeout, and no time at all while the breaker is open. It
// keeps nothing of what it is given.
//
// It sees a purge that comes while it runs. A purge that comes afterwards is the caller's: if it
// keeps the object, its own generations must hold from a point before the call, and be bumped after
// those of the Cache: see Purge.
func (t *Cache) Lookup(ctx context.Context, k, scope []byte, header http.Header, fields *key.Fields, takes func(Representation) bool) Result {
	if !t.available() {
		t.stats.skipped.Add(1)
		return Result{Outcome: Unavailable}
	}
	gen := t.marks.Now()
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, t.config.Timeout)
	defer cancel()
	result, err := t.lookup(ctx, k, scope, header, fields, takes, gen)
	if !t.settle(caller, err) {
		return Result{Outcome: Unavailable}
	}
	if result.Outcome == Found {
		t.stats.hits.Add(1)
	} else {
		t.stats.misses.Add(1)
	}
	return result
}

// maxTries is how many values a Lookup reads. Several lists of Vary may fit the same request, and
// the newest of these may be outdated.
const maxTries = 2

func (t *Cache) lookup(ctx context.Context, k, scope []byte, header http.Header, fields *key.Fields, takes func(Representation) bool, gen uint64) (Result, error) {
	at := indexed(k, scope)
	value, found, err := t.get(ctx, t.calls.lookups, t.indexKey(at))
	if err != nil {
		return Result{}, err
	}
	now := time.Now()
	var x index
	if found {
		if x, found = t.readIndex(value, at, now); !found {
			t.stats.refused.Add(1)
		}
	}
	result := Result{}
	tries := 0
	var variant []byte
	for i, v := range x.variants {
		if i == 0 || !slices.Equal(v.vary, x.variants[i-1].vary) {
			variant = key.Values(variant[:0], v.vary, header, fields)
		}
		if v.id != t.variantID(k, scope, v.vary, variant, v.representation.What) || takes != nil && !takes(v.representation) {
			result.Outcome = Mismatch
			continue
		}
		if tries++; tries > maxTries {
			break
		}
		value, found, err := t.get(ctx, t.calls.lookups, variantKey(v.id))
		if err != nil {
			return Result{}, err
		}
		if !found {
			continue // the store has dropped it
		}
		r, ok := t.decode(value, v.id, k, scope, v.vary, variant)
		if !ok {
			t.stats.refused.Add(1)
			continue
		}
		purged, err := t.purged(ctx, r, gen)
		if err != nil {
			return Result{}, err
		}
		if purged {
			t.stats.purged.Add(1)
			continue
		}
		return Result{Outcome: Found, Object: r.Object, Tags: r.Tags}, nil
	}
	// A response will be made. Where the sequence stands is asked before that, so that its stamp
	// need not be older than it is.
	return result, t.locate(ctx)
}

// decode returns the record in value, if it is the one that was asked for.
func (t *Cache) decode(value []byte, id identity, k, scope []byte, vary []string, variant []byte) (*object.Record, bool) {
	if int64(len(value)) > t.config.MaxBytes {
		return nil, false
	}
	r, err := t.codec.Decode(value, variantKey(id), time.Now())
	if err != nil || r.Key != string(k) {
		return nil, false
	}
	s := r.Selector()
	return r, s.Scope == string(scope) && s.Variant == string(variant) && slices.Equal(s.Vary.Append(nil), vary)
}

// get asks the store for a value.
func (t *Cache) get(ctx context.Context, slots chan struct{}, key string) (value []byte, found bool, err error) {
	type reply struct {
		value []byte
		found bool
	}
	a, err := call(t, ctx, slots, func(ctx context.Context) (reply, error) {
		value, found, err := t.store.Get(ctx, key)
		return reply{value, found}, err
	})
	return a.value, a.found, err
}
