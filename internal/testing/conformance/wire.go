package conformance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Serve serves HTTP/1.1 on the connections of l until l is closed, and returns when the last of
// them has ended.
//
// It writes the messages itself. net/http would repair what a case breaks on purpose: it removes
// Content-Type from a 304, sends nothing where the body exceeds its declared length, and rewrites
// Transfer-Encoding.
func (o *Origin) Serve(l net.Listener) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		conns.Go(func() {
			defer context.AfterFunc(ctx, func() { c.Close() })()
			defer c.Close()
			o.serveConn(ctx, c)
		})
	}
}

func (o *Origin) serveConn(ctx context.Context, c net.Conn) {
	br := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, io.LimitReader(r.Body, maxBody)); err != nil {
			return
		}
		a := o.answer(ctx, r)
		for _, in := range a.interim {
			if err := writeHead(c, in.Status, http.StatusText(in.Status), in.header, ""); err != nil {
				return
			}
		}
		if a.disconnect {
			return
		}
		body := a.body
		if r.Method == http.MethodHead {
			body = ""
		}
		header, reusable := a.framing(r)
		if err := writeHead(c, a.status, a.phrase, header, body); err != nil || !reusable || r.Close {
			return
		}
	}
}

// framing adds what a server adds to the header of a case, unless the case says it. A connection is
// not reusable after a body that its own header does not delimit.
func (a reply) framing(r *http.Request) (header []line, reusable bool) {
	header = a.header
	if _, ok := lookup(header, "Date"); !ok {
		header = append(header, line{"Date", time.Now().UTC().Format(http.TimeFormat)})
	}
	declared, hasLength := lookup(header, "Content-Length")
	_, hasCoding := lookup(header, "Transfer-Encoding")
	if !hasLength && !hasCoding && !bodiless(a.status) && r.Method != http.MethodHead {
		declared = strconv.Itoa(len(a.body))
		header = append(header, line{"Content-Length", declared})
	}
	reusable = !hasCoding && (bodiless(a.status) || r.Method == http.MethodHead || declared == strconv.Itoa(len(a.body)))
	if _, ok := lookup(header, "Connection"); !ok {
		connection := "keep-alive"
		if !reusable || r.Close {
			connection = "close"
		}
		header = append(header, line{"Connection", connection})
	}
	return header, reusable
}

func writeHead(w io.Writer, status int, phrase string, header []line, body string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %03d %s\r\n", status, phrase)
	for _, l := range header {
		fmt.Fprintf(&b, "%s: %s\r\n", l.name, l.value)
	}
	b.WriteString("\r\n")
	b.WriteString(body)
	_, err := io.WriteString(w, b.String())
	return err
}

// Pipe is a net.Listener in memory. Its connections are net.Pipe, which blocks durably in a
// testing/synctest bubble.
type Pipe struct {
	conns chan net.Conn
	done  chan struct{}
	close sync.Once
}

// NewPipe returns a Pipe to serve on and to dial.
func NewPipe() *Pipe { return &Pipe{conns: make(chan net.Conn), done: make(chan struct{})} }

// Dial connects to the accepting server.
func (p *Pipe) Dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *Pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *Pipe) Close() error {
	p.close.Do(func() { close(p.done) })
	return nil
}

func (p *Pipe) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
