// Static is a page whose files get new URLs when they change. With -dev it serves a plain folder.
//
//	$ curl -i http://127.0.0.1:8080/
//	X-Cache: MISS
//	…<link rel="icon" href="/static/logo-745364ace6903851.svg">
//	$ curl -i http://127.0.0.1:8080/static/logo-745364ace6903851.svg
//	X-Cache: MISS
//	Cache-Control: public, max-age=31536000, immutable
//	$ curl -i http://127.0.0.1:8080/static/logo-745364ace6903851.svg
//	X-Cache: HIT
//	$ curl -i http://127.0.0.1:8080/static/logo.svg
//	Cache-Control: no-cache
package main

import (
	"embed"
	"flag"
	"fmt"
	"html/template"
	"io/fs"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache"
)

//go:embed page.html static
var files embed.FS

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to listen on; port 0 takes a free one")
	dev := flag.String("dev", "", "serve this `folder`, as it is: -dev examples/static/static")
	flag.Parse()
	tree, err := fs.Sub(files, "static")
	check(err)
	assets, err := edgecache.Static(tree, edgecache.StaticOptions{})
	if *dev != "" {
		assets, err = edgecache.StaticDir(*dev, edgecache.StaticOptions{Dev: true})
	}
	check(err)
	page := template.Must(template.New("page.html").Funcs(assets.Funcs()).ParseFS(files, "page.html"))
	mux := http.NewServeMux()
	mux.Handle("/static/", assets)
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		_ = page.Execute(w, time.Now().Format("15:04:05.000000"))
	})
	l, err := net.Listen("tcp", *listen)
	check(err)
	fmt.Printf("open http://%s/\n", l.Addr())
	check(http.Serve(l, edgecache.Cache(mux)))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
