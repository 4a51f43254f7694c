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
