package engine

import (
	"net/http"
	"strings"

	"github.com/edgecache-go/edgecache/internal/directive"
)

// hideTags takes the tags off a response that leaves, if Config.HideTags says so. What is stored keeps them.
func (e *Engine) hideTags(h http.Header) {
	if !e.config.HideTags {
		return
	}
	for name := range h {
		if strings.EqualFold(name, "Cache-Groups") || strings.EqualFold(name, directive.GroupInvalidation) {
			delete(h, name)
		}
	}
}
