package edgecache

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/edgecache-go/edgecache/internal/field"
)

var (
	errWindowForbidden = errors.New("edgecache: stale-while-revalidate and stale-if-error do nothing beside s-maxage, must-revalidate or proxy-revalidate, which forbid stale use (RFC 9111, 5.2.2): say max-age instead of s-maxage, or leave the windows out")
	errTooLate         = errors.New("edgecache: Cache-Control was changed after the first byte of the body, which its client does not see: call NoStore, MaxAge and the like before it")
)

// warn tells the observer of what a handler says about caching and cannot mean: directives that cancel each other out, lifetimes in nanoseconds.
func (e *Edge) warn(r *http.Request, header http.Header) {
	if e.config.Observer == nil {
		return
	}
	lines := header["Cache-Control"]
	e.warnOfNanoseconds(r, lines)
	for _, name := range e.rules.TargetedFields {
		if len(header[name]) > 0 {
			lines = header[name]
			e.warnOfNanoseconds(r, lines)
			break
		}
	}
	cc := field.ParseCacheControl(lines)
	if (cc.StaleWhileRevalidate.Set || cc.StaleIfError.Set) && (cc.SharedMaxAge.Set || cc.MustRevalidate || cc.ProxyRevalidate) {
		e.warned(r, errWindowForbidden)
	}
}

// warnOfNanoseconds tells of the first lifetime that was meant in seconds.
func (e *Edge) warnOfNanoseconds(r *http.Request, lines []string) {
	for member := range field.Members(lines) {
		mark, count, _ := strings.Cut(member, "=")
		if name, ok := strings.CutSuffix(mark, inNanoseconds); ok {
			e.warned(r, fmt.Errorf("edgecache: %s is %q nanoseconds, which counts as 0: want a time.Duration with its unit, such as %[2]s*time.Second", name, count))
			return
		}
	}
}

// tooLate reports whether a handler has said in Cache-Control, after the header that went out, that the page must not be kept, or not used without asking.
// It tells the observer of whatever was said then.
func (e *Edge) tooLate(r *http.Request, before, after []string) (restricts bool) {
	if slices.Equal(before, after) {
		return false
	}
	e.warned(r, errTooLate)
	was, is := field.ParseCacheControl(before), field.ParseCacheControl(after)
	return is.NoStore && !was.NoStore || is.Private && !was.Private || is.NoCache && !was.NoCache
}

// maxWarnings is how many different warnings are told once.
const maxWarnings = 1024

// warnedOnce tells the observer and the logger of what is wrong with a route, once for each route and cause.
func (e *Edge) warnedOnce(r *http.Request, pattern string, err error) {
	if !e.warnings.first(pattern + "\x00" + err.Error()) {
		return
	}
	e.tell(Event{Kind: Warned, Request: r, Pattern: pattern, Err: err})
	e.config.Logger.LogAttrs(r.Context(), slog.LevelWarn, err.Error(), slog.String("route", pattern), slog.String("url", r.URL.String()))
}

// warnings are those that have been told.
type warnings struct {
	mu   sync.Mutex
	seen map[string]struct{}
}

// first reports whether a warning has not been told before; nor after maxWarnings of them.
func (w *warnings) first(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, seen := w.seen[text]; seen || len(w.seen) >= maxWarnings {
		return false
	}
	if w.seen == nil {
		w.seen = make(map[string]struct{})
	}
	w.seen[text] = struct{}{}
	return true
}

func (e *Edge) warned(r *http.Request, err error) {
	e.tell(Event{Kind: Warned, Request: r, Pattern: r.Pattern, Err: err})
}
