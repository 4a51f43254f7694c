package harness

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

// SiteURL is where requests without a host of their own go.
const SiteURL = "http://example.com"

// Shop is a cache whose handler answers at once: with what Say says, and a number that grows with
// each run. Its requests name whole URLs, as purges do.
type Shop struct {
	Edge    *edgecache.Edge
	Handler http.Handler // the cache around the handler
	Say     func(http.ResponseWriter, *http.Request)
	Runs    int
}

// NewShop puts a cache in front of a handler.
func NewShop(t *testing.T, say func(http.ResponseWriter, *http.Request)) *Shop {
	t.Helper()
	edge, err := edgecache.New(edgecache.Config{HonorRequestDirectives: true}) // see Has
	require.NoError(t, err)
	s := &Shop{Edge: edge, Say: say}
	s.Handler = edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Runs++
		if s.Say != nil {
			s.Say(w, r)
		}
		fmt.Fprintf(w, "run %d", s.Runs)
	}))
	return s
}

// Ask sends a request as a server would get it. url is "https://host/target"; the target stays as
// it is spelled.
func (s *Shop) Ask(method, url string, header ...string) *http.Response {
	scheme, rest, _ := strings.Cut(url, "://")
	end := strings.IndexAny(rest, "/?")
	r := httptest.NewRequest(method, "/", nil)
	r.Host = rest[:end]
	if target := rest[end:]; target != "/" {
		parsed := httptest.NewRequest(method, strings.ReplaceAll(target, `"`, "%22"), nil)
		parsed.Host, parsed.RequestURI = r.Host, target
		r = parsed
	}
	if scheme == "https" {
		r.TLS = &tls.ConnectionState{ServerName: strings.ToLower(strings.TrimSuffix(strings.Split(r.Host, ":")[0], "."))}
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler.ServeHTTP(w, r)
	return w.Result()
}

// Get sends a GET.
func (s *Shop) Get(url string, header ...string) *http.Response { return s.Ask("GET", url, header...) }

// Has reports whether a request is answered without the handler. It stores nothing.
func (s *Shop) Has(url string, header ...string) bool {
	r := s.Get(url, append([]string{"Cache-Control", "only-if-cached"}, header...)...)
	defer r.Body.Close()
	return r.StatusCode != http.StatusGatewayTimeout
}

// Acts tells a request that changes something, because it has the field Act, from those that look.
func Acts(r *http.Request) bool { return r.Header.Get("Act") != "" }

// Purger is what hard and soft purges have in common.
type Purger interface {
	Purge(ctx context.Context, urls ...string) (int, error)
	PurgeTags(ctx context.Context, tags ...string) (int, error)
	PurgePrefix(ctx context.Context, prefix string) (int, error)
	PurgeAll(ctx context.Context) (int, error)
}

// PurgerOf is the cache itself, or its soft purges.
func PurgerOf(e *edgecache.Edge, soft bool) Purger {
	if soft {
		return e.Soft()
	}
	return e
}
