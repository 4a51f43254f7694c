// Package settings checks a configuration, reports all of its mistakes, and fills in its defaults.
package settings

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/mistake"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// Defaults of Config's zero fields.
const (
	MaxBytes           = 64 << 20
	TTL                = 2 * time.Minute
	StaleIfUnreachable = 1 * time.Hour
	MaxWait            = 10 * time.Second
	MaxRefreshes       = 64
	StatusHeader       = "X-Cache"
	StatusName         = "edgecache"
)

const (
	// minStoreKey is the length of the shortest StoreKey, in bytes. A shorter one could be guessed.
	minStoreKey = 16

	// minMaxBytes is the smallest memory budget: below it not even one small response with its
	// overhead fits reliably.
	minMaxBytes = 64 << 10
)

// A Config has the same fields as the public Config, which documents them, so that one converts to
// the other. Store and Event are types of the root package, which this one cannot import.
type Config[Store, Event any] struct {
	MaxBytes                      int64
	MaxObjectBytes                int64
	DefaultTTL                    time.Duration
	HeuristicMax                  time.Duration
	ExplicitOnly                  bool
	StaleWhileRevalidate          time.Duration
	StaleIfError                  time.Duration
	StaleIfUnreachable            time.Duration
	MaxWait                       time.Duration
	MaxRefreshes                  int
	StatusHeader                  string
	StatusName                    string
	Except                        []string
	IgnoreCookies                 []string
	IgnoreFields                  []string
	CredentialHeaders             []string
	InsecureOnlyCredentialHeaders bool
	Personal                      func(*http.Request) bool
	TargetedHeaders               []string
	DropHeaders                   []string
	HideTags                      bool
	HonorRequestDirectives        bool
	StripSetCookie                bool
	InsecureShareCookies          bool
	InsecureStoreSetCookie        bool
	Compress                      bool
	Version                       func() string
	Store                         Store
	StoreKey                      []byte
	Observer                      func(Event)
	Logger                        *slog.Logger
}

// Resolve returns the configuration with its defaults filled in and its names in canonical
// spelling, and all mistakes in it. All slices of the result but StoreKey are copies.
func (c Config[Store, Event]) Resolve() (Config[Store, Event], mistake.List) {
	var l list
	c.resolveSizes(&l)
	c.resolveTimes(&l)
	c.StatusHeader = l.statusHeader(c.StatusHeader)
	c.StatusName = l.statusName(c.StatusName)
	c.TargetedHeaders = l.targeted(c.TargetedHeaders)
	c.CredentialHeaders = l.credentials(c.CredentialHeaders)
	if !c.InsecureOnlyCredentialHeaders {
		c.CredentialHeaders = append(c.CredentialHeaders, rules.DefaultCredentialFields()...)
	}
	c.Except = l.except(c.Except)
	c.IgnoreCookies = l.ignoredCookies(c.IgnoreCookies)
	c.IgnoreFields = l.ignoredFields(c.IgnoreFields)
	c.DropHeaders = l.dropped(c.DropHeaders)
	if c.StripSetCookie && c.InsecureStoreSetCookie {
		l.Add("StripSetCookie", true, "want only one of StripSetCookie and InsecureStoreSetCookie")
	}
	switch n := len(c.StoreKey); {
	case c.StoreKey != nil && n < minStoreKey:
		l.Add("StoreKey", secret(n), fmt.Sprintf("want at least %d bytes, better 32 random ones, or nil for none", minStoreKey))
	case c.StoreKey != nil && any(c.Store) == nil:
		l.Add("StoreKey", secret(n), "want nil without Store, whose values it proves")
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, l.List
}

// secret is the Value of a mistake in a secret: only its length, in bytes.
type secret int

func (n secret) String() string { return fmt.Sprintf("%d bytes long", int(n)) }

func (c *Config[_, _]) resolveSizes(l *list) {
	switch {
	case c.MaxBytes < 0:
		l.Add("MaxBytes", c.MaxBytes, "want 0 (default) or more")
	case c.MaxBytes == 0:
		c.MaxBytes = MaxBytes
	case c.MaxBytes < minMaxBytes:
		l.Add("MaxBytes", c.MaxBytes, fmt.Sprintf("want at least %d bytes, or 0 (default)", minMaxBytes))
	}
	switch {
	case c.MaxObjectBytes < 0:
		l.Add("MaxObjectBytes", c.MaxObjectBytes, "want 0 (default) or more")
	case c.MaxBytes > 0 && c.MaxObjectBytes > c.MaxBytes:
		l.Add("MaxObjectBytes", c.MaxObjectBytes, fmt.Sprintf("want at most MaxBytes, which is %d", c.MaxBytes))
	}
}

func (c *Config[_, _]) resolveTimes(l *list) {
	if c.ExplicitOnly && c.DefaultTTL != 0 {
		l.Add("DefaultTTL", c.DefaultTTL, "want 0 together with ExplicitOnly, which switches it off")
	}
	l.duration("DefaultTTL", &c.DefaultTTL, TTL)
	l.duration("HeuristicMax", &c.HeuristicMax, c.DefaultTTL)
	l.duration("StaleIfUnreachable", &c.StaleIfUnreachable, StaleIfUnreachable)
	l.duration("MaxWait", &c.MaxWait, MaxWait)
	switch {
	case c.MaxRefreshes < 0:
		l.Add("MaxRefreshes", c.MaxRefreshes, "want 0 (default) or more")
	case c.MaxRefreshes == 0:
		c.MaxRefreshes = MaxRefreshes
	}
	l.duration("StaleWhileRevalidate", &c.StaleWhileRevalidate, 0)
	l.duration("StaleIfError", &c.StaleIfError, 0)
}

// Rules returns the part of a resolved configuration that package rules depends on.
func (c *Config[_, _]) Rules() rules.Options {
	options := rules.Options{
		DefaultTTL:             c.DefaultTTL,
		HeuristicMax:           c.HeuristicMax,
		ExplicitOnly:           c.ExplicitOnly,
		InsecureShareCookies:   c.InsecureShareCookies,
		InsecureStoreSetCookie: c.InsecureStoreSetCookie,
		StripSetCookie:         c.StripSetCookie,
		HonorRequestDirectives: c.HonorRequestDirectives,
		IgnoreCookies:          c.IgnoreCookies,
		IgnoreFields:           c.IgnoreFields,
		CredentialFields:       c.CredentialHeaders,
		OnlyCredentialFields:   c.InsecureOnlyCredentialHeaders,
		Personal:               c.Personal != nil,
		TargetedFields:         c.TargetedHeaders,
		DropFields:             c.DropHeaders,
		MaxStaleUnreachable:    c.StaleIfUnreachable,
		StaleWhileRevalidate:   c.StaleWhileRevalidate,
		StaleIfError:           c.StaleIfError,
	}
	return options.Indexed()
}
