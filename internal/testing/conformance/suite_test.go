package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// one wraps requests (a JSON array) and further members of the test into a case file with one case.
func one(requests, more string) string {
	return fmt.Sprintf(`[{"name": "G", "id": "g", "tests": [{"name": "N", "id": "c", "requests": %s%s}]}]`, requests, more)
}

func TestLoad(t *testing.T) {
	t.Run("refuses cases that it cannot play", func(t *testing.T) {
		tests := []struct{ name, file, want string }{
			{"an unknown member of a suite", `[{"name": "G", "id": "g", "speed": 1, "tests": []}]`, `unknown field "speed"`},
			{"an unknown member of a test", one(`[{}]`, `, "speed": 1`), `unknown field "speed"`},
			{"an unknown member of a request", one(`[{"speed": 1}]`, ``), `unknown field "speed"`},
			{"an unknown kind", one(`[{}]`, `, "kind": "maybe"`), `unknown kind "maybe"`},
			{"an unknown expected_type", one(`[{"expected_type": "guessed"}]`, ``), `unknown expected_type "guessed"`},
			{"an unknown redirect", one(`[{"redirect": "maybe"}]`, ``), `unknown redirect "maybe"`},
			{"an unknown name in setup_tests", one(`[{"setup_tests": ["weather"]}]`, ``), `unknown name "weather"`},
			{"an unknown operator", one(`[{"expected_response_headers": [["A", "<", 3]]}]`, ``), `unknown operator "<"`},
			{"an operator where only a value makes sense", one(`[{"expected_request_headers": [["A", "=", "B"]]}]`, ``), `want a name or a name and a text`},
			{"a browser's cache mode", one(`[{"cache": "reload"}]`, ``), `belong to browsers`},
			{"a validated first response", one(`[{"expected_type": "etag_validated"}]`, ``), `needs an earlier response`},
			{"a number for a request date without magic_ims", one(`[{}, {"request_headers": [["If-Modified-Since", 1]]}]`, ``), `needs magic_ims`},
			{"a number for the first request's date", one(`[{"magic_ims": true, "request_headers": [["If-Modified-Since", 1]]}]`, ``), `needs magic_ims`},
			{"a final status as interim", one(`[{"interim_responses": [[200]]}]`, ``), `want 102 to 199`},
			{"an interim field without a value", one(`[{"interim_responses": [[103, [["Link"]]]]}]`, ``), `want a name and a value`},
			{"a header row of four", one(`[{"response_headers": [["A", "1", true, 2]]}]`, ``), `want 2 to 3 members`},
			{"a fraction of a second", one(`[{"response_headers": [["Date", 0.5]]}]`, ``), `cannot unmarshal number 0.5`},
			{"a value outside Latin-1", one(`[{"response_headers": [["A", "€"]]}]`, ``), `cannot be a field value`},
			{"a value with a line break", one(`[{"request_headers": [["A", "1\r\nB: 2"]]}]`, ``), `cannot be a field value`},
			{"a missing dependency", one(`[{}]`, `, "depends_on": ["d"]`), `which is not there`},
			{"a dependency on itself", one(`[{}]`, `, "depends_on": ["c"]`), `depends on itself`},
			{"a case without requests", one(`[]`, ``), `at least one request`},
			{"the same ID twice", `[{"name": "G", "id": "g", "tests": [
			{"name": "N", "id": "c", "requests": [{}]}, {"name": "M", "id": "c", "requests": [{}]}]}]`, `is there twice`},
			{"no case at all", `[]`, `holds no case`},
			{"no JSON", `<html>`, `case file`},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				_, err := Load([]byte(tt.file))
				require.ErrorContains(t, err, tt.want)
			})
		}
	})
	t.Run("tells absent from null", func(t *testing.T) {
		suite, err := Load([]byte(one(`[{}, {"expected_status": null, "expected_response_text": null},
		{"expected_status": 304, "expected_response_text": ""}]`, ``)))
		require.NoError(t, err)
		q := suite.Cases[0].Requests
		require.Equal(t, Required, suite.Cases[0].Kind, "a case without a kind is required")
		require.False(t, q[0].ExpectStatus.given || q[0].ExpectText.given)
		require.True(t, q[1].ExpectStatus.null && q[1].ExpectText.null)
		require.Equal(t, optional[int]{given: true, value: 304}, q[2].ExpectStatus)
		require.Equal(t, optional[string]{given: true}, q[2].ExpectText)
	})
	t.Run("values", func(t *testing.T) {
		suite, err := Load([]byte(one(`[{"response_headers": [["Expires", -5], ["Content-Length", 10], ["ETag", "\u00fc", false], ["A", "1", true]]}]`, ``)))
		require.NoError(t, err)
		require.Equal(t, []headerRow{
			{name: "Expires", value: value{text: "-5", delta: -5, isDelta: true}},
			{name: "Content-Length", value: value{text: "10", delta: 10}},
			{name: "ETag", value: value{text: "\xfc"}, unchecked: true},
			{name: "A", value: value{text: "1"}},
		}, suite.Cases[0].Requests[0].ResponseHeader)
	})
	t.Run("skips cases for browsers", func(t *testing.T) {
		suite, err := Load([]byte(`[{"name": "G", "id": "g", "tests": [
		{"name": "N", "id": "c", "requests": [{}]},
		{"name": "M", "id": "d", "browser_only": true, "requests": [{"cache": "reload"}]}]}]`))
		require.NoError(t, err)
		require.Len(t, suite.Cases, 1)
		require.Equal(t, "c", suite.Cases[0].ID)
	})
	t.Run("Only keeps dependencies", func(t *testing.T) {
		suite, err := Load([]byte(miniature))
		require.NoError(t, err)
		part, err := suite.Only("stale")
		require.NoError(t, err)
		var ids []string
		for _, c := range part.Cases {
			ids = append(ids, c.ID)
		}
		require.Equal(t, []string{"none", "fresh", "stale"}, ids)
		_, err = suite.Only("unheard-of")
		require.ErrorContains(t, err, `no case "unheard-of"`)
	})
}

func FuzzLoad(f *testing.F) {
	f.Add(miniature)
	f.Add(one(`[{"expected_response_headers": ["A", ["B", ">", 3], ["Date", 0]], "rfc850date": ["date"]}]`, `, "kind": "check"`))
	f.Fuzz(func(t *testing.T, file string) {
		suite, err := Load([]byte(file))
		if err != nil {
			return
		}
		for _, c := range suite.Cases {
			if c.ID == "" || len(c.Requests) == 0 || slices.Contains(c.DependsOn, c.ID) {
				t.Errorf("case %q was let through", c.ID)
			}
			for _, q := range c.Requests {
				for _, row := range q.ResponseHeader {
					if strings.ContainsAny(row.text, "\r\n") {
						t.Errorf("case %q splits its header with %q", c.ID, row.text)
					}
				}
			}
		}
	})
}
