package engine

import (
	"hash/maphash"
	"net/http"
	"strings"
	"sync/atomic"
)

const (
	// maxFetches is how many handlers may run for the store at once while their response is not known
	// yet. More than these run for their clients only.
	maxFetches = 4096

	// maxRouteFetches is how many of them may be of one route, so that long polls of one route do not
	// end storing for all others.
	maxRouteFetches = maxFetches / 8

	// maxFolderFetches is how many may be below one first segment of the path, where routes are
	// guessed from paths.
	maxFolderFetches = maxFetches / 4

	// routeSegments is how many segments of a path separate routes. maxSegment is the length of the
	// longest segment that may be part of a route, in bytes.
	routeSegments = 3
	maxSegment    = 24
)

// places are what handlers that run for the store take: one of all places, and one of their route.
// Routes are counted in a table of fixed size, by a hash with a random seed: a client cannot aim at
// the slot of another route, and the few routes that can be full at once hardly ever hit another
// one.
type places struct {
	taken atomic.Int64
	seed  maphash.Seed
	slots [1 << 12]atomic.Int32
}

// place is what one handler takes. The zero place is none.
type place struct {
	taken         *atomic.Int64
	route, folder *atomic.Int32 // folder is nil if the route is known
}

// enter takes a place for a handler that is about to run for r; ok is false if there is none.
func (p *places) enter(next http.Handler, r *http.Request) (pl place, ok bool) {
	if p.taken.Add(1) > maxFetches {
		p.taken.Add(-1)
		return place{}, false
	}
	pl.taken = &p.taken
	pl.route, pl.folder = p.of(next, r)
	if pl.folder != nil && pl.folder.Add(1) > maxFolderFetches {
		pl.folder.Add(-1)
		pl.taken.Add(-1)
		return place{}, false
	}
	if pl.route.Add(1) > maxRouteFetches {
		pl.leave()
		return place{}, false
	}
	return pl, true
}

// leave gives the place back, once.
func (pl *place) leave() {
	if pl.taken == nil {
		return
	}
	pl.route.Add(-1)
	if pl.folder != nil {
		pl.folder.Add(-1)
	}
	pl.taken.Add(-1)
	*pl = place{}
}

// muxer names the pattern of a request before it runs, as http.ServeMux does.
type muxer interface {
	Handler(r *http.Request) (http.Handler, string)
}

// of returns the counters for r. The pattern of a mux outside of the cache is not used: it is often
// "/" for the whole site.
//
// If the pattern is not known, or takes a whole tree, the route is a guess: the first segments of
// the path, without what looks like a number or a name. The guess fails for names that look like
// words, so all that is below one first segment has a limit, too. URLs at the root share it.
func (p *places) of(next http.Handler, r *http.Request) (route, folder *atomic.Int32) {
	if mux, ok := next.(muxer); ok {
		if _, pattern := mux.Handler(r); pattern != "" && !strings.HasSuffix(pattern, "/") && !strings.HasSuffix(pattern, "...}") {
			return p.slot(maphash.String(p.seed, pattern)), nil
		}
	}
	var h maphash.Hash
	h.SetSeed(p.seed)
	rest := strings.TrimPrefix(r.URL.Path, "/")
	first, _, deeper := strings.Cut(rest, "/")
	if !deeper {
		first = ""
	}
	folder = p.slot(maphash.String(p.seed, "/"+segment(first)))
	for range routeSegments {
		if rest == "" {
			break
		}
		var s string
		s, rest, _ = strings.Cut(rest, "/")
		h.WriteString(segment(s))
		h.WriteByte('/')
	}
	return p.slot(h.Sum64()), folder
}

func (p *places) slot(hash uint64) *atomic.Int32 { return &p.slots[hash%uint64(len(p.slots))] }

// segment returns s, or "*" if s looks as if it differed between the URLs of its route. A version
// such as v2 does not.
func segment(s string) string {
	if len(s) > maxSegment {
		return "*"
	}
	version := len(s) <= 3 && strings.HasPrefix(s, "v")
	if !version && strings.ContainsAny(s, "0123456789@%") {
		return "*"
	}
	return s
}
