package conformance

import (
	"context"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// windClock takes a bubble from 2000 to 2027, so that two-digit years mean what they mean today.
func windClock() { time.Sleep(27 * 8766 * time.Hour) }

// playAll plays suite against middleware in a bubble of its own.
func playAll(t *testing.T, suite *Suite, a Arrangement, middleware func(http.Handler) http.Handler) (results *Results) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		windClock()
		results = suite.PlayApart(t.Context(), func() *Bench { return NewBench(a, middleware, Options{}) })
	})
	return results
}

// miniature is a case file of our own in which each naive cache loses something.
const miniature = `[{"name": "Miniature", "id": "mini", "description": "d", "spec_anchors": ["a"], "tests": [
	{"name": "n", "id": "none", "kind": "check", "browser_skip": true, "requests": [
		{"setup": true, "pause_after": true}, {"expected_type": "not_cached"}]},
	{"name": "n", "id": "fresh", "kind": "optimal", "depends_on": ["none"], "spec_anchors": ["a"], "requests": [
		{"response_headers": [["Cache-Control", "max-age=3600"]], "setup": true, "pause_after": true},
		{"expected_type": "cached"}]},
	{"name": "n", "id": "stale", "depends_on": ["fresh"], "requests": [
		{"response_headers": [["Cache-Control", "max-age=2"], ["Date", 0]], "setup": true, "pause_after": true},
		{"expected_type": "not_cached"}]},
	{"name": "n", "id": "chain", "depends_on": ["stale"], "requests": [{}]},
	{"name": "n", "id": "no-store", "kind": "required", "requests": [
		{"response_headers": [["Cache-Control", "no-store"]], "setup": true}, {"expected_type": "not_cached"}]},
	{"name": "n", "id": "validate", "kind": "optimal", "requests": [
		{"response_headers": [["Cache-Control", "max-age=2"], ["ETag", "\"a\u00fc\""], ["X", "1"]], "setup": true, "pause_after": true},
		{"response_headers": [["X", "2", true]], "expected_type": "etag_validated"}]},
	{"name": "n", "id": "header", "requests": [
		{"response_headers": [["A", "1"], ["A", "2"], ["B", "3", false]],
		 "expected_response_headers": ["b", ["B", "3"], ["A", "=", "a"], ["Server-Now", ">", 1]],
		 "expected_response_headers_missing": ["C", ["B", "4"]]}]},
	{"name": "n", "id": "conditions", "requests": [
		{"response_headers": [["Last-Modified", -3000]], "setup": true, "pause_after": true},
		{"request_headers": [["If-Modified-Since", -3000]], "magic_ims": true, "expected_type": "lm_validated", "expected_status": 304,
		 "expected_method": "GET", "expected_request_headers": ["Test-ID", ["Req-Num", "2"]], "expected_request_headers_missing": ["D", ["Test-ID", "x"]]}]},
	{"name": "n", "id": "location", "requests": [
		{"request_method": "POST", "request_body": "abc", "filename": "f", "query_arg": "a=b", "magic_locations": true, "redirect": "manual",
		 "response_status": [303, "See Other"], "response_headers": [["Location", "there"], ["Content-Location", ""]]}]},
	{"name": "n", "id": "early", "requests": [
		{"interim_responses": [[102], [103, [["Link", "</a>"]]]], "expected_interim_responses": [[102], [103, [["link", "</a>"]]]],
		 "expected_response_headers_missing": ["Link"], "response_pause": 2, "response_body": "slow"}]},
	{"name": "n", "id": "cut", "kind": "check", "requests": [{"disconnect": true, "expected_status": null, "check_body": false}]}
]}]`

func TestPlay(t *testing.T) {
	t.Run("judges naive caches", func(t *testing.T) {
		suite, err := Load([]byte(miniature))
		require.NoError(t, err)
		none := map[string]Verdict{
			"none": Passed, "fresh": Failed, "stale": Blocked, "chain": Blocked, "no-store": Passed, "validate": Failed,
			"header": Passed, "conditions": Failed, "location": Passed, "early": Passed, "cut": Failed,
		}
		with := func(changes map[string]Verdict) map[string]Verdict {
			all := make(map[string]Verdict)
			for id, v := range none {
				all[id] = v
			}
			for id, v := range changes {
				all[id] = v
			}
			return all
		}
		tests := []struct {
			name       string
			middleware func(http.Handler) http.Handler
			want       map[string]Verdict
		}{
			{
				"no cache at all reuses nothing, forwards conditions and hides nothing", through,
				with(map[string]Verdict{"conditions": Passed}),
			}, {
				"a cache that keeps everything for ever reuses what it may not", naive(forever),
				with(map[string]Verdict{"none": Failed, "fresh": Blocked, "no-store": Failed, "early": Failed}),
			}, {
				"a cache that obeys max-age and never validates", naive(maxAge),
				with(map[string]Verdict{"fresh": Passed, "stale": Passed, "chain": Passed, "conditions": Passed, "early": Failed}),
			}, {
				"a middleware that drops a field of the origin makes the case void", altering(func(h http.Header) { h.Del("A") }),
				with(map[string]Verdict{"header": Failed, "conditions": Passed, "early": Failed}),
			}, {
				"a middleware that joins the first of two lines and loses the second", altering(func(h http.Header) { h["A"] = h["A"][:min(1, len(h["A"]))] }),
				with(map[string]Verdict{"header": Void, "conditions": Passed, "early": Failed}),
			}, {
				"a middleware that adds a field which must be missing", altering(func(h http.Header) { h.Set("C", "1") }),
				with(map[string]Verdict{"header": Failed, "conditions": Passed, "early": Failed}),
			}, {
				"requests that reach the origin twice prove nothing", twice,
				with(map[string]Verdict{
					"none": Void, "fresh": Blocked, "no-store": Void, "validate": Void, "header": Void,
					"conditions": Void, "early": Void,
				}),
			},
		}
		for _, arrangement := range []Arrangement{Direct, Proxy} {
			for _, tt := range tests {
				t.Run(string(arrangement)+"/"+tt.name, func(t *testing.T) {
					results := playAll(t, suite, arrangement, tt.middleware)
					for _, o := range results.Outcomes {
						if o.Verdict != tt.want[o.Case.ID] {
							t.Errorf("%s: got %v (%s), want %v", o.Case.ID, o.Verdict, o.Reason, tt.want[o.Case.ID])
						}
						if (o.Verdict == Passed) != (o.Reason == "") {
							t.Errorf("%s: %v with the reason %q", o.Case.ID, o.Verdict, o.Reason)
						}
					}
				})
			}
		}
	})
	t.Run("explains losses", func(t *testing.T) {
		suite, err := Load([]byte(miniature))
		require.NoError(t, err)
		results := playAll(t, suite, Proxy, naive(forever))
		for id, want := range map[string]string{
			"none":     "response 2 comes from the cache",
			"fresh":    "depends on none",
			"chain":    "depends on stale",
			"validate": "request 2 did not reach the origin",
			"cut":      "request 1 got no response: EOF",
		} {
			o, ok := results.Of(id)
			require.True(t, ok, id)
			if o.Reason != want {
				t.Errorf("%s: got the reason %q, want %q", id, o.Reason, want)
			}
		}
		if got, want := results.Tally(Required), (Tally{Passed: 2, Failed: 3, NoVerdict: 2}); got != want {
			t.Errorf("required: got %+v, want %+v", got, want)
		}
		_, ok := results.Of("no such case")
		require.False(t, ok)
	})
	// Play and PlayApart differ only in what the cases share.
	t.Run("on one bench", func(t *testing.T) {
		suite, err := Load([]byte(miniature))
		require.NoError(t, err)
		apart := playAll(t, suite, Proxy, naive(maxAge))
		for _, parallel := range []int{0, 3, 100} {
			synctest.Test(t, func(t *testing.T) {
				windClock()
				b := NewBench(Proxy, naive(maxAge), Options{})
				defer b.Close()
				results := suite.Play(context.Background(), b.Origin, b.Client, parallel)
				require.Equal(t, apart.Outcomes, results.Outcomes)
			})
		}
	})
	t.Run("two runs read the same", func(t *testing.T) {
		suite, err := Load([]byte(miniature))
		require.NoError(t, err)
		spoil := altering(func(h http.Header) { h.Set("A", h.Get("Server-Base-Url")) })
		first, second := playAll(t, suite, Direct, spoil), playAll(t, suite, Direct, spoil)
		require.Equal(t, first.Outcomes, second.Outcomes, "a reason with the random token in it would differ")
		o, _ := first.Of("header")
		require.Contains(t, o.Reason, "/test/{token}")
	})
	// The whole public suite, when it is at hand, against caches whose scores are known from their
	// code.
	t.Run("the whole suite against naive caches", func(t *testing.T) {
		path, err := CaseFile("../../../..")
		if err != nil {
			t.Skip(err)
		}
		suite, err := LoadFile(path)
		require.NoError(t, err)
		for _, arrangement := range []Arrangement{Direct, Proxy} {
			results := playAll(t, suite, arrangement, through)
			for _, o := range results.Outcomes {
				if o.Case.Kind == Optimal && o.Verdict == Passed && o.Case.Requests[len(o.Case.Requests)-1].ExpectType == "cached" {
					t.Errorf("%s: %s passed without a cache", arrangement, o.Case.ID)
				}
			}
			results = playAll(t, suite, arrangement, naive(forever))
			if got := results.Tally(Required).Passed; got != 0 {
				t.Errorf("%s: a cache that keeps everything for ever passed %d required cases", arrangement, got)
			}
		}
	})
	t.Run("the case file", func(t *testing.T) {
		t.Run("the environment names the file", func(t *testing.T) {
			t.Setenv("EDGECACHE_CACHE_TESTS", "/somewhere/cases.json")
			path, err := CaseFile(t.TempDir())
			require.NoError(t, err)
			require.Equal(t, "/somewhere/cases.json", path)
		})
		t.Run("else it lies beside the checkout", func(t *testing.T) {
			t.Setenv("EDGECACHE_CACHE_TESTS", "")
			dir := t.TempDir()
			require.NoError(t, os.MkdirAll(dir+"/shared/cache-tests", 0o755))
			require.NoError(t, os.WriteFile(dir+"/shared/cache-tests/tests.json", []byte("[]"), 0o644))
			path, err := CaseFile(dir)
			require.NoError(t, err)
			require.Equal(t, dir+"/shared/cache-tests/tests.json", path)
		})
		t.Run("else the message says how to get it", func(t *testing.T) {
			t.Setenv("EDGECACHE_CACHE_TESTS", "")
			_, err := CaseFile(t.TempDir())
			require.ErrorContains(t, err, "npm run export")
		})
	})
}
