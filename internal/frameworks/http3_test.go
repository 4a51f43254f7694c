package frameworks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

func TestHTTP3(t *testing.T) {
	n := new(renders)
	mux := http.NewServeMux()
	mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
		n.page.Add(1)
		edgecache.MaxAge(w, time.Minute)
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, "page"+string(body))
	})
	// Only for its certificate.
	unused := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(unused.Close)
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http3.Server{
		Handler:   newEdge(t).Handler(mux),
		TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: unused.TLS.Certificates}),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(conn) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		<-served
		_ = conn.Close()
	})

	roots := x509.NewCertPool()
	roots.AddCert(unused.Certificate())
	transport := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"}}
	t.Cleanup(func() { _ = transport.Close() })
	client := &http.Client{Transport: transport}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	url := "https://" + conn.LocalAddr().String() + "/page"

	get := func(body io.Reader) answer {
		r, err := http.NewRequestWithContext(ctx, "GET", url, body)
		require.NoError(t, err)
		res, err := client.Do(r)
		require.NoError(t, err)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return answer{res, string(text)}
	}
	first, second := get(nil), get(nil)
	assert.Equal(t, "MISS HIT", first.word()+" "+second.word())
	assert.Equal(t, "page", second.body)
	assert.EqualValues(t, 1, n.page.Load())

	// There is no *http.Server that could say whether a router stands outside.
	head := func(path string) answer {
		res, err := client.Head(strings.TrimSuffix(url, "/page") + path)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return answer{res, ""}
	}
	assert.Equal(t, "HIT", head("/page").word())
	for range 2 {
		other := head("/page?other")
		assert.Equal(t, "MISS", other.word())
		assert.Contains(t, other.Header.Get("Cache-Status"), "detail=head")
	}

	// A pipe has no length either, but there is something in it.
	in, out := io.Pipe()
	go func() {
		_, _ = io.WriteString(out, " with a body")
		_ = out.Close()
	}()
	with := get(in)
	assert.Equal(t, "page with a body", with.body)
	assert.Equal(t, "DYNAMIC", with.word())
	assert.Contains(t, with.Header.Get("Cache-Status"), "detail=request-body")
}
