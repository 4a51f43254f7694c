package edgecache_test

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/conformance"
)

var update = flag.Bool("update", false, "write docs/conformance.md")

const (
	conformancePage = "docs/conformance.md"
	rfcLiteral      = "RFC-literal"
	byDefault       = "default"
)

// Why a case of the suite is lost, on purpose or of necessity. A loss that is not here fails the
// test, and so does an entry that passes.
const (
	languageOrder = "A cache cannot know how the application weighs languages: one order that it takes for another shows a page in the wrong one"
	brokenPart    = "Parts are not stored: this one declares bytes 4-9, which are six, and holds five (RFC 9110, 14.4)"
	personal      = "What is passed on for a request with Authorization and does not say public is marked private, and the suite wants its Cache-Control as it came; InsecureShareCookies leaves it alone"
	cookies       = "Cookies are credentials here; InsecureShareCookies and InsecureStoreSetCookie are the way round"
)

var losses = []conformance.Loss{
	{ID: "conditional-lm-fresh-no-lm", Reason: "Without Last-Modified there is no date to compare If-Modified-Since with but Date and the time of reception, which say nothing about the page (RFC 9111, 4.3.2)"},
	{ID: "vary-normalise-lang-order", Reason: languageOrder},
	{ID: "vary-normalise-lang-select", Reason: languageOrder},
	{ID: "partial-store-partial-reuse-partial", Reason: brokenPart},
	{ID: "partial-store-partial-reuse-partial-absent", Reason: brokenPart},
	{ID: "partial-store-partial-reuse-partial-suffix", Reason: brokenPart},
	{ID: "partial-store-partial-complete", Reason: "Parts are not stored: without a strong validator the rest cannot be known to be of the same version (RFC 9111, 3.4)"},
	{ID: "headers-store-Content-Length", Arrangement: conformance.Direct, Reason: "The handler writes more than its Content-Length, and net/http cuts the connection, cache or not"},
	{ID: "headers-store-Transfer-Encoding", Arrangement: conformance.Proxy, Reason: "http.Transport refuses a message with an unknown Transfer-Encoding, rightly (RFC 9112, 6.1)"},
	{ID: "headers-store-Set-Cookie", Config: byDefault, Reason: cookies},
	{ID: "headers-store-Set-Cookie2", Config: byDefault, Reason: cookies},
	{ID: "other-set-cookie", Config: byDefault, Reason: cookies},
	{ID: "other-cookie", Config: byDefault, Reason: cookies},
	{ID: "other-authorization", Config: byDefault, Reason: personal},
	{ID: "other-authorization-public", Config: byDefault, Reason: "It depends on other-authorization"},
	{ID: "other-authorization-smaxage", Config: byDefault, Reason: "It depends on other-authorization"},
	{ID: "other-authorization-must-revalidate", Config: byDefault, Reason: "must-revalidate is written to be stricter, so it shares nothing here; InsecureShareCookies restores RFC 9111, 3.5"},
}

// TestConformanceReport plays http-tests/cache-tests and holds docs/conformance.md to the result.
func TestConformanceReport(t *testing.T) {
	path, err := conformance.CaseFile("..")
	if err != nil {
		t.Skip(err)
	}
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	suite, err := conformance.Load(data)
	require.NoError(t, err)

	runs := []conformance.Run{
		play(t, suite, rfcLiteral, conformance.Direct),
		play(t, suite, rfcLiteral, conformance.Proxy),
		play(t, suite, byDefault, conformance.Direct),
		play(t, suite, byDefault, conformance.Proxy),
	}
	for _, c := range conformance.Complaints(runs, losses) {
		t.Error(c)
	}

	source := fmt.Sprintf("%x", sha256.Sum256(data))
	got := conformance.Report(runs, losses, source)
	if *update {
		require.NoError(t, os.WriteFile(conformancePage, []byte(got), 0o644))
	}
	page, err := os.ReadFile(conformancePage)
	require.NoError(t, err)
	if !strings.Contains(string(page), source) {
		t.Skipf("%s was made from another case file than %s; -update writes it again", conformancePage, path)
	}
	if string(page) != got {
		t.Errorf("%s is out of date: run go test -run TestConformanceReport -update . and read the difference", conformancePage)
	}
}

// play plays suite in a bubble, each case against a cache of its own. Its clock starts in 2000, and
// two-digit years mean something else there: it is wound on to 2027 first.
func play(t *testing.T, suite *conformance.Suite, config string, a conformance.Arrangement) conformance.Run {
	t.Helper()
	cfg := edgecache.Config{ExplicitOnly: true}
	if config == rfcLiteral {
		cfg.HonorRequestDirectives, cfg.InsecureShareCookies, cfg.InsecureStoreSetCookie = true, true, true
	}
	run := conformance.Run{Config: config, Arrangement: a}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(27 * 8766 * time.Hour)
		run.Results = suite.PlayApart(t.Context(), func() *conformance.Bench {
			edge, err := edgecache.New(cfg)
			if err != nil {
				panic(err) // not in the test's goroutine
			}
			return conformance.NewBench(a, edge.Handler, conformance.Options{
				ProxyError: func(w http.ResponseWriter, _ *http.Request, _ error) {
					edgecache.OriginError(w)
					w.WriteHeader(http.StatusBadGateway)
				},
			})
		})
	})
	return run
}
