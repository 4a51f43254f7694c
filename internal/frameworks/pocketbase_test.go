package frameworks

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/pocketbase/pocketbase/apis"
	"github.com/pocketbase/pocketbase/core"
	"github.com/pocketbase/pocketbase/tests"
	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

func TestPocketBase(t *testing.T) {
	app, err := tests.NewTestApp(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(app.Cleanup)
	edge, n := newEdge(t), new(renders)

	router, err := apis.NewRouter(app)
	require.NoError(t, err)
	se := &core.ServeEvent{App: app, Router: router} // as OnServe gets it
	se.Router.BindFunc(apis.WrapStdMiddleware(edge.Handler))
	router.GET("/page", func(e *core.RequestEvent) error {
		n.page.Add(1)
		edgecache.MaxAge(e.Response, time.Minute)
		return e.String(http.StatusOK, "page")
	})
	router.POST("/page", func(e *core.RequestEvent) error { return e.NoContent(http.StatusCreated) })
	router.GET("/stream", func(e *core.RequestEvent) error {
		edgecache.MaxAge(e.Response, time.Minute)
		_, _ = io.WriteString(e.Response, "one")
		if err := e.Flush(); err != nil {
			return err
		}
		_, _ = io.WriteString(e.Response, "two")
		return nil
	})
	router.GET("/account", func(e *core.RequestEvent) error {
		edgecache.NoStore(e.Response)
		return e.String(http.StatusOK, "account")
	})
	router.GET("/forbidden", func(e *core.RequestEvent) error {
		n.forbidden.Add(1)
		return e.ForbiddenError("forbidden", nil)
	})
	mux, err := router.BuildMux()
	require.NoError(t, err)
	testSite(t, serve(t, mux).URL, n)
}
