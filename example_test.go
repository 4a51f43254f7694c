package edgecache_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestExamples(t *testing.T) {
	t.Run("a deleted page turns 404", aDeletedPageTurns404)
}

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

// show prints the status and the caching fields of h's answer to a GET with the given request
// fields, name and value in turn.
func show(h http.Handler, target string, fields ...string) {
	r := httptest.NewRequest("GET", target, nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(strings.TrimSpace(fmt.Sprint(w.Code, " ", w.Body)))
	for _, name := range slices.Sorted(maps.Keys(w.Header())) {
		if name != "Content-Type" {
			fmt.Printf("%s: %s\n", name, strings.Join(w.Header()[name], " | "))
		}
	}
}

func ExampleNoStore() {
	show(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edgecache.NoStore(w)
		fmt.Fprintln(w, "your balance")
	}), "/account")
	// Output:
	// 200 your balance
	// Cache-Control: no-store
}

// The wrong way: to say how long a response is fresh does not lift what was forbidden before.
func ExampleNoStore_thenMaxAge() {
	w := httptest.NewRecorder()
	edgecache.NoStore(w)
	edgecache.MaxAge(w, time.Hour) // without effect
	fmt.Println(w.Header().Get("Cache-Control"))
	// Output: no-store
}

func ExampleNoCache() {
	w := httptest.NewRecorder()
	edgecache.MaxAge(w, time.Hour)
	edgecache.NoCache(w)
	fmt.Println(w.Header().Get("Cache-Control"))
	// Output: no-cache
}

// The wrong way: a time.Duration counts nanoseconds, so 60 is no minute. The header tells, and so
// does the Warned event of an Edge.
func ExampleMaxAge_nanoseconds() {
	w := httptest.NewRecorder()
	edgecache.MaxAge(w, 60)
	fmt.Println(w.Header().Get("Cache-Control"))
	edgecache.MaxAge(w, 60*time.Second)
	fmt.Println(w.Header().Get("Cache-Control"))
	// Output:
	// max-age=0, max-age-nanoseconds=60
	// max-age=60
}

// The wrong way: the header has gone out with the first byte of the body. An Edge does not keep the
// page all the same, and tells its observer.
func ExampleNoStore_tooLate() {
	edge, err := edgecache.New(edgecache.Config{Observer: func(ev edgecache.Event) {
		if ev.Kind == edgecache.Warned {
			fmt.Println(ev.Err)
		}
	}})
	if err != nil {
		panic(err)
	}
	h := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "your balance")
		edgecache.NoStore(w)
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/account", nil))
	fmt.Println(edge.Stats().Entries, "pages kept")
	// Output:
	// edgecache: Cache-Control was changed after the first byte of the body, which its client does not see: call NoStore, MaxAge and the like before it
	// 0 pages kept
}

func ExamplePrivate() {
	w := httptest.NewRecorder()
	edgecache.Private(w)
	edgecache.MaxAge(w, time.Minute) // in the browser
	edgecache.Public(w)              // without effect: it is for one visitor
	fmt.Println(w.Header().Get("Cache-Control"))
	// Output: private, max-age=60
}

func ExamplePublic() {
	w := httptest.NewRecorder()
	edgecache.Public(w) // also for visitors with a session cookie
	edgecache.MaxAge(w, 5*time.Minute)
	fmt.Println(w.Header().Get("Cache-Control"))
	// Output: public, max-age=300
}

func ExampleMaxAge() {
	w := httptest.NewRecorder()
	edgecache.MaxAge(w, 2*time.Minute)
	fmt.Println(w.Header().Get("Cache-Control"))
	// Output: max-age=120
}

// The server's cache keeps the page for an hour, browsers ask each time.
func ExampleSharedMaxAge() {
	w := httptest.NewRecorder()
	edgecache.MaxAge(w, 0)
	edgecache.SharedMaxAge(w, time.Hour)
	fmt.Println(w.Header().Get("Cache-Control"))
	// Output: max-age=0, s-maxage=3600
}

func ExampleImmutable() {
	w := httptest.NewRecorder()
	edgecache.MaxAge(w, 365*24*time.Hour)
	edgecache.Immutable(w)
	fmt.Println(w.Header().Get("Cache-Control"))
	// Output: max-age=31536000, immutable
}

func ExampleMustRevalidate() {
	w := httptest.NewRecorder()
	edgecache.MaxAge(w, time.Minute)
	edgecache.MustRevalidate(w)
	fmt.Println(w.Header().Get("Cache-Control"))
	// Output: max-age=60, must-revalidate
}

func ExampleStaleWhileRevalidate() {
	w := httptest.NewRecorder()
	edgecache.MaxAge(w, time.Minute)
	edgecache.StaleWhileRevalidate(w, 10*time.Minute)
	fmt.Println(w.Header().Get("Cache-Control"))
	// Output: max-age=60, stale-while-revalidate=600
}

func ExampleStaleIfError() {
	w := httptest.NewRecorder()
	edgecache.MaxAge(w, time.Minute)
	edgecache.StaleIfError(w, 24*time.Hour)
	fmt.Println(w.Header().Get("Cache-Control"))
	// Output: max-age=60, stale-if-error=86400
}

func ExampleVary() {
	w := httptest.NewRecorder()
	w.Header().Set("Vary", "Origin") // by some middleware
	edgecache.Vary(w, "Accept-Language", "origin")
	fmt.Println(w.Header().Get("Vary"))
	// Output: Origin, Accept-Language
}

func ExampleTag() {
	w := httptest.NewRecorder()
	edgecache.Tag(w, "post:7", "author:ada")
	fmt.Println(w.Header().Get("Cache-Groups"))
	// Output: "post:7", "author:ada"
}

func ExampleInvalidate() {
	show(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// after the change is committed
		edgecache.Invalidate(w, "post:7")
		w.WriteHeader(http.StatusSeeOther)
	}), "/posts/7")
	// Output:
	// 303
	// Cache-Group-Invalidation: "post:7"
}

func ExampleNotModified() {
	updated := time.Date(2020, 3, 1, 12, 0, 0, 0, time.UTC)
	post := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edgecache.MaxAge(w, time.Minute)
		if edgecache.NotModified(w, r, edgecache.LastModified(updated), edgecache.ETag("post-7-v3")) {
			return // nothing is rendered
		}
		_, _ = io.WriteString(w, "the whole post")
	})
	show(post, "/posts/7")
	show(post, "/posts/7", "If-None-Match", `"post-7-v3"`)
	// Output:
	// 200 the whole post
	// Cache-Control: max-age=60
	// Etag: "post-7-v3"
	// Last-Modified: Sun, 01 Mar 2020 12:00:00 GMT
	// 304
	// Cache-Control: max-age=60
	// Etag: "post-7-v3"
}

func ExampleRevision() {
	type post struct {
		ID      int
		Updated time.Time
	}
	p := post{7, time.Date(2020, 3, 1, 12, 0, 0, 0, time.UTC)}
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if edgecache.NotModified(w, r, edgecache.Revision(p.ID, p.Updated, "template 4", r.Header.Get("Accept-Language"))) {
			return
		}
		_, _ = io.WriteString(w, "page")
	})
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	tag := w.Header().Get("ETag")

	again := httptest.NewRequest("GET", "/", nil)
	again.Header.Set("If-None-Match", tag)
	w = httptest.NewRecorder()
	page.ServeHTTP(w, again)
	fmt.Println(w.Code)

	p.Updated = p.Updated.Add(time.Millisecond)
	w = httptest.NewRecorder()
	page.ServeHTTP(w, again)
	fmt.Println(w.Code, w.Body)
	// Output:
	// 304
	// 200 page
}

func ExampleETag() {
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	edgecache.NotModified(w, r, edgecache.ETag("v7"))
	fmt.Println(w.Header().Get("ETag"))
	// Output: "v7"
}

func ExampleWeakETag() {
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	edgecache.NotModified(w, r, edgecache.WeakETag("v7"))
	fmt.Println(w.Header().Get("ETag"))
	// Output: W/"v7"
}

func ExampleLastModified() {
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	edgecache.NotModified(w, r, edgecache.LastModified(time.Date(2020, 3, 1, 12, 0, 0, 0, time.UTC)))
	fmt.Println(w.Header().Get("Last-Modified"))
	// Output: Sun, 01 Mar 2020 12:00:00 GMT
}

func ExamplePolicy_Handler() {
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edgecache.MaxAge(w, time.Minute) // shorter than the policy: it stays
	})
	show(edgecache.Policy{MaxAge: time.Hour, Tags: []string{"posts"}}.Handler(page), "/posts")
	// Output:
	// 200
	// Cache-Control: max-age=60
	// Cache-Groups: "posts"
}

// A number without its unit is nanoseconds.
func ExamplePolicy_Validate() {
	fmt.Println(edgecache.Policy{NoStore: true, MaxAge: 60}.Validate())
	// Output:
	// edgecache: Policy.MaxAge is 60ns: want 0 (says nothing) or at least time.Second, with its unit, such as 60*time.Second
	// edgecache: Policy.MaxAge is 60ns: want it unset beside NoStore
}

func ExamplePolicy_Handler_wholeSite() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("GET /account", func(w http.ResponseWriter, r *http.Request) { edgecache.NoStore(w) })
	mux.HandleFunc("GET /broken", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusInternalServerError) })

	app := edgecache.Policy{MaxAge: 2 * time.Minute}.Handler(mux)
	show(app, "/")
	show(app, "/account")
	show(app, "/broken") // an error gets no lifetime
	// Output:
	// 200
	// Cache-Control: max-age=120
	// 200
	// Cache-Control: no-store
	// 500
}

func ExampleAfterRequest() {
	app := edgecache.AfterRequest(func(r *http.Request, status int, header http.Header) {
		if strings.HasPrefix(r.URL.Path, "/admin/") {
			header.Set("Cache-Control", "no-store")
		}
	})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { edgecache.MaxAge(w, time.Hour) }))
	show(app, "/admin/users")
	show(app, "/posts")
	// Output:
	// 200
	// Cache-Control: no-store
	// 200
	// Cache-Control: max-age=3600
}

func ExampleRoutes() {
	policies := edgecache.Routes(map[string]edgecache.Policy{
		"GET /blog/{id}": {Public: true, MaxAge: 10 * time.Minute},
		"/account/":      {NoStore: true},
	})
	app := policies(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	show(app, "/blog/7")
	show(app, "/account/orders")
	show(app, "/about")
	// Output:
	// 200
	// Cache-Control: public, max-age=600
	// 200
	// Cache-Control: no-store
	// 200
}

// queryFailed is the key under which a request's context has the place to note that its query has
// failed.
type queryFailed struct{}

// noting gives each request that place. It stands outside of the hook.
func noting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), queryFailed{}, new(atomic.Bool))))
	})
}

// noteFailure is for where the GraphQL library tells of errors, before it writes: AroundResponses
// of gqlgen, for instance.
func noteFailure(ctx context.Context) {
	if failed, ok := ctx.Value(queryFailed{}).(*atomic.Bool); ok {
		failed.Store(true)
	}
}

// GraphQL answers 200 although the query has failed: with errors in the body, which no header
// tells.
func ExampleAfterRequest_graphQL() {
	graphQL := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edgecache.CacheFor(w, time.Minute)
		w.Header().Set("Content-Type", "application/json")
		if r.FormValue("query") == "{user}" {
			fmt.Fprint(w, `{"data":"Ada"}`)
			return
		}
		noteFailure(r.Context())
		fmt.Fprint(w, `{"errors":["no such field"]}`)
	})
	forbid := edgecache.AfterRequest(func(r *http.Request, status int, header http.Header) {
		if failed, ok := r.Context().Value(queryFailed{}).(*atomic.Bool); ok && failed.Load() {
			header.Set("Cache-Control", "no-store")
			header.Del("CDN-Cache-Control") // it would count in place of the other
		}
	})
	site := edgecache.Cache(noting(forbid(graphQL)))

	for range 2 {
		ask(site, "GET", "/graphql?query=%7Buser%7D")
		ask(site, "GET", "/graphql?query=%7Buzer%7D")
	}
	// Output:
	// MISS {"data":"Ada"}
	// BYPASS {"errors":["no such field"]}
	// HIT {"data":"Ada"}
	// BYPASS {"errors":["no such field"]}
}

// A page that is deleted is gone with its next refresh; a purge takes it away at once.
func aDeletedPageTurns404(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deleted atomic.Bool
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, _ int) {
			if deleted.Load() {
				http.NotFound(w, r)
				return
			}
			edgecache.MaxAge(w, time.Minute)
			edgecache.StaleWhileRevalidate(w, time.Hour)
			fmt.Fprint(w, "post")
		})
		s.Visit("/blog/1").Wants(t, "MISS", 200, "post")
		s.Visit("/blog/2").Wants(t, "MISS", 200, "post")
		deleted.Store(true)
		s.Visit("/blog/1").Wants(t, "HIT", 200, "post")
		time.Sleep(61 * time.Second)
		s.Visit("/blog/1").Wants(t, "UPDATING", 200, "post")
		synctest.Wait()
		s.Visit("/blog/1").Wants(t, "HIT", 404, "404 page not found\n")
		time.Sleep(31 * time.Second)
		s.Visit("/blog/1").Wants(t, "EXPIRED", 404, "404 page not found\n")

		n, err := s.Edge.Purge(t.Context(), "/blog/2")
		require.NoError(t, err)
		require.Equal(t, 1, n)
		s.Visit("/blog/2").Wants(t, "MISS", 404, "404 page not found\n")
	})
}
