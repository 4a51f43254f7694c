// Purge-on-write is a blog whose pages are cached for an hour and show each comment at once: its
// handler purges tags after the commit. SQLite makes it a module of its own:
// cd examples/purge-on-write && go run .
//
//	$ curl -i http://127.0.0.1:8080/
//	X-Cache: MISS
//	1. On caches: 0 comments
//	$ curl -i http://127.0.0.1:8080/posts/1
//	X-Cache: MISS
//	$ curl -i http://127.0.0.1:8080/posts/2
//	X-Cache: MISS
//	$ curl -i -d 'text=I disagree' http://127.0.0.1:8080/posts/1/comments
//	HTTP/1.1 303 See Other
//	$ curl -i http://127.0.0.1:8080/
//	X-Cache: MISS
//	1. On caches: 1 comments
//	$ curl -i http://127.0.0.1:8080/posts/1
//	X-Cache: MISS
//	- I disagree
//	$ curl -i http://127.0.0.1:8080/posts/1
//	X-Cache: HIT
//	- I disagree
//	$ curl -i http://127.0.0.1:8080/posts/2
//	X-Cache: HIT
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/edgecache-go/edgecache"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to listen on; port 0 takes any free one")
	flag.Parse()
	edge, err := edgecache.New(edgecache.Config{})
	if err != nil {
		log.Fatal(err)
	}
	db, err := open()
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // the program ends
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatalf("%v\nIf the port is taken, take any free one: go run . -listen 127.0.0.1:0", err)
	}
	fmt.Printf("listening on http://%s\n", l.Addr())
	b := blog{db, edge}
	log.Fatal(http.Serve(l, edge.Handler(b.routes())))
}
