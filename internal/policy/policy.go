// Package policy says for many responses what a handler says for one. It checks policies, works out
// what they restrict for the caches inside, and applies them to the header of a response.
package policy

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/edgecache-go/edgecache/internal/directive"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/mistake"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// A Policy has the same fields as the public Policy, which documents them.
type Policy struct {
	NoStore        bool
	NoCache        bool
	Private        bool
	Public         bool
	Immutable      bool
	MustRevalidate bool

	CacheFor             time.Duration
	MaxAge               time.Duration
	SharedMaxAge         time.Duration
	StaleWhileRevalidate time.Duration
	StaleIfError         time.Duration

	InvalidateExact bool

	Vary []string
	Tags []string
}

// Check adds the mistakes in p to wrong. name is what they call p.
func (p *Policy) Check(name string, wrong *mistake.List) {
	add := func(field string, value any, reason string) { wrong.Add(name+"."+field, value, reason) }
	type value struct {
		name  string
		value any
		set   bool
	}
	public := value{"Public", p.Public, p.Public}
	immutable := value{"Immutable", p.Immutable, p.Immutable}
	cacheFor := value{"CacheFor", p.CacheFor, p.CacheFor != 0}
	maxAge := value{"MaxAge", p.MaxAge, p.MaxAge != 0}
	sharedMaxAge := value{"SharedMaxAge", p.SharedMaxAge, p.SharedMaxAge != 0}
	staleWhileRevalidate := value{"StaleWhileRevalidate", p.StaleWhileRevalidate, p.StaleWhileRevalidate != 0}
	staleIfError := value{"StaleIfError", p.StaleIfError, p.StaleIfError != 0}

	for _, v := range []value{maxAge, sharedMaxAge, cacheFor, staleWhileRevalidate, staleIfError} {
		if v.set && v.value.(time.Duration) < time.Second {
			add(v.name, v.value, "want 0 (says nothing) or at least time.Second, with its unit, such as 60*time.Second")
		}
	}
	for _, one := range []struct {
		name    string
		set     bool
		forbids []value
	}{
		{"NoStore", p.NoStore, []value{public, maxAge, sharedMaxAge, cacheFor, immutable, staleWhileRevalidate, staleIfError}},
		{"NoCache", p.NoCache, []value{maxAge, sharedMaxAge, cacheFor, immutable, staleWhileRevalidate, staleIfError}},
		{"Private", p.Private, []value{public, sharedMaxAge, cacheFor}},
		{"MustRevalidate", p.MustRevalidate, []value{staleWhileRevalidate, staleIfError}},
		{"CacheFor", cacheFor.set, []value{maxAge, sharedMaxAge, immutable}},
	} {
		for _, v := range one.forbids {
			if one.set && v.set {
				add(v.name, v.value, "want it unset beside "+one.name)
			}
		}
	}
	for i, f := range p.Vary {
		if !field.IsToken(f) {
			add(fmt.Sprintf("Vary[%d]", i), f, `want the name of a header field such as "Accept-Language", or "*"`)
		}
	}
	for i, tag := range p.Tags {
		if tag == "" {
			add(fmt.Sprintf("Tags[%d]", i), tag, "want a text that is not empty")
		}
	}
	if !directive.AddGroups(http.Header{}, directive.Groups, p.Tags) {
		add("Tags", len(p.Tags), fmt.Sprintf("want at most %d tags and %d bytes of them", field.MaxStrings, field.MaxStructured))
	}
}

// Limits returns what p restricts for the caches inside; nil if it restricts nothing.
func (p *Policy) Limits() *rules.Limits {
	vary, star, ok := key.VaryNames(p.Vary)
	l := rules.Limits{
		Pass:            p.NoStore || p.Private || star || !ok,
		NoCache:         p.NoCache,
		NoStale:         p.MustRevalidate || p.SharedMaxAge > 0, // which implies proxy-revalidate (RFC 9111, 5.2.2.10)
		Lifetime:        cmp.Or(p.SharedMaxAge, p.MaxAge, p.CacheFor),
		WhileRevalidate: p.StaleWhileRevalidate,
		IfError:         p.StaleIfError,
		Vary:            vary,
	}
	if !l.Pass && !l.NoCache && !l.NoStale && l.Lifetime == 0 && l.WhileRevalidate == 0 && l.IfError == 0 && len(l.Vary) == 0 {
		return nil
	}
	return &l
}

// clone returns a copy that the caller cannot change.
func (p Policy) clone() *Policy {
	p.Vary, p.Tags = slices.Clone(p.Vary), slices.Clone(p.Tags)
	return &p
}
