package edgecache

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/mistake"
	"github.com/edgecache-go/edgecache/internal/rules"
	"github.com/edgecache-go/edgecache/internal/settings"
)

// Defaults of Config's zero fields.
const (
	DefaultMaxBytes           = settings.MaxBytes           // 64 MiB of memory
	DefaultTTL                = settings.TTL                // 2 minutes
	DefaultStaleIfUnreachable = settings.StaleIfUnreachable // 1 hour past its lifetime
	DefaultMaxWait            = settings.MaxWait            // 10 seconds
	DefaultMaxRefreshes       = settings.MaxRefreshes       // 64 at once
	DefaultStatusHeader       = settings.StatusHeader       // X-Cache
	DefaultStatusName         = settings.StatusName         // edgecache
)

// Config says how an [Edge] behaves. The zero value is safe and works: it caches in memory, shares
// nothing that a cookie or an Authorization stands behind, and obeys what responses say. A Config
// is read once, by [New].
//
// Durations that are 0 mean the documented default; negative ones are mistakes. Sizes are in bytes.
type Config struct {
	// MaxBytes is the memory budget: bodies, headers, keys and overhead together, and the bodies of
	// pages that are being made, which may take half of it. 0 means DefaultMaxBytes (64 MiB).
	//
	// A body that clients still read when it is evicted, replaced or purged is not part of it: see
	// [Stats.BytesPinned]. While those bodies are a quarter of MaxBytes or more, clients that have
	// taken less than 8 KiB/s are let go, and responses of more than 256 KiB are passed on and not
	// stored.
	MaxBytes int64

	// MaxObjectBytes is the largest response that is stored, header included. Larger ones stream
	// through. 0 means an eighth of MaxBytes, but not more than 8 to 16 MiB, or a 128th of MaxBytes
	// where that is more. More than 49 % of MaxBytes counts as that: a page and the one that
	// replaces it must fit. It is never more than 4 GiB.
	MaxObjectBytes int64

	// DefaultTTL is how long a response that says nothing about caching is fresh: GET 200; 203,
	// 301, 308, 404 and 410 for 30 seconds at most. 0 means DefaultTTL (2 minutes).
	DefaultTTL time.Duration

	// HeuristicMax bounds the lifetime that is inferred from Last-Modified: 10 % of the time since
	// (RFC 9111, 4.2.2); 203, 301, 308, 404 and 410 have 30 seconds at most. 0 means as long as the
	// DefaultTTL of this Config, so that no response lives longer than one that says nothing
	// without saying so itself.
	HeuristicMax time.Duration

	// ExplicitOnly stores only responses that give a lifetime or Last-Modified: DefaultTTL does not
	// apply.
	ExplicitOnly bool

	// StaleWhileRevalidate and StaleIfError are the windows of RFC 5861, 3 and 4, for responses
	// that do not name their own: how long past its lifetime a response is served while a new one
	// is made, or because that fails. They do nothing beside must-revalidate, proxy-revalidate,
	// s-maxage and no-cache, nor for a response whose own lifetime is 0. 0 means no window.
	StaleWhileRevalidate time.Duration
	StaleIfError         time.Duration

	// StaleIfUnreachable is how long past its lifetime a response may be served when the handler
	// breaks off without an answer (see OriginError), and neither must-revalidate,
	// proxy-revalidate, s-maxage nor no-cache forbids it (RFC 9111, 4.2.4). 0 means
	// DefaultStaleIfUnreachable (1 hour).
	StaleIfUnreachable time.Duration

	// MaxWait is how long a request waits for another one that is making the same page; then its
	// own handler runs, and its answer is not stored. 0 means DefaultMaxWait (10 seconds).
	MaxWait time.Duration

	// MaxRefreshes is how many handlers run in the background at once: to refresh responses that
	// are stale (RFC 5861, 3) or soon will be, and to try a handler that has failed several times
	// in a row. Beyond it the stale response is served without a refresh, and the refresh that was
	// left out gets the next free place. 0 means DefaultMaxRefreshes (64).
	MaxRefreshes int

	// StatusHeader is the name of the short status header. "" means X-Cache; "-" sends none.
	StatusHeader string

	// StatusName is what this cache calls itself in Cache-Status (RFC 9211). "" means edgecache;
	// "-" sends no Cache-Status.
	StatusName string

	// Except are requests in which the cache has no part, as patterns of http.ServeMux such as
	// "/healthz", "/debug/" or "GET admin.example.com/". They are passed on as they come, and their
	// answers are neither stored nor collapsed. Patterns match the request as the Edge gets it,
	// before any http.StripPrefix behind it; a host matches in any spelling, and must have no port.
	// nil means DefaultExcept; an empty slice means none. Unsafe methods still invalidate (RFC
	// 9111, 4.4). Metrics in the formats of Prometheus and OpenMetrics are not stored under any
	// path.
	Except []string

	// IgnoreCookies are the names of cookies that your server never reads; a trailing * matches any
	// rest. A request with only such cookies is treated as one without, also by Vary: Cookie, and
	// the handler of a fetch or refresh does not see them; requests that are passed on keep them.
	// Cookies such as lang or theme, by which the server makes another page, are not for this list:
	// all would get the page without. nil means DefaultIgnoreCookies.
	IgnoreCookies []string

	// IgnoreFields are the names of request fields that the application never reads, such as
	// "HX-Current-URL", which differs with the page that a visitor comes from; a trailing * matches
	// any rest, and an underscore counts as a dash. They neither separate responses nor identify
	// anybody, Vary or not. The handler of a fetch or refresh does not see them, so that nothing of
	// them can be in what others get; requests that are passed on keep them. Fields that frame a
	// request, carry what the cache acts on or say who asks, such as Cookie, Range and Host, are
	// mistakes. nil means none.
	IgnoreFields []string

	// CredentialHeaders are request fields that identify their sender, beside Authorization,
	// Cookie, those of DefaultCredentialHeaders, and all whose names say so: a part of the name,
	// between dashes, begins or ends with a word such as token, key, auth, user, session or tenant,
	// also in the plural, with digits behind it, or with "id" (X-Mytokens, X-Currentuserid). A
	// request with one of them is treated like one with a cookie, unless the value is blank. A name
	// that ends in * stands for all that begin so; an underscore counts as a dash. nil adds none.
	CredentialHeaders []string

	// InsecureOnlyCredentialHeaders makes CredentialHeaders the only fields that identify their
	// sender, beside Authorization and Cookie; none do if it is empty. It is for applications that
	// read fields with such a name and make the same page of all values. Start from
	// DefaultCredentialHeaders.
	InsecureOnlyCredentialHeaders bool

	// Personal says whether a request is one user's by what no field tells: the context of
	// authentication outside of the cache, of the connection, or the client's address. Such a
	// request is treated like one with a cookie.
	//
	// Personal is called with each request before anything is looked up, by Explain, and for the
	// request of a background refresh, which has the context values of the request that started it
	// but no address: if it says true then, there is no refresh. It must be quick and safe for
	// concurrent use. A panic counts as true, and goes to Logger. nil means that no request is. A
	// Store tells responses apart by whether there is a Personal, not by what it says: purge the
	// store when that changes.
	Personal func(*http.Request) bool

	// TargetedHeaders are response fields in the form of RFC 9213 that this cache obeys instead of
	// Cache-Control, most specific first. nil means CDN-Cache-Control.
	TargetedHeaders []string

	// DropHeaders are response fields that belong to one exchange, such as request ids: they are
	// not stored, so that only the client whose request made the response gets them. A trailing *
	// matches any rest. nil means DefaultDropHeaders; an empty list that is not nil drops nothing.
	DropHeaders []string

	// HideTags keeps tags from clients: Cache-Groups and Cache-Group-Invalidation (RFC 9875) are
	// read here, and not sent on, whether the response is stored or not. It is for tags that tell
	// too much, or that are many. A cache outside of this one does not see them either; of several
	// Edges in a row give it to the outermost.
	HideTags bool

	// HonorRequestDirectives lets clients steer the cache with Cache-Control and Pragma, as RFC
	// 9111, 5.2.1 allows: a reload, no-cache and max-age=0 run the handler, no-store keeps the
	// response from being stored, only-if-cached is answered 504 on a miss, no-transform is not
	// answered compressed. By default these fields do nothing, as in a CDN: a reload is a hit, and
	// the handler that makes a response to be stored does not see them.
	HonorRequestDirectives bool

	// StripSetCookie stores responses with Set-Cookie without that field, instead of not at all.
	// Only the client whose request made the page gets the cookie. The page itself must not depend
	// on it.
	StripSetCookie bool

	// InsecureShareCookies declares that request cookies are no credentials: pages made for one
	// visitor's cookies are shown to others. RFC 9111 allows it; hardly any site can. It also
	// restores RFC 9111, 3.5 in full: must-revalidate shares what was made for a request with an
	// Authorization.
	InsecureShareCookies bool

	// InsecureStoreSetCookie stores Set-Cookie and replays it to everybody, as RFC 9111, 7.3
	// allows. Visitors then share sessions.
	InsecureStoreSetCookie bool

	// Compress sends stored pages as br, zstd or gzip to clients that accept them. Each encoding is
	// made once for a page, in the background, when the first hit wants it, and counts in MaxBytes.
	// Pages that may be sent so say Vary: Accept-Encoding. Pages that are encoded already, say
	// no-transform, carry a digest or vary on Accept-Encoding by themselves are left alone. A page
	// that says public should not repeat what its visitor sent beside a secret: the length of a
	// compressed page tells about both (BREACH).
	Compress bool

	// Version is called with each request. It returns what the whole site depends on beside its
	// data, and pages with different values are kept apart: with Assets.Version, for instance, a
	// page that names the files of an earlier deploy is not served by the next one, out of a Store
	// or beside files that change. It must be quick, and its value short. nil means none.
	Version func() string

	// Store is an optional second-level cache. A memory miss reads it, for 50 ms at most, and it is
	// written in the background. Its pages survive the process only in a store with [Generations].
	// If it fails, that is a miss and an [Event], never an error. nil means none. Close the Edge
	// before the store.
	Store Store

	// StoreKey is a secret that the processes of one application share: 16 bytes or more, better 32
	// random ones. Names in the Store are derived from it, and values carry an HMAC-SHA256 under
	// it, over their names, too. So other writers to the Store can neither make a response
	// nor show one in the place of another, and applications with different keys never meet there.
	// They can still delete, refuse, undo a purge in the Store, or bring back a response
	// under its own name, until the time written inside of it is over, after 30 days at most.
	// Values are not encrypted.
	//
	// Under another key all that was stored is a miss, and purges do not reach values under the old
	// one: when a key changes, stop the old processes before the new ones serve, or accept that a
	// purge reaches half of them. nil means none: values then carry a checksum, which finds
	// accidents, and everyone who can write to the Store decides what clients see. A StoreKey
	// without a Store, and one that is empty, are mistakes. New keeps no reference to it.
	StoreKey []byte

	// Observer is called with each decision, in the goroutine that made it: for a request before
	// its header is written. It must be quick and safe for concurrent use. nil means none.
	Observer func(Event)

	// Logger gets what an operator should know: panics that no client sees, such as one in whose
	// place a stored page was served, and warnings, each once for a route and a cause, 1024 in all:
	// see [Warned]. nil means slog.Default.
	Logger *slog.Logger
}

// DefaultExcept returns the patterns that Config.Except has when it is nil: for what watches a
// program, and for its developers. The caller owns the slice.
func DefaultExcept() []string { return settings.DefaultExcept() }

// DefaultIgnoreCookies returns the cookies that Config.IgnoreCookies ignores when it is nil: those
// of common analytics and advertising scripts, of consent banners, and of load balancers and
// content delivery networks, none of which the application reads. The caller owns the slice.
func DefaultIgnoreCookies() []string { return settings.DefaultIgnoreCookies() }

// DefaultCredentialHeaders returns the request fields that identify their sender beside those of
// Config.CredentialHeaders: those by which applications and authenticating proxies commonly
// recognise their users. A name that ends in * stands for all that begin so. The caller owns the
// slice.
func DefaultCredentialHeaders() []string { return rules.DefaultCredentialFields() }

// DefaultDropHeaders returns the response fields that Config.DropHeaders names when it is nil: ids
// of requests and traces, rate limits, and how long the handler took. The caller owns the slice.
func DefaultDropHeaders() []string { return rules.DefaultDropFields() }

// A ConfigError is one mistake in a configuration. [New] joins all that it finds with errors.Join.
type ConfigError struct {
	Field  string // the field's name, with the struct's where it is not Config
	Value  any    // what it was
	Reason string // what would be right
}

// Error says which field is wrong, what it is, and what would be right.
func (e *ConfigError) Error() string {
	if s, ok := e.Value.(string); ok {
		return fmt.Sprintf("edgecache: %s is %q: %s", e.Field, s, e.Reason)
	}
	return fmt.Sprintf("edgecache: %s is %v: %s", e.Field, e.Value, e.Reason)
}

// configErrors joins mistakes, each a *ConfigError. It returns nil if there are none.
func configErrors(mistakes mistake.List) error {
	errs := make([]error, len(mistakes))
	for i := range mistakes {
		errs[i] = (*ConfigError)(&mistakes[i])
	}
	return errors.Join(errs...)
}

// resolve returns the configuration with its defaults filled in, or every mistake in it.
func (c Config) resolve() (Config, error) {
	resolved, mistakes := settings.Config[Store, Event](c).Resolve()
	return Config(resolved), configErrors(mistakes)
}

// rules returns what of a resolved configuration the pure decisions depend on.
func (c Config) rules() rules.Options {
	below := settings.Config[Store, Event](c)
	return below.Rules()
}
