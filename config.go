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
	DefaultStaleIfUnreachable = settings.StaleIfUnreachable // 1 hour after the response became stale
	DefaultMaxWait            = settings.MaxWait            // 10 seconds
	DefaultMaxRefreshes       = settings.MaxRefreshes       // 64 at once
	DefaultStatusHeader       = settings.StatusHeader       // X-Cache
	DefaultStatusName         = settings.StatusName         // edgecache
)

// Config says how an [Edge] behaves. The zero value is safe and works: it caches in memory, obeys
// the header of each response, and shares the response to a request with a cookie or an
// Authorization only if that header allows it. [New] reads a Config once; later changes to it have
// no effect.
//
// A duration of 0 means the documented default. A negative one is a mistake, and so is one below a
// millisecond, since 60 is 60 nanoseconds. Sizes are in bytes.
type Config struct {
	// MaxBytes is the memory budget: stored bodies with their encodings, headers, keys and overhead.
	// It includes bodies that handlers are still writing, which may take half of it. 0 means
	// DefaultMaxBytes (64 MiB). The least is 64 KiB.
	//
	// A body that is evicted, replaced or purged while clients still read it is not included: see
	// [MemoryStats].BytesPinned. While such bodies take a quarter of MaxBytes or more, clients that
	// read less than 8 KiB/s are disconnected, and responses of more than 256 KiB are passed
	// through and not stored.
	MaxBytes int64

	// MaxObjectBytes is the largest response that is stored, header included. A larger one is
	// streamed to its client and not stored. 0 means an eighth of MaxBytes, but at most 8 to 16 MiB
	// (depending on MaxBytes), or a 128th of MaxBytes if that is more. More than 49 % of MaxBytes
	// counts as 49 %, since a response and its replacement must both fit; more than MaxBytes is a
	// mistake. It is never more than 4 GiB.
	MaxObjectBytes int64

	// DefaultTTL is how long a response is fresh that says nothing about caching and has the status
	// 200. With the status 203, 301, 308, 404 or 410 it is fresh for 30 seconds at most. 0 means
	// the constant DefaultTTL (2 minutes).
	DefaultTTL time.Duration

	// HeuristicMax bounds the lifetime that is inferred from Last-Modified, which is 10 % of the
	// time since then (RFC 9111, 4.2.2). With the status 203, 301, 308, 404 or 410 the bound is 30
	// seconds at most. 0 means the same as DefaultTTL of this Config, so that Last-Modified does
	// not make a response live longer than saying nothing does.
	HeuristicMax time.Duration

	// ExplicitOnly stores only responses that give a lifetime or Last-Modified. DefaultTTL must then
	// be 0.
	ExplicitOnly bool

	// StaleWhileRevalidate and StaleIfError are windows after a response has become stale (RFC 5861,
	// 3 and 4). They apply to responses that do not name their own. In the first, the stale
	// response is served while the handler renders a new one. In the second, it is served if that
	// fails. Both do nothing for a response with must-revalidate, proxy-revalidate, s-maxage or
	// no-cache, or whose own lifetime is 0. 0 means no window.
	StaleWhileRevalidate time.Duration
	StaleIfError         time.Duration

	// StaleIfUnreachable is how long after a response has become stale it may be served because the
	// handler breaks off without a response, or says [OriginError]. must-revalidate,
	// proxy-revalidate, s-maxage and no-cache forbid that (RFC 9111, 4.2.4). 0 means
	// DefaultStaleIfUnreachable (1 hour).
	StaleIfUnreachable time.Duration

	// MaxWait is how long a request waits for another one that already fetches the same response.
	// After that it runs the handler itself, and that response is not stored. 0 means
	// DefaultMaxWait (10 seconds).
	MaxWait time.Duration

	// MaxRefreshes is how many handlers run in the background at once. They refresh responses that
	// are stale (RFC 5861, 3) or will be soon, and retry a handler that has failed several times in
	// a row. Beyond the limit the stale response is served without a refresh, and its refresh gets
	// the next free place. 0 means DefaultMaxRefreshes (64).
	MaxRefreshes int

	// StatusHeader is the name of the response field that carries [Status] as one word, such as HIT.
	// "" means X-Cache; "-" sends no such field.
	StatusHeader string

	// StatusName is the name of this cache in Cache-Status (RFC 9211). "" means edgecache; "-" sends
	// no Cache-Status.
	StatusName string

	// Except lists requests that bypass the cache, as patterns of http.ServeMux such as "/healthz",
	// "/debug/" or "GET admin.example.com/". They are passed to the handler unchanged, and their
	// responses are neither stored nor collapsed; unsafe methods still invalidate (RFC 9111, 4.4).
	// nil means DefaultExcept; an empty slice means none.
	//
	// Patterns match the request as the Edge gets it, before any http.StripPrefix inside. Hosts
	// match in any spelling, and must have no port. Metrics in the formats of Prometheus and
	// OpenMetrics are never stored, whatever their path.
	Except []string

	// IgnoreCookies are the names of cookies that your server never reads; a trailing * matches any
	// rest. A request with only such cookies counts as one without cookies, also for Vary: Cookie.
	// The handler of a fetch or refresh does not see them; requests that are passed through keep
	// them. nil means DefaultIgnoreCookies.
	//
	// Do not list a cookie that changes what the server renders, such as lang or theme: all clients
	// would get the response for requests without it.
	IgnoreCookies []string

	// IgnoreFields are the names of request fields that the application never reads, such as
	// "HX-Current-URL", which names the page that a visitor comes from. A trailing * matches any
	// rest, and an underscore counts as a dash. nil means none.
	//
	// These fields do not make a request credentialed, and do not separate responses, even if Vary
	// names them. The handler of a fetch or refresh does not see them, so its response cannot
	// contain them; requests that are passed through keep them. Fields that frame a request, that
	// the cache acts on, or that identify the sender, such as Cookie, Range and Host, are mistakes.
	IgnoreFields []string

	// CredentialHeaders are more request fields that identify the sender. A request with one of them
	// is treated like one with a cookie, unless the value is blank. A trailing * matches any rest,
	// and an underscore counts as a dash. nil adds none.
	//
	// These identify the sender without being listed: Authorization, Cookie, those of
	// DefaultCredentialHeaders, and every field whose name says so. It says so if a part of it,
	// between dashes, begins or ends with a word such as token, key, auth, user, session or tenant,
	// also in the plural, followed by digits, or followed by "id" (X-Mytokens, X-Currentuserid).
	CredentialHeaders []string

	// InsecureOnlyCredentialHeaders makes CredentialHeaders, Authorization and Cookie the only
	// fields that identify the sender; with no CredentialHeaders, only the last two do. It is for
	// applications that read fields with such a name and render the same for all values. Start from
	// DefaultCredentialHeaders.
	InsecureOnlyCredentialHeaders bool

	// Personal reports whether a request belongs to one user by something that no field shows: the
	// context of authentication outside of the cache, the connection, or the client's address. Such
	// a request is treated like one with a cookie. nil means that no request is.
	//
	// Personal is called for each request before anything is looked up, and by Explain. It must be
	// quick and safe for concurrent use. If it panics, that counts as true and goes to Logger. It is
	// also called for the request of a background refresh, which has the context values of the
	// request that started it but no address; if it returns true, there is no refresh. A Store
	// separates responses by whether there is a Personal, not by what it returns: purge the store
	// when that changes.
	Personal func(*http.Request) bool

	// TargetedHeaders are response fields in the form of RFC 9213 that this cache obeys instead of
	// Cache-Control, most specific first: the first that a response has, and that can be read,
	// counts. nil means CDN-Cache-Control.
	TargetedHeaders []string

	// DropHeaders are response fields that belong to one exchange, such as request ids. They are not
	// stored, so only the client whose request ran the handler gets them. A trailing * matches any
	// rest. nil means DefaultDropHeaders; an empty slice that is not nil drops nothing.
	DropHeaders []string

	// HideTags keeps tags from clients: Cache-Groups and Cache-Group-Invalidation (RFC 9875) are
	// read here and not sent on, whether or not the response is stored. It is for tags that reveal
	// too much, or that are many. A cache outside of this one does not see them either, so of
	// several Edges in a row set it on the outermost only.
	HideTags bool

	// HonorRequestDirectives lets clients steer the cache with Cache-Control and Pragma, as RFC
	// 9111, 5.2.1 allows. Then a reload, no-cache and max-age=0 run the handler, no-store keeps the
	// response from being stored, only-if-cached gets a 504 on a miss, and no-transform gets no
	// compressed response. By default these fields do nothing, as in a CDN: a reload is a hit, and
	// the handler does not see them when its response may be stored.
	HonorRequestDirectives bool

	// StripSetCookie stores a response with Set-Cookie without that field, instead of not at all.
	// Only the client whose request ran the handler gets the cookie. The rest of the response must
	// not depend on it.
	StripSetCookie bool

	// InsecureShareCookies declares that request cookies are no credentials: a response rendered for
	// one visitor's cookies is served to others. RFC 9111 allows it; hardly any site can. It also
	// applies RFC 9111, 3.5 in full: must-revalidate shares a response to a request with an
	// Authorization.
	InsecureShareCookies bool

	// InsecureStoreSetCookie stores Set-Cookie and replays it to all clients, as RFC 9111, 7.3
	// allows. Visitors then share sessions.
	InsecureStoreSetCookie bool

	// Compress sends stored responses as br, zstd or gzip to clients that accept them, with Vary:
	// Accept-Encoding. Each encoding is made once per stored response, in the background, when the
	// first hit asks for it. It counts in MaxBytes. A response is left alone if it is already
	// encoded, says no-transform, carries a digest, or varies on Accept-Encoding by itself.
	//
	// A response that says public must not repeat what its visitor sent next to a secret: the length
	// of the compressed response reveals something about both (BREACH).
	Compress bool

	// Version returns what the whole site depends on besides its data; responses with different
	// versions are kept apart. With [Assets.Version], for instance, a response that names the files
	// of an earlier deploy is not served by the next one, from a Store or beside files that change.
	// It is called for each request, must be quick and safe for concurrent use, and its result must
	// be short. nil means none.
	Version func() string

	// Store is an optional second-level cache, consulted on a memory miss for 50 ms at most, and
	// written in the background. Responses survive the process only in a store with [Generations].
	// If the store fails, that is a miss and an [Event], never an error. Close the Edge before the
	// store. nil means none.
	Store Store

	// StoreKey is a secret that the processes of one application share: 16 bytes or more, better 32
	// random ones. Names in the Store are derived from it, and each value carries an HMAC-SHA256
	// over itself and its name. So other writers to the Store can neither forge a response nor show
	// one under another name, and applications with different keys never see each other's. They can
	// still delete or withhold a response, undo a purge in the Store, or bring back a response under
	// its own name until the time written inside it has passed, which takes 30 days at most. Values
	// are not encrypted.
	//
	// With a new key, everything stored under the old one is a miss, and purges do not reach it. So
	// stop all processes with the old key before you start those with the new one, or accept that a
	// purge reaches only half of them in between.
	//
	// nil means no key: values then carry a checksum, which only finds accidents, and anyone who can
	// write to the Store decides what clients see. An empty StoreKey that is not nil, and a StoreKey
	// without a Store, are mistakes. New keeps no reference to the slice.
	StoreKey []byte

	// Observer is called for each decision, in the goroutine that made it; for a request that is
	// before its header is written. It must be quick and safe for concurrent use. If it panics, that
	// is logged and has no other effect. nil means none.
	Observer func(Event)

	// Logger gets what an operator should know: panics that no client sees, for instance because a
	// stale response was served instead, and warnings (see [Warned]), each once for a route and a
	// cause, 1024 in all. nil means slog.Default.
	Logger *slog.Logger
}

// DefaultExcept returns the patterns that a nil Config.Except means: health checks, metrics and
// debugging pages. The caller owns the slice.
func DefaultExcept() []string { return settings.DefaultExcept() }

// DefaultIgnoreCookies returns the cookies that a nil Config.IgnoreCookies means: those of common
// analytics and advertising scripts, consent banners, load balancers and content delivery networks,
// none of which an application reads. The caller owns the slice.
func DefaultIgnoreCookies() []string { return settings.DefaultIgnoreCookies() }

// DefaultCredentialHeaders returns the request fields that identify the sender beside those of
// Config.CredentialHeaders: the ones by which applications and authenticating proxies commonly
// recognise their users. A trailing * matches any rest. The caller owns the slice.
func DefaultCredentialHeaders() []string { return rules.DefaultCredentialFields() }

// DefaultDropHeaders returns the response fields that a nil Config.DropHeaders means: ids of
// requests and traces, rate limits, and how long the handler took. A trailing * matches any rest.
// The caller owns the slice.
func DefaultDropHeaders() []string { return rules.DefaultDropFields() }

// A ConfigError is one mistake in a configuration: a [Config], a [Policy], the patterns of
// [Routes], or [StaticOptions]. Functions that check one report all of its mistakes, joined with
// errors.Join; errors.As finds the first.
type ConfigError struct {
	Field  string // the field's name, with its struct's name if that is not Config
	Value  any    // the value that is wrong; for a secret, only its length
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
