package engine

import (
	"fmt"
	"hash/maphash"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// spelled spells a number in letters.
func spelled(n int) string {
	return strings.Map(func(c rune) rune { return c - '0' + 'a' }, fmt.Sprint(n))
}

// Whatever the URLs of a route are, it leaves places for others.
func TestPlacesOfARoute(t *testing.T) {
	page := http.NotFoundHandler()
	mux := http.NewServeMux()
	for _, pattern := range []string{"GET /poll", "GET /poll/{id}", "/rooms/{id}/poll", "/rooms/{rest...}", "/users/", "/"} {
		mux.Handle(pattern, page)
	}
	for _, tt := range []struct {
		name    string
		url     func(i int) string
		guessed int // how many get a place where the route is guessed
		known   int // and where the mux tells
	}{
		{"in the query", func(i int) string { return fmt.Sprint("/poll?", i) }, 512, 512},
		{"at the end", func(i int) string { return fmt.Sprint("/poll/", i) }, 512, 512},
		{"in the middle", func(i int) string { return fmt.Sprintf("/rooms/%d/poll", i) }, 512, 512},
		{"an address", func(i int) string { return fmt.Sprintf("/users/%s@example.com/feed", spelled(i)) }, 512, 512},
		{"below a version", func(i int) string { return fmt.Sprint("/api/v1/poll?", i) }, 512, 512},
		{"deep below", func(i int) string { return fmt.Sprint("/rooms/poll/since/", spelled(i)) }, 512, 512},
		{"a very long one", func(i int) string { return "/rooms/" + strings.Repeat(spelled(i), 40) + "/poll" }, 512, 512},
		{"words at the end", func(i int) string { return "/poll/" + spelled(i) }, 1024, 512},
		{"words in between", func(i int) string { return "/rooms/" + spelled(i) + "/poll" }, 1024, 512},
		{"words at the root", func(i int) string { return "/" + spelled(i) }, 1024, 1024},
		{"one of three folders", func(i int) string { return []string{"/rooms/", "/users/", "/poll/"}[i%3] + spelled(i) }, 3072, 2560},
	} {
		for name, next := range map[string]http.Handler{"guessed": page, "known": mux} {
			p := places{seed: maphash.MakeSeed()}
			var taken []place
			r := &http.Request{Method: "GET", Host: "example.com", URL: new(url.URL)}
			enter := func(target string) (place, bool) {
				r.URL.Path, r.URL.RawQuery, _ = strings.Cut(target, "?")
				return p.enter(next, r)
			}
			for i := range 5000 {
				if pl, ok := enter(tt.url(i)); ok {
					taken = append(taken, pl)
				}
			}
			want := map[string]int{"guessed": tt.guessed, "known": tt.known}[name]
			// Words of their own may share a slot with each other, or with what counts the folder:
			// some places fewer.
			if n := len(taken); n > want || n < want-want/4 {
				t.Errorf("%s, %s: %d places, want %d", tt.name, name, n, want)
			}
			// Of several other routes, one may share a slot with what is full, one time in many
			// hundreds.
			refused := 0
			for _, target := range []string{"/shop/item", "/shop/17", "/api/v1/items", "/shop", "/blog/post/one", "/news/today/list"} {
				if target == "/shop" && tt.name == "words at the root" {
					continue // pages at the root are below one folder
				}
				pl, ok := enter(target)
				if !ok {
					refused++
				}
				taken = append(taken, pl)
			}
			if refused > 2 { // a folder has up to two routes here
				t.Errorf("%s, %s: no place for %d other routes", tt.name, name, refused)
			}
			for i := range taken {
				taken[i].leave()
				taken[i].leave() // once more does nothing
			}
			if n := p.taken.Load(); n != 0 {
				t.Errorf("%d places are still taken", n)
			}
			for i := range p.slots {
				if n := p.slots[i].Load(); n != 0 {
					t.Fatalf("slot %d has %d", i, n)
				}
			}
		}
	}
}
