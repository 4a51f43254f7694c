package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/edgecache-go/edgecache/internal/directive"
	"github.com/edgecache-go/edgecache/internal/field"
)

var (
	errWindowForbidden = errors.New("edgecache: stale-while-revalidate and stale-if-error do nothing beside s-maxage, must-revalidate or proxy-revalidate, which forbid stale use (RFC 9111, 5.2.2): say max-age instead of s-maxage, or leave the windows out")
	errTooLate         = errors.New("edgecache: Cache-Control was changed after the first byte of the body, which its client does not see: call NoStore, MaxAge and the like before it")
)

// warn tells of what a handler says about caching and cannot mean: directives that cancel each
// other out, and lifetimes in nanoseconds.
func (e *Engine) warn(r *http.Request, header http.Header) {
	lines := header["Cache-Control"]
	e.warnOfNanoseconds(r, lines)
	for _, name := range e.rules.TargetedFields {
		if len(header[name]) > 0 {
			lines = header[name]
			e.warnOfNanoseconds(r, lines)
			break
		}
	}
	if !mentions(lines, "stale-") {
		return
	}
	cc := field.ParseCacheControl(lines)
	if (cc.StaleWhileRevalidate.Set || cc.StaleIfError.Set) && (cc.SharedMaxAge.Set || cc.MustRevalidate || cc.ProxyRevalidate) {
		e.warned(r, errWindowForbidden)
	}
}

// mentions reports whether word is in one of the lines, in lower case. It is quick enough for every
// miss.
func mentions(lines []string, word string) bool {
	return slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, word) })
}

// nanosecondsError is a lifetime that was meant in seconds.
type nanosecondsError struct{ directive, count string }

func (e *nanosecondsError) Error() string {
	return fmt.Sprintf("edgecache: %s is %q nanoseconds, which counts as 0: want a time.Duration with its unit, such as %[2]s*time.Second", e.directive, e.count)
}

// cause leaves out the number: otherwise a handler that computes a lifetime would be warned about
// for each.
func (e *nanosecondsError) cause() string { return e.directive + directive.InNanoseconds }

// warnOfNanoseconds tells of the first lifetime that was meant in seconds.
func (e *Engine) warnOfNanoseconds(r *http.Request, lines []string) {
	if !mentions(lines, directive.InNanoseconds) {
		return
	}
	for member := range field.Members(lines) {
		mark, count, _ := strings.Cut(member, "=")
		if name, ok := strings.CutSuffix(mark, directive.InNanoseconds); ok {
			e.warned(r, &nanosecondsError{name, count})
			return
		}
	}
}

// tooLate reports whether a handler has restricted Cache-Control after its header went out, so that
// the response must not be stored, or not be used without validation. It warns of any change.
func (e *Engine) tooLate(r *http.Request, before, after []string) (restricts bool) {
	if slices.Equal(before, after) {
		return false
	}
	e.warned(r, errTooLate)
	was, is := field.ParseCacheControl(before), field.ParseCacheControl(after)
	return is.NoStore && !was.NoStore || is.Private && !was.Private || is.NoCache && !was.NoCache
}

// maxWarnings is how many different warnings are logged.
const maxWarnings = 1024

// warned tells the observer of what is wrong with a response to r, and the logger once for each
// route and cause.
func (e *Engine) warned(r *http.Request, err error) {
	e.warnedOf(Event{Kind: Warned, Request: r, Pattern: r.Pattern, Err: err})
}

// warnedOf does the same with the event for the observer.
func (e *Engine) warnedOf(ev Event) {
	e.tell(ev)
	if e.warnings.first(ev.Request, ev.Pattern, ev.Err) {
		e.logWarning(ev.Request, ev.Pattern, ev.Err)
	}
}

// warnedOnce also tells the observer only once for each route and cause.
func (e *Engine) warnedOnce(r *http.Request, pattern string, err error) {
	if e.warnings.first(r, pattern, err) {
		e.tell(Event{Kind: Warned, Request: r, Pattern: pattern, Err: err})
		e.logWarning(r, pattern, err)
	}
}

// logWarning leaves out the query: it may hold secrets, which must not be in a log.
func (e *Engine) logWarning(r *http.Request, pattern string, err error) {
	e.config.Logger.LogAttrs(r.Context(), slog.LevelWarn, err.Error(), slog.String("route", pattern), slog.String("path", r.URL.Path))
}

// warnings are those that have been logged.
type warnings struct {
	mu   sync.Mutex
	seen map[string]struct{}
}

// takesAll reports whether a pattern matches every path, such as that of a mux in front of another
// router. Then it does not name a route.
func takesAll(pattern string) bool {
	_, path, _ := strings.Cut(pattern, "/")
	return path == "" || strings.HasPrefix(path, "{") && strings.HasSuffix(path, "...}") && !strings.Contains(path, "/")
}

// first reports whether a warning is new; after maxWarnings of them it returns false. If no pattern
// names the route, the first segment of the path stands for it.
func (w *warnings) first(r *http.Request, pattern string, err error) bool {
	if takesAll(pattern) {
		pattern, _, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		pattern = segment(pattern)
	}
	cause := err.Error()
	if known, ok := err.(interface{ cause() string }); ok {
		cause = known.cause()
	}
	warning := pattern + "\x00" + cause
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, seen := w.seen[warning]; seen || len(w.seen) >= maxWarnings {
		return false
	}
	if w.seen == nil {
		w.seen = make(map[string]struct{})
	}
	w.seen[warning] = struct{}{}
	return true
}
