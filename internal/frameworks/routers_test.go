package frameworks

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	echo4 "github.com/labstack/echo/v4"
	echo5 "github.com/labstack/echo/v5"
	"github.com/stretchr/testify/assert"

	"github.com/edgecache-go/edgecache"
)

func TestChi(t *testing.T) {
	edge, n := newEdge(t), new(renders)
	r := chi.NewRouter()
	r.Use(edge.Handler)
	r.Get("/page", func(w http.ResponseWriter, _ *http.Request) {
		n.page.Add(1)
		edgecache.MaxAge(w, time.Minute)
		_, _ = io.WriteString(w, "page")
	})
	r.Post("/page", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })
	r.Get("/stream", func(w http.ResponseWriter, _ *http.Request) {
		edgecache.MaxAge(w, time.Minute)
		_, _ = io.WriteString(w, "one")
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, "two")
	})
	r.Get("/account", func(w http.ResponseWriter, _ *http.Request) {
		edgecache.NoStore(w)
		_, _ = io.WriteString(w, "account")
	})
	r.Get("/forbidden", func(w http.ResponseWriter, _ *http.Request) {
		n.forbidden.Add(1)
		http.Error(w, "forbidden", http.StatusForbidden)
	})
	testSite(t, serve(t, r).URL, n)
}

func TestGin(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	edge, n := newEdge(t), new(renders)
	engine := gin.New()
	engine.GET("/page", func(c *gin.Context) {
		n.page.Add(1)
		edgecache.MaxAge(c.Writer, time.Minute)
		c.String(http.StatusOK, "page")
	})
	engine.POST("/page", func(c *gin.Context) { c.Status(http.StatusCreated) })
	engine.GET("/stream", func(c *gin.Context) {
		edgecache.MaxAge(c.Writer, time.Minute)
		pieces := []string{"one", "two"}
		c.Stream(func(w io.Writer) bool { // insists on http.CloseNotifier
			_, _ = io.WriteString(w, pieces[0])
			pieces = pieces[1:]
			return len(pieces) > 0
		})
	})
	engine.GET("/account", func(c *gin.Context) {
		edgecache.NoStore(c.Writer)
		c.String(http.StatusOK, "account")
	})
	engine.GET("/forbidden", func(c *gin.Context) {
		n.forbidden.Add(1)
		c.AbortWithStatusJSON(http.StatusForbidden, gin.H{"error": "forbidden"})
	})
	testSite(t, serve(t, edge.Handler(engine)).URL, n)
}

func TestEchoV4(t *testing.T) {
	edge, n := newEdge(t), new(renders)
	e := echo4.New()
	e.Use(echo4.WrapMiddleware(edge.Handler))
	e.GET("/page", func(c echo4.Context) error {
		n.page.Add(1)
		edgecache.MaxAge(c.Response(), time.Minute)
		return c.String(http.StatusOK, "page")
	})
	e.POST("/page", func(c echo4.Context) error { return c.NoContent(http.StatusCreated) })
	e.GET("/stream", func(c echo4.Context) error {
		edgecache.MaxAge(c.Response(), time.Minute)
		_, _ = io.WriteString(c.Response(), "one")
		c.Response().Flush()
		_, _ = io.WriteString(c.Response(), "two")
		return nil
	})
	e.GET("/account", func(c echo4.Context) error {
		edgecache.NoStore(c.Response())
		return c.String(http.StatusOK, "account")
	})
	e.GET("/forbidden", func(echo4.Context) error {
		n.forbidden.Add(1)
		return echo4.NewHTTPError(http.StatusForbidden, "forbidden")
	})
	testSite(t, serve(t, e).URL, n)
}

func TestEchoV5(t *testing.T) {
	edge, n := newEdge(t), new(renders)
	e := echo5.New()
	e.Use(echo5.WrapMiddleware(edge.Handler))
	e.GET("/page", func(c *echo5.Context) error {
		n.page.Add(1)
		edgecache.MaxAge(c.Response(), time.Minute)
		return c.String(http.StatusOK, "page")
	})
	e.POST("/page", func(c *echo5.Context) error { return c.NoContent(http.StatusCreated) })
	e.GET("/stream", func(c *echo5.Context) error {
		edgecache.MaxAge(c.Response(), time.Minute)
		_, _ = io.WriteString(c.Response(), "one")
		assert.NoError(t, http.NewResponseController(c.Response()).Flush())
		_, _ = io.WriteString(c.Response(), "two")
		return nil
	})
	e.GET("/account", func(c *echo5.Context) error {
		edgecache.NoStore(c.Response())
		return c.String(http.StatusOK, "account")
	})
	e.GET("/forbidden", func(*echo5.Context) error {
		n.forbidden.Add(1)
		return echo5.NewHTTPError(http.StatusForbidden, "forbidden")
	})
	testSite(t, serve(t, e).URL, n)
}

// Decorators around the handlers of a framework see the status that it writes when they have
// returned.
func TestDecoratedErrorsOfEcho(t *testing.T) {
	policy := edgecache.Policy{MaxAge: time.Hour}
	seen := 0
	hook := edgecache.AfterRequest(func(_ *http.Request, status int, h http.Header) {
		seen = status
		if status < 400 {
			h.Set("X-Success", "yes")
		}
	})
	for name, orders := range map[string][]func(http.Handler) http.Handler{
		"inside of the cache":  {newEdge(t).Handler, policy.Handler, hook},
		"outside of the cache": {hook, policy.Handler, newEdge(t).Handler},
		"without a cache":      {policy.Handler, hook},
	} {
		four, five := echo4.New(), echo5.New()
		for _, middleware := range orders {
			four.Use(echo4.WrapMiddleware(middleware))
			five.Use(echo5.WrapMiddleware(middleware))
		}
		four.GET("/4/forbidden", func(echo4.Context) error { return echo4.NewHTTPError(http.StatusForbidden, "forbidden") })
		four.GET("/4/page", func(c echo4.Context) error { return c.String(http.StatusOK, "page") })
		five.GET("/5/forbidden", func(*echo5.Context) error { return echo5.NewHTTPError(http.StatusForbidden, "forbidden") })
		five.GET("/5/page", func(c *echo5.Context) error { return c.String(http.StatusOK, "page") })
		for url, e := range map[string]http.Handler{"/4": four, "/5": five} {
			t.Run(name+url, func(t *testing.T) {
				url := serve(t, e).URL + url
				for range 2 {
					a := ask(t, http.DefaultClient, "GET", url+"/forbidden")
					assert.Equal(t, http.StatusForbidden, a.StatusCode)
					assert.Empty(t, a.Header.Get("Cache-Control"))
					assert.Empty(t, a.Header.Get("X-Success"))
					assert.Equal(t, http.StatusForbidden, seen)
					assert.NotEqual(t, "HIT", a.word())
				}
				for range 2 {
					a := ask(t, http.DefaultClient, "GET", url+"/page")
					assert.Equal(t, "max-age=3600", a.Header.Get("Cache-Control"))
					assert.Equal(t, "yes", a.Header.Get("X-Success"))
				}
			})
		}
	}
}
