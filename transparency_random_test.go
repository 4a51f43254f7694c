package edgecache_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

// step is one thing that a handler does with its writer.
type step struct {
	name string
	do   func(http.ResponseWriter)
}

// steps draws a handler.
func drawSteps(d harness.Dice) []step {
	var all []step
	add := func(do func(http.ResponseWriter), name string, args ...any) {
		all = append(all, step{fmt.Sprintf(name, args...), do})
	}
	add(typed, "type")
	if d.OneIn(4) {
		add(func(w http.ResponseWriter) { w.Header().Set("Trailer", "X-Field") }, "trailer")
	}
	length := 0 // of all that is written
	declares, more := d.OneIn(4), harness.Pick(d, 0, 0, 7)
	if declares { // never too little: then HTTP/2 differs, see manners
		add(func(w http.ResponseWriter) { w.Header().Set("Content-Length", fmt.Sprint(length+more)) }, "length and %d", more)
	}
	for range d.IntN(8) {
		switch d.IntN(8) {
		case 0:
			add(flush, "flush")
		case 1:
			value := d.IntN(9)
			add(func(w http.ResponseWriter) { w.Header().Set("X-Field", fmt.Sprint(value)) }, "field %d", value)
		case 2:
			word := harness.Pick(d, "no-store", "private", "public", "max-age=60", "no-cache", "max-age=0")
			add(func(w http.ResponseWriter) { w.Header().Set("Cache-Control", word) }, "%s", word)
		case 3:
			status := harness.Pick(d, 200, 201, 204, 304, 404, 500, 503, 200)
			add(func(w http.ResponseWriter) { w.WriteHeader(status) }, "status %d", status)
		case 4:
			add(func(w http.ResponseWriter) { w.WriteHeader(http.StatusProcessing) }, "interim")
		case 5:
			n := harness.Pick(d, 0, 1, 5000)
			add(func(w http.ResponseWriter) { _, _ = io.Copy(w, strings.NewReader(strings.Repeat("c", n))) }, "copy %d", n)
			length += n
		default:
			n := harness.Pick(d, 0, 1, 5, 10, 2038, 2048, 9000)
			add(func(w http.ResponseWriter) { fmt.Fprint(w, strings.Repeat("w", n)) }, "write %d", n)
			length += n
		}
	}
	if !declares && d.OneIn(10) {
		add(func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, "abort")
	}
	return all
}

// Whatever a handler does, in whichever order, its client sees the same.
func TestTransparencyOfRandomHandlers(t *testing.T) {
	first, n := harness.Batches(t, 150, 3000)
	for seed := first; seed < first+n; seed++ {
		steps := drawSteps(harness.NewDice(seed))
		var names []string
		for _, s := range steps {
			names = append(names, s.name)
		}
		handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for _, s := range steps {
				s.do(w)
			}
		})
		for _, protocol := range transports {
			bare, cached := startServer(t, around(handler), protocol.two), startServer(t, around(transparentCache(t, handler, false)), protocol.two)
			for _, method := range []string{"HEAD", "GET", "GET", "HEAD", "POST"} {
				want, got := look(t, bare, method, "/", nil, nil), look(t, cached, method, "/", nil, nil)
				same(t, fmt.Sprintf("EDGECACHE_SEED=%d: %s %s of %s", seed, protocol.name, method, strings.Join(names, ", ")), got, want)
			}
			bare.Close()
			cached.Close()
			if t.Failed() {
				return
			}
		}
	}
}
