package harness

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// AcceptEncoding is what browsers send.
const AcceptEncoding = "gzip, deflate, br, zstd"

// Sink is a client that takes everything and keeps nothing, so that only the handler's work is
// measured.
type Sink struct {
	Fields http.Header
	Status int
	Size   int
}

// NewSink makes a Sink with room for a header.
func NewSink() *Sink { return &Sink{Fields: make(http.Header, 16)} }

// Header implements http.ResponseWriter.
func (s *Sink) Header() http.Header { return s.Fields }

// WriteHeader implements http.ResponseWriter.
func (s *Sink) WriteHeader(status int) { s.Status = status }

func (s *Sink) Write(p []byte) (int, error) {
	s.Size += len(p)
	return len(p), nil
}

// Reset makes s as good as new.
func (s *Sink) Reset() { clear(s.Fields); s.Status, s.Size = 0, 0 }

// Page is a handler of a page of HTML that is good for an hour.
func Page(body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "max-age=3600")
		_, _ = w.Write(body)
	})
}

// BrowserRequest is a GET with the header that a browser sends.
func BrowserRequest(target string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.RequestURI = r.URL.RequestURI()
	r.URL.Scheme, r.URL.Host = "", ""
	for name, value := range map[string]string{
		"User-Agent":                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
		"Accept":                    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
		"Accept-Encoding":           AcceptEncoding,
		"Accept-Language":           "en-GB,en;q=0.9,de;q=0.8",
		"Cookie":                    "_ga=GA1.1.1.1; _gid=GA1.1.2.2",
		"Sec-Fetch-Mode":            "navigate",
		"Sec-Fetch-Site":            "none",
		"Upgrade-Insecure-Requests": "1",
		"Referer":                   "https://example.com/",
	} {
		r.Header.Set(name, value)
	}
	return r
}

// Cost is what one run of f allocates, without the rest of the process, in numbers and in bytes.
func Cost(f func()) (allocs, size float64) {
	const runs = 1000
	f()
	allocs = testing.AllocsPerRun(runs, f)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return allocs, float64(after.TotalAlloc-before.TotalAlloc) / runs
}

// Scaled is short in CI and full in a long run (EDGECACHE_LONG=1).
func Scaled(short, full int) int {
	if os.Getenv("EDGECACHE_LONG") != "" {
		return full
	}
	return short
}

// Batches is how many batches of random choices a test plays, and from which seed on.
// EDGECACHE_SEED names one seed, which is played alone.
func Batches(t *testing.T, normal, long int) (first, n uint64) {
	if text := os.Getenv("EDGECACHE_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "EDGECACHE_SEED")
		return seed, 1
	}
	n = uint64(normal)
	if os.Getenv("EDGECACHE_LONG") != "" {
		n = uint64(long)
	} else if testing.Short() {
		n /= 10
	}
	return uint64(time.Now().UnixNano()) % 1e12, n
}

// Dice makes random choices, the same for the same seed.
type Dice struct{ *rand.Rand }

// NewDice makes the dice of a seed.
func NewDice(seed uint64) Dice { return Dice{rand.New(rand.NewPCG(seed, 9111))} }

// OneIn is true once in n times.
func (d Dice) OneIn(n int) bool { return d.IntN(n) == 0 }

// Pick chooses one of from.
func Pick[T any](d Dice, from ...T) T { return from[d.IntN(len(from))] }
