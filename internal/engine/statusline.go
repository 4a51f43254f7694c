package engine

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/rules"
)

// Reason says why a request was, or was not, answered from the cache; the zero Reason is none. The
// list is closed; [Reasons] iterates over it. String returns the detail parameter of Cache-Status,
// such as "no-store", which identifies a reason. Explain returns a sentence on what would make it a
// hit. Forward returns the fwd parameter (RFC 9211, 2.2).
type Reason = rules.Reason

// StatusWriter writes the status fields of one cache. It is safe for concurrent use.
type StatusWriter struct {
	header string // the short field, canonical; "" sends none
	name   string // of the cache in Cache-Status (RFC 9211); "" sends none
	texts  statusTexts
	hits   hitTexts // of this name
}

// NewStatusWriter returns the writer for a cache called name; "" for a field that is not sent.
func NewStatusWriter(header, name string) *StatusWriter {
	return &StatusWriter{header: header, name: name}
}

// write adds the status fields to h. room is a slice to cut the two values from, or nil.
func (s *StatusWriter) write(h http.Header, a *cacheStatus, room []string) {
	if s.header != "" {
		room = append(room, a.status.String())
		h[s.header] = room[len(room)-1 : len(room) : len(room)]
	}
	if s.name == "" {
		return
	}
	if text := s.hits.of(s.name, a); text != "" && len(h["Cache-Status"]) == 0 {
		room = append(room, text)
		h["Cache-Status"] = room[len(room)-1 : len(room) : len(room)]
		return
	}
	var buf [128]byte
	b := append(buf[:0], s.name...)
	if a.forward == rules.None {
		b = append(b, "; hit"...)
	} else {
		b = append(b, "; fwd="...)
		b = append(b, a.forward.Forward()...)
		if a.fwdStatus != 0 {
			b = append(b, "; fwd-status="...)
			b = strconv.AppendInt(b, int64(a.fwdStatus), 10)
		}
		if a.stored {
			b = append(b, "; stored"...)
		}
		if a.collapsed {
			b = append(b, "; collapsed"...)
		}
	}
	if a.hasTTL {
		b = append(b, "; ttl="...)
		b = strconv.AppendInt(b, wholeSeconds(a.ttl), 10)
	}
	if a.reason != rules.None && (a.forward == rules.None || a.reason.String() != a.forward.Forward()) { // fwd has said it
		b = append(b, "; detail="...)
		b = append(b, a.reason.String()...)
	}
	text := s.texts.of(b, a)
	// Each cache has one member, the one closest to the client last; earlier members stay (RFC 9211,
	// 2).
	if before := h["Cache-Status"]; len(before) > 0 {
		h["Cache-Status"] = append(before[:len(before):len(before)], text)
		return
	}
	room = append(room, text)
	h["Cache-Status"] = room[len(room)-1 : len(room) : len(room)]
}

// statusTexts are the last values of Cache-Status for responses of the handler, by reason: the same
// ones come again and again. BenchmarkMiss of the root package shows what they save.
type statusTexts [64]atomic.Pointer[string]

// of returns b as a string.
func (t *statusTexts) of(b []byte, a *cacheStatus) string {
	if a.forward == rules.None || int(a.reason) >= len(t) {
		return string(b) // that of a hit changes every second
	}
	last := &t[a.reason]
	if known := last.Load(); known != nil && *known == string(b) {
		return *known
	}
	text := string(b)
	last.Store(&text)
	return text
}

// dateLines are the lines of Date for the present second.
type dateLines struct{ last atomic.Pointer[dateLine] }

type dateLine struct {
	second int64
	lines  []string // must not be changed
}

func (d *dateLines) of(now time.Time) []string {
	second := now.Unix()
	if last := d.last.Load(); last != nil && last.second == second {
		return last.lines
	}
	next := &dateLine{second, []string{now.UTC().Format(http.TimeFormat)}}
	d.last.Store(next)
	return next.lines
}

// hitTexts are values of Cache-Status for plain hits, by the seconds for which the response stays
// fresh. They cover the last five minutes of a lifetime, which is all of a short one.
type hitTexts [300]atomic.Pointer[string]

// of returns the text for a response of the cache called name; "" if it is not a plain hit, or
// stays fresh for longer.
func (t *hitTexts) of(name string, a *cacheStatus) string {
	if a.forward != rules.None || a.reason != rules.None || !a.hasTTL {
		return ""
	}
	seconds := wholeSeconds(a.ttl)
	if seconds < 0 || seconds >= int64(len(t)) {
		return ""
	}
	if known := t[seconds].Load(); known != nil {
		return *known
	}
	text := name + "; hit; ttl=" + strconv.FormatInt(seconds, 10)
	t[seconds].Store(&text)
	return text
}

// wholeSeconds rounds up, also below zero. Age rounds down (RFC 9111, 5.1), so the two add up to
// the lifetime, and a fresh response has at least one second left.
func wholeSeconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}
