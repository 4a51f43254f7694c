package edgecache

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/mistake"
	"github.com/edgecache-go/edgecache/internal/pattern"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// Defaults of Config's zero fields.
const (
	DefaultMaxBytes           = 64 << 20        // of memory
	DefaultTTL                = 2 * time.Minute // for a page that says nothing
	DefaultStaleIfUnreachable = 1 * time.Hour   // past its lifetime
	DefaultMaxWait            = 10 * time.Second
	DefaultMaxRefreshes       = 64 // at once
	DefaultStatusHeader       = "X-Cache"
	DefaultStatusName         = "edgecache"
)

// minStoreKey is the shortest StoreKey, in bytes: no shorter one is safe from being guessed.
const minStoreKey = 16

// minMaxBytes is the smallest memory budget: below it not even one small page with its overhead fits reliably.
const minMaxBytes = 64 << 10

// Config says how an [Edge] behaves. The zero value is safe and works: it caches in memory, shares nothing that a
// cookie or an Authorization stands behind, and obeys what responses say. A Config is read once, by [New].
//
// Durations that are 0 mean the documented default; negative ones are mistakes. Sizes are in bytes.
type Config struct {
	// MaxBytes is the memory budget: bodies, headers, keys and overhead together, and the bodies of pages that are being
	// made, which may take half of it. 0 means DefaultMaxBytes (64 MiB).
	//
	// What clients still read when it is evicted, replaced or purged is not part of it: see [Stats.BytesPinned]. While
	// that is a quarter of MaxBytes or more, clients that have taken less than 8 KiB/s are let go, and responses of more
	// than 256 KiB are passed on and not stored.
	MaxBytes int64

	// MaxObjectBytes is the largest response that is stored, header included. Larger ones stream through. 0 means an
	// eighth of MaxBytes, but not more than 8 to 16 MiB, or a 128th of MaxBytes where that is more. More than 49 % of
	// MaxBytes counts as that: a page and the one that replaces it must fit. It is never more than 4 GiB.
	MaxObjectBytes int64

	// DefaultTTL is how long a response that says nothing about caching is fresh: GET 200; 203, 301, 308, 404
	// and 410 for 30 seconds at most. 0 means DefaultTTL (2 minutes).
	DefaultTTL time.Duration

	// HeuristicMax bounds the lifetime that is inferred from Last-Modified: 10 % of the time since (RFC 9111, 4.2.2);
	// 203, 301, 308, 404 and 410 have 30 seconds at most. 0 means as long as the DefaultTTL of this Config, so that no
	// response lives longer than one that says nothing without saying so itself.
	HeuristicMax time.Duration

	// ExplicitOnly stores nothing for which the response does not give a lifetime or Last-Modified: DefaultTTL does not apply.
	ExplicitOnly bool

	// StaleWhileRevalidate and StaleIfError are the windows of RFC 5861, 3 and 4, for responses that do not name their own:
	// how long past its lifetime a response is served while it is made anew, or because that fails. They do nothing beside
	// must-revalidate, proxy-revalidate, s-maxage and no-cache, nor for a response whose own lifetime is 0. 0 means no window.
	StaleWhileRevalidate time.Duration
	StaleIfError         time.Duration

	// StaleIfUnreachable is how long past its lifetime a response may be served when the handler breaks off without an
	// answer (see OriginError), and neither must-revalidate, proxy-revalidate, s-maxage nor no-cache forbids it
	// (RFC 9111, 4.2.4). 0 means DefaultStaleIfUnreachable (1 hour).
	StaleIfUnreachable time.Duration

	// MaxWait is how long a request waits for another one that is making the same page; then its own handler runs, and
	// its answer is not stored. 0 means DefaultMaxWait (10 seconds).
	MaxWait time.Duration

	// MaxRefreshes is how many handlers run in the background at once: to refresh stale responses (RFC 5861, 3), or those
	// whose end is near, and to try a handler that has failed several times in a row. Beyond it the stale response is
	// served without a refresh, and what was passed over gets the next free place. 0 means DefaultMaxRefreshes (64).
	MaxRefreshes int

	// StatusHeader is the name of the short status header. "" means X-Cache; "-" sends none.
	StatusHeader string

	// StatusName is how this cache calls itself in Cache-Status (RFC 9211). "" means edgecache; "-" sends no Cache-Status.
	StatusName string

	// Except are requests in which the cache has no part, as patterns of http.ServeMux such as "/healthz", "/debug/" or
	// "GET admin.example.com/": they are passed on as they come, and their answers are neither stored nor collapsed. They are
	// matched against the request as the Edge gets it, before any http.StripPrefix behind it; a host matches however it is
	// spelled, and must have no port. nil means DefaultExcept; an empty slice means none. Unsafe methods still invalidate (RFC 9111, 4.4). Metrics in the formats of Prometheus and
	// OpenMetrics are not stored under any path.
	Except []string

	// IgnoreCookies are the names of cookies that your server never reads; a trailing * matches any rest. A request with
	// only such cookies is treated as one without, also by Vary: Cookie, and they are taken off the request that the
	// handler of a fetch or refresh sees; what is passed on keeps them. Cookies such as lang or theme, by which
	// the server makes another page, are not for this list: all would get the page without. nil means DefaultIgnoreCookies.
	IgnoreCookies []string

	// IgnoreFields are the names of request fields that the application never reads, such as "HX-Current-URL", which
	// differs with the page that a visitor comes from; a trailing * matches any rest, and an underscore counts as a dash.
	// They neither separate responses nor identify anybody, Vary or not, and are taken off the request that the handler of
	// a fetch or refresh sees, so that nothing of them can be in what others get; what is passed on keeps them. Fields that
	// frame a request, carry what the cache acts on or say who asks, such as Cookie, Range and Host, are mistakes. nil
	// means none.
	IgnoreFields []string

	// CredentialHeaders are request fields that identify their sender, beside Authorization, Cookie,
	// those of DefaultCredentialHeaders, and all whose names say so: a part of the name, between
	// dashes, begins or ends with a word such as token, key, auth, user, session or tenant, also in
	// the plural, with digits behind it, or with "id" (X-Mytokens, X-Currentuserid). A request
	// with one of them is treated like one with a cookie, unless the value is blank. A name that ends
	// in * stands for all that begin so; an underscore counts as a dash. nil adds none.
	CredentialHeaders []string

	// InsecureOnlyCredentialHeaders makes CredentialHeaders the only fields that identify their
	// sender, beside Authorization and Cookie; none do if it is empty. It is for applications that
	// read fields with such a name and make the same page of all values. Start from
	// DefaultCredentialHeaders.
	InsecureOnlyCredentialHeaders bool

	// Personal says whether a request is one user's by what no field tells: the context of
	// authentication outside of the cache, of the connection, or the client's address. Such a request
	// is treated like one with a cookie. Personal is asked with each request before anything is looked
	// up, by Explain, and for the request of a background refresh, which has the context values of the
	// request that started it but no address: if it says true then, there is no refresh. It must be
	// quick and safe for concurrent use. A panic counts as true, and goes to Logger. nil means that
	// none is. What a Store holds is told apart by whether there is a Personal, not by what it says:
	// purge the store when that changes.
	Personal func(*http.Request) bool

	// TargetedHeaders are response fields in the form of RFC 9213 that this cache obeys instead of Cache-Control, most
	// specific first. nil means CDN-Cache-Control.
	TargetedHeaders []string

	// DropHeaders are response fields that belong to one exchange, such as request ids: they are not stored, so that only
	// the client whose request made the response gets them. A trailing * matches any rest. nil means DefaultDropHeaders; an
	// empty list that is not nil drops nothing.
	DropHeaders []string

	// HideTags keeps tags from clients: Cache-Groups and Cache-Group-Invalidation (RFC 9875) are read here, and not sent
	// on, whether the response is stored or not. It is for tags that tell too much, or that are many. A cache outside of
	// this one does not see them either; of several Edges in a row give it to the outermost.
	HideTags bool

	// HonorRequestDirectives lets clients steer the cache with Cache-Control and Pragma, as RFC 9111, 5.2.1 allows: a
	// reload, no-cache and max-age=0 run the handler, no-store keeps the response from being stored, only-if-cached is
	// answered 504 on a miss, no-transform is not answered compressed. By default these fields do nothing, as in a CDN: a
	// reload is a hit, and the handler that makes a response to be stored does not see them.
	HonorRequestDirectives bool

	// StripSetCookie stores responses with Set-Cookie without that field, instead of not at all. Only the client whose
	// request made the page gets the cookie. The page itself must not depend on it.
	StripSetCookie bool

	// InsecureShareCookies declares that request cookies are no credentials: pages made for one visitor's cookies are
	// shown to others. RFC 9111 allows it; hardly any site can. It also restores RFC 9111, 3.5 in
	// full: must-revalidate shares what was made for a request with an Authorization.
	InsecureShareCookies bool

	// InsecureStoreSetCookie stores Set-Cookie and replays it to everybody, as RFC 9111, 7.3 allows. Visitors then share sessions.
	InsecureStoreSetCookie bool

	// Compress sends stored pages as br, zstd or gzip to clients that accept them. Each is made once for a page, in the background,
	// when the first hit asks for it, and counts in MaxBytes. Pages that may be sent so say Vary: Accept-Encoding. Those that are
	// coded already, say no-transform, carry a digest or vary on Accept-Encoding by themselves are left alone. A page that says public
	// should not repeat what its visitor sent beside a secret: the length of a compressed page tells about both (BREACH).
	Compress bool

	// Version is asked with each request for what the whole site depends on beside its data, and its value separates
	// pages: Assets.Version, for instance, keeps a page that names the files of an earlier deploy from being served by the
	// next one, out of a Store or beside files that change. It must be quick, and short. nil means none.
	Version func() string

	// Store is a second tier behind memory, for pages that shall outlive memory: read when memory has nothing, within
	// 50 ms, and written in the background. They outlive the process only in a store with [Generations]. Its trouble is
	// a miss and an [Event], never an error. nil means none. Close the Edge before the store.
	Store Store

	// StoreKey is a secret that the processes of one application share: 16 bytes or more, better 32
	// random ones. Names in the Store are derived from it, and values carry an HMAC-SHA256 under it, over
	// their names, too. So whoever else can write to the Store can neither make a response nor show one
	// in the place of another, and applications with different keys never meet there. What he still can:
	// delete, refuse, undo a purge in the Store, or bring back a response under its own name, until the
	// time written inside of it is over, after 30 days at most. Values are not encrypted.
	//
	// Under another key all that was stored is a miss, and purges do not reach those with the old one:
	// when a key changes, stop the old processes before the new ones serve, or accept that a purge
	// reaches half of them. nil means none: values then carry a checksum, which finds accidents, and
	// whoever can write to the Store decides what clients see. A StoreKey without a Store, and one that is
	// empty, are mistakes. New keeps no reference to it.
	StoreKey []byte

	// Observer is called with each decision, in the goroutine that made it: for a request before its header is written. It
	// must be quick and safe for concurrent use. nil means none.
	Observer func(Event)

	// Logger gets what an operator should know: panics that no client sees, such as one that a stored page has covered
	// up, and warnings, each once for a route and a cause, 1024 in all: see [Warned]. nil means slog.Default.
	Logger *slog.Logger
}

// DefaultIgnoreCookies returns the cookies that Config.IgnoreCookies ignores when it is nil: those of common analytics
// and advertising scripts, of consent banners, and of load balancers and content delivery networks, none of which
// the application reads. The caller owns the slice.
func DefaultIgnoreCookies() []string {
	return []string{
		"_ga", "_ga_*", "_gid", "_gat", "_gat_*", "_gcl_*", "__utm*", // Google
		"_fbp", "_fbc", // Meta
		"_hj*",           // Hotjar
		"_pk_*", "mtm_*", // Matomo
		"_clck", "_clsk", // Clarity
		"_uetsid", "_uetvid", // Bing
		"ajs_anonymous_id",                          // Segment
		"hubspotutk", "__hstc", "__hssc", "__hssrc", // HubSpot
		"_gac_*", "_dc_gtm_*", "__gads", "__gpi", "__eoi", "FPID", "FPLC", // Google
		"_ttp", "_tt_enable_cookie", // TikTok
		"_scid", "_scid_r", // Snapchat
		"_pin_unauth", "_derived_epik", "_epik", // Pinterest
		"li_fat_id", "_rdt_uuid", "_ym_uid", "_ym_d", "_ym_isad", "__qca", // LinkedIn, Reddit, Yandex, Quantcast
		"_sp_id.*", "_sp_ses.*", "_vwo_uuid*", "_vis_opt_*", "optimizelyEndUserId", "_mkto_trk", // Snowplow, VWO, Optimizely, Marketo
		"__stripe_mid", "__stripe_sid", // Stripe's look-out for fraud

		// Consent banners.
		"CookieConsent", "CookieConsentBulkSetting*", "OptanonConsent", "OptanonAlertBoxClosed", "cookieyes-consent", "cookielawinfo-*", "viewed_cookie_policy",
		"euconsent", "euconsent-v2", "eupubconsent-v2", "addtl_consent", "usprivacy", "FCCDCF", "FCNEC", "didomi_token", "_iub_cs-*", "cookieconsent_status",
		"cookie_notice_accepted", "cmplz_*", "borlabs-cookie", "moove_gdpr_popup", "CookieScriptConsent", "notice_preferences", "notice_gdpr_prefs", "axeptio_*",

		// Load balancers and content delivery networks.
		"AWSALB*", "AWSELB*", // Amazon
		"__cf_bm", "__cflb", "__cfruid", "__cfseq", "_cfuvid", "__cfwaitingroom", "cf_clearance", "cf_chl_*", "cf_ob_info", "cf_use_ob", // Cloudflare
		"ak_bmsc", "bm_sv", "bm_sz", "bm_mi", "_abck", // Akamai
		"ARRAffinity*", "ApplicationGatewayAffinity*", "ASLBSA*", // Azure
		"GCLB", "GCILB", // Google
		"incap_*", "visid_incap_*", "nlbi_*", // Imperva
		"BIGipServer*", // F5
	}
}

// DefaultCredentialHeaders returns the request fields that identify their sender beside those of
// Config.CredentialHeaders: those by which applications and authenticating proxies commonly
// recognise their users. A name that ends in * stands for all that begin so. The caller owns the
// slice.
func DefaultCredentialHeaders() []string { return rules.DefaultCredentialFields() }

// DefaultExcept returns the patterns that Config.Except has when it is nil: what watches a program,
// and what is for its developers. The caller owns the slice.
func DefaultExcept() []string {
	return []string{"/health", "/healthz", "/livez", "/ready", "/readyz", "/ping", "/-/healthy", "/-/ready", "/metrics", "/debug/"}
}

// DefaultDropHeaders returns the response fields that Config.DropHeaders names when it is nil: ids of requests and traces,
// rate limits, and how long the handler took. The caller owns the slice.
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

// keyLength is what a ConfigError says of a secret.
type keyLength int

func (n keyLength) String() string { return fmt.Sprintf("%d bytes long", int(n)) }

// resolve returns the configuration with its defaults filled in, or every mistake in it.
func (c Config) resolve() (Config, error) {
	var mistakes []error
	wrong := func(name string, value any, reason string) {
		mistakes = append(mistakes, &ConfigError{Field: name, Value: value, Reason: reason})
	}
	duration := func(name string, d *time.Duration, byDefault time.Duration) {
		switch {
		case *d < 0:
			wrong(name, *d, "want 0 (default) or more")
		case 0 < *d && *d < time.Millisecond:
			wrong(name, *d, "want a time.Duration with its unit, such as 60*time.Second")
		case *d == 0:
			*d = byDefault
		}
	}

	switch {
	case c.MaxBytes < 0:
		wrong("MaxBytes", c.MaxBytes, "want 0 (default) or more")
	case c.MaxBytes == 0:
		c.MaxBytes = DefaultMaxBytes
	case c.MaxBytes < minMaxBytes:
		wrong("MaxBytes", c.MaxBytes, fmt.Sprintf("want at least %d bytes, or 0 (default)", minMaxBytes))
	}
	switch {
	case c.MaxObjectBytes < 0:
		wrong("MaxObjectBytes", c.MaxObjectBytes, "want 0 (default) or more")
	case c.MaxBytes > 0 && c.MaxObjectBytes > c.MaxBytes:
		wrong("MaxObjectBytes", c.MaxObjectBytes, fmt.Sprintf("want at most MaxBytes, which is %d", c.MaxBytes))
	}
	if c.ExplicitOnly && c.DefaultTTL != 0 {
		wrong("DefaultTTL", c.DefaultTTL, "want 0 together with ExplicitOnly, which switches it off")
	}
	duration("DefaultTTL", &c.DefaultTTL, DefaultTTL)
	duration("HeuristicMax", &c.HeuristicMax, c.DefaultTTL)
	duration("StaleIfUnreachable", &c.StaleIfUnreachable, DefaultStaleIfUnreachable)
	duration("MaxWait", &c.MaxWait, DefaultMaxWait)
	switch {
	case c.MaxRefreshes < 0:
		wrong("MaxRefreshes", c.MaxRefreshes, "want 0 (default) or more")
	case c.MaxRefreshes == 0:
		c.MaxRefreshes = DefaultMaxRefreshes
	}
	duration("StaleWhileRevalidate", &c.StaleWhileRevalidate, 0)
	duration("StaleIfError", &c.StaleIfError, 0)

	switch c.StatusHeader {
	case "":
		c.StatusHeader = DefaultStatusHeader
	case "-":
	default:
		if !field.IsToken(c.StatusHeader) {
			wrong("StatusHeader", c.StatusHeader, `want the name of a header field such as "X-Cache", or "-" for none`)
		}
		c.StatusHeader = http.CanonicalHeaderKey(c.StatusHeader)
	}
	if reservedField(c.StatusHeader) {
		wrong("StatusHeader", c.StatusHeader, "want a field that has no other meaning in a response")
	}
	switch c.StatusName {
	case "":
		c.StatusName = DefaultStatusName
	case "-":
	default:
		if !isStructuredToken(c.StatusName) {
			wrong("StatusName", c.StatusName, `want a structured-field token (a letter, then letters, digits and any of !#$%&'*+-.^_|~:/), or "-" for none`)
		}
	}

	if c.TargetedHeaders == nil {
		c.TargetedHeaders = []string{"CDN-Cache-Control"}
	}
	c.TargetedHeaders = slices.Clone(c.TargetedHeaders)
	for i, name := range c.TargetedHeaders {
		if !field.IsToken(name) {
			wrong(fmt.Sprintf("TargetedHeaders[%d]", i), name, `want the name of a header field such as "CDN-Cache-Control"`)
		}
		c.TargetedHeaders[i] = http.CanonicalHeaderKey(name)
	}
	credentials := make([]string, 0, len(c.CredentialHeaders))
	for i, name := range c.CredentialHeaders {
		prefix := strings.TrimSuffix(name, "*")
		if !field.IsToken(prefix) || strings.Contains(prefix, "*") {
			wrong(fmt.Sprintf("CredentialHeaders[%d]", i), name, `want the name of a header field such as "X-Api-Key", or its beginning and a * such as "X-Consumer-*"`)
		}
		credentials = append(credentials, key.Canonical(prefix)+name[len(prefix):])
	}
	if c.CredentialHeaders = credentials; !c.InsecureOnlyCredentialHeaders {
		c.CredentialHeaders = append(c.CredentialHeaders, DefaultCredentialHeaders()...)
	}
	if c.Except == nil {
		c.Except = DefaultExcept()
	}
	c.Except = slices.Clone(c.Except)
	pattern.NewSet(c.Except, func(i int, reason string) {
		wrong(fmt.Sprintf("Except[%d]", i), c.Except[i], `want a pattern for http.ServeMux such as "/healthz" or "/debug/": `+reason)
	})
	if c.IgnoreCookies == nil {
		c.IgnoreCookies = DefaultIgnoreCookies()
	}
	c.IgnoreCookies = slices.Clone(c.IgnoreCookies)
	for i, name := range c.IgnoreCookies {
		if name == "*" {
			wrong(fmt.Sprintf("IgnoreCookies[%d]", i), name, "want names; to ignore every cookie set InsecureShareCookies")
		} else if !field.IsToken(name) || strings.Contains(strings.TrimSuffix(name, "*"), "*") {
			wrong(fmt.Sprintf("IgnoreCookies[%d]", i), name, `want the name of a cookie such as "_ga", or its beginning and a * such as "_ga_*"`)
		}
	}
	c.IgnoreFields = slices.Clone(c.IgnoreFields)
	for i, name := range c.IgnoreFields {
		prefix := strings.TrimSuffix(name, "*")
		c.IgnoreFields[i] = key.Canonical(prefix) + name[len(prefix):]
		at := fmt.Sprintf("IgnoreFields[%d]", i)
		switch {
		case !field.IsToken(prefix) || strings.Contains(prefix, "*"):
			wrong(at, name, `want the name of a header field such as "HX-Current-URL", or its beginning and a * such as "X-Acme-*"`)
		case !rules.Ignorable(c.IgnoreFields[i]):
			wrong(at, name, "want a field that neither the connection nor the cache needs, unlike Host, Range, Authorization and Cookie (for cookies see IgnoreCookies)")
		}
	}
	if c.DropHeaders == nil {
		c.DropHeaders = DefaultDropHeaders()
	}
	c.DropHeaders = slices.Clone(c.DropHeaders)
	for i, name := range c.DropHeaders {
		at := fmt.Sprintf("DropHeaders[%d]", i)
		c.DropHeaders[i] = http.CanonicalHeaderKey(name)
		switch {
		case name == "*" || !field.IsToken(name) || strings.Contains(strings.TrimSuffix(name, "*"), "*"):
			wrong(at, name, `want the name of a header field such as "X-Request-Id", or its beginning and a * such as "X-B3-*"`)
		case rules.Needed(c.DropHeaders[i]):
			wrong(at, name, "want a field that a response can be stored without")
		}
	}
	if c.StripSetCookie && c.InsecureStoreSetCookie {
		wrong("StripSetCookie", true, "want only one of StripSetCookie and InsecureStoreSetCookie")
	}
	switch n := len(c.StoreKey); {
	case c.StoreKey != nil && n < minStoreKey:
		wrong("StoreKey", keyLength(n), fmt.Sprintf("want at least %d bytes, better 32 random ones, or nil for none", minStoreKey))
	case c.StoreKey != nil && c.Store == nil:
		wrong("StoreKey", keyLength(n), "want nil without Store, whose values it proves")
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, errors.Join(mistakes...)
}

// rules returns what of a resolved configuration the pure decisions depend on.
func (c *Config) rules() rules.Options {
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

// reservedField reports whether a status written under this name would change what the response means.
func reservedField(name string) bool {
	switch name {
	case "Age", "Cache-Control", "Cache-Status", "Cdn-Cache-Control", "Connection", "Date", "Etag", "Expires", "Last-Modified", "Location",
		"Pragma", "Set-Cookie", "Trailer", "Transfer-Encoding", "Upgrade", "Vary":
		return true
	}
	return strings.HasPrefix(name, "Content-")
}

// isStructuredToken reports whether s is an sf-token (RFC 9651, 3.3.4).
func isStructuredToken(s string) bool {
	if s == "" || !(s[0] == '*' || 'a' <= s[0]|0x20 && s[0]|0x20 <= 'z') {
		return false
	}
	for i := range len(s) {
		if s[i] != ':' && s[i] != '/' && !field.IsToken(s[i:i+1]) {
			return false
		}
	}
	return true
}
