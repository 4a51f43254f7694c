package edgecache_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

// concurrently plays batches on a server that many clients use at once.
func concurrently(t *testing.T, normal int, adapt func(*op), start func(http.Handler) *httptest.Server, client func(*httptest.Server) (sender, func())) {
	first, n := harness.Batches(t, normal, 5*normal)
	for seed := first; seed < first+n; seed++ {
		ops := batchOf(seed)
		for _, o := range ops {
			adapt(o)
		}
		trial := newTrial(seed, ops, realCache)
		server := start(trial.handler)
		err := playTogether(ops, trial, func() (sender, func()) { return client(server) })
		server.Close()
		if err != nil {
			t.Fatalf("EDGECACHE_SEED=%d: %v", seed, err)
		}
	}
	t.Logf("%d requests from seed %d", n*batchSize, first)
}

func quiet(s *httptest.Server) *httptest.Server {
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // the model's handlers panic
	return s
}

func TestModelTogetherHTTP1(t *testing.T) {
	concurrently(t, batches/4, func(o *op) { o.tls, o.cert = false, 0 },
		func(h http.Handler) *httptest.Server {
			s := quiet(httptest.NewUnstartedServer(h))
			s.Start()
			return s
		},
		func(s *httptest.Server) (sender, func()) {
			c := &plainClient{address: s.Listener.Addr().String()}
			return c.send, c.close
		})
}

// plainClient speaks HTTP/1.1 byte by byte, so that no library tidies its requests.
type plainClient struct {
	address string
	conn    net.Conn
	reader  *bufio.Reader
}

func (c *plainClient) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *plainClient) send(q *op, _ *http.Request) *answer {
	a := &answer{header: http.Header{}, broken: true}
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.address)
		if err != nil {
			return a
		}
		c.conn, c.reader = conn, bufio.NewReader(conn)
	}
	if _, err := io.WriteString(c.conn, q.text()); err != nil {
		c.close()
		return a
	}
	r, err := http.ReadResponse(c.reader, &http.Request{Method: q.method})
	if err != nil {
		c.close()
		return a
	}
	a.status, a.header = r.StatusCode, r.Header
	a.body, err = io.ReadAll(r.Body)
	if a.broken = err != nil; err != nil || r.Close || q.body != "" {
		c.close()
	}
	return a
}

func TestModelTogetherHTTP2(t *testing.T) {
	certificates := []tls.Certificate{{}, selfSigned(t, 1), selfSigned(t, 2)}
	concurrently(t, batches/12,
		func(o *op) {
			o.tls, o.absolute = true, false
			o.target = "/" + strings.TrimLeft(o.target, "/") // a :path that begins with two slashes is more than net/http sends
		},
		func(h http.Handler) *httptest.Server {
			s := quiet(httptest.NewUnstartedServer(h))
			s.EnableHTTP2 = true
			s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
			s.StartTLS()
			return s
		},
		func(s *httptest.Server) (sender, func()) {
			transports := make([]*http.Transport, len(certificates))
			for i := range certificates {
				transports[i] = transportTo(s, certificates[i])
			}
			return func(q *op, _ *http.Request) *answer { return overHTTP2(transports[q.cert], q) }, func() {
				for _, tr := range transports {
					tr.CloseIdleConnections()
				}
			}
		})
}

func transportTo(s *httptest.Server, certificate tls.Certificate) *http.Transport {
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "a.test", NextProtos: []string{"h2"}}
	if certificate.Certificate != nil {
		config.Certificates = []tls.Certificate{certificate}
	}
	return &http.Transport{
		ForceAttemptHTTP2: true, DisableCompression: true,
		DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			d := tls.Dialer{Config: config}
			return d.DialContext(ctx, network, s.Listener.Addr().String())
		},
	}
}

func overHTTP2(transport *http.Transport, q *op) *answer {
	a := &answer{header: http.Header{}, broken: true}
	r := &http.Request{
		Method: q.method, Host: q.host, URL: &url.URL{Scheme: "https", Host: q.host, Opaque: q.target},
		Header: http.Header{opField: {fmt.Sprint(q.id)}}, ContentLength: int64(len(q.body)), Body: http.NoBody,
	}
	if q.body != "" {
		r.Body = io.NopCloser(strings.NewReader(q.body))
	}
	for _, f := range q.header {
		r.Header.Add(f[0], f[1])
	}
	if _, set := r.Header["User-Agent"]; !set {
		r.Header["User-Agent"] = nil
	}
	w, err := transport.RoundTrip(r)
	if err != nil {
		return a
	}
	defer w.Body.Close()
	a.status, a.header = w.StatusCode, w.Header
	a.body, err = io.ReadAll(w.Body)
	a.broken = err != nil
	return a
}

func selfSigned(t *testing.T, serial int64) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
