package rules

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/clock"
)

// validateFor is how long a stale response with a validator is worth keeping: a 304 makes it fresh
// without a render.
const validateFor = time.Hour

// Facts is what Terms and Vary say beyond the stored header. That has less than Store saw, since
// fields of outer middleware and of the connection are not stored. A store of bytes keeps Facts
// beside the header, for [Options.Restore].
type Facts struct {
	Lifetime, WhileRevalidate, IfError time.Duration
	InitialAge                         time.Duration // when the response was received
	Resident                           time.Duration // since then

	Vary []string // sorted, no duplicates

	NoCache, NoStale, Immutable, Explicit bool
	Cookies, Authorization, Origins       bool // who may share it, see Terms
}

// Facts returns those of t, and of a response that varies by the given fields.
func (t *Terms) Facts(vary []string, now time.Time) Facts {
	return Facts{
		Lifetime: t.lifetime, WhileRevalidate: t.whileRevalidate, IfError: t.ifError,
		InitialAge: t.initialAge, Resident: bounded(t.responseTime.Until(now)),
		Vary:    vary,
		NoCache: t.noCache, NoStale: t.noStale, Immutable: t.immutable, Explicit: t.explicit,
		Cookies: t.cookies, Authorization: t.authorization, Origins: t.origins,
	}
}

// Restore makes the Meta of a response that was stored with these facts, here or in another
// process, elapsed ago. It calls Store again, with the rules and the header of today, and takes the
// stricter of both at every point. So a stricter configuration applies to what is already stored,
// and a laxer one makes nothing live longer. own says that the header has no validator except an
// entity tag that this cache made.
func (o *Options) Restore(f *Facts, status int, h http.Header, own bool, elapsed time.Duration, now time.Time) (Meta, Reason) {
	elapsed = bounded(elapsed)
	resident := bounded(f.Resident)
	came := now.Add(-elapsed - resident)
	asked := h
	if own {
		asked = make(http.Header, len(h))
		for name, lines := range h {
			if name != "Etag" {
				asked[name] = lines
			}
		}
	}
	m, reason := o.Store(&Request{}, status, asked, came, came)
	if reason != None {
		return Meta{}, reason
	}
	for _, name := range m.Vary {
		if !slices.Contains(f.Vary, name) {
			return Meta{}, VaryInvalid // it was stored without this field in its key
		}
	}
	m.Vary = f.Vary
	m.initialAge = bounded(max(f.InitialAge, m.initialAge))
	m.lifetime = bounded(min(f.Lifetime, m.lifetime))
	m.whileRevalidate = bounded(min(f.WhileRevalidate, m.whileRevalidate))
	m.ifError = bounded(min(f.IfError, m.ifError))
	m.noCache = m.noCache || f.NoCache
	m.noStale = m.noStale || f.NoStale
	m.immutable = m.immutable && f.Immutable
	m.explicit = m.explicit && f.Explicit
	m.cookies = m.cookies && f.Cookies
	m.authorization = m.authorization && f.Authorization
	m.origins = m.origins || f.Origins || slices.Contains(f.Vary, "Origin") // the header alone says less than the request did
	if m.noCache && !m.Has() {
		return Meta{}, NoCache
	}
	// From here on, ages count by the clock of this process.
	m.responseTime, m.initialAge = clock.Of(now), bounded(m.initialAge+resident+elapsed)
	if own {
		m.Validators = ValidatorsOf(h, came)
	}
	return m, None
}

// Keep returns how long from now the response can be of use: while it is fresh, and then while it
// may be served stale or confirmed. asks says that the handler knows a validator of it. Zero or
// less means that the response is not worth its place.
func (t *Terms) Keep(o *Options, asks bool, now time.Time) time.Duration {
	after := max(t.whileRevalidate, t.ifError)
	if !t.noStale && !t.noCache {
		after = max(after, bounded(o.MaxStaleUnreachable))
	}
	if asks {
		after = max(after, validateFor)
	}
	return t.TTL(now) + after
}

// audienceRules numbers the rules that are not options and decide who may share a response. It is
// raised when they change: 2 since must-revalidate permits nothing, 3 since cookies that do not
// count reach no handler whose response is stored. identityWords are part of the digest themselves,
// and a change of harmless is safe.
const audienceRules = 3

// Audience is a digest of the options that decide which requests carry credentials and which fields
// a response is obeyed by. A response that was stored under other options may be personal under
// these, so it must not be read.
func (o *Options) Audience() uint64 {
	text := []byte{audienceRules}
	for _, yes := range [...]bool{o.InsecureShareCookies, o.Personal, o.OnlyCredentialFields} {
		text = strconv.AppendBool(text, yes)
	}
	var words []string
	if !o.OnlyCredentialFields {
		words = identityWords.words
	}
	for _, names := range [...][]string{words, sorted(o.IgnoreCookies), sorted(o.CredentialFields), o.TargetedFields, sorted(o.IgnoreFields)} {
		text = append(text, 0)
		text = append(text, strings.Join(names, "\n")...)
	}
	sum := sha256.Sum256(text)
	return binary.LittleEndian.Uint64(sum[:])
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }
