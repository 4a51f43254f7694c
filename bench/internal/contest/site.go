//go:build linux

// Package contest measures servers side by side: the bare handler, edgecache in front of it, and what else could stand there.
package contest

import (
	"bytes"
	"math"
	"math/rand/v2"
	"net/http"
	"sort"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/bench/internal/load"
)

const (
	host      = "bench.example"
	tag       = `"v1"`
	mixedURLs = 100_000
	mixedSkew = .9
	mixedSeed = 1

	// budget is what every cache may keep, in bytes.
	budget = 64 << 20
)

// Load is one kind of work: what the site makes, and what clients ask for.
type Load struct {
	Name  string
	Title string
	size  int           // of every page, in bytes; 0: it depends on the URL
	delay time.Duration // of the handler
	kinds int           // of requests that are told apart; kind 0 is the one whose latency is shown
	warm  time.Duration // before the first round, to fill the caches
	peers func(Contestant) bool
	next  func(*script) *load.Request
}

// Loads in the order of the tables.
func Loads() []Load {
	conditional := func(c Contestant) bool { return c.Conditions }
	return []Load{
		{Name: "hit-1k", Title: "hit, 1 KiB", size: 1 << 10, next: same},
		{Name: "hit-64k", Title: "hit, 64 KiB", size: 64 << 10, next: same},
		{Name: "hit-1m", Title: "hit, 1 MiB", size: 1 << 20, next: same},
		{Name: "304", Title: "If-None-Match, 304", size: 1 << 10, peers: conditional, next: unmodified},
		{Name: "miss", Title: "miss, 1 KiB, handler of 1 ms", size: 1 << 10, delay: time.Millisecond, warm: 2 * time.Second, next: unique},
		{Name: "mixed", Title: "Zipf .9 over 100 000 URLs, 1 % purges, handler of 1 ms", delay: time.Millisecond, kinds: 2, warm: 5 * time.Second, next: mixed},
		{Name: "slow", Title: "hit, 1 KiB, while 5 % miss a handler of 50 ms", size: 1 << 10, delay: 50 * time.Millisecond, kinds: 2, next: slow},
	}
}

// script makes the requests of one contestant under one load.
type script struct {
	load    Load
	of      Contestant
	request load.Request
	buf     []byte
	count   uint64
	random  *rand.Rand
	ranks   []int32
	at      int
}

func newScript(l Load, c Contestant) *script {
	s := &script{load: l, of: c, random: rand.New(rand.NewPCG(mixedSeed, 2)), count: uint64(time.Now().UnixNano())}
	if l.Name == "mixed" {
		s.ranks = zipf(s.random, mixedSkew, mixedURLs, 1<<20)
	}
	return s
}

func (s *script) Next() *load.Request { return s.load.next(s) }

var page = []byte("/page")

func same(s *script) *load.Request {
	s.request = load.Request{Target: page}
	return &s.request
}

func unmodified(s *script) *load.Request {
	s.request = load.Request{Target: page, Name: "if-none-match", Value: tag}
	return &s.request
}

func unique(s *script) *load.Request {
	s.count++
	s.buf = strconv.AppendUint(append(s.buf[:0], "/made?"...), s.count, 10)
	s.request = load.Request{Target: s.buf}
	return &s.request
}

func mixed(s *script) *load.Request {
	s.at = (s.at + 1) & (len(s.ranks) - 1)
	s.buf = strconv.AppendInt(append(s.buf[:0], "/mixed/"...), int64(s.ranks[s.at]), 10)
	s.request = load.Request{Target: s.buf}
	if s.of.Purge != nil && s.random.IntN(100) == 0 {
		s.of.Purge(&s.request)
		s.request.Kind = 1
	}
	return &s.request
}

func slow(s *script) *load.Request {
	if s.random.IntN(20) == 0 {
		r := unique(s)
		r.Kind = 1
		return r
	}
	return same(s)
}

// zipf returns n ranks in [0, urls), the length a power of two.
func zipf(r *rand.Rand, skew float64, urls, n int) []int32 {
	sums, sum := make([]float64, urls), 0.0
	for i := range sums {
		sum += math.Pow(float64(i+1), -skew)
		sums[i] = sum
	}
	ranks := make([]int32, n)
	for i := range ranks {
		ranks[i] = int32(sort.SearchFloat64s(sums, r.Float64()*sum))
	}
	return ranks
}

// mixedSize is the size of a page of the mixed load: 256 B to 16 KiB, logarithmically even, so that about three times the budget is asked for.
func mixedSize(rank int) int {
	x := (uint64(rank) + 1) * 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return int(256 * math.Exp2(6*float64(x>>11)/(1<<53)))
}

// site is the application behind the caches. It counts how often it runs.
type site struct {
	load  Load
	bytes []byte
	made  atomic.Uint64
}

func newSite(l Load) *site {
	return &site{load: l, bytes: bytes.Repeat([]byte("0123456789abcdef"), 1<<16)}
}

// page decides what the answer for a target is.
func (s *site) page(path string) []byte {
	s.made.Add(1)
	if path != "/page" && s.load.delay > 0 {
		time.Sleep(s.load.delay)
	}
	size := s.load.size
	if size == 0 {
		rank, err := strconv.Atoi(path[len("/mixed/"):])
		if err != nil {
			return nil
		}
		size = mixedSize(rank)
	}
	return s.bytes[:size]
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := s.page(r.URL.Path)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "max-age=3600")
	h.Set("Etag", tag)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

// bare is the site without a cache: it says by hand all that a hit of edgecache says, and answers a condition by itself.
func (s *site) bare(w http.ResponseWriter, r *http.Request) {
	body := s.page(r.URL.Path)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "max-age=3600")
	h.Set("Etag", tag)
	h.Set("Date", "Sun, 22 Nov 2026 12:00:00 GMT")
	h.Set("Age", "0")
	h.Set("X-Cache", "HIT")
	h.Set("Cache-Status", "edgecache; hit; ttl=3599")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}
