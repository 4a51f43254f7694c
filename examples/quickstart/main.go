// Quickstart is a site of four pages behind edgecache. Each page says when it was generated.
//
//	$ curl -i http://127.0.0.1:8080/
//	Cf-Cache-Status: BYPASS
//	generated at <first>
//	$ curl -i http://127.0.0.1:8080/
//	generated at <second>
//	$ curl -i http://127.0.0.1:8080/page
//	Cf-Cache-Status: MISS
//	generated at <page>
//	$ curl -i http://127.0.0.1:8080/page
//	Cf-Cache-Status: HIT
//	generated at <page>
//	$ curl -i http://127.0.0.1:8080/about
//	Cache-Control: max-age=300
//	$ curl -i http://127.0.0.1:8080/news
//	Cache-Control: max-age=30
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache"
)

func main() {
	page := func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "generated at", time.Now().Format("15:04:05.000000"))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		edgecache.NoStore(w)
		page(w, r)
	})
	mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
		edgecache.MaxAge(w, 2*time.Minute)
		page(w, r)
	})
	mux.HandleFunc("/about", page) // says nothing, so it gets the default of the whole site
	mux.Handle("/news", edgecache.Policy{MaxAge: 30 * time.Second}.Handler(http.HandlerFunc(page)))
	wholeSite := edgecache.Policy{MaxAge: 5 * time.Minute}.Handler // a shorter lifetime wins
	edge, err := edgecache.New(edgecache.Config{StatusHeader: "Cf-Cache-Status"})
	if err != nil {
		log.Fatal(err)
	}
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to listen on; port 0 takes a free one")
	flag.Parse()
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatalf("%v\nIf the port is taken, take any free one: go run ./examples/quickstart -listen 127.0.0.1:0", err)
	}
	fmt.Printf("try twice: curl -i http://%[1]s/ http://%[1]s/page http://%[1]s/about http://%[1]s/news\n", l.Addr())
	log.Fatal(http.Serve(l, edge.Handler(wholeSite(mux))))
}
