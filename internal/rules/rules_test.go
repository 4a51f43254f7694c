package rules

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// start has a fraction of a second, as clocks have and dates have not.
var start = time.Date(2026, time.March, 4, 5, 6, 7, 600e6, time.UTC)

// literal is the configuration that follows the RFCs to the letter.
var literal = Options{
	HeuristicMax:           24 * time.Hour,
	ExplicitOnly:           true,
	HonorRequestDirectives: true,
	InsecureShareCookies:   true,
	InsecureStoreSetCookie: true,
	TargetedFields:         []string{"Cdn-Cache-Control"},
}

// usual resembles the default configuration.
var usual = Options{
	DefaultTTL:       2 * time.Minute,
	HeuristicMax:     time.Hour,
	CredentialFields: DefaultCredentialFields(),
	TargetedFields:   []string{"Cdn-Cache-Control"},
}.Indexed()

// honoring is usual, and obeys directives of requests.
var honoring = func() Options {
	o := usual
	o.HonorRequestDirectives = true
	return o
}()

var relative = regexp.MustCompile(`\{-?\d+\}`)

// header reads "Name: value" lines. {-3} is the date of three seconds before start.
func header(text string) http.Header {
	h := http.Header{}
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(strings.TrimSpace(line), ":")
		if !found {
			continue
		}
		value = relative.ReplaceAllStringFunc(strings.TrimSpace(value), func(s string) string {
			seconds, _ := strconv.Atoi(strings.Trim(s, "{}"))
			return date(seconds)
		})
		name = http.CanonicalHeaderKey(name)
		h[name] = append(h[name], value)
	}
	return h
}

func date(seconds int) string {
	return start.Add(time.Duration(seconds) * time.Second).Format(http.TimeFormat)
}

func get(text string) *http.Request { return &http.Request{Method: "GET", Header: header(text)} }

func (o *Options) get(text string) *Request {
	q := o.Request(get(text))
	return &q
}

// exchange is a response and a later request that may use it: the row of most tables.
type exchange struct {
	name     string
	request  string
	status   int // 200 if 0
	response string
	stored   Reason // why not; None if it is

	after  time.Duration
	again  string
	action Action
	reason Reason
}

func (x exchange) run(t *testing.T, o *Options) {
	t.Helper()
	if x.status == 0 {
		x.status = 200
	}
	m, stored := o.Store(o.get(x.request), x.status, header(x.response), start, start)
	if stored != x.stored {
		t.Fatalf("stored: got %q, want %q", stored, x.stored)
	}
	if stored != None {
		if x.action != Forward || x.reason != None {
			t.Fatal("the row expects reuse of what is not stored")
		}
		return
	}
	action, reason := m.Reuse(o, o.get(x.again), start.Add(x.after))
	if action != x.action || reason != x.reason {
		t.Fatalf("reused: got %v (%v), want %v (%v)", action, reason, x.action, x.reason)
	}
}

func runAll(t *testing.T, o *Options, rows []exchange) {
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { row.run(t, o) })
	}
}

func name(status int) string {
	if text := http.StatusText(status); text != "" {
		return strconv.Itoa(status) + " " + text
	}
	return strconv.Itoa(status)
}
