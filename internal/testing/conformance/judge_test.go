package conformance

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// received is a response with a header given as pairs.
func received(status int, body string, pairs ...string) *response {
	p := &response{status: status, header: make(http.Header), body: body}
	for i := 0; i < len(pairs); i += 2 {
		p.header.Add(pairs[i], pairs[i+1])
	}
	return p
}

func TestJudge(t *testing.T) {
	t.Run("the response", func(t *testing.T) {
		fromOrigin := []string{"Server-Request-Count", "2", "Server-Now", "1800000000000"}
		fromCache := []string{"Server-Request-Count", "1", "Server-Now", "1800000000000"}
		with := func(pairs []string, more ...string) []string { return append(append([]string(nil), pairs...), more...) }
		cut := received(200, "tok", fromOrigin...)
		cut.bodyErr = errors.New("body of 9 bytes ended after 3")
		hinted := received(200, "tok", fromOrigin...)
		hinted.interim = []Interim{{Status: 103, header: []line{{"Link", "</a>"}}}}

		tests := []struct {
			name    string
			request string // the second of the case
			p       *response
			want    string // empty: every check holds
			setup   bool
		}{
			{"a plain answer", `{}`, received(200, "tok", fromOrigin...), "", false},
			{"cached from the cache", `{"expected_type": "cached"}`, received(200, "tok", fromCache...), "", false},
			{"cached from the origin", `{"expected_type": "cached"}`, received(200, "tok", fromOrigin...), "response 2 does not come from the cache", false},
			{"cached, and no count to tell", `{"expected_type": "cached"}`, received(502, ""), "response 2 does not come from the cache", false},
			{"cached, a 304 that leaves the count out", `{"expected_type": "cached", "expected_status": 304}`, received(304, ""), "", false},
			{"not cached from the cache", `{"expected_type": "not_cached"}`, received(200, "tok", fromCache...), "response 2 comes from the cache", false},
			{"not cached, and no count to tell", `{"expected_type": "not_cached"}`, received(200, "tok"), "response 2 comes from the cache", false},
			{"a set-up request that is not as it should be", `{"setup": true, "expected_type": "cached"}`, received(200, "tok", fromOrigin...), "response 2 does not come from the cache", true},
			{"a check that only sets up", `{"setup_tests": ["expected_type"], "expected_type": "cached"}`, received(200, "tok", fromOrigin...), "response 2 does not come from the cache", true},
			{"a request that came twice", `{}`, received(200, "tok", with(fromOrigin, "Request-Numbers", "1 2 1")...), "a request was repeated on the way to the origin", true},

			{"another status than 200 is a broken set-up", `{}`, received(502, "tok", fromOrigin...), "response 2 has status 502, not 200", true},
			{"another status than the origin's is a broken set-up", `{"response_status": [404, "No"]}`, received(200, "tok", fromOrigin...), "response 2 has status 200, not 404", true},
			{"another status than expected is a loss", `{"expected_status": 304}`, received(200, "tok", fromOrigin...), "response 2 has status 200, not 304", false},
			{"any status", `{"expected_status": null}`, received(504, "tok", fromOrigin...), "", false},
			{"the origin missed a condition", `{"expected_type": "lm_validated"}`, received(999, "tok", fromOrigin...), "request 2 should have been conditional, but was not", false},

			{"a field is there", `{"expected_response_headers": ["a"]}`, received(200, "tok", with(fromOrigin, "A", "")...), "", false},
			{"a field is not there", `{"expected_response_headers": ["a"]}`, received(200, "tok", fromOrigin...), "response 2 has no a", false},
			{"two lines are one value", `{"expected_response_headers": [["A", "1, 2"]]}`, received(200, "tok", with(fromOrigin, "A", "1", "A", "2")...), "", false},
			{"a field has another value", `{"expected_response_headers": [["A", "1"]]}`, received(200, "tok", with(fromOrigin, "A", "2")...), `response 2 has A "2", not "1"`, false},
			{"a date counts from the origin's now", `{"expected_response_headers": [["Expires", 10]]}`,
				received(200, "tok", with(fromOrigin, "Expires", "Fri, 15 Jan 2027 08:00:10 GMT")...), "", false},
			{"a date that is off by a second", `{"expected_response_headers": [["Expires", 10]]}`,
				received(200, "tok", with(fromOrigin, "Expires", "Fri, 15 Jan 2027 08:00:11 GMT")...), `response 2 has Expires "Fri, 15 Jan 2027 08:00:11 GMT", not "Fri, 15 Jan 2027 08:00:10 GMT"`, false},
			{"a field repeats another", `{"expected_response_headers": [["A", "=", "B"]]}`, received(200, "tok", with(fromOrigin, "A", "1", "B", "1")...), "", false},
			{"a field differs from another", `{"expected_response_headers": [["A", "=", "B"]]}`, received(200, "tok", with(fromOrigin, "A", "1", "B", "2")...), `response 2 has A "1", not "2"`, false},
			{"a number above the bound", `{"expected_response_headers": [["Age", ">", 32]]}`, received(200, "tok", with(fromOrigin, "Age", "33")...), "", false},
			{"a number at the bound", `{"expected_response_headers": [["Age", ">", 32]]}`, received(200, "tok", with(fromOrigin, "Age", "32")...), `response 2 has Age "32", not "more than 32"`, false},
			{"no number", `{"expected_response_headers": [["Age", ">", 32]]}`, received(200, "tok", with(fromOrigin, "Age", "old")...), `response 2 has Age "old", not "more than 32"`, false},
			{"a field is missing as it should be", `{"expected_response_headers_missing": ["a", ["B", "1"]]}`, received(200, "tok", with(fromOrigin, "B", "2")...), "", false},
			{"a field is there that should not", `{"expected_response_headers_missing": ["a"]}`, received(200, "tok", with(fromOrigin, "A", "1")...), `response 2 has a "1"`, false},
			{"a field holds what it should not", `{"expected_response_headers_missing": [["B", "x"]]}`, received(200, "tok", with(fromOrigin, "B", "a, x")...), `response 2 has B "a, x"`, false},

			{"interim responses as expected", `{"expected_interim_responses": [[103, [["link", "</a>"]]]]}`, hinted, "", false},
			{"an interim response too many", `{"expected_interim_responses": []}`, hinted, "response 2 came after 1 interim responses, not 0", false},
			{"an interim response too few", `{"expected_interim_responses": [[102], [103]]}`, hinted, "response 2 came after 1 interim responses, not 2", false},
			{"another interim response", `{"expected_interim_responses": [[102]]}`, hinted, "interim response 1 has status 103, not 102", false},
			{"an interim field with another value", `{"expected_interim_responses": [[103, [["link", "</b>"]]]]}`, hinted, `interim response 1 has link "</a>", not "</b>"`, false},

			{"another body than the token", `{}`, received(200, "other", fromOrigin...), `response 2 has the body "other", not "tok"`, true},
			{"another body than the origin's", `{"response_body": "b"}`, received(200, "tok", fromOrigin...), `response 2 has the body "tok", not "b"`, true},
			{"another text than expected", `{"response_body": "b", "expected_response_text": "c"}`, received(200, "b", fromOrigin...), `response 2 has the body "b", not "c"`, false},
			{"any text", `{"expected_response_text": null}`, received(200, "b", fromOrigin...), "", false},
			{"any body", `{"check_body": false}`, received(200, "b", fromOrigin...), "", false},
			{"a response_body of null is the token", `{"response_body": null}`, received(200, "b", fromOrigin...), `response 2 has the body "b", not "tok"`, true},
			{"no body with 204", `{"response_status": [204, "N"], "response_body": null}`, received(204, "", fromOrigin...), "", false},
			{"no body for HEAD", `{"request_method": "HEAD"}`, received(200, "", fromOrigin...), "", false},
			{"a body cut short is a loss, looked at or not", `{"check_body": false}`, cut, "response 2: body of 9 bytes ended after 3", false},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				suite, err := Load([]byte(one(`[{}, `+tt.request+`]`, ``)))
				require.NoError(t, err)
				got := judgeResponse(suite.Cases[0], 2, "tok", tt.p)
				if tt.want == "" {
					require.Nil(t, got)
					return
				}
				require.Equal(t, &failure{tt.setup, tt.want}, got)
			})
		}
	})
	t.Run("the origin", func(t *testing.T) {
		reached := func(num int, method string, checked []line, pairs ...string) *seen {
			return &seen{num: num, method: method, header: received(0, "", pairs...).header, checked: checked}
		}
		tests := []struct {
			name    string
			request string
			seen    *seen // nil: the request did not arrive
			p       *response
			want    string
			setup   bool
		}{
			{"a request for the cache need not arrive", `{"expected_type": "cached"}`, nil, received(200, ""), "", false},
			{"a request for the origin must arrive", `{"expected_type": "not_cached"}`, nil, received(200, ""), "request 1 did not reach the origin", false},
			{"a method to look at must arrive", `{"expected_method": "HEAD"}`, nil, received(200, ""), "request 1 did not reach the origin", false},
			{"a request that nothing is asked of may be lost", `{}`, nil, received(200, ""), "", false},
			{"another method", `{"expected_method": "HEAD"}`, reached(1, "GET", nil), received(200, ""), "request 1 reached the origin as GET, not HEAD", false},
			{"a field arrived", `{"expected_request_headers": ["A", ["B", "1"]]}`, reached(1, "GET", nil, "A", "", "B", "1"), received(200, ""), "", false},
			{"a field did not arrive", `{"expected_request_headers": [["B", "1"]]}`, reached(1, "GET", nil, "B", "2"), received(200, ""), `request 1 reached the origin with B "2", not "1"`, false},
			{"a field did not arrive, in a check that sets up", `{"setup_tests": ["expected_request_headers"], "expected_request_headers": ["B"]}`,
				reached(1, "GET", nil), received(200, ""), `request 1 reached the origin with B "", not ""`, true},
			{"a field arrived that should not", `{"expected_request_headers_missing": ["B"]}`, reached(1, "GET", nil, "B", "2"), received(200, ""), `request 1 reached the origin with B "2"`, false},
			{"a value arrived that should not", `{"expected_request_headers_missing": [["B", "2"]]}`, reached(1, "GET", nil, "B", "2"), received(200, ""), `request 1 reached the origin with B "2"`, false},
			{"another value than the one that should not", `{"expected_request_headers_missing": [["B", "2"]]}`, reached(1, "GET", nil, "B", "3"), received(200, ""), "", false},
			{"what the origin set came through", `{}`, reached(1, "GET", []line{{"A", "1"}, {"A", "1, 2"}}), received(200, "", "A", "1", "A", "2"), "", false},
			{"what the origin set was lost", `{}`, reached(1, "GET", []line{{"A", "1"}}), received(200, ""), `response 1 has A "", not the origin's "1"`, true},
			{"what a server may change was lost", `{}`, reached(1, "GET", []line{{"Date", "1"}, {"Connection", "a"}}), received(200, ""), "", false},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				suite, err := Load([]byte(one(`[`+tt.request+`]`, ``)))
				require.NoError(t, err)
				seenAll := []*seen{reached(0, "GET", nil)} // a request of the cache's own disturbs nothing
				if tt.seen != nil {
					seenAll = append(seenAll, tt.seen)
				}
				got := judgeOrigin(suite.Cases[0], seenAll, []*response{tt.p})
				if tt.want == "" {
					require.Nil(t, got)
					return
				}
				require.Equal(t, &failure{tt.setup, tt.want}, got)
			})
		}
	})
	t.Run("the origin must get the condition", func(t *testing.T) {
		for typ, name := range map[string]string{"etag_validated": "If-None-Match", "lm_validated": "If-Modified-Since"} {
			suite, err := Load([]byte(one(`[{}, {"expected_type": "`+typ+`"}]`, ``)))
			require.NoError(t, err)
			both := []*response{received(200, ""), received(200, "")}
			got := judgeOrigin(suite.Cases[0], []*seen{{num: 1}, {num: 2, header: http.Header{}}}, both)
			require.Equal(t, &failure{false, "request 2 reached the origin without " + name}, got)
			require.Nil(t, judgeOrigin(suite.Cases[0], []*seen{{num: 1}, {num: 2, header: http.Header{name: {"x"}}}}, both))
		}
	})
}
