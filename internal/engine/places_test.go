package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestPlaces(t *testing.T) {
	t.Run("long polls do not end storing", longPollsDoNotEndStoring)
	t.Run("a response past the limit of a route is passed on", aResponsePastTheLimitOfARouteIsPassedOn)
	t.Run("a response that is not stored takes no place", aResponseThatIsNotStoredTakesNoPlace)
}

// 4 200 handlers of one route that do not answer keep nothing else from being stored.
func longPollsDoNotEndStoring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			if strings.HasPrefix(r.URL.Path, "/poll/") {
				<-gate
			}
			io.WriteString(w, "page")
		})
		all := make([]*harness.Client, 4200)
		for i := range all {
			all[i] = s.Visit(fmt.Sprint("/poll/", i))
		}
		synctest.Wait()
		s.Visit("/page").Wants(t, "MISS", 200, "page")
		s.Visit("/page").Wants(t, "HIT", 200, "page")
		close(gate)
		stored := 0
		for _, v := range all {
			v.Wants(t, v.Word(), 200, "page")
			if v.Word() == "MISS" {
				stored++
			} else {
				require.Equal(t, "busy", v.Detail())
			}
		}
		require.Equal(t, 512, stored)
	})
}

// At the limit of a route a response is stored, one past it is passed on.
func aResponsePastTheLimitOfARouteIsPassedOn(t *testing.T) {
	const limit = 512
	for _, polls := range []int{limit - 1, limit} {
		synctest.Test(t, func(t *testing.T) {
			gate := make(chan struct{})
			s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
				if r.URL.RawQuery == "" {
					<-gate
				}
				io.WriteString(w, "page")
			})
			all := make([]*harness.Client, polls)
			for i := range all {
				all[i] = s.Visit(fmt.Sprint("/api/poll/", i))
			}
			synctest.Wait()
			v := s.Visit("/api/poll/7?now")
			if polls < limit {
				v.Wants(t, "MISS", 200, "page")
			} else {
				v.Wants(t, "BYPASS", 200, "page")
				require.Equal(t, "busy", v.Detail())
			}
			close(gate)
			for _, v := range all {
				v.Wants(t, "MISS", 200, "page")
			}
		})
	}
}

// A handler whose answer is not stored takes no place from the moment when that is known, however
// long it goes on.
func aResponseThatIsNotStoredTakesNoPlace(t *testing.T) {
	for name, header := range map[string]http.Header{
		"event streams": {"Content-Type": {"text/event-stream"}},
		"no-store":      {"Cache-Control": {"no-store"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
					if r.URL.RawQuery != "" {
						for name, values := range header {
							w.Header()[name] = values
						}
						w.WriteHeader(http.StatusOK)
						<-gate
					}
					io.WriteString(w, "page")
				})
				all := make([]*harness.Client, 600)
				for i := range all {
					all[i] = s.Visit(fmt.Sprint("/x?", i))
				}
				synctest.Wait()
				s.Visit("/x").Wants(t, "MISS", 200, "page")
				s.Visit("/x").Wants(t, "HIT", 200, "page")
				close(gate)
				for _, v := range all {
					v.Wants(t, "BYPASS", 200, "page")
				}
			})
		})
	}
}
