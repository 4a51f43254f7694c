//go:build linux

// Package load drives a server over loopback and measures what it answers. It is one thread around epoll with
// preformatted requests, so that as little as can be of the machine goes to asking; it is the same for every server.
//
// Every connection, or every stream of it, has one request in progress at a time: the load is closed. Latency is
// therefore that of a server at its limit.
package load

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"syscall"
	"time"
)

// Protocol is what is spoken.
type Protocol uint8

const (
	HTTP1 Protocol = iota
	H2C            // HTTP/2 without TLS, with prior knowledge
)

// String returns the name that tables show.
func (p Protocol) String() string { return [...]string{"HTTP/1.1", "h2c"}[p] }

// Request is what one client asks next. Its slices are only read.
type Request struct {
	Method string // "" is GET
	Target []byte // path and query
	Name   string // one more field, if not empty; in lower case
	Value  string
	Kind   int // which histogram counts it: less than Kinds
}

// Kinds is how many kinds of requests are told apart in a Result.
const Kinds = 3

// A Script says what to ask. next is good until the following call.
type Script interface{ Next() *Request }

// Plan is one run.
type Plan struct {
	Addr     netip.AddrPort // on loopback
	Host     string
	Protocol Protocol
	Conns    int
	Streams  int // of a connection, at a time; 1 for HTTP1
	Warm     time.Duration
	Measure  time.Duration
	Script   Script

	// Begin and End are called when measuring begins and ends.
	Begin, End func()
}

// Result is what came of a run. Only what was answered between Begin and End is in it.
type Result struct {
	Elapsed time.Duration
	Answers [Kinds]Histogram
	Bytes   int64 // of bodies
	Errors  int   // connections that broke, and answers that were neither 200 nor 304
	Err     error // the first of them
}

// Count is the number of answers of all kinds.
func (r *Result) Count() (n uint64) {
	for i := range r.Answers {
		n += r.Answers[i].Count()
	}
	return n
}

const (
	readBuffer  = 256 << 10
	maxErrors   = 1000 // of a run; then it ends
	tickMillis  = 20
	connectWait = 5 * time.Second
)

var errTooMany = errors.New("load: too many errors")

// Run carries out p. It returns an error when it could not begin, or had to give up.
func Run(p Plan) (*Result, error) {
	if !p.Addr.Addr().IsLoopback() {
		return nil, fmt.Errorf("load: %v is not a loopback address", p.Addr)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer closeFD(ep)
	d := &driver{plan: p, ep: ep, conns: make(map[int32]*conn, p.Conns), buf: make([]byte, readBuffer), result: new(Result)}
	defer d.closeAll()
	for range p.Conns {
		if err := d.connect(); err != nil {
			return nil, err
		}
	}
	return d.result, d.loop()
}

type driver struct {
	plan   Plan
	ep     int
	conns  map[int32]*conn
	buf    []byte
	result *Result

	now    time.Time
	counts bool // measuring
}

// conn is one connection. Exactly one of h1 and h2 is used.
type conn struct {
	fd int
	h1 *client1
	h2 *client2
}

func (d *driver) connect() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	address := &syscall.SockaddrInet4{Port: int(d.plan.Addr.Port()), Addr: d.plan.Addr.Addr().As4()}
	timeout := syscall.NsecToTimeval(int64(connectWait))
	err = errors.Join(
		syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &timeout),
		connect(fd, address),
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.SetNonblock(fd, true),
		syscall.EpollCtl(d.ep, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}),
	)
	if err != nil {
		closeFD(fd)
		return fmt.Errorf("load: connect to %v: %w", d.plan.Addr, err)
	}
	c := &conn{fd: fd}
	if d.plan.Protocol == H2C {
		c.h2 = newClient2(d, c)
	} else {
		c.h1 = &client1{driver: d, conn: c}
	}
	d.conns[int32(fd)] = c
	return nil
}

// connect waits until fd is connected. A signal, such as those by which Go interrupts its goroutines, does not end an attempt that has begun.
func connect(fd int, address syscall.Sockaddr) error {
	for {
		switch err := syscall.Connect(fd, address); err {
		case syscall.EINTR, syscall.EALREADY:
			runtime.Gosched()
		case syscall.EISCONN:
			return nil
		default:
			return err
		}
	}
}

func (d *driver) closeAll() {
	for _, c := range d.conns {
		closeFD(c.fd)
	}
}

func (d *driver) loop() error {
	began := time.Now()
	d.now = began
	for _, c := range d.conns {
		if err := c.begin(); err != nil {
			return err
		}
	}
	var from time.Time
	events := make([]syscall.EpollEvent, 256)
	for {
		n, err := syscall.EpollWait(d.ep, events, tickMillis)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return err
		}
		d.now = time.Now()
		if !d.counts && d.now.Sub(began) >= d.plan.Warm {
			d.plan.Begin()
			d.now = time.Now()
			d.counts, from = true, d.now
		}
		if d.counts && d.now.Sub(from) >= d.plan.Measure {
			d.plan.End()
			d.result.Elapsed = d.now.Sub(from)
			return nil
		}
		for _, e := range events[:max(n, 0)] {
			c := d.conns[e.Fd]
			if c == nil {
				continue
			}
			if err := c.readable(); err != nil {
				if err := d.broke(c, err); err != nil {
					return err
				}
			}
		}
	}
}

func (c *conn) begin() error {
	if c.h2 != nil {
		return c.h2.begin()
	}
	return c.h1.ask()
}

func (c *conn) readable() error {
	if c.h2 != nil {
		return c.h2.readable()
	}
	return c.h1.readable()
}

// broke counts an error and replaces the connection.
func (d *driver) broke(c *conn, why error) error {
	d.fault(why)
	delete(d.conns, int32(c.fd))
	closeFD(c.fd)
	if d.result.Errors > maxErrors {
		return fmt.Errorf("%w, the first: %w", errTooMany, d.result.Err)
	}
	if err := d.connect(); err != nil {
		return err
	}
	for _, fresh := range d.conns {
		if fresh.idle() {
			return fresh.begin()
		}
	}
	return nil
}

func (c *conn) idle() bool {
	return c.h1 != nil && c.h1.asked.IsZero() || c.h2 != nil && !c.h2.begun
}

func (d *driver) fault(why error) {
	d.result.Errors++
	if d.result.Err == nil {
		d.result.Err = why
	}
}

// answered counts a whole answer.
func (d *driver) answered(kind int, asked time.Time, status, size int) {
	if !d.counts {
		return
	}
	if status != 200 && status != 304 {
		d.fault(fmt.Errorf("load: status %d", status))
	}
	d.result.Answers[kind].Add(time.Since(asked))
	d.result.Bytes += int64(size)
}

// send writes all of b. Requests are small, so a socket that does not take one is broken.
func (c *conn) send(b []byte) error {
	n, err := syscall.Write(c.fd, b)
	if err != nil {
		return err
	}
	if n < len(b) {
		return fmt.Errorf("load: wrote %d of %d bytes", n, len(b))
	}
	return nil
}

// closeFD closes what was only read from, or is broken: nothing can be lost.
func closeFD(fd int) { _ = syscall.Close(fd) }
