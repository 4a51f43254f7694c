package edgecache_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache"
)

// show prints the status and the caching fields of h's answer to a GET with the given request fields, name and value in turn.
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

// The wrong way: whoever says how long a page keeps cannot lift what was forbidden before.
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

// The wrong way: a time.Duration counts nanoseconds, so 60 is no minute. The header tells, and so does the Warned event of an Edge.
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

// The wrong way: the header has gone out with the first byte of the body. An Edge does not keep the page all the same, and tells its observer.
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
	edgecache.Public(w)              // without effect: it is somebody's own
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

func ExampleFresh() {
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

func ExampleVersion() {
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

func ExampleDefault() {
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
