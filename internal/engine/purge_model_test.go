package engine_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

// The model: pages that show data, writers that change the data and purge afterwards, and an oracle
// that knows which version of each datum a request must see.
//
// A page's body names the version of each of its data at the moment when the handler read it. When
// a purge that concerns the page has returned, no request that starts afterwards may be answered
// from a version older than those that were committed before the purge began. After a soft purge
// that holds except for answers that say of themselves that they are stale. The answer to a POST is
// a purge of its path with every query. What it names in Location is as after a soft purge, but is
// not served stale while it is fetched again.
//
// One interleaving is a random sequence of steps: requests begin, handlers go one step on (read,
// header, parts of the body, end, panic), data are written, purges of all kinds come, clients
// leave, time passes, memory is flooded. Even seeds wait after each step until nothing moves any
// more; odd ones let several steps race.

// dataOf says which data each page shows.
var dataOf = [...][]int{{0}, {1}, {0, 1}, {2}}

const (
	modelData = 3
	lanes     = 4 // a page asked for directly, and by way of a proxy that tells another host; and each of these with a query
	viaProxy  = 1 // in a lane
	withQuery = 2 // in a lane
	ownHost   = "example.com"
	proxied   = "www.example.org"
)

type versions [modelData]int64

// floors are what requests must see at least, by page and lane.
type floors [len(dataOf)][lanes]versions

type model struct {
	seed   uint64
	random *rand.Rand
	purges purges
	edge   *edgecache.Edge
	h      http.Handler
	data   [modelData]atomic.Int64

	mu         sync.Mutex
	hard       floors
	named      floors // of what an answer to a POST has named
	soft       floors
	paused     []*pause
	underWay   map[int]context.CancelFunc // requests, by number
	tags       map[string]versions        // what entity tags stand for
	violations []string
	runs       int
	requests   int
	favourite  int
	hurry      bool // handlers do not pause any more
	after      func(e *edgecache.Edge)
	answered   map[string]int
}

// pause is a handler that waits for its next step.
type pause struct {
	id int
	on chan struct{}
}

func pathOf(page int) string { return fmt.Sprint("/m/", page) }

func targetOf(page, lane int) string {
	if lane&withQuery != 0 {
		return pathOf(page) + "?q"
	}
	return pathOf(page)
}

func newModel(seed uint64, p purges, store edgecache.Store) *model {
	m := &model{
		seed: seed, random: rand.New(rand.NewPCG(seed, 0)), purges: p,
		underWay: map[int]context.CancelFunc{}, tags: map[string]versions{}, answered: map[string]int{},
	}
	edge, err := edgecache.New(edgecache.Config{MaxBytes: 64 << 10, Logger: harness.Silent(), Store: store, HonorRequestDirectives: true})
	if err != nil {
		panic(err)
	}
	m.favourite = m.random.IntN(len(dataOf))
	h := http.Handler(http.HandlerFunc(m.serve))
	if p.wrap != nil {
		h = p.wrap(h)
	}
	m.edge, m.h, m.after = edge, edge.Handler(h), p.after
	return m
}

// step waits until the schedule lets the handler go on.
func (m *model) step(ctx context.Context, id int) {
	m.mu.Lock()
	if m.hurry {
		m.mu.Unlock()
		return
	}
	p := &pause{id, make(chan struct{})}
	m.paused = append(m.paused, p)
	m.mu.Unlock()
	select {
	case <-p.on:
	case <-ctx.Done():
		panic(http.ErrAbortHandler)
	}
}

func (m *model) read(d int, seen *versions, text *strings.Builder) {
	seen[d] = m.data[d].Load()
	fmt.Fprintf(text, "d%d=%d ", d, seen[d])
}

// serve is the handler.
func (m *model) serve(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/flood") {
		_, _ = w.Write(make([]byte, 5<<10))
		return
	}
	page := int(r.URL.Path[len("/m/")] - '0')
	m.mu.Lock()
	m.runs++
	id := m.runs
	m.mu.Unlock()
	random := rand.New(rand.NewPCG(m.seed, uint64(id)))
	ctx := r.Context()
	if r.Method == "POST" {
		m.post(w, r, page, id, random)
		return
	}

	var seen versions
	var early, late strings.Builder
	split := len(dataOf[page])
	if random.IntN(3) == 0 {
		split = random.IntN(split + 1)
	}
	m.step(ctx, id)
	for _, d := range dataOf[page][:split] {
		m.read(d, &seen, &early)
		m.step(ctx, id)
	}
	h := w.Header()
	switch random.IntN(20) {
	case 0, 1:
		w.WriteHeader(503)
		return
	case 2:
		panic(http.ErrAbortHandler)
	case 3:
		h.Set("Cache-Control", "no-store")
	case 4, 5:
		h.Set("Cache-Control", "no-cache")
	default:
		h.Set("Cache-Control", "max-age=10"+[]string{"", ", stale-while-revalidate=20", ", stale-if-error=30", ", stale-while-revalidate=20, stale-if-error=30"}[random.IntN(4)])
	}
	for _, d := range dataOf[page] {
		edgecache.Tag(w, "all", fmt.Sprint("d", d))
	}
	if page%2 == 1 {
		edgecache.Vary(w, "Accept-Language")
	}
	if split == len(dataOf[page]) && random.IntN(4) > 0 {
		tag := strconv.Quote(strings.TrimSpace(strings.ReplaceAll(early.String(), " ", ".")))
		h.Set("Etag", tag)
		m.mu.Lock()
		m.tags[tag] = seen
		m.mu.Unlock()
		if r.Header.Get("If-None-Match") == tag {
			m.step(ctx, id)
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	_, _ = io.WriteString(w, early.String())
	if random.IntN(2) == 0 {
		_ = http.NewResponseController(w).Flush()
	}
	m.step(ctx, id)
	for _, d := range dataOf[page][split:] {
		m.read(d, &seen, &late)
		m.step(ctx, id)
	}
	_, _ = io.WriteString(w, late.String())
	_, _ = io.WriteString(w, strings.Repeat(".", []int{64, 1 << 10, 4 << 10}[random.IntN(3)]))
	m.step(ctx, id)
	if random.IntN(20) == 0 {
		panic(http.ErrAbortHandler)
	}
}

// post writes the data of its page, and answers with what it then reads.
func (m *model) post(w http.ResponseWriter, r *http.Request, page, id int, random *rand.Rand) {
	ctx := r.Context()
	m.step(ctx, id)
	for _, d := range dataOf[page] {
		m.data[d].Add(1)
	}
	var seen versions
	var text strings.Builder
	for _, d := range dataOf[page] {
		m.read(d, &seen, &text)
		m.step(ctx, id)
	}
	if random.IntN(2) == 0 {
		w.Header().Set("Content-Location", pathOf(page))
		w.Header().Set("Cache-Control", "max-age=10")
		for _, d := range dataOf[page] {
			edgecache.Tag(w, "all", fmt.Sprint("d", d))
		}
	}
	groups := random.IntN(2) == 0
	if groups {
		for _, d := range dataOf[page] {
			edgecache.Invalidate(w, fmt.Sprint("d", d))
		}
	}
	i := invalidation{done: true, groups: groups, seen: seen, names: -1}
	if random.IntN(4) > 0 {
		if i.names = m.favourite; random.IntN(4) == 0 {
			i.names = random.IntN(len(dataOf))
		}
		w.Header().Set("Location", targetOf(i.names, random.IntN(lanes)))
		for d := range i.at {
			i.at[d] = m.data[d].Load()
		}
	}
	*ctx.Value(posted{}).(*invalidation) = i
	_, _ = io.WriteString(w, text.String()+strings.Repeat(".", 64))
	m.step(ctx, id)
}

type posted struct{}

// invalidation is what a POST has brought about once it has been answered.
type invalidation struct {
	done, groups bool
	seen         versions
	names        int // a page, or -1
	at           versions
}

// page chooses a page, mostly the same one.
func (m *model) page() int {
	if m.random.IntN(4) > 0 {
		return m.favourite
	}
	return m.random.IntN(len(dataOf))
}

// begin sends a request.
func (m *model) begin() {
	m.mu.Lock()
	m.requests++
	id := m.requests
	page, lane := m.page(), 0
	if m.random.IntN(8) == 0 {
		lane |= viaProxy
	}
	if m.random.IntN(4) == 0 {
		lane |= withQuery
	}
	method := "GET"
	switch m.random.IntN(20) {
	case 0, 1:
		method = "HEAD"
	case 2, 3:
		method, page = "POST", m.random.IntN(len(dataOf)) // and what it names is the favourite
	}
	r := httptest.NewRequest(method, targetOf(page, lane), nil)
	if lane&viaProxy != 0 {
		r.Header.Set("X-Forwarded-Host", proxied)
	}
	r.Header.Set("Accept-Language", []string{"en", "en", "en", "de"}[m.random.IntN(4)])
	switch m.random.IntN(16) {
	case 0:
		r.Header.Set("Range", "bytes=0-63")
	case 1:
		if tags := slices.Sorted(maps.Keys(m.tags)); len(tags) > 0 {
			r.Header.Set("If-None-Match", tags[m.random.IntN(len(tags))])
		}
	case 2:
		r.Header.Set("Cache-Control", []string{"no-cache", "max-stale", "only-if-cached"}[m.random.IntN(3)])
	}
	m.mu.Unlock()
	m.send(id, r, page, lane)
}

func (m *model) send(id int, r *http.Request, page, lane int) {
	var changed invalidation
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), posted{}, &changed))
	m.mu.Lock()
	hard, named, soft := m.hard[page][lane], m.named[page][lane], m.soft[page][lane] // by what has returned before this request starts
	m.underWay[id] = cancel
	m.mu.Unlock()
	go func() {
		w := httptest.NewRecorder()
		defer func() {
			p := recover()
			m.mu.Lock()
			defer m.mu.Unlock()
			delete(m.underWay, id)
			cancel()
			if p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a panic value
				m.violations = append(m.violations, fmt.Sprint("panic: ", p))
			}
			if m.after != nil {
				m.after(m.edge)
			}
			if changed.done {
				m.invalidated(page, &changed)
			} else {
				m.judge(r, page, w, &hard, &named, &soft)
			}
		}()
		m.h.ServeHTTP(w, r.WithContext(ctx))
	}()
}

var shown = regexp.MustCompile(`d([0-9])=([0-9]+) `)

// judge holds an answer, complete or not, against what the request must see.
func (m *model) judge(r *http.Request, page int, w *httptest.ResponseRecorder, hard, named, soft *versions) {
	status := w.Header().Get("X-Cache")
	m.answered[status]++
	must := *soft
	switch status {
	case "UPDATING":
		must = *named
	case "STALE":
		must = *hard
	}
	look := func(d int, version int64) {
		if version < must[d] {
			m.violations = append(m.violations, fmt.Sprintf("%s %s %v: got version %d of datum %d in %s %d, want at least %d",
				r.Method, r.RequestURI, r.Header, version, d, status, w.Code, must[d]))
		}
	}
	for _, found := range shown.FindAllStringSubmatch(w.Body.String(), -1) {
		d, _ := strconv.Atoi(found[1])
		version, _ := strconv.ParseInt(found[2], 10, 64)
		look(d, version)
	}
	if seen, known := m.tags[w.Header().Get("Etag")]; known {
		for _, d := range dataOf[page] {
			look(d, seen[d])
		}
	}
}

// raise is what every purge does to the floors when it has returned; at is what was committed
// before it began.
func (f *floors) raise(page, lane int, data []int, at *versions) {
	for _, d := range data {
		f[page][lane][d] = max(f[page][lane][d], at[d])
	}
}

// raise is what a purge that removes does to all floors.
func (m *model) raise(page, lane int, data []int, at *versions) {
	for _, f := range []*floors{&m.hard, &m.named, &m.soft} {
		f.raise(page, lane, data, at)
	}
}

// invalidated notes what the answer to a POST has purged.
func (m *model) invalidated(page int, i *invalidation) {
	for lane := range lanes {
		m.raise(page, lane, dataOf[page], &i.seen)
		if i.names >= 0 && i.names != page { // of its own page the answer may be stored, as it was when it was read
			m.named.raise(i.names, lane, dataOf[i.names], &i.at)
			m.soft.raise(i.names, lane, dataOf[i.names], &i.at)
		}
		for other, data := range dataOf {
			if !i.groups || !slices.ContainsFunc(data, func(d int) bool { return slices.Contains(dataOf[page], d) }) {
				continue
			}
			for _, d := range data {
				if slices.Contains(dataOf[page], d) {
					m.raise(other, lane, []int{d}, &i.seen)
				}
			}
		}
	}
}

// purge writes data, most times, and then purges in some way.
func (m *model) purge() func() {
	page := m.page()
	d := dataOf[page][m.random.IntN(len(dataOf[page]))]
	write, soft := m.random.IntN(4) > 0, m.random.IntN(3) == 0
	query := m.random.IntN(4) / 3 * withQuery
	var purge func()
	concerns := func(int, int) bool { return true }
	switch m.random.IntN(8) {
	case 0, 1:
		purge = func() { m.purges.url(m.edge, soft, ownHost, targetOf(page, query)) }
		concerns = func(p, lane int) bool { return p == page && lane&withQuery == query }
	case 2:
		purge = func() { m.purges.url(m.edge, soft, "", targetOf(page, query)) }
		concerns = func(p, lane int) bool { return p == page && lane&withQuery == query }
	case 3:
		purge = func() { m.purges.url(m.edge, soft, proxied, targetOf(page, query)) }
		concerns = func(p, lane int) bool { return p == page && lane == query|viaProxy }
	case 4, 5:
		purge = func() { m.purges.tag(m.edge, soft, fmt.Sprint("d", d)) }
		concerns = func(p, _ int) bool { return slices.Contains(dataOf[p], d) }
	case 6:
		purge = func() { m.purges.prefix(m.edge, soft, "https://"+ownHost+"/m") }
	case 7:
		purge = func() { m.purges.all(m.edge, soft) }
	}
	return func() {
		if write {
			m.data[d].Add(1)
		}
		var at versions
		for d := range at {
			at[d] = m.data[d].Load()
		}
		purge()
		m.mu.Lock()
		defer m.mu.Unlock()
		for p, data := range dataOf {
			for lane := range lanes {
				if concerns(p, lane) {
					if soft {
						m.soft.raise(p, lane, data, &at)
					} else {
						m.raise(p, lane, data, &at)
					}
				}
			}
		}
	}
}

// act takes one step.
func (m *model) act(race bool) {
	m.mu.Lock()
	waiting := len(m.paused)
	m.mu.Unlock()
	switch n := m.random.IntN(80); {
	case n < 20:
		m.begin()
	case n < 60 && waiting > 0:
		m.mu.Lock()
		slices.SortFunc(m.paused, func(a, b *pause) int { return a.id - b.id })
		i := m.random.IntN(len(m.paused))
		close(m.paused[i].on)
		m.paused = slices.Delete(m.paused, i, i+1)
		m.mu.Unlock()
	case n < 67:
		if purge := m.purge(); race {
			go purge()
		} else {
			purge()
		}
	case n < 69:
		m.data[m.random.IntN(modelData)].Add(1)
	case n < 71:
		m.mu.Lock()
		if len(m.underWay) > 0 {
			ids := make([]int, 0, len(m.underWay))
			for id := range m.underWay {
				ids = append(ids, id)
			}
			slices.Sort(ids)
			m.underWay[ids[m.random.IntN(len(ids))]]()
		}
		m.mu.Unlock()
	case n < 79:
		time.Sleep(time.Duration(1+m.random.IntN(12)) * time.Second)
	default:
		for i := range 1 + m.random.IntN(12) {
			m.h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprint("/flood/", i, "/", m.random.IntN(4)), nil))
		}
	}
}

// idle reports whether every request has been answered.
func (m *model) idle() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.underWay) == 0
}

// play runs one interleaving inside a bubble.
func (m *model) play() {
	race := m.seed%2 == 1
	for range 16 + m.random.IntN(32) {
		for range 1 + m.random.IntN(3) {
			m.act(race)
			if !race {
				synctest.Wait()
			}
		}
		synctest.Wait()
	}
	// Let everything end, and look at every page once more.
	m.mu.Lock()
	m.hurry = true
	for _, p := range m.paused {
		close(p.on)
	}
	m.paused = nil
	m.mu.Unlock()
	synctest.Wait()
	for page := range dataOf {
		for lane := range lanes {
			r := httptest.NewRequest("GET", targetOf(page, lane), nil)
			if lane&viaProxy != 0 {
				r.Header.Set("X-Forwarded-Host", proxied)
			}
			m.send(-1-page*lanes-lane, r, page, lane)
			synctest.Wait()
			for range 60 { // a store may take its time
				if m.idle() {
					break
				}
				time.Sleep(time.Second)
				synctest.Wait()
			}
		}
	}
	if err := m.edge.Close(context.Background()); err != nil {
		m.violations = append(m.violations, err.Error())
	}
	if !m.idle() {
		m.violations = append(m.violations, "a request hangs")
	}
}
