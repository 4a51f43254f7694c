// Proxy is an edge in front of any HTTP origin, such as "go run ./examples/quickstart". Start it
// with "go run ./examples/proxy -listen 127.0.0.1:8081 -origin http://127.0.0.1:8080".
//
//	$ curl -i http://127.0.0.1:8081/page
//	X-Cache: MISS
//	generated at <page>
//	$ curl -i -H 'X-Forwarded-Host: evil.example' http://127.0.0.1:8081/page
//	X-Cache: HIT
//	generated at <page>
//	$ curl -i http://127.0.0.1:8081/
//	X-Cache: BYPASS
package main

import (
	"context"
	"errors"
	"log"
	"maps"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache"
)

func main() {
	cfg, origin, listen := parse()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true           // otherwise bodies change, and their ETags are wrong
	transport.ResponseHeaderTimeout = time.Minute // a silent origin counts as one that is down
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(origin)
			p.Out.Host = p.In.Host // pages are stored under the name that the client asked for
			p.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, context.Canceled) {
				panic(http.ErrAbortHandler) // the client has left: that says nothing about the origin
			}
			log.Printf("%s %q: %v", r.Method, r.URL.Path, err)
			edgecache.OriginError(w) // a page that is past its time is better than this
			http.Error(w, "The origin does not answer.", http.StatusBadGateway)
		},
	}
	edge, err := edgecache.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	site := edge.Handler(proxy) // once: the cache learns about its handler from one request to the next
	serve(listen, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.DeleteFunc(r.Header, func(name string, _ []string) bool { // no proxy is in front, so clients made these up
			return name == "Forwarded" || strings.HasPrefix(name, "X-Forwarded-")
		})
		site.ServeHTTP(w, r)
	}))
}
