package assets

import (
	"net/http"
	"reflect"
)

// Of returns the Set of an *edgecache.Assets, which has nothing else.
func Of(served http.Handler) *Set {
	return (*Set)(reflect.ValueOf(served).Elem().FieldByName("set").UnsafePointer())
}
