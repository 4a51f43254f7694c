//go:build linux

package load

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type turns struct {
	requests []Request
	n        int
}

func (t *turns) Next() *Request {
	t.n++
	return &t.requests[t.n%len(t.requests)]
}

func TestRunAsksWellAndCountsWhatIsAnswered(t *testing.T) {
	long := "/" + strings.Repeat("x", 300)
	for _, protocol := range []Protocol{HTTP1, H2C} {
		t.Run(protocol.String(), func(t *testing.T) {
			var wrong atomic.Value
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Host != "bench.example" || r.UserAgent() != "bench" || r.Header.Get("Accept-Encoding") != "gzip" {
					wrong.Store(r.Host + " " + r.UserAgent())
				}
				switch r.URL.Path {
				case "/unmodified":
					if r.Header.Get("If-None-Match") != `"v1"` {
						wrong.Store("If-None-Match")
					}
					w.WriteHeader(http.StatusNotModified)
				case "/large":
					w.Header().Set("Content-Length", strconv.Itoa(1<<20))
					_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
				case long:
					w.Header().Set("Content-Length", "0")
				default:
					wrong.Store(r.Method + " " + r.RequestURI)
				}
			}))
			server.Config.Protocols = new(http.Protocols)
			server.Config.Protocols.SetHTTP1(true)
			server.Config.Protocols.SetUnencryptedHTTP2(true)
			server.Start()
			defer server.Close()

			streams := 1
			if protocol == H2C {
				streams = 4
			}
			began, ended := 0, 0
			result, err := Run(Plan{
				Addr: netip.MustParseAddrPort(server.Listener.Addr().String()), Host: "bench.example", Protocol: protocol, Conns: 4, Streams: streams,
				Warm: 20 * time.Millisecond, Measure: time.Second, // a busy machine may need it for 1 MiB
				Script: &turns{requests: []Request{
					{Target: []byte("/unmodified"), Name: "if-none-match", Value: `"v1"`},
					{Target: []byte("/large"), Kind: 1},
					{Target: []byte(long), Kind: 2},
				}},
				Begin: func() { began++ }, End: func() { ended++ },
			})
			require.NoError(t, err)
			require.NoError(t, result.Err)
			require.Nil(t, wrong.Load())
			require.Equal(t, []int{1, 1}, []int{began, ended})
			large := result.Answers[1].Count()
			require.NotZero(t, result.Answers[0].Count())
			require.NotZero(t, large)
			require.NotZero(t, result.Answers[2].Count())
			require.EqualValues(t, large<<20, result.Bytes)
			require.GreaterOrEqual(t, result.Elapsed, time.Second)
		})
	}
}

func TestRunReportsWhatGoesWrong(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "3")
		if r.URL.Path == "/gone" {
			w.WriteHeader(http.StatusNotFound)
		} else {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "no\n")
	}))
	defer server.Close()
	for target, want := range map[string]string{"/gone": "status 404", "/aborted": "EOF"} {
		result, err := Run(Plan{
			Addr: netip.MustParseAddrPort(server.Listener.Addr().String()), Host: "bench.example", Conns: 1, Streams: 1,
			Measure: 50 * time.Millisecond, Script: &turns{requests: []Request{{Target: []byte(target)}}},
			Begin: func() {}, End: func() {},
		})
		if err == nil { // else there were too many
			err = result.Err
		}
		require.ErrorContains(t, err, want)
	}
	_, err := Run(Plan{Addr: netip.MustParseAddrPort("192.0.2.1:80")})
	require.ErrorContains(t, err, "not a loopback address")
}

func TestParseHead(t *testing.T) {
	for _, c := range []struct {
		name, head   string
		status, size int
		ok           bool
	}{
		{"a length", "HTTP/1.1 200 OK\r\nContent-Length: 1024\r\nX: y\r\n", 200, 1024, true},
		{"a length in lower case, last", "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n", 200, 7, true},
		{"a 304 has no body, whatever it says", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1024\r\n", 304, 0, true},
		{"no length", "HTTP/1.1 200 OK\r\nX: y\r\n", 200, 0, false},
		{"no answer", "SSH-2.0-OpenSSH\r\n", 0, 0, false},
	} {
		status, size, err := parseHead([]byte(c.head))
		if status != c.status || size != c.size || (err == nil) != c.ok {
			t.Errorf("%s: got %d, %d, %v", c.name, status, size, err)
		}
	}
}

func TestHistogramIsRightToAThirtySecond(t *testing.T) {
	var h Histogram
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]time.Duration, 10_000)
	for i := range all {
		all[i] = time.Duration(r.ExpFloat64() * float64(time.Millisecond))
		h.Add(all[i])
	}
	slices.Sort(all)
	require.EqualValues(t, len(all), h.Count())
	for _, q := range []float64{.01, .5, .99, .999} {
		exact, got := all[int(q*float64(len(all)))-1], h.Quantile(q)
		if got < exact || got > exact+exact/32+1 {
			t.Errorf("quantile %v: got %v, exactly %v", q, got, exact)
		}
	}
}
