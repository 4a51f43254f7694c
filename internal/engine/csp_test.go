package engine_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestNonce(t *testing.T) {
	t.Run("pages with a nonce are not stored (CSP 3, 7.1)", pagesWithANonceAreNotStored)
	t.Run("hits under a nonce from outside are passed on", hitsUnderANonceFromOutsideArePassedOn)
	t.Run("a nonce outside of each request stores nothing, and is logged", aNonceOutsideOfEachRequestStoresNothingAndIsLogged)
	t.Run("waiters under a nonce of their own run alone", waitersUnderANonceOfTheirOwnRunAlone)
}

const policyField = "Content-Security-Policy"

// CSP 3, 7.1: a nonce is for one response. Inside the cache such a response is not stored.
func pagesWithANonceAreNotStored(t *testing.T) {
	for _, tt := range []struct {
		name   string
		header http.Header
		stored bool
	}{
		{"a hash", http.Header{policyField: {"script-src 'sha256-abc=' 'strict-dynamic'"}}, true},
		{"a nonce", http.Header{policyField: {"script-src 'nonce-abc'"}}, false},
		{"a nonce in a policy that only reports", http.Header{policyField + "-Report-Only": {"style-src 'NONCE-abc'"}}, false},
		{"a nonce in the second policy", http.Header{policyField: {"default-src 'self'", "img-src 'self', script-src 'self' 'nonce-abc'"}}, false},
		{"a nonce under a name that is spelled oddly", http.Header{"content-security-policy": {"script-src 'nonce-abc'"}}, false},
	} {
		edge, err := edgecache.New(edgecache.Config{})
		require.NoError(t, err)
		h := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for name, lines := range tt.header {
				w.Header()[name] = lines
			}
			edgecache.Public(w)
			_, _ = io.WriteString(w, "page")
		}))
		for range 2 {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, harness.Request("GET", "/"))
			hasReason := strings.HasSuffix(w.Header().Get("Cache-Status"), "detail=csp-nonce")
			require.Equal(t, !tt.stored, hasReason, "%s: %s", tt.name, w.Header().Get("Cache-Status"))
		}
		require.Equal(t, tt.stored, edge.Stats().Entries == 1, tt.name)
	}
}

// Middleware outside that puts a nonce into the policy tells it to the handler, which writes it
// into its page.
func hitsUnderANonceFromOutsideArePassedOn(t *testing.T) {
	var seen warnings
	var log bytes.Buffer
	runs := 0
	edge, err := edgecache.New(edgecache.Config{Observer: seen.observe, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("/{name}", func(w http.ResponseWriter, r *http.Request) {
		runs++
		switch r.PathValue("name") {
		case "own":
			w.Header().Set(policyField, "default-src 'self'")
		case "none":
			w.Header().Del(policyField)
		case "added":
			w.Header().Add(policyField, "default-src 'self'")
		}
		_, _ = io.WriteString(w, r.Header.Get("X-Nonce"))
	})
	cached := edge.Handler(mux)
	get := func(path, nonce string, header ...string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), harness.Request("GET", path, header...)
		if nonce != "" {
			w.Header().Set(policyField, "script-src 'nonce-"+nonce+"'")
			r.Header.Set("X-Nonce", nonce)
		}
		cached.ServeHTTP(w, r)
		return w
	}
	for _, path := range []string{"/page", "/added"} {
		before := runs
		require.Equal(t, "MISS", get(path, "").Header().Get("X-Cache"))
		require.Equal(t, "HIT", get(path, "").Header().Get("X-Cache"))
		for i := range 3 {
			w := get(path, fmt.Sprint(i))
			require.Equal(t, fmt.Sprint(i), w.Body.String(), w.Header())
			require.Equal(t, "script-src 'nonce-"+fmt.Sprint(i)+"'", w.Header()[policyField][0])
			require.Equal(t, "BYPASS", w.Header().Get("X-Cache"))
			require.Contains(t, w.Header().Get("Cache-Status"), "fwd=miss; detail=csp-nonce")
		}
		require.Equal(t, before+4, runs)
		require.Equal(t, "HIT", get(path, "").Header().Get("X-Cache"), "the stored page is still there")
	}
	require.EqualValues(t, 1, seen.count.Load(), "warned once for the route")
	require.ErrorContains(t, seen.last.Load().Err, "hashes")
	require.Equal(t, "/{name}", seen.last.Load().Pattern)
	require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log.String())

	// Where the handler replaces the policy, or takes it off, no nonce is sent, and hits are hits.
	for path, policy := range map[string]string{"/own": "default-src 'self'", "/none": ""} {
		for _, status := range []string{"MISS", "HIT", "HIT"} {
			w := get(path, "fresh")
			require.Equal(t, status, w.Header().Get("X-Cache"), path)
			require.Equal(t, policy, linesOf(w.Header(), policyField))
		}
	}
}

// With a nonce outside of every request nothing is stored, and the operator is told why.
func aNonceOutsideOfEachRequestStoresNothingAndIsLogged(t *testing.T) {
	var seen warnings
	edge, err := edgecache.New(edgecache.Config{Observer: seen.observe, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	cached := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Header.Get("X-Nonce")) }))
	for i := range 3 {
		w, r := httptest.NewRecorder(), harness.Request("GET", "/", "X-Nonce", fmt.Sprint(i))
		w.Header().Set(policyField, fmt.Sprintf("script-src 'nonce-%d'", i))
		cached.ServeHTTP(w, r)
		require.Equal(t, fmt.Sprint(i), w.Body.String())
	}
	require.Zero(t, edge.Stats().Entries)
	require.EqualValues(t, 1, seen.count.Load())
}

// A waiter under a nonce of its own does not get what is made without.
func waitersUnderANonceOfTheirOwnRunAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		cached := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-goOn
			_, _ = io.WriteString(w, "nonce "+r.Header.Get("X-Nonce"))
		}))
		bodies := make(chan string, 2)
		for _, nonce := range []string{"", "1"} {
			go func() {
				w, r := httptest.NewRecorder(), harness.Request("GET", "/")
				if nonce != "" {
					w.Header().Set(policyField, "script-src 'nonce-"+nonce+"'")
					r.Header.Set("X-Nonce", nonce)
				}
				cached.ServeHTTP(w, r)
				bodies <- w.Body.String()
			}()
			synctest.Wait()
		}
		close(goOn)
		require.ElementsMatch(t, []string{"nonce ", "nonce 1"}, []string{<-bodies, <-bodies})
	})
}
