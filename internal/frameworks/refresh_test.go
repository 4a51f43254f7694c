package frameworks

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	echo4 "github.com/labstack/echo/v4"
	echo5 "github.com/labstack/echo/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

// slowPage is a page /slow/{id} that writes its id when the gate opens. The id is the one that its
// framework has put into the request.
type slowPage struct {
	stale atomic.Bool
	began chan bool
	gate  chan struct{}
}

func (p *slowPage) serve(w http.ResponseWriter, r *http.Request, id func() string) string {
	if p.stale.Load() {
		p.began <- edgecache.Refreshing(r)
		<-p.gate
	}
	edgecache.MaxAge(w, time.Minute)
	edgecache.StaleWhileRevalidate(w, time.Minute)
	return "page " + id()
}

// Frameworks reuse the context of a request as soon as it is answered. A stale page is served at
// once, and the refresh still makes the right page.
func TestRefreshesBehindFrameworks(t *testing.T) {
	for name, mount := range map[string]func(edge *edgecache.Edge, p *slowPage) http.Handler{
		"chi, Use": func(edge *edgecache.Edge, p *slowPage) http.Handler {
			r := chi.NewRouter()
			r.Use(chimiddleware.RequestID, chimiddleware.Recoverer, edge.Handler)
			r.Get("/slow/{id}", func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, p.serve(w, r, func() string { return chi.URLParam(r, "id") }))
			})
			r.Get("/other/{id}", func(http.ResponseWriter, *http.Request) {})
			return r
		},
		"chi, at a route": func(edge *edgecache.Edge, p *slowPage) http.Handler {
			r := chi.NewRouter()
			r.With(edge.Handler).Get("/slow/{id}", func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, p.serve(w, r, func() string { return chi.URLParam(r, "id") }))
			})
			r.Get("/other/{id}", func(http.ResponseWriter, *http.Request) {})
			return r
		},
		"gin, in front, behind a timeout": func(edge *edgecache.Edge, p *slowPage) http.Handler {
			engine := gin.New()
			engine.GET("/slow/:id", func(c *gin.Context) {
				c.String(http.StatusOK, p.serve(c.Writer, c.Request, func() string { return c.Param("id") }))
			})
			engine.GET("/other/:id", func(*gin.Context) {})
			return http.TimeoutHandler(edge.Handler(engine), time.Minute, "too slow")
		},
		"echo v4, Use": func(edge *edgecache.Edge, p *slowPage) http.Handler {
			e := echo4.New()
			e.Use(echo4.WrapMiddleware(edge.Handler))
			e.GET("/slow/:id", func(c echo4.Context) error {
				return c.String(http.StatusOK, p.serve(c.Response(), c.Request(), func() string { return c.Param("id") }))
			})
			e.GET("/other/:id", func(c echo4.Context) error { return c.NoContent(http.StatusOK) })
			return e
		},
		"echo v5, Use": func(edge *edgecache.Edge, p *slowPage) http.Handler {
			e := echo5.New()
			e.Use(echo5.WrapMiddleware(edge.Handler))
			e.GET("/slow/:id", func(c *echo5.Context) error {
				return c.String(http.StatusOK, p.serve(c.Response(), c.Request(), func() string { return c.Param("id") }))
			})
			e.GET("/other/:id", func(c *echo5.Context) error { return c.NoContent(http.StatusOK) })
			return e
		},
	} {
		t.Run(name, func(t *testing.T) {
			gin.SetMode(gin.ReleaseMode)
			edge := newEdge(t)
			p := &slowPage{began: make(chan bool, 10), gate: make(chan struct{})}
			url := serve(t, mount(edge, p)).URL
			get := func(path string) answer { return ask(t, http.DefaultClient, "GET", url+path) }
			require.Equal(t, "page 1", get("/slow/1").body)
			require.Equal(t, "HIT", get("/slow/1").word())
			_, err := edge.Soft().PurgeAll(t.Context())
			require.NoError(t, err)
			p.stale.Store(true)
			for range 2 {
				a := get("/slow/1")
				assert.Equal(t, "UPDATING page 1", a.word()+" "+a.body)
			}
			require.True(t, <-p.began, "the handler can tell that it runs for no client")
			for range 20 { // which take what is free
				get("/other/2")
			}
			close(p.gate)
			require.NoError(t, edge.Close(t.Context()))
			a := get("/slow/1")
			assert.Equal(t, "HIT page 1", a.word()+" "+a.body)
			assert.Empty(t, p.began)
		})
	}
}
