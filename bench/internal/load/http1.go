//go:build linux

package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"
)

// maxReads is how often a connection is read before the next one has its turn.
const maxReads = 4

// maxHead bounds the head of an answer, in bytes.
const maxHead = 64 << 10

// client1 is a connection that speaks HTTP/1.1.
type client1 struct {
	driver *driver
	conn   *conn

	out    []byte
	asked  time.Time
	kind   int
	head   []byte // of an answer whose head came in pieces
	status int
	body   bool // the head has come
	size   int  // of the body
	rest   int  // of it, to come
}

// ask sends the next request.
func (c *client1) ask() error {
	r := c.driver.plan.Script.Next()
	c.out = appendRequest(c.out[:0], r, c.driver.plan.Host)
	c.kind, c.body, c.head = r.Kind, false, c.head[:0]
	c.asked = time.Now()
	return c.conn.send(c.out)
}

func appendRequest(b []byte, r *Request, host string) []byte {
	method := r.Method
	if method == "" {
		method = "GET"
	}
	b = append(b, method...)
	b = append(b, ' ')
	b = append(b, r.Target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	b = append(b, "\r\nUser-Agent: bench\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n"...)
	if r.Name != "" {
		b = append(b, r.Name...)
		b = append(b, ": "...)
		b = append(b, r.Value...)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// readable reads what is there, but not more than maxReads times: one connection that is answered at once must not keep out the others.
func (c *client1) readable() error {
	for range maxReads {
		n, err := syscall.Read(c.conn.fd, c.driver.buf)
		if err != nil || n <= 0 {
			return readError(n, err)
		}
		if err := c.take(c.driver.buf[:n]); err != nil {
			return err
		}
		if n < len(c.driver.buf) {
			return nil
		}
	}
	return nil
}

// readError is nil when there is just nothing to read now.
func readError(n int, err error) error {
	switch {
	case errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR):
		return nil
	case err != nil:
		return err
	case n == 0:
		return io.ErrUnexpectedEOF
	}
	return nil
}

// take goes on with what has come.
func (c *client1) take(p []byte) error {
	for len(p) > 0 {
		if c.body {
			n := min(c.rest, len(p))
			c.rest -= n
			p = p[n:]
		} else {
			head := p
			if len(c.head) > 0 {
				c.head = append(c.head, p...)
				head = c.head
			}
			end := bytes.Index(head, []byte("\r\n\r\n"))
			if end < 0 {
				if len(head) > maxHead {
					return fmt.Errorf("load: head of %d bytes", len(head))
				}
				if len(c.head) == 0 {
					c.head = append(c.head, p...)
				}
				return nil
			}
			var err error
			if c.status, c.size, err = parseHead(head[:end+2]); err != nil {
				return err
			}
			p = p[len(p)-(len(head)-end-4):]
			c.body, c.rest = true, c.size
		}
		if c.body && c.rest == 0 {
			if len(p) > 0 {
				return fmt.Errorf("load: %d bytes too many", len(p))
			}
			c.driver.answered(c.kind, c.asked, c.status, c.size)
			return c.ask()
		}
	}
	return nil
}

// parseHead reads the status and the length of an answer. head ends with the line end of the last field.
func parseHead(head []byte) (status, size int, err error) {
	if len(head) < 12 || string(head[:7]) != "HTTP/1." {
		return 0, 0, fmt.Errorf("load: %.40q is no answer", head)
	}
	for _, digit := range head[9:12] {
		status = status*10 + int(digit-'0')
	}
	if status == 304 || status == 204 {
		return status, 0, nil
	}
	for _, name := range [...]string{"\r\nContent-Length: ", "\r\ncontent-length: "} {
		at := bytes.Index(head, []byte(name))
		if at < 0 {
			continue
		}
		for _, digit := range head[at+len(name):] {
			if digit < '0' || digit > '9' {
				break
			}
			size = size*10 + int(digit-'0')
		}
		return status, size, nil
	}
	return status, 0, fmt.Errorf("load: answer %d without Content-Length", status)
}
