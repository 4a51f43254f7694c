package engine

import (
	"log/slog"
	"time"

	"github.com/edgecache-go/edgecache/internal/rules"
)

// newDefault returns an engine for tests that look inside of one. Its configuration is about that
// of the public Config{}.
func newDefault() *Engine {
	options := rules.Options{
		DefaultTTL: 2 * time.Minute, HeuristicMax: 2 * time.Minute, MaxStaleUnreachable: time.Hour,
		CredentialFields: rules.DefaultCredentialFields(), TargetedFields: []string{"Cdn-Cache-Control"},
		DropFields: rules.DefaultDropFields(),
	}
	return New(Config{
		MaxBytes: 64 << 20, MaxWait: 10 * time.Second, MaxRefreshes: 64,
		StatusHeader: "X-Cache", StatusName: "edgecache", Rules: options.Indexed(), Logger: slog.Default(),
	})
}
