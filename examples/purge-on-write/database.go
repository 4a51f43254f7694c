package main

import (
	"database/sql"

	_ "modernc.org/sqlite" // SQLite in Go, so that no C compiler is needed
)

// open returns a database in memory with two posts.
func open() (*sql.DB, error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // each connection to :memory: is a database of its own
	_, err = db.Exec(`
		CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT NOT NULL);
		CREATE TABLE comments (id INTEGER PRIMARY KEY, post INTEGER NOT NULL REFERENCES posts, text TEXT NOT NULL);
		INSERT INTO posts (title) VALUES ('On caches'), ('On gardens');`)
	return db, err
}
