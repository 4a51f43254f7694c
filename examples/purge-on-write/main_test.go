package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/session"
)

func serve(t *testing.T) *httptest.Server {
	t.Helper()
	edge, err := edgecache.New(edgecache.Config{})
	if err != nil {
		t.Fatal(err)
	}
	db, err := open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b := blog{db, edge}
	server := httptest.NewServer(edge.Handler(b.routes()))
	t.Cleanup(server.Close)
	return server
}

// TestSession types the curl lines of the first comment in main.go.
func TestSession(t *testing.T) {
	s, err := session.OfProgram("main.go")
	if err != nil {
		t.Fatal(err)
	}
	for how, curl := range session.Curls() {
		t.Run(how, func(t *testing.T) {
			if err := s.Run(t.Context(), serve(t).URL, curl); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReadersSeeWhatWasWritten is the promise: a client that reads after a comment was posted sees
// it, however many clients read and write at once.
func TestReadersSeeWhatWasWritten(t *testing.T) {
	server := serve(t)
	client := server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	read := func() string {
		response, err := client.Get(server.URL + "/posts/1")
		if err != nil {
			t.Error(err)
			return ""
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	var all sync.WaitGroup
	for writer := range 4 {
		all.Go(func() {
			for i := range 25 {
				text := fmt.Sprintf("comment %d of %d.", i, writer)
				response, err := client.PostForm(server.URL+"/posts/1/comments", url.Values{"text": {text}})
				if err != nil {
					t.Error(err)
					return
				}
				response.Body.Close()
				if page := read(); response.StatusCode != http.StatusSeeOther || !strings.Contains(page, "- "+text+"\n") {
					t.Errorf("%d, and %q is missing in\n%s", response.StatusCode, text, page)
					return
				}
			}
		})
		all.Go(func() {
			for range 100 {
				read()
			}
		})
	}
	all.Wait()
}

func TestCommentOnNothing(t *testing.T) {
	server := serve(t)
	response, err := server.Client().PostForm(server.URL+"/posts/9/comments", url.Values{"text": {"?"}})
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("got %d, want 404", response.StatusCode)
	}
}
