// Vite serves dist, as `npm install && npm run build` makes it. Vite's names keep their own hashes.
//
//	$ curl -i http://127.0.0.1:8080/
//	X-Cache: MISS
//	…<link rel="stylesheet" href="/static/assets/main-GTuW-QK0.css">
//	…<script type="module" src="/static/assets/main-DMkyD6NY.js"></script>
//	…<link rel="modulepreload" href="/static/assets/greeting-Db4kpmrS.js">
//	$ curl -i http://127.0.0.1:8080/static/assets/main-DMkyD6NY.js
//	X-Cache: MISS
//	Cache-Control: public, max-age=31536000, immutable
//	$ curl -i http://127.0.0.1:8080/static/.vite/manifest.json
//	HTTP/1.1 404 Not Found
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

	"github.com/edgecache-go/edgecache"
)

//go:embed page.html all:dist
var files embed.FS

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to listen on; port 0 takes a free one")
	flag.Parse()
	dist, err := fs.Sub(files, "dist")
	check(err)
	assets, err := edgecache.Static(dist, edgecache.StaticOptions{ViteManifest: ".vite/manifest.json"})
	check(err)
	page := template.Must(template.New("page.html").Funcs(assets.Funcs()).ParseFS(files, "page.html"))
	mux := http.NewServeMux()
	mux.Handle("/static/", assets)
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		_ = page.Execute(w, nil)
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
