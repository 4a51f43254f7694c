//go:build linux

package load

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"time"
)

// Of RFC 9113.
const (
	frameHead    = 9
	frameData    = 0
	frameHeaders = 1
	frameReset   = 3
	frameSetting = 4
	framePing    = 6
	frameGoAway  = 7
	frameWindow  = 8
	frameMore    = 9 // CONTINUATION

	flagEnd    = 0x1 // END_STREAM; ACK of SETTINGS and PING
	flagHead   = 0x4 // END_HEADERS
	flagPadded = 0x8

	preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

	window   = 1 << 30 // of a connection and of each stream
	maxFrame = 16384   // as settings leave it
)

// client2 is a connection that speaks HTTP/2 with prior knowledge. It has so many streams open at a time.
type client2 struct {
	driver *driver
	conn   *conn

	begun   bool
	next    uint32 // stream
	streams []stream
	out     []byte
	in      []byte // of a frame that came in pieces
	rest    int    // of a DATA frame's payload that is to come and is not looked at
	ends    *stream
	taken   int // bytes since the last WINDOW_UPDATE
}

type stream struct {
	id     uint32
	asked  time.Time
	kind   int
	status int
	size   int
}

func newClient2(d *driver, c *conn) *client2 {
	return &client2{driver: d, conn: c, next: 1, streams: make([]stream, d.plan.Streams)}
}

func (c *client2) begin() error {
	c.begun = true
	b := append(c.out[:0], preface...)
	b = appendFrame(b, frameSetting, 0, []byte{
		0, 1, 0, 0, 0, 0, // SETTINGS_HEADER_TABLE_SIZE 0: answers need no state to be read
		0, 2, 0, 0, 0, 0, // SETTINGS_ENABLE_PUSH 0
		0, 4, 0x40, 0, 0, 0, // SETTINGS_INITIAL_WINDOW_SIZE
	})
	b = appendFrame(b, frameWindow, 0, []byte{0x3f, 0xff, 0, 0}) // 2^30 less the 65535 that it begins with, rounded
	c.out = b
	for i := range c.streams {
		c.ask(&c.streams[i])
	}
	return c.flush()
}

// ask adds the next request to what is to be sent.
func (c *client2) ask(s *stream) {
	r := c.driver.plan.Script.Next()
	*s = stream{id: c.next, asked: time.Now(), kind: r.Kind}
	c.next += 2
	at := len(c.out)
	c.out = append(c.out, make([]byte, frameHead)...)
	c.out = appendFields(c.out, r, c.driver.plan.Host)
	putFrameHead(c.out[at:], len(c.out)-at-frameHead, frameHeaders, flagEnd|flagHead, s.id)
}

func (c *client2) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	err := c.conn.send(c.out)
	c.out = c.out[:0]
	return err
}

// appendFields writes the fields of a request in HPACK (RFC 7541), literally and without indexing, so that it is the same on every connection.
func appendFields(b []byte, r *Request, host string) []byte {
	if r.Method == "" || r.Method == "GET" {
		b = append(b, 0x82)
	} else {
		b = appendText(append(b, 0x02), r.Method)
	}
	b = append(b, 0x86)                               // :scheme http
	b = appendText(append(b, 0x04), string(r.Target)) // :path
	b = appendText(append(b, 0x01), host)             // :authority
	b = appendText(append(b, 0x0f, 0x2b), "bench")    // user-agent
	b = appendText(append(b, 0x0f, 0x04), "*/*")      // accept
	b = appendText(append(b, 0x0f, 0x01), "gzip")     // accept-encoding
	if r.Name != "" {
		b = appendText(append(b, 0x00), r.Name)
		b = appendText(b, r.Value)
	}
	return b
}

// appendText writes a string as it is (RFC 7541, 5.2).
func appendText(b []byte, s string) []byte {
	if n := len(s); n < 127 {
		b = append(b, byte(n))
	} else {
		b = append(b, 127)
		n -= 127
		for ; n >= 128; n >>= 7 {
			b = append(b, byte(n)|0x80)
		}
		b = append(b, byte(n))
	}
	return append(b, s...)
}

// appendFrame adds a frame of the connection itself, stream 0.
func appendFrame(b []byte, kind, flags byte, payload []byte) []byte {
	at := len(b)
	b = append(b, make([]byte, frameHead)...)
	putFrameHead(b[at:], len(payload), kind, flags, 0)
	return append(b, payload...)
}

func putFrameHead(b []byte, size int, kind, flags byte, id uint32) {
	b[0], b[1], b[2], b[3], b[4] = byte(size>>16), byte(size>>8), byte(size), kind, flags
	binary.BigEndian.PutUint32(b[5:], id)
}

func (c *client2) readable() error {
	for range maxReads {
		n, err := syscall.Read(c.conn.fd, c.driver.buf)
		if err != nil || n <= 0 {
			return readError(n, err)
		}
		if err := c.take(c.driver.buf[:n]); err != nil {
			return err
		}
		if err := c.flush(); err != nil {
			return err
		}
		if n < len(c.driver.buf) {
			return nil
		}
	}
	return nil
}

// take goes on with what has come.
func (c *client2) take(p []byte) error {
	if c.rest > 0 {
		n := min(c.rest, len(p))
		if p, c.rest = p[n:], c.rest-n; c.rest > 0 {
			return nil
		}
		c.end()
	}
	if len(c.in) > 0 {
		c.in = append(c.in, p...)
		p = c.in
	}
	for len(p) >= frameHead {
		size := int(p[0])<<16 | int(p[1])<<8 | int(p[2])
		kind, flags, id := p[3], p[4], binary.BigEndian.Uint32(p[5:])&^(1<<31)
		if size > maxFrame {
			return fmt.Errorf("load: frame of %d bytes", size)
		}
		if kind == frameData && flags&flagPadded == 0 {
			s := c.find(id)
			if s == nil {
				return fmt.Errorf("load: data for stream %d, which is not open", id)
			}
			s.size += size
			c.consumed(size)
			c.ends = nil
			if flags&flagEnd != 0 {
				c.ends = s
			}
			if here := len(p) - frameHead; here < size {
				c.rest = size - here
				c.in = c.in[:0]
				return nil
			}
			p = p[frameHead+size:]
			c.end()
			continue
		}
		if len(p) < frameHead+size {
			break
		}
		if err := c.frame(kind, flags, id, p[frameHead:frameHead+size]); err != nil {
			return err
		}
		p = p[frameHead+size:]
	}
	c.in = append(c.in[:0], p...)
	return nil
}

func (c *client2) frame(kind, flags byte, id uint32, payload []byte) error {
	switch kind {
	case frameHeaders:
		s := c.find(id)
		if s == nil || flags&flagHead == 0 || len(payload) == 0 {
			return fmt.Errorf("load: header for stream %d, which is not open, or in pieces", id)
		}
		s.status = statusOf(payload)
		if flags&flagEnd != 0 {
			c.ends = s
			c.end()
		}
	case frameSetting:
		if flags&flagEnd == 0 {
			c.out = appendFrame(c.out, frameSetting, flagEnd, nil)
		}
	case framePing:
		if flags&flagEnd == 0 {
			c.out = appendFrame(c.out, framePing, flagEnd, payload)
		}
	case frameReset, frameGoAway:
		return fmt.Errorf("load: frame %d: % x", kind, payload[:min(len(payload), 32)])
	case frameData, frameMore:
		return fmt.Errorf("load: padded data, or header in pieces, on stream %d", id)
	}
	return nil
}

// statusOf reads :status, which comes first (RFC 9113, 8.3): from the static table, or as three digits.
func statusOf(b []byte) int {
	for len(b) > 0 && b[0]&0xe0 == 0x20 { // a change of the table's size
		b = b[1:]
	}
	if len(b) == 0 {
		return 0
	}
	switch b[0] {
	case 0x88:
		return 200
	case 0x8b:
		return 304
	}
	return 0
}

func (c *client2) find(id uint32) *stream {
	for i := range c.streams {
		if c.streams[i].id == id {
			return &c.streams[i]
		}
	}
	return nil
}

// end answers the stream that has ended with the last frame, if one has, and asks again.
func (c *client2) end() {
	if s := c.ends; s != nil {
		c.ends = nil
		c.driver.answered(s.kind, s.asked, s.status, s.size)
		c.ask(s)
	}
}

// consumed gives back what was read of the connection's window.
func (c *client2) consumed(n int) {
	if c.taken += n; c.taken >= window/4 {
		var increment [4]byte
		binary.BigEndian.PutUint32(increment[:], uint32(c.taken))
		c.out = appendFrame(c.out, frameWindow, 0, increment[:])
		c.taken = 0
	}
}
