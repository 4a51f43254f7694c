package edgecache_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

// What a handler cannot mean reaches the observer, and a restriction that comes too late still keeps the page from the next visitor.
func TestWarnings(t *testing.T) {
	write := func(w http.ResponseWriter) { fmt.Fprint(w, "page") }
	for _, row := range []struct {
		name    string
		handler http.HandlerFunc
		warning string // "" is none
		kept    bool
	}{
		{"nothing odd", func(w http.ResponseWriter, _ *http.Request) {
			edgecache.MaxAge(w, time.Minute)
			write(w)
		}, "", true},
		{"NoStore after the first byte", func(w http.ResponseWriter, _ *http.Request) {
			write(w)
			edgecache.NoStore(w)
		}, "after the first byte", false},
		{"Private after the first byte", func(w http.ResponseWriter, _ *http.Request) {
			edgecache.MaxAge(w, time.Minute)
			write(w)
			edgecache.Private(w)
		}, "after the first byte", false},
		{"NoCache after the first byte", func(w http.ResponseWriter, _ *http.Request) {
			write(w)
			edgecache.NoCache(w)
		}, "after the first byte", false},
		{"NoStore after WriteHeader", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			edgecache.NoStore(w)
			write(w)
		}, "after the first byte", false},
		{"a lifetime after the first byte", func(w http.ResponseWriter, _ *http.Request) {
			write(w)
			edgecache.MaxAge(w, time.Minute)
		}, "after the first byte", true},
		{"another field after the first byte", func(w http.ResponseWriter, _ *http.Request) {
			write(w)
			w.Header().Set("X-Trace", "1")
		}, "", true},
		{"NoStore in time, and once more", func(w http.ResponseWriter, _ *http.Request) {
			edgecache.NoStore(w)
			write(w)
			edgecache.NoStore(w)
		}, "", false},
		{"MaxAge in seconds that are nanoseconds", func(w http.ResponseWriter, _ *http.Request) {
			edgecache.MaxAge(w, 60)
			write(w)
		}, "60*time.Second", false},
		{"EdgeMaxAge in seconds that are nanoseconds", func(w http.ResponseWriter, _ *http.Request) {
			edgecache.EdgeMaxAge(w, 3600)
			write(w)
		}, "3600*time.Second", false},
		{"a window in seconds that are nanoseconds", func(w http.ResponseWriter, _ *http.Request) {
			edgecache.MaxAge(w, time.Minute)
			edgecache.StaleIfError(w, 30)
			write(w)
		}, "30*time.Second", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			var warnings []string
			s := newSite(t, edgecache.Config{Observer: func(ev edgecache.Event) {
				if ev.Kind == edgecache.Warned {
					warnings = append(warnings, ev.Err.Error())
				}
			}}, row.handler)
			require.Equal(t, 200, s.get("/").StatusCode)
			if row.warning == "" && len(warnings) > 0 || row.warning != "" && (len(warnings) != 1 || !strings.Contains(warnings[0], row.warning)) {
				t.Errorf("got warnings %q, want one of %q", warnings, row.warning)
			}
			if kept := s.get("/").Header.Get("X-Cache") == "HIT"; kept != row.kept {
				t.Errorf("kept %v, want %v", kept, row.kept)
			}
		})
	}
}
