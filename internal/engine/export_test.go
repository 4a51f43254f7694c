package engine

import "net/http"

// Of returns the engine of an Edge.
func Of(edge interface {
	Handler(next http.Handler) http.Handler
}) *Engine {
	return edge.Handler(http.NotFoundHandler()).(*handler).engine
}
