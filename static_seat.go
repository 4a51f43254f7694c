package edgecache

import (
	"context"
	"net/http"
)

// seat is where an Edge in front of static files learns what they have to say. It lies in the context of the request that the Edge passes on.
//
// A static file is stored nowhere: it is in the program, in memory or in the system's page cache already. And it answers conditions and ranges
// itself, so it must see those that a fill takes off.
type seat struct {
	header  http.Header // of the client's request
	account account     // how the file was served; none if none was
}

type seatKey struct{}

// staticField marks an answer of static files on its way to the outermost Edge, and never leaves that. It counts only together with a seat
// that was taken, so that no origin can pretend.
const staticField = "Edgecache-Static"

func (s *seat) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, seatKey{}, s)
}

func seatOf(r *http.Request) *seat {
	s, _ := r.Context().Value(seatKey{}).(*seat)
	return s
}

// conditionsOf returns the header in which the client's conditions and ranges stand.
func conditionsOf(r *http.Request) http.Header {
	if s := seatOf(r); s != nil {
		return s.header
	}
	return r.Header
}

// claimed reports whether the answer with the header h is a static file. r is the request as the Edge has got it: where another Edge is in front of this
// one, it learns the same.
func (s *seat) claimed(h http.Header, r *http.Request) bool {
	_, marked := h[staticField]
	if !marked || s.account.status == StatusNone {
		delete(h, staticField)
		return false
	}
	if outer := seatOf(r); outer != nil {
		outer.account = s.account
	} else {
		delete(h, staticField)
	}
	return true
}
