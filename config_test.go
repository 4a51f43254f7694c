package edgecache_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/storetest"
)

func TestConfig(t *testing.T) {
	t.Run("each mistake is reported at once", eachMistakeIsReportedAtOnce)
	t.Run("mistakes name their field", mistakesNameTheirField)
	t.Run("errors keep secrets", errorsKeepSecrets)
	t.Run("a handler of nothing panics", aHandlerOfNothingPanics)
	t.Run("only a dash alone sends no status", onlyADashAloneSendsNoStatus)
}

// "-Vary" is a token, and no other field than itself.
func onlyADashAloneSendsNoStatus(t *testing.T) {
	edge, err := edgecache.New(edgecache.Config{StatusHeader: "-Vary"})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept-Language")
		w.WriteHeader(http.StatusOK)
	})).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, []string{"MISS"}, w.Header()["-Vary"])
	require.Equal(t, []string{"Accept-Language"}, w.Header()["Vary"])
}

func eachMistakeIsReportedAtOnce(t *testing.T) {
	_, err := edgecache.New(edgecache.Config{
		MaxBytes: -1, MaxObjectBytes: -1, DefaultTTL: -time.Second, HeuristicMax: -1, StaleWhileRevalidate: -1, StaleIfError: -1, StaleIfUnreachable: -1, MaxWait: -1, MaxRefreshes: -1,
		StatusHeader: "X Cache", StatusName: "edge cache", IgnoreCookies: []string{"_ga", "a b", "*"}, CredentialHeaders: []string{"X-Key:"}, TargetedHeaders: []string{""},
		StripSetCookie: true, InsecureStoreSetCookie: true, StoreKey: []byte("short"),
	})
	var fields []string
	for _, mistake := range err.(interface{ Unwrap() []error }).Unwrap() {
		var ce *edgecache.ConfigError
		require.ErrorAs(t, mistake, &ce)
		require.Contains(t, ce.Error(), "edgecache: "+ce.Field+" is ")
		require.Contains(t, ce.Reason, "want ")
		fields = append(fields, ce.Field)
	}
	require.ElementsMatch(t, []string{
		"MaxBytes", "MaxObjectBytes", "DefaultTTL", "HeuristicMax", "StaleWhileRevalidate", "StaleIfError", "StaleIfUnreachable", "MaxWait", "MaxRefreshes", "StatusHeader", "StatusName",
		"IgnoreCookies[1]", "IgnoreCookies[2]", "CredentialHeaders[0]", "TargetedHeaders[0]", "StripSetCookie", "StoreKey",
	}, fields)
}

func mistakesNameTheirField(t *testing.T) {
	tests := []struct {
		name  string
		cfg   edgecache.Config
		field string // "" for none
	}{
		{"the zero value is right", edgecache.Config{}, ""},
		{"the smallest budget", edgecache.Config{MaxBytes: 64 << 10}, ""},
		{"one byte less", edgecache.Config{MaxBytes: 64<<10 - 1}, "MaxBytes"},
		{"an object as large as the budget", edgecache.Config{MaxBytes: 1 << 20, MaxObjectBytes: 1 << 20}, ""},
		{"and larger", edgecache.Config{MaxBytes: 1 << 20, MaxObjectBytes: 1<<20 + 1}, "MaxObjectBytes"},
		{"larger than the default budget", edgecache.Config{MaxObjectBytes: 1 << 30}, "MaxObjectBytes"},
		{"a lifetime that is switched off", edgecache.Config{ExplicitOnly: true, DefaultTTL: time.Minute}, "DefaultTTL"},
		{"no short status", edgecache.Config{StatusHeader: "-", StatusName: "-"}, ""},
		{"a status in a field that means something", edgecache.Config{StatusHeader: "age"}, "StatusHeader"},
		{"or describes the content", edgecache.Config{StatusHeader: "Content-Type"}, "StatusHeader"},
		{"a name that would need quotes", edgecache.Config{StatusName: "1st"}, "StatusName"},
		{"a cookie by its beginning", edgecache.Config{IgnoreCookies: []string{"_ga_*"}}, ""},
		{"no cookie ignored", edgecache.Config{IgnoreCookies: []string{}}, ""},
		{"a star in the middle", edgecache.Config{IgnoreCookies: []string{"a*b"}}, "IgnoreCookies[0]"},
		{"the shortest key of a store", edgecache.Config{Store: storetest.NewMap(), StoreKey: make([]byte, 16)}, ""},
		{"one byte less", edgecache.Config{Store: storetest.NewMap(), StoreKey: make([]byte, 15)}, "StoreKey"},
		{"a key that was not set", edgecache.Config{Store: storetest.NewMap(), StoreKey: []byte{}}, "StoreKey"},
		{"a key without a store", edgecache.Config{StoreKey: make([]byte, 32)}, "StoreKey"},
		{"a dropped field by its beginning", edgecache.Config{DropHeaders: []string{"x-b3-*", "Server-Timing"}}, ""},
		{"no field dropped", edgecache.Config{DropHeaders: []string{}}, ""},
		{"every field dropped", edgecache.Config{DropHeaders: []string{"*"}}, "DropHeaders[0]"},
		{"a dropped field that is none", edgecache.Config{DropHeaders: []string{"X-A", "X B"}}, "DropHeaders[1]"},
		{"a dropped field with a star in the middle", edgecache.Config{DropHeaders: []string{"X-*-Id"}}, "DropHeaders[0]"},
		{"a dropped field that a cache needs", edgecache.Config{DropHeaders: []string{"vary"}}, "DropHeaders[0]"},
		{"dropped fields among which a cache needs some", edgecache.Config{DropHeaders: []string{"Cont*"}}, "DropHeaders[0]"},
		{"an empty cookie name", edgecache.Config{IgnoreCookies: []string{""}}, "IgnoreCookies[0]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := edgecache.New(tt.cfg)
			if tt.field == "" {
				require.NoError(t, err)
				return
			}
			var ce *edgecache.ConfigError
			require.ErrorAs(t, err, &ce)
			require.Equal(t, tt.field, ce.Field)
		})
	}
}

// They end in logs.
func errorsKeepSecrets(t *testing.T) {
	_, err := edgecache.New(edgecache.Config{Store: storetest.NewMap(), StoreKey: []byte("secret")})
	require.EqualError(t, err, "edgecache: StoreKey is 6 bytes long: want at least 16 bytes, better 32 random ones, or nil for none")
	require.NotContains(t, fmt.Sprintf("%+v", err.(interface{ Unwrap() []error }).Unwrap()), "secret")
}

func aHandlerOfNothingPanics(t *testing.T) {
	edge, err := edgecache.New(edgecache.Config{})
	require.NoError(t, err)
	require.PanicsWithValue(t, "edgecache: Handler needs a handler to wrap, got nil", func() { edge.Handler(nil) })
}
