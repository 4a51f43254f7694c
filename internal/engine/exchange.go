package engine

import (
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// exchange is one client's request that nothing stored answers. It waits for another one's fetch, or
// becomes a fetch itself.
type exchange struct {
	handler    *handler
	w          http.ResponseWriter
	r          *http.Request // as the client sent it; but the handler may have its header: see requestSnapshot
	req        rules.Request
	received   time.Time
	prefers    cache.Preferences // of r, as it came
	class      cache.Class
	name       shortBytes // the primary key, and room for what else is in the name of a flight
	scope      string
	marks      cache.Marks    // where purges of the URL are marked
	reason     Reason         // why nothing stored could be used
	refused    Reason         // why a response could not be stored lately; None if it could, or that is not known
	old        *cache.Variant // what is validated or replaced; nil if there is nothing
	expected   expectation    // of the response
	plain      bool           // the handler does not see the client's conditions and ranges
	background bool           // a refresh: no client waits
	alone      bool           // too much is going on already: the response is not stored
	gone       bool           // the client left while it waited for another request's response
}

// expectation is what a response will likely be like: as what was stored last.
type expectation struct {
	tags []string
	vary []string // the request fields that it depends on
}

func (h *handler) newExchange(w http.ResponseWriter, r *http.Request, req *rules.Request, k, scope []byte, reason Reason, received time.Time) exchange {
	x := exchange{
		handler: h, w: w, r: r, req: *req, reason: reason, received: received,
		scope: string(scope), class: cache.ClassOf(req),
	}
	x.prefers = cache.PreferencesOf(r.Header, &x.req.Scope)
	x.name.set(k)
	var hosts []string
	if x.scope != "" {
		hosts = key.Hosts(nil, x.scope)
	}
	x.marks = h.engine.cache.Marks(k, hosts)
	return x
}

// newFetch returns the fetch that x becomes.
func (x *exchange) newFetch() *fetch {
	f := &fetch{exchange: *x, delivery: delivery{length: -1}}
	f.key = f.name.bytes()
	return f
}

// newStatus begins to say how this request was answered.
func (x *exchange) newStatus(s Status, reason Reason) cacheStatus {
	return cacheStatus{status: s, forward: x.reason, reason: reason, received: x.received, background: x.background, pattern: x.pattern()}
}

// pattern is that of the route that rendered the response, as far as it is known.
func (x *exchange) pattern() string {
	if x.old != nil {
		return x.old.Pattern.Value()
	}
	return x.r.Pattern
}

// staleUsable reports whether what is stored may stand in for a failure of the handler. For a refresh
// it always may: it is still being served, and one try that failed changes nothing. broken says that
// there was no answer at all.
func (x *exchange) staleUsable(broken bool, now time.Time) bool {
	return x.old != nil && (x.background || x.old.UsableOnError(&x.handler.engine.rules, &x.req, broken, now))
}
