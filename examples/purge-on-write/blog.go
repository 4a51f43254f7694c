package main

import (
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache"
)

// blog shows what is in the database. Each page has the tags of what it shows.
type blog struct {
	db   *sql.DB
	edge *edgecache.Edge
}

func (b blog) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", page(b.list))
	mux.HandleFunc("GET /posts/{id}", page(b.read))
	mux.HandleFunc("POST /posts/{id}/comments", page(b.comment))
	return mux
}

func (b blog) list(w http.ResponseWriter, r *http.Request) error {
	edgecache.CacheFor(w, time.Hour) // here and not in browsers, which no purge reaches
	edgecache.Tag(w, "posts")
	rows, err := b.db.QueryContext(r.Context(), `
		SELECT id, title, (SELECT count(*) FROM comments WHERE post = posts.id) FROM posts ORDER BY id`)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells
	for rows.Next() {
		var id, comments int
		var title string
		if err := rows.Scan(&id, &title, &comments); err != nil {
			return err
		}
		fmt.Fprintf(w, "%d. %s: %d comments\n", id, title, comments)
	}
	return rows.Err()
}

func (b blog) read(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	edgecache.CacheFor(w, time.Hour)
	edgecache.Tag(w, "post-"+id)
	var title string
	if err := b.db.QueryRowContext(r.Context(), `SELECT title FROM posts WHERE id = ?`, id).Scan(&title); err != nil {
		return err
	}
	rows, err := b.db.QueryContext(r.Context(), `SELECT text FROM comments WHERE post = ? ORDER BY id`, id)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells
	fmt.Fprintln(w, title)
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return err
		}
		fmt.Fprintln(w, "-", text)
	}
	return rows.Err()
}

// comment writes, commits, and only then purges. A page made between purge and commit would show
// the old comments for an hour.
func (b blog) comment(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	tx, err := b.db.BeginTx(r.Context(), nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // does nothing after a commit
	if err := tx.QueryRowContext(r.Context(), `SELECT id FROM posts WHERE id = ?`, id).Scan(&id); err != nil {
		return err
	}
	if _, err := tx.ExecContext(r.Context(), `INSERT INTO comments (post, text) VALUES (?, ?)`, id, r.FormValue("text")); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	if _, err := b.edge.PurgeTags(r.Context(), "post-"+id, "posts"); err != nil {
		return err
	}
	http.Redirect(w, r, "/posts/"+id, http.StatusSeeOther)
	return nil
}

// page turns errors into responses. If part of the page has been written it breaks off, which keeps
// the page out of the cache.
func page(show func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out := &tracked{ResponseWriter: w}
		switch err := show(out, r); {
		case err == nil:
		case out.written:
			panic(http.ErrAbortHandler)
		case errors.Is(err, sql.ErrNoRows):
			http.NotFound(w, r)
		default:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}
}

// tracked knows whether anything has been written.
type tracked struct {
	http.ResponseWriter
	written bool
}

func (t *tracked) Write(p []byte) (int, error) {
	t.written = true
	return t.ResponseWriter.Write(p)
}
