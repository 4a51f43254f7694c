// Package conformance plays the cases of the public suite http-tests/cache-tests against a cache:
// it is the origin behind the cache, the client in front of it, and the judge of both.
//
// The cases are data that this repository does not hold: Load reads what `npm run export` prints in
// a clone of the suite. Time is time.Now and timers only, so a run inside a testing/synctest bubble
// takes seconds however long its pauses.
package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Kind says what losing a case means.
type Kind string

const (
	Required Kind = "required" // a MUST of the specification, as the suite reads it
	Optimal  Kind = "optimal"  // what a good cache does
	Check    Kind = "check"    // a question: either answer is fine, but other cases may depend on it
)

// Suite is a loaded case file. It is immutable and may be played many times concurrently.
type Suite struct {
	Cases []*Case // in the order of the file, without those for browsers only
	byID  map[string]*Case
}

// Case is one test: requests made one after the other for a URL of its own.
type Case struct {
	ID, Name, Group string
	Kind            Kind
	DependsOn       []string // IDs; without all of them passed there is no verdict
	Requests        []Request
}

// Request is one step: what the client sends, what the origin responds, and what must come of it.
// The JSON names are the suite's own.
type Request struct {
	clientPart
	originPart
	judgePart
}

// clientPart is what the client does.
type clientPart struct {
	Method      string       `json:"request_method"`
	Header      []requestRow `json:"request_headers"`
	Body        *string      `json:"request_body"`
	Query       string       `json:"query_arg"`
	Filename    string       `json:"filename"`
	Redirect    string       `json:"redirect"` // follow (default), manual or error
	PauseAfter  bool         `json:"pause_after"`
	MagicIMS    bool         `json:"magic_ims"`
	RFC850      []string     `json:"rfc850date"` // lower-case field names
	Mode        string       `json:"mode"`       // these three steer a browser's fetch
	Credentials string       `json:"credentials"`
	Cache       string       `json:"cache"`
}

// originPart is what the origin responds.
type originPart struct {
	Status         statusLine  `json:"response_status"`
	ResponseHeader []headerRow `json:"response_headers"`
	ResponseBody   *string     `json:"response_body"`
	ResponsePause  int         `json:"response_pause"` // seconds
	Interim        []Interim   `json:"interim_responses"`
	Disconnect     bool        `json:"disconnect"`
	MagicLocations bool        `json:"magic_locations"`
}

// judgePart is what must come of it.
type judgePart struct {
	Setup                bool             `json:"setup"`
	SetupTests           []string         `json:"setup_tests"`
	ExpectType           string           `json:"expected_type"`
	ExpectStatus         optional[int]    `json:"expected_status"`
	ExpectHeader         []expectation    `json:"expected_response_headers"`
	ExpectHeaderMissing  []expectation    `json:"expected_response_headers_missing"`
	ExpectText           optional[string] `json:"expected_response_text"`
	CheckBody            *bool            `json:"check_body"`
	ExpectInterim        *[]Interim       `json:"expected_interim_responses"`
	ExpectMethod         string           `json:"expected_method"`
	ExpectRequest        []expectation    `json:"expected_request_headers"`
	ExpectRequestMissing []expectation    `json:"expected_request_headers_missing"`
}

// isSetup reports whether a failed check of this name makes the case void instead of lost.
func (q *Request) isSetup(check string) bool { return q.Setup || slices.Contains(q.SetupTests, check) }

// The names of checks that setup_tests may list.
const (
	checkType           = "expected_type"
	checkStatus         = "expected_status"
	checkHeader         = "expected_response_headers"
	checkHeaderMissing  = "expected_response_headers_missing"
	checkText           = "expected_response_text"
	checkInterim        = "expected_interim_responses"
	checkMethod         = "expected_method"
	checkRequest        = "expected_request_headers"
	checkRequestMissing = "expected_request_headers_missing"
)

var checkNames = []string{checkType, checkStatus, checkHeader, checkHeaderMissing, checkText, checkInterim, checkMethod, checkRequest, checkRequestMissing}

// CaseFile finds the case file: $EDGECACHE_CACHE_TESTS, else shared/cache-tests/tests.json in dir,
// the directory that holds the checkout. The error is a message for people who have neither.
func CaseFile(dir string) (string, error) {
	if path := os.Getenv("EDGECACHE_CACHE_TESTS"); path != "" {
		return path, nil
	}
	path := filepath.Join(dir, "shared", "cache-tests", "tests.json")
	if _, err := os.Stat(path); err != nil {
		return "", errors.New("conformance: no case file: set EDGECACHE_CACHE_TESTS to what `npm run export` prints in a clone of http-tests/cache-tests")
	}
	return path, nil
}

// LoadFile reads the case file at path.
func LoadFile(path string) (*Suite, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	suite, err := Load(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return suite, nil
}

// Load parses a case file. A key, a value or a shape that the runner does not know is an error,
// never skipped: a case played without one of its conditions would be judged wrongly.
func Load(data []byte) (*Suite, error) {
	var groups []struct {
		Name        string   `json:"name"`
		ID          string   `json:"id"`
		Description string   `json:"description"`
		Anchors     []string `json:"spec_anchors"`
		Tests       []struct {
			Name        string    `json:"name"`
			ID          string    `json:"id"`
			Description string    `json:"description"`
			Kind        Kind      `json:"kind"`
			Anchors     []string  `json:"spec_anchors"`
			DependsOn   []string  `json:"depends_on"`
			BrowserOnly bool      `json:"browser_only"`
			BrowserSkip bool      `json:"browser_skip"`
			CDNOnly     bool      `json:"cdn_only"`
			Requests    []Request `json:"requests"`
		} `json:"tests"`
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&groups); err != nil {
		return nil, fmt.Errorf("conformance: case file: %w", err)
	}
	s := &Suite{byID: make(map[string]*Case)}
	var errs []error
	for _, g := range groups {
		for _, t := range g.Tests {
			if t.BrowserOnly {
				continue
			}
			c := &Case{ID: t.ID, Name: t.Name, Group: g.ID, Kind: t.Kind, DependsOn: t.DependsOn, Requests: t.Requests}
			if c.Kind == "" {
				c.Kind = Required
			}
			if s.byID[c.ID] != nil {
				errs = append(errs, fmt.Errorf("conformance: case %q is there twice", c.ID))
			}
			s.byID[c.ID] = c
			s.Cases = append(s.Cases, c)
			errs = append(errs, c.validate())
		}
	}
	known := make(map[string]bool)
	for _, c := range s.Cases {
		errs = append(errs, s.validateDependencies(c, known))
	}
	if len(s.Cases) == 0 {
		errs = append(errs, errors.New("conformance: the case file holds no case"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

// Only returns a suite of the case with that ID and all that it depends on.
func (s *Suite) Only(id string) (*Suite, error) {
	if s.byID[id] == nil {
		return nil, fmt.Errorf("conformance: there is no case %q", id)
	}
	wanted := make(map[string]*Case)
	var want func(id string)
	want = func(id string) {
		if wanted[id] == nil {
			wanted[id] = s.byID[id]
			for _, d := range s.byID[id].DependsOn {
				want(d)
			}
		}
	}
	want(id)
	part := &Suite{byID: wanted}
	for _, c := range s.Cases {
		if wanted[c.ID] != nil {
			part.Cases = append(part.Cases, c)
		}
	}
	return part, nil
}

func (c *Case) validate() error {
	if c.ID == "" || len(c.Requests) == 0 {
		return fmt.Errorf("conformance: case %q (%s): want an id and at least one request", c.ID, c.Name)
	}
	if !slices.Contains([]Kind{Required, Optimal, Check}, c.Kind) {
		return fmt.Errorf("conformance: case %q: unknown kind %q", c.ID, c.Kind)
	}
	for i := range c.Requests {
		if err := c.Requests[i].validate(i == 0); err != nil {
			return fmt.Errorf("conformance: case %q, request %d: %w", c.ID, i+1, err)
		}
	}
	return nil
}

func (q *Request) validate(first bool) error {
	if q.Mode != "" || q.Credentials != "" || q.Cache != "" {
		return errors.New("mode, credentials and cache belong to browsers")
	}
	if !slices.Contains([]string{"", "follow", "manual", "error"}, q.Redirect) {
		return fmt.Errorf("unknown redirect %q", q.Redirect)
	}
	switch q.ExpectType {
	case "", "cached", "not_cached":
	case "lm_validated", "etag_validated":
		if first {
			return fmt.Errorf("%s needs an earlier response", q.ExpectType)
		}
	default:
		return fmt.Errorf("unknown expected_type %q", q.ExpectType)
	}
	for _, name := range q.SetupTests {
		if !slices.Contains(checkNames, name) {
			return fmt.Errorf("unknown name %q in setup_tests", name)
		}
	}
	for _, f := range q.Header {
		if f.isDelta && (!q.MagicIMS || first || !strings.EqualFold(f.name, "If-Modified-Since")) {
			return fmt.Errorf("%s: a number needs magic_ims and an earlier response", f.name)
		}
	}
	for _, in := range append(slices.Clone(q.Interim), deref(q.ExpectInterim)...) {
		if in.Status < 102 || in.Status > 199 {
			return fmt.Errorf("interim status %d: want 102 to 199", in.Status)
		}
	}
	for _, e := range slices.Concat(q.ExpectHeaderMissing, q.ExpectRequest, q.ExpectRequestMissing) {
		if e.op != opPresent && (e.op != opEqual || e.isDelta) {
			return fmt.Errorf("%s: want a name or a name and a text", e.name)
		}
	}
	return nil
}

// validateDependencies refuses IDs that do not exist, and cycles, in which no case could ever have
// a verdict. Each case is walked once: known says which are being walked (false) and which are in
// order (true).
func (s *Suite) validateDependencies(c *Case, known map[string]bool) error {
	if inOrder, ok := known[c.ID]; ok {
		if !inOrder {
			return fmt.Errorf("conformance: case %q depends on itself", c.ID)
		}
		return nil
	}
	known[c.ID] = false
	for _, id := range c.DependsOn {
		d := s.byID[id]
		if d == nil {
			return fmt.Errorf("conformance: case %q depends on %q, which is not there", c.ID, id)
		}
		if err := s.validateDependencies(d, known); err != nil {
			return err
		}
	}
	known[c.ID] = true
	return nil
}

func deref[T any](p *[]T) []T {
	if p == nil {
		return nil
	}
	return *p
}
