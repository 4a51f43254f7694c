// Stale is a site that you can break and heal. While it is broken, visitors see the last good page.
//
//	$ curl -i http://127.0.0.1:8080/
//	X-Cache: MISS
//	generated at <first>
//	$ curl -X POST http://127.0.0.1:8080/break
//	the origin is broken
//	$ curl -i http://127.0.0.1:8080/
//	HTTP/1.1 200 OK
//	X-Cache: STALE
//	Cache-Status: edgecache; fwd=stale; fwd-status=503; detail=stale-if-error
//	generated at <first>
//	$ curl -X POST http://127.0.0.1:8080/heal
//	$ curl -i http://127.0.0.1:8080/
//	X-Cache: EXPIRED
//	generated at <second>
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache"
)

func main() {
	var broken atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			http.Error(w, "no database", http.StatusServiceUnavailable)
			return
		}
		edgecache.MaxAge(w, 0) // stale at once, so that you need not wait
		edgecache.StaleIfError(w, time.Hour)
		fmt.Fprintln(w, "generated at", time.Now().Format("15:04:05.000000"))
	})
	set := func(to bool, says string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			broken.Store(to)
			fmt.Fprintln(w, says)
		}
	}
	mux.HandleFunc("POST /break", set(true, "the origin is broken"))
	mux.HandleFunc("POST /heal", set(false, "the origin is healed"))
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to listen on; port 0 takes any free one")
	flag.Parse()
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatalf("%v\nIf the port is taken, take any free one: go run ./examples/stale -listen 127.0.0.1:0", err)
	}
	fmt.Printf("listening on http://%s\n", l.Addr())
	log.Fatal(http.Serve(l, edgecache.Cache(mux)))
}
