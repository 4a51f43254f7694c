package edgecache_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing/fstest"
	"time"

	"github.com/edgecache-go/edgecache"
)

// ask prints the short status and the body of an answer.
func ask(h http.Handler, method, target string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	fmt.Println(w.Header().Get("X-Cache"), w.Body)
}

func Example() {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "the page") })
	mux.HandleFunc("/account", func(w http.ResponseWriter, r *http.Request) {
		edgecache.NoStore(w)
		fmt.Fprint(w, "yours only")
	})
	site := edgecache.Cache(mux) // http.ListenAndServe(":8080", site)

	ask(site, "GET", "/")
	ask(site, "GET", "/")
	ask(site, "GET", "/account")
	// Output:
	// MISS the page
	// HIT the page
	// BYPASS yours only
}

func ExampleNew() {
	edge, err := edgecache.New(edgecache.Config{
		MaxBytes:     256 << 20,
		StatusHeader: "Cf-Cache-Status",
		Observer: func(ev edgecache.Event) {
			fmt.Println(ev.Status, ev.Key())
		},
	})
	if err != nil {
		log.Fatal(err) // every mistake at once
	}
	site := edge.Handler(http.NotFoundHandler())
	site.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/nothing?a=b", nil))
	// Output: MISS http://example.com/nothing?a=b
}

func ExampleEdge_PurgeTags() {
	edge, err := edgecache.New(edgecache.Config{})
	if err != nil {
		log.Fatal(err)
	}
	title := "draft"
	mux := http.NewServeMux()
	mux.HandleFunc("GET /posts/{id}", func(w http.ResponseWriter, r *http.Request) {
		edgecache.CacheFor(w, time.Hour) // no purge reaches browsers
		edgecache.Tag(w, "post-"+r.PathValue("id"))
		fmt.Fprint(w, title)
	})
	mux.HandleFunc("POST /publish", func(w http.ResponseWriter, r *http.Request) {
		title = "published" // the transaction; purge after it has committed
		n, err := edge.PurgeTags(r.Context(), "post-42")
		fmt.Fprint(w, n, " purged, ", err)
	})
	site := edge.Handler(mux)

	ask(site, "GET", "/posts/42")
	ask(site, "GET", "/posts/42")
	ask(site, "POST", "/publish")
	ask(site, "GET", "/posts/42")
	// Output:
	// MISS draft
	// HIT draft
	// DYNAMIC 1 purged, <nil>
	// MISS published
}

func ExampleEdge_Explain() {
	edge, err := edgecache.New(edgecache.Config{})
	if err != nil {
		log.Fatal(err)
	}
	r, err := http.NewRequest("GET", "https://example.com/page", nil)
	if err != nil {
		log.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer secret")
	x := edge.Explain(r)
	fmt.Println(x.Key, x.Status, x.Reason)
	// Output: https://example.com/page MISS uri-miss
}

func ExampleEdge_Close() {
	edge, err := edgecache.New(edgecache.Config{})
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: ":8080", Handler: edge.Handler(http.NotFoundHandler())}
	// … after server.ListenAndServe has returned:
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(server.Shutdown(ctx), edge.Close(ctx))
	// Output: <nil> <nil>
}

func ExampleStatic() {
	files := fstest.MapFS{"app.css": {Data: []byte("body { margin: 0 }")}} // or an embed.FS
	assets, err := edgecache.Static(files, edgecache.StaticOptions{})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/static/", assets)
	fmt.Println(assets.URL("app.css"))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", assets.URL("app.css"), nil))
	fmt.Println(w.Header().Get("Cache-Control"))
	// Output:
	// /static/app-997faceca2605a98.css
	// public, max-age=31536000, immutable
}

// Each coding of a page is made once, in the background, when the first hit asks for it.
func ExampleConfig_compress() {
	edge, err := edgecache.New(edgecache.Config{Compress: true})
	if err != nil {
		log.Fatal(err)
	}
	site := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		fmt.Fprint(w, "<!doctype html>", strings.Repeat("<p>once upon a time</p>", 100))
	}))
	visit := func() http.Header {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		return w.Header()
	}
	visit()
	for visit().Get("Content-Encoding") == "" {
		time.Sleep(time.Millisecond)
	}
	h := visit()
	fmt.Println(h.Get("X-Cache"), h.Get("Content-Encoding"), h.Get("ETag"), h.Get("Vary"))
	// Output: HIT br "v1-br" Accept-Encoding
}
