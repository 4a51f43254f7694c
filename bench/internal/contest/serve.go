//go:build linux

package contest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/cache"

	"github.com/edgecache-go/edgecache"
)

// madePath is where a server tells how often its handler has run.
const madePath = "/-/made"

// Serve is what a child process does: it serves the load's site as the contestant of that name, on a free loopback port that it writes to out, until in ends.
func Serve(name, loadName string, in io.Reader, out io.Writer) error {
	l, ok := find(Loads(), func(l Load) bool { return l.Name == loadName })
	if !ok {
		return fmt.Errorf("bench: no load is called %q", loadName)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, listener.Addr())
	var ended atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, in)
		ended.Store(true)
		listener.Close()
	}()
	s := newSite(l)
	switch name {
	case "bare":
		err = serveHTTP(listener, s, http.HandlerFunc(s.bare))
	case "origin":
		err = serveHTTP(listener, s, s)
	case "edgecache":
		edge, wrong := edgecache.New(edgecache.Config{MaxBytes: budget})
		if wrong != nil {
			return wrong
		}
		purge, wrong := edge.PurgeHandler(func(*http.Request) bool { return true })
		if wrong != nil {
			return wrong
		}
		cached := edge.Handler(s)
		err = serveHTTP(listener, s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "PURGE" {
				purge.ServeHTTP(w, r)
				return
			}
			cached.ServeHTTP(w, r)
		}))
	case "fiber":
		err = serveFiber(listener, s)
	default:
		err = fmt.Errorf("bench: no server is called %q", name)
	}
	if ended.Load() {
		return nil
	}
	return err
}

func serveHTTP(l net.Listener, s *site, h http.Handler) error {
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.RequestURI == madePath {
				_, _ = io.WriteString(w, strconv.FormatUint(s.made.Load(), 10))
				return
			}
			h.ServeHTTP(w, r)
		}),
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: time.Minute,
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	defer func() { _ = server.Close() }() // the process ends anyway
	return server.Serve(l)
}

// serveFiber serves the same pages with fiber's own kind of handler behind its cache.
func serveFiber(l net.Listener, s *site) error {
	app := fiber.New()
	app.Get(madePath, func(c fiber.Ctx) error { return c.SendString(strconv.FormatUint(s.made.Load(), 10)) })
	app.Use(cache.New(cache.Config{
		Expiration:           time.Hour,
		MaxBytes:             budget,
		StoreResponseHeaders: true,
		KeyGenerator:         func(c fiber.Ctx) string { return string(c.Request().RequestURI()) },
		CacheInvalidator:     func(c fiber.Ctx) bool { return len(c.Request().Header.Peek("X-Purge")) > 0 },
	}))
	app.Get("/*", func(c fiber.Ctx) error {
		body := s.page(c.Path())
		c.Set("Content-Type", "text/html; charset=utf-8")
		c.Set("Cache-Control", "max-age=3600")
		c.Set("Etag", tag)
		return c.Send(body)
	})
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = app.ShutdownWithContext(ctx) // the process ends anyway
	}()
	return app.Listener(l, fiber.ListenConfig{DisableStartupMessage: true})
}

func find[T any](all []T, is func(T) bool) (found T, ok bool) {
	for _, one := range all {
		if is(one) {
			return one, true
		}
	}
	return found, false
}
