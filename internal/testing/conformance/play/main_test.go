package main

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const cases = `[{"name": "G", "id": "g", "tests": [
	{"name": "N", "id": "not-cached", "kind": "check", "requests": [{}, {"expected_type": "not_cached"}]},
	{"name": "N", "id": "cached", "depends_on": ["not-cached"], "requests": [{}, {"expected_type": "cached"}]},
	{"name": "N", "id": "alone", "kind": "optimal", "requests": [{"response_status": [404, "No"]}]}]}]`

// freePort is an address without a listener.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func TestRun(t *testing.T) {
	t.Run("over TCP", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "cases.json")
		require.NoError(t, os.WriteFile(file, []byte(cases), 0o600))
		origin := freePort(t)
		proxy := httptest.NewServer(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: origin}))
		defer proxy.Close()
		defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()

		var out bytes.Buffer
		require.NoError(t, run(t.Context(), []string{"-cache", proxy.URL, "-listen", origin, "-cases", file}, &out))
		require.Equal(t, "required failed   cached: response 2 does not come from the cache\n"+
			"required: 0 of 1 passed, 1 failed, 0 without verdict\n"+
			"optimal: 1 of 1 passed, 0 failed, 0 without verdict\n"+
			"check: 1 of 1 passed, 0 failed, 0 without verdict\n", out.String())

		out.Reset()
		require.NoError(t, run(t.Context(), []string{"-cache", proxy.URL, "-listen", origin, "-cases", file, "-run", "alone"}, &out))
		require.Equal(t, "required: 0 of 0 passed, 0 failed, 0 without verdict\n"+
			"optimal: 1 of 1 passed, 0 failed, 0 without verdict\n"+
			"check: 0 of 0 passed, 0 failed, 0 without verdict\n", out.String())
	})
	t.Run("refuses wrong arguments", func(t *testing.T) {
		for name, tt := range map[string]struct {
			args []string
			want string
		}{
			"an unknown flag":     {[]string{"-speed"}, "speed"},
			"a cache with a path": {[]string{"-cache", "http://c/x"}, "want http://host:port"},
			"another scheme":      {[]string{"-cache", "ftp://c"}, "want http://host:port"},
			"no case file":        {[]string{"-cases", "/nowhere.json"}, "/nowhere.json"},
		} {
			t.Run(name, func(t *testing.T) {
				require.ErrorContains(t, run(t.Context(), tt.args, &bytes.Buffer{}), tt.want)
			})
		}
	})
}
