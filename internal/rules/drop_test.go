package rules

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDrop(t *testing.T) {
	t.Run("fields that are not stored", func(t *testing.T) {
		o := Options{DefaultTTL: time.Minute, DropFields: DefaultDropFields()}
		indexed := o.Indexed()
		for name, want := range map[string]bool{
			"X-Request-Id": true, "X-Correlation-Id": true, "X-Amzn-Requestid": true, "Request-Id": true, "X-Trace-Id": true, "Traceparent": true,
			"Traceresponse": true, "X-B3-Traceid": true, "X-B3-": true, "X-B3": false, "X-Cloud-Trace-Context": true, "X-Runtime": true,
			"Server-Timing": true, "Ratelimit": true, "Ratelimit-Policy": true, "X-Ratelimit-Remaining": true, "X-Rate-Limit-Reset": true,
			"Retry-After": false, "Nel": false, "Report-To": false, "Reporting-Endpoints": false, "Etag": false, "Server": false, "Via": false,
			"X-Request": false, "X-Request-Id-2": false, "": false, "Content-Type": false, "Surrogate-Key": false,
		} {
			if got := o.Drops(name); got != want {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
			if got := indexed.Drops(name); got != want {
				t.Errorf("%s, indexed: got %v, want %v", name, got, want)
			}
		}
		for _, name := range DefaultDropFields() {
			require.Equal(t, http.CanonicalHeaderKey(name), name)
			require.False(t, Needed(name), name)
		}
		m, reason := indexed.Store(indexed.get(""), 200, header("X-Request-Id: 1\nServer: s\nX-B3-Spanid: 2\nx-trace-id: 3"), start, start)
		require.Equal(t, None, reason)
		slices.Sort(m.Strip)
		require.Equal(t, []string{"X-B3-Spanid", "X-Request-Id", "X-Trace-Id"}, m.Strip)
	})
	t.Run("Needed", func(t *testing.T) {
		for name, want := range map[string]bool{
			"Vary": true, "Etag": true, "V*": true, "Content-*": true, "C*": true, "*": true, "X-*": false, "Server-Timing": false, "Vary-*": false, "Ages": false,
		} {
			if got := Needed(name); got != want {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
	})
}
