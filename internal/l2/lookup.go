package l2

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/object"
)

// Outcome is what became of a Lookup.
type Outcome uint8

const (
	Absent      Outcome = iota // nothing is stored for this URL that could be used
	Mismatch                   // something is, for other values of the fields in Vary
	Found                      // here it is
	Unavailable                // the store was not asked, or did not answer in time
)

// Result is what a Lookup has found.
type Result struct {
	Outcome Outcome
	Object  *object.Object // if Found: sealed, and nobody else has it
	Tags    []string       // as they were given to Put
}

// Lookup returns the stored response for the primary key k in the given scope, for a request with the given header and what is known of its fields: one that fits by Vary, that today's rules would store, and that has not been purged since it began to be made.
// takes says whether a Form will do; nil takes any. Whether the request may use it is for Reuse to say. Lookup takes no longer than Config.Timeout, and no time at all while the breaker is open. It keeps nothing of what it is given.
//
// A purge that comes while Lookup runs counts. One that comes afterwards is the caller's: where it keeps the object, its own fence must hold from a point before the call, and be raised after that of the Cache: see Purge.
func (t *Cache) Lookup(ctx context.Context, k, scope []byte, header http.Header, fields *key.Fields, takes func(Representation) bool) Result {
	if !t.available() {
		t.stats.skipped.Add(1)
		return Result{Outcome: Unavailable}
	}
	began := t.marks.Now()
	asked := ctx
	ctx, cancel := context.WithTimeout(ctx, t.config.Timeout)
	defer cancel()
	result, err := t.lookup(ctx, k, scope, header, fields, takes, began)
	if !t.settle(asked, err) {
		return Result{Outcome: Unavailable}
	}
	if result.Outcome == Found {
		t.stats.hits.Add(1)
	} else {
		t.stats.misses.Add(1)
	}
	return result
}

// maxTries is how many values a Lookup reads. Lists of Vary that differ may fit the same request, and the newest of these may be outdated.
const maxTries = 2

func (t *Cache) lookup(ctx context.Context, k, scope []byte, header http.Header, fields *key.Fields, takes func(Representation) bool, began uint64) (Result, error) {
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
		if v.id != t.variantID(k, scope, v.vary, variant, v.form.What) || takes != nil && !takes(v.form) {
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
			continue // it had to make room
		}
		r, ok := t.decode(value, v.id, k, scope, v.vary, variant)
		if !ok {
			t.stats.refused.Add(1)
			continue
		}
		purged, err := t.purged(ctx, r, began)
		if err != nil {
			return Result{}, err
		}
		if purged {
			t.stats.purged.Add(1)
			continue
		}
		return Result{Outcome: Found, Object: r.Object, Tags: r.Tags}, nil
	}
	// A page is going to be made. Where the sequence stands is asked before that, so that its stamp need not be older than it is.
	return result, t.locate(ctx)
}

// decode returns the record in value, if it is what was asked for.
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
	type answer struct {
		value []byte
		found bool
	}
	a, err := call(t, ctx, slots, func(ctx context.Context) (answer, error) {
		value, found, err := t.store.Get(ctx, key)
		return answer{value, found}, err
	})
	return a.value, a.found, err
}
