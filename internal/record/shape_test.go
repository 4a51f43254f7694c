package record

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

type (
	rw = http.ResponseWriter
	fl = http.Flusher
	hj = http.Hijacker
	pu = http.Pusher
)

// likes is one writer for each set of the three interfaces.
var likes = map[string]http.ResponseWriter{
	"": struct{ rw }{},
	"F": struct {
		rw
		fl
	}{},
	"H": struct {
		rw
		hj
	}{},
	"FH": struct {
		rw
		fl
		hj
	}{},
	"P": struct {
		rw
		pu
	}{},
	"FP": struct {
		rw
		fl
		pu
	}{},
	"HP": struct {
		rw
		hj
		pu
	}{},
	"FHP": struct {
		rw
		fl
		hj
		pu
	}{},
}

func lettersOf(w http.ResponseWriter) (s string) {
	if _, ok := w.(http.Flusher); ok {
		s += "F"
	}
	if _, ok := w.(http.Hijacker); ok {
		s += "H"
	}
	if _, ok := w.(http.Pusher); ok {
		s += "P"
	}
	return s
}

// core counts what reaches it.
type core struct {
	inner http.ResponseWriter
	calls []string
}

func (c *core) call(s string)               { c.calls = append(c.calls, s) }
func (c *core) Header() http.Header         { c.call("Header"); return http.Header{} }
func (c *core) WriteHeader(int)             { c.call("WriteHeader") }
func (c *core) Write([]byte) (int, error)   { c.call("Write"); return 0, nil }
func (c *core) FlushError() error           { c.call("FlushError"); return nil }
func (c *core) Unwrap() http.ResponseWriter { return c.inner }

func (c *core) WriteString(string) (int, error)      { c.call("WriteString"); return 0, nil }
func (c *core) ReadFrom(io.Reader) (int64, error)    { c.call("ReadFrom"); return 0, nil }
func (c *core) Push(string, *http.PushOptions) error { c.call("Push"); return nil }
func (c *core) CloseNotify() <-chan bool             { c.call("CloseNotify"); return nil }
func (c *core) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c.call("Hijack")
	return nil, nil, nil
}

func TestShape(t *testing.T) {
	t.Run("it has exactly the interfaces of like", func(t *testing.T) {
		if len(likes) != 8 {
			t.Fatalf("%d shapes in the table, want 8", len(likes))
		}
		for want, like := range likes {
			if got := lettersOf(like); got != want {
				t.Fatalf("the table's %q is a %q", want, got)
			}
			c := &core{inner: like}
			w := Shape(c, like)
			if got := lettersOf(w); got != want {
				t.Errorf("shape of %q is %q", want, got)
			}
			_, flush := w.(http.Flusher)
			if _, flushError := w.(interface{ FlushError() error }); flushError != flush {
				t.Errorf("%q: FlushError %v, want %v as Flush", want, flushError, flush)
			}
			_, readerFrom := w.(io.ReaderFrom)
			_, stringWriter := w.(io.StringWriter)
			_, notifies := w.(interface{ CloseNotify() <-chan bool })
			if !readerFrom || !stringWriter || !notifies {
				t.Errorf("%q: ReaderFrom %v, StringWriter %v, CloseNotifier %v, want all always", want, readerFrom, stringWriter, notifies)
			}
			u, ok := w.(interface{ Unwrap() http.ResponseWriter })
			if !ok || u.Unwrap() != like {
				t.Errorf("%q: Unwrap does not give the writer behind core", want)
			}
		}
	})
	t.Run("it hands every call to core", func(t *testing.T) {
		for letters, like := range likes {
			c := &core{inner: like}
			w := Shape(c, like)
			var want []string
			w.Header()
			w.WriteHeader(200)
			_, _ = w.Write(nil)
			want = append(want, "Header", "WriteHeader", "Write")
			if f, ok := w.(http.Flusher); ok {
				f.Flush()
				_ = w.(interface{ FlushError() error }).FlushError()
				want = append(want, "FlushError", "FlushError")
			}
			if h, ok := w.(http.Hijacker); ok {
				_, _, _ = h.Hijack()
				want = append(want, "Hijack")
			}
			if p, ok := w.(http.Pusher); ok {
				_ = p.Push("/", nil)
				want = append(want, "Push")
			}
			_, _ = w.(io.ReaderFrom).ReadFrom(nil)
			_, _ = w.(io.StringWriter).WriteString("")
			_ = w.(interface{ CloseNotify() <-chan bool }).CloseNotify()
			want = append(want, "ReadFrom", "WriteString", "CloseNotify")
			if len(c.calls) != len(want) {
				t.Fatalf("%q: calls %v, want %v", letters, c.calls, want)
			}
			for i := range want {
				if c.calls[i] != want[i] {
					t.Errorf("%q: calls %v, want %v", letters, c.calls, want)
					break
				}
			}
		}
	})
	t.Run("no controller flushes or hijacks behind core", func(t *testing.T) {
		for name, like := range map[string]http.ResponseWriter{
			"a veil over a recorder":  veil{httptest.NewRecorder()},
			"a veil over all":         veil{likes["FHP"]},
			"a flusher without Flush": onlyFlushError{httptest.NewRecorder()},
			"a hijacker over a veiled flusher": struct {
				veil
				hj
			}{veil: veil{httptest.NewRecorder()}},
		} {
			c := &core{inner: like}
			if err := http.NewResponseController(Shape(c, like)).Flush(); err != nil {
				t.Errorf("%s: Flush: %v", name, err)
			}
			if len(c.calls) != 1 || c.calls[0] != "FlushError" {
				t.Errorf("%s: calls after Flush %v, want core's FlushError", name, c.calls)
			}
		}
		for name, like := range map[string]http.ResponseWriter{
			"a veil over all": veil{likes["FHP"]},
			"a flusher over a veiled hijacker": struct {
				veil
				fl
			}{veil: veil{likes["H"]}},
		} {
			c := &core{inner: like}
			if _, _, err := http.NewResponseController(Shape(c, like)).Hijack(); err != nil {
				t.Errorf("%s: Hijack: %v", name, err)
			}
			if len(c.calls) != 1 || c.calls[0] != "Hijack" {
				t.Errorf("%s: calls after Hijack %v, want core's Hijack", name, c.calls)
			}
		}
	})
	t.Run("deadlines are reached through the gate", func(t *testing.T) {
		deep := &deadlines{rw: httptest.NewRecorder()}
		like := veil{veil{deep}}
		c := &core{inner: like}
		rc := http.NewResponseController(Shape(c, like))
		for _, err := range []error{rc.SetReadDeadline(time.Time{}), rc.SetWriteDeadline(time.Time{}), rc.EnableFullDuplex()} {
			if err != nil {
				t.Error(err)
			}
		}
		if deep.set != 3 || len(c.calls) != 0 {
			t.Errorf("reached %d of 3, core saw %v", deep.set, c.calls)
		}
		gate := Shape(c, like).(interface{ Unwrap() http.ResponseWriter }).Unwrap()
		gate.Header()
		gate.WriteHeader(200)
		_, _ = gate.Write(nil)
		if len(c.calls) != 3 {
			t.Errorf("the gate let %d of 3 calls pass core by", 3-len(c.calls))
		}
	})
	t.Run("that of a pointer does not allocate", func(t *testing.T) {
		for letters, like := range likes {
			c := &core{inner: like}
			if n := testing.AllocsPerRun(100, func() { shaped = Shape(c, like) }); n != 0 {
				t.Errorf("%q: %v allocations, want 0", letters, n)
			}
		}
	})
}

// veil hides everything but Unwrap, as many middlewares do.
type veil struct{ rw }

func (v veil) Unwrap() http.ResponseWriter { return v.rw }

// onlyFlushError has no Flush.
type onlyFlushError struct{ rw }

func (onlyFlushError) FlushError() error { return errors.New("reached behind core") }

// deadlines is what a ResponseController finds deepest.
type deadlines struct {
	rw
	set int
}

func (d *deadlines) SetReadDeadline(time.Time) error  { d.set++; return nil }
func (d *deadlines) SetWriteDeadline(time.Time) error { d.set++; return nil }
func (d *deadlines) EnableFullDuplex() error          { d.set++; return nil }

var shaped http.ResponseWriter
