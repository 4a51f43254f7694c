package conformance

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxBody bounds every message body that the origin or the client reads.
const maxBody = 1 << 20

// Origin is the server behind the cache. One Origin serves every case of a run, each below its own
// token: as a handler that a middleware wraps, or over connections by Serve.
type Origin struct {
	mu   sync.Mutex
	runs map[string]*record // by token
}

// record is what the origin knows of one case that is being played.
type record struct {
	c     *Case
	token string
	seen  []*seen
	given map[int][]line // the header of the last response to each request number
}

// seen is one request that reached the origin.
type seen struct {
	num     int // Req-Num; 0 when there was none
	method  string
	header  http.Header
	checked []line // what the client must receive unchanged
}

// reply is a response before any server has touched it.
type reply struct {
	interim    []Interim
	status     int
	phrase     string
	header     []line
	body       string
	disconnect bool
}

// NewOrigin returns an Origin without cases.
func NewOrigin() *Origin { return &Origin{runs: make(map[string]*record)} }

func (o *Origin) register(token string, c *Case) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.runs[token] = &record{c: c, token: token, given: make(map[int][]line)}
}

// requests returns what reached the origin for token, in order.
func (o *Origin) requests(token string) []*seen {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]*seen(nil), o.runs[token].seen...)
}

// ServeHTTP responds like a handler of an application: net/http frames the message, refuses what
// exceeds a declared Content-Length, and cuts the connection when the case says so.
func (o *Origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxBody))
	a := o.answer(r.Context(), r)
	h := w.Header()
	for _, in := range a.interim {
		for _, f := range in.header {
			h.Add(f.name, f.value)
		}
		w.WriteHeader(in.Status)
		for _, f := range in.header { // net/http would send them again with the final response
			h.Del(f.name)
		}
	}
	if a.disconnect {
		panic(http.ErrAbortHandler)
	}
	for _, f := range a.header {
		h.Add(f.name, f.value)
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body) // net/http's error is about the case, and the client sees the result
}

func (o *Origin) answer(ctx context.Context, r *http.Request) reply {
	token, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/test/"), "/")
	o.mu.Lock()
	rec := o.runs[token]
	o.mu.Unlock()
	if rec == nil {
		return refusal("no case has the token %q", token)
	}
	num, _ := strconv.Atoi(r.Header.Get("Req-Num"))

	o.mu.Lock()
	step := rec.step(num)
	o.mu.Unlock()
	if step == 0 {
		return refusal("case %s has no request %d", rec.c.ID, num)
	}
	if pause := rec.c.Requests[step-1].ResponsePause; pause > 0 {
		select {
		case <-time.After(time.Duration(pause) * time.Second):
		case <-ctx.Done():
		}
	}

	o.mu.Lock()
	defer o.mu.Unlock()
	return rec.answer(r, num, step, time.Now())
}

// step is the 1-based request of the case that num stands for: a cache's own request has no number
// and counts as the next.
func (rec *record) step(num int) int {
	if num == 0 {
		num = len(rec.seen) + 1
	}
	if num < 1 || num > len(rec.c.Requests) {
		return 0
	}
	return num
}

func (rec *record) answer(r *http.Request, num, step int, now time.Time) reply {
	q := &rec.c.Requests[step-1]
	a := reply{interim: q.Interim, status: q.Status.code, phrase: q.Status.phrase, disconnect: q.Disconnect}
	if a.status == 0 {
		a.status, a.phrase = http.StatusOK, "OK"
	}
	if strings.HasSuffix(q.ExpectType, "_validated") {
		a.status, a.phrase = 999, "304 Not Generated"
		if rec.matches(r, step, "If-Modified-Since", "Last-Modified") || rec.matches(r, step, "If-None-Match", "ETag") {
			a.status, a.phrase = http.StatusNotModified, "Not Modified"
		}
	}

	base := r.URL.RequestURI()
	clientCount := "NaN"
	if num != 0 {
		clientCount = strconv.Itoa(num)
	}
	a.header = []line{
		{"Server-Base-Url", base},
		{"Server-Request-Count", strconv.Itoa(len(rec.seen) + 1)},
		{"Client-Request-Count", clientCount},
		{"Server-Now", strconv.FormatInt(now.UnixMilli(), 10)},
	}
	s := &seen{num: num, method: r.Method, header: r.Header.Clone()}
	var given []line
	for _, f := range q.ResponseHeader {
		l := line{f.name, resolve(f.name, f.value, q, now, base)}
		given = append(given, l)
		a.header = append(a.header, l)
		if !f.unchecked {
			s.checked = append(s.checked, line{f.name, joined(a.header, f.name)})
		}
	}
	rec.given[step] = given
	rec.seen = append(rec.seen, s)
	if _, ok := lookup(a.header, "Content-Type"); !ok {
		a.header = append(a.header, line{"Content-Type", "text/plain"})
	}
	var numbers []string
	for _, s := range rec.seen {
		numbers = append(numbers, strconv.Itoa(s.num))
	}
	a.header = append(a.header, line{"Request-Numbers", strings.Join(numbers, " ")})

	if !bodiless(a.status) {
		a.body = rec.token
		if q.ResponseBody != nil && *q.ResponseBody != "" {
			a.body = *q.ResponseBody
		}
	}
	return a
}

// matches reports whether the request repeats, byte for byte, the validator of the response before.
func (rec *record) matches(r *http.Request, step int, condition, validator string) bool {
	want := ""
	if given := rec.given[step-1]; given != nil {
		for _, l := range given {
			if strings.EqualFold(l.name, validator) {
				want = l.value
			}
		}
	} else {
		for _, f := range rec.c.Requests[step-2].ResponseHeader {
			if strings.EqualFold(f.name, validator) && !f.isDelta {
				want = f.text
			}
		}
	}
	got := r.Header.Values(condition)
	return want != "" && len(got) > 0 && strings.Join(got, ", ") == want
}

// resolve turns a value of the case file into the one on the wire.
func resolve(name string, v value, q *Request, now time.Time, base string) string {
	lower := strings.ToLower(name)
	switch {
	case v.isDelta:
		return date(now.Add(time.Duration(v.delta)*time.Second), q, lower)
	case q.MagicLocations && (lower == "location" || lower == "content-location"):
		if v.text == "" {
			return base
		}
		return base + "/" + v.text
	}
	return v.text
}

func date(t time.Time, q *Request, lowerName string) string {
	for _, name := range q.RFC850 {
		if name == lowerName {
			return t.UTC().Format("Monday, 02-Jan-06 15:04:05 GMT")
		}
	}
	return t.UTC().Format(http.TimeFormat)
}

func refusal(format string, args ...any) reply {
	return reply{status: http.StatusConflict, phrase: "Conflict", body: fmt.Sprintf(format, args...)}
}

// bodiless names the statuses for which the suite expects no body.
func bodiless(status int) bool {
	return status == http.StatusNoContent || status == http.StatusNotModified
}

// lookup returns all lines of a field as one value.
func lookup(header []line, name string) (string, bool) {
	found := false
	var values []string
	for _, l := range header {
		if strings.EqualFold(l.name, name) {
			values = append(values, l.value)
			found = true
		}
	}
	return strings.Join(values, ", "), found
}

func joined(header []line, name string) string {
	v, _ := lookup(header, name)
	return v
}
